"""Two tools at once: coverage, profilers, tracers and debuggers beside memtrace, in every order.

Neither disturbs the other. What the tool finds is the same with and without memtrace, and what
memtrace records is the same with and without the tool; but a thread has room for one tracer up
to CPython 3.11, and there the tool has it. The runs are those of tools/child.py.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import harness
import interpreters
import pytest
from interpreters import Interpreter
from memtrace import reader

HERE = Path(__file__).resolve().parent
CHILD = HERE / "tools" / "child.py"
SECONDS = 300
WITH_HELPER = interpreters.with_helper(reader.library_directories())
USABLE = [one for one in WITH_HELPER if one.has_gil]
MONITORING = (3, 12)  # from here on tools don't get in each other's way

# Each step has a phase of the program behind it. `again`: memtrace's options are set anew.
ORDERS = {
    "tool-on-end-off": ("-", "tool", "on", "end", "off"),
    "tool-on-off-end": ("-", "tool", "on", "again", "off", "end"),
    "on-tool-end-off": ("-", "on", "tool", "again", "end", "off"),
    "on-tool-off-end": ("-", "on", "tool", "-", "off", "end"),
    "on-off-on-tool": ("-", "on", "off", "on", "tool", "off", "on", "end", "off"),
}
COVERAGE = "coverage:core={};branch={}".format


class Tool(NamedTuple):
    """One of child.py's tools."""

    what: str  # name and options, for child.py
    holder: str = ""  # how memtrace names it where it takes a thread's only place for a tracer
    since: tuple[int, int] = (3, 8)
    ends_itself: bool = False  # in the phase behind its start
    counts_disabled: bool = False  # sees places again that others' restart_events() brings back


TOOLS = {
    "coverage-ctrace": Tool(
        COVERAGE("ctrace", 1), r"coverage\.CTracer \(.*/coverage/tracer\..*so\)"
    ),
    "coverage-pytrace": Tool(
        COVERAGE("pytrace", 1), r"PyTracer\._trace \(.*/coverage/pytracer\.py\)"
    ),
    "coverage-sysmon": Tool(COVERAGE("sysmon", 0), since=MONITORING),
    "coverage-sysmon-branches": Tool(COVERAGE("sysmon", 1), since=(3, 14)),
    "cProfile": Tool("cprofile"),
    "profile": Tool("profile"),
    "setprofile": Tool("setprofile"),
    "settrace": Tool("settrace", r"Settrace\.trace \(.*/child\.py\)"),
    "settrace-by-C": Tool("settrace:direct=1", r"Settrace\.trace \(.*/child\.py\)"),
    "settrace-opcodes": Tool("settrace:opcodes=1", r"Settrace\.trace \(.*/child\.py\)"),
    "pdb": Tool(
        "pdb:script=n,s,n,n,p number,w,u,p begun,c",
        r"Bdb\.trace_dispatch of a Pdb \(.*/bdb\.py\)",
        ends_itself=True,
    ),
    "pdb-breakpoint": Tool(
        "pdb:script=b work.classify,c,p number,r,c,cl 1,c",
        r"Bdb\.trace_dispatch of a Pdb \(.*/bdb\.py\)",
        ends_itself=True,
    ),
    "monitoring": Tool("monitoring", since=MONITORING),
    "monitoring-restarts": Tool("monitoring:restart=1", since=MONITORING),
    "monitoring-disables": Tool("monitoring:disable=1", since=MONITORING, counts_disabled=True),
}

# Each way of being called by the interpreter in every order; the others where it matters most.
# New options (`again`, a second `on`) restart events, which is for all tools (PEP 669): one that
# counts places that it had disabled would count them twice.
IN_EVERY_ORDER = ("coverage-ctrace", "coverage-sysmon", "cProfile", "settrace")
IN_ANY_CASE = ("tool-on-off-end", "on-tool-end-off")
WITHOUT_RESTART = ("tool-on-end-off", "on-tool-off-end")
CASES = [
    pytest.param(interpreter, name, order, id=f"{interpreter}-{name}-{order}")
    for interpreter in USABLE
    for name, tool in TOOLS.items()
    if interpreter.version >= tool.since
    for order in ORDERS
    if name in IN_EVERY_ORDER
    or order in (WITHOUT_RESTART if tool.counts_disabled else IN_ANY_CASE)
]


