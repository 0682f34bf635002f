"""`memtrace bt` and its kin on stacks that are out of the ordinary."""

from __future__ import annotations

import re

import pytest
from session import GdbSession
from targets import Target, interpreter

# Before 3.11 a Python call takes C stack: there are no so deep recursions.
needs_room = pytest.mark.skipif(
    interpreter().version < (3, 11),
    reason="before CPython 3.11 so deep a recursion overflows the C stack",
)
DEPTH = 60_000


@needs_room
def test_a_deep_recursion_is_shown_and_recorded_on_its_way_back() -> None:
    with Target("deep.py", str(DEPTH)) as target, GdbSession("-p", str(target.pid)) as gdb:
        assert "memtrace: recording" in gdb.command("memtrace on --only down")
        first = gdb.command("memtrace bt 3").splitlines()
        assert [line.split()[1] for line in first] == ["wait_at_the_bottom", "down", "down"]
        last = gdb.command("memtrace bt -1")
        assert re.fullmatch(rf"#{DEPTH + 1} +<module> \(deep\.py:\d+\)\n", last)
        assert gdb.command(f"memtrace print --frame {DEPTH} level") == f"{DEPTH}\n"
        assert "level = 1\nbelow = 0\n" in gdb.command("memtrace locals --frame 1")
        assert f"there are {DEPTH + 2}" in gdb.command(f"memtrace locals --frame {DEPTH + 2}")
        gdb.command("memtrace tbreak down:above if new == 59990")
        target.ask_to_finish()
        assert "NEW above = 59990\n" in gdb.command("continue")
        assert len(gdb.command("memtrace bt").splitlines()) == DEPTH - 59990 + 2
        gdb.command("detach")
        assert target.wait() == str(DEPTH)
