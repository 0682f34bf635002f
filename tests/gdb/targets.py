"""Start a debuggee from tests/targets/, know when it is where the test wants it, end it, and
check that it came to its right result.

    with Target("counts.py", "1000") as target:
        run_batch("-p", str(target.pid), commands=["memtrace on"])
        assert target.finish() == "499500"

What a target does (no module to import: its own lines are what is traced):

    ready = int(os.environ["MEMTRACE_READY_FD"])      # a pipe: says where it is
    os.write(ready, b"ready\\n")
    finish = int(os.environ["MEMTRACE_FINISH_FD"])    # a pipe: end of file means "finish"
    os.read(finish, 1)                                # or select() on it, or poll it
    print(result)                                     # last line of stdout, exit status 0

It may say more than one thing; say("…") waits for the next. A target that must not wait is
free to ignore MEMTRACE_FINISH_FD. Stdout and stderr go to files, so that a full pipe can't
stop a target.

The interpreter is /usr/bin/python3, or $MEMTRACE_TEST_PYTHON; interpreter() tells its version.
"""

from __future__ import annotations

import functools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Union

import interpreters
from session import TARGETS, TIMEOUT, BatchResult, clean_environment, run_batch, slowness

BANK = TARGETS / "bank.py"


def line_of(text: str, script: Union[str, Path] = BANK) -> int:
    """The number of a target's first line with this text."""
    lines = (TARGETS / script).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def python_program() -> str:
    """The interpreter under test."""
    return os.environ.get("MEMTRACE_TEST_PYTHON", "/usr/bin/python3")


@functools.cache
def interpreter() -> interpreters.Interpreter:
    """What the interpreter under test is."""
    found = interpreters.describe(python_program())
    if found is None:
        raise TargetFailure(f"{python_program()} is no CPython that memtrace knows")
    return found


def launch_batch(*arguments: Union[str, Path], **options: Any) -> BatchResult:
    """run_batch() with the interpreter under test as the program, and its arguments."""
    return run_batch("--args", python_program(), *arguments, **options)


class TargetFailure(AssertionError):
    """A debuggee ended early, did not answer, or came to a wrong end."""


class Target:
    """A running debuggee. Use as a context manager.

    `script`: a file of tests/targets/, or any path. `ready`: what it says before the body of
    the `with` begins; None: don't wait. `python`: interpreter with its options.
    """

    def __init__(
        self,
        script: Union[str, Path],
        *arguments: str,
        ready: Optional[str] = "ready",
        environment: Optional[Mapping[str, str]] = None,
        python: Optional[list[str]] = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.workdir = Path(tempfile.mkdtemp(prefix="memtrace-target-"))
        self.timeout = timeout
        self.command = [*(python or [python_program()]), str(TARGETS / script), *arguments]
        self.pid = 0
        self._ready_word = ready
        self._environment = dict(environment or {})
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._ready = -1  # read end
        self._finish = -1  # write end
        self._said = b""
        self._ended_by_test = False

    # ---- life ---------------------------------------------------------------------------

    def __enter__(self) -> Target:
        ready_read, ready_write = os.pipe()
        finish_read, finish_write = os.pipe()
        try:
            with open(self._path("stdout"), "wb") as out, open(self._path("stderr"), "wb") as err:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=self.workdir,
                    env={
                        **clean_environment(self.workdir),
                        **self._environment,
                        "MEMTRACE_READY_FD": str(ready_write),
                        "MEMTRACE_FINISH_FD": str(finish_read),
                    },
                    pass_fds=(ready_write, finish_read),
                )
        finally:
            os.close(ready_write)
            os.close(finish_read)
        self.pid = self._process.pid
        self._ready, self._finish = ready_read, finish_write
        if self._ready_word is not None:
            try:
                self.expect(self._ready_word)
            except BaseException:
                self._clean_up()
                raise
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        died = self.returncode is not None and not self._ended_by_test
        self._clean_up()
        if kind is not None:
            print(f"---- {self.describe()}", file=sys.stderr)
        elif died:
            raise TargetFailure(f"ended although nobody asked it to: {self.describe()}")
        else:
            shutil.rmtree(self.workdir, ignore_errors=True)

    def _clean_up(self) -> None:
        if self.returncode is None:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        for descriptor in (self._ready, self._finish):
            if descriptor >= 0:
                os.close(descriptor)
        self._ready = self._finish = -1

    def _path(self, name: str) -> Path:
        return self.workdir / name

    # ---- what it says ---------------------------------------------------------------------

    @property
    def stdout(self) -> str:
        """All it has printed so far."""
        return self._path("stdout").read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """All it has printed to stderr so far."""
        return self._path("stderr").read_text(encoding="utf-8", errors="replace")

    @property
    def returncode(self) -> Optional[int]:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else None

    def describe(self) -> str:
        """Command, state and output, for failure messages."""
        state = "runs" if self.returncode is None else f"ended with {self.returncode}"
        return (
            f"target {self.pid} {state}: {' '.join(self.command)}\n"
            f"work directory {self.workdir}\n"
            f"---- stdout\n{self.stdout}---- stderr\n{self.stderr}----"
        )

    def says(self, timeout: Optional[float] = None) -> str:
        """Wait for the next line that it writes to MEMTRACE_READY_FD."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout) * slowness()
        while b"\n" not in self._said:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([self._ready], [], [], remaining)[0]:
                raise TargetFailure(f"said nothing in time: {self.describe()}")
            data = os.read(self._ready, 4096)
            if not data:
                assert self._process is not None
                self._process.wait()
                raise TargetFailure(f"ended before it was ready: {self.describe()}")
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def expect(self, word: str, timeout: Optional[float] = None) -> None:
        """The next line that it says is `word`."""
        line = self.says(timeout)
        if line != word:
            raise TargetFailure(f"said {line!r}, not {word!r}: {self.describe()}")

    # ---- its end ----------------------------------------------------------------------------

    def finish(self, timeout: Optional[float] = None, returncode: int = 0) -> str:
        """Ask it to finish, wait for that, check its exit status. Returns the last line that
        it printed: its result."""
        self.ask_to_finish()
        return self.wait(timeout, returncode)

    def ask_to_finish(self) -> None:
        """So that it finishes when it runs."""
        if self._finish >= 0:
            os.close(self._finish)
            self._finish = -1

    def wait(self, timeout: Optional[float] = None, returncode: int = 0) -> str:
        """As finish(), without asking."""
        assert self._process is not None
        self._ended_by_test = True
        seconds = (self.timeout if timeout is None else timeout) * slowness()
        try:
            actual = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TargetFailure(f"did not end within {seconds:g} s: {self.describe()}") from None
        if actual != returncode:
            raise TargetFailure(f"exit status is not {returncode}: {self.describe()}")
        lines = self.stdout.splitlines()
        return lines[-1] if lines else ""

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kill it by a signal and wait until it is gone."""
        assert self._process is not None
        self._ended_by_test = True
        self._process.send_signal(number)
        self._process.wait(self.timeout * slowness())
