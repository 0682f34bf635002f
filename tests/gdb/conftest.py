"""pytest set-up of the gdb sessions: paths, and a build to test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "gdbplugin")]

import session  # noqa: E402


def pytest_sessionstart() -> None:
    """Without these there is nothing to test: say what to run, instead of a hundred errors."""
    build = session.build_directory()
    if not list((build / "lib").glob("memtrace-cpython-*.so")):
        where = "-B build" if not os.environ.get("MEMTRACE_BUILD") else f"-B {build}"
        raise pytest.UsageError(
            f"no helper (memtrace-cpython-*.so) in {build}/lib; build it first:\n"
            f"    cd {session.ROOT} && cmake {where} -S . && cmake --build {build} -j2\n"
            "or name a build directory in $MEMTRACE_BUILD"
        )
    if not os.access(session.gdb_program(), os.X_OK):
        raise pytest.UsageError(
            f"no gdb at {session.gdb_program()}: apt-get install gdb, or set $MEMTRACE_TEST_GDB"
        )
