"""Runs a program under the oracle and under memtrace, each in a fresh process, and compares.

As a module it is for the tests: `compare_program`, `compare_generated`, `record`. As a
script it is the child that runs the programs:

    harness.py oracle|memtrace|plain OUTPUT PROGRAM
    harness.py oracle|memtrace OUTPUT --generated FIRST_SEED COUNT

and writes one JSON event a line to OUTPUT. A header line of a program,
`# memtrace: rebound=1`, is a line of the install request (helper/memtrace.h, "The
request"); the oracle knows `rebound`, `only` and `skip-var`.

The memtrace child needs no gdb: it loads the helper itself, writes the request into the
mailbox, calls memtrace_serve_here() and reads the buffer with libmemtrace-reader.so.
MEMTRACE_ORACLE_REQUEST in its environment has further lines for that request.
"""

from __future__ import annotations

import collections
import ctypes
import fnmatch
import gc
import glob
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT / "gdbplugin")]

BUFFER_BYTES = 64 * 1024 * 1024
VALUE_BYTES = 512  # the largest: the oracle does not cut values
CHILD_SECONDS = 300
FIELDS = (
    "activation",
    "thread",
    "function",
    "file",
    "line",
    "kind",
    "scope",
    "name",
    "old",
    "new",
    "old_type",
    "new_type",
)


# ---- what the tests call -----------------------------------------------------------------


class Run:
    """What one child did."""

    def __init__(self, events: list[dict], output: str) -> None:
        self.events = events
        self.output = output


def helper_path() -> Path:
    """The helper for this interpreter, from where the plugin looks for the reader."""
    from memtrace import reader

    name = f"memtrace-{sysconfig.get_config_var('SOABI')}.so"
    directories = reader.library_directories()
    for directory in directories:
        if (directory / name).is_file():
            return directory / name
    raise FileNotFoundError(f"{name} is in none of {', '.join(map(str, directories))}; build it")


