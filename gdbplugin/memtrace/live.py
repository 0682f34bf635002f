"""--live: print events while the process runs, without stopping it.

A thread of gdb's Python looks into the shared buffer, with a reader of its own, and hands
lines to gdb's main thread by gdb.post_event(): only that one prints. What is still to come
when the process exits is printed from a breakpoint on the helper's exit hook, so that it
stands before gdb's own "exited" line; after a kill it is printed when gdb says so.

Locks: _Live._order is held for one look at the buffer, and never while printing; below it is
the reader's own."""

from __future__ import annotations

import functools
import signal
import threading
import time
from typing import Any, Callable, List, Optional

import gdb

from . import errors, inject, session
from .errors import MemtraceError
from .follow import Follower
from .options import options

INTERVAL_SECONDS = 0.05
# A post that has not been carried out after that was ended by ^C, or gdb is busy.
OVERDUE_SECONDS = 0.5
BACKLOG_CHARACTERS = 1 << 20
# A buffer that is younger than this was made by the command that begins to follow it, so
# everything in it is news.
FRESH_NS = 15 * 1_000_000_000


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
        posted_at = 0.0
        while not self._end.wait(INTERVAL_SECONDS):
            if self._waiting < BACKLOG_CHARACTERS:
                self._look(final=False)
            overdue = time.monotonic() - posted_at > OVERDUE_SECONDS
            if overdue if _posted != _done else self._waiting:
                posted_at = time.monotonic()
                post(self.show)

    def _look(self, final: bool) -> None:
        with self._order:
            try:
                lines = self._follower.lines(final)
            except MemtraceError as error:
                self._end.set()
                lines = [f"memtrace: no longer live: {error}"]
            self._lines += lines
            self._waiting += sum(map(len, lines))

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
        if not inject.is_busy():
            self._look(final=True)
            self.show()

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self._follower.close()


# Posts to gdb's event loop, by number. One thread at a time posts.
_posted = _done = 0


def post(action: Callable[[], None]) -> None:
    """Have gdb's event loop carry out something, in the main thread."""
    global _posted
    _posted += 1
    gdb.post_event(functools.partial(_on_post, _posted, action))


def _on_post(number: int, action: Callable[[], None]) -> None:
    """Main thread, from gdb's event loop. gdb gives a ^C that comes while Python runs to Python,
    and forgets it when it ends what was posted: then it is done here, or, where not even the
    first line of this was reached, with the next one."""
    global _done
    interrupted = number != _done + 1
    try:
        action()
    except KeyboardInterrupt:
        interrupted = True
    _done = number
    if interrupted:
        _interrupt()


def _interrupt() -> None:
    """Stop the process, as ^C does."""
    thread = gdb.selected_thread()
    if thread is not None and thread.is_valid() and thread.is_running():
        gdb.execute("interrupt")


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
    # One that came behind the last command of -batch. gdb 13 forgets it when Python has ended, and
    # crashes then: it holds a Python object.
    if _posted != _done:
        errors.leave_before_exit()


def connect() -> None:
    """Follow gdb's processes and recordings."""
    session.observers.append(_on_recording)
    gdb.events.exited.connect(_on_exited)
    if hasattr(gdb.events, "gdb_exiting"):  # gdb 12
        gdb.events.gdb_exiting.connect(_on_gdb_exiting)
