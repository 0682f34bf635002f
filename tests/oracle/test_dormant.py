"""While nothing that could run is to be recorded, CPython 3.11 runs untraced, at its own speed; and
whatever brings such code, it is recorded from its first instruction on.

Each case is a function of dormant.py, and runs in a process of its own.
"""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import interpreters
import pytest
from interpreters import Interpreter
from memtrace import reader

CHILD = Path(__file__).resolve().parent / "dormant.py"
SECONDS = 60
USABLE = [
    one
    for one in interpreters.with_helper(reader.library_directories())
    if one.version[:2] == (3, 11)
]
HELPERS_OF_CHILD = {
    "made_by",
    "thread_states",
    "wanted_code",
    "woken_by",
    "not_dormant",
    "skip",
    "import_testcapi",
    "library_of_its_own",
}
CASES = [
    node.name
    for node in ast.parse(CHILD.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name not in HELPERS_OF_CHILD
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("interpreter", USABLE, ids=str)
def test_dormant(interpreter: Interpreter, case: str) -> None:
    done = subprocess.run(
        [interpreter.path, "-s", str(CHILD), case],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode == 0 and done.stdout.startswith("skip: "):
        pytest.skip(done.stdout[len("skip: ") :].strip())
    assert done.returncode == 0 and done.stdout == "done\n", done.stdout
