"""Runs CPython's own tests with and without recording, and compares test by test.

As a module it is for the tests (`compare`); scripts/regress is its command line:

    runner.py [--python PATH]… [--jobs N] [--rounds N] [--stress US] [--request LINE]… [MODULE…]

Each module runs twice, each time in a process of its own (child.py) and a folder of its own,
under preload.c: alone, and recorded as by `memtrace on --all` from before the module is
imported, together with every interpreter that its tests start. What differs must be in
differences.txt, with the reason; an entry there whose test does not differ is reported too.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import fnmatch
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared"), str(ROOT / "gdbplugin")]

import interpreters  # noqa: E402
import modules  # noqa: E402
from interpreters import Interpreter  # noqa: E402
from memtrace import reader  # noqa: E402

PRELOAD = "libmemtrace-regress.so"
REQUEST = ("verb=install", "all=1")
MODULE_SECONDS = 1800
GOOD_END = "exit status 0"
DIFFERENCES = HERE / "differences.txt"


class Unusable(Exception):
    """Why a module can't be compared on an interpreter."""


@dataclass
class Outcome:
    """What became of one test."""

    outcome: str
    detail: str = ""
    events: int | None = None

    @property
    def is_unrecorded(self) -> bool:
        """Did it run to its end without an event?"""
        return self.outcome == "passed" and self.events == 0


@dataclass
class Run:
    """What became of one module."""

    tests: dict[str, Outcome]
    output: str
    seconds: float
    totals: dict[str, Any]  # `finished` of child.py


@dataclass(frozen=True)
class Difference:
    """A test that came out differently when it was recorded."""

    test: str
    alone: Outcome
    recorded: Outcome

    def __str__(self) -> str:
        text = f"{self.test}: {self.alone.outcome} alone, {self.recorded.outcome} when recorded"
        return text + "".join(f"\n    {line}" for line in self.recorded.detail.splitlines())


@dataclass
class Comparison:
    """One module on one interpreter."""

    interpreter: Interpreter
    module: str
    alone: Run
    recorded: Run
    unexpected: list[Difference] = field(default_factory=list)
    listed: list[Difference] = field(default_factory=list)
    unsteady: list[Difference] = field(default_factory=list)  # in one round, not in the next
    stale: list[Entry] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.unexpected and not self.stale

    def summary(self) -> str:
        """One line."""
        counts = [
            f"{len(found)} {what}"
            for what, found in (
                ("unexpected", self.unexpected),
                ("listed", self.listed),
                ("unsteady", self.unsteady),
                ("stale", self.stale),
            )
            if found
        ]
        unrecorded = [one for one in self.recorded.tests.values() if one.is_unrecorded]
        if unrecorded:
            counts.append(f"{len(unrecorded)} without an event")
        losses = self.recorded.totals.get("losses", {})
        counts += [f"{count} lost ({reason})" for reason, count in losses.items()]
        return (
            f"{self.interpreter!s:8} {self.module:24} {len(self.alone.tests):5} tests "
            f"{self.alone.seconds:6.1f} s alone {self.recorded.seconds:6.1f} s recorded "
            f"{self.recorded.totals.get('events', 0) / 1e6:7.1f} M events  "
            f"{', '.join(counts) or 'the same'}"
        )


# ---- what is known to differ -------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A line of differences.txt."""

    versions: tuple[str, ...]
    how_often: str
    test: str
    reason: str

    def covers(self, interpreter: Interpreter, test: str) -> bool:
        version = f"{interpreter.version[0]}.{interpreter.version[1]}"
        return version in self.versions and fnmatch.fnmatchcase(test, self.test)

    def __str__(self) -> str:
        return f"{','.join(self.versions)} {self.how_often} {self.test}"


def read_entries(text: str) -> list[Entry]:
    """Blocks of `VERSION,… always|sometimes TEST` and an indented reason; # is a comment."""
    found: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            if not found:
                raise ValueError(f"line {number}: a reason before any test")
            last = found[-1]
            reason = f"{last.reason} {line.strip()}".strip()
            found[-1] = Entry(last.versions, last.how_often, last.test, reason)
            continue
        versions, how_often, test = line.split(None, 2)
        if how_often not in ("always", "sometimes"):
            raise ValueError(f"line {number}: neither always nor sometimes: {how_often}")
        found.append(Entry(tuple(versions.split(",")), how_often, test, ""))
    for entry in found:
        if not entry.reason:
            raise ValueError(f"{entry}: no reason given")
    return found


