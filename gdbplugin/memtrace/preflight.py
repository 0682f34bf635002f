"""Is it a process that memtrace can record, and which helper fits it? No gdb: reads the
process's mapped files, a few bytes of its memory, and /proc.

Everything that speaks against it is a MemtraceError with what to do about it, found before
anything is called in the process."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Tuple

from . import elf, procfs
from .errors import MemtraceError
from .image import Image, Images
from .reader import library_directories

_SIGSTOP = 19
_VERSIONS = ((3, 8), (3, 15))  # that a helper can be built for
_LIBPYTHON = re.compile(r"(?:lib)?python(3)\.(\d+)[dtm]*(?:\.so.*)?")
_VERSION_TEXT = re.compile(rb"\0(3)\.(\d+)\.(\d+)(?:(?:a|b|rc)\d+)?\+?\0")


@dataclass(frozen=True)
class Interpreter:
    """The CPython in a process. `micro` is -1 where only the minor version is known."""

    image: Image
    minor: int
    micro: int
    soabi: str

    @property
    def version(self) -> str:
        """3.11.2, or 3.9 where that is all that is known."""
        return f"3.{self.minor}" + (f".{self.micro}" if self.micro >= 0 else "")


def check_process(pid: int) -> None:
    """Refuse what can't be entered at all."""
    try:
        fields = procfs.status(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise MemtraceError(f"there is no process {pid}") from None
    if fields.get("State", "").startswith("Z"):
        raise MemtraceError(f"process {pid} has ended and waits for its parent (zombie)")


def check_job_stopped(pid: int, siginfo_readable: bool) -> None:
    """Refuse a process that its shell or a kill -STOP has stopped: nothing runs in it before
    it is continued. The kernel shows no signal information for such a stop, and gdb, which
    sends a SIGSTOP of its own to see a stop at all, leaves it pending."""
    if not siginfo_readable and procfs.has_signal(procfs.status(pid), "SigPnd", _SIGSTOP):
        raise MemtraceError(
            f"process {pid} is stopped by job control",
            f"let it run, then try again:\nshell kill -CONT {pid}",
        )


def find_interpreter(images: Images) -> Optional[Interpreter]:
    """The CPython in the process, None if there is none (yet)."""
    image = images.exporting("Py_RunMain")
    if image is None:
        return None
    minor, micro = _version(images, image)
    flags = "d" if "_Py_NegativeRefcount" in image.elf.symbols else ""
    if "_Py_MergeZeroLocalRefcount" in image.elf.symbols:
        flags = "t" + flags
    return Interpreter(image, minor, micro, f"cpython-3{minor}{flags}-x86_64-linux-gnu")


def check_platform(images: Images) -> None:
    """Refuse other architectures and C libraries."""
    for image in images:
        if image.elf.machine != elf.EM_X86_64:
            raise MemtraceError("memtrace records x86-64 processes only")
        break
    if not images.has_glibc():
        raise MemtraceError(
            "the process has no glibc (it is static, or uses another C library)",
            "use an interpreter that is linked to glibc",
        )


def check_version(interpreter: Interpreter) -> None:
    """Refuse versions that no helper can be built for."""
    first, last = _VERSIONS
    if not first <= (3, interpreter.minor) <= last:
        raise MemtraceError(
            f"the process runs CPython {interpreter.version}; memtrace knows "
            f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
        )


def find_helper(interpreter: Interpreter, pid: int) -> Path:
    """The helper for the interpreter. Raises MemtraceError with the command that builds it."""
    name = f"memtrace-{interpreter.soabi}.so"
    directories = library_directories()
    for directory in directories:
        if (directory / name).is_file():
            return (directory / name).resolve()
    where = ", ".join(map(str, directories))
    raise MemtraceError(
        f"the process runs CPython {interpreter.version} ({interpreter.soabi}); its helper "
        f"{name} is not in {where}",
        build_command(interpreter, pid),
    )


def build_command(interpreter: Interpreter, pid: int) -> str:
    """The command that builds the helper for this interpreter."""
    source = Path(__file__).resolve().parent.parent.parent
    suffix = interpreter.soabi.split("-")[1][2:].lstrip("0123456789")
    config = f"python3.{interpreter.minor}{suffix}-config"
    try:
        executable = Path(os.readlink(f"/proc/{pid}/exe"))
        if (executable.parent / config).exists():
            config = str(executable.parent / config)
    except OSError:
        pass
    where = str(source) if (source / "CMakeLists.txt").exists() else "SOURCE"
    return (
        f"install that interpreter's headers, then build its helper:\n"
        f"cd {where} && cmake -B build -S . -DMEMTRACE_PYTHONS={config} && cmake --build build"
    )


def _version(images: Images, image: Image) -> Tuple[int, int]:
    address = image.symbol("Py_Version")  # 3.11
    if address is not None:
        number = int.from_bytes(images.read(address, 4), "little")
        if number >> 24 == 3:
            return number >> 16 & 0xFF, number >> 8 & 0xFF
    return _version_before_3_11(images, image)


def _version_before_3_11(images: Images, image: Image) -> Tuple[int, int]:
    """The minor version stands in the file's name, the whole in its read-only data, as the
    text that Py_GetVersion() begins with."""
    match = _LIBPYTHON.fullmatch(image.name)
    minor = int(match.group(2)) if match else -1
    for found in _VERSION_TEXT.finditer(_read_only_data(images, image)):
        if minor < 0 or int(found.group(2)) == minor:
            return int(found.group(2)), int(found.group(3))
    if minor < 0:
        raise MemtraceError(f"the version of the Python in {image.path} can't be told")
    return minor, -1


def _read_only_data(images: Images, image: Image) -> bytes:
    parts = []
    for mapping in images.mappings:
        if mapping.path == image.path and mapping.permissions == "r--p":
            parts.append(images.read(mapping.start, mapping.end - mapping.start))
    return b"".join(parts)


def reachable(pid: int, path: Path, same: Callable[[int, str], bool] = procfs.same_file) -> bool:
    """Can the process open the file by our path? Not in another mount namespace."""
    return same(pid, str(path))
