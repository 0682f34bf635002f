"""`memtrace on` in a process that gdb attaches to, in every state that it may be in: it is
bounded, and the process goes on as if nobody had been there.

MEMTRACE_ATTACH_ROUNDS: how often each state is entered (default 3; CI uses 50)."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pytest
from processes import (
    POLL,
    READ,
    assert_free,
    changed_text,
    status,
    thread_count,
    thread_in_call,
)
from session import GdbSession, build_directory, run_batch, slowness
from targets import Target, interpreter

ROUNDS = int(os.environ.get("MEMTRACE_ATTACH_ROUNDS", "3"))
ARMED = "memtrace: armed: waits for Python's global lock (GIL)"
STATES = ("sleep", "bytecode", "accept", "select", "join", "lock", "native", "allocator")


def attach(gdb: GdbSession, pid: int) -> float:
    """Returns the seconds that it took."""
    begin = time.monotonic()
    gdb.command(f"attach {pid}")
    seconds = time.monotonic() - begin
    assert gdb.inferior_pid == pid, gdb.transcript()
    return seconds


def enter(gdb: GdbSession, pid: int) -> float:
    """Attach, on, off, detach. Returns the seconds that `memtrace on` took."""
    attach(gdb, pid)
    begin = time.monotonic()
    said = gdb.command("memtrace on")
    seconds = time.monotonic() - begin
    begun = f"memtrace: recording CPython {interpreter().release}, process {pid}, "
    assert said.startswith(begun), said
    said = gdb.command("memtrace off")
    assert said.startswith("memtrace: off, "), said
    gdb.command("detach")
    return seconds


@pytest.mark.parametrize("state", STATES)
def test_attach_leaves_the_process_as_it_was(state: str) -> None:
    with Target("attach_states.py", state) as target, GdbSession() as gdb:
        threads = thread_count(target.pid)
        for _ in range(ROUNDS):
            assert enter(gdb, target.pid) < 5 * slowness()
            assert_free(target.pid, threads)
        assert changed_text(target.pid) == []
        assert target.finish() == "right"


def patience(gdb: GdbSession, seconds: float) -> None:
    """How long `memtrace on` and `memtrace off` let the process run from now on."""
    gdb.command(f"python import memtrace.session; memtrace.session.WAIT_SECONDS = {seconds}")


class Gate:
    """A pipe. While it is closed (empty), a target in the state "held" stays in a call that
    holds the GIL; while it is open, the target does such calls one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = str(path / "gate")
        os.mkfifo(self.path)
        self._pipe = os.open(self.path, os.O_RDWR)

    def open(self) -> None:
        os.write(self._pipe, b"x")

    def close(self, pid: int) -> None:
        """Returns once the target is in the call (if it runs)."""
        os.read(self._pipe, 1)
        thread_in_call(pid, POLL)


