"""procfs.py, options.py, and what errors.py and preflight.py decide without gdb."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace import errors, preflight, procfs  # noqa: E402
from memtrace.errors import MemtraceError  # noqa: E402
from memtrace.options import Options, request_line  # noqa: E402

MAPS = """\
00400000-0041f000 r--p 00000000 fe:00 1234                               /usr/bin/python3.11
7f09e1100000-7f09e5100000 rw-s 00000000 00:01 414                        /memfd:memtrace (deleted)
7f09e5100000-7f09e5104000 r--p 00000000 00:01 413                        /tmp/a b/x.so (deleted)
7ffd1ab33000-7ffd1ab54000 rw-p 00000000 00:00 0                          [stack]
7ffd1ab60000-7ffd1ab61000 rw-p 00000000 00:00 0
"""


def test_maps_are_parsed_whole() -> None:
    maps = procfs.parse_maps(MAPS)
    assert len(maps) == 5
    assert (maps[0].start, maps[0].end, maps[0].inode) == (0x400000, 0x41F000, 1234)
    assert [m.name for m in maps] == ["python3.11", "memfd:memtrace", "x.so", "[stack]", ""]
    assert maps[2].path == "/tmp/a b/x.so (deleted)"
    assert procfs.find(maps, 0x41EFFF) is maps[0]
    assert procfs.find(maps, 0x41F000) is None


def test_own_maps_have_a_stack() -> None:
    assert any(m.path == "[stack]" for m in procfs.maps(os.getpid()))


def test_signal_masks() -> None:
    fields = procfs.parse_status("Name:\tx\nSigPnd:\t0000000000040000\nShdPnd:\t0000000000000002\n")
    assert procfs.has_signal(fields, "SigPnd", 19)
    assert not procfs.has_signal(fields, "SigPnd", 18)
    assert procfs.has_signal(fields, "ShdPnd", 2)
    assert not procfs.has_signal(fields, "SigBlk", 2)


def test_descriptor_of_a_mapping_is_not_that_of_another_file_of_the_same_name() -> None:
    descriptors = [os.memfd_create("memtrace-test") for _ in range(2)]
    try:
        for descriptor in descriptors:
            os.ftruncate(descriptor, 4096)
            with mmap.mmap(descriptor, 4096):
                mapping = next(m for m in procfs.maps(os.getpid()) if "memtrace-test" in m.path)
                found = procfs.descriptor_of(os.getpid(), mapping)
                assert found is not None
                assert os.fstat(found).st_ino == os.fstat(descriptor).st_ino
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def test_same_file() -> None:
    assert procfs.same_file(os.getpid(), "/proc/version")
    assert not procfs.same_file(os.getpid(), "/nowhere")


def test_a_request_holds_what_differs_from_the_defaults() -> None:
    options = Options(redact=[])
    assert options.request_text("install") == "verb=install\nvalue-size=64\n"
    options = Options(
        only=["bank.py"],
        skip=["a%b", "c\nd"],
        all=True,
        rebound=True,
        mutations=False,
        record=False,
        follow_fork=True,
        redact=["*pin*"],
        value_size=100,
    )
    assert options.request_text("change").splitlines() == [
        "verb=change",
        "only=bank.py",
        "skip=a%25b",
        "skip=c%0Ad",
        "redact=*pin*",
        "all=1",
        "rebound=1",
        "follow-fork=1",
        "record=0",
        "mutations=0",
        "value-size=100",
    ]
    assert options.request_text("remove") == "verb=remove\n"


def test_breakpoints_are_in_the_request() -> None:
    class Breakpoint:
        def request_lines(self) -> "list[str]":
            return [request_line("break", "3"), request_line("break-target", "b")]

    options = Options(redact=[], breakpoints=[Breakpoint()])
    assert options.request_text("install").endswith("break=3\nbreak-target=b\n")


def test_a_request_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(MemtraceError, match="more than 32768 bytes"):
        Options(only=["x" * 33000]).request_text("install")


@pytest.mark.parametrize(
    "arguments, batch",
    [
        (["-batch", "-p", "1"], True),
        (["--batch"], True),
        (["-q", "-bat"], True),
        (["--batch-silent"], True),
        (["-p", "1"], False),
        (["--args", "prog", "-batch"], False),
        (["-ex", "b"], False),
    ],
)
def test_batch_mode_is_known_by_the_command_line(arguments: "list[str]", batch: bool) -> None:
    assert errors.is_batch(arguments) is batch


@pytest.mark.parametrize(
    "arguments, pid",
    [
        (["-q", "-p", "4711"], 4711),
        (["--pid=12"], 12),
        (["-pid", "7", "-batch"], 7),
        (["--args", "prog", "-p", "5"], 0),
        (["-p"], 0),
        ([], 0),
    ],
)
def test_the_process_that_the_command_line_names(arguments: "list[str]", pid: int) -> None:
    assert errors.requested_pid(arguments) == pid


def test_an_error_shows_its_remedy_on_lines_of_its_own() -> None:
    assert str(MemtraceError("no", "do this\nor that")) == "no\n    do this\n    or that"
    assert str(MemtraceError("no")) == "no"


def test_versions_without_a_helper_are_refused() -> None:
    def interpreter(minor: int) -> preflight.Interpreter:
        return preflight.Interpreter(None, minor, 1, "")  # type: ignore[arg-type]

    for minor in (8, 11, 15):
        preflight.check_version(interpreter(minor))
    for minor in (7, 16):
        with pytest.raises(MemtraceError, match=rf"runs CPython 3\.{minor}\.1; memtrace knows"):
            preflight.check_version(interpreter(minor))


def test_the_command_that_builds_a_helper_names_the_config_script() -> None:
    for minor, soabi, config in (
        (9, "cpython-39-x86_64-linux-gnu", "python3.9-config"),
        (13, "cpython-313t-x86_64-linux-gnu", "python3.13t-config"),
    ):
        interpreter = preflight.Interpreter(None, minor, -1, soabi)  # type: ignore[arg-type]
        assert f"-DMEMTRACE_PYTHONS={config} " in preflight.build_command(interpreter, -1)


def test_zombies_and_ghosts_are_refused() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with pytest.raises(MemtraceError, match="waits for its parent"):
        preflight.check_process(child)
    os.waitpid(child, 0)
    with pytest.raises(MemtraceError, match=f"there is no process {child}"):
        preflight.check_process(child)
