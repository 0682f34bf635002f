"""Following a recording that is being written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Iterator, List, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace import abi  # noqa: E402
from memtrace.abi import Kind, Scope  # noqa: E402
from memtrace.follow import BATCH_EVENTS, PATIENCE, Follower  # noqa: E402
from memtrace.reader import Event, Filter, Reader  # noqa: E402


class Recording:
    """Stands in for a Reader: events by number."""

    def __init__(self) -> None:
        self.seqs: List[int] = []
        self.control = abi.Control(next_seq=1)

    def write(self, *seqs: int) -> None:
        self.seqs = sorted([*self.seqs, *seqs])
        self.control.next_seq = max(self.control.next_seq, max(seqs) + 1)

    def events(self, wanted: Filter) -> Iterator[Event]:
        for seq in self.seqs:
            if seq > wanted.since_seq:
                yield Event(
                    seq, 0, 1, 1, 1, "f", "f.py", seq, Kind.NEW, Scope.LOCAL, "x", None, "1", "", ""
                )


def follow(recording: Any, after: int = 0) -> Follower:
    return Follower(cast(Reader, recording), after)


def numbers(lines: List[str]) -> List[str]:
    """Lines of events as the number of the event, others as they are."""
    return [line[3 : line.index("]")] if line.startswith("[f:") else line for line in lines]


def test_each_event_comes_once() -> None:
    recording = Recording()
    follower = follow(recording)
    assert follower.lines() == []
    recording.write(1, 2)
    assert numbers(follower.lines()) == ["1", "2"]
    assert follower.lines() == []
    recording.write(3)
    assert numbers(follower.lines()) == ["3"]


def test_it_begins_behind_what_is_known() -> None:
    recording = Recording()
    recording.write(1, 2, 3)
    assert numbers(follow(recording, after=2).lines()) == ["3"]


def test_an_event_that_another_thread_is_about_to_commit_is_waited_for() -> None:
    recording = Recording()
    recording.write(1, 3)
    follower = follow(recording)
    assert numbers(follower.lines()) == ["1"]
    assert follower.lines() == []
    recording.write(2)
    assert numbers(follower.lines()) == ["2", "3"]


def test_an_event_that_does_not_come_is_lost_and_said() -> None:
    recording = Recording()
    recording.write(1, 5)
    follower = follow(recording)
    seen = [numbers(follower.lines()) for _ in range(PATIENCE + 1)]
    assert seen[0] == ["1"]
    assert seen[1:-1] == [[]] * (PATIENCE - 1)
    assert seen[-1] == ["… 3 events were lost before they could be shown", "5"]


def test_at_the_end_nothing_is_waited_for() -> None:
    recording = Recording()
    recording.write(*range(1, BATCH_EVENTS + 10), BATCH_EVENTS + 20)
    follower = follow(recording)
    lines = numbers(follower.lines(final=True))
    assert len(lines) == BATCH_EVENTS + 11
    assert lines[-2] == "… 10 events were lost before they could be shown"
    assert lines[-1] == str(BATCH_EVENTS + 20)


def test_a_look_is_bounded() -> None:
    recording = Recording()
    recording.write(*range(1, BATCH_EVENTS + 10))
    follower = follow(recording)
    assert len(follower.lines()) == BATCH_EVENTS
    assert len(follower.lines()) == 9
