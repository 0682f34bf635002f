"""What the commands that list events share: filters, completion, what is missing."""

from __future__ import annotations

import sys
from typing import Any, Iterable, List, Sequence

import gdb

from .. import expression, render, session, target
from ..abi import NAMES_FILES, NAMES_FUNCTIONS, NAMES_VARIABLES, Kind
from ..errors import MemtraceError
from ..reader import Filter, Reader
from . import base

_NANOSECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 10**9, "min": 60 * 10**9}


def add_filters(parser: base.Parser) -> None:
    """Options that choose events."""
    parser.add_argument("--var", default="", metavar="GLOB")
    parser.add_argument("--func", default="", metavar="GLOB")
    parser.add_argument("--file", default="", metavar="GLOB")
    parser.add_argument("--thread", type=thread_id, default=0, metavar="ID")
    parser.add_argument("--kind", type=kinds, default=(), metavar="KIND[,KIND]")
    parser.add_argument("--since", default="", metavar="SEQ|TIME")


def to_filter(arguments: Any, reader: Reader) -> Filter:
    """What add_filters() has parsed."""
    wanted = Filter(
        variable=arguments.var.replace("[", "[[]"),  # flags[4] is an item, not a set
        function=arguments.func,
        file=arguments.file,
        thread=arguments.thread,
        kinds=arguments.kind,
    )
    if arguments.since:
        set_since(wanted, arguments.since, reader)
    return wanted


def set_since(wanted: Filter, text: str, reader: Reader) -> None:
    """`81723`: events after that number. `2s`, `500ms`: of the last such time before the last
    event."""
    if text.isdigit():
        wanted.since_seq = int(text)
        return
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _NANOSECONDS.get(text[len(number) :])
    try:
        span = float(number)
    except ValueError:
        unit = None
    if unit is None or span < 0:
        raise MemtraceError(
            f"--since {text}: neither the number of an event nor a time",
            "--since 81723, --since 2s, --since 500ms",
        )
    wanted.since_ns = max(1, reader.totals().last_ns - int(span * unit))


def thread_id(text: str) -> int:
    """A kernel thread id, or gdb's number of a thread."""
    if text.isdigit() and int(text) > 0:
        if target.pid():
            for thread in gdb.selected_inferior().threads():
                if thread.num == int(text):
                    return int(thread.ptid[1])
        return int(text)
    raise MemtraceError(f"--thread {text}: no thread id", "info threads shows them (LWP)")


def kinds(text: str) -> List[Kind]:
    """`new,deleted`."""
    found = []
    for name in text.split(","):
        try:
            found.append(Kind[name.strip().upper()])
        except KeyError:
            names = ", ".join(kind.name.lower() for kind in Kind)
            raise MemtraceError(f"--kind {name}: no such kind", f"one of {names}") from None
    return found


def candidates(option: str, word: str) -> Iterable[str]:
    """Completions of an option's value."""
    if option == "--kind":
        return [kind.name.lower() for kind in Kind]
    what = {"--var": NAMES_VARIABLES, "--func": NAMES_FUNCTIONS, "--file": NAMES_FILES}.get(option)
    if what is None:
        return ()
    names = session.current().reader.names(what)
    return [render.short_file(name) for name in names] if what == NAMES_FILES else names


def variables(word: str) -> Iterable[str]:
    """Completions of VAR or FUNC:VAR."""
    reader = session.current().reader
    function, colon, _ = word.rpartition(":")
    names = reader.names(NAMES_VARIABLES)
    if colon:
        return [f"{function}:{name}" for name in names]
    return [*names, *(f"{name}:" for name in reader.names(NAMES_FUNCTIONS))]


def check_filters(wanted: Filter, reader: Reader) -> None:
    """For a list that is empty: is there a name that never occurs? Raises MemtraceError."""
    _check(wanted.function, "function", reader.names(NAMES_FUNCTIONS))
    _check(wanted.file, "file", map(render.short_file, reader.names(NAMES_FILES)))
    _check(wanted.variable.partition("[")[0], "variable", reader.names(NAMES_VARIABLES))


def _check(name: str, what: str, known: Iterable[str]) -> None:
    if not name or set(name) & set("*?[,"):
        return
    names = list(known)
    last_parts = {known_name.rpartition(".")[2] for known_name in names}
    if name not in names and name not in last_parts and render.short_file(name) not in names:
        raise expression.no_such(f"{what} {name} in this recording", name, names)


def show_losses(current: session.Session, quietly: bool = False) -> None:
    """What is missing stands at the head of every list. `quietly`: on stderr, where the list
    is for a program."""
    stream = gdb.STDERR if quietly else gdb.STDOUT
    reader = current.reader
    totals = reader.totals()
    head = render.overwritten(reader.control, totals)
    if head:
        base.line(head, stream)
    for loss in render.losses(reader.control, totals):
        base.line(f"… not recorded: {loss}", stream)
    for note in render.notes(reader.notes()):
        base.line(f"… {note}", stream)
    if quietly:
        sys.stderr.flush()


def words_before(words: Sequence[str]) -> str:
    """The option whose value is being typed, or ""."""
    return words[-1] if words and words[-1].startswith("--") else ""
