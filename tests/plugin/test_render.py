"""Events as lines of text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace import abi, render  # noqa: E402
from memtrace.abi import Kind, Scope  # noqa: E402
from memtrace.reader import Event  # noqa: E402


def event(**fields: Any) -> Event:
    values = {
        "seq": 7,
        "time_ns": 123,
        "pid": 4711,
        "thread": 4713,
        "activation": 2,
        "function": "run_example",
        "file": "/srv/bank.py",
        "line": 5,
        "kind": Kind.MODIFIED,
        "scope": Scope.LOCAL,
        "name": "b",
        "old": "15",
        "new": "30",
        "old_type": "int",
        "new_type": "int",
    }
    return Event(**{**values, **fields})


def test_plain_form_is_the_tutorial_s() -> None:
    new = event(kind=Kind.NEW, old=None, old_type=None)
    assert render.plain(new) == "[run_example:5] NEW b = 30"
    assert render.plain(event()) == "[run_example:5] MODIFIED b: 15 → 30"
    mutated = event(kind=Kind.MUTATED, old="[1]", new="[1, 2]")
    assert render.plain(mutated) == "[run_example:5] MUTATED b: [1] → [1, 2]"
    assert render.plain(event(kind=Kind.REBOUND)) == "[run_example:5] REBOUND b: 15 → 30"
    deleted = event(kind=Kind.DELETED, new=None, new_type=None)
    assert render.plain(deleted) == "[run_example:5] DELETED b (was 15)"


def test_place_names_file_line_function_and_thread() -> None:
    assert render.place(event()) == "bank.py:5 in run_example, thread 4713"
    assert render.short_file("<string>") == "<string>"


def test_json_has_exactly_the_documented_fields() -> None:
    fields = json.loads(render.as_json(event(kind=Kind.NEW, old=None, old_type=None)))
    assert (
        list(fields)
        == (
            "seq time_ns pid thread activation function file line kind scope name old new "
            "old_type new_type"
        ).split()
    )
    assert fields["kind"] == "NEW"
    assert fields["scope"] == "local"
    assert fields["old"] is None and fields["new"] == "30"
    assert json.loads(render.as_json(event(kind=Kind.DELETED, new=None)))["new"] is None


def test_json_is_one_line_of_ascii() -> None:
    text = render.as_json(event(name="größe", new="'a\nb'"))
    assert "\n" not in text and text.isascii()
    assert json.loads(text)["name"] == "größe"


def test_overwritten_events_are_said() -> None:
    control = abi.Control()
    assert render.overwritten(control, abi.Totals()) == ""
    control.lost_overwritten = 1
    assert render.overwritten(control, abi.Totals()) == "… 1 older event was overwritten"
    control.lost_overwritten = 1234
    assert render.overwritten(control, abi.Totals()) == "… 1234 older events were overwritten"
    totals = abi.Totals(first_seq=11)
    assert render.overwritten(None, totals) == "… 10 older events were overwritten"


def test_every_other_loss_is_said() -> None:
    counters = [name for name, *_ in abi.Control._fields_ if name.startswith("lost_")]
    control = abi.Control()
    assert render.losses(control, abi.Totals()) == []
    for number, name in enumerate(counters, 1):
        setattr(control, name, number)
    told = " ".join(render.losses(control, abi.Totals()))
    told += render.overwritten(control, abi.Totals())
    for number in range(1, len(counters) + 1):
        assert f"{number} " in told


def test_sizes_and_spans_have_a_readable_unit() -> None:
    assert [render.size(n) for n in (96, 65536, 64 << 20, 3 << 29)] == [
        "96 bytes",
        "64 KiB",
        "64 MiB",
        "1.5 GiB",
    ]
    assert [render.duration(n) for n in (1500, 2_500_000, 3_200_000_000, 7200 * 10**9)] == [
        "1 µs",
        "2.5 ms",
        "3.2 s",
        "2.0 h",
    ]


def test_interpreters_that_are_left_out_are_named() -> None:
    control = abi.Control()
    assert render.interpreters_left_out(control) == ""
    control.interpreters_left_out[0] = 3
    own = "not recorded: it has a GIL of its own (id 3)"
    assert render.interpreters_left_out(control) == f"1 {own}"
    control.interpreters_left_out[1] = 1
    text = render.interpreters_left_out(control)
    assert text == "2 not recorded: they have a GIL of their own (ids 1, 3)"
    control.interpreters_left_out[:] = list(range(2, 2 + abi.LEFT_OUT_MAX))
    text = render.interpreters_left_out(control)
    assert text == "6 or more not recorded: they have a GIL of their own (ids 2, 3, 4, 5, 6, 7, …)"
