"""Recording does not disturb the program.

Each program of programs/undisturbed/ prints what it can see of recording: calls of its
special methods, reference counts, the order in which objects die, the heap, exceptions,
errno, itself. It must print the same with and without memtrace.
"""

from __future__ import annotations

from pathlib import Path

import harness
import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in (HERE / "programs" / "undisturbed").glob("*.py"))

# What CPython itself does differently while any trace function is set.
INHERENT = {
    "strings_that_grow": "CPython 3.11 grows a string in place only in a specialised "
    "instruction, and runs none while any tracer is set",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_sees_nothing_of_being_recorded(name: str, request: pytest.FixtureRequest) -> None:
    if name in INHERENT:
        request.applymarker(pytest.mark.xfail(reason=INHERENT[name], strict=True))
    program = str(HERE / "programs" / "undisturbed" / f"{name}.py")
    alone = harness.record("plain", program)
    recorded = harness.record("memtrace", program)
    assert "left the program" not in alone.output, alone.output
    assert alone.output, "the program said nothing"
    assert len(recorded.events) > 15, "hardly anything was recorded"
    assert recorded.output == alone.output


def test_classes_that_raise_are_recorded_without_a_call_of_theirs() -> None:
    program = str(HERE / "programs" / "undisturbed" / "classes_that_raise.py")
    recorded = harness.record("memtrace", program)
    assert " 0 calls: []" in recorded.output
    # All but the tables of methods, which are longer than a captured value.
    found = harness.difference(
        *(
            [event for event in events if "hostile" not in event["name"]]
            for events in (harness.record("oracle", program).events, recorded.events)
        )
    )
    assert found is None, found
    shown = {event["new_type"] for event in recorded.events}
    assert {
        "Plain",
        "Guarded",
        "Slotted",
        "WithMeta",
        "Text",
        "Number",
        "Items",
        "Table",
        "Pair",
        "Bag",
        "Problem",
    } <= shown


def test_being_recorded_would_be_noticed() -> None:
    """The programs can tell: the oracle holds values while it looks at them."""
    program = str(HERE / "programs" / "undisturbed" / "strings_that_grow.py")
    assert harness.record("oracle", program).output != harness.record("plain", program).output
