"""Machine instructions by function, counted by valgrind's callgrind: what a ratio is made of, and
the same on a busy machine.

A child makes some runs, another many more; the difference is what the runs between them took, and
start, imports and first sight of the code are not in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .interpreters import Interpreter
from .jobs import Jobs

FEW, MANY = 1, 9  # runs
TOOL = "valgrind"
WHY_NOT = "no valgrind here, which counts instructions (Debian: apt-get install valgrind)"
_BOUND = 600.0  # seconds for one child
_LINE = re.compile(r"\s*([\d,]+) \([ \d.]+%\)\s+(?:\S*:)?(\S+)")


def is_there() -> bool:
    """Can instructions be counted here?"""
    return shutil.which(TOOL) is not None


def measure(
    jobs: Jobs, work: Path, interpreter: Interpreter, job: dict[str, Any]
) -> dict[str, Any]:
    """{"instructions": of one run, "functions": {name: of one run}, "events": of one run}, or
    {"error": why}."""
    counts = []
    for runs in (FEW, MANY):
        written = work / "callgrind.out"
        prefix = [TOOL, "--tool=callgrind", f"--callgrind-out-file={written}"]
        found = jobs.run(interpreter, {**job, "runs": runs}, _BOUND, prefix)
        if "error" in found:
            return found
        counts.append(_by_function(written))
        written.unlink()
    few, many = counts
    functions = {
        name: (many.get(name, 0) - few.get(name, 0)) / (MANY - FEW) for name in {*few, *many}
    }
    return {
        "instructions": sum(functions.values()),
        "functions": functions,
        "events": found["events"] / MANY,
    }


def _by_function(written: Path) -> dict[str, int]:
    command = ["callgrind_annotate", "--auto=no", "--threshold=100", str(written)]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, int] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and "PROGRAM TOTALS" not in line:
            # f'2 is f called by itself; f.lto_priv.0 is how the linker calls a static one.
            name = re.split(r"['.]", match[2])[0] or match[2]
            found[name] = found.get(name, 0) + int(match[1].replace(",", ""))
    return found
