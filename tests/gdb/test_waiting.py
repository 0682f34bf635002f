"""In a process where nothing that could run is to be recorded, memtrace says that it waits."""

from __future__ import annotations

import re

import pytest
from session import run_batch
from targets import Target, interpreter

WAITS = r"^State: +recording, but no code that could run now is to be recorded: waits for some$"

pytestmark = pytest.mark.skipif(
    interpreter().version[:2] != (3, 11), reason="only on CPython 3.11 does it pay to wait"
)


def test_waiting_is_told_and_ends_with_other_options() -> None:
    with Target("ticks.py") as target:
        result = run_batch(
            "-p",
            str(target.pid),
            commands=[
                "memtrace on --only nobody",
                "info memtrace",
                "memtrace on --only tick",
                "echo == new options ==\\n",
                "info memtrace",
            ],
        ).check()
        before, after = result.stdout.split("== new options ==\n")
        assert re.search(WAITS, before, re.MULTILINE), result
        assert re.search(r"^State: +recording$", after, re.MULTILINE), result
        assert target.finish() == "equal"