# ---- runs ----------------------------------------------------------------------------------


@functools.cache
def coverage_directory(interpreter: Interpreter) -> tuple[str, str]:
    """Where coverage can be imported from, and why there is none."""
    sys.path.append(str(HERE.parent.parent / "scripts"))
    from benchmarks import interpreters as asked
    from benchmarks import peers

    one = asked.ask(interpreter.path)
    assert one is not None
    lock = Path(tempfile.gettempdir()) / f"memtrace-peers-{os.getuid()}-{one.soabi}.lock"
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another worker of pytest's may make the same
        directory, missing = peers.install(one, ["coverage"])
    return directory, missing.get("coverage", "")


@functools.cache
def run(interpreter: Interpreter, what: str, steps: tuple[str, ...]) -> dict[str, Any]:
    """What the child found."""
    paths = []
    if what.startswith("coverage"):
        directory, missing = coverage_directory(interpreter)
        if missing:
            pytest.skip(f"no coverage for CPython {interpreter}: {missing}")
        if "ctrace" in what and not list(Path(directory, "coverage").glob("tracer.*.so")):
            pytest.skip(f"coverage has no tracer in C for CPython {interpreter}")
        paths.append(directory)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment.update(PYTHONPATH=os.pathsep.join(paths), PYTHONDONTWRITEBYTECODE="1")
    with tempfile.NamedTemporaryFile("r", prefix="memtrace-tools-", encoding="utf-8") as output:
        command = [interpreter.path, "-s", str(CHILD), output.name, what, *steps]
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
        shown = f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}"
        assert done.returncode == 0 and not done.stdout, shown
        return json.load(output)


def without(steps: tuple[str, ...], *others: str) -> tuple[str, ...]:
    return tuple("-" if step in others else step for step in steps)


def alone(interpreter: Interpreter, what: str, steps: tuple[str, ...]) -> Any:
    """What the tool finds without memtrace."""
    return run(interpreter, what, without(steps, "on", "off", "again"))["tool"]


def unaccompanied(interpreter: Interpreter, steps: tuple[str, ...]) -> list[list[dict]]:
    """What memtrace records without the tool, by phase."""
    return run(interpreter, "none", without(steps, "tool", "end"))["phases"]


# ---- comparing -----------------------------------------------------------------------------


def held_phases(tool: Tool, interpreter: Interpreter, steps: tuple[str, ...]) -> set[int]:
    """The phases in which the tool has the main thread's only place for a tracer."""
    if not tool.holder or interpreter.version >= MONITORING:
        return set()
    begin = steps.index("tool")
    return set(range(begin, begin + 1 if tool.ends_itself else steps.index("end")))


def recorded_phases(steps: tuple[str, ...]) -> set[int]:
    """The phases in which memtrace is on."""
    recorded, is_on = set(), False
    for number, step in enumerate(steps):
        is_on = (is_on or step == "on") and step != "off"
        if is_on:
            recorded.add(number)
    return recorded


def is_loop_head(event: dict) -> bool:
    """The stores of `for number, (step, after) in …` come before the step is taken."""
    return event["function"] == "across" and event["name"] in ("number", "step", "after")


def key(event: dict) -> tuple:
    return tuple(event[field] for field in ("function", "line", "kind", "name", "scope"))


