"""The only place that calls functions in the debuggee, or lets it run on its own account.

What keeps the process safe:

* Nothing is called that can wait for the interpreter, and nothing on a thread that is in
  the middle of the allocator or the loader (safety.py). If every thread is, the process
  runs for some milliseconds and is looked at again. This needs no lock of the interpreter
  and no pending call, so it works while a thread computes in native code for minutes.
* Every call and every run has a time limit (alarm.py).
* gdb's settings, signal handling, breakpoints, selected thread and frame are put back on
  every path (Quiet). Values go in by address: gdb allocates nothing for us.
* A process that stands where the person stopped it (a breakpoint, a step) is not moved.

gdb's main thread only."""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import Dict, Iterator, List, Optional, Tuple

import gdb

from . import procfs, target, unwind
from .alarm import time_limit
from .cfi import CfiError
from .errors import MemtraceError
from .image import Images
from .safety import Frame, Rank, Verdict, classify, is_libc, is_loader
from .unwind import Unwinder

CALL_SECONDS = 5.0
_SAFE_THREAD_SECONDS = 5.0
_END_SECONDS = 2.0  # for a process that is ending to have ended
_FRAMES_MAX = 256
_THREADS_MAX = 256
_MASK = (1 << 64) - 1
_SIGINT = 2
_GDBS_OWN = frozenset(("SIGTRAP", "SIGINT"))
# Signals of a program that has gone wrong, by number.
_CRASHES = {
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    11: "SIGSEGV",
    31: "SIGSYS",
}

_SETTINGS = (
    ("scheduler-locking", "off"),
    ("unwindonsignal", "on"),
    ("language", "c"),
    ("confirm", "off"),
    ("pagination", "off"),
    ("print thread-events", "off"),
    ("debuginfod enabled", "off"),
)


# ---- gdb's state --------------------------------------------------------------------------

_busy = 0


def is_busy() -> bool:
    """Does memtrace itself run or call something now? Event handlers that follow the
    process, or breakpoints, look away meanwhile."""
    return _busy > 0


@contextmanager
def _occupied() -> Iterator[None]:
    global _busy
    _busy += 1
    try:
        yield
    finally:
        _busy -= 1


@contextmanager
def _settings() -> Iterator[None]:
    saved: List[Tuple[str, str]] = []
    try:
        for name, value in _SETTINGS:
            try:
                before = gdb.parameter(name)
                gdb.execute(f"set {name} {value}", to_string=True)
            except (gdb.error, RuntimeError):
                continue  # this gdb has no such setting
            saved.append((name, _setting_text(before)))
        yield
    finally:
        for name, value in reversed(saved):
            try:
                gdb.execute(f"set {name} {value}", to_string=True)
            except gdb.error:
                pass  # scheduler-locking, when the process has ended: gdb takes "off" only


def _setting_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unlimited" if value is None else str(value)


class _Selection:
    """`keep`: put it back."""

    keep = True


@contextmanager
def kept_selection() -> Iterator[_Selection]:
    """Put the selected thread and frame back, where they still exist."""
    thread = gdb.selected_thread()
    try:
        level = gdb.selected_frame().level() if thread else 0
    except gdb.error:
        level = 0
    selection = _Selection()
    try:
        yield selection
    finally:
        if selection.keep and thread is not None and thread.is_valid():
            thread.switch()
            if level:
                try:
                    gdb.execute(f"frame {level}", to_string=True)
                except gdb.error:
                    pass


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """While a function is called, signals of the program's own pass to it as `handle` says,
    but don't stop the call; crashes and ^C do."""
    text = gdb.execute("info signals", to_string=True)
    changed: Dict[str, List[str]] = {}
    for name, stop, show, give in re.findall(
        r"^(SIG\w+)\s+(Yes|No)\s+(Yes|No)\s+(Yes|No)\s", text, re.MULTILINE
    ):
        if stop == "Yes" and give == "Yes" and name not in _GDBS_OWN.union(_CRASHES.values()):
            changed.setdefault("stop print", []).append(name)
        elif show == "Yes" and stop == "No":
            changed.setdefault("nostop print", []).append(name)
    try:
        for names in changed.values():
            gdb.execute(f"handle {' '.join(names)} nostop noprint", to_string=True)
        yield
    finally:
        for how, names in changed.items():
            gdb.execute(f"handle {' '.join(names)} {how}", to_string=True)


