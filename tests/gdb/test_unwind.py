"""Stacks as memtrace walks them by itself are those that gdb sees."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest
from session import GdbSession
from targets import Target, interpreter, python_program

# For each thread: how many frames, how many of them are of handlers, and whether gdb sees the same.
# gdb has more for what it knows from debug information: inlined functions and tail calls.
COMPARE = """
import gdb
from memtrace import inject, target
from memtrace.image import Images
from memtrace.unwind import Unwinder

gdb.execute("set backtrace past-main on")
unwinder = Unwinder(Images(target.pid(), target.read))
for thread in gdb.selected_inferior().threads():
    thread.switch()
    seen = []
    frame = gdb.newest_frame()
    while frame is not None and len(seen) < inject._FRAMES_MAX:
        if frame.type() in (gdb.NORMAL_FRAME, gdb.SIGTRAMP_FRAME):
            seen.append((frame.pc(), inject._SPECIAL.get(frame.type(), "")))
        frame = frame.older()
    walked = inject._walk(unwinder)
    handlers = sum(bool(special) for _, special in walked)
    print("thread", len(walked), handlers, "same" if walked == seen else (walked, seen))
"""


def compared(gdb: GdbSession) -> List[List[str]]:
    script = Path(gdb.workdir) / "compare.py"
    script.write_text(COMPARE, encoding="utf-8")
    said = gdb.command(f"source {script}")
    return [line.split(maxsplit=3)[1:] for line in said.splitlines() if line.startswith("thread ")]


@pytest.mark.parametrize("state", ["sleep", "bytecode", "accept", "select", "join", "native"])
def test_stacks_are_those_that_gdb_sees(state: str) -> None:
    with Target("attach_states.py", state) as target, GdbSession("-p", str(target.pid)) as gdb:
        threads = compared(gdb)
        assert threads
        for frames, handlers, same in threads:
            assert same == "same", gdb.transcript()
            assert int(frames) > 3 and handlers == "0"
        gdb.command("detach")
        assert target.finish() == "right"


def test_a_stack_deeper_than_is_looked_at() -> None:
    with Target("deep.py", "1000") as target, GdbSession("-p", str(target.pid)) as gdb:
        ((frames, _, same),) = compared(gdb)
        assert same == "same", gdb.transcript()
        # From 3.11 on, calls between functions of Python's are no calls in C.
        assert frames == "256" or interpreter().version >= (3, 11)


def test_a_signal_handler_is_seen_on_the_stack() -> None:
    python = [python_program(), "-X", "faulthandler"]
    with Target("waits.py", python=python) as target, GdbSession("-p", str(target.pid)) as gdb:
        gdb.command("tbreak write")
        gdb.command("signal SIGABRT")  # its handler writes
        ((frames, handlers, same),) = compared(gdb)
        assert same == "same", gdb.transcript()
        assert int(frames) > 3 and handlers == "1"
        assert "runs a signal handler" in gdb.command("memtrace on")
        gdb.command("kill")
        target.wait(returncode=-9)
