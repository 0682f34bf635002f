"""The CPython interpreters that tests can run programs on.

MEMTRACE_PYTHONS names them (paths, separated by colons); else those of pyenv and /usr/bin, one
of each kind: what differs in version or build (debug, free-threaded) differs in SOABI. An
interpreter of MEMTRACE_PYTHONS_TOO (the same form) joins them. An interpreter counts if its
helper is built.

No threads, no gdb, standard library only.
"""

from __future__ import annotations

import functools
import glob
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_DESCRIBE = (
    "import sys, sysconfig; print(sys.implementation.name, sys.version_info[0], "
    "sys.version_info[1], sys.version.split()[0], sysconfig.get_config_var('SOABI'))"
)
OLDEST, NEWEST = (3, 8), (3, 15)


@dataclass(frozen=True)
class Interpreter:
    """One CPython."""

    path: str
    version: tuple[int, int]
    release: str  # 3.12.1
    soabi: str

    @property
    def helper(self) -> str:
        """Name of the file of its helper."""
        return f"memtrace-{self.soabi}.so"

    @property
    def abi_flags(self) -> str:
        """What its SOABI adds to the version: "t" free-threaded, "d" debug, both, or ""."""
        return self.soabi.split("-")[1].lstrip("0123456789")

    def __str__(self) -> str:
        return self.release + self.abi_flags


def describe(path: str) -> Interpreter | None:
    """The interpreter at a path, if it is a CPython that memtrace knows."""
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _DESCRIBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    if done.returncode or len(words) != 5 or words[0] != "cpython":
        return None
    version = (int(words[1]), int(words[2]))
    if not OLDEST <= version <= NEWEST:
        return None
    return Interpreter(path, version, words[3], words[4])


def _named(variable: str) -> list[str]:
    return [path for path in os.environ.get(variable, "").split(":") if path]


def _candidates() -> list[str]:
    named = _named("MEMTRACE_PYTHONS")
    if not named:
        pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
        named = [
            sys.executable,
            *sorted(glob.glob("/usr/bin/python3.*[0-9td]")),
            *sorted(glob.glob("/usr/bin/python3.*-dbg")),
            *sorted(glob.glob(f"{pyenv}/versions/*/bin/python3")),
        ]
    return named + _named("MEMTRACE_PYTHONS_TOO")


@functools.cache
def found() -> tuple[Interpreter, ...]:
    """One interpreter of each kind, the oldest first."""
    kinds: dict[str, Interpreter] = {}
    for path in _candidates():
        interpreter = describe(path)
        if interpreter is not None:
            kinds.setdefault(interpreter.soabi, interpreter)
    return tuple(sorted(kinds.values(), key=lambda one: (one.version, one.soabi)))


def has_helper(interpreter: Interpreter, directories: list[Path]) -> bool:
    """Is the helper for it in one of these?"""
    return any((directory / interpreter.helper).is_file() for directory in directories)
