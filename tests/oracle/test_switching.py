"""Recording can be switched on and off at any moment, on every CPython, and leaves nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import interpreters
import pytest
from interpreters import Interpreter
from memtrace import reader

CHILD = Path(__file__).resolve().parent / "switching.py"
ROUNDS = 25
USABLE = interpreters.with_helper(reader.library_directories())


@pytest.mark.parametrize("interpreter", USABLE, ids=str)
def test_switching_under_load_leaves_nothing_behind(interpreter: Interpreter) -> None:
    done = subprocess.run(
        [interpreter.path, "-s", str(CHILD), str(ROUNDS)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and "nothing left" in done.stdout, done.stdout
