"""Events as text: the plain form, JSON lines, and the few sentences around them.

No gdb, no reading: from Event to str."""

from __future__ import annotations

import json
import os
from typing import Dict, List, Optional, Tuple, Union

from . import abi
from .abi import Kind
from .reader import Event

JSON_FIELDS = (
    "seq",
    "time_ns",
    "pid",
    "thread",
    "activation",
    "function",
    "file",
    "line",
    "kind",
    "scope",
    "name",
    "old",
    "new",
    "old_type",
    "new_type",
)

NOTES_MAX = 20  # of a list's head

# What each loss means, and what can be done about it. By field of struct mt_control.
LOSSES = {
    "lost_no_packet": "events found no room: every packet was in use (set memtrace buffer-size)",
    "lost_pending": "stores were nested too deeply to wait for their outcome",
    "lost_definitions": "definitions found no room (set memtrace buffer-size)",
    "lost_foreign_tracer": "calls ran, wholly or in part, under another tracer",
    "lost_activations": "calls lost their number",
    "lost_interpreters": "subinterpreters are not recorded (they have a GIL of their own, or no "
    "room in their code objects)",
    "lost_plans": "calls ran code whose instructions memtrace does not understand",
    "left_out": "changes were left out (set memtrace max-overhead)",
    "disabled": "variables or functions are not recorded any more (set memtrace max-overhead)",
}


def change(event: Event) -> str:
    """What happened, without where: `MODIFIED balance: 100 → -20`."""
    kind = event.kind.name
    if event.kind is Kind.NEW:
        return f"{kind} {event.name} = {_value(event.new)}"
    if event.kind is Kind.DELETED:
        return f"{kind} {event.name} (was {_value(event.old)})"
    return f"{kind} {event.name}: {_value(event.old)} → {_value(event.new)}"


def plain(event: Event) -> str:
    """One line: `[run_example:5] MODIFIED b: 15 → 30`."""
    return f"[{event.function}:{event.line}] {change(event)}"


def as_json(event: Event) -> str:
    """One line of JSON with exactly the documented field names."""
    fields: Dict[str, Union[int, str, None]] = {}
    for name in JSON_FIELDS:
        fields[name] = getattr(event, name)
    fields["kind"] = event.kind.name
    fields["scope"] = event.scope.name.lower()
    return json.dumps(fields)


def place(event: Event) -> str:
    """Where: `bank.py:12 in transfer, thread 4713`."""
    return f"{short_file(event.file)}:{event.line} in {event.function}, thread {event.thread}"


def numbered(event: Event, width: int = 0) -> str:
    """The plain line behind the event's number, which `memtrace at` takes."""
    return f"{event.seq:>{width}}  {plain(event)}"


def short_file(path: str) -> str:
    """The file's own name; made-up ones (`<string>`) are whole."""
    return path if path.startswith("<") else os.path.basename(path) or path


def duration(nanoseconds: int) -> str:
    """A span of time in a unit that a person reads: `3.2 s`."""
    for unit, size in (("h", 3_600_000_000_000), ("min", 60_000_000_000), ("s", 1_000_000_000)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.1f} {unit}"
    if nanoseconds >= 1_000_000:
        return f"{nanoseconds / 1_000_000:.1f} ms"
    return f"{nanoseconds // 1000} µs"


def size(count: int) -> str:
    """A number of bytes: `64 MiB`."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def overwritten(control: Optional[abi.Control], totals: abi.Totals) -> str:
    """How many events at the beginning are gone, as the head of a list; "" if none."""
    lost = control.lost_overwritten if control is not None else max(0, totals.first_seq - 1)
    if not lost:
        return ""
    noun = "event was" if lost == 1 else "events were"
    return f"… {lost} older {noun} overwritten"


def interpreters_left_out(control: abi.Control) -> str:
    """`2 not recorded: they have a GIL of their own (ids 1, 3)`; "" if there are none."""
    ids = sorted(number for number in control.interpreters_left_out if number)
    if not ids:
        return ""
    more = ", …" if len(ids) == abi.LEFT_OUT_MAX else ""
    named = f"{'id' if len(ids) == 1 else 'ids'} {', '.join(map(str, ids))}{more}"
    count = f"{len(ids)}{' or more' if more else ''}"
    whose = "it has a GIL of its own" if len(ids) == 1 else "they have a GIL of their own"
    return f"{count} not recorded: {whose} ({named})"


def losses(control: Optional[abi.Control], totals: abi.Totals) -> List[str]:
    """Everything else that is not in the recording, by reason."""
    lines = []
    if control is not None:
        for field, meaning in LOSSES.items():
            if getattr(control, field):
                lines.append(f"{getattr(control, field)} {meaning}")
        if control.tracer_threads:
            lines.append(holder(control))
    elif totals.discarded:
        lines.append(f"{totals.discarded} events were discarded while recording")
    if totals.torn:
        lines.append(f"{totals.torn} packets were reused while they were read")
    return lines


def notes(found: List[Tuple[int, str]]) -> List[str]:
    """What a recording says about itself, a line each, the latest last."""
    lines = [f"from event {seq} on: {text}" for seq, text in found[-NOTES_MAX:]]
    if len(found) > NOTES_MAX:
        lines.insert(0, f"{len(found) - NOTES_MAX} earlier notes of this kind")
    return lines


def holder(control: abi.Control) -> str:
    """Who has the trace slot of threads, which keeps them from being recorded."""
    count = control.tracer_threads
    noun = "1 thread" if count == 1 else f"{count} threads"
    return f"{noun} whose only place for a tracer another tool has: {abi.text(control.tracer)}"


def _value(text: Optional[str]) -> str:
    return "?" if text is None else text
