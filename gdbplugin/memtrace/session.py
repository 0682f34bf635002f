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
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

import gdb

from . import errors, inject, preflight, procfs, target
from .abi import ABI_VERSION, MAGIC, MEMFD_NAME, Control, State, Status, text
from .errors import MemtraceError
from .image import Images
from .options import options
from .preflight import Interpreter
from .reader import Reader

# How long an outcome is waited for, with the process running. After that the request is
# "armed": it is carried out when the interpreter's lock is free.
WAIT_SECONDS = 2.0

_PROT_READ_WRITE = 3
_MAP_PRIVATE_ANONYMOUS = 0x22
_RTLD_NOW = 2
_MFD_CLOEXEC = 1
_PAGE = 4096


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
        return _helper_symbol(Images(self.pid, target.read), name)

    # ---- requests -------------------------------------------------------------------

    def request(self, request: str) -> Outcome:
        """Have the helper carry out a request: on the selected thread where that is stopped
        holding the interpreter's lock, else on a thread of the helper's own, for which the
        process is let run for a moment. Raises MemtraceError when the helper can't be asked."""
        if not self.is_live or self.buffer is None:
            raise MemtraceError(
                f"process {self.pid} is not here any more; what it recorded is",
                "memtrace log, memtrace last VAR",
            )
        images = Images(self.pid, target.read)
        here = _holds_lock(images)
        waiting = self.is_pending and not here
        self.buffer.write_request(request)
        if not waiting:  # else the helper's thread that waits takes this request
            with inject.calls(images, here) as calls:
                _serve(calls, here)
        if not here:
            self._wait(images)
        return self.outcome()

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

    def _wait(self, images: Images) -> None:
        if self.is_pending and inject.may_run():
            done = _helper_symbol(Images(self.pid, target.read), "memtrace_hook_done")
            inject.run(WAIT_SECONDS, done)
            if not target.pid():
                raise MemtraceError("the process ended before it could carry out the request")


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
        remedy = "memtrace on" if target.is_live() or _program() else _HOW_TO_BEGIN
        raise MemtraceError("nothing is recorded here: memtrace is not on", remedy)
    return session


_HOW_TO_BEGIN = (
    "gdb -p PID, then: memtrace on\n"
    "gdb --args python3 prog.py, then: memtrace on, run\n"
    "gdb python3 core, for the core file of a process that was recorded"
)


def find() -> Optional[Session]:
    """The session of the selected inferior, None if there is none."""
    number = gdb.selected_inferior().num
    known = _sessions.get(number)
    pid = target.pid()
    if not pid:
        return known
    if target.is_core():
        return known if known and known.pid == pid else _open_core(number, pid)
    if not target.is_live():
        return known
    if known and known.pid == pid and not known.look_for_exec():
        return known
    buffer = _find_buffer(pid)
    if buffer is not None:
        _sessions[number] = Session(pid, buffer)
    return _sessions.get(number)


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


# ---- on -------------------------------------------------------------------------------------


def start() -> None:
    """What `memtrace on` does: install or change in a process that runs Python, else get ready
    for when it does."""
    use(None)
    pid = target.pid()
    if pid and target.is_core():
        raise MemtraceError(
            "a core file can't be recorded; what it has recorded can be read",
            "memtrace log, memtrace last VAR",
        )
    if not pid:
        wanted = errors.requested_pid(errors.gdb_arguments())
        if wanted and not _has_attached:
            raise preflight.why_not_attached(wanted)
        if not _program():
            raise MemtraceError("there is no process, and no program to run", _HOW_TO_BEGIN)
        _wait_for_python()
        return
    _check_enterable(pid)
    images = Images(pid, target.read)
    interpreter = preflight.find_interpreter(images)
    if interpreter is None or not _is_initialized(images, interpreter):
        if interpreter is None and not _was_launched():
            raise MemtraceError(
                f"process {pid} does not run CPython: it has no Py_RunMain",
                "memtrace records CPython 3.8 and later; see: info sharedlibrary",
            )
        _wait_for_python()
        return
    _wait_for_python(quiet=True)  # for the next `run`
    _say_outcome(_install(pid, images, interpreter, here=_holds_lock(images)), images)


def stop() -> None:
    """What `memtrace off` does."""
    _forget_python()
    session = find()
    if session is None or not session.is_live:
        if _loaded is None and session is None:
            gdb.write("memtrace: off\n")
            return
        raise MemtraceError("there is no process to stop recording in")
    if session.state in (State.OFF, State.ENDED) and not session.is_pending:
        gdb.write("memtrace: off already\n")
        return
    outcome = session.request(options.request_text("remove"))
    outcome.check()
    _say(session, outcome, Images(session.pid, target.read))


def _say_outcome(session: Session, images: Images) -> None:
    outcome = session.outcome()
    outcome.check()
    for observer in observers:
        observer(session)
    _say(session, outcome, images)


