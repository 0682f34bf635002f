"""`memtrace on` before `run`: recorded from the program's first line, without a stop that
anybody sees."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from session import TARGETS, BatchResult, GdbSession, build_directory
from targets import Target, interpreter, launch_batch, python_program

EXITS = [
    "[<module>:6] NEW work = ",
    "[work:7] NEW a = 10",
    "[work:8] NEW b = 20",
    "[work:9] DELETED a (was 10)",
    "[<module>:13] NEW result = 20",
]


def assert_events_of_exits(log: str) -> None:
    lines = [line for line in log.splitlines() if line.startswith("[") and "Inferior" not in line]
    events = [line for line in lines if "NEW sys" not in line and "__doc__" not in line]
    assert [line for line in events if "work = " not in line] == EXITS[1:], log
    assert any(line.startswith(EXITS[0]) for line in events), log


def test_a_script_is_recorded_from_its_first_line_and_answers_after_its_end() -> None:
    result = launch_batch(
        TARGETS / "exits.py",
        commands=["memtrace on", "run", "memtrace log", "memtrace last b"],
    ).check()
    assert "memtrace: will start when the process runs Python\n" in result.stdout
    assert re.search(
        rf"memtrace: recording CPython {re.escape(interpreter().release)}, process \d+, 1 thread, "
        r"user code, 64 MiB\n",
        result.stdout,
    )
    ended = result.stdout.index("exited with code 07")
    assert_events_of_exits(result.stdout[ended:].split("\n", 1)[1].split("Event")[0])
    assert "NEW b = 20" in result.stdout[ended:]


def test_nobody_sees_a_stop() -> None:
    with GdbSession("--args", python_program(), str(TARGETS / "exits.py")) as gdb:
        gdb.command("memtrace on")
        said = gdb.command("run")
        assert "Py_RunMain" not in said and "reakpoint" not in said, said
        assert "exited with code 07" in said
        assert gdb.command("info breakpoints").startswith("No breakpoints")


def test_run_again_records_again() -> None:
    with GdbSession("--args", python_program(), str(TARGETS / "exits.py")) as gdb:
        gdb.command("memtrace on")
        for _ in range(2):
            assert "memtrace: recording" in gdb.command("run")
            assert_events_of_exits(gdb.command("memtrace log"))


def test_exec_of_python_is_followed() -> None:
    with GdbSession("--args", python_program(), str(TARGETS / "execs.py")) as gdb:
        gdb.command("memtrace on")
        assert gdb.command("run").count("memtrace: recording") == 2
        assert_events_of_exits(gdb.command("memtrace log"))


def test_exec_of_python_is_followed_where_gdb_was_attached() -> None:
    with Target("execs.py") as target, GdbSession("-p", str(target.pid)) as gdb:
        assert "memtrace: recording" in gdb.command("memtrace on")
        target.ask_to_finish()
        assert gdb.command("continue").count("memtrace: recording") == 1
        assert_events_of_exits(gdb.command("memtrace log"))
        target.wait(returncode=7)


def test_run_after_attach_records_from_the_first_line() -> None:
    with Target("waits.py") as target, GdbSession("-p", str(target.pid)) as gdb:
        assert "memtrace: recording" in gdb.command("memtrace on")
        gdb.command("kill")
        target.wait(returncode=-signal.SIGKILL)
        gdb.command(f"set args {TARGETS / 'exits.py'}")
        assert gdb.command("run").count("memtrace: recording") == 1
        assert_events_of_exits(gdb.command("memtrace log"))


def test_python_behind_a_shell_is_found() -> None:
    line = f"exec {python_program()} {TARGETS / 'exits.py'}"
    with GdbSession("--args", "/bin/sh", "-c", line) as gdb:
        gdb.command("memtrace on")
        assert "memtrace: recording" in gdb.command("run")
        assert_events_of_exits(gdb.command("memtrace log"))


def test_a_virtual_environment_is_entered(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([python_program(), "-m", "venv", "--without-pip", venv], check=True)
    with GdbSession("--args", str(venv / "bin" / "python"), str(TARGETS / "exits.py")) as gdb:
        gdb.command("memtrace on")
        assert "memtrace: recording" in gdb.command("run")
        assert_events_of_exits(gdb.command("memtrace log"))


def test_a_process_that_has_not_begun_python_waits_for_it() -> None:
    with GdbSession("--args", python_program(), str(TARGETS / "exits.py")) as gdb:
        gdb.command("starti")
        assert gdb.command("memtrace on") == "memtrace: will start when the process runs Python\n"
        assert "memtrace: recording" in gdb.command("continue")
        assert_events_of_exits(gdb.command("memtrace log"))


def test_a_breakpoint_of_the_persons_at_the_same_place_stops() -> None:
    with GdbSession("--args", python_program(), str(TARGETS / "exits.py")) as gdb:
        gdb.command("memtrace on")
        gdb.command("set breakpoint pending on")  # it may be in a shared libpython
        gdb.command("break Py_RunMain")
        said = gdb.command("run")
        assert "Breakpoint 1" in said and "memtrace: recording" in said, said
        assert gdb.inferior_pid
        assert "exited with code 07" in gdb.command("continue")
        assert_events_of_exits(gdb.command("memtrace log"))


def test_what_was_recorded_outlives_sigkill() -> None:
    script = "import os, signal; a = 1; b = 2; os.kill(os.getpid(), signal.SIGKILL)"
    result = launch_batch(
        "-c",
        script,
        commands=["memtrace on", "run", "memtrace log --last 2"],
    ).check()
    assert "Program terminated with signal SIGKILL" in result.stdout
    assert result.stdout.endswith("[<module>:1] NEW a = 1\n[<module>:1] NEW b = 2\n")


def test_off_before_run_records_nothing() -> None:
    result = launch_batch(
        TARGETS / "exits.py",
        commands=["memtrace on", "memtrace off", "run", "memtrace log"],
    )
    assert "memtrace: recording" not in result.stdout
    assert "memtrace is not on" in result.stderr
    assert result.returncode != 0


def build_library(name: str) -> Path:
    return build_directory() / "lib" / name


def launch_with_helper(directory: Path, helper: bytes) -> BatchResult:
    """A launch with this file as the helper."""
    (directory / "libmemtrace-reader.so").symlink_to(build_library("libmemtrace-reader.so"))
    (directory / interpreter().helper).write_bytes(helper)
    return launch_batch(
        "-c",
        "print('the program ran')",
        commands=["memtrace on", "run", "echo done\\n"],
        environment={"MEMTRACE_LIB": str(directory)},
    )


def test_a_start_that_fails_lets_the_program_run_and_fails_the_batch(tmp_path: Path) -> None:
    needs_what_is_not_there = (
        build_library(interpreter().helper).read_bytes().replace(b"\0libc.so.6\0", b"\0libX.so.6\0")
    )
    result = launch_with_helper(tmp_path, needs_what_is_not_there)
    assert "the program ran" in result.stdout and "done" in result.stdout
    assert "memtrace: the process can't load the helper: libX.so.6: cannot open" in result.stderr
    assert result.returncode == 1


def test_a_helper_that_ends_early_is_not_given_to_the_loader(tmp_path: Path) -> None:
    helper = build_library(interpreter().helper).read_bytes()
    result = launch_with_helper(tmp_path, helper[:5000])
    assert "the program ran" in result.stdout
    assert "is damaged: it ends early" in result.stderr
    assert result.returncode == 1


def test_a_helper_of_another_abi_is_refused(tmp_path: Path) -> None:
    helper = build_library(interpreter().helper).read_bytes()
    other = helper.replace(b"memtrace ABI 1 ", b"memtrace ABI 9 ")
    result = launch_with_helper(tmp_path, other)
    assert "the program ran" in result.stdout
    assert "is 'memtrace ABI 9 " in result.stderr
    assert result.returncode == 1