def check_held_phase(expected: list[dict], actual: list[dict], whole: bool) -> None:
    """The tool had the main thread, the `whole` time or a part of it; nobody the other thread."""
    main = [event for event in actual if event["thread"] == event["pid"]]
    if whole:
        shown = [harness.show(event) for event in main if not is_loop_head(event)]
        assert not shown, shown
    assert {key(event) for event in actual} <= {key(event) for event in expected}
    found = harness.difference(
        *([event for event in part if event["function"] == "worker"] for part in (expected, actual))
    )
    assert found is None, found


def check_events(
    expected: list[list[dict]], actual: list[list[dict]], held: set[int], whole: bool
) -> None:
    assert any(len(phase) > 50 for phase in expected), "hardly anything was recorded"
    assert len(expected) == len(actual)
    for number, (one, other) in enumerate(zip(expected, actual)):
        if number in held:
            check_held_phase(one, other, whole)
            continue
        if number - 1 in held:
            one, other = ([e for e in part if not is_loop_head(e)] for part in (one, other))
        found = harness.difference(one, other)
        assert found is None, f"in phase {number}: {found}"


def check_reports(
    found: dict[str, Any], tool: Tool, steps: tuple[str, ...], held: set[int]
) -> None:
    """Memtrace says who holds a thread, for as long as it does, and that something is lost."""
    requests = [step for step in steps if step in ("on", "off", "again")]
    at = [number for number, step in enumerate(steps) if step in ("on", "off", "again")]
    for number, request, (status, detail) in zip(at, requests, found["requests"]):
        assert status == "OK", detail
        if number in held and request != "off" and not tool.ends_itself:
            assert re.match(f"1 of 2 threads left alone: .*{tool.holder}", detail), detail
        else:
            assert not detail
    seen_at = held & recorded_phases(steps)
    for number in recorded_phases(steps):
        threads, name = found["tracers"][number]
        # Threads of the phase's own may have ended since.
        assert bool(threads) == (number in held and not tool.ends_itself), (number, threads, name)
        if number in seen_at:
            assert re.fullmatch(tool.holder, name), name
    left = seen_at and max(seen_at) + 1 in recorded_phases(steps)
    assert set(found["lost"]) <= ({"lost_foreign_tracer"} if seen_at else set()), found["lost"]
    assert not left or found["lost"]["lost_foreign_tracer"] > 0


# ---- tests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("interpreter", [one for one in WITH_HELPER if not one.has_gil], ids=str)
def test_tools_without_the_gil(interpreter: Interpreter) -> None:
    pytest.skip(
        f"{interpreter}: a second tool on the same code makes CPython forget the first one's "
        "events, and what repairs it isn't safe without the GIL (README, limits)"
    )


@pytest.mark.parametrize(("interpreter", "name", "order"), CASES)
def test_a_tool_and_memtrace_leave_each_other_alone(
    interpreter: Interpreter, name: str, order: str
) -> None:
    tool, steps = TOOLS[name], ORDERS[order]
    both = run(interpreter, tool.what, steps)
    expected = alone(interpreter, tool.what, steps)
    assert len(json.dumps(expected)) > 150, f"the tool found hardly anything: {expected}"
    assert both["tool"] == expected
    held = held_phases(tool, interpreter, steps)
    check_events(unaccompanied(interpreter, steps), both["phases"], held, not tool.ends_itself)
    check_reports(both, tool, steps, held)


@pytest.mark.parametrize(
    "interpreter", [one for one in USABLE if one.version >= MONITORING], ids=str
)
def test_memtrace_names_the_tools_that_have_every_tool_id(interpreter: Interpreter) -> None:
    found = run(interpreter, "ids", ("-", "tool", "on", "end", "on", "off"))
    refused, taken, off = found["requests"]
    assert refused[0] == "NO_TOOL_ID"
    assert "4: squirrel, 3: badger, 5: stoat" in refused[1]
    assert taken == ["OK", ""] and off == ["OK", ""]
    assert not found["phases"][2] and len(found["phases"][4]) > 50
    assert found["tool"] == {"3": "badger", "4": "squirrel", "5": "stoat"}
