#!/usr/bin/python3
"""Check that includes and imports run one way, from the rooms above to the rooms below.

C (helper/): a module, that is the .c and .h of one name, includes modules of its own layer or of
layers below it, never in a circle; the debuggee's and the reader's share the lowest layers alone.
Those of C_WITHOUT_PYTHON never reach Python.h, whichever way.

Python (gdbplugin/memtrace/): commands/ imports the rest, nothing imports commands/, no circles.
Only PYTHON_WITH_GDB import gdb, and the others don't import them, so that the others can be
tested without gdb.

Prints one line for each arrow that points the wrong way, and exits with 1 if there is any. A new
module has to be given its place below.

    check_arrows.py                 check
    check_arrows.py --without-gdb   list the Python files that must not see gdb
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parent.parent

# From the top. A module may include its own layer and those below. First what lives in the
# debuggee, then what lives in gdb, then what both use.
C_HELPER_LAYERS: list[set[str]] = [
    {"entry"},
    {"service"},
    {"driver", "driver_settrace", "driver_monitoring"},
    {"engine", "dormant"},
    {"store"},
    {"throttle", "pending"},
    {"emit"},
    {"verdict"},
    {"plan_cache"},
    {"thread"},
    {"plan_defs"},
    {"plan", "value", "watch", "snapshot", "lookup", "filter", "activation", "code_words"},
    {"interpreter", "line_tables"},
    {"plan_names", "condition"},
    {"plan_flow", "plan_stretch"},
    {"plan_opcodes"},
    {"linkage"},
    {"ring", "defs", "frame", "tracer", "layout", "pyobject", "request", "compile"},
    {"guard"},
    {"diff", "overhead", "sharing"},
]
C_READER_LAYERS: list[set[str]] = [
    {"reader"},
    {"recording", "core_file", "match", "value_text"},
    {"catalog"},
    {"packets"},
]
C_SHARED_LAYERS: list[set[str]] = [
    {"status", "event", "clock"},
    {"memtrace", "unprintable"},
]
C_WITHOUT_PYTHON = {
    "ring", "defs", "diff", "overhead", "request", "activation", "sharing",
}.union(  # fmt: skip
    *C_READER_LAYERS, *C_SHARED_LAYERS
)

# What must know gdb: the prompt, the inferior, its memory, its breakpoints.
PYTHON_WITH_GDB = {
    "inject", "target", "breakpoints", "session", "selection", "parameters", "live", "launch",
    "loading", "recording", "convenience",
}  # fmt: skip
# What can be imported without gdb, and imports in functions what needs it: errors, and the
# package itself, which registers the commands.
PYTHON_ON_DEMAND = {"errors", ""}
PYTHON_TOP = "commands"

Graph = dict[str, set[str]]


def find_circle(graph: Graph) -> list[str]:
    """Names along one circle of `graph`, first and last the same; [] if there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :] + [name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            circle = visit(other, path + [name])
            if circle:
                return circle
        done.add(name)
        return []

    for name in sorted(graph):
        circle = visit(name, [])
        if circle:
            return circle
    return []


def way_to(graph: Graph, start: str, goals: set[str]) -> list[str]:
    """A shortest way from `start` to one of `goals`; [] if there is none."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] in goals:
            return way
        for other in sorted(graph.get(way[-1], set()) - seen):
            seen.add(other)
            ways.append(way + [other])
    return []


# ---- C ------------------------------------------------------------------------------------

PYTHON_HEADERS = "Python.h"
CPYTHON_HEADER = (
    r"Python\.h|internal/|cpython/|opcode\.h|frameobject\.h|structmember\.h|longintrepr"
)


def c_modules(directory: Path) -> Graph:
    """Module → what it includes: modules, and PYTHON_HEADERS for any header of CPython's."""
    graph: Graph = {}
    for path in sorted(directory.glob("*.[ch]")):
        includes = graph.setdefault(path.stem, set())
        text = path.read_text(encoding="utf-8")
        for own, system in re.findall(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', text, re.M):
            if own:
                includes.add(Path(own).stem)
            elif re.match(CPYTHON_HEADER, system):
                includes.add(PYTHON_HEADERS)
        includes.discard(path.stem)
    return graph


def check_c(graph: Graph) -> Iterator[str]:
    modules = set(graph)
    # Module → all that it may include.
    allowed: dict[str, set[str]] = {}
    for layers in (C_HELPER_LAYERS + C_SHARED_LAYERS, C_READER_LAYERS + C_SHARED_LAYERS):
        for number, layer in enumerate(layers):
            for name in layer:
                allowed[name] = set().union(*layers[number:])
    for name in sorted(modules - set(allowed)):
        yield f"helper/{name}: has no place yet; give it one in scripts/check_arrows.py"
    for name in sorted(modules & set(allowed)):
        for other in sorted(graph[name] & set(allowed) - allowed[name]):
            yield f"helper/{name}: must not include {other}.h, which is above or beside it"
    circle = find_circle({name: graph[name] & modules for name in modules})
    if circle:
        yield f"helper: includes run in a circle: {' → '.join(circle)}"
    for name in sorted(C_WITHOUT_PYTHON & modules):
        way = way_to(graph, name, {PYTHON_HEADERS})
        if way:
            yield f"helper/{name}: must not see Python.h: {' → '.join(way)}"


# ---- Python -------------------------------------------------------------------------------


def imported_names(path: Path, package: list[str], in_functions: bool) -> Iterator[str]:
    """Dotted absolute names that the file imports, those in its functions only if asked for;
    `package` is its own. An import under `if TYPE_CHECKING:` is none at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        body: list[ast.stmt] = []
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            body = node.body
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not in_functions:
            body = node.body
        for statement in body:
            skipped.update(ast.walk(statement))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            yield ".".join(base)
            for alias in node.names:
                yield ".".join([*base, alias.name])


def layer_of(module: str) -> str:
    """The name in the package: "commands" for "commands.log"."""
    return module.split(".")[0]


def python_modules(directory: Path) -> Graph:
    """Module, named from the package on ("reader", "commands.log"; "" is the package itself) →
    what it imports: modules, and "gdb"."""
    paths = {
        ".".join(path.relative_to(directory).with_suffix("").parts): path
        for path in sorted(directory.rglob("*.py"))
    }
    names = {re.sub(r"\.?__init__$", "", name): path for name, path in paths.items()}
    graph: Graph = {}
    for name, path in names.items():
        package = [directory.name, *path.relative_to(directory).parent.parts]
        targets = graph[name] = set()
        for imported in imported_names(path, package, name not in PYTHON_ON_DEMAND):
            first, _, rest = imported.partition(".")
            if first == "gdb":
                targets.add("gdb")
            elif first == directory.name and rest in names and rest != name and rest:
                targets.add(rest)
    return graph


def check_python(graph: Graph) -> Iterator[str]:
    for name, imports in sorted(graph.items()):
        if layer_of(name) == PYTHON_TOP:
            continue
        for other in sorted(imports):
            if layer_of(other) == PYTHON_TOP:
                yield f"gdbplugin/memtrace/{name}: must not import {other}, which is above it"
        if layer_of(name) in PYTHON_WITH_GDB:
            continue
        way = way_to(graph, name, {"gdb"})
        if way:
            yield f"gdbplugin/memtrace/{name or '__init__'}: must not see gdb: {' → '.join(way)}"
    circle = find_circle(graph)
    if circle:
        yield f"gdbplugin/memtrace: imports run in a circle: {' → '.join(circle)}"


def main() -> int:
    package = ROOT / "gdbplugin" / "memtrace"
    graph = python_modules(package)
    if sys.argv[1:] == ["--without-gdb"]:
        for name in sorted(graph):
            if layer_of(name) not in PYTHON_WITH_GDB | {PYTHON_TOP}:
                path = package.joinpath(*name.split("."))
                print(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
        return 0
    problems = [*check_c(c_modules(ROOT / "helper")), *check_python(graph)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