def _say(session: Session, outcome: Outcome, images: Optional[Images]) -> None:
    if outcome.is_pending:
        if images is None or not inject.may_run():
            gdb.write("memtrace: armed: it is done as soon as the process runs\n")
            return
        gdb.write(
            f"memtrace: armed: waits for Python's global lock (GIL), held by "
            f"{inject.holder(images)}; continue, it is done when the lock is free\n"
        )
        return
    gdb.write(f"memtrace: {describe(session)}\n")
    if outcome.detail:
        gdb.write(f"memtrace: {outcome.detail}\n")


def describe(session: Session) -> str:
    """What goes on, in one line: "recording CPython 3.11.2, process 4711, 4 threads, …"."""
    control = session.control
    if session.state == State.OFF:
        return f"off, {control.next_seq - 1} events kept"
    if session.state == State.ENDED:
        return f"process {session.pid} has ended, {control.next_seq - 1} events kept"
    version = text(control.python_version).partition(" ")[0]
    count = max(control.thread_count, 1)  # at the start, the first one has no frame yet
    threads = f"{count} thread" + ("s" if count != 1 else "")
    size = control.buffer_bytes / (1 << 20)
    return (
        f"recording CPython {version}, process {session.pid}, {threads}, {options.what()}, "
        f"{size:g} MiB"
    )


def _check_enterable(pid: int) -> None:
    if target.is_remote():
        raise MemtraceError(
            "the process is not under this gdb's own control (remote, or a replay)",
            "run gdb where the process runs, and attach to it",
        )
    if gdb.parameter("non-stop"):
        raise MemtraceError(
            "gdb is in non-stop mode", "set non-stop off, before the process is there"
        )
    preflight.check_process(pid)
    thread = gdb.selected_thread()
    if thread is None or thread.is_running():
        raise MemtraceError(f"process {pid} is running", "interrupt it (^C) first")
    preflight.check_job_stopped(pid, inject.signal_number() is not None)


def _is_initialized(images: Images, interpreter: Interpreter) -> bool:
    """Has Python begun? Before that there is no interpreter to record. An answer takes a call
    of a function that reads one variable; a process that has not even mapped its C library
    needs none. Raises MemtraceError where Python is shutting down."""
    address = interpreter.image.symbol("Py_IsInitialized")
    if address is None or not images.has_glibc():
        return False
    with inject.calls(images) as calls:
        if calls.call_int(address):
            return True
        # Finalization takes `initialized` back first. 3.13 made the function public.
        for name in ("Py_IsFinalizing", "_Py_IsFinalizing"):
            address = interpreter.image.symbol(name)
            if address is not None and calls.call_int(address):
                raise MemtraceError(
                    "Python is shutting down in this process: nothing is left to record",
                    "what was recorded before can be read: memtrace log",
                )
    return False


def _holds_lock(images: Images) -> bool:
    """Does the selected thread stand where it holds the interpreter's lock and may be asked to
    do things: in the hook of a variable breakpoint?"""
    try:
        pc = gdb.newest_frame().pc()
    except gdb.error:
        return False
    helper = images.at(pc)
    return bool(helper and helper.function_at(pc) == "memtrace_hook_hit")


def _install(pid: int, images: Images, interpreter: Interpreter, here: bool) -> Session:
    """Load the helper if need be, and have it install or change. Returns the session; its
    outcome() may be pending."""
    preflight.check_platform(images)
    preflight.check_version(interpreter)
    session = find()
    if session is not None and session.is_live:
        verb = "change" if session.state == State.ON else "install"
        session.request(options.request_text(verb))
        return session
    helper = preflight.find_helper(interpreter, pid)
    request = options.request_text("install")
    with inject.calls(images, here) as calls:
        _load_helper(calls, helper)
        calls.images = images = Images(pid, target.read)
        _open_buffer(calls)
        buffer = _find_buffer(pid)
        if buffer is None:
            raise MemtraceError("the helper has made no buffer")
        session = Session(pid, buffer)
        _sessions[gdb.selected_inferior().num] = session
        buffer.write_request(request)
        _serve(calls, here)
    if not here:
        session._wait(images)
    return session


def _helper_symbol(images: Images, name: str) -> int:
    for image in images.named(lambda file: file.removeprefix("memfd:").startswith("memtrace-")):
        address = image.symbol(name)
        if address is not None:
            return address
    raise MemtraceError(f"the process has no memtrace helper with {name}")


def _serve(calls: inject.Calls, here: bool) -> None:
    name = "memtrace_serve_here" if here else "memtrace_serve"
    status = calls.call_int(_helper_symbol(calls.images, name))
    if status != Status.OK and not here:
        raise MemtraceError(f"the helper can't start its thread (status {status})")


def _open_buffer(calls: inject.Calls) -> None:
    address = calls.call(_helper_symbol(calls.images, "memtrace_open"), options.buffer_size)
    if not address:
        error = target.read_i32(calls.call(calls.libc("__errno_location")))
        seccomp = procfs.status(calls.images.pid).get("Seccomp", "0")
        raise MemtraceError(
            f"the process can't make a buffer of {options.buffer_size} bytes: {os.strerror(error)}",
            "set memtrace buffer-size to less"
            if seccomp == "0"
            else "its seccomp filter may forbid memfd_create",
        )


