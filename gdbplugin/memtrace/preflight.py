"""Is it a process that memtrace can record, and which helper fits it? No gdb: reads the
process's mapped files, a few bytes of its memory, and /proc.

Everything that speaks against it is a MemtraceError with what to do about it, found before
anything is called in the process."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from . import elf, procfs
from .abi import ABI_VERSION
from .errors import MemtraceError
from .image import Image, Images
from .reader import library_directories

_SIGSTOP = 19
_VERSIONS = ((3, 8), (3, 15))  # that a helper can be built for
_LIBPYTHON = re.compile(r"(?:lib)?python3\.(\d+)[dtm]*(?:\.so.*)?")


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


def why_not_attached(pid: int) -> MemtraceError:
    """Why gdb could not attach to a process, as far as /proc tells."""
    check_process(pid)
    fields = procfs.status(pid)
    tracer = int(fields.get("TracerPid", "0"))
    what = f"gdb could not attach to process {pid}: "
    if tracer:
        return MemtraceError(
            f"{what}process {tracer} ({procfs.comm(tracer, tracer)}) traces it already",
            "end that one, or detach there",
        )
    owner = int(fields["Uid"].split()[0])
    if os.geteuid() not in (0, owner):
        return MemtraceError(f"{what}it belongs to user {owner}", "run gdb as that user or as root")
    return MemtraceError(
        f"{what}the system does not allow it",
        "as root: sysctl kernel.yama.ptrace_scope=0, or run gdb as root; in a container, with\n"
        "--cap-add=SYS_PTRACE",
    )


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
    # Every version since 3.8 exports the first; check_version() refuses what has the second only.
    candidates = images.exporting("Py_RunMain") or images.exporting("Py_GetVersion")
    if not candidates:
        return None
    image = _first_in_scope(images, candidates)
    minor, micro = _version(images, image)
    flags = "d" if "_Py_NegativeRefcount" in image.elf.symbols else ""
    if is_free_threaded(images):
        flags = "t" + flags
    return Interpreter(image, minor, micro, f"cpython-3{minor}{flags}-x86_64-linux-gnu")


def is_free_threaded(images: Images) -> bool:
    """Was the CPython in the process built without the GIL? (Whatever PYTHON_GIL says.)"""
    return bool(images.exporting("_Py_MergeZeroLocalRefcount"))


def _first_in_scope(images: Images, candidates: List[Image]) -> Image:
    """Of several that export CPython, the one that all others in the process use. Raises
    MemtraceError where that can't be told."""
    if len(candidates) == 1:
        return candidates[0]
    try:
        program = os.readlink(f"/proc/{images.pid}/exe")
    except OSError:
        program = ""
    for image in candidates:
        if image.path == program:
            return image  # before any library in the loader's search, and so for the helper
    raise MemtraceError(
        f"process {images.pid} has more than one Python in it: "
        + ", ".join(image.path for image in candidates),
        "memtrace records processes with one",
    )


def check_program(path: str) -> None:
    """Refuse a program that has Python inside where nothing can use it."""
    try:
        exported = elf.from_file(path).symbols
    except (elf.ElfError, OSError, struct.error):
        return  # no ELF file: a script, or nothing yet
    if "Py_GetVersion" not in exported and _has_python(path):
        raise _hidden(path)


def no_interpreter(images: Images) -> MemtraceError:
    """Why there is no CPython to record, as far as the mapped files tell."""
    for image in images.named(lambda name: True):
        if _has_python(f"/proc/{images.pid}/root{image.path}"):
            return _hidden(image.path)
    return MemtraceError(
        f"process {images.pid} does not run CPython: it has no Py_RunMain",
        "memtrace records CPython 3.8 and later; see: info sharedlibrary",
    )


def _hidden(path: str) -> MemtraceError:
    return MemtraceError(
        f"{path} has Python linked in statically, without its symbols: what uses them can't be "
        "loaded, neither extension modules nor memtrace's helper",
        "link the program with -rdynamic, or to libpython's shared library",
    )


def _has_python(path: str) -> bool:
    """Is CPython in the file, by texts that every version has?"""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return False
    return b"Fatal Python error: " in data and b"PYTHONHASHSEED" in data


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
            helper = (directory / name).resolve()
            _check_helper(helper, interpreter)
            return helper
    where = ", ".join(map(str, directories))
    raise MemtraceError(
        f"the process runs CPython {interpreter.version} ({interpreter.soabi}); its helper "
        f"{name} is not in {where}",
        build_command(interpreter, pid),
    )


def _check_helper(helper: Path, interpreter: Interpreter) -> None:
    """Refuse a file that is damaged or of another memtrace. The loader would believe it: a file
    that ends early kills the process that loads it."""
    remedy = "build it again: cmake --build BUILD"
    try:
        parsed = elf.from_bytes(helper.read_bytes())
        build = parsed.symbols["memtrace_build"]
        text = parsed.read(build.value, build.size).split(b"\0")[0].decode()
    except (elf.ElfError, OSError, KeyError, ValueError) as error:
        raise MemtraceError(f"{helper} is damaged: {error}", remedy) from None
    expected = f"memtrace ABI {ABI_VERSION} {interpreter.soabi} "
    if not text.startswith(expected):
        raise MemtraceError(f"{helper} is {text!r}, not {expected.strip()!r}", remedy)


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
    match = _LIBPYTHON.fullmatch(image.name)
    if match is None:
        raise MemtraceError(f"the version of the Python in {image.path} can't be told")
    return int(match.group(1)), -1


def reachable(pid: int, path: Path, same: Callable[[int, str], bool] = procfs.same_file) -> bool:
    """Can the process open the file by our path? Not in another mount namespace."""
    return same(pid, str(path))