@contextmanager
def _disabled_breakpoints() -> Iterator[None]:
    """Another thread that stopped at a breakpoint would end the call in the middle."""
    disabled = [b for b in gdb.breakpoints() if b.is_valid() and b.enabled]
    for breakpoint_ in disabled:
        breakpoint_.enabled = False
    try:
        yield
    finally:
        for breakpoint_ in disabled:
            try:
                if breakpoint_.is_valid():
                    breakpoint_.enabled = True
            except gdb.error:
                pass  # enabled, but there is no process any more to put it in


# ---- threads --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A thread and whether functions may be called from it."""

    thread: "gdb.InferiorThread"
    verdict: Verdict
    frames: Tuple[Frame, ...]

    @property
    def tid(self) -> int:
        """Kernel thread id."""
        return int(self.thread.ptid[1])


def survey(images: Images, until: Optional[Rank] = None) -> List[Candidate]:
    """Judge the threads, best first; no further ones once one is at least as good as `until`.
    Leaves another thread selected."""
    result = []
    unwinder = Unwinder(images)
    if gdb.selected_thread() is not None:
        gdb.newest_frame().select()  # switch() to this thread would leave its frame
    for thread in list(gdb.selected_inferior().threads())[:_THREADS_MAX]:
        if not thread.is_valid() or thread.is_running() or thread.is_exited():
            continue
        thread.switch()
        candidate = _judge(thread, images, unwinder)
        result.append(candidate)
        if until is not None and candidate.verdict.rank <= until:
            break
    result.sort(key=lambda c: c.verdict.rank)
    return result


def _judge(thread: "gdb.InferiorThread", images: Images, unwinder: Unwinder) -> Candidate:
    places: List[Tuple[int, str]] = []
    pointer = 0
    try:
        pointer = _register("rsp")
        places = _walk(unwinder) or _walk_by_gdb()
    except gdb.error:
        pass  # no stack that could be read
    callers = [pc for pc, _ in places[1:]]
    frames = tuple(
        _frame(pc, special, caller, images)
        for (pc, special), caller in zip_longest(places, callers)
    )
    number = procfs.syscall(images.pid, thread.ptid[1])
    verdict = classify(frames, number, _stack_left(images, pointer))
    return Candidate(thread, verdict, frames)


_SIGNAL_FRAME = "runs a signal handler"
_SPECIAL = {
    gdb.SIGTRAMP_FRAME: _SIGNAL_FRAME,
    gdb.DUMMY_FRAME: "runs a function that gdb called",
}


def _register(name: str) -> int:
    """A register of the selected frame. Frame.read_register() would have gdb look at the frame."""
    return int(gdb.parse_and_eval(f"(unsigned long)${name}")) & _MASK


def _walk(unwinder: Unwinder) -> List[Tuple[int, str]]:
    """The pc of each frame of the selected thread, from the selected one on, and what the frame is
    when it is no function's. Empty where that can't be told without gdb."""
    try:
        registers = {n: _register(name) for n, name in enumerate(unwind.REGISTERS)}
        places = unwinder.walk(registers, _FRAMES_MAX)
    except (CfiError, MemtraceError):
        return []
    return [(place.pc, _SIGNAL_FRAME if place.is_signal else "") for place in places]


def _walk_by_gdb() -> List[Tuple[int, str]]:
    """As _walk(). Where gdb comes to an end too early, what is known so far."""
    places = []
    try:
        frame: Optional[gdb.Frame] = gdb.selected_frame()
        while frame is not None and len(places) < _FRAMES_MAX:
            if frame.type() != gdb.INLINE_FRAME:
                places.append((frame.pc(), _SPECIAL.get(frame.type(), "")))
            frame = frame.older()
    except gdb.error:
        pass
    return places


def _frame(pc: int, special: str, caller: Optional[int], images: Images) -> Frame:
    if special:
        return Frame(pc, special=special)
    image = images.at(pc)
    module = images.module_at(pc)
    called = ""
    if is_libc(module) and caller is not None and not is_libc(images.module_at(caller)):
        called = images.called_name(caller)
    return Frame(pc, module, image.function_at(pc) if image else "", called)


def _stack_left(images: Images, pointer: int) -> Optional[int]:
    mapping = procfs.find(images.mappings, pointer)
    if mapping is None or mapping.path == "[stack]":
        return None
    return pointer - mapping.start


