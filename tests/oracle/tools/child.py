"""Runs work.py under another tool, with or without memtrace; the child of test_tools.py.

    child.py OUTPUT TOOL[:OPTION=VALUE;…] STEP…

The steps are taken one by one, with a phase of work.py behind each: `tool` starts the tool,
`end` stops it, `on`, `again` and `off` are memtrace's, `-` is nothing. TOOL is a name of TOOLS, or
`none`. Writes one JSON object to OUTPUT:

    tool      what the tool found, comparable between runs
    phases    for each step the events that memtrace recorded in the phase behind it
    requests  for each request to memtrace, status and detail text
    tracers   for each phase, memtrace's report of another tracer: threads, name
    lost      memtrace's counts of what it could not record
"""

from __future__ import annotations

import functools
import io
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import harness  # noqa: E402 (needs the path)
import work  # noqa: E402

WORK = work.__file__


# ---- tools ---------------------------------------------------------------------------------


class Tool:
    """What begins and ends while work.py runs, and sees something of it."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def idle(self) -> None:
        """What comes with the step `-`."""

    def result(self) -> Any:
        return None


class Coverage(Tool):
    """coverage.py; options: core, branch."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        os.environ["COVERAGE_CORE"] = options["core"]
        import coverage

        self._coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[WORK], branch=options["branch"] == "1"
        )
        self.start, self.stop = self._coverage.start, self._coverage.stop

    def result(self) -> Any:
        core = dict(self._coverage.sys_info())
        data = self._coverage.get_data()
        return {
            "core": str(core.get("core", core.get("CTracer"))),
            "lines": sorted(data.lines(WORK) or []),
            "arcs": sorted(data.arcs(WORK) or []),
        }


class CProfile(Tool):
    """cProfile: calls of each function of work.py, by caller."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        import cProfile

        self._profile = cProfile.Profile()
        self.start, self.stop = self._profile.enable, self._profile.disable

    def result(self) -> Any:
        self._profile.create_stats()
        found = []
        for (file, line, name), (calls, all_calls, _, _, callers) in self._profile.stats.items():
            if file != WORK:
                continue
            by = sorted(
                [where[2], counts[0], counts[1]]
                for where, counts in callers.items()
                if where[0] == WORK
            )
            found.append([name, line, calls, all_calls, by])
        return sorted(found)


class Profile(Tool):
    """profile, the one in Python: it needs whole calls, so each phase has its own."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self._phase = work.phase
        self._found: list[list] = []

    def start(self) -> None:
        work.phase = self._profiled

    def stop(self) -> None:
        work.phase = self._phase

    def _profiled(self, *arguments: Any) -> Any:
        import profile

        one = profile.Profile()
        result = one.runcall(self._phase, *arguments)
        one.create_stats()
        self._found.append(
            sorted(
                [name, line, calls, all_calls]
                for (file, line, name), (calls, all_calls, *_) in one.stats.items()
                if file == WORK
            )
        )
        return result

    def result(self) -> Any:
        return self._found


class Settrace(Tool):
    """A tracer of Python's own kind; options: opcodes, direct (no Python call around
    sys.settrace)."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self._seen: dict[str, list[list]] = {}
        self._opcodes = options.get("opcodes") == "1"
        if options.get("direct") == "1":
            # Callables in C: the frame that runs them sees no Python call.
            self.start = functools.partial(sys.settrace, self.trace)
            self.stop = functools.partial(sys.settrace, None)
            self.idle = self.watch

    def watch(self) -> None:
        """Have the frames that run already traced too, once a tracer is set."""
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename == WORK:
                frame.f_trace = self.trace
            frame = frame.f_back

    def start(self) -> None:
        threading.settrace(self.trace)
        self.watch()
        sys.settrace(self.trace)

    def stop(self) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        frame = sys._getframe()
        while frame is not None:
            if frame.f_code.co_filename == WORK:
                del frame.f_trace
            frame = frame.f_back

    def trace(self, frame: Any, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code.co_filename != WORK:
            return None
        if self._opcodes:
            frame.f_trace_opcodes = True
        seen = self._seen.setdefault(threading.current_thread().name.split("-")[0], [])
        place = frame.f_lasti if event == "opcode" else frame.f_lineno
        seen.append([event, code.co_name, place])
        return self.trace

    def result(self) -> Any:
        return self._seen


class Setprofile(Tool):
    """A profiler of Python's own kind."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self._seen: list[list] = []

    def start(self) -> None:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def stop(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]

    def _profile(self, frame: Any, event: str, argument: Any) -> None:
        if frame.f_code.co_filename == WORK:
            name = getattr(argument, "__name__", "") if event.startswith("c_") else ""
            self._seen.append([event, frame.f_code.co_name, frame.f_lineno, name])

    def result(self) -> Any:
        return self._seen


