"""What is recorded now, in which inferior.

A Session is a process (or what is left of it) whose buffer we hold open: the memfd's pages
stay ours when the process dies, so that every question about the past works afterwards. A
process whose helper was loaded by an earlier gdb is found again by its mapped memfd.

request() carries text to the helper by the mailbox and brings back the outcome; how it gets
the interpreter's lock is told in entry.c and in inject.py.

gdb's main thread only."""

from __future__ import annotations

import mmap
import os
import time
from typing import Callable, Dict, List, NamedTuple, Optional

import gdb

from . import inject, loading, preflight, procfs, target
from .abi import ABI_VERSION, MAGIC, MEMFD_NAME, Control, State, Status, text
from .errors import MemtraceError
from .image import Images
from .reader import Reader

# How long an outcome is waited for, with the process running. After that the request is
# "armed": it is carried out when the interpreter's lock is free.
WAIT_SECONDS = 2.0


class Outcome(NamedTuple):
    """What a request came to. `status` is PENDING until the helper has carried it out."""

    status: int
    detail: str

    @property
    def is_pending(self) -> bool:
        return self.status == PENDING

    def check(self) -> None:
        """Raise MemtraceError if it failed."""
        if self.status not in (Status.OK, PENDING):
            raise MemtraceError(self.detail or f"refused ({Status(self.status).name})")


PENDING = -1


class Buffer:
    """A process's buffer, mapped here. Holds the memfd open, so it outlives the process."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        size = os.fstat(self._descriptor).st_size
        self._memory = mmap.mmap(self._descriptor, size)
        self.size = size
        self.control = Control.from_buffer(self._memory)

    @property
    def path(self) -> str:
        """A name under which this gdb can open it again."""
        return f"/proc/self/fd/{self._descriptor}"

    def write_request(self, request: str) -> None:
        """Put a request into the mailbox. The process is stopped, or its helper waits for the
        new number; x86-64 keeps the order of the two stores."""
        data = request.encode("utf-8", "surrogateescape") + b"\0"
        offset = Control.request.offset
        self._memory[offset : offset + len(data)] = data
        self.control.request_number = (self.control.done_number + 1) & 0xFFFFFFFF


class Session:
    """One process that has, or had, a helper. `pid`: as we see it."""

    def __init__(self, pid: int, buffer: Optional[Buffer], reader: Optional[Reader] = None):
        self.pid = pid
        self.buffer = buffer
        self._reader = reader
        self._announced = buffer.control.done_number if buffer else 0
        self._is_gone = False  # exec: the process is another program now

    # ---- what there is --------------------------------------------------------------

    @property
    def reader(self) -> Reader:
        """The events. Works after the process has died."""
        if self._reader is None:
            assert self.buffer is not None
            self._reader = Reader.open_file(self.buffer.path, 0, self.buffer.size, True)
        return self._reader

    @property
    def control(self) -> Control:
        """The control block, live. Raises MemtraceError for a recording, which has none."""
        control = self.buffer.control if self.buffer else self.reader.control
        if control is None:
            raise MemtraceError("a recording has no control block")
        return control

    @property
    def state(self) -> State:
        """What the helper is doing."""
        return State(self.control.state)

    @property
    def is_live(self) -> bool:
        """Is the process still there, under this gdb?"""
        if self.buffer is None or self._is_gone or target.pid() != self.pid:
            return False
        return target.is_live()

    @property
    def is_recording(self) -> bool:
        """Is the process still there, and recorded?"""
        return self.is_live and self.state == State.ON

    def look_for_exec(self) -> bool:
        """Has the process begun another program, which has no helper, or its own? What was
        recorded stays."""
        inode = os.stat(self.buffer.path).st_ino if self.buffer else 0
        self._is_gone = not any(m.inode == inode for m in _buffer_mappings(self.pid))
        return self._is_gone

    @property
    def is_pending(self) -> bool:
        """Is there a request that waits for the interpreter's lock?"""
        control = self.control
        return bool(control.request_number != control.done_number)

    def helper_symbol(self, name: str) -> int:
        """The address of something that the helper exports: memtrace_hook_hit, …"""
        return loading.helper_symbol(Images(self.pid, target.read), name)

    # ---- requests -------------------------------------------------------------------

    def request(self, request: str, here: bool = False) -> Outcome:
        """Have the helper carry out a request: on the selected thread where that is stopped
        holding the interpreter's lock (`here`: it is known to), else on a thread of the helper's
        own, for which the process is let run for a moment. Raises MemtraceError when the helper
        can't be asked."""
        if not self.is_live or self.buffer is None:
            raise MemtraceError(
                f"process {self.pid} is not here any more; what it recorded is",
                "memtrace log, memtrace last VAR",
            )
        images = Images(self.pid, target.read)
        here = here or holds_lock(images)
        waiting = self.is_pending and not here
        self.send(request)
        if not waiting:  # else the helper's thread that waits takes this request
            with inject.calls(images, here) as calls:
                loading.serve(calls, here)
                if here and self.is_pending:  # it is another interpreter's lock
                    loading.serve(calls, here=False)
        if not here:
            self.wait()
        return self.outcome()

    def send(self, request: str) -> None:
        """Put a request into the mailbox, for loading.serve()."""
        assert self.buffer is not None
        self.buffer.write_request(request)

    def outcome(self) -> Outcome:
        """What the last request came to."""
        control = self.control
        if self.is_pending:
            return Outcome(PENDING, "")
        self._announced = control.done_number
        return Outcome(control.status, text(control.detail))

    def news(self) -> Optional[Outcome]:
        """The outcome of a request that was pending when it was made, once."""
        if self.is_pending or self.control.done_number == self._announced:
            return None
        return self.outcome()

    def wait(self) -> None:
        """Let the process run for a moment, so that a request that is pending is carried out."""
        if self.is_pending and inject.may_run():
            done = loading.helper_symbol(Images(self.pid, target.read), "memtrace_hook_done")
            deadline = time.monotonic() + WAIT_SECONDS
            left = WAIT_SECONDS
            # The thread that carried out an earlier request may be the first to arrive.
            while left > 0 and self.is_pending and inject.run(left, done) == inject.Run.ARRIVED:
                left = deadline - time.monotonic()
            if not target.pid():
                raise MemtraceError("the process ended before it could carry out the request")
            if self.is_pending:
                with inject.kept_selection():
                    inject.check_crash()


