"""Runs jobs in child processes, one at a time, within bounds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Sequence

from .interpreters import Interpreter

_SCRIPTS = Path(__file__).resolve().parent.parent


class Jobs:
    """Starts children, with the bounds of the whole run in mind."""

    def __init__(self, lib: Path, work: Path, seconds: float) -> None:
        self.lib = lib
        self._work = work
        self._ends = time.monotonic() + seconds
        work.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Seconds until nothing optional is begun any more."""
        return self._ends - time.monotonic()

    def command(self, interpreter: Interpreter, job: dict[str, Any]) -> tuple[list[str], Path]:
        """A child's command line, and the file that its result will be in."""
        job_file, result_file = self._work / "job.json", self._work / "result.json"
        result_file.unlink(missing_ok=True)
        job = {"lib": str(self.lib), "paths": [], **job}
        job_file.write_text(json.dumps(job))
        program = [interpreter.path, "-s", "-B", "-m", "benchmarks.child"]
        return [*program, str(job_file), str(result_file)], result_file

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        kept["PYTHONPATH"] = os.pathsep.join([str(_SCRIPTS), str(_SCRIPTS.parent / "gdbplugin")])
        kept["PYTHONHASHSEED"] = "0"
        return kept

    def run(
        self,
        interpreter: Interpreter,
        job: dict[str, Any],
        bound: float,
        prefix: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The result of a job, or {"error": why}. `bound`: seconds until it is ended. `prefix`:
        what the child runs under."""
        command, result_file = self.command(interpreter, job)
        command = [*prefix, *command]
        log = self._work / "child.log"
        with log.open("w") as output:
            try:
                status = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self.environment(),
                    timeout=bound,
                ).returncode
            except subprocess.TimeoutExpired:
                return {"error": f"did not end within {bound:.0f} s"}
        if result_file.exists():
            found: dict[str, Any] = json.loads(result_file.read_text())
            return found
        if status < 0:
            return {"error": f"the process was ended by {signal.Signals(-status).name}"}
        lines = log.read_text(errors="replace").splitlines()
        return {"error": lines[-1] if lines else f"exit status {status}"}
