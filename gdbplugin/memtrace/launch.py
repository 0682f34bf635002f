"""Begin at the first line of Python in a program that gdb starts, and cover interpreters as a
program makes them. By breakpoints on what every CPython since 3.8 exports:

    Py_RunMain               python3 itself is about to run the program
    Py_InitializeFromConfig  a program that has Python inside: begins when this returns
    Py_InitializeEx          the same, where the one above is inlined in it
    Py_NewInterpreter…       a subinterpreter is there when this returns

They stay for the next `run`, and follow exec: `gdb --args sh -c "exec python3 …"` works. In a
process that gdb was attached to they are not set, because gdb would search all symbols for them,
and read what debug information says of the functions: they are set when that process becomes
another program by exec, or when `run` starts one. gdb's main thread only."""

from __future__ import annotations

import os
from typing import Callable, List, Optional

import gdb

from . import errors, procfs
from .errors import MemtraceError

_RUNS = "Py_RunMain"
_INITIALIZES = ("Py_InitializeFromConfig", "Py_InitializeEx")
_MAKES_INTERPRETER = ("Py_NewInterpreter", "Py_NewInterpreterFromConfig")
# Functions of python3's own main(), which come to Py_RunMain later.
_MAINS = frozenset(("Py_BytesMain", "Py_Main"))
_CALLERS_MAX = 32

# The calls are made from a breakpoint's commands, because gdb allows none while it decides whether
# to stop; silent, and with `continue`, nobody sees the stop.
_COMMANDS = (
    "python import memtrace.launch; memtrace.launch.{function}\n"
    "if $_memtrace_continue\n"
    "continue\n"
    "end"
)


class _Entry(gdb.Breakpoint):
    """Entry of a function of CPython's. All threads but this one may be anywhere; this one holds
    the interpreter's lock, if there is an interpreter."""

    def __init__(self, function: str) -> None:
        super().__init__(function, internal=True)
        self.silent = True
        self.commands = _COMMANDS.format(function=f"entered('{function}')")


class _Return(gdb.Breakpoint):
    """Where a function returns to, for the selected thread, once."""

    def __init__(self, address: int, function: str) -> None:
        super().__init__(f"*{address:#x}", internal=True, temporary=True)
        self.silent = True
        self.thread = gdb.selected_thread().global_num
        self.commands = _COMMANDS.format(function=f"returned('{function}')")


_entries: List[_Entry] = []
_waits_for_program = False  # set them when another program is there
_begin: Optional[Callable[[], None]] = None
_cover: Optional[Callable[[], None]] = None
_others_stop_here = False


def was_launched() -> bool:
    """Does the process belong to a `run` of this gdb (and may still exec Python)?"""
    inferior = gdb.selected_inferior()
    try:
        parent = procfs.status(inferior.pid).get("PPid")
    except OSError:
        return False
    return not inferior.was_attached and parent == str(os.getpid())


def wait(begin: Callable[[], None], cover: Callable[[], None]) -> None:
    """Call `begin` whenever a process is about to run Python, and `cover` when it has made another
    interpreter. The selected thread holds that interpreter's lock."""
    global _begin, _cover, _waits_for_program
    _begin, _cover = begin, cover
    if any(entry.is_valid() for entry in _entries):
        return
    if gdb.selected_inferior().was_attached:
        _waits_for_program = True
    else:
        _arm_unheard()


def _arm_unheard() -> None:
    # By way of a captured command: "not defined" is no news before `run`.
    gdb.execute("python import memtrace.launch; memtrace.launch.arm()", to_string=True)


def arm() -> None:
    """Set the breakpoints that wait() wants; from here only."""
    global _waits_for_program
    _waits_for_program = False
    _entries[:] = [_Entry(name) for name in (_RUNS, *_INITIALIZES, *_MAKES_INTERPRETER)]


def _on_new_objfile(event: "gdb.NewObjFileEvent") -> None:
    """The first that a process brings with it, or the program that another one has become."""
    if not _waits_for_program:
        return
    was_attached = gdb.selected_inferior().was_attached
    if not was_attached or event.new_objfile.filename == gdb.current_progspace().filename:
        _arm_unheard()


gdb.events.new_objfile.connect(_on_new_objfile)


def forget() -> None:
    """No more: `memtrace off`."""
    global _waits_for_program
    _waits_for_program = False
    for entry in _entries:
        if entry.is_valid():
            entry.delete()
    _entries.clear()


def entered(function: str) -> None:
    """The commands of the breakpoints at entries."""
    gdb.set_convenience_variable("_memtrace_continue", not _others_stop_here)
    if function == _RUNS:
        _call(_begin)
        return
    callers = _callers()
    if not callers or (function in _INITIALIZES and _MAINS.intersection(c.name() for c in callers)):
        return
    _Return(callers[0].pc(), function)


def returned(function: str) -> None:
    """The commands of the breakpoints at returns."""
    gdb.set_convenience_variable("_memtrace_continue", not _others_stop_here)
    _call(_begin if function in _INITIALIZES else _cover)


def _call(what: Optional[Callable[[], None]]) -> None:
    try:
        if what is not None:
            what()
    except MemtraceError as error:
        errors.report(error)


def _callers() -> "List[gdb.Frame]":
    """The frames that are older than the selected thread's newest, as far as they are readable."""
    frames: List[gdb.Frame] = []
    try:
        frame = gdb.newest_frame().older()
        while frame is not None and len(frames) < _CALLERS_MAX:
            frames.append(frame)
            frame = frame.older()
    except gdb.error:
        pass
    return frames


def note_stop(event: "gdb.StopEvent") -> None:
    """For gdb.events.stop: if a breakpoint of the person's is here too, the stop is theirs."""
    global _others_stop_here
    breakpoints = getattr(event, "breakpoints", [])
    _others_stop_here = any(not isinstance(b, (_Entry, _Return)) for b in breakpoints)
