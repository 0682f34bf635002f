"""Drive a real gdb, as a person does: type a command, read what comes back.

    with GdbSession("-p", str(pid)) as gdb:
        gdb.command("memtrace on")
        gdb.resume()
        gdb.expect(r"MODIFIED balance: 100 → -20")
        gdb.interrupt()

GdbSession runs gdb on a pseudo terminal of its own and waits for the prompt after every
command; nothing here sleeps and hopes. run_batch() runs `gdb -batch` to its end, with stdout
and stderr apart. Both start gdb without init files, in a clean environment and in a work
directory that is removed when all went well, and kept, with a transcript, when not.

Every wait has a bound: `timeout` seconds, times $MEMTRACE_TEST_SLOWNESS (default 1) for slow
machines. A failed expectation raises GdbFailure, whose text holds the whole conversation.

No threads. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Mapping, Optional, Pattern, Sequence, Union

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
PLUGIN = ROOT / "gdbplugin" / "memtrace-gdb.py"
TARGETS = TESTS / "targets"

TIMEOUT = 60.0

# What gdb prints when it waits for a command. The record separators keep a program that
# prints "(gdb) " from being taken for it.
PROMPT = "\x1e(gdb) \x1e"

# Patterns of terminal noise that are no part of what gdb says.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_EVENT = re.compile(r"\s*(\d+  )?\[[^\]]+:\d+\] [A-Z]+ ")

_SETTINGS = (
    "set confirm off",
    "set width 0",
    "set height 0",
    "set pagination off",
    "set style enabled off",
    "set debuginfod enabled off",
)


class GdbFailure(AssertionError):
    """gdb did not do what the test expects. The text shows the conversation."""


def slowness() -> float:
    """Factor on every time bound, for slow machines: $MEMTRACE_TEST_SLOWNESS."""
    return float(os.environ.get("MEMTRACE_TEST_SLOWNESS", "1"))


def build_directory() -> Path:
    """The build under test: $MEMTRACE_BUILD, else build/ of the checkout."""
    return Path(os.environ.get("MEMTRACE_BUILD") or ROOT / "build").resolve()


def clean_environment(home: Path) -> dict[str, str]:
    """What gdb, and a process that it starts, get as environment: nothing of the tester's
    but the build under test."""
    return {
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "MEMTRACE_LIB": str(build_directory() / "lib"),
    }


def gdb_program() -> str:
    """gdb under test: $MEMTRACE_TEST_GDB, else the distribution's."""
    return os.environ.get("MEMTRACE_TEST_GDB", "/usr/bin/gdb")


def _gdb_command(plugin: Optional[Path]) -> list[str]:
    command = [gdb_program(), "-q", "-nx"]
    for setting in _SETTINGS:
        command += ["-iex", setting]
    if plugin is not None:
        command += ["-iex", f"source {plugin}"]
    return command


def _work_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="memtrace-gdb-"))


