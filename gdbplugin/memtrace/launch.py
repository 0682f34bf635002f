"""Begin at the first line of a program that gdb starts: a breakpoint at Py_RunMain, which every
CPython since 3.8 exports and calls once.

It stays for the next `run`, and follows exec: `gdb --args sh -c "exec python3 …"` works.
gdb's main thread only."""

from __future__ import annotations

import os
from typing import Callable, Optional

import gdb

from . import errors, procfs
from .errors import MemtraceError


class _PythonStarts(gdb.Breakpoint):
    """Entry of Py_RunMain: the interpreter is ready, this thread holds its lock, and nothing of
    the program has run. The calls are made from the breakpoint's commands, because gdb allows
    none while it decides whether to stop; silent, and with `continue`, nobody sees the stop."""

    def __init__(self) -> None:
        super().__init__("Py_RunMain", internal=True)
        self.silent = True
        self.commands = (
            "python import memtrace.launch; memtrace.launch.python_starts()\n"
            "if $_memtrace_continue\n"
            "continue\n"
            "end"
        )


_python_starts: Optional[_PythonStarts] = None
_begin: Optional[Callable[[], None]] = None
_others_stop_here = False


def was_launched() -> bool:
    """Does the process belong to a `run` of this gdb (and may still exec Python)?"""
    inferior = gdb.selected_inferior()
    try:
        parent = procfs.status(inferior.pid).get("PPid")
    except OSError:
        return False
    return not inferior.was_attached and parent == str(os.getpid())


def wait(begin: Callable[[], None]) -> None:
    """Call `begin` whenever a process that gdb runs is about to run Python."""
    global _begin
    _begin = begin
    if _python_starts is None or not _python_starts.is_valid():
        # By way of a captured command: "not defined" is no news before `run`.
        gdb.execute("python import memtrace.launch; memtrace.launch.arm()", to_string=True)


def arm() -> None:
    """Set the breakpoint that wait() wants; from there only."""
    global _python_starts
    _python_starts = _PythonStarts()


def forget() -> None:
    """No more: `memtrace off`."""
    global _python_starts
    if _python_starts is not None and _python_starts.is_valid():
        _python_starts.delete()
    _python_starts = None


def python_starts() -> None:
    """The commands of the breakpoint at Py_RunMain."""
    gdb.set_convenience_variable("_memtrace_continue", not _others_stop_here)
    try:
        if _begin is not None:
            _begin()
    except MemtraceError as error:
        errors.report(error)


def note_stop(event: "gdb.StopEvent") -> None:
    """For gdb.events.stop: if a breakpoint of the person's is here too, the stop is theirs."""
    global _others_stop_here
    breakpoints = getattr(event, "breakpoints", [])
    _others_stop_here = any(b is not _python_starts for b in breakpoints)
