"""`info memtrace`: what is recorded, what is lost, in which process."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import live, render, session
from ..abi import Control, State, Totals, text
from ..options import options
from . import base

_STATES = {
    State.OFF: "off",
    State.ARMED: "armed: waits for Python's global lock (GIL)",
    State.ON: "recording",
    State.ENDED: "ended: the interpreter has shut down",
}


class InfoMemtrace(base.Command):
    """State of the recording: process, events, losses, memory, options, breakpoints.

    info memtrace"""

    name = "info memtrace"

    def parser(self) -> Optional[base.Parser]:
        return base.Parser(self.name)

    def run(self, arguments: Any) -> None:
        current = session.current()
        control = current.reader.control
        totals = current.reader.totals()
        if control is not None:
            for row in _process(current, control):
                _show(row)
        else:
            _show(("Recording", current.reader.name))
        for row in _events(control, totals, render.notes(current.reader.notes())):
            _show(row)
        if control is not None:
            for row in _rest(current, control):
                _show(row)


Row = Tuple[str, str]


def _show(row: Row) -> None:
    base.line(f"{row[0] + ':':<13} {row[1]}")


def _process(current: session.Session, control: Control) -> Iterator[Row]:
    state = _STATES[State(control.state)]
    if control.dormant:
        state += ", but no code that could run now is to be recorded: waits for some"
    if current.is_live:
        waiting = ", a request waits for the GIL" if current.is_pending else ""
        shown = ", events are printed live" if live.is_on() else ""
        yield "State", f"{state}{waiting}{shown}"
    else:
        yield "State", "the process has ended" if current.buffer else "read from a core file"
    yield "Process", f"{control.pid}, {text(control.program)}"
    yield "Python", f"{' '.join(text(control.python_version).split())}, {text(control.soabi)}"
    yield "Driver", text(control.driver)
    if control.tracer_threads:
        yield "Other tool", f"{text(control.tracer)}, not recorded until it stops: see Losses"
    elif text(control.tracer):
        yield "Other tool", f"{text(control.tracer)}, has stopped: recorded again"


def _events(control: Optional[Control], totals: Totals, notes: List[str]) -> Iterator[Row]:
    if not totals.events:
        yield "Events", "none"
    else:
        span = render.duration(max(0, totals.last_ns - totals.first_ns))
        noun = "thread" if totals.threads == 1 else "threads"
        yield (
            "Events",
            f"{totals.events}, numbers {totals.first_seq} to {totals.last_seq}, of "
            f"{totals.threads} {noun}, over {span}",
        )
    lost = render.overwritten(control, totals).lstrip("… ")
    losses = ([lost] if lost else []) + render.losses(control, totals)
    yield "Losses", losses[0] if losses else "none"
    for loss in losses[1:]:
        yield "", loss
    for number, note in enumerate(notes):
        yield "" if number else "Notes", note


def _rest(current: session.Session, control: Control) -> Iterator[Row]:
    used = min(control.next_packet, control.packet_count)
    yield (
        "Buffer",
        f"{render.size(control.buffer_bytes)}, {used} of {control.packet_count} packets used, "
        f"definitions {render.size(control.defs_bytes)}",
    )
    yield "Threads", f"{control.thread_count} covered when recording began or changed"
    yield from _interpreters(control)
    yield "Code", f"{control.codes_traced} of {control.codes_seen} code objects seen are recorded"
    yield "Options", _in_force(text(control.options)) or "defaults"
    # By number: the helper counts one for each place that a target may mean.
    lines = text(control.options).splitlines() if control.state == State.ON else []
    armed = {line for line in lines if line.startswith("break=")}
    waiting = {f"break={b.number}" for b in options.breakpoints if b.enabled} - armed
    more = f", {len(waiting)} not yet" if waiting and current.is_live else ""
    yield "Breakpoints", f"{len(armed)} armed{more}"


def _interpreters(control: Control) -> Iterator[Row]:
    """Where there are subinterpreters: which are recorded."""
    left_out = render.interpreters_left_out(control)
    if control.interpreters > 1 or left_out:
        yield "Interpreters", f"{control.interpreters} recorded{left_out and ', '}{left_out}"


def _in_force(request: str) -> str:
    """Lines `key=value` as `key value value; key value`."""
    options_: Dict[str, List[str]] = {}
    for line in request.splitlines():
        key, equals, value = line.partition("=")
        if equals and key != "verb" and not key.startswith("break"):
            options_.setdefault(key, []).append(value)
    return "; ".join(f"{key} {' '.join(values)}" for key, values in options_.items())


COMMANDS = (InfoMemtrace,)
