"""The same on every CPython: oracle and memtrace agree, and so do the versions.

One test per interpreter (interpreters.py) and program: against the oracle on that
interpreter, and against what memtrace recorded on the reference version. Where the language
or the compiler make a difference DIFFERENCES says why; an entry that has become needless
fails. MEMTRACE_GENERATED_VERSIONS (200) random programs run on each, from
seed MEMTRACE_SEED on.

MEMTRACE_REFERENCE: a directory that holds what the reference version recorded (`matrix_rows.py
reference` of scripts/ writes it), for machines that have no interpreter of that version.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path
from typing import Callable, NamedTuple

import harness
import interpreters
import pytest
from interpreters import Interpreter
from memtrace import reader

HERE = Path(__file__).resolve().parent
REFERENCE = (3, 11)
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))
GENERATED = int(os.environ.get("MEMTRACE_GENERATED_VERSIONS", "200"))
SEED = int(os.environ["MEMTRACE_SEED"])  # conftest.py sets it where nobody did
BATCH = 50

# The first version whose compiler takes the program.
SYNTAX = {
    "match_statements": (3, 10),
    "exception_groups": (3, 11),
    "lines": (3, 9),  # with (a, b):
    "with_statements": (3, 9),
}

# Names that compilers store in class and module bodies on their own account: __firstlineno__
# and __static_attributes__ from 3.13 on, __conditional_annotations__ from 3.14 on (PEP 649).
COMPILERS_OWN = {"__firstlineno__", "__static_attributes__", "__conditional_annotations__"}


class Difference(NamedTuple):
    """Why a program's events are others than on the reference version."""

    applies: Callable[[tuple[int, int]], bool]
    reason: str


def before(*version: int) -> Callable[[tuple[int, int]], bool]:
    return lambda other: other < version


def since(*version: int) -> Callable[[tuple[int, int]], bool]:
    return lambda other: other >= version


INLINED = Difference(since(3, 12), "PEP 709: comprehensions run in the frame around them")
UNION = Difference(before(3, 9), "dict has no |= (PEP 584)")
DIFFERENCES: dict[str, list[Difference]] = {
    "assignment_forms": [
        Difference(before(3, 11), "a, b = b, a stores in another order: ROT_TWO before SWAP")
    ],
    "async_for_and_with": [INLINED],
    "attributes_of_builtin_types": [
        Difference(before(3, 10), "classes have __annotations__ in their dict alone"),
        Difference(since(3, 14), "a function's __doc__ is no member any more"),
    ],
    "call_and_store_order": [INLINED],
    "class_bodies": [
        Difference(before(3, 10), "__classcell__ is stored on the body's last line"),
        INLINED,
    ],
    "code_objects_that_come_and_go": [INLINED],
    "comprehensions": [INLINED],
    "dataclasses_and_named_tuples": [Difference(before(3, 11), "EnumType was called EnumMeta")],
    "exceptions": [Difference(since(3, 14), "another message of ZeroDivisionError")],
    "exceptions_nested": [
        Difference(before(3, 10), "the end of `except … as` has a line (PEP 626)")
    ],
    "exec_and_eval": [INLINED],
    "generators": [
        Difference(since(3, 12), "close() of a generator that never began does not enter it")
    ],
    "inplace_on_attributes_and_items": [UNION],
    "inplace_operators": [UNION],
    "inplace_that_raises": [UNION],
    "match_statements": [
        Difference(before(3, 11), "captures are stored in another order"),
    ],
    "metaclass_prepare": [
        Difference(since(3, 13), "a namespace of one's own is given __firstlineno__ too")
    ],
    "methods_and_what_they_are_called_on": [
        Difference(before(3, 10), "a call over many lines is on its first")
    ],
    "methods_of_dicts": [UNION],
    "nested_functions_and_lambdas": [INLINED],
    "properties_of_containers_in_objects": [INLINED],
    "threads": [INLINED],
    "unpacked_constants": [
        Difference(since(3, 14), "a, b = 0, 1 makes no tuple and stores b first")
    ],
    "walrus": [INLINED],
    "weak_references": [Difference(before(3, 10), "the type `ReferenceType` was called weakref")],
}