def _process_state(pid: int) -> str:
    """One letter, as in /proc/PID/stat: R S D T t Z; "" when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


class GdbSession:
    """One interactive gdb. Use as a context manager.

    `arguments` are gdb's own ("-p", "4711", or "--args", "python3", "demo.py"). `plugin` is
    sourced before they are carried out (None: plain gdb). `environment` is added to the clean
    one.

    Attributes: `workdir`, where gdb runs; `pid` of gdb; `transcript()`.
    """

    def __init__(
        self,
        *arguments: Union[str, Path],
        plugin: Optional[Path] = PLUGIN,
        environment: Optional[Mapping[str, str]] = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.workdir = _work_directory()
        self.timeout = timeout
        self.arguments = [str(argument) for argument in arguments]
        self.pid = 0
        self._plugin = plugin
        self._environment = dict(environment or {})
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._terminal = -1
        self._undecoded = b""
        self._pending = ""  # arrived, not yet given to the caller
        self._transcript: list[str] = []

    # ---- life ---------------------------------------------------------------------------

    def __enter__(self) -> GdbSession:
        self._start()
        try:
            self.banner = self.expect_prompt()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._end()
        if kind is None:
            shutil.rmtree(self.workdir, ignore_errors=True)
            return
        text = self.transcript()
        (self.workdir / "transcript.txt").write_text(text, encoding="utf-8")
        print(f"---- gdb session, kept in {self.workdir}\n{text}", file=sys.stderr)

    def _start(self) -> None:
        master, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[1] &= ~termios.OPOST  # no \r before \n
        modes[3] &= ~termios.ECHO  # commands come back once, in the transcript
        termios.tcsetattr(slave, termios.TCSANOW, modes)

        def own_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        command = _gdb_command(self._plugin)
        command += ["-iex", "set editing off", "-iex", f"set prompt {PROMPT}"]
        command += self.arguments
        self._transcript.append(f"$ {' '.join(command)}\n")
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self.workdir,
            env={**clean_environment(self.workdir), **self._environment},
            start_new_session=True,
            preexec_fn=own_terminal,
        )
        os.close(slave)
        self.pid = self._process.pid
        self._terminal = master

    def _end(self) -> None:
        """Kill gdb; what it launched dies with it, what it attached to is let go."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10 * slowness())
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def transcript(self) -> str:
        """The conversation so far, prompts as a person sees them."""
        return re.sub("[\x1d\x1e]", "", "".join(self._transcript) + self._pending)

    def fail(self, reason: str) -> GdbFailure:
        """The exception to raise when something was not as it should be."""
        return GdbFailure(f"{reason}\n---- gdb session\n{self.transcript()}\n----")

    # ---- reading ------------------------------------------------------------------------

    def _read_more(self, deadline: float) -> bool:
        """Wait for output. False at the deadline; raises EOFError when gdb is gone."""
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([self._terminal], [], [], remaining)[0]:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # EIO: the last process on the terminal has closed it
            data = b""
        if not data:
            raise EOFError
        self._undecoded += data
        text, self._undecoded = _decode_whole_characters(self._undecoded)
        self._pending += _ESCAPES.sub("", text)
        return True

    def _consume(self, end: int) -> str:
        text, self._pending = self._pending[:end], self._pending[end:]
        self._transcript.append(text)
        return text

    def _wait_for(self, pattern: Pattern[str], timeout: Optional[float]) -> re.Match[str]:
        seconds = (self.timeout if timeout is None else timeout) * slowness()
        deadline = time.monotonic() + seconds
        while True:
            match = pattern.search(self._pending)
            if match:
                self._consume(match.end())
                return match
            try:
                if not self._read_more(deadline):
                    raise self.fail(f"gdb: no {pattern.pattern!r} within {seconds:g} s")
            except EOFError:
                status = self._process.wait() if self._process else None
                raise self.fail(
                    f"gdb ended (status {status}) before {pattern.pattern!r} came"
                ) from None

    def expect(
        self, pattern: Union[str, Pattern[str]], timeout: Optional[float] = None
    ) -> re.Match[str]:
        """Wait until `pattern` (regular expression, ^ and $ at lines) has been printed, also
        while the process runs. Output up to its end is used up."""
        if isinstance(pattern, str):
            pattern = re.compile(pattern, re.MULTILINE)
        return self._wait_for(pattern, timeout)

    def expect_prompt(self, timeout: Optional[float] = None) -> str:
        """Wait until gdb asks for a command. Returns what it printed before."""
        start = len(self._transcript)
        self._wait_for(re.compile(re.escape(PROMPT)), timeout)
        text = "".join(self._transcript[start:])
        return text[: -len(PROMPT)]

    # ---- writing ------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Type a line, and don't wait."""
        self._transcript.append(f"{text}\n")
        data = f"{text}\n".encode()
        while data:
            data = data[os.write(self._terminal, data) :]

    def command(self, text: str, timeout: Optional[float] = None) -> str:
        """Type a command, wait for the prompt, return what was printed in between."""
        self.send(text)
        return self.expect_prompt(timeout)

    def python(self, expression: str) -> str:
        """str() of a Python expression, evaluated in gdb. What is printed beside it (by `memtrace
        on --live`, at any moment) is used up."""
        said = self.command(f"python print(chr(29) + str({expression}) + chr(29))")
        found = re.search("\x1d(.*)\x1d", said, re.DOTALL)
        return (found.group(1) if found else said).strip()

    # ---- the process under gdb ------------------------------------------------------------

    @property
    def inferior_pid(self) -> int:
        """Pid of the process under gdb, 0 if there is none. gdb must be at its prompt."""
        return int(self.python("gdb.selected_inferior().pid"))

    def resume(self, text: str = "continue", timeout: Optional[float] = None) -> None:
        """Type a command that lets the stopped process run, and return once it does, so that
        interrupt() finds it running."""
        pid = self.inferior_pid
        if not pid:
            raise self.fail(f"{text!r}: there is no process")
        self.send(text)
        self.expect(r"^Continuing\.$", timeout)
        deadline = time.monotonic() + (timeout or self.timeout) * slowness()
        while _process_state(pid) == "t" and PROMPT not in self._pending:
            # The kernel gives nothing to wait on here: look again until it runs or has
            # stopped for a reason that gdb printed.
            if time.monotonic() > deadline:
                raise self.fail(f"{text!r}: process {pid} does not run")
            self._read_more(time.monotonic() + 0.01)

    def interrupt(self, timeout: Optional[float] = None) -> str:
        """Press Ctrl-C, wait for the prompt. Returns what was printed since the last wait."""
        self._transcript.append("^C")
        os.write(self._terminal, b"\x03")
        return self.expect_prompt(timeout)

    def quit(self, timeout: Optional[float] = None) -> int:
        """Type quit; returns gdb's exit status once it has ended."""
        self.send("quit")
        return self.wait_until_gone(timeout)

    def kill(self) -> None:
        """SIGKILL gdb, as the kernel would."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait_until_gone()

    def wait_until_gone(self, timeout: Optional[float] = None) -> int:
        """Wait until gdb has ended; its exit status."""
        assert self._process is not None
        seconds = (self.timeout if timeout is None else timeout) * slowness()
        deadline = time.monotonic() + seconds
        try:
            while self._read_more(deadline):
                pass
            # A process that gdb left behind may hold the terminal open.
        except EOFError:
            pass
        try:
            return self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self.fail(f"gdb did not end within {seconds:g} s") from None


def _decode_whole_characters(data: bytes) -> tuple[str, bytes]:
    """UTF-8 to text; the bytes of a character that has not wholly arrived are given back."""
    for cut in range(min(3, len(data)) + 1):
        head = data[: len(data) - cut]
        try:
            return head.decode(), data[len(data) - cut :]
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                break
    return data.decode(errors="replace"), b""


class BatchResult:
    """What `gdb -batch` came to: `stdout`, `stderr`, `returncode`. str() shows all of it."""

    def __init__(self, command: Sequence[str], stdout: str, stderr: str, returncode: int) -> None:
        self.command = list(command)
        self.stdout = stdout
        self.stderr = stderr
        self.returncode = returncode

    def __repr__(self) -> str:
        return (
            f"status {self.returncode} of: {' '.join(self.command)}\n"
            f"---- stdout\n{self.stdout}---- stderr\n{self.stderr}----"
        )

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.stdout.splitlines()

    def check(self) -> BatchResult:
        """Raise unless the exit status is 0; returns itself."""
        if self.returncode != 0:
            raise GdbFailure(repr(self))
        return self


def run_batch(
    *arguments: Union[str, Path],
    commands: Sequence[str] = (),
    plugin: Optional[Path] = PLUGIN,
    environment: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    timeout: float = TIMEOUT,
) -> BatchResult:
    """Run `gdb -batch` with `commands` (-ex each), and `arguments` behind them: "-p", "4711",
    or "--args", "python3", "demo.py", or "python3", "core.4711".

    Note that gdb carries out -ex after it has loaded and attached to what `arguments` say.
    Standard input is empty. Raises GdbFailure when it does not end in time."""
    workdir = _work_directory()
    command = _gdb_command(plugin) + ["-batch"]
    for text in commands:
        command += ["-ex", text]
    command += [str(argument) for argument in arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd or workdir,
        env={**clean_environment(workdir), **(environment or {})},
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout * slowness())
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        result = BatchResult(command, stdout, stderr, process.returncode)
        raise GdbFailure(
            f"gdb -batch did not end within {timeout * slowness():g} s; "
            f"work directory kept: {workdir}\n{result}"
        ) from None
    shutil.rmtree(workdir, ignore_errors=True)
    return BatchResult(command, stdout, stderr, process.returncode)


def events_of(output: str) -> list[str]:
    """The lines of gdb's output that are events, with their numbers or without."""
    return [line for line in output.splitlines() if _EVENT.match(line)]
