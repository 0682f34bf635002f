"""`memtrace at SEQ`: the variables of a call as they were."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .. import render, session
from ..abi import Kind
from ..errors import MemtraceError
from ..reader import Event, Filter, Reader
from . import base


class At(base.Command):
    """Every variable that a call has written, as of an event of that call.

        memtrace at SEQ

    SEQ is the number of an event: memtrace history VAR and memtrace log --numbers show them. Each
    variable comes with the line that wrote the value."""

    name = "memtrace at"

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        parser.add_argument("seq", type=_number, metavar="SEQ")
        return parser

    def run(self, arguments: Any) -> None:
        current = session.current()
        reader = current.reader
        last = _event(reader, arguments.seq)
        base.line(
            f"{last.function} ({last.file}), call {last.activation}, thread {last.thread}, "
            f"as of event {last.seq}:"
        )
        head = render.overwritten(reader.control, reader.totals())
        if head:
            base.line(f"{head}: what this call wrote then is not shown")
        for event in variables(reader, last):
            base.line(f"  {event.name} = {event.new}    (line {event.line})")
        for loss in render.losses(reader.control, reader.totals()):
            base.line(f"… not recorded: {loss}")


def variables(reader: Reader, last: Event) -> "list[Event]":
    """The event that wrote each variable's value, in the order in which they were first
    bound. A variable that is deleted, or whose base was bound anew, is gone: `p.x` of the
    object that `p` was is not that of the object that it is."""
    state: Dict[str, Event] = {}
    for event in reader.events(Filter(activation=last.activation, until_seq=last.seq)):
        if event.pid != last.pid:
            continue
        if event.kind in (Kind.NEW, Kind.MODIFIED, Kind.DELETED):
            for name in [n for n in state if n.startswith((event.name + ".", event.name + "["))]:
                del state[name]
        if event.kind is Kind.DELETED:
            state.pop(event.name, None)
        else:
            state[event.name] = event
    return list(state.values())


def _number(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise MemtraceError(f"{text} is not the number of an event", "memtrace log --numbers")
    return int(text)


def _event(reader: Reader, seq: int) -> Event:
    event = next(reader.events(Filter(since_seq=seq - 1, until_seq=seq)), None)
    if event is not None:
        return event
    totals = reader.totals()
    if not totals.events:
        raise MemtraceError(f"no event {seq}: nothing was recorded")
    what = f"events {totals.first_seq} to {totals.last_seq} are here"
    if seq < totals.first_seq:
        raise MemtraceError(f"event {seq} was overwritten: {what}")
    raise MemtraceError(f"no event {seq}: {what}", "memtrace log --numbers")


COMMANDS = (At,)
