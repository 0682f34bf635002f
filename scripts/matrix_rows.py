#!/usr/bin/python3
"""The rows of scripts/matrix: run its columns over the interpreters and gdbs of one place, and
print the rows of all places as a table.

    matrix_rows.py reference DIRECTORY         record what the version comparison compares with
    matrix_rows.py run [--oracle] PLACE FILE   test, a row for each gdb and interpreter, to FILE
    matrix_rows.py show FILE…                  print the table; exits with 1 if anything failed
    matrix_rows.py count FILE…                 print numbers: passed, failed, skipped or not had

Which interpreters: tests/shared/interpreters.py says, and the variables that it reads. Which
gdbs: MEMTRACE_GDBS (paths, separated by colons), else /usr/bin/gdb. The build to test:
MEMTRACE_BUILD. A row is a line of JSON, so that what ran before an interruption is kept.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "shared"), str(ROOT / "gdbplugin")]

import interpreters  # noqa: E402
from interpreters import Interpreter  # noqa: E402

ORACLE = "oracle"
# Column → files of tests.
COLUMNS = {
    ORACLE: ["oracle/test_versions.py"],
    "switching": ["oracle/test_switching.py"],
    "objects": ["plugin/test_expression.py"],
    "attach": ["gdb/test_attach.py", "gdb/test_refusals.py"],
    "launch": ["gdb/test_launch.py"],
    "breakpoints": ["gdb/test_breakpoints.py"],
    "commands": ["gdb/test_commands.py", "gdb/test_stack.py"],
    "post-mortem": ["gdb/test_postmortem.py"],
}
# Those that need no gdb.
QUICK = (ORACLE, "switching", "objects")
# For the interpreter that runs the tests, where that is the reference version.
ORACLE_OF_REFERENCE = "oracle/test_oracle.py"
# That one says which versions the machine lacks: the table does.
LEFT_OUT = "oracle/test_versions.py::test_every_version_is_there_or_said_to_be_missing"
ROW_SECONDS = 3600
Row = dict[str, Any]


# ---- running ------------------------------------------------------------------------------


def gdb_version(gdb: str) -> str:
    """13.1; "" if it does not run."""
    try:
        done = subprocess.run([gdb, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    first = (done.stdout.splitlines() or [""])[0]
    return first.rpartition(" ")[2]


def build_of(interpreter: Interpreter) -> str:
    """What the version does not say: "shared libpython", "static, stripped"."""
    program = (
        "import os; maps = open('/proc/self/maps').read().split(); "
        "print(next((m for m in maps if '/libpython3' in m), os.readlink('/proc/self/exe')))"
    )
    done = subprocess.run(
        [interpreter.path, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=60
    )
    file = done.stdout.strip()
    words = ["shared" if "/libpython3" in file else "static"]
    if file and not has_symbol_table(Path(file)):
        words.append("stripped")
    return ", ".join(words)


def has_symbol_table(path: Path) -> bool:
    """Has the ELF file a .symtab? By the types of its sections."""
    data = path.read_bytes()
    start = int.from_bytes(data[40:48], "little")
    size, count = (int.from_bytes(data[at : at + 2], "little") for at in (58, 60))
    headers = (data[start + n * size :] for n in range(count))
    return any(int.from_bytes(header[4:8], "little") == 2 for header in headers)


def files_of(column: str, interpreter: Interpreter) -> list[str]:
    runs_us = os.path.realpath(interpreter.path) == os.path.realpath(sys.executable)
    if column == ORACLE and runs_us and interpreter.version == (3, 11):
        return [*COLUMNS[column], ORACLE_OF_REFERENCE]
    return COLUMNS[column]


def run_row(interpreter: Interpreter, gdb: str, columns: list[str], results: Path) -> Row:
    """Run the tests of one row. `results`: base name of its log and XML."""
    files = {file: column for column in columns for file in files_of(column, interpreter)}
    there = [str(ROOT / "tests" / file) for file in files if (ROOT / "tests" / file).exists()]
    report = results.with_name(f"{results.name}.xml")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-s", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--deselect=tests/{LEFT_OUT}", f"--junitxml={report}", *parallel(), *there]
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "MEMTRACE_PYTHONS": interpreter.path,
        "MEMTRACE_PYTHONS_TOO": "",
        "MEMTRACE_TEST_PYTHON": interpreter.path,
        "MEMTRACE_TEST_GDB": gdb,
    }
    log = results.with_name(f"{results.name}.log")
    status: object = "?"
    with open(log, "w", encoding="utf-8") as output:
        try:
            status = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=ROW_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            status = f"not done in {ROW_SECONDS} s"
    if not report.exists():
        last = (log.read_text(errors="replace").splitlines() or [""])[-1]
        return {"failures": [f"pytest: status {status}, {last} (log {log})"], "log": str(log)}
    return {**read_report(report, files), "log": str(log)}


def parallel() -> list[str]:
    if importlib.util.find_spec("xdist") is None:
        return []
    return ["-n", os.environ.get("MEMTRACE_JOBS") or str(os.cpu_count())]


def read_report(report: Path, files: dict[str, str]) -> Row:
    """Cells, failures and reasons of skips from pytest's XML. `files`: file → column."""
    cells: dict[str, list[int]] = {column: [0, 0, 0] for column in files.values()}
    failures: list[str] = []
    skips: collections.Counter[str] = collections.Counter()
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").replace(".", "/")
        column = next((c for f, c in files.items() if f[:-3] in module + "/"), None)
        name = f"{module.rpartition('/')[2]}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = 1
            failures.append(name)
        elif skipped is not None:
            outcome = 2
            skips[skipped.get("message", "")] += 1
        else:
            outcome = 0
        if column is not None:
            cells[column][outcome] += 1
    return {"cells": cells, "failures": failures, "skips": dict(skips)}


