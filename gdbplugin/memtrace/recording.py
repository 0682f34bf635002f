"""`memtrace on` and `memtrace off`: begin, change and end a recording, in a process that runs
Python or in one that will.

gdb's main thread only."""

from __future__ import annotations

from typing import Optional

import gdb

from . import errors, inject, launch, loading, preflight, render, selection, session, target
from .abi import State, text
from .errors import MemtraceError
from .image import Images
from .options import options
from .preflight import Interpreter
from .session import Outcome, Session

_has_attached = False  # this gdb has had a process


def start() -> None:
    """What `memtrace on` does: install or change in a process that runs Python, else get ready
    for when it does."""
    session.use(None)
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
        if not target.program():
            raise MemtraceError("there is no process, and no program to run", session.HOW_TO_BEGIN)
        preflight.check_program(target.program())
        _wait_for_python()
        return
    _check_enterable(pid)
    images = Images(pid, target.read)
    interpreter = preflight.find_interpreter(images)
    if interpreter is None or not _is_initialized(images, interpreter):
        if interpreter is None and not launch.was_launched():
            raise preflight.no_interpreter(images)
        _wait_for_python()
        return
    launch.wait(_begin_at_launch, _cover_interpreter)  # for the next `run`
    _say_begun(_install(pid, images, interpreter, here=session.holds_lock(images)), images)


def stop() -> None:
    """What `memtrace off` does."""
    launch.forget()
    ended = session.find()
    if ended is None:
        gdb.write("memtrace: off\n")
        return
    if not ended.is_live:
        raise MemtraceError("there is no process to stop recording in")
    if ended.state in (State.OFF, State.ENDED) and not ended.is_pending:
        gdb.write("memtrace: off already\n")
        return
    outcome = ended.request(options.request_text("remove"))
    outcome.check()
    _say(ended, outcome, Images(ended.pid, target.read))


def _wait_for_python() -> None:
    launch.wait(_begin_at_launch, _cover_interpreter)
    gdb.write("memtrace: will start when the process runs Python\n")


def _say_begun(begun: Session, images: Images) -> None:
    outcome = begun.outcome()
    outcome.check()
    for observer in session.observers:
        observer(begun)
    _say(begun, outcome, images)


def _say(about: Session, outcome: Outcome, images: Optional[Images]) -> None:
    if outcome.is_pending:
        if images is None or not inject.may_run():
            gdb.write("memtrace: armed: it is done as soon as the process runs\n")
            return
        holder = selection.lock_holder()
        gdb.write(
            "memtrace: armed: waits for Python's global lock (GIL)"
            + (f", held by {holder}" if holder else "")
            + "; continue, it is done when the lock is free\n"
        )
        return
    gdb.write(f"memtrace: {describe(about)}\n")
    left_out = render.interpreters_left_out(about.control)
    if left_out and about.state == State.ON:
        gdb.write(f"memtrace: of the interpreters in it, {left_out}\n")
    if outcome.detail:
        gdb.write(f"memtrace: {outcome.detail}\n")


def describe(about: Session) -> str:
    """What goes on, in one line: "recording CPython 3.11.2, process 4711, 4 threads, …"."""
    control = about.control
    if about.state == State.OFF:
        return f"off, {control.next_seq - 1} events kept"
    if about.state == State.ENDED:
        return f"process {about.pid} has ended, {control.next_seq - 1} events kept"
    version = text(control.python_version).partition(" ")[0]
    count = max(control.thread_count, 1)  # at the start, the first one has no frame yet
    threads = f"{count} thread" + ("s" if count != 1 else "")
    if control.interpreters > 1:
        threads += f" in {control.interpreters} interpreters"
    size = control.buffer_bytes / (1 << 20)
    return (
        f"recording CPython {version}, process {about.pid}, {threads}, {options.what()}, "
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


def _is_initialized(images: Images, interpreter: Interpreter, here: bool = False) -> bool:
    """Has Python begun? Before that there is no interpreter to record. An answer takes a call
    of a function that reads one variable; a process that has not even mapped its C library
    needs none. Raises MemtraceError where Python is shutting down."""
    address = interpreter.image.symbol("Py_IsInitialized")
    if address is None or not images.has_glibc():
        return False
    with inject.calls(images, here) as calls:
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


def _install(pid: int, images: Images, interpreter: Interpreter, here: bool) -> Session:
    """Load the helper if need be, and have it install or change. Returns the session; its
    outcome() may be pending."""
    preflight.check_platform(images)
    preflight.check_version(interpreter)
    known = session.find()
    if known is not None and known.is_live:
        verb = "change" if known.state == State.ON else "install"
        known.request(options.request_text(verb))
        return known
    helper = preflight.find_helper(interpreter, pid)
    request = options.request_text("install")
    with inject.calls(images, here) as calls:
        loading.load_helper(calls, helper)
        calls.images = Images(pid, target.read)
        loading.open_buffer(calls, options.buffer_size)
        begun = session.adopt(pid)
        begun.send(request)
        loading.serve(calls, here)
    if not here:
        begun.wait()
    return begun


def _begin_at_launch() -> None:
    """Python is about to run, on the selected thread, which holds the lock. May come more than
    once in a process's life."""
    images = Images(target.pid(), target.read)
    interpreter = preflight.find_interpreter(images)
    if interpreter is None:
        raise preflight.no_interpreter(images)
    known = session.find()
    if known is not None and known.is_recording:
        return
    if _is_initialized(images, interpreter, here=True):  # else it could not be
        _say_begun(_install(target.pid(), images, interpreter, here=True), images)


def _cover_interpreter() -> None:
    """The selected thread has made an interpreter, and has its lock."""
    known = session.find()
    if known is not None and known.is_recording and not known.is_pending:
        known.request(options.request_text("change"), here=True)


def _on_stop(event: "gdb.StopEvent") -> None:
    """Tell the outcome of a request that was armed."""
    global _has_attached
    _has_attached = True
    if inject.is_busy():
        return
    inject.note_stop()
    launch.note_stop(event)
    about = session.known()
    news = about.news() if about is not None and about.is_live else None
    if about is None or news is None:
        return
    try:
        news.check()
        _say(about, news, None)
    except MemtraceError as error:
        errors.report(error)


gdb.events.stop.connect(_on_stop)
