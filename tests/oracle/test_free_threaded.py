"""CPython without the GIL: threads that store at once.

The interpreters are those that scripts/free-threaded builds from Debian's source packages, and
keeps: a first run takes minutes. One that can't be had is skipped, with the script's reason.
Their helpers are built here, apart from the others. What recording means in a single thread is
for test_versions.py, which takes these interpreters too.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = Path(os.environ.get("MEMTRACE_BUILD", ROOT / "build"))
VERSIONS = ("3.13", "3.14", "3.15")
THREADS, ROUNDS = 4, 1000
BUILD_SECONDS, RUN_SECONDS = 1800, 300


def run(*command: object, seconds: int, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in command],
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@functools.cache
def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(ROOT / "scripts" / "free-threaded", *arguments, seconds=BUILD_SECONDS)


def interpreter(*arguments: str) -> str:
    """Path of the free-threaded build; skips the test where there is none."""
    made = make(*arguments)
    if made.returncode:
        pytest.skip(made.stderr.strip().splitlines()[-1])
    return made.stdout.strip()


@functools.cache
def libraries(path: str, *options: str) -> Path:
    """The directory of the interpreter's helper, and the reader, built if need be."""
    name = re.sub(r"\W+", "-", Path(path).parent.parent.name)
    directory = BUILD / f"free-threaded-{name}"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:  # other workers want the same
        fcntl.flock(lock, fcntl.LOCK_EX)
        generator = [] if (directory / "CMakeCache.txt").exists() else ["-G", "Ninja"]
        for command in (
            ("cmake", *generator, "-B", directory, "-S", ROOT)
            + (f"-DMEMTRACE_PYTHONS={path}-config", "-DMEMTRACE_UNTESTED=ON", *options),
            ("cmake", "--build", directory, "--target", "helpers"),
        ):
            done = run(*command, seconds=BUILD_SECONDS)
            assert done.returncode == 0, done.stdout + done.stderr
    return directory / "lib"


def record_at_once(path: str, directory: Path, **variables: str) -> str:
    done = run(
        *(path, "-s", HERE / "storing_at_once.py", THREADS, ROUNDS),
        seconds=RUN_SECONDS,
        MEMTRACE_LIB=str(directory),
        **variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_threads_that_store_at_once_lose_no_event(version: str) -> None:
    path = interpreter(version)
    assert "events" in record_at_once(path, libraries(path))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_with_the_gil_switched_on(version: str) -> None:
    path = interpreter(version)
    assert "events" in record_at_once(path, libraries(path), PYTHON_GIL="1")


@pytest.mark.parametrize("version", VERSIONS)
def test_switching_under_load_leaves_nothing_behind(version: str) -> None:
    path = interpreter(version)
    done = run(
        *(path, "-s", HERE / "switching.py", 5),
        seconds=RUN_SECONDS,
        MEMTRACE_LIB=str(libraries(path)),
    )
    assert done.returncode == 0 and "nothing left" in done.stdout, done.stdout + done.stderr
