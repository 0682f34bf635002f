"""pytest set-up of the gdb sessions: paths, and a build to test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared"), str(HERE.parent.parent / "gdbplugin")]

import session  # noqa: E402
import targets  # noqa: E402


def pytest_sessionstart() -> None:
    """Without these there is nothing to test: say what to run, instead of a hundred errors."""
    build = session.build_directory()
    try:
        interpreter = targets.interpreter()
    except targets.TargetFailure as error:
        raise pytest.UsageError(f"{error}; name one in $MEMTRACE_TEST_PYTHON") from None
    if not (build / "lib" / interpreter.helper).is_file():
        where = "-B build" if not os.environ.get("MEMTRACE_BUILD") else f"-B {build}"
        raise pytest.UsageError(
            f"no {interpreter.helper} in {build}/lib; build it first:\n"
            f"    cd {session.ROOT} && cmake {where} -S . && cmake --build {build} -j2\n"
            "or name a build directory in $MEMTRACE_BUILD"
        )
    if not os.access(session.gdb_program(), os.X_OK):
        raise pytest.UsageError(
            f"no gdb at {session.gdb_program()}: apt-get install gdb, or set $MEMTRACE_TEST_GDB"
        )


def pytest_report_header(config: pytest.Config) -> str:
    return f"tests/gdb: {session.gdb_program()}, CPython {targets.interpreter()}"