def _choose(images: Images, seconds: float) -> Candidate:
    """Select a thread to call from, letting the process run a little if there is none."""
    deadline = time.monotonic() + seconds
    while True:
        found = survey(images, until=Rank.WAITS)
        if not found:
            raise MemtraceError("the process has no stopped thread", "interrupt it first")
        if found[0].verdict.is_safe:
            found[0].thread.switch()
            return found[0]
        if not may_run() or time.monotonic() > deadline:
            unsafe = found[0]
            raise MemtraceError(
                f"no thread can be used to enter the process: thread {unsafe.thread.num} "
                f"(LWP {unsafe.tid}) {unsafe.verdict.reason}",
                "let it run for a moment (continue, ^C), then try again",
            )
        if run(max(deadline - time.monotonic(), 0.01), _way_out(found)) == Run.STOPPED:
            check_crash()
            raise MemtraceError(
                "the process stopped for a reason of its own before it could be entered",
                "continue, then try again",
            )
        images = Images(images.pid, target.read)


def _way_out(found: List[Candidate]) -> int:
    """Where a thread comes back from the C library or the loader: the return address below its
    youngest frames there. Threads that run are nearest to it."""
    for candidate in sorted(found, key=lambda c: procfs.syscall(target.pid(), c.tid)):
        for frame in candidate.frames[1:]:
            if not (frame.special or is_libc(frame.module) or is_loader(frame.module)):
                return frame.pc
    raise MemtraceError("no thread comes back from the C library", "let the process run on")


# ---- calling ----------------------------------------------------------------------------------


class Calls:
    """Functions called from one thread. From calls() only."""

    def __init__(
        self, images: Images, candidate: Optional[Candidate], selection: _Selection
    ) -> None:
        self.images = images
        self.candidate = candidate
        self._selection = selection
        self._end: Optional[MemtraceError] = None  # nothing more can be called

    def call(self, address: int, *arguments: int, seconds: float = CALL_SECONDS) -> int:
        """Call a function with integers or pointers; returns the 64 bits of its result. Raises
        MemtraceError when it crashed, or did not return in time; gdb has then put the thread
        back to where it was. When the program itself has crashed or ended meanwhile, every
        further call raises that, too, so that the process is not let run on."""
        if self._end is not None:
            raise self._end
        types = ",".join(["unsigned long"] * len(arguments)) or "void"
        values = ",".join(f"{value & _MASK:#x}UL" for value in arguments)
        expression = f"((unsigned long(*)({types})){address:#x})({values})"
        problem = ""
        result = 0
        with time_limit(seconds) as alarm:
            try:
                result = int(gdb.parse_and_eval(expression)) & _MASK
            except (gdb.error, KeyboardInterrupt) as error:
                problem = str(error).partition("\n")[0] or "interrupted"
        if problem:
            self._look_for_end("signaled while in a function" in problem)
            _abandon()
        if self._end is not None:
            _crashed()  # selects the thread that the person wants to look at
            raise self._end
        if alarm.fired:
            self.drain()
        if problem:
            if alarm.fired:
                problem = f"a function called in the process did not return in {seconds:g} s"
            elif "signaled while in a function" in problem:
                problem = "a function called in the process crashed; gdb has undone the call"
            raise MemtraceError(problem, "let the process run for a moment, then try again")
        return result

    def _look_for_end(self, in_the_call: bool) -> None:
        """After a call that failed. `in_the_call`: the called function was at fault."""
        # A thread that runs, behind a call that is over, is on its way out with the process.
        seconds = _END_SECONDS if _selected_runs() else 0
        try:
            if not target.pid() or procfs.ends_within(self.images.pid, seconds):
                raise MemtraceError(
                    "the process ended while memtrace worked in it", "continue: gdb says how"
                )
            if not in_the_call:
                check_crash()
        except MemtraceError as error:
            self._end = error
            self._selection.keep = False
            note_stop()

    def call_int(self, address: int, *arguments: int) -> int:
        """call() of a function that returns an int."""
        result = self.call(address, *arguments) & 0xFFFFFFFF
        return result - (1 << 32) if result >> 31 else result

    def write(self, address: int, data: bytes) -> None:
        """Write into memory that was allocated by a call."""
        gdb.selected_inferior().write_memory(address, data)

    def libc(self, name: str) -> int:
        """The address of a function of the C library. Raises MemtraceError."""
        address = self.images.libc_symbol(name)
        if address is None:
            raise MemtraceError(f"the process's C library has no {name}()")
        return address

    def drain(self) -> None:
        """Take a SIGINT that is pending for the process: gdb passes an interrupt on as one, and
        when the wait was over by then, it would stop the next call, or `continue`."""
        if not procfs.has_signal(procfs.status(self.images.pid), "ShdPnd", _SIGINT):
            return
        with _discarded_interrupt():
            self.call(self.libc("getpid"))


