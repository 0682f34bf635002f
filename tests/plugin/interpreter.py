"""Interpreters to read from: a child process of each CPython with headers, whose memory and
layout the tests use as a core's or a live process's are used by the plugin."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "gdbplugin"), str(ROOT / "tests" / "shared")]

import interpreters  # noqa: E402
from memtrace import abi  # noqa: E402
from memtrace.objects import Frame, Objects, Unreadable  # noqa: E402


def with_headers() -> List[str]:
    """One interpreter of each kind that has its internal headers."""
    result = []
    for interpreter in interpreters.found():
        include = Path(_facts(interpreter.path)["include"])
        if (include / "internal" / "pycore_pystate.h").exists():
            result.append(interpreter.path)
    return result


def _facts(interpreter: str) -> Dict[str, Any]:
    program = (
        "import json, sys, sysconfig; print(json.dumps({'include': "
        "sysconfig.get_path('include'), 'version': sys.version_info[:2], 'hex': sys.hexversion}))"
    )
    output = subprocess.run([interpreter, "-c", program], check=True, capture_output=True)
    return dict(json.loads(output.stdout))


class ProcessMemory:
    """Memory of a child, by /proc/PID/mem."""

    def __init__(self, pid: int) -> None:
        self._file = open(f"/proc/{pid}/mem", "rb", buffering=0)

    def read(self, address: int, size: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), size, address)
        except (OSError, OverflowError) as error:
            raise Unreadable(f"{size} bytes at {address:#x}: {error}") from None
        if len(data) != size:
            raise Unreadable(f"{size} bytes at {address:#x}: only {len(data)}")
        return data

    def close(self) -> None:
        self._file.close()


def layout_of(interpreter: str, directory: Path) -> abi.Layout:
    """What layout.c says when compiled for an interpreter."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "no C compiler on PATH"
    library = directory / "layout.so"
    include = _facts(interpreter)["include"]
    source = ROOT / "helper" / "layout.c"
    command = [compiler, "-std=gnu11", "-shared", "-fPIC", "-isystem", include]
    subprocess.run([*command, str(source), "-o", str(library)], check=True)
    layout = abi.Layout()
    ctypes.CDLL(str(library)).mt_layout_fill(ctypes.byref(layout))
    return layout


class Target:
    """A child that runs `program` and waits in it. The program calls ready(**facts) on the
    thread that shall be looked at; it returns when the target is closed."""

    PRELUDE = """
import ctypes, json, sys, threading
def ready(**facts):
    facts["runtime"] = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    facts["thread"] = threading.get_ident()
    print(json.dumps(facts), flush=True)
    sys.stdin.readline()
"""

    def __init__(self, interpreter: str, program: str, directory: Path) -> None:
        self.interpreter = interpreter
        source = directory / "target.py"
        source.write_text(program)
        command = self.PRELUDE + f"exec(compile(open({str(source)!r}).read(), 'target.py', 'exec'))"
        self.process = subprocess.Popen(
            [interpreter, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.facts = json.loads(self.process.stdout.readline())
        self.memory = ProcessMemory(self.process.pid)
        self.layout = layout_of(interpreter, directory)
        self.hex = _facts(interpreter)["hex"]

    def objects(self) -> Objects:
        return Objects(self.memory, self.layout, self.hex)

    def frames(self) -> List[Frame]:
        """Frames of the thread that called ready(), from its caller outwards."""
        objects = self.objects()
        thread = next(
            thread
            for thread in objects.threads(self.facts["runtime"])
            if thread.thread_id == self.facts["thread"]
        )
        frames = list(objects.frames(thread.address))
        return frames[[frame.function for frame in frames].index("ready") + 1 :]

    def close(self) -> None:
        self.memory.close()
        self.process.communicate("\n", timeout=60)
