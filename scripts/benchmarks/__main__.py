"""The parent: plans the run, has it measured, and writes what came out.

Order is by importance: when the time that the run may take is over, what has not begun is
left out and the report says so."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import (
    attached,
    figures,
    growth,
    instructions,
    interpreters,
    observers,
    peers,
    programs,
    report,
    results,
)
from .interpreters import Interpreter
from .jobs import Jobs

_ROOT = Path(__file__).resolve().parents[2]
PARTS = ("programs", "start", "memory", "gdb", "growth", "peers")
# Takes long, and isn't about time: only where it is asked for.
MORE_PARTS = ("instructions",)
# memtrace's modes that say something about a program that is no tight loop.
PROGRAM_MODES = (
    "full",
    "full, mutations off",
    "full, --skip-var i",
    "full, max-overhead 2x",
    "full --all",
    "--only one function",
    "--only nothing",
    "break, never written",
)
PEER_PROGRAMS = ("loops", "scheduler", "words")


@dataclass
class Plan:
    """How much is measured: bounds in seconds, and how much of what."""

    seconds: float  # of the whole run, after which nothing is begun
    rounds: int
    loops_seconds: float  # rounds of one interpreter on the tight loops are begun for so long
    program_seconds: float  # and on another program
    series_seconds: float  # and on a series of growth
    peer_seconds: float
    peer_bound: float  # a peer that takes longer is ended
    program_modes: tuple[str, ...]
    program_floors: bool  # beside other programs than the tight loops too
    peer_programs: tuple[str, ...]
    memory_events: int
    gdb_events: int = 10**7
    codes: int = 10**5


QUICK = Plan(
    seconds=105,
    rounds=9,
    loops_seconds=4.0,
    program_seconds=0.3,
    series_seconds=0.7,
    peer_seconds=0.5,
    peer_bound=15,
    program_modes=("full", "--only nothing"),
    program_floors=False,
    peer_programs=("loops",),
    memory_events=10**6,
)
FULL = Plan(
    seconds=1100,
    rounds=31,
    loops_seconds=30.0,
    program_seconds=9.0,
    series_seconds=12.0,
    peer_seconds=5.0,
    peer_bound=60,
    program_modes=PROGRAM_MODES,
    program_floors=True,
    peer_programs=PEER_PROGRAMS,
    memory_events=10**7,
)


class Bench:
    """One run: collects the result while it goes."""

    def __init__(self, options: argparse.Namespace, found: list[Interpreter]) -> None:
        self._options = options
        self._plan = QUICK if options.quick else FULL
        seconds = options.seconds or self._plan.seconds + 3600 * options.long
        self._jobs = Jobs(options.lib, options.out / "work", seconds)
        self._found = found
        self._floors: dict[str, str] = {}
        self._failed: dict[str, str] = {}  # interpreter: why it has no floors
        self.result: dict[str, Any] = {
            "format": 1,
            "interpreters": [
                {"path": i.path, "version": i.version, "soabi": i.soabi, "monitors": i.monitors}
                for i in found
            ],
            "programs": [],
            "peers": [],
            "growth": [],
            "instructions": [],
            "start": [],
            "memory": [],
            "event_size": [],
            "attached": {"on": [], "last": []},
            "left_out": [],
            "losses": {},
        }

    # ---- helpers ----------------------------------------------------------------------------

    def _main_two(self) -> list[Interpreter]:
        """The distribution's interpreter, or the first, and the newest: for what need not be
        measured on every version."""
        first = next((i for i in self._found if i.path.startswith("/usr/bin/")), self._found[0])
        return list({i.soabi: i for i in (first, self._found[-1])}.values())

    def _run(
        self, what: str, interpreter: Interpreter, job: dict[str, Any], bound: float
    ) -> dict[str, Any] | None:
        """The job's result, or None when there is no time left for it."""
        if self._jobs.left() <= 0:
            reason = f"{what}, {interpreter.version}: no time left"
            self.result["left_out"].append(reason)
            return None
        print(f"{what}, {interpreter.version}", file=sys.stderr, flush=True)
        found = self._jobs.run(interpreter, job, bound)
        if found.get("losses"):
            self.result["losses"][f"{what}, {interpreter.version}"] = found["losses"]
        return found

    def _rounds(self) -> int:
        return min(self._options.repeat or self._plan.rounds, 1000)

    def _rows(
        self, found: dict[str, Any], common: dict[str, Any], key: str, names: list[str]
    ) -> list[dict[str, Any]]:
        """A row for each name: its figures, or why there are none."""
        rows = []
        for name in names:
            row = {**common, key: name}
            pairs = found.get("pairs", {}).get(name)
            if pairs:
                row.update(results.of_pairs(pairs))
            else:
                failures = found.get("failures", {})
                row["why"] = found.get("error") or failures.get(name) or "not measured"
            rows.append(row)
        return rows

    def _paths(self, interpreter: Interpreter) -> list[str]:
        """Where the floors for an interpreter are; compiled at first use."""
        if interpreter.soabi not in self._floors:
            directory = self._options.out / "work" / "floors" / interpreter.soabi
            why = interpreters.build_floors(interpreter, directory)
            if why:
                self._failed[interpreter.soabi] = why
                self.result["left_out"].append(why)
            self._floors[interpreter.soabi] = str(directory)
        return [self._floors[interpreter.soabi]]

    # ---- parts ------------------------------------------------------------------------------

    def loops(self) -> None:
        """The tight loops, every interpreter, every mode."""
        for interpreter in self._found:
            self._program("loops", interpreter, observers.MODES, self._plan.loops_seconds)

    def programs(self) -> None:
        """The other programs."""
        for name in self._options.programs:
            if name == "loops":
                continue
            for interpreter in self._main_two():
                modes = self._plan.program_modes
                self._program(name, interpreter, modes, self._plan.program_seconds)

    def _program(
        self, name: str, interpreter: Interpreter, modes: tuple[str, ...], seconds: float
    ) -> None:
        paths = self._paths(interpreter)
        common = {"interpreter": interpreter.version, "program": name}
        # The floors are for one thread.
        floors = name == "loops" or (self._plan.program_floors and name not in ("web", "workers"))
        if name == "web" and self._jobs.left() > 0:
            site, missing = peers.install(interpreter, ["bottle"])
            if missing:
                row = {**common, "mode": "full", "why": missing["bottle"]}
                self.result["programs"].append(row)
                return
            paths = [*paths, site]
        job = {
            "kind": "program",
            "program": name,
            "modes": modes,
            "floors": floors and interpreter.soabi not in self._failed,
            "rounds": self._rounds(),
            "seconds": seconds,
            "paths": paths,
        }
        found = self._run(name, interpreter, job, 60 + 5 * seconds)
        if found is None:
            return
        names = list(dict.fromkeys([*found.get("pairs", {}), *found.get("failures", {})]))
        rows = self._rows(found, common, "mode", names or ["full"])
        self.result["programs"] += rows

    def start(self) -> None:
        """Installing with many code objects loaded, and their first sight."""
        for interpreter in self._main_two():
            for traced in (True, False):
                job = {"kind": "start", "codes": self._plan.codes, "traced": traced}
                found = self._run("start", interpreter, job, 120)
                if found is not None:
                    row = {"interpreter": interpreter.version, "traced": traced, **found}
                    self.result["start"].append(row)

    def memory(self) -> None:
        """Memory of the process, and the size of an event."""
        for interpreter in self._main_two():
            job: dict[str, Any] = {"kind": "event_size"}
            found = self._run("event size", interpreter, job, 60)
            if found is not None:
                row = {"interpreter": interpreter.version, **found}
                self.result["event_size"].append(row)
            ways = ["full", "nothing"] + ["store floor"] * interpreter.monitors
            for how in ways:
                job = {
                    "kind": "memory",
                    "how": how,
                    "codes": self._plan.codes,
                    "events": 10**9 if self._options.long else self._plan.memory_events,
                    "paths": self._paths(interpreter),
                }
                seconds = 120 + 1200 * self._options.long
                found = self._run(f"memory, {how}", interpreter, job, seconds)
                if found is not None:
                    row = {"interpreter": interpreter.version, "how": how, **found}
                    self.result["memory"].append(row)

    def gdb(self) -> None:
        """What takes a gdb."""
        for interpreter in self._main_two():
            if self._jobs.left() <= 0:
                self.result["left_out"].append(f"gdb, {interpreter.version}: no time left")
                return
            print(f"gdb, {interpreter.version}", file=sys.stderr, flush=True)
            found = {"on": attached.switch_on(self._jobs, interpreter)}
            if not self.result["attached"]["last"]:
                found["last"] = attached.last(self._jobs, interpreter, self._plan.gdb_events)
            for name, row in found.items():
                self.result["attached"][name].append({"interpreter": interpreter.version, **row})

    def growth(self) -> None:
        """Cost of a store as other things grow."""
        for interpreter in self._main_two():
            for series, (unit, _, _, _) in growth.SERIES.items():
                self._series(series, unit, interpreter)

    def _series(self, series: str, unit: str, interpreter: Interpreter) -> None:
        job = {
            "kind": "series",
            "series": series,
            "rounds": self._rounds(),
            "seconds": self._plan.series_seconds,
            "quick": self._options.quick,
            "long": self._options.long,
        }
        found = self._run(f"growth, {series}", interpreter, job, 120 + 1200 * self._options.long)
        if found is None:
            return
        common = {"interpreter": interpreter.version, "series": series, "unit": unit}
        xs = list(found.get("pairs", {})) or ["0"]
        for row in self._rows(found, common, "x", xs):
            row["x"] = int(row["x"])
            self.result["growth"].append(row)

    def peers(self) -> None:
        """Others, on the newest interpreter; one that can't run there, on an older one."""
        chosen = [
            program for program in self._plan.peer_programs if program in self._options.programs
        ]
        for kind in (observers.Tutorial, *observers.PEERS):
            for program in chosen:
                for interpreter in reversed(self._main_two()):
                    if self._jobs.left() <= 0:
                        self.result["left_out"].append(f"{kind.name}, {program}: no time left")
                        break
                    row = self._peer(kind, program, interpreter)
                    self.result["peers"].append(row)
                    if "ratio" in row:
                        break

    def _peer(
        self, kind: type[observers.Observer], program: str, interpreter: Interpreter
    ) -> dict[str, Any]:
        row = {"interpreter": interpreter.version, "program": program, "peer": kind.name}
        paths = []
        if kind.package:
            site, missing = peers.install(interpreter, [kind.package])
            if missing:
                return {**row, "why": missing[kind.package]}
            paths = [site]
        job = {
            "kind": "peer",
            "program": program,
            "peer": kind.name,
            "rounds": self._rounds(),
            "seconds": self._plan.peer_seconds,
            "paths": paths,
        }
        what = f"{kind.name}, {program}"
        found = self._run(what, interpreter, job, self._plan.peer_bound) or {}
        return self._rows(found, row, "peer", [kind.name])[0]

    def instructions(self) -> None:
        """Machine instructions of the tight loops, by function, on every interpreter."""
        if not instructions.is_there():
            self.result["left_out"].append(f"instructions: {instructions.WHY_NOT}")
            return
        for interpreter in self._found:
            paths = self._paths(interpreter)
            floor = observers.FLOOR_MONITORS if interpreter.monitors else observers.FLOOR_TRACES
            for mode in (observers.UNTRACED, floor, "full", "--only nothing"):
                what = f"instructions, {mode}"
                print(f"{what}, {interpreter.version}", file=sys.stderr, flush=True)
                job = {"kind": "instructions", "program": "loops", "mode": mode, "paths": paths}
                found = instructions.measure(self._jobs, self._options.out, interpreter, job)
                row = {"interpreter": interpreter.version, "mode": mode}
                self.result["instructions"].append({**row, **found})

    def run(self) -> None:
        """Everything that was asked for."""
        parts = self._options.parts
        if "programs" in parts and "loops" in self._options.programs:
            self.loops()
        for name in ("memory", "start", "gdb", "growth", "peers", "programs", "instructions"):
            if name in parts:
                getattr(self, name)()