def _selected_runs() -> bool:
    thread = gdb.selected_thread()
    return thread is not None and thread.is_valid() and thread.is_running()


@contextmanager
def _discarded_interrupt() -> Iterator[None]:
    text = gdb.execute("info signals SIGINT", to_string=True)
    words = re.findall(r"^SIGINT\s+(Yes|No)\s+(Yes|No)\s+(Yes|No)", text, re.MULTILINE)[0]
    gdb.execute("handle SIGINT nostop noprint nopass", to_string=True)
    try:
        yield
    finally:
        prefixes = ("" if word == "Yes" else "no" for word in words)
        # `stop` implies `print`, and `noprint` implies `nostop`: that one comes last.
        stop, show, give = prefixes
        gdb.execute(f"handle SIGINT {show}print {stop}stop {give}pass", to_string=True)


@contextmanager
def calls(images: Images, here: bool = False) -> Iterator[Calls]:
    """Enter the process: choose a safe thread (`here`: the selected one, which is known to be
    where calls are safe), and call functions from it."""
    with _occupied(), _settings(), kept_selection() as selection:
        candidate = None if here else _choose(images, _SAFE_THREAD_SECONDS)
        with _quiet_signals(), _disabled_breakpoints():
            entered = Calls(images, candidate, selection)
            entered.drain()
            with _same_errno(entered):
                yield entered


@contextmanager
def _same_errno(entered: Calls) -> Iterator[None]:
    """The thread may stand between a system call and its look at errno."""
    address = entered.call(entered.libc("__errno_location"))
    before = target.read(address, 4)
    try:
        yield
    finally:
        try:
            if target.read(address, 4) != before:
                entered.write(address, before)
        except (MemtraceError, gdb.error):
            pass  # the process has ended


def _abandon() -> None:
    """After a call that another thread's stop has ended: take its frame off the stack. (If the
    called function itself was stopped, unwindonsignal has done it.)"""
    for thread in gdb.selected_inferior().threads():
        if not thread.is_valid():
            continue
        thread.switch()
        try:
            frame: Optional[gdb.Frame] = gdb.newest_frame()
            for _ in range(_FRAMES_MAX):
                older = frame.older() if frame else None
                if frame is None or older is None:
                    break
                if older.type() == gdb.DUMMY_FRAME:
                    frame.select()
                    gdb.execute("return", to_string=True)
                    break
                frame = older
        except gdb.error:
            continue


def _crashed() -> "Optional[Tuple[gdb.InferiorThread, str]]":
    """A thread that has stopped by a signal of _CRASHES, and its name. Selects it, or leaves
    another thread selected."""
    for thread in gdb.selected_inferior().threads():
        if thread.is_valid() and not thread.is_running():
            thread.switch()
            name = _CRASHES.get(signal_number() or 0)
            if name is not None:
                return thread, name
    return None


def check_crash() -> None:
    """Raise MemtraceError if the program itself has crashed: its thread has stopped by SIGSEGV or
    the like. Leaves another thread selected."""
    crash = _crashed()
    if crash is not None:
        thread, name = crash
        raise MemtraceError(
            f"the process received {name} in thread {thread.num} (LWP {thread.ptid[1]}) while "
            "memtrace worked in it",
            f"thread {thread.num}, bt: where it went wrong\ncontinue: it gets its signal",
        )


# ---- letting it run ------------------------------------------------------------------------------


class Run(Enum):
    """How a run ended."""

    ARRIVED = "arrived"  # at the address
    TIME_OVER = "time over"
    STOPPED = "stopped"  # for a reason of the program's or the person's; gdb has shown it


class _Arrival(gdb.Breakpoint):
    """At an address, seen by nobody."""

    def __init__(self, address: int) -> None:
        super().__init__(f"*{address:#x}", internal=True)
        self.silent = True
        self.arrived = False

    def stop(self) -> bool:
        self.arrived = True
        return True


