"""Evaluate a Python expression over a frame of the process, in gdb's own Python.

Nothing runs in the process: variables are read from its memory (objects.py). What the
expression does to them happens to copies here. No gdb."""

from __future__ import annotations

import ast
import builtins
import difflib
from typing import Any, Dict, Iterable, List

from .errors import MemtraceError
from .objects import Frame, Objects

SHOWN_CHARACTERS = 4000


def evaluate(text: str, objects: Objects, frame: Frame) -> Any:
    """The value of expression `text` in `frame`: its variables, then its globals, then the
    builtins of gdb's Python. Raises MemtraceError."""
    try:
        tree = ast.parse(text.strip(), "<expression>", "eval")
    except (SyntaxError, ValueError) as error:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise MemtraceError(f"{message}: {text}", "give a Python expression") from None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    namespace = look_up(names, objects, frame)
    unknown = [
        name for name in sorted(names - set(namespace) - bound) if not hasattr(builtins, name)
    ]
    if unknown:
        known = [name for name, _ in objects.variables(frame)]
        raise no_such(f"variable {unknown[0]} in {frame.function}", unknown[0], known)
    namespace["__builtins__"] = builtins
    try:
        return eval(compile(tree, "<expression>", "eval"), namespace)
    except MemtraceError:
        raise
    except Exception as error:
        detail = f": {error}" if str(error) else ""
        raise MemtraceError(f"{type(error).__name__}{detail}") from None


def look_up(names: Iterable[str], objects: Objects, frame: Frame) -> Dict[str, Any]:
    """Values of those of the names that are variables of the frame or its globals."""
    wanted = set(names)
    found = {name: address for name, address in objects.variables(frame) if name in wanted}
    for name in wanted - set(found):
        address = objects.find(objects.globals(frame), name)
        if address:
            found[name] = address
    return {name: objects.value(address) for name, address in found.items()}


def show(value: Any) -> str:
    """A value as one line of text, cut at SHOWN_CHARACTERS."""
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python likes to print
        text = hex(value) if isinstance(value, int) else "<int too big to print>"
    except RecursionError:
        text = f"<{type(value).__name__} nested too deeply to print>"
    if len(text) > SHOWN_CHARACTERS:
        return text[:SHOWN_CHARACTERS] + f"… ({len(text)} characters)"
    return text


def near(name: str, known: Iterable[str]) -> List[str]:
    """Names that the person may have meant."""
    candidates = list(dict.fromkeys(known))
    found = difflib.get_close_matches(name, candidates, n=5, cutoff=0.6)
    last = [full for full in candidates if full.rpartition(".")[2] == name]
    return list(dict.fromkeys(last + found))[:5]


def no_such(what: str, name: str, known: Iterable[str]) -> MemtraceError:
    """The error for a name that does not exist, with those that look like it."""
    found = near(name, known)
    remedy = "did you mean " + ", ".join(found) + "?" if found else ""
    return MemtraceError(f"no {what}", remedy)
