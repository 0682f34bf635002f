"""The Python side of what is selected in gdb: a thread's Python frames.

At the stop of a variable breakpoint the helper has left the thread state; at any other stop,
and in a core, the thread is found in the interpreter's own list by its kernel thread id.
Reads memory only. gdb's main thread."""

from __future__ import annotations

from itertools import islice
from typing import Iterator, List, Optional

import gdb

from . import inject, session, target
from .errors import MemtraceError
from .objects import Frame, Objects, Thread, find_thread

HOOK = "memtrace_hook_hit"


class Stack:
    """The Python frames of one thread, each read when it is asked for."""

    def __init__(self, objects: Objects, tstate: int) -> None:
        self.objects = objects
        self._rest = objects.frames(tstate)
        self._frames: List[Frame] = []

    def first(self, count: int) -> List[Frame]:
        """The `count` innermost frames, or all that there are."""
        self._frames += islice(self._rest, max(0, count - len(self._frames)))
        return self._frames[:count]

    @property
    def frames(self) -> List[Frame]:
        """All of them, innermost first."""
        self._frames += self._rest
        return self._frames

    def frame(self, number: int) -> Frame:
        if number < 0 or len(self.first(number + 1)) <= number:
            raise MemtraceError(
                f"no Python frame {number}: there are {len(self.frames)}", "memtrace bt"
            )
        return self._frames[number]


def process() -> session.Session:
    """The session of the inferior, also while a loaded recording answers questions."""
    found = session.find()
    if found is None:
        raise MemtraceError("nothing is recorded here: memtrace is not on", "memtrace on")
    return found


def objects() -> Objects:
    """A reader of the inferior's objects, live or in a core."""
    if not target.pid():
        raise MemtraceError(
            "there is no process whose memory could be read",
            "memtrace at SEQ shows the variables of a call from its events",
        )
    control = process().control
    return Objects(target, control.layout, control.python_hex)


def stack() -> Stack:
    """Frames of the selected thread. Raises MemtraceError where it runs no Python."""
    reader = objects()
    selected = gdb.selected_thread()
    if selected is None:
        raise MemtraceError("no thread is selected", "info threads, thread N")
    try:
        # Not is_running(): that is so, too, while gdb asks a condition whether to stop.
        gdb.newest_frame()
    except gdb.error as error:
        raise MemtraceError(f"the thread can't be read: {error}", "interrupt it (^C)") from None
    tstate = _hit_tstate() or _listed_tstate(reader, selected.ptid[1])
    if not tstate:
        raise MemtraceError(
            f"thread {selected.num} (LWP {selected.ptid[1]}) runs no Python",
            "info threads, thread N",
        )
    return Stack(reader, tstate)


def all_stacks() -> Iterator["tuple[Thread, Stack]"]:
    """Every thread of every interpreter."""
    reader = objects()
    for thread in list(_threads(reader)):
        yield thread, Stack(reader, thread.address)


def hit_is_here() -> bool:
    """Does the selected thread stand in the hook of a variable breakpoint?"""
    try:
        return gdb.newest_frame().name() == HOOK
    except gdb.error:
        return False


def lock_holder() -> str:
    """Which thread holds the interpreter's global lock: "thread 3 (LWP 4713)"; "" where none
    does, or that can't be read."""
    runtime = _runtime()
    holder = objects().gil_holder(runtime) if runtime is not None else None
    if holder is None:
        return ""
    with inject.kept_selection():
        for thread in gdb.selected_inferior().threads():
            lwp = thread.ptid[1]
            thread.switch()
            if find_thread(iter([holder]), lwp, _thread_pointer()):
                return f"thread {thread.num} (LWP {lwp})"
    return ""


def _hit_tstate() -> int:
    hit = process().control.hit
    return int(hit.tstate) if hit_is_here() and hit.count and hit.tstate else 0


def _listed_tstate(reader: Objects, lwp: int) -> int:
    found = find_thread(_threads(reader), lwp, _thread_pointer())
    return found.address if found else 0


def _thread_pointer() -> int:
    """What pthread_self() gives on x86-64."""
    try:
        return int(gdb.parse_and_eval("$fs_base")) & (1 << 64) - 1
    except (gdb.error, TypeError):
        return 0


def _threads(reader: Objects) -> Iterator[Thread]:
    runtime = _runtime()
    if runtime is None:
        raise MemtraceError(
            "this program has no _PyRuntime: its threads can't be found",
            "give gdb the program: gdb python3 core",
        )
    return reader.threads(runtime)


def _runtime() -> Optional[int]:
    try:
        return int(gdb.parse_and_eval("(unsigned long)&_PyRuntime"))
    except gdb.error:
        return None
