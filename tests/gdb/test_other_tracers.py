"""Another tracer in the process, up to CPython 3.11, where a thread has room for one: it is left
alone, and memtrace says who it is."""

from __future__ import annotations

import os
import re
import signal

import pytest
from session import run_batch
from targets import Target, interpreter

WATCHER = r"Watcher\.watch \(.*/traced\.py\)"

pytestmark = pytest.mark.skipif(
    interpreter().version >= (3, 12), reason="from CPython 3.12 on there is room for all tools"
)


def test_a_tracer_that_has_every_thread_is_named() -> None:
    with Target("traced.py") as target:
        result = run_batch("-p", str(target.pid), commands=["memtrace on", "info memtrace"])
        assert re.search(
            rf"^memtrace: another tool has the only place for a tracer that the thread has: "
            rf"{WATCHER}\. Stop it, then try again$",
            result.stderr,
            re.MULTILINE,
        ), result
        assert result.returncode == 1
        assert re.search(r"^State: +off$", result.stdout, re.MULTILINE), result
        os.kill(target.pid, signal.SIGUSR1)
        target.expect("left")
        run_batch("-p", str(target.pid), commands=["memtrace on"]).check()
        assert target.finish() == "42"


def test_a_tracer_is_left_alone_and_named_until_it_stops() -> None:
    with Target("traced.py", "worker") as target:
        pid = str(target.pid)
        on = run_batch(
            "-p", pid, commands=["memtrace on", "info memtrace", "memtrace log"]
        ).check()
        assert re.search(
            rf"^memtrace: 1 of 2 threads left alone: .*: {WATCHER}\. Recording begins there when",
            on.stdout,
            re.MULTILINE,
        ), on
        assert re.search(rf"^Other tool: +{WATCHER}, not recorded until", on.stdout, re.M), on
        held = rf"1 thread whose only place for a tracer another tool has: {WATCHER}$"
        assert re.search(rf"^Losses: +{held}", on.stdout, re.MULTILINE), on
        assert re.search(rf"^… not recorded: {held}", on.stdout, re.MULTILINE), on
        os.kill(target.pid, signal.SIGUSR1)
        target.expect("left")
        after = run_batch("-p", pid, commands=["info memtrace", "memtrace log"]).check()
        assert re.search(rf"^Other tool: +{WATCHER}, has stopped", after.stdout, re.M), after
        assert re.search(r"\d calls? ran, wholly or in part, under another", after.stdout), after
        assert "MODIFIED count: 41 → 42" in after.stdout, after
        assert "MODIFIED count: 0 → 1" not in after.stdout, after
        assert target.finish() == "42"