def entries() -> list[Entry]:
    """What is listed in differences.txt."""
    return read_entries(DIFFERENCES.read_text(encoding="utf-8"))


# ---- running -------------------------------------------------------------------------------------


def find_library(name: str) -> Path:
    """A library of the build."""
    directories = reader.library_directories()
    for directory in directories:
        if (directory / name).is_file():
            return directory / name
    raise Unusable(f"{name} is in none of {', '.join(map(str, directories))}: build it")


def test_package_missing(interpreter: Interpreter) -> str | None:
    """Why CPython's own tests can't be run with an interpreter; None: they can."""
    done = subprocess.run(
        [interpreter.path, "-I", "-c", "import test.test_grammar"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode == 0:
        return None
    version = f"{interpreter.version[0]}.{interpreter.version[1]}"
    return (
        f"no tests of its own beside {interpreter.path} "
        f"(Debian: apt-get install libpython{version}-testsuite)"
    )


def environment(
    interpreter: Interpreter, folder: str, record: bool, request: Iterable[str], stress: int
) -> dict[str, str]:
    """The environment of a run: nothing of Python's, the same with and without recording."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "MEMTRACE", "PYTEST"))
    }
    kept.update(
        PYTHONHASHSEED="1",
        TMPDIR=folder,
        HOME=folder,
        LD_PRELOAD=str(find_library(PRELOAD)),
    )
    if record:
        kept["MEMTRACE_REGRESS_HELPER"] = str(find_library(f"memtrace-{interpreter.soabi}.so"))
        kept["MEMTRACE_REGRESS_REQUEST"] = "".join(f"{line}\n" for line in request)
        if stress:
            kept["MEMTRACE_REGRESS_STRESS"] = str(stress)
    return kept


def wait_or_kill(child: subprocess.Popen[bytes], seconds: float) -> str:
    """How the child ended; after the time, it says where it stands (faulthandler) and goes."""
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGABRT)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            pass
        code = None
    try:
        os.killpg(child.pid, signal.SIGKILL)  # what the tests left running
    except ProcessLookupError:
        pass
    child.wait()
    if code is None:
        return f"timed out after {seconds:.0f} s"
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def parse(text: str, end: str, output: str) -> tuple[dict[str, Outcome], dict[str, Any]]:
    """A child's results; one that it didn't come to the end of is an outcome too."""
    tests: dict[str, Outcome] = {}
    running = None
    totals: dict[str, Any] = {}
    for line in text.splitlines():
        if not line.endswith("}"):
            break
        record: dict[str, Any] = json.loads(line)
        if "begins" in record:
            running = record["begins"]
        elif "ends" in record:
            tests[record["ends"]] = Outcome(record["outcome"], record["detail"], record["events"])
            running = None
        else:
            totals = record
    if running:
        tests[running] = Outcome(f"{end} in it", output[-6000:])
    # An exit status differs only if both came to it.
    tests["the process"] = Outcome(end, "" if totals and end == GOOD_END else output[-6000:])
    return tests, totals


def run(
    interpreter: Interpreter,
    module: str,
    record: bool,
    request: Iterable[str] = REQUEST,
    stress: int = 0,
    seconds: float = MODULE_SECONDS,
) -> Run:
    """One module, once."""
    with tempfile.TemporaryDirectory(prefix="memtrace-regress-") as folder:
        results = Path(folder, "results")
        output = Path(folder, "output")
        work = Path(folder, "work")
        work.mkdir()
        started = time.monotonic()
        with open(output, "wb") as file:
            child = subprocess.Popen(
                [interpreter.path, "-s", str(HERE / "child.py"), module, str(results)],
                env=environment(interpreter, str(work), record, request, stress),
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            end = wait_or_kill(child, seconds)
        text = output.read_text(encoding="utf-8", errors="replace")
        written = results.read_text(encoding="utf-8") if results.exists() else ""
        tests, totals = parse(written, end, text)
        return Run(tests, text, time.monotonic() - started, totals)


# ---- comparing ---------------------------------------------------------------------------------


def differences(alone: Run, recorded: Run) -> list[Difference]:
    """The tests whose outcomes differ."""
    missing = Outcome("not run")
    return [
        Difference(test, alone.tests.get(test, missing), recorded.tests.get(test, missing))
        for test in {**alone.tests, **recorded.tests}
        if alone.tests.get(test, missing).outcome != recorded.tests.get(test, missing).outcome
    ]


def compare(
    interpreter: Interpreter,
    module: str,
    known: list[Entry],
    request: Iterable[str] = REQUEST,
    stress: int = 0,
    rounds: int = 2,
) -> Comparison:
    """One module, alone and recorded; what differs is run again, up to `rounds` times."""
    comparison = None
    module = modules.name_in(interpreter.version, module)
    for _ in range(rounds):
        alone = run(interpreter, module, False)
        recorded = run(interpreter, module, True, request, stress)
        if not alone.totals:
            raise Unusable(
                f"{interpreter} {module} does not come to its end alone: "
                f"{alone.tests['the process'].outcome}\n{alone.output[-6000:]}"
            )
        if recorded.totals and not recorded.totals["events"]:
            raise Unusable(f"{interpreter} {module}: nothing was recorded")
        if any("_FailedTest" in test for test in alone.tests):
            raise Unusable(f"{interpreter} {module}: no such module, or it can't be imported")
        found = differences(alone, recorded)
        if comparison is None:
            comparison = Comparison(interpreter, module, alone, recorded)
            suspects = found
        else:
            again = {one.test for one in found}
            comparison.unsteady += [one for one in suspects if one.test not in again]
            suspects = [one for one in suspects if one.test in again]
        if all(_entry_for(known, interpreter, one.test) for one in suspects):
            break
    assert comparison is not None
    for one in suspects:
        listed = _entry_for(known, interpreter, one.test)
        (comparison.listed if listed else comparison.unexpected).append(one)
    comparison.stale = stale(known, comparison)
    return comparison


def _entry_for(known: list[Entry], interpreter: Interpreter, test: str) -> Entry | None:
    return next((entry for entry in known if entry.covers(interpreter, test)), None)


def stale(known: list[Entry], comparison: Comparison) -> list[Entry]:
    """Entries that say `always`, of tests that ran, none of which differs."""
    differing = [one.test for one in comparison.listed + comparison.unsteady]
    return [
        entry
        for entry in known
        if entry.how_often == "always"
        and any(entry.covers(comparison.interpreter, test) for test in comparison.alone.tests)
        and not any(entry.covers(comparison.interpreter, test) for test in differing)
    ]


# ---- the command ---------------------------------------------------------------------------------


def report(comparison: Comparison, verbose: bool = False) -> str:
    """A comparison as text."""
    listed = comparison.listed if verbose else []
    return "\n".join(
        [comparison.summary()]
        + [f"  DIFFERS {difference}" for difference in comparison.unexpected]
        + [f"  unsteady {difference}" for difference in comparison.unsteady]
        + [f"  listed {difference}" for difference in listed]
        + [f"  STALE {entry} is listed, but does not differ" for entry in comparison.stale]
    )


def usable_interpreters(paths: list[str]) -> list[Interpreter]:
    """Those asked for, or all; the reasons for leaving some out are printed."""
    described = [interpreters.describe(path) for path in paths]
    if None in described:
        sys.exit(f"no CPython that memtrace knows: {paths[described.index(None)]}")
    usable = []
    for one in [one for one in described if one] or interpreters.found():
        reason = None
        if not interpreters.has_helper(one, reader.library_directories()):
            reason = f"no helper memtrace-{one.soabi}.so is built"
        reason = reason or test_package_missing(one)
        if reason:
            print(f"{one!s:8} left out: {reason}")
        else:
            usable.append(one)
    return usable


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/regress", description="See runner.py.")
    parser.add_argument("--python", action="append", default=[], metavar="PATH")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="for what differs")
    parser.add_argument("--stress", type=int, default=0, metavar="US", help="see preload.c")
    parser.add_argument("--request", action="append", default=[], metavar="LINE")
    parser.add_argument("--verbose", action="store_true", help="show listed differences too")
    parser.add_argument("--more", action="store_true", help="the modules of modules.py's MORE")
    parser.add_argument("modules", nargs="*", default=[], metavar="MODULE")
    arguments = parser.parse_args()
    known = entries()
    failed = False
    request = [*REQUEST, *arguments.request]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        futures = [
            pool.submit(
                compare, one, module, known, request, arguments.stress, arguments.rounds
            )
            for one in usable_interpreters(arguments.python)
            for module in arguments.modules or (modules.MORE if arguments.more else modules.FULL)
        ]
        for future in concurrent.futures.as_completed(futures):
            try:
                comparison = future.result()
            except Unusable as reason:
                print(f"not compared: {reason}")
                failed = True
                continue
            print(report(comparison, arguments.verbose), flush=True)
            failed |= not comparison.good
    sys.exit(failed or not futures)


if __name__ == "__main__":
    main()
