"""The oracle against expectations checked by hand, and memtrace against the oracle.

One test per program of programs/, and one for MEMTRACE_GENERATED (2000) random programs from
seed MEMTRACE_SEED (a new one each run; printed). Each comparison runs two fresh processes.
"""

from __future__ import annotations

import concurrent.futures
import os
import time
from pathlib import Path

import pytest

import generate
import harness

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))
EXPECTED = sorted(path.stem for path in (HERE / "expected").glob("*.txt"))
BATCH = 125
WORKERS = 2


def program(name: str) -> str:
    return str(HERE / "programs" / f"{name}.py")


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


def test_memtrace_agrees_with_the_oracle_on_generated_programs() -> None:
    count = int(os.environ.get("MEMTRACE_GENERATED", "2000"))
    seed = int(os.environ.get("MEMTRACE_SEED", str(int(time.time()) % 1_000_000_000)))
    print(f"MEMTRACE_SEED={seed} MEMTRACE_GENERATED={count}")
    batches = [(first, min(BATCH, seed + count - first))
               for first in range(seed, seed + count, BATCH)]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = [text for text in pool.map(lambda batch: harness.compare_generated(*batch),
                                           batches) if text]
    assert not found, f"{len(found)} of {len(batches)} batches differ; the first:\n{found[0]}"