# ---- which one -------------------------------------------------------------------------------

_sessions: Dict[int, Session] = {}  # by gdb's number of the inferior
_loaded: Optional[Session] = None

# Called with a session whenever recording begins or changes.
observers: List[Callable[[Session], None]] = []


def current() -> Session:
    """The session of the selected inferior: live, ended, found again, or a core file's; or the
    recording that was loaded. Raises MemtraceError if there is none."""
    if _loaded is not None:
        return _loaded
    session = find()
    if session is None:
        remedy = "memtrace on" if target.is_live() or target.program() else HOW_TO_BEGIN
        raise MemtraceError("nothing is recorded here: memtrace is not on", remedy)
    return session


HOW_TO_BEGIN = (
    "gdb -p PID, then: memtrace on\n"
    "gdb --args python3 prog.py, then: memtrace on, run\n"
    "gdb python3 core, for the core file of a process that was recorded"
)


def find() -> Optional[Session]:
    """The session of the selected inferior, None if there is none."""
    number = gdb.selected_inferior().num
    before = _sessions.get(number)
    pid = target.pid()
    if not pid:
        return before
    if target.is_core():
        return before if before and before.pid == pid else _open_core(number, pid)
    if not target.is_live():
        return before
    if before and before.pid == pid and not before.look_for_exec():
        return before
    buffer = _find_buffer(pid)
    if buffer is not None:
        _sessions[number] = Session(pid, buffer)
    return _sessions.get(number)


def known() -> Optional[Session]:
    """The session that the selected inferior is known to have; doesn't look for one."""
    return _sessions.get(gdb.selected_inferior().num)


def adopt(pid: int) -> Session:
    """Begin the session of a process whose helper has just made its buffer."""
    buffer = _find_buffer(pid)
    if buffer is None:
        raise MemtraceError("the helper has made no buffer")
    session = Session(pid, buffer)
    _sessions[gdb.selected_inferior().num] = session
    return session


def use(session: Optional[Session]) -> None:
    """Answer questions from this recording (None: from the inferior again)."""
    global _loaded
    _loaded = session


def _open_core(number: int, pid: int) -> Session:
    session = Session(pid, None, Reader.open_core(target.core_path()))
    _sessions[number] = session
    return session


def _buffer_mappings(pid: int) -> List[procfs.Mapping]:
    try:
        return [m for m in procfs.maps(pid) if m.path.startswith(f"/memfd:{MEMFD_NAME} ")]
    except OSError:
        return []


def _find_buffer(pid: int) -> Optional[Buffer]:
    """The buffer of a process whose helper has been loaded before. A forked child has its
    parent's mapped, too; that one has another pid."""
    problem = ""
    own = procfs.status(pid).get("NSpid", str(pid)).split()[-1]
    for mapping in _buffer_mappings(pid):
        descriptor = procfs.descriptor_of(pid, mapping)
        if descriptor is not None:
            path = f"/proc/{pid}/fd/{descriptor}"
        else:  # the program has closed what it did not know
            path = f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
        try:
            buffer = Buffer(path)
        except (OSError, ValueError) as error:
            problem = str(error)
            continue
        if bytes(buffer.control.magic) == MAGIC and str(buffer.control.pid) == own:
            _check_abi(buffer.control)
            return buffer
    if problem:
        raise MemtraceError(
            f"the buffer of process {pid} can't be opened: {problem}",
            "run gdb as root, or as the user that the process belongs to",
        )
    return None


def _check_abi(control: Control) -> None:
    if control.abi_version != ABI_VERSION:
        raise MemtraceError(
            f"the process has a helper of memtrace ABI {control.abi_version}; this plugin "
            f"knows {ABI_VERSION}",
            "use the memtrace that was used there first",
        )


def holds_lock(images: Images) -> bool:
    """Does the selected thread stand where it holds the interpreter's lock and may be asked to
    do things: in the hook of a variable breakpoint? Never in a build without the GIL: there a
    request stops the other threads first, which may take long, and gdb can't wait for that."""
    try:
        pc = gdb.newest_frame().pc()
    except gdb.error:
        return False
    helper = images.at(pc)
    at_hook = bool(helper and helper.function_at(pc) == "memtrace_hook_hit")
    return at_hook and not preflight.is_free_threaded(images)
