"""Plans that are dropped and made again change nothing in a recording.

With a bound of 0 bytes each plan is dropped as soon as the thread has gone on to another
function, with its definitions' ids; the oracle is as strict as ever."""

from __future__ import annotations

from pathlib import Path

import harness
import interpreters
import pytest
import test_tools
from interpreters import Interpreter

PROGRAMS = Path(__file__).resolve().parent / "programs"
# Where plans come back: calls that return, generators that resume, code that dies.
NAMES = (
    "code_objects_that_come_and_go",
    "async_gather",
    "destructors_that_store_to_the_same",
    "exceptions_in_stores",
    "generators_interleaved",
    "inplace_own_operators",
    "methods_that_run_code",
    "mutual_recursion",
)
GENERATED = 20
MONITORING = [one for one in test_tools.USABLE if one.version >= test_tools.MONITORING]


@pytest.fixture(autouse=True)
def no_room_for_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMTRACE_ORACLE_REQUEST", "plan-bytes=0")


@pytest.mark.parametrize("python", interpreters.found(), indirect=True, ids=str)
def test_dropped_plans_come_back_with_the_same_events(python: Interpreter) -> None:
    for name in NAMES:
        found = harness.compare_program(PROGRAMS / f"{name}.py", python.path)
        assert found is None, f"{name}: {found}"
    found = harness.compare_generated(1, GENERATED, python.path, python.version)
    assert found is None, found


@pytest.mark.parametrize("python", MONITORING, ids=str)
def test_a_second_tool_and_dropped_plans(python: Interpreter) -> None:
    """What the interpreter forgets of the first tool is repaired when the plan is made again."""
    test_tools.test_a_tool_and_memtrace_leave_each_other_alone(
        python, "monitoring", "on-tool-end-off"
    )
