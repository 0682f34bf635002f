"""What all tests here need before they are collected: paths, a seed, the right interpreter; and
the fixture that several share."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ORACLE_VERSIONS = {(3, minor) for minor in range(8, 16)}
sys.path[:0] = [str(HERE), str(HERE.parent / "shared"), str(HERE.parent.parent / "gdbplugin")]

import interpreters  # noqa: E402
from interpreters import Interpreter  # noqa: E402
from memtrace import reader  # noqa: E402

# Set before pytest-xdist starts its workers: they all take the same.
os.environ.setdefault("MEMTRACE_SEED", str(int(time.time())))
if "MEMTRACE_BUILD" in os.environ:
    os.environ.setdefault("MEMTRACE_LIB", str(Path(os.environ["MEMTRACE_BUILD"], "lib").resolve()))

collect_ignore = ["programs"]
if sys.version_info[:2] not in ORACLE_VERSIONS:
    collect_ignore += [f"test_{name}.py" for name in ("oracle", "undisturbed", "versions")]
    collect_ignore += ["test_overhead.py", "test_plan_cache.py", "test_switching.py"]


def pytest_report_header(config: pytest.Config) -> str:
    if sys.version_info[:2] not in ORACLE_VERSIONS:
        return (
            f"tests/oracle: not run, its oracle knows the frames of CPython 3.8 to 3.15, not of "
            f"{sys.version_info[0]}.{sys.version_info[1]}"
        )
    return f"tests/oracle: MEMTRACE_SEED={os.environ['MEMTRACE_SEED']}"


@pytest.fixture
def python(request: pytest.FixtureRequest) -> Interpreter:
    """The interpreter of an indirect parameter; skips the test where it has no helper."""
    interpreter: Interpreter = request.param
    if not interpreters.has_helper(interpreter, reader.library_directories()):
        pytest.skip(f"no helper is built for {interpreter}: its headers are not installed")
    return interpreter
