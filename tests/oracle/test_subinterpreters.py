"""Subinterpreters: those that share the GIL are recorded like the main one, whenever they come and
go; those with a GIL of their own are counted and named as left out. On every CPython."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import harness
import interpreters
import pytest
from interpreters import Interpreter
from memtrace import reader

CHILD = Path(__file__).resolve().parent / "subinterpreters.py"
USABLE = [
    one
    for one in interpreters.with_helper(reader.library_directories())
    if one.has_gil  # without it one that comes later is not noticed yet
]
# PROGRAM of subinterpreters.py.
RUN = [
    "[add_up:2] NEW argument limit = 3",
    "[add_up:3] NEW local total = 0",
    "[add_up:4] NEW local number = 0",
    "[add_up:4] MODIFIED local number: 0 → 1",
    "[add_up:5] MODIFIED local total: 0 → 1",
    "[add_up:4] MODIFIED local number: 1 → 2",
    "[add_up:5] MODIFIED local total: 1 → 3",
]
FIRST_RUN = [
    "[<module>:2] NEW name add_up = <function add_up at ADDR>",
    *RUN,
    "[<module>:7] NEW name result = 3",
]

pytestmark = pytest.mark.parametrize("interpreter", USABLE, ids=str)


def record(interpreter: Interpreter, case: str, directory: Path) -> dict[str, Any]:
    """What the child recorded: lines of `events`, and the counters."""
    output = directory / "output"
    done = subprocess.run(
        [interpreter.path, "-s", str(CHILD), case, str(output)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}"
    result = json.loads(output.read_text(encoding="utf-8"))
    # 3.14 gives the text another file name.
    events = [event for event in result["events"] if event["file"] in ("<string>", "<script>")]
    result["numbers"] = [event["seq"] for event in result["events"]]
    result["threads_of_events"] = len({event["thread"] for event in events})
    result["events"] = [line.partition(" ")[2] for line in harness.lines(events)]
    return result


def again(lines: list[str]) -> list[str]:
    """The lines of a later run in the same interpreter: the function is bound anew."""
    function = "<function add_up at ADDR>"
    return [f"[<module>:2] MODIFIED name add_up: {function} → {function}", *lines]


def test_one_that_is_there_is_recorded(interpreter: Interpreter, tmp_path: Path) -> None:
    result = record(interpreter, "one_that_is_there", tmp_path)
    assert result["events"] == again(RUN)
    assert (result["interpreters"], result["lost"], result["threads"]) == (2, 0, 1)


def test_one_that_comes_later_is_recorded(interpreter: Interpreter, tmp_path: Path) -> None:
    result = record(interpreter, "one_that_comes_later", tmp_path)
    assert result["events"] == FIRST_RUN
    assert result["lost"] == 0


def test_one_that_a_frame_makes_and_runs_at_once_is_recorded(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    if (3, 10) <= interpreter.version[:2] <= (3, 11):
        pytest.skip("3.10 and 3.11: no event within a line that stores nothing (plan_stretch.h)")
    result = record(interpreter, "one_made_where_nothing_is_called", tmp_path)
    made = [line for line in result["events"] if line.startswith("[make:")]
    assert made[-2:] == ["[make:2] NEW local known = 0", "[make:3] MODIFIED local known: 0 → 1"]
    assert [line for line in result["events"] if line not in made] == FIRST_RUN


def test_one_may_end_while_it_is_recorded(interpreter: Interpreter, tmp_path: Path) -> None:
    result = record(interpreter, "one_that_ends_meanwhile", tmp_path)
    assert result["events"] == again(RUN) + FIRST_RUN


def test_one_is_recorded_each_time_that_recording_is_on(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    result = record(interpreter, "on_again", tmp_path)
    assert result["events"] == FIRST_RUN + 2 * again(RUN)


def test_its_suspended_generators_are_recorded_and_left_as_they_were(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    result = record(interpreter, "generator_suspended", tmp_path)
    assert result["events"] == ["[count:5] MODIFIED local number: 1 → 2"]


def test_its_threads_are_recorded(interpreter: Interpreter, tmp_path: Path) -> None:
    result = record(interpreter, "threads", tmp_path)
    ends = [line for line in result["events"] if line.endswith("→ 'end'")]
    assert len(ends) == 3 and result["threads_of_events"] == 4
    assert len([line for line in result["events"] if line.startswith("[work:")]) == 3 * (
        1 + 1 + 100 + 99 + 1
    )


def skip_without_own_gil(interpreter: Interpreter) -> None:
    if interpreter.version < (3, 12):
        pytest.skip("before 3.12 no interpreter has a GIL of its own")


def test_one_with_a_gil_of_its_own_is_counted_and_named(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    skip_without_own_gil(interpreter)
    result = record(interpreter, "own_gil", tmp_path)
    assert result["events"] == []
    assert (result["interpreters"], result["lost"]) == (1, 2)
    assert sorted(result["left_out"]) == [1, 2]


def test_events_are_numbered_whatever_runs_under_another_gil(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    skip_without_own_gil(interpreter)
    result = record(interpreter, "own_gil_at_once", tmp_path)
    of_loop = 1 + 1 + 3000 + 2999  # limit, total, number; adding 0 is no change
    assert len(result["events"]) == len(FIRST_RUN) + of_loop
    assert result["numbers"] == list(range(1, len(result["numbers"]) + 1))
    assert result["left_out"] == [1]


def test_nothing_is_left_behind_in_it(interpreter: Interpreter, tmp_path: Path) -> None:
    record(interpreter, "nothing_is_left", tmp_path)


def test_they_may_come_and_go_under_load(interpreter: Interpreter, tmp_path: Path) -> None:
    result = record(interpreter, "under_load", tmp_path)
    assert len(result["events"]) > 40
