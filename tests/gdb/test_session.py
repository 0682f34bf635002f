"""The verbs of session.py and targets.py, on a gdb without memtrace: when these fail, no other
test of this directory means anything."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from session import GdbFailure, GdbSession, run_batch
from targets import Target, TargetFailure, python_program


def process_exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_command_returns_what_gdb_printed() -> None:
    with GdbSession(plugin=None) as gdb:
        assert gdb.command("print 6 * 7") == "$1 = 42\n"
        assert gdb.command("echo ü → …\\n") == "ü → …\n"
        assert gdb.command("echo") == ""
        assert "42" in gdb.transcript()
        assert gdb.quit() == 0


def test_python_gives_the_value_whatever_is_printed_beside_it() -> None:
    with GdbSession(plugin=None) as gdb:
        assert gdb.python("(gdb.write('beside\\n'), 42)[1]") == "42"
        assert "beside" in gdb.transcript()


def test_a_prompt_that_does_not_come_fails_with_the_conversation() -> None:
    with pytest.raises(GdbFailure, match=r"(?s)no .* within.*\(gdb\) print 1\n\$1 = 1"):
        with GdbSession(plugin=None) as gdb:
            gdb.command("print 1")
            gdb.expect("never printed", timeout=0.2)
    assert (gdb.workdir / "transcript.txt").read_text().count("$1 = 1") == 1


def test_work_directory_goes_when_all_went_well() -> None:
    with GdbSession(plugin=None) as gdb:
        assert gdb.workdir.is_dir()
    assert not gdb.workdir.exists()


def test_end_of_gdb_is_reported_at_once() -> None:
    with pytest.raises(GdbFailure, match=r"gdb ended \(status 3\)"):
        with GdbSession(plugin=None) as gdb:
            gdb.command("quit 3")


def test_interrupt_stops_a_launched_process() -> None:
    script = "while True: pass"
    with GdbSession("--args", python_program(), "-c", script, plugin=None) as gdb:
        gdb.command("starti")
        pid = gdb.inferior_pid
        gdb.resume()
        assert "SIGINT" in gdb.interrupt()
        assert process_exists(pid)
    assert not process_exists(pid)


def test_interrupt_stops_an_attached_process_that_goes_on_afterwards() -> None:
    with Target("computes.py", "1000") as target:
        with GdbSession("-p", str(target.pid), plugin=None) as gdb:
            for _ in range(3):
                gdb.resume()
                assert "SIGINT" in gdb.interrupt()
            gdb.command("detach")
        assert target.finish() == "500500"


def test_leaving_a_session_lets_an_attached_process_go() -> None:
    with Target("waits.py") as target:
        with GdbSession("-p", str(target.pid), plugin=None) as gdb:
            gdb.resume()
        assert target.finish() == "1"


def test_a_killed_gdb_is_noticed() -> None:
    with GdbSession(plugin=None) as gdb:
        gdb.kill()
        assert not process_exists(gdb.pid)


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSTARTUP", "/nonexistent")
    monkeypatch.setenv("LC_ALL", "C")
    with GdbSession(plugin=None) as gdb:
        names = gdb.python("sorted(__import__('os').environ)")
        assert "PYTHONSTARTUP" not in names
        assert gdb.command("show environment LC_ALL") == "LC_ALL = C.UTF-8\n"


def test_batch_keeps_stdout_and_stderr_apart() -> None:
    result = run_batch(commands=["print 1", "error_of_mine", "print 2"], plugin=None)
    assert result.lines[0] == "$1 = 1"
    assert "error_of_mine" in result.stderr
    assert "error_of_mine" not in result.stdout
    with pytest.raises(GdbFailure, match="(?s)stdout.*stderr.*no_such_command"):
        run_batch(commands=["no_such_command", "quit 1"], plugin=None).check()


def test_batch_that_does_not_end_is_killed() -> None:
    with pytest.raises(GdbFailure, match="(?s)did not end within.*begun"):
        run_batch(commands=["echo begun\\n", "shell sleep 600"], plugin=None, timeout=1)


def test_target_that_ends_early_is_reported() -> None:
    with pytest.raises(TargetFailure, match="(?s)ended before it was ready.*SyntaxError"):
        with Target("-c", python=[python_program(), "-c", "print("]):
            pass


def test_target_that_nobody_ended_must_not_end() -> None:
    with pytest.raises(TargetFailure, match="nobody asked"):
        with Target("waits.py") as target:
            os.kill(target.pid, signal.SIGTERM)
            os.waitid(os.P_PID, target.pid, os.WEXITED | os.WNOWAIT)


def test_target_is_killed_when_the_test_leaves() -> None:
    with Target("waits.py") as target:
        pass
    assert not process_exists(target.pid)


def test_target_result_and_status_are_checked() -> None:
    with Target("computes.py", "10") as target:
        assert re.fullmatch("55", target.finish())
    with Target("computes.py", "10") as target:
        with pytest.raises(TargetFailure, match="exit status is not 7"):
            target.finish(returncode=7)