def run_place(place: str, output: Path, quick: bool) -> None:
    """A row for each gdb and interpreter, written as soon as it is done."""
    build = Path(os.environ["MEMTRACE_BUILD"])
    os.environ["MEMTRACE_LIB"] = str(build / "lib")
    gdbs = ["/usr/bin/gdb"]
    if os.environ.get("MEMTRACE_GDBS"):
        gdbs = os.environ["MEMTRACE_GDBS"].split(":")
    columns = [column for column in COLUMNS if column in QUICK or not quick]
    with open(output, "a", encoding="utf-8") as file:
        for number, gdb in enumerate(gdbs[:1] if quick else gdbs):
            for interpreter in interpreters.found():
                row: Row = {"place": place, "gdb": "" if quick else gdb_version(gdb)}
                row.update(python=str(interpreter), build=build_of(interpreter))
                if not interpreters.has_helper(interpreter, [build / "lib"]):
                    row["absent"] = f"no {interpreter.helper}: not built, see cmake's messages"
                elif not quick and not row["gdb"]:
                    row["absent"] = f"{gdb} does not run"
                else:
                    name = f"matrix-{number}-{interpreter}-{row['build'].replace(', ', '-')}"
                    row.update(run_row(interpreter, gdb, columns, build / name))
                print(json.dumps(row), file=file, flush=True)
                print(f"{place}: {interpreter}: {outcome_of(row)}", flush=True)


def record_reference(directory: Path) -> None:
    """Record the oracle's programs on 3.11, for places that have none."""
    sys.path.insert(0, str(ROOT / "tests" / "oracle"))
    os.environ["MEMTRACE_LIB"] = str(Path(os.environ["MEMTRACE_BUILD"]) / "lib")
    harness = importlib.import_module("harness")

    python = next((one.path for one in interpreters.found() if one.version == (3, 11)), None)
    if python is None:
        sys.exit("matrix_rows.py: no CPython 3.11")
    directory.mkdir(parents=True, exist_ok=True)
    for program in sorted((ROOT / "tests" / "oracle" / "programs").glob("*.py")):
        events = harness.record("memtrace", str(program), python=python).events
        text = json.dumps(events)
        (directory / f"{program.stem}.json").write_text(text, encoding="utf-8")


