"""What Python comes as: in a program of somebody else's, linked in each way that it can be, a debug
build, a virtual environment, an archive. `memtrace on` picks the helper by what runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import List

import pytest
from processes import assert_free, thread_count
from session import TARGETS, GdbSession, build_directory, run_batch
from targets import Target, python_program

EXITS = TARGETS / "exits.py"
LINKAGES = ("shared", "static-exported", "late")
PLACES = ("main", "thread", "subinterpreter")
DEBUG_PYTHON = "/usr/bin/python3.11-dbg"
LIBRARY = "libpython3.11.so.1.0"
EVENTS = ["[work:7] NEW a = 10", "[work:8] NEW b = 20", "[work:9] DELETED a (was 10)"]
ENVIRONMENT = {"LIBPYTHON": LIBRARY}

everywhere = pytest.mark.parametrize("place", PLACES)
however_linked = pytest.mark.parametrize("linkage", LINKAGES)


def embedder(linkage: str) -> str:
    path = build_directory() / "targets" / f"embeds-{linkage}"
    if not path.exists():
        pytest.skip(f"no {path}: cmake found no such libpython (apt-get install libpython3-dev)")
    return str(path)


def events_of(output: str) -> List[str]:
    return [line for line in output.splitlines() if line.startswith("[work:")]


def assert_launched(command: List[str], version: str = r"3\.11\.2") -> str:
    """The program is recorded from its first line, unseen, and ends as it would."""
    result = run_batch(
        "--args",
        *command,
        commands=["memtrace on", "run", "memtrace log", "info memtrace"],
        environment=ENVIRONMENT,
    ).check()
    assert re.search(rf"^memtrace: recording CPython {version}, process", result.stdout, re.M)
    assert "exited with code 07" in result.stdout
    assert events_of(result.stdout) == EVENTS, result
    assert re.search(r"^Losses: +none$", result.stdout, re.M), result
    return result.stdout


def assert_breaks(command: List[str]) -> None:
    """A breakpoint stops it, and its stack and variables can be read there."""
    with GdbSession("--args", *command, environment=ENVIRONMENT) as gdb:
        gdb.command("memtrace on")
        gdb.command("memtrace break work:b if new == 20")
        assert "NEW b = 20" in gdb.command("run")
        stack = "#0  work (exits.py:8)\n#1  <module> (exits.py:13)\n"
        assert gdb.command("memtrace bt").startswith(stack)
        assert gdb.command("memtrace print a + 1") == "11\n"
        assert "exited with code 07" in gdb.command("continue")


def assert_attached(python: List[str], directory: Path) -> None:
    """Attach, record, break, dump core, detach; the program comes to its right end."""
    core = directory / "core"
    with Target("ticks.py", python=python, environment=ENVIRONMENT) as target:
        threads = thread_count(target.pid)
        with GdbSession("-p", str(target.pid)) as gdb:
            assert "memtrace: recording CPython" in gdb.command("memtrace on"), gdb.transcript()
            gdb.command("memtrace tbreak tick:count if new > old")
            said = gdb.command("continue")
            assert re.search(r"^MODIFIED count: \d+ → \d+$", said, re.M), said
            assert gdb.command("memtrace bt").startswith("#0  tick (ticks.py:10)\n")
            gdb.command(f"generate-core-file {core}", timeout=120)
            assert "memtrace: off" in gdb.command("memtrace off")
            gdb.command("detach")
        assert_free(target.pid, threads)
        assert target.finish() == "equal"
    result = run_batch(
        python[0], core, commands=["memtrace last tick:count", "memtrace bt"]
    ).check()
    assert re.search(r"^\[tick:10\] MODIFIED count: \d+ → \d+$", result.stdout, re.M), result
    assert "#0  tick (ticks.py:10)" in result.stdout


@however_linked
@everywhere
def test_a_program_with_python_inside_is_recorded_from_the_first_line(
    linkage: str, place: str
) -> None:
    said = assert_launched([embedder(linkage), place, str(EXITS)])
    assert ("Interpreters: 2 recorded" in said) == (place == "subinterpreter")


@however_linked
def test_a_breakpoint_in_a_program_with_python_inside(linkage: str) -> None:
    assert_breaks([embedder(linkage), "thread", str(EXITS)])


def test_a_breakpoints_condition_in_a_subinterpreter() -> None:
    assert_breaks([embedder("shared"), "subinterpreter", str(EXITS)])


@pytest.mark.parametrize(
    ("linkage", "place"),
    [
        ("shared", "main"),
        ("shared", "subinterpreter"),
        ("static-exported", "thread"),
        ("late", "main"),
    ],
)
def test_attach_to_a_program_with_python_inside(linkage: str, place: str, tmp_path: Path) -> None:
    assert_attached([embedder(linkage), place], tmp_path)


def test_python_that_is_linked_in_without_its_symbols_is_refused() -> None:
    program = embedder("static-hidden")
    message = f"memtrace: {program} has Python linked in statically, without its symbols"
    with Target("waits.py", python=[program, "main"]) as target:
        result = run_batch("-p", str(target.pid), commands=["memtrace on"])
        assert message in result.stderr and "-rdynamic" in result.stderr, result
        assert result.returncode == 1
        assert target.finish() == "1"
    result = run_batch("--args", program, "main", str(EXITS), commands=["memtrace on"])
    assert message in result.stderr and result.returncode == 1, result


def test_two_pythons_in_a_process_are_refused() -> None:
    other = Path(f"/usr/lib/{sys.implementation._multiarch}/libpython3.11d.so.1.0")
    if not other.exists():
        pytest.skip(f"no {other}: apt-get install libpython3.11-dbg")
    environment = {**ENVIRONMENT, "OTHER_LIBPYTHON": str(other)}
    with Target(
        "waits.py", python=[embedder("late"), "main"], environment=environment
    ) as target:
        result = run_batch("-p", str(target.pid), commands=["memtrace on"])
        assert "has more than one Python in it: " in result.stderr, result
        assert str(other) in result.stderr and LIBRARY in result.stderr
        assert result.returncode == 1
        assert target.finish() == "1"


@pytest.fixture
def debug_python() -> str:
    if not os.access(DEBUG_PYTHON, os.X_OK):
        pytest.skip(f"no {DEBUG_PYTHON}: apt-get install python3-dbg")
    return DEBUG_PYTHON


def test_a_debug_build_is_recorded_by_a_helper_of_its_own(debug_python: str) -> None:
    said = assert_launched([debug_python, str(EXITS)])
    assert "cpython-311d-x86_64-linux-gnu" in said
    assert_breaks([debug_python, str(EXITS)])


def test_attach_to_a_debug_build(debug_python: str, tmp_path: Path) -> None:
    assert_attached([debug_python], tmp_path)


def test_a_virtual_environment(tmp_path: Path) -> None:
    subprocess.run([python_program(), "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    python = str(tmp_path / "v" / "bin" / "python")
    assert_launched([python, str(EXITS)])
    assert_attached([python], tmp_path)


def test_an_archive_of_a_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "program.pyz", "w") as archive:
        archive.write(EXITS, "__main__.py")
    assert_launched([python_program(), str(tmp_path / "program.pyz")])