def _load_helper(calls: inject.Calls, helper: Path) -> None:
    """dlopen() the helper in the process. Where the process can't open our path (a container),
    it gets the file's bytes in a memfd."""
    pid = calls.images.pid
    page = _map_page(calls)
    try:
        if preflight.reachable(pid, helper):
            _dlopen(calls, page, os.fsencode(helper))
        else:
            _dlopen_staged(calls, page, helper)
    finally:
        calls.call(calls.libc("munmap"), page, _PAGE)


def _map_page(calls: inject.Calls) -> int:
    page = calls.call(calls.libc("mmap"), 0, _PAGE, _PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS, -1, 0)
    if page >> 63:
        raise MemtraceError("the process has no memory left (mmap failed)")
    return page


def _dlopen(calls: inject.Calls, page: int, path: bytes) -> None:
    if len(path) >= _PAGE:
        raise MemtraceError("the helper's path is too long")
    calls.write(page, path + b"\0")
    if not calls.call(calls.libc("dlopen"), page, _RTLD_NOW):
        reason = calls.call(calls.libc("dlerror"))
        detail = os.fsdecode(target.read_cstring(reason, 1024)) if reason else "no reason given"
        raise MemtraceError(f"the process can't load the helper: {detail}")


def _dlopen_staged(calls: inject.Calls, page: int, helper: Path) -> None:
    calls.write(page, os.fsencode(helper.name) + b"\0")
    descriptor = calls.call_int(calls.libc("memfd_create"), page, _MFD_CLOEXEC)
    if descriptor < 0:
        raise MemtraceError(
            f"the process can't open {helper} (other mount namespace), nor make a memfd",
            "copy the helper to where the process sees it under the same path",
        )
    try:
        with open(f"/proc/{calls.images.pid}/fd/{descriptor}", "wb") as file:
            file.write(helper.read_bytes())
        _dlopen(calls, page, f"/proc/self/fd/{descriptor}".encode())
    finally:
        calls.call(calls.libc("close"), descriptor)


# ---- launch --------------------------------------------------------------------------------


class _PythonStarts(gdb.Breakpoint):
    """Entry of Py_RunMain: the interpreter is ready, this thread holds its lock, and nothing of
    the program has run. The calls are made from the breakpoint's commands, because gdb allows
    none while it decides whether to stop; silent, and with `continue`, nobody sees the stop."""

    def __init__(self) -> None:
        super().__init__("Py_RunMain", internal=True)
        self.silent = True
        self.commands = (
            "python import memtrace.session; memtrace.session.python_starts()\n"
            "if $_memtrace_continue\n"
            "continue\n"
            "end"
        )


_python_starts: Optional[_PythonStarts] = None


def _program() -> str:
    return gdb.current_progspace().filename or ""


def _was_launched() -> bool:
    """Does the process belong to a `run` of this gdb (and may still exec Python)?"""
    inferior = gdb.selected_inferior()
    try:
        parent = procfs.status(inferior.pid).get("PPid")
    except OSError:
        return False
    return not inferior.was_attached and parent == str(os.getpid())


def _wait_for_python(quiet: bool = False) -> None:
    global _python_starts
    if _python_starts is None or not _python_starts.is_valid():
        # By way of a captured command: "not defined" is no news before `run`.
        gdb.execute("python import memtrace.session; memtrace.session.arm_launch()", to_string=True)
    if not quiet:
        gdb.write("memtrace: will start when the process runs Python\n")


def arm_launch() -> None:
    """Set the breakpoint that _wait_for_python() wants; from there only."""
    global _python_starts
    _python_starts = _PythonStarts()


def _forget_python() -> None:
    global _python_starts
    if _python_starts is not None and _python_starts.is_valid():
        _python_starts.delete()
    _python_starts = None


def python_starts() -> None:
    """The commands of the breakpoint at Py_RunMain."""
    gdb.set_convenience_variable("_memtrace_continue", not _others_stop_here)
    try:
        pid = target.pid()
        images = Images(pid, target.read)
        interpreter = preflight.find_interpreter(images)
        if interpreter is None:
            raise MemtraceError("Py_RunMain is in no mapped file")
        _say_outcome(_install(pid, images, interpreter, here=True), images)
    except MemtraceError as error:
        errors.report(error)


_others_stop_here = False
_has_attached = False  # this gdb has had a process


def _on_stop(event: "gdb.StopEvent") -> None:
    """Tell the outcome of a request that was armed; see who else stops at Py_RunMain."""
    global _others_stop_here, _has_attached
    _has_attached = True
    if inject.is_busy():
        return
    inject.note_stop()
    breakpoints = getattr(event, "breakpoints", [])
    _others_stop_here = any(b is not _python_starts for b in breakpoints)
    session = _sessions.get(gdb.selected_inferior().num)
    if session is None or not session.is_live:
        return
    news = session.news()
    if news is not None:
        try:
            news.check()
            _say(session, news, None)
        except MemtraceError as error:
            errors.report(error)


gdb.events.stop.connect(_on_stop)
