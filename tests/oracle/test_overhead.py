"""A limit of overhead: what it leaves out is counted, what it records is right."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import harness
import interpreters
import pytest
from interpreters import Interpreter

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
# One of each kind of outcome: stores that wait for theirs, calls, generators, what raises.
NAMES = ("exceptions_in_stores", "generators_interleaved", "inplace_operators", "recursion")
GIL = [one for one in interpreters.found() if one.has_gil]
NO_GIL = [one for one in interpreters.found() if not one.has_gil]


def run_child(python: Interpreter) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python.path, "-s", str(HERE / "overhead.py")], capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("python", NO_GIL, indirect=True, ids=str)
def test_a_limit_is_refused_without_the_gil(python: Interpreter) -> None:
    done = run_child(python)
    assert done.returncode != 0
    assert "max-overhead can't be kept in a CPython without the GIL" in done.stderr


@pytest.mark.parametrize("python", GIL, indirect=True, ids=str)
def test_a_limit_that_is_never_reached_changes_no_event(
    python: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMTRACE_ORACLE_REQUEST", "max-overhead=100000")
    for name in NAMES:
        found = harness.compare_program(PROGRAMS / f"{name}.py", python.path)
        assert found is None, f"{name}: {found}"


@pytest.mark.parametrize("python", GIL, indirect=True, ids=str)
def test_a_tight_loop_beyond_the_limit_is_thinned_then_left_alone(python: Interpreter) -> None:
    done = run_child(python)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    thinned = [text for _, text in told["notes"] if "is recorded, after" in text]
    ended = [text for _, text in told["notes"] if "no change is recorded any more" in text]
    assert thinned and ended
    assert "1 change in 8" in thinned[0]
    assert any(" in busy, " in text for text in ended)
    assert told["disabled"] == len(ended)
    assert told["left_out"] > 0
    # Nothing more of it, once it is left alone; other code is recorded all along.
    assert told["events_of_second_run"] == 0
    assert told["quiet"] == ["NEW n = 7", "NEW a = 7", "MODIFIED a: 7 → 8"]
    # A change that is recorded has the old value it had, thinned or not.
    assert told["wrong"] == []