def record(how: str, *what: str, python: str = sys.executable) -> Run:
    """Run `what` (a program, or --generated SEED COUNT) in a child: oracle, memtrace, plain."""
    with tempfile.TemporaryDirectory(prefix="memtrace-oracle-") as directory:
        output = os.path.join(directory, "events")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("PYTHON")
        }
        environment.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1")
        command = [python, "-s", str(HERE / "harness.py"), how, output, *what]
        child = subprocess.run(
            command,
            env=environment,
            timeout=CHILD_SECONDS,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if child.returncode:
            raise AssertionError(
                f"{' '.join(command)}: exit status {child.returncode}\n{child.stdout}{child.stderr}"
            )
        with open(output, encoding="utf-8", errors="surrogatepass") as file:
            events = [json.loads(line) for line in file]
    return Run(events, child.stdout + child.stderr)


def compare_program(program: str | Path, python: str = sys.executable) -> str | None:
    """The first difference between oracle and memtrace on one program, or None."""
    expected = record("oracle", str(program), python=python)
    actual = record("memtrace", str(program), python=python)
    if not expected.events:
        return f"{program}: the oracle saw no event"
    return difference(expected.events, actual.events)


def compare_generated(
    first_seed: int, count: int, python: str = sys.executable, version: tuple = sys.version_info
) -> str | None:
    """The same for `count` generated programs: seed, program and first difference."""
    import generate

    what = ("--generated", str(first_seed), str(count))
    expected = _by_file(record("oracle", *what, python=python).events)
    actual = _by_file(record("memtrace", *what, python=python).events)
    for seed in range(first_seed, first_seed + count):
        name = generate.file_name(seed)
        found = difference(expected[name], actual[name])
        if found is not None or not expected[name]:
            numbered = "\n".join(
                f"{number:4} {line}"
                for number, line in enumerate(generate.program(seed, version).splitlines(), 1)
            )
            return f"seed {seed}:\n{numbered}\n{found or 'the oracle saw no event'}"
    return None


def difference(expected: list[dict], actual: list[dict]) -> str | None:
    """The first event in which two recordings differ, with the events before it; or None."""
    expected, actual = _comparable(expected), _comparable(actual)
    for index in range(max(len(expected), len(actual))):
        one = expected[index] if index < len(expected) else None
        other = actual[index] if index < len(actual) else None
        if one == other:
            continue
        before = "".join(f"    {show(event)}\n" for event in expected[max(0, index - 5) : index])
        fields = ""
        if one and other:
            fields = "differ in: " + ", ".join(
                f"{key} ({one[key]!r}, {other[key]!r})" for key in FIELDS if one[key] != other[key]
            )
        return (
            f"event {index + 1} of {len(expected)} (oracle) and {len(actual)} (memtrace)\n"
            f"{before}oracle:   {show(one)}\nmemtrace: {show(other)}\n{fields}"
        )
    return None


def lines(events: list[dict]) -> list[str]:
    """The recording as text, as tests/oracle/expected has it: the same in every run."""
    return [show(event) for event in _comparable(events)]


def show(event: dict | None) -> str:
    """One event as a line."""
    if event is None:
        return "nothing"
    change = {"NEW": f" = {event['new']}", "DELETED": f" (was {event['old']})"}.get(
        event["kind"], f": {event['old']} → {event['new']}"
    )
    return (
        f"{event['thread']}/{event['activation']} [{event['function']}:{event['line']}] "
        f"{event['kind']} {event['scope']} {event['name']}{change}"
    )


def _comparable(events: list[dict]) -> list[dict]:
    """The fields that must agree; threads and activations numbered as they appear."""
    import values

    threads: dict[int, int] = {}
    activations: dict[int, int] = {}
    found = []
    for event in events:
        kept = {key: event[key] for key in FIELDS}
        kept["thread"] = threads.setdefault(event["thread"], len(threads) + 1)
        kept["activation"] = activations.setdefault(event["activation"], len(activations) + 1)
        for key in ("name", "old", "new"):
            if kept[key] is not None:
                kept[key] = values.without_addresses(kept[key])
        found.append(kept)
    return found


def _by_file(events: list[dict]) -> dict[str, list[dict]]:
    found = collections.defaultdict(list)
    for event in events:
        found[event["file"]].append(event)
    return found


# ---- the child ---------------------------------------------------------------------------


def request_lines(source: str) -> list[str]:
    """What the program's header adds to the install request."""
    mark = "# memtrace: "
    return [line[len(mark) :].strip() for line in source.splitlines() if line.startswith(mark)]


class OracleRecording:
    """Records with oracle.py, in this process."""

    def __init__(self, lines: list[str]) -> None:
        import oracle

        globs = [line[len("only=") :] for line in lines if line.startswith("only=")]
        self._oracle = oracle.Oracle(
            lambda file: any(fnmatch.fnmatchcase(file, glob) for glob in globs),
            rebound="rebound=1" in lines,
        )
        self._skipped = [line[len("skip-var=") :] for line in lines if line.startswith("skip-var=")]

    def start(self) -> None:
        self._oracle.start()

    def stop(self) -> None:
        self._oracle.stop()

    def events(self) -> list[dict]:
        if self._oracle.failure:
            raise RuntimeError(f"the oracle failed: {self._oracle.failure}")
        return [event for event in self._oracle.events if not self._skips(event)]

    def _skips(self, event: dict) -> bool:
        # An item has its container's name. Programs that skip have no [ in their keys.
        name = event["name"].rpartition("[")[0] if event["scope"] == "item" else event["name"]
        return any(fnmatch.fnmatchcase(name, glob) for glob in self._skipped)


class MemtraceRecording:
    """Records with the helper, loaded into this process."""

    def __init__(self, lines: list[str]) -> None:
        from memtrace import abi

        self._abi = abi
        self._lines = [*lines, *os.environ.get("MEMTRACE_ORACLE_REQUEST", "").split()]
        helper = ctypes.PyDLL(str(helper_path()))
        helper.memtrace_open.restype = ctypes.POINTER(abi.Control)
        helper.memtrace_open.argtypes = [ctypes.c_uint64]
        self._serve = helper.memtrace_serve_here
        self._control = helper.memtrace_open(BUFFER_BYTES)
        if not self._control:
            raise RuntimeError("memtrace_open failed")

    @property
    def control(self) -> Any:
        """The control block, as it is now."""
        return self._control.contents

    def start(self) -> None:
        self._request(["verb=install", f"value-size={VALUE_BYTES}", *self._lines])

    def stop(self) -> None:
        self._request(["verb=remove"])

    def _request(self, lines: list[str]) -> None:
        status = self._send(lines)
        if status:
            name, detail = self._abi.Status(status).name, self.control.detail.decode()
            raise RuntimeError(f"memtrace: {name}: {detail}")

    def _send(self, lines: list[str]) -> int:
        """Have the helper carry out a request, and return its status. No call of Python code
        follows: the helper would look at it, and which looks it times goes by their number."""
        control = self.control
        control.request = "".join(f"{line}\n" for line in lines).encode()
        control.request_number = control.done_number + 1
        return self._serve()

    def lost(self) -> dict[str, int]:
        """The counters of what could not be recorded that are not 0."""
        control = self.control
        return {
            name: getattr(control, name)
            for name, _ in control._fields_
            if name.startswith("lost_") and getattr(control, name)
        }

    def events(self) -> list[dict]:
        lost = self.lost()
        if lost:
            raise RuntimeError(f"memtrace lost events: {lost}")
        return read_buffer(self.control)


def read_buffer(control: Any) -> list[dict]:
    """Every event of the buffer, with the field names of `memtrace log --json`."""
    from memtrace import reader, render

    opened = reader.Reader.open_memory(control)
    return [json.loads(render.as_json(event)) for event in opened.events()]


def run_program(source: str, path: str) -> None:
    """Run a program as __main__; an exception that leaves it is printed by its type."""
    main: dict[str, Any] = {"__name__": "__main__", "__file__": path}
    try:
        exec(compile(source, path, "exec"), main)
    except BaseException as error:
        print(f"{type(error).__name__} left the program at {_lines_of(error, path)}")


def _lines_of(error: BaseException, path: str) -> str:
    return " ".join(
        f"line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    )


def main(arguments: list[str]) -> None:
    how, output, *what = arguments
    if what[0] == "--generated":
        import generate

        seeds = range(int(what[1]), int(what[1]) + int(what[2]))
        programs = [(generate.program(seed), generate.file_name(seed)) for seed in seeds]
        lines = ["only=" + generate.file_name("*"), "rebound=1"]
    else:
        programs = [(Path(what[0]).read_text(encoding="utf-8"), what[0])]
        lines = ["only=" + glob.escape(what[0])] + request_lines(programs[0][0])
    gc.disable()  # when it runs depends on what is allocated
    sys.setswitchinterval(1000)  # threads switch where they block, nowhere else
    recordings = {"oracle": OracleRecording, "memtrace": MemtraceRecording}
    recording = recordings[how](lines) if how in recordings else None
    if recording:
        recording.start()
    try:
        for source, path in programs:
            run_program(source, path)
    finally:
        if recording:
            recording.stop()
    with open(output, "w", encoding="utf-8", errors="surrogatepass") as file:
        for event in recording.events() if recording else ():
            file.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        sys.exit(1)