def run(seconds: float, address: Optional[int] = None) -> Run:
    """Let the process run, at most `seconds`, or until a thread arrives at `address`. Breakpoints
    and signals of the person's stop it as ever, and are shown."""
    _unsaid.clear()
    with _occupied(), _settings(), kept_selection() as selection:
        arrival = _Arrival(address) if address else None
        with _last_event() as events:
            try:
                with time_limit(seconds) as alarm, _muted():
                    try:
                        gdb.execute("continue")
                    except KeyboardInterrupt:
                        pass
            finally:
                if arrival is not None and arrival.is_valid():
                    arrival.delete()
        event = events[-1] if events else None
        result = Run.STOPPED
        if arrival is not None and arrival.arrived:
            result = Run.ARRIVED
        elif alarm.fired and getattr(event, "stop_signal", "") == "SIGINT":
            result = Run.TIME_OVER
        else:
            selection.keep = False
    if result == Run.STOPPED:
        note_stop()
        _show_stop(event)
    elif result == Run.ARRIVED and alarm.fired:
        with calls(Images(target.pid(), target.read)):
            pass  # takes the interrupt that came too late
    return result


@contextmanager
def _muted() -> Iterator[None]:
    """gdb tells of a signal, of the thread that got it, and of a source file that it can't find
    past to_string=True: send what it writes to /dev/null for that time."""
    streams = ((gdb.STDOUT, 1), (gdb.STDERR, 2))
    saved = []
    null = os.open(os.devnull, os.O_WRONLY)
    for stream, descriptor in streams:
        gdb.flush(stream)
        saved.append(os.dup(descriptor))
        os.dup2(null, descriptor)
    os.close(null)
    try:
        yield
    finally:
        for (stream, descriptor), original in zip(streams, saved):
            gdb.flush(stream)
            os.dup2(original, descriptor)
            os.close(original)


@contextmanager
def _last_event() -> Iterator[List[object]]:
    """Collect what stops or ends the process."""
    events: List[object] = []
    gdb.events.stop.connect(events.append)
    gdb.events.exited.connect(events.append)
    try:
        yield events
    finally:
        gdb.events.stop.disconnect(events.append)
        gdb.events.exited.disconnect(events.append)


# What stops had to say that came while memtrace let the process run.
_unsaid: List[str] = []


def say_at_stop(words: str) -> None:
    """For gdb.events.stop: print what there is to say of the stop. What gdb prints while memtrace
    lets the process run is muted: then it is said after that."""
    if is_busy():
        _unsaid.append(words)
    else:
        gdb.write(words)


def _show_stop(event: object) -> None:
    """Say what gdb would have said."""
    if _unsaid:
        gdb.write("".join(_unsaid))
        return
    if isinstance(event, gdb.ExitedEvent):
        code = getattr(event, "exit_code", None)
        how = "" if code is None else f" with code {code}"
        gdb.write(f"[Inferior {event.inferior.num} exited{how}]\n")
        return
    if isinstance(event, gdb.SignalEvent):
        gdb.write(f"\nProgram received signal {event.stop_signal}.\n")
    elif isinstance(event, gdb.BreakpointEvent):
        # A temporary one is gone by now.
        numbers = ", ".join(str(b.number) for b in event.breakpoints if b.is_valid())
        gdb.write(f"\nBreakpoint {numbers}\n")
    gdb.execute("frame")


# ---- what the person is looking at -------------------------------------------------------------

_SIGSTOP = 19

# The last stop that was not ours: process, and whether the person wants it to stay there.
_last_stop: Tuple[int, bool] = (0, False)


def note_stop() -> None:
    """For gdb.events.stop: the process stopped for a reason of its own or the person's."""
    global _last_stop
    _last_stop = (target.pid(), _stopped_on_purpose())


def may_run() -> bool:
    """May the process be let run for a moment? Not from where the person has stopped it: at a
    breakpoint, after a step, at a signal. After attach and ^C nobody minds."""
    pid, on_purpose = _last_stop
    if pid != target.pid():  # stopped before the plugin was there
        return not _stopped_on_purpose()
    return not on_purpose


def signal_number() -> Optional[int]:
    """The signal that stopped the selected thread, as the kernel tells it: SIGTRAP for
    breakpoints and steps, SIGSTOP for attach. None: the kernel tells nothing. (gdb 13's `info
    program` would say more, but crashes when the thread that stopped last has ended.)"""
    try:
        return int(gdb.parse_and_eval("$_siginfo.si_signo"))
    except gdb.error:
        return None


def _stopped_on_purpose() -> bool:
    return signal_number() not in (None, _SIGINT, _SIGSTOP)
