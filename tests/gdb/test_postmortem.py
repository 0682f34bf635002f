"""What a recording answers when the process is gone: killed, exited, left to itself by the
first gdb, or a core file, written by gcore or by the kernel."""

from __future__ import annotations

import os
import re
import resource
import shutil
from pathlib import Path
from typing import Iterator

import pytest
from session import GdbSession, events_of, run_batch
from targets import BANK, Target, launch_batch, python_program

LAST_BALANCE = "MODIFIED balance: -20 → -80"


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("", "exited normally"),
        ("leave", "exited with code 03"),
        ("kill", "terminated with signal SIGKILL"),
        ("abort", "received signal SIGABRT"),
    ],
)
def test_recording_outlives_the_process(how: str, end: str) -> None:
    result = launch_batch(
        BANK,
        how,
        commands=["memtrace on", "run", "kill", "memtrace last transfer:balance", "info memtrace"],
    )
    assert end in result.stdout
    assert LAST_BALANCE in result.stdout
    assert re.search(r"^State: +the process has ended$", result.stdout, re.M)


def test_recording_of_a_process_killed_from_outside() -> None:
    with Target("ticks.py") as target:
        with GdbSession("-p", str(target.pid)) as gdb:
            gdb.command("memtrace on --live")
            gdb.resume()
            gdb.expect(r"^\[tick:\d+\] MODIFIED count: \d+ → \d+$")
            target.kill()
            gdb.expect("terminated with signal SIGKILL")
            gdb.expect_prompt()
            assert "] MODIFIED count: " in gdb.command("memtrace last tick:count")


def test_a_second_gdb_finds_what_the_first_has_left() -> None:
    with Target("ticks.py") as target:
        pid = str(target.pid)
        first = run_batch(
            "-p",
            pid,
            commands=[
                "memtrace on",
                "memtrace tbreak worker:total",
                "continue",
                "echo LOG\\n",
                "memtrace log --json",
                "detach",
            ],
        ).check()
        second = run_batch(
            "-p",
            pid,
            commands=["info memtrace", "echo LOG\\n", "memtrace log --json", "memtrace off"],
        ).check()
        logged = [r.stdout.partition("LOG\n")[2].splitlines() for r in (first, second)]
        old, new = ([line for line in lines if line.startswith("{")] for lines in logged)
        assert old and len(new) > len(old)
        assert new[: len(old)] == old
        assert re.search(r"^State: +recording$", second.stdout, re.M)
        assert target.finish() == "equal"


# ---- cores -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["gcore", "kernel"])
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A core of bank.py or ticks.py, recorded."""
    directory = tmp_path_factory.mktemp(f"core-{request.param}")
    if request.param == "gcore":
        path = directory / "core"
        launch_batch(
            BANK,
            commands=[
                "memtrace break fill:names['key'] if new == 2",
                "memtrace on",
                "run",
                f"gcore {path}",
            ],
        ).check()
    else:
        path = kernel_core(directory)
    yield str(path)
    shutil.rmtree(directory)


def kernel_core(directory: Path) -> Path:
    """Have the kernel write one: recording goes on after gdb has let go, then SIGABRT."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip(f"the kernel writes cores elsewhere: core_pattern is {pattern!r}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("the hard limit on cores is 0 (ulimit -H -c)")
    command = ["sh", "-c", f'cd {directory} && ulimit -c unlimited && exec "$@"', "sh"]
    with Target("ticks.py", python=[*command, python_program()]) as target:
        run_batch(
            "-p",
            str(target.pid),
            commands=[
                "memtrace on",
                "memtrace break tick:count",
                *["continue"] * 3,  # three events at least
                "delete",
                "detach",
            ],
        ).check()
        target.kill(6)
        found = list(directory.glob("core*"))
        assert len(found) == 1, f"{found} in {directory}, core_pattern {pattern}"
        return found[0]


def test_core_answers_without_a_process(core: str) -> None:
    result = run_batch(
        python_program(),
        core,
        commands=["info memtrace", "memtrace log --last 3", "memtrace history *.balance"]
        if "gcore" in core
        else ["info memtrace", "memtrace log --last 3", "memtrace last count"],
    ).check()
    assert re.search(r"^State: +read from a core file$", result.stdout, re.M)
    assert len(events_of(result.stdout)) >= 3


def test_core_shows_last_and_at(core: str) -> None:
    with GdbSession(python_program(), core) as gdb:
        name = "flags[2]" if "gcore" in core else "tick:count"
        last = gdb.command(f"memtrace last {name}")
        seq = re.match(r"Event (\d+), ", last)
        assert seq
        then = gdb.command(f"memtrace at {seq.group(1)}").splitlines()
        assert f"as of event {seq.group(1)}:" in then[0]
        variable = "  index = 2 " if "gcore" in core else "  count = "
        assert any(line.startswith(variable) for line in then)


def test_core_shows_python_stack_and_variables(core: str) -> None:
    with GdbSession(python_program(), core) as gdb:
        frames = gdb.command("memtrace bt --all")
        if "gcore" in core:
            assert re.search(r"^#0  fill \(bank.py:\d+\)\n#1  main \(bank.py:\d+\)$", frames, re.M)
            assert "names = {'key': 2}\n" in gdb.command("memtrace locals")
            assert gdb.command("memtrace print names['key'] + index") == "4\n"
        else:
            assert re.search(r"^#\d+ +worker \(ticks.py:\d+\)$", frames, re.M)
            assert re.search(r"^#\d+ +<module> \(ticks.py:\d+\)$", frames, re.M)


def test_core_can_be_loaded_without_its_program(core: str) -> None:
    result = run_batch(commands=[f"memtrace load {core}", "memtrace log --last 2"]).check()
    assert len(events_of(result.stdout)) == 2


def test_core_can_t_be_recorded(core: str) -> None:
    result = run_batch(python_program(), core, commands=["memtrace on"])
    assert result.returncode != 0
    assert "a core file can't be recorded" in result.stderr


def test_core_without_our_data_is_refused(tmp_path: Path) -> None:
    core = tmp_path / "core"
    with Target("waits.py") as target:
        run_batch("-p", str(target.pid), commands=[f"gcore {core}"], plugin=None).check()
        assert target.finish() == "1"
    for arguments, command in (
        ((python_program(), str(core)), "memtrace log"),
        ((), f"memtrace load {core}"),
    ):
        result = run_batch(*arguments, commands=[command, "echo alive\\n"])
        assert result.returncode != 0
        assert "memtrace: " in result.stderr and "Traceback" not in result.stderr, result
        assert result.lines[-1] == "alive"


def test_a_file_that_is_no_core_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("no core\n" * 1000)
    for path in (tmp_path / "empty", tmp_path / "text", tmp_path, Path(os.devnull)):
        result = run_batch(commands=[f"memtrace load {path}"])
        assert result.returncode != 0
        assert "memtrace: " in result.stderr and "Traceback" not in result.stderr, result


def test_a_truncated_core_is_refused_or_read(tmp_path: Path) -> None:
    core = tmp_path / "core"
    launch_batch(
        BANK,
        commands=["memtrace tbreak fill:flags", "memtrace on", "run", f"gcore {core}"],
    ).check()
    size = core.stat().st_size
    for part in (0.9, 0.5, 0.1):
        os.truncate(core, int(size * part))
        result = run_batch(commands=[f"memtrace load {core}", "memtrace log", "echo alive\\n"])
        assert "Traceback" not in result.stderr and result.lines[-1] == "alive", result