def _machine() -> dict[str, Any]:
    cpu = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}


def _revision() -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except FileNotFoundError:
        return "of no git"
    return done.stdout.strip() or "of no checkout"


def _names(allowed: tuple[str, ...], text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in allowed:
            raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(allowed)}")
    return names


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure memtrace beside an untraced run, floors and peers; write a table, "
        "JSON and a chart.",
    )
    parser.add_argument("--quick", action="store_true", help="two minutes instead of twenty")
    parser.add_argument("--long", action="store_true", help="also what takes hours: 10^9 events")
    parser.add_argument("--seconds", type=float, help="begin nothing after so long")
    parser.add_argument("--repeat", type=int, help="rounds at most (a bound in time is kept too)")
    parser.add_argument("--out", type=Path, default=_ROOT / "build" / "bench", help="folder")
    parser.add_argument("--lib", type=Path, required=True, help="folder of the helpers")
    parser.add_argument("--pythons", nargs="+", help="interpreters, instead of all that are found")
    parser.add_argument(
        "--programs",
        type=lambda text: _names(programs.NAMES, text),
        default=list(programs.NAMES),
        help="with commas: " + ", ".join(programs.NAMES),
    )
    parser.add_argument(
        "--parts",
        type=lambda text: _names(PARTS + MORE_PARTS, text),
        default=list(PARTS),
        help="with commas: " + ", ".join(PARTS) + " (these unless given), " + ", ".join(MORE_PARTS),
    )
    options = parser.parse_args(arguments)
    options.out, options.lib = options.out.resolve(), options.lib.resolve()
    return options


