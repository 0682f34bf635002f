"""`memtrace last VAR` and `memtrace history VAR`: who wrote a variable."""

from __future__ import annotations

from itertools import chain
from typing import Any, Iterable, Optional, Sequence

from .. import render, session
from ..errors import MemtraceError
from ..reader import Event, Filter
from . import base, events


class Last(base.Command):
    """Who wrote a variable last?

        memtrace last VAR
        memtrace last FUNC:VAR

    VAR is a name as the program writes it (b, self.balance, flags[4]) or a glob (self.*)."""

    name = "memtrace last"

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        parser.add_argument("variable", metavar="VAR")
        return parser

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        return events.variables(word)

    def run(self, arguments: Any) -> None:
        current = session.current()
        wanted = variable_filter(arguments.variable)
        wanted.last = 1
        event = next(current.reader.events(wanted), None)
        if event is None:
            raise nobody(current, wanted, arguments.variable)
        base.line(f"Event {event.seq}, {render.place(event)}{_age(current, event)}:")
        base.line(render.plain(event))


class History(base.Command):
    """All writes of a variable, oldest first, each with its number for memtrace at.

        memtrace history VAR [--last N]
        memtrace history FUNC:VAR

    VAR is a name as the program writes it (b, self.balance, flags[4]) or a glob (self.*)."""

    name = "memtrace history"

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        parser.add_argument("variable", metavar="VAR")
        parser.add_argument("--last", type=int, default=0, metavar="N")
        return parser

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        return [*events.variables(word), "--last"]

    def run(self, arguments: Any) -> None:
        current = session.current()
        wanted = variable_filter(arguments.variable)
        wanted.last = max(0, arguments.last)
        events.show_losses(current)
        width = len(str(current.reader.totals().last_seq))
        found = current.reader.events(wanted)
        first = next(found, None)
        if first is None:
            raise nobody(current, wanted, arguments.variable)
        base.lines(render.numbered(event, width) for event in chain([first], found))


def variable_filter(text: str) -> Filter:
    """VAR or FUNC:VAR. Brackets of an item are no glob."""
    function, _, variable = _split(text)
    return Filter(variable=escape_brackets(variable), function=function)


def escape_brackets(variable: str) -> str:
    """flags[4] as a glob that means just that: a set of one character each. With * or ? it is
    meant as a glob."""
    if set(variable) & set("*?"):
        return variable.replace("[", "[[]") if "[" in variable else variable
    return "".join(f"[{c}]" if c in "[,\\" else c for c in variable)


def _split(text: str) -> "tuple[str, str, str]":
    """Behind the last colon that is not in brackets."""
    head, bracket, tail = text.partition("[")
    function, colon, variable = head.rpartition(":")
    return function, colon, variable + bracket + tail


def nobody(current: session.Session, wanted: Filter, text: str) -> MemtraceError:
    """Why there is no event: an unknown name, or one whose events are gone."""
    unescaped = Filter(variable=_split(text)[2], function=wanted.function)
    try:
        events.check_filters(unescaped, current.reader)
    except MemtraceError as error:
        return error
    gone = render.overwritten(current.reader.control, current.reader.totals())
    return MemtraceError(
        f"no event of {text} is in this recording" + (f" ({gone})" if gone else ""),
        "set memtrace buffer-size to more before memtrace on" if gone else "memtrace log",
    )


def _age(current: session.Session, event: Event) -> str:
    totals = current.reader.totals()
    if totals.last_seq == event.seq:
        return ", the last event"
    after = totals.last_seq - event.seq
    noun = "event" if after == 1 else "events"
    span = render.duration(max(0, totals.last_ns - event.time_ns))
    return f", {after} {noun} and {span} before the last"


COMMANDS = (Last, History)