class Pdb(Tool):
    """pdb with a script; it ends by its own `continue`. Options: script."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        import pdb

        self._output = io.StringIO()
        commands = io.StringIO(options["script"].replace(",", "\n") + "\n")
        self._pdb = pdb.Pdb(stdin=commands, stdout=self._output, nosigint=True, readrc=False)

    def start(self) -> None:
        frame = sys._getframe()
        while frame.f_code.co_filename != WORK:
            frame = frame.f_back
        self._pdb.set_trace(frame)

    def result(self) -> Any:
        return self._output.getvalue().splitlines()


class Monitoring(Tool):
    """A tool of sys.monitoring: how often each line ran. Options: disable (say DISABLE, so that
    each counts once), restart (call restart_events before each phase), id."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self._counts: dict[str, int] = {}
        self._id = int(options.get("id", "0"))
        self._answer = sys.monitoring.DISABLE if options.get("disable") == "1" else None
        phase = work.phase

        def restarted(*arguments):
            sys.monitoring.restart_events()
            return phase(*arguments)

        if options.get("restart") == "1":
            work.phase = restarted

    def start(self) -> None:
        monitoring = sys.monitoring
        monitoring.use_tool_id(self._id, "counter")
        events = monitoring.events
        for event in (events.LINE, events.INSTRUCTION, events.BRANCH, events.PY_YIELD):
            monitoring.register_callback(
                self._id, event, lambda code, *rest, e=event: self._count(code, e, rest)
            )
        monitoring.set_events(
            self._id, events.LINE | events.INSTRUCTION | events.BRANCH | events.PY_YIELD
        )

    def stop(self) -> None:
        sys.monitoring.set_events(self._id, 0)
        sys.monitoring.free_tool_id(self._id)

    def _count(self, code: Any, event: int, rest: tuple) -> Any:
        if code.co_filename == WORK:
            key = f"{code.co_name} {event} {rest[0]}"
            self._counts[key] = self._counts.get(key, 0) + 1
        return self._answer

    def result(self) -> Any:
        return dict(sorted(self._counts.items()))


class Ids(Tool):
    """Takes every tool id that memtrace could have."""

    NAMES = {3: "badger", 4: "squirrel", 5: "stoat"}

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self._seen: dict[str, str] = {}

    def start(self) -> None:
        for number, name in self.NAMES.items():
            sys.monitoring.use_tool_id(number, name)

    def stop(self) -> None:
        for number in self.NAMES:
            self._seen[str(number)] = sys.monitoring.get_tool(number)
            sys.monitoring.free_tool_id(number)

    def result(self) -> Any:
        return self._seen


TOOLS: dict[str, Callable[[dict[str, str]], Tool]] = {
    "none": Tool,
    "coverage": Coverage,
    "cprofile": CProfile,
    "profile": Profile,
    "settrace": Settrace,
    "setprofile": Setprofile,
    "pdb": Pdb,
    "monitoring": Monitoring,
    "ids": Ids,
}


# ---- memtrace ------------------------------------------------------------------------------


class Recording(harness.MemtraceRecording):
    """Like the harness's, but a request may be refused, and events are told by phase."""

    def __init__(self) -> None:
        super().__init__([f"only={WORK}"])
        self.requests: list[list] = []
        self.ends: list[int] = []  # of each phase: number of the next event
        self.tracers: list[list] = []

    def again(self) -> None:
        """`memtrace on` once more."""
        self._request(["verb=change", f"value-size={harness.VALUE_BYTES}", *self._lines])

    def _request(self, lines: list[str]) -> None:
        status = self._abi.Status(self._send(lines))
        self.requests.append([status.name, self.control.detail.decode()])

    def end_phase(self) -> None:
        control = self.control
        self.ends.append(control.next_seq)
        self.tracers.append([control.tracer_threads, self._abi.text(control.tracer)])

    def phases(self) -> list[list[dict]]:
        found: list[list[dict]] = [[] for _ in self.ends]
        for event in harness.read_buffer(self.control):
            phase = sum(event["seq"] >= end for end in self.ends[:-1])
            found[phase].append(event)
        return found


def main(arguments: list[str]) -> None:
    output, what, *names = arguments
    name, _, text = what.partition(":")
    options = dict(option.split("=", 1) for option in text.split(";") if option)
    tool = TOOLS[name](options)
    recording = Recording() if {"on", "off"} & set(names) else None
    verbs: dict[str, Callable[[], None]] = {
        "-": tool.idle,
        "tool": tool.start,
        "end": tool.stop,
    }
    if recording:
        verbs.update({"on": recording.start, "off": recording.stop, "again": recording.again})
    sys.setswitchinterval(1000)  # threads switch where they block, nowhere else
    after = recording.end_phase if recording else lambda: None
    # All of one type, so that work.py's own variables are the same with and without.
    work.across([(functools.partial(verbs[step]), after) for step in names])
    found: dict[str, Any] = {"tool": tool.result()}
    if recording:
        found.update(
            phases=recording.phases(),
            requests=recording.requests,
            tracers=recording.tracers,
            lost=recording.lost(),
        )
    with open(output, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        sys.exit(1)
