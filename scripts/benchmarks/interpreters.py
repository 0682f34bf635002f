"""Which interpreters there are, and what is built for each of them."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ASK = """
import json, sys, sysconfig
print(json.dumps({
    "version": sys.version.split()[0],
    "hex": sys.hexversion,
    "soabi": sysconfig.get_config_var("SOABI"),
    "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
    "includes": sorted({sysconfig.get_path("include"), sysconfig.get_path("platinclude")}),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    path: str
    version: str
    hex: int
    soabi: str
    suffix: str
    includes: tuple[str, ...]

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])

    @property
    def monitors(self) -> bool:
        """Does it have sys.monitoring?"""
        return self.hex >= 0x030C0000


def ask(path: str) -> Interpreter | None:
    """The interpreter at `path`, or None if that is no CPython 3.8 or later."""
    try:
        output = subprocess.run(
            [path, "-I", "-c", _ASK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30
        ).stdout
        told = json.loads(output)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if told["hex"] < 0x03080000 or not told["soabi"]:
        return None
    return Interpreter(path=path, includes=tuple(told.pop("includes")), **told)


def find(lib: Path) -> list[Interpreter]:
    """Those of the distribution and of pyenv that have a helper in `lib`, by version; one of
    each kind, the distribution's first."""
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    paths = ["/usr/bin/python3", *sorted(glob.glob("/usr/bin/python3.[0-9]*[0-9]"))]
    paths += sorted(glob.glob("/usr/local/bin/python3.[0-9]*[0-9]"))
    paths += sorted(glob.glob(f"{root}/versions/*/bin/python3"))
    found: dict[str, Interpreter] = {}
    for path in paths:
        interpreter = ask(path) if os.access(path, os.X_OK) else None
        if interpreter and (lib / f"memtrace-{interpreter.soabi}.so").is_file():
            found.setdefault(interpreter.soabi, interpreter)
    return sorted(found.values(), key=lambda interpreter: interpreter.hex)


def build_floors(interpreter: Interpreter, directory: Path) -> str | None:
    """Compile the floors for an interpreter into `directory`; why that failed, or None."""
    directory.mkdir(parents=True, exist_ok=True)
    names = ["trace_floor"] + ["store_floor"] * interpreter.monitors
    for name in names:
        command = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC"]
        command += [f"-I{include}" for include in interpreter.includes]
        command += [str(_HERE / "floors" / f"{name}.c")]
        command += ["-o", str(directory / f"{name}{interpreter.suffix}")]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{name}.c was not compiled: {error}"
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return f"{name}.c does not compile for {interpreter.version}"
    return None
