"""CPython's own tests come out the same when everything is recorded.

A part of them, because all take an hour; scripts/regress runs them all.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import interpreters  # noqa: E402
import modules  # noqa: E402
import runner  # noqa: E402
from interpreters import Interpreter  # noqa: E402
from memtrace import reader  # noqa: E402
from runner import Comparison, Difference, Entry, Outcome, Run  # noqa: E402

USABLE = interpreters.with_helper(reader.library_directories())
CASES = [
    pytest.param(one, module, id=f"{one}-{module}")
    for one in USABLE
    for module in (
        modules.SHORT_AND_MORE if one.path == sys.executable
        else modules.SHORT
    )
]


@functools.cache
def why_not(interpreter: Interpreter) -> str | None:
    return runner.test_package_missing(interpreter)


@pytest.mark.parametrize(("interpreter", "module"), CASES)
def test_recording_changes_no_result(interpreter: Interpreter, module: str) -> None:
    reason = why_not(interpreter)
    if reason:
        pytest.skip(reason)
    try:
        comparison = runner.compare(interpreter, module, runner.entries())
    except runner.Unusable as unusable:
        pytest.fail(str(unusable))
    assert comparison.good, runner.report(comparison)


# ---- the runner itself ---------------------------------------------------------------------------

SOME = Interpreter("/usr/bin/python3", (3, 11), "3.11.2", "cpython-311")


def a_run(**outcomes: str) -> Run:
    return Run({test: Outcome(outcome) for test, outcome in outcomes.items()}, "", 1.0, {})


def test_other_outcomes_and_missing_tests_are_differences() -> None:
    alone = a_run(same="passed", worse="passed", gone="skipped")
    recorded = a_run(same="passed", worse="failed", new="passed")
    found = {one.test: one for one in runner.differences(alone, recorded)}
    assert set(found) == {"worse", "gone", "new"}
    assert str(found["worse"]) == "worse: passed alone, failed when recorded"
    assert found["gone"].recorded.outcome == found["new"].alone.outcome == "not run"


def test_a_crash_is_an_outcome_of_the_test_that_it_happened_in() -> None:
    text = '{"begins": "a"}\n{"ends": "a", "outcome": "passed", "detail": "", "events": 3}\n'
    tests, totals = runner.parse(text + '{"begins": "b"}\n{"ends"', "killed by SIGSEGV", "bang")
    assert not totals
    assert tests["a"] == Outcome("passed", "", 3)
    assert tests["b"].outcome == "killed by SIGSEGV in it" and tests["b"].detail == "bang"
    assert tests["the process"].outcome == "killed by SIGSEGV"


def test_entries_have_versions_a_glob_and_a_reason() -> None:
    (entry,) = runner.read_entries("# why\n\n3.11,3.12 always test.test_x.*\n    it\n    is so\n")
    assert entry == Entry(("3.11", "3.12"), "always", "test.test_x.*", "it is so")
    assert entry.covers(SOME, "test.test_x.A.test_b") and not entry.covers(SOME, "test.test_y")
    for wrong in ("3.11 never test.x\n  why\n", "3.11 always test.x\n", "    why\n"):
        with pytest.raises(ValueError):
            runner.read_entries(wrong)


@pytest.mark.parametrize(
    ("how_often", "listed", "stale"),
    [("always", [], 1), ("sometimes", [], 0), ("always", ["test.x"], 0)],
)
def test_an_entry_whose_test_does_not_differ_is_stale(
    how_often: str, listed: list[str], stale: int
) -> None:
    run = a_run(**{"test.x": "passed"})
    comparison = Comparison(SOME, "x", run, run)
    comparison.listed = [Difference(test, Outcome("passed"), Outcome("failed")) for test in listed]
    entries = [Entry(("3.11",), how_often, "test.*", "why"), Entry(("3.12",), "always", "*", "why")]
    assert len(runner.stale(entries, comparison)) == stale