# Programs that don't come out the same each time, or not as the oracle sees them, where there is no
# GIL, and why.
NOT_WITHOUT_THE_GIL = {
    "methods_that_keep_the_length": "a container's length tells nothing where other threads may "
    "change it: mutating calls on more than 64 items are all MUTATED",
    "threads_in_the_middle_of_a_store": "a container that another thread is in is shown as `…`",
    "threads_taking_turns": "which thread comes first is decided anew each time",
}


USABLE = interpreters.with_helper(reader.library_directories())


def is_covered(interpreter: Interpreter) -> bool:
    """Does test_oracle.py compare it: the reference version that runs these tests?"""
    runs_us = os.path.realpath(interpreter.path) == os.path.realpath(sys.executable)
    return interpreter.version == REFERENCE and runs_us


def marks(interpreter: Interpreter, name: str) -> list[pytest.MarkDecorator]:
    if not interpreter.has_gil and name in NOT_WITHOUT_THE_GIL:
        return [pytest.mark.skip(reason=f"without the GIL: {NOT_WITHOUT_THE_GIL[name]}")]
    return []


def cases() -> list:
    return [
        pytest.param(interpreter, name, id=f"{interpreter}-{name}", marks=marks(interpreter, name))
        for interpreter in USABLE
        for name in PROGRAMS
        if not is_covered(interpreter) and interpreter.version >= SYNTAX.get(name, (3, 0))
    ]


def program(name: str) -> str:
    return str(HERE / "programs" / f"{name}.py")


REFERENCES = [one for one in USABLE if one.version == REFERENCE]
STORED = os.environ.get("MEMTRACE_REFERENCE", "")


def programmers(events: list[dict]) -> list[dict]:
    """The events without what the compiler stores on its own account."""
    return [
        event
        for event in events
        if not (event["scope"] == "name" and event["name"] in COMPILERS_OWN)
    ]


@functools.cache
def recorded_by_reference(name: str) -> list[dict]:
    if STORED:
        events = json.loads(Path(STORED, f"{name}.json").read_text(encoding="utf-8"))
    else:
        events = harness.record("memtrace", program(name), python=REFERENCES[0].path).events
    return programmers(events)


@pytest.mark.parametrize(("interpreter", "name"), cases())
def test_events_are_the_oracles_and_the_reference_versions(
    interpreter: Interpreter, name: str
) -> None:
    events = harness.record("memtrace", program(name), python=interpreter.path).events
    expected = harness.record("oracle", program(name), python=interpreter.path).events
    assert expected, "the oracle saw no event"
    found = harness.difference(expected, events)
    assert found is None, found

    if not (REFERENCES or STORED):
        return  # test_every_version_is_there_or_said_to_be_missing says so
    reasons = [
        difference.reason
        for difference in DIFFERENCES.get(name, ())
        if difference.applies(interpreter.version)
    ]
    found = harness.difference(recorded_by_reference(name), programmers(events))
    if reasons:
        assert found is not None, f"no difference left: {'; '.join(reasons)}"
    else:
        assert found is None, found


@pytest.mark.parametrize("batch", range((GENERATED + BATCH - 1) // BATCH))
@pytest.mark.parametrize(
    "interpreter", [one for one in USABLE if not is_covered(one)], ids=str
)
def test_memtrace_agrees_with_the_oracle_on_generated_programs(
    interpreter: Interpreter, batch: int
) -> None:
    found = harness.compare_generated(
        SEED + batch * BATCH, BATCH, interpreter.path, interpreter.version
    )
    assert found is None, f"MEMTRACE_SEED={SEED}, {found}"


def test_every_version_is_there_or_said_to_be_missing(record_property: Callable) -> None:
    """Not a failure: a machine has the versions that it has."""
    there = {interpreter.version for interpreter in USABLE}
    missing = [
        f"3.{minor}"
        for minor in range(interpreters.OLDEST[1], interpreters.NEWEST[1] + 1)
        if (3, minor) not in there
    ]
    record_property("missing", " ".join(missing))
    unbuilt = [str(one) for one in interpreters.found() if one not in USABLE]
    if missing or unbuilt:
        pytest.skip(
            f"not compared: {', '.join(missing)} (no interpreter, or no helper built)"
            + (f"; without a helper: {', '.join(unbuilt)}" if unbuilt else "")
        )
