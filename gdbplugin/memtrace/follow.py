"""What is new in a recording that is being written: each event once, in order.

No gdb. One thread at a time."""

from __future__ import annotations

from typing import List

from . import render
from .reader import Filter, Reader

# A number that is missing may still be on its way: another thread is about to commit it.
# After so many looks it is lost.
PATIENCE = 3
BATCH_EVENTS = 5000


class Follower:
    """The events of one reader, in order, each once."""

    def __init__(self, reader: Reader, after: int) -> None:
        self._reader = reader
        self._last = after
        self._patience = PATIENCE

    def lines(self, final: bool = False) -> List[str]:
        """The next lines: up to the first number that is missing, or beyond it when patience
        is over or `final`."""
        control = self._reader.control
        if control is not None and control.next_seq - 1 <= self._last:
            return []
        found: List[str] = []
        for event in self._reader.events(Filter(since_seq=self._last)):
            missing = event.seq - self._last - 1
            if missing > 0:
                if not final and self._patience > 0:
                    self._patience -= 1
                    break
                found.append(f"… {missing} events were lost before they could be shown")
            self._patience = PATIENCE
            found.append(render.plain(event))
            self._last = event.seq
            if len(found) >= BATCH_EVENTS and not final:
                break
        return found

    def close(self) -> None:
        self._reader.close()
