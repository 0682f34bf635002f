"""The oracle against expectations checked by hand, and memtrace against the oracle.

One test per program of programs/, and some for MEMTRACE_GENERATED (2000) random programs
from seed MEMTRACE_SEED on (a new one each run, shown in the header and on failure). Each
comparison runs two fresh processes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import generate
import harness
import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))
EXPECTED = sorted(path.stem for path in (HERE / "expected").glob("*.txt"))
GENERATED = int(os.environ.get("MEMTRACE_GENERATED", "2000"))
SEED = int(os.environ["MEMTRACE_SEED"])  # conftest.py sets it where nobody did
BATCHES = 10


def program(name: str) -> str:
    return str(HERE / "programs" / f"{name}.py")


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the expectations are those of CPython 3.11"
)
@pytest.mark.parametrize("name", EXPECTED)
def test_oracle_gives_the_events_that_were_checked_by_hand(name: str) -> None:
    expected = (HERE / "expected" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    seen = harness.lines(harness.record("oracle", program(name)).events)
    assert seen == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_memtrace_agrees_with_the_oracle(name: str) -> None:
    found = harness.compare_program(program(name))
    assert found is None, found


def test_a_difference_in_any_field_is_found() -> None:
    events = harness.record("oracle", program("tutorial_example")).events
    assert harness.difference(events, events) is None
    for key in harness.FIELDS:
        changed = [dict(event) for event in events]
        other = 999 if isinstance(changed[-1][key], int) else "other"
        changed[-1][key] = other
        assert harness.difference(events, changed) is not None, key
    assert harness.difference(events, events[:-1]) is not None
    assert harness.difference(events[1:], events) is not None


def test_generated_programs_depend_on_their_seed_alone() -> None:
    assert generate.program(1) == generate.program(1)
    assert generate.program(1) != generate.program(2)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_memtrace_agrees_with_the_oracle_on_generated_programs(batch: int) -> None:
    seeds = range(SEED + batch * GENERATED // BATCHES, SEED + (batch + 1) * GENERATED // BATCHES)
    found = harness.compare_generated(seeds.start, len(seeds)) if seeds else None
    assert found is None, f"MEMTRACE_SEED={SEED} MEMTRACE_GENERATED={GENERATED}, {found}"
