"""Packages of PyPI for an interpreter: one virtual environment each, kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .interpreters import Interpreter

SECONDS = 90  # for one package


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "memtrace" / "bench"


def _run(command: list[str]) -> str | None:
    """Why the command failed, in a line, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"{Path(command[0]).name} did not end within {SECONDS} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def install(interpreter: Interpreter, packages: list[str]) -> tuple[str, dict[str, str]]:
    """Where the packages can be imported from, and {package: why it is not there}."""
    directory = _cache() / f"{interpreter.soabi}-{interpreter.version}"
    site = directory / "lib" / f"python{interpreter.minor}" / "site-packages"
    if not (directory / "complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        why = _run([interpreter.path, "-m", "venv", str(directory)])
        if why:
            return "", dict.fromkeys(packages, f"no virtual environment: {why}")
        (directory / "complete").touch()
    missing = {}
    for package in packages:
        mark = directory / f"installed-{package}"
        if mark.exists():
            continue
        command = [str(directory / "bin" / "python"), "-m", "pip", "install", "-q"]
        why = _run([*command, "--timeout", "15", "--retries", "1", package])
        if why:
            missing[package] = f"PyPI: {why}"
        else:
            mark.touch()
    return str(site), missing
