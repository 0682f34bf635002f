"""The CPython interpreters that tests can run programs on.

MEMTRACE_PYTHONS names them (paths, separated by colons). Without it they are looked for: in
/usr/bin, pyenv, and where scripts/free-threaded keeps what it has built; one of each SOABI, for
which there is one helper: versions differ in it, and debug and free-threaded builds. Those of
MEMTRACE_PYTHONS_TOO join them, also others of the same SOABI: static and shared builds.

An interpreter counts if its helper is built. Standard library only, no gdb.
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

    @property
    def has_gil(self) -> bool:
        """Is it no free-threaded build?"""
        return "t" not in self.abi_flags

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


def _looked_for() -> list[str]:
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    cache = os.environ.get("XDG_CACHE_HOME") or "/var/cache"
    return [
        sys.executable,
        *sorted(glob.glob("/usr/bin/python3.*[0-9td]")),
        *sorted(glob.glob(f"{pyenv}/versions/*/bin/python3")),
        *sorted(glob.glob(f"{cache}/memtrace/interpreters/3.*t/bin/python3.*[0-9]t")),
    ]


@functools.cache
def found() -> tuple[Interpreter, ...]:
    """The oldest version first."""
    named = _named("MEMTRACE_PYTHONS")
    kinds: dict[str, Interpreter] = {}
    for path in named or _looked_for():
        interpreter = describe(path)
        if interpreter is not None:
            kinds.setdefault(path if named else interpreter.soabi, interpreter)
    for path in _named("MEMTRACE_PYTHONS_TOO"):
        interpreter = describe(path)
        if interpreter is not None:
            kinds.setdefault(path, interpreter)
    return tuple(sorted(kinds.values(), key=lambda one: (one.version, one.soabi)))


def has_helper(interpreter: Interpreter, directories: list[Path]) -> bool:
    """Is the helper for it in one of these?"""
    return any((directory / interpreter.helper).is_file() for directory in directories)


def with_helper(directories: list[Path]) -> tuple[Interpreter, ...]:
    """Those found whose helper is in one of these, the oldest version first."""
    return tuple(one for one in found() if has_helper(one, directories))
