"""--live: print events while the process runs, without stopping it.

A thread of gdb's Python looks into the shared buffer, with a reader of its own, and hands
lines to gdb's main thread by gdb.post_event(): only that one prints. What is still to come
when the process exits is printed from a breakpoint on the helper's exit hook, so that it
stands before gdb's own "exited" line; after a kill it is printed when gdb says so.

Locks: Follower._lock is held for one look at the buffer and never while printing."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, List, Optional

import gdb

from . import inject, render, session
from .errors import MemtraceError
from .options import options
from .reader import Filter, Reader

INTERVAL_SECONDS = 0.05
# A number that is missing may still be on its way: another thread is about to commit it.
# After so many looks it is lost.
PATIENCE = 3
BATCH_EVENTS = 5000
BACKLOG_CHARACTERS = 1 << 20
# A buffer that is younger than this was made by the command that begins to follow it, so
# everything in it is news.
FRESH_NS = 15 * 1_000_000_000


class Follower:
    """The events of one reader, in order, each once."""

    def __init__(self, reader: Reader, after: int) -> None:
        self._reader = reader
        self._last = after
        self._lock = threading.Lock()
        self._patience = PATIENCE

    def lines(self, final: bool = False) -> List[str]:
        """The next lines: up to the first number that is missing, or beyond it when patience
        is over or `final`."""
        with self._lock:
            return self._lines(final)

    def _lines(self, final: bool) -> List[str]:
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
        with self._lock:
            self._reader.close()


class _Live:
    """One session that is followed: the thread, and the lines that wait to be printed."""

    def __init__(self, followed: session.Session, after: int) -> None:
        self.session = followed
        self._follower = Follower(followed.reader.clone(), after)
        self._lines: List[str] = []
        self._waiting = 0  # characters in _lines
        self._order = threading.Lock()  # around "look and append": keeps the order
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="memtrace-live", daemon=True)
        # gdb's signals belong to its main thread.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _poll(self) -> None:
        while not self._end.wait(INTERVAL_SECONDS):
            if self._waiting < BACKLOG_CHARACTERS and self._look(final=False):
                gdb.post_event(self.show)

    def _look(self, final: bool) -> bool:
        with self._order:
            try:
                lines = self._follower.lines(final)
            except MemtraceError as error:
                self._end.set()
                lines = [f"memtrace: no longer live: {error}"]
            self._lines += lines
            self._waiting += sum(map(len, lines))
            return bool(lines)

    def show(self) -> None:
        """Print what waits. Main thread. While memtrace itself runs the process, its output is
        taken for gdb's: not then."""
        if inject.is_busy():
            return
        with self._order:
            lines, self._lines, self._waiting = self._lines, [], 0
        if lines:
            gdb.write("".join(line + "\n" for line in lines))
            gdb.flush()

    def flush(self) -> None:
        """Print everything up to now. Main thread."""
        self._look(final=True)
        self.show()

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._follower.close()


class _AtExit(gdb.Breakpoint):
    """The helper's hook in exit(): the last chance before gdb says that the process ended."""

    def __init__(self) -> None:
        super().__init__("memtrace_hook_exit", internal=True)
        self.silent = True

    def stop(self) -> bool:
        flush()
        return False


_live: Optional[_Live] = None
_at_exit: Optional[_AtExit] = None


def start(followed: session.Session) -> None:
    """Print the session's events from now on; those of a recording that has just begun, from
    its first."""
    global _live
    if _live is not None and _live.session is followed:
        return
    stop()
    control = followed.control
    fresh = time.monotonic_ns() - control.started_ns < FRESH_NS
    _live = _Live(followed, 0 if fresh else control.next_seq - 1)
    if _at_exit is None or not _at_exit.is_valid():
        # By way of a captured command: "not defined" is no news.
        gdb.execute("python import memtrace.live; memtrace.live.arm_exit()", to_string=True)


def arm_exit() -> None:
    """For start() only."""
    global _at_exit
    _at_exit = _AtExit()


def stop() -> None:
    """No more printing; what has happened so far is printed first."""
    global _live
    if _live is not None:
        ended, _live = _live, None
        ended.flush()
        ended.close()


def flush() -> None:
    """Print what has happened so far."""
    if _live is not None:
        _live.flush()


def is_on() -> bool:
    """Are events being printed?"""
    return _live is not None


def _on_recording(recorded: session.Session) -> None:
    if options.live:
        start(recorded)
    elif _live is not None and _live.session is recorded:
        stop()


def _on_exited(event: Any) -> None:
    if _live is not None and not inject.is_busy():
        stop()


def _on_gdb_exiting(event: Any) -> None:
    global _live
    if _live is not None:
        ended, _live = _live, None
        ended.close()


def connect() -> None:
    """Follow gdb's processes and recordings."""
    session.observers.append(_on_recording)
    gdb.events.exited.connect(_on_exited)
    if hasattr(gdb.events, "gdb_exiting"):  # gdb 12
        gdb.events.gdb_exiting.connect(_on_gdb_exiting)