def _interpreters(options: argparse.Namespace) -> list[Interpreter]:
    if not options.pythons:
        return interpreters.find(options.lib)
    found = []
    for path in options.pythons:
        interpreter = interpreters.ask(path)
        if interpreter is None:
            sys.exit(f"bench: {path} is no CPython 3.8 or later")
        found.append(interpreter)
    return sorted(found, key=lambda interpreter: interpreter.hex)


def main() -> None:
    options = _options(sys.argv[1:])
    found = _interpreters(options)
    if not found:
        sys.exit(f"bench: no interpreter that a helper in {options.lib} was built for")
    began = time.monotonic()
    bench = Bench(options, found)
    result = bench.result
    result["started"] = time.strftime("%Y-%m-%d %H:%M:%S %z")
    result["memtrace"] = _revision()
    result["machine"] = _machine()
    result["options"] = {"quick": options.quick, "long": options.long, "repeat": options.repeat}
    bench.run()
    result["machine"]["load_after"] = os.getloadavg()[0]
    result["seconds"] = time.monotonic() - began
    result["figures"] = figures.table(result)
    text = report.text(result)
    (options.out / "bench.json").write_text(json.dumps(result, indent=1))
    (options.out / "bench.txt").write_text(text)
    print(text, end="")
    try:
        from . import chart
    except ImportError as error:  # in a suite of scripts/matrix, say
        print(f"\nwritten: {options.out}/bench.txt, bench.json; no chart: {error}")
        return
    chart.draw(result, options.out / "bench.svg")
    print(f"\nwritten: {options.out}/bench.txt, bench.json, bench.svg")


if __name__ == "__main__":
    main()