# ---- showing ------------------------------------------------------------------------------


def totals_of(row: Row) -> tuple[int, int, int]:
    """Passed, failed, skipped; a row that could not be had is one that is skipped."""
    if "absent" in row:
        return 0, 0, 1
    if "cells" not in row:
        return 0, len(row["failures"]), 0
    passed, failed, skipped = map(sum, zip(*row["cells"].values()))
    return passed, failed, skipped


def outcome_of(row: Row) -> str:
    """A row in a few words."""
    if "absent" in row:
        return str(row["absent"])
    return "{} passed, {} failed, {} skipped".format(*totals_of(row))


def cell_text(cell: "list[int] | None") -> str:
    """ "45", "44 1F", "43 1s": passed, failed, skipped."""
    if not cell or not any(cell):
        return "-"
    text = str(cell[0])
    text += f" {cell[1]}F" if cell[1] else ""
    return text + (f" {cell[2]}s" if cell[2] else "")


def table(rows: list[Row]) -> Iterator[str]:
    """The table's lines, columns as wide as they must be."""
    columns = [c for c in COLUMNS if any(c in row.get("cells", {}) for row in rows)]
    with_gdb = any(row["gdb"] for row in rows)
    lines = [["system", *(["gdb"] if with_gdb else []), "CPython", "build", *columns]]
    cells: list[list[str]] = []
    for row in rows:
        line = [row["place"], *([row["gdb"]] if with_gdb else []), row["python"], row["build"]]
        if "cells" in row:
            cells.append([cell_text(row["cells"].get(column)) for column in columns])
            line += cells[-1]
        else:
            line += [f"({row.get('absent') or 'not run, see below'})"]
        lines.append(line)
    # What stands in the place of the cells is no column.
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]) - len(columns))]
    widths += [max(map(len, texts)) for texts in zip(*cells, columns)]
    for line in lines:
        sized = zip(line, itertools.chain(widths, itertools.repeat(0)))
        yield "  ".join(text.ljust(size) for text, size in sized).rstrip()


def notes(rows: list[Row]) -> Iterator[str]:
    """What the table's letters stand for: failures, and reasons of skips."""
    for row in rows:
        for failure in row.get("failures", ()):
            yield f"failed: {row['place']}, {row['gdb'] or 'no gdb'}, {row['python']}: {failure}"
    reasons: "dict[str, list[str]]" = {}
    for row in rows:
        for reason in row.get("skips", ()):
            places = reasons.setdefault(re.sub(r"\s+", " ", reason), [])
            places.append(f"{row['place']} {row['python']}")
    for reason, places in reasons.items():
        yield f"skipped: {reason} ({', '.join(dict.fromkeys(places))})"


def read_rows(files: list[Path]) -> list[Row]:
    return [json.loads(line) for file in files if file.exists() for line in open(file)]


def count(files: list[Path]) -> int:
    totals = [totals_of(row) for row in read_rows(files)]
    if not totals:
        print(0, 1, 0)  # nothing ran, nor said why not
        return 1
    print(*map(sum, zip(*totals)))
    return 0


def show(files: list[Path]) -> int:
    rows = read_rows(files)
    if not rows:
        print("no row")
        return 1
    legend = "Each number: tests that passed; F: that failed; s: skipped."
    print(*table(rows), "", legend, *notes(rows), sep="\n")
    return 1 if any(row.get("failures") for row in rows) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("reference").add_argument("directory", type=Path)
    run = verbs.add_parser("run")
    run.add_argument("--oracle", action="store_true")
    run.add_argument("place")
    run.add_argument("file", type=Path)
    for verb in ("show", "count"):
        verbs.add_parser(verb).add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.verb == "reference":
        record_reference(arguments.directory)
    elif arguments.verb == "run":
        run_place(arguments.place, arguments.file, arguments.oracle)
    else:
        return {"show": show, "count": count}[arguments.verb](arguments.files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