def test_a_long_call_that_holds_the_gil_is_armed_then_installed(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with Target("attach_states.py", "held", gate.path) as target, GdbSession() as gdb:
        thread_in_call(target.pid, POLL)
        for _ in range(ROUNDS):
            attach(gdb, target.pid)
            patience(gdb, 0.02)
            said = gdb.command("memtrace on")
            assert said.startswith(f"{ARMED}, held by thread 1 (LWP {target.pid})"), said
            gate.open()
            patience(gdb, 60)
            assert "memtrace: recording" in gdb.command("memtrace on"), gdb.transcript()
            assert "memtrace: off" in gdb.command("memtrace off"), gdb.transcript()
            gdb.command("detach")
            assert_free(target.pid, 1)
            gate.close(target.pid)
        assert changed_text(target.pid) == []
        gate.open()
        assert target.finish() == "right"


def test_computing_that_holds_the_gil_is_armed_at_most() -> None:
    with Target("attach_states.py", "gil") as target, GdbSession() as gdb:
        for _ in range(ROUNDS):
            attach(gdb, target.pid)
            patience(gdb, 0.02)
            said = gdb.command("memtrace on")
            assert said.startswith(ARMED) or "memtrace: recording" in said, gdb.transcript()
            patience(gdb, 60)
            assert "memtrace: recording" in gdb.command("memtrace on"), gdb.transcript()
            assert "memtrace: off" in gdb.command("memtrace off")
            gdb.command("detach")
            assert_free(target.pid, 1)
        assert changed_text(target.pid) == []
        assert target.finish() == "right"


def test_the_outcome_of_an_armed_request_is_told_at_the_next_stop(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with Target("attach_states.py", "held", gate.path) as target:
        thread_in_call(target.pid, POLL)
        with GdbSession("-p", str(target.pid)) as gdb:
            patience(gdb, 0.02)
            said = gdb.command("memtrace on")
            assert said.startswith(ARMED), said
            gate.open()
            deadline = time.monotonic() + 60 * slowness()
            while "memtrace: recording" not in said:
                assert time.monotonic() < deadline, gdb.transcript()
                gdb.resume()
                said = gdb.interrupt()
            patience(gdb, 60)
            assert "memtrace: off" in gdb.command("memtrace off"), gdb.transcript()
            gdb.command("detach")
        assert target.finish() == "right"


def test_an_idle_process_is_entered_in_a_third_of_a_second() -> None:
    """On a machine on which it takes gdb no longer than 0.6 s to attach; else in half of that."""
    with Target("attach_states.py", "sleep") as target, GdbSession() as gdb:
        attaching, entering = [], []
        for _ in range(5):
            attaching.append(attach(gdb, target.pid))
            gdb.command("detach")
            entering.append(enter(gdb, target.pid))
        bound = max(0.3 * slowness(), statistics.median(attaching) / 2)
        assert statistics.median(entering) < bound, (attaching, entering)


def test_detach_leaves_it_recording_and_a_second_gdb_reads_the_same_events() -> None:
    with Target("ticks.py") as target:
        first = run_batch(
            "-p", str(target.pid), commands=["memtrace on", "memtrace log --json"]
        ).check()
        assert "memtrace: recording" in first.stdout
        with GdbSession("-p", str(target.pid)) as gdb:
            deadline = time.monotonic() + 60 * slowness()
            while "[tick:" not in gdb.command("memtrace log --func tick --last 2"):
                assert time.monotonic() < deadline, gdb.transcript()
                gdb.command("detach")
                attach(gdb, target.pid)
            gdb.command("detach")
            gdb.command(f"attach {target.pid}")
            assert "memtrace: off" in gdb.command("memtrace off")
            kept = gdb.command("memtrace log --json --last 1000")
        with GdbSession("-p", str(target.pid)) as gdb:
            assert gdb.command("memtrace log --json --last 1000") == kept
        assert target.finish() == "equal"


def test_frames_that_already_run_are_covered_from_their_next_store_on() -> None:
    with Target("attach_states.py", "bytecode") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            assert "recording" in gdb.command("memtrace on")
            deadline = time.monotonic() + 30 * slowness()
            while "[spin:" not in gdb.command("memtrace log --var total --last 3"):
                assert time.monotonic() < deadline, gdb.transcript()
                gdb.resume()
                gdb.interrupt()
            gdb.command("memtrace off")
        assert target.finish() == "right"


def select_thread(gdb: GdbSession, tid: int) -> None:
    """By its kernel id: gdb 13 numbers threads in another order than 16 does."""
    numbers = "{t.ptid[1]: t.num for t in gdb.selected_inferior().threads()}"
    gdb.command(f"thread {gdb.python(f'{numbers}[{tid}]')}")


def test_gdb_is_as_it_was() -> None:
    """Settings, signals, breakpoints, thread and frame."""
    look = (
        "show scheduler-locking",
        "show unwindonsignal",
        "show language",
        "show confirm",
        "show print thread-events",
        "info signals",
        "info breakpoints",
        "frame",
        "python print(gdb.selected_thread().ptid)",
    )
    with Target("attach_states.py", "accept") as target:
        # One that stays where it stands, and is not the first.
        reading = thread_in_call(target.pid, READ)
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("set scheduler-locking step")
            gdb.command("handle SIGUSR1 stop print nopass")
            gdb.command("break abort")
            select_thread(gdb, reading)
            gdb.command("frame 1")
            before = [gdb.command(text) for text in look]
            assert "recording" in gdb.command("memtrace on")
            assert [gdb.command(text) for text in look] == before
            gdb.command("memtrace off")
            assert [gdb.command(text) for text in look] == before
            gdb.command("set scheduler-locking off")
        assert target.finish() == "right"


def test_a_process_that_stands_at_a_breakpoint_is_not_moved() -> None:
    with Target("attach_states.py", "bytecode") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("tbreak select")
            gdb.send("continue")
            gdb.expect("Temporary breakpoint 1")
            gdb.expect_prompt()
            place = gdb.command("python print(gdb.selected_frame().pc())")
            said = gdb.command("memtrace on")
            assert "memtrace: armed" in said or "memtrace: recording" in said
            assert gdb.command("python print(gdb.selected_frame().pc())") == place
        assert target.finish() == "right"


KEEP_ERRNO = """
#include <errno.h>
int keep_errno(long rounds)
{
    int changed = 0;

    errno = 12345;
    for (volatile long i = 0; i < rounds; i++)
        changed += errno != 12345 ? (errno = 12345, 1) : 0;
    return changed;
}
"""


def test_the_thread_that_was_used_keeps_its_errno(tmp_path: Path) -> None:
    source, library = tmp_path / "keep.c", tmp_path / "keep.so"
    source.write_text(KEEP_ERRNO)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    # A helper that needs what is not there: the loader leaves ENOENT behind.
    helpers = build_directory() / "lib"
    (tmp_path / "libmemtrace-reader.so").symlink_to(helpers / "libmemtrace-reader.so")
    name = interpreter().helper
    helper = (helpers / name).read_bytes().replace(b"\0libc.so.6\0", b"\0libX.so.6\0")
    (tmp_path / name).write_bytes(helper)
    environment = {"MEMTRACE_LIB": str(tmp_path)}
    with Target("keeps_errno.py", str(library)) as target:
        with GdbSession(environment=environment) as gdb:
            for _ in range(ROUNDS):
                attach(gdb, target.pid)
                assert "can't load the helper: libX.so.6" in gdb.command("memtrace on")
                gdb.command("detach")
        assert target.finish() == "0"


def test_signals_of_the_programs_own_are_neither_lost_nor_in_the_way() -> None:
    with Target("signals.py") as target, GdbSession() as gdb:
        gdb.command("handle SIGUSR1 nostop noprint pass")
        for _ in range(ROUNDS):
            enter(gdb, target.pid)
            assert_free(target.pid, 1)
        # Where the person wants to see them, the wait for the outcome ends with one.
        gdb.command("handle SIGUSR1 stop print pass")
        attach(gdb, target.pid)
        said = gdb.command("memtrace on")
        assert "SIGUSR1" in said or "memtrace: recording" in said, said
        gdb.command("handle SIGUSR1 nostop noprint pass")
        gdb.resume()
        gdb.interrupt()
        assert "memtrace: recording" in gdb.command("memtrace on")
        assert "memtrace: off" in gdb.command("memtrace off")
        gdb.command("detach")
        assert target.finish() == "right"


def test_a_trap_instruction_that_is_left_would_be_seen() -> None:
    with Target("computes.py", "1000") as target:
        with GdbSession("-p", str(target.pid), plugin=None) as gdb:
            gdb.command("set breakpoint always-inserted on")
            gdb.command("break abort")
            places = [place for place in changed_text(target.pid) if "/libc" in place]
            assert len(places) == 1 and places[0].endswith(": 0xcc")
            gdb.command("delete")
            gdb.command("detach")
        assert changed_text(target.pid) == []
        assert target.finish() == "500500"


def test_an_interrupt_that_came_too_late_is_taken_back() -> None:
    """The time limit's SIGINT, when the process has stopped for what was waited for."""
    with Target("attach_states.py", "sleep") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            os.kill(target.pid, signal.SIGINT)
            assert int(status(target.pid)["ShdPnd"], 16) == 1 << signal.SIGINT - 1
            handling = gdb.command("info signals SIGINT")
            assert "memtrace: recording" in gdb.command("memtrace on")
            assert gdb.command("info signals SIGINT") == handling
            assert int(status(target.pid)["ShdPnd"], 16) == 0
        assert target.finish() == "right"


GOES_WRONG = """
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

static volatile int in_the_middle;

/* Instead of the C library's, by which the helper makes its buffer when gdb calls it: does not
 * return, so that the program goes wrong before memtrace is through, however slow its thread is. */
int memfd_create(const char *name, unsigned int flags)
{
    in_the_middle = 1;
    for (;;)
        pause();
}

/* The program's own work, as far as it matters here: it goes wrong at a bad moment. */
void go_wrong(int crash)
{
    while (!in_the_middle)
        ; /* no system call: memtrace would as soon enter this thread */
    if (crash)
        *(volatile int *)16 = 0;
    _exit(3);
}
"""


@pytest.fixture
def library_that_goes_wrong(tmp_path: Path) -> str:
    source, library = tmp_path / "wrong.c", tmp_path / "wrong.so"
    source.write_text(GOES_WRONG)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


def going_wrong(library: str, how: str) -> Target:
    return Target("crashes.py", library, how, environment={"LD_PRELOAD": library})


def test_a_crash_in_the_middle_is_called_a_crash(library_that_goes_wrong: str) -> None:
    with going_wrong(library_that_goes_wrong, "crash") as target:
        thread_in_call(target.pid, READ)  # where memtrace finds it safe to enter
        with GdbSession("-p", str(target.pid)) as gdb:
            said = gdb.command("memtrace on")
            refusal = r"^memtrace: the process received SIGSEGV in thread \d+ \(LWP \d+\)"
            assert re.search(refusal, said, re.M), said
            assert "try again" not in said
            # The thread stands where it crashed; the process ends by its own signal.
            assert " go_wrong ()" in gdb.command("bt 1")
            assert "terminated with signal SIGSEGV" in gdb.command("continue")
        target.wait(returncode=-signal.SIGSEGV)


def test_an_end_in_the_middle_is_called_an_end(library_that_goes_wrong: str) -> None:
    with going_wrong(library_that_goes_wrong, "end") as target:
        thread_in_call(target.pid, READ)
        with GdbSession("-p", str(target.pid)) as gdb:
            said = gdb.command("memtrace on")
            assert re.search(r"^memtrace: the process (has )?ended", said, re.M), said
            assert "Python Exception" not in said, said
            # gdb may still be telling of threads that have ended.
            assert gdb.command("print 6 * 7").endswith("$1 = 42\n")
        target.wait(returncode=3)
