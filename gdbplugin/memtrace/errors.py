"""What goes wrong in a way that a person can do something about, and how gdb is told.

A MemtraceError says what is the matter and, on lines of its own, what to do. command() is
the one place that turns it into gdb.GdbError; any other exception is a bug and travels on
as one.

`gdb -batch` exits with the status of its last command only, and what happens behind a
command's back (a start that fails in the middle of `run`) has none. So every failure is
noted here, and a gdb in batch mode exits with 1 if there was one: see watch_exit().

Imports gdb only inside functions, so that modules without gdb can raise MemtraceError."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from typing import Any, Callable, List, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_failed = False
_gdb_exit_code = 0
_leaves = False  # see leave_before_exit()


class MemtraceError(Exception):
    """Something that the person can understand and act on.

    `message`: one sentence, no full stop at the end. `remedy`: what to do about it, "" if
    there is nothing to be done; may have several lines."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.message]
        lines += ["    " + line for line in self.remedy.splitlines()]
        return "\n".join(lines)


def command(function: Function) -> Function:
    """Decorator for gdb.Command.invoke and the like: MemtraceError becomes gdb.GdbError."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        import gdb

        try:
            return function(*args, **kwargs)
        except MemtraceError as error:
            note_failure()
            raise gdb.GdbError(f"memtrace: {error}") from None
        except Exception:
            note_failure()
            raise

    return wrapper  # type: ignore[return-value]


def report(error: MemtraceError) -> None:
    """Show an error where no command is there to fail: in an event handler."""
    import gdb

    note_failure()
    gdb.write(f"memtrace: {error}\n", gdb.STDERR)
    gdb.flush(gdb.STDERR)


def note_failure() -> None:
    """A command, or something that memtrace does behind one, has failed."""
    global _failed
    _failed = True


# ---- batch mode --------------------------------------------------------------------------


def is_batch(arguments: List[str]) -> bool:
    """Was gdb started with -batch? `arguments`: its command line, without argv[0]. gdb's
    parser takes one or two dashes and any unambiguous beginning of a name."""
    for argument in arguments:
        name = argument.lstrip("-")
        if name in ("args", "-args") or argument == "--":
            return False
        if argument.startswith("-") and name in ("bat", "batc", "batch", "batch-silent"):
            return True
    return False


def requested_pid(arguments: List[str]) -> int:
    """The process that gdb's command line names with -p or --pid; 0: none."""
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        name, _, value = argument.lstrip("-").partition("=")
        if name == "args" or argument == "--":
            break
        if argument.startswith("-") and name in ("p", "pi", "pid"):
            value = value or following
            return int(value) if value.isdigit() else 0
    return 0


def gdb_arguments() -> List[str]:
    """gdb's command line, without its own name."""
    try:
        with open("/proc/self/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")[1:-1]
    except OSError:
        return []


def watch_exit() -> None:
    """In batch mode, have gdb exit with 1 when something of memtrace's failed. An exit status
    that gdb or `quit N` gives stays."""
    import gdb

    if hasattr(gdb.events, "gdb_exiting"):  # gdb 12
        gdb.events.gdb_exiting.connect(_remember_exit_code)
    atexit.register(_leave)


def leave_before_exit() -> None:
    """gdb is exiting: have it skip the end of its own that comes after Python's."""
    global _leaves
    _leaves = True


def _remember_exit_code(event: Any) -> None:
    global _gdb_exit_code
    _gdb_exit_code = event.exit_code


def _leave() -> None:
    """gdb finalizes Python as the last thing before exit(): inferiors are detached or killed
    and histories written by then, so leaving at once skips nothing but stdio's buffers."""
    fails = _failed and not _gdb_exit_code and is_batch(gdb_arguments())
    if not fails and not _leaves:
        return
    import ctypes

    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    os._exit(1 if fails else _gdb_exit_code)
