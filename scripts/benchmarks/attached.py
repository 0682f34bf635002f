"""What only gdb can do: how long its commands take on a process it is attached to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from .interpreters import Interpreter
from .jobs import Jobs

_PLUGIN = Path(__file__).resolve().parents[2] / "gdbplugin" / "memtrace-gdb.py"
SWITCH_ON_TIMES = 5
BUFFER_BYTES = 512 * 1024 * 1024  # ten million events and some room


def _python(statement: str) -> list[str]:
    return ["-ex", f"python {statement}"]


def _timed(name: str, command: str) -> list[str]:
    """gdb arguments that run a command of gdb's and print how long it took."""
    return [
        *_python("import time; began = time.monotonic()"),
        "-ex",
        command,
        *_python(f"print('took {name}', time.monotonic() - began)"),
    ]


def _gdb(lib: Path, pid: int, arguments: list[str]) -> tuple[dict[str, float], str]:
    """Seconds by name, and all that gdb said."""
    command = ["gdb", "-q", "-nx", "-batch", "-iex", "set auto-load off"]
    command += ["-iex", "set debuginfod enabled off", "-p", str(pid)]
    command += ["-ex", f"source {_PLUGIN}", *arguments, "-ex", "detach"]
    environment = {**os.environ, "MEMTRACE_LIB": str(lib)}
    done = subprocess.run(
        command,
        env=environment,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    took = re.findall(r"^took (\w+) ([0-9.e-]+)$", done.stdout, re.MULTILINE)
    return {name: float(seconds) for name, seconds in took}, done.stdout


def _with_child(
    jobs: Jobs, interpreter: Interpreter, events: int, arguments: list[str]
) -> dict[str, Any]:
    job = {"kind": "await_gdb", "events": events, "buffer_bytes": BUFFER_BYTES}
    command, ready = jobs.command(interpreter, job)
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=jobs.environment(),
    )
    try:
        ends = time.monotonic() + 120
        while not ready.exists():
            if child.poll() is not None or time.monotonic() > ends:
                return {"error": "the process did not become ready"}
            time.sleep(0.05)
        told: dict[str, Any] = json.loads(ready.read_text())
        if "error" in told:
            return told
        seconds, output = _gdb(jobs.lib, child.pid, arguments)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    finally:
        child.kill()
        child.wait()
    if not seconds:
        lines = output.strip().splitlines()
        return {"error": lines[-1] if lines else "gdb said nothing"}
    return {"events": told["events"], "seconds": seconds}


def switch_on(jobs: Jobs, interpreter: Interpreter) -> dict[str, Any]:
    """`memtrace on` in a process that waits for input, gdb attached; the slowest of several, each
    with a process and a gdb of its own."""
    found = [
        _with_child(jobs, interpreter, 0, _timed("on", "memtrace on"))
        for _ in range(SWITCH_ON_TIMES)
    ]
    return next(
        (one for one in found if "error" in one), max(found, key=lambda one: one["seconds"]["on"])
    )


def last(jobs: Jobs, interpreter: Interpreter, events: int) -> dict[str, Any]:
    """`memtrace last` of a variable written in the last event, and of one written in the first
    only, over so many events."""
    arguments = _timed("last", "memtrace last x") + _timed("first", "memtrace last first")
    return _with_child(jobs, interpreter, events, arguments)
