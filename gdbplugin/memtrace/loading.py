"""Load the helper into the process, and start what it exports. Called from a thread that
inject.py has judged safe.

Everything the process is given by address lies in a page that is mapped for it and unmapped
again; nothing is allocated by gdb. gdb's main thread only."""

from __future__ import annotations

import os
from pathlib import Path

from . import preflight, procfs, target
from .abi import Status
from .errors import MemtraceError
from .image import Images
from .inject import Calls

_PROT_READ_WRITE = 3
_MAP_PRIVATE_ANONYMOUS = 0x22
_RTLD_NOW = 2
_MFD_CLOEXEC = 1
_PAGE = 4096


def helper_symbol(images: Images, name: str) -> int:
    """The address of something that the loaded helper exports. Raises MemtraceError."""
    for image in images.named(lambda file: file.removeprefix("memfd:").startswith("memtrace-")):
        address = image.symbol(name)
        if address is not None:
            return address
    raise MemtraceError(f"the process has no memtrace helper with {name}")


def serve(calls: Calls, here: bool) -> None:
    """Have the helper carry out the request in the mailbox: on the calling thread, which holds
    the interpreter's lock (`here`), or on a thread of the helper's own."""
    name = "memtrace_serve_here" if here else "memtrace_serve"
    status = calls.call_int(helper_symbol(calls.images, name))
    if status != Status.OK and not here:
        raise MemtraceError(f"the helper can't start its thread (status {status})")


def open_buffer(calls: Calls, buffer_size: int) -> None:
    """Have the helper make its buffer, of so many bytes."""
    address = calls.call(helper_symbol(calls.images, "memtrace_open"), buffer_size)
    if not address:
        error = target.read_i32(calls.call(calls.libc("__errno_location")))
        seccomp = procfs.status(calls.images.pid).get("Seccomp", "0")
        raise MemtraceError(
            f"the process can't make a buffer of {buffer_size} bytes: {os.strerror(error)}",
            "set memtrace buffer-size to less"
            if seccomp == "0"
            else "its seccomp filter may forbid memfd_create",
        )


def load_helper(calls: Calls, helper: Path) -> None:
    """dlopen() the helper in the process. Where the process can't open our path (a container),
    it gets the file's bytes in a memfd."""
    pid = calls.images.pid
    page = _map_page(calls)
    try:
        if preflight.reachable(pid, helper):
            _dlopen(calls, page, os.fsencode(helper))
        else:
            _dlopen_staged(calls, page, helper)
    finally:
        calls.call(calls.libc("munmap"), page, _PAGE)


def _map_page(calls: Calls) -> int:
    page = calls.call(calls.libc("mmap"), 0, _PAGE, _PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS, -1, 0)
    if page >> 63:
        raise MemtraceError("the process has no memory left (mmap failed)")
    return page


def _dlopen(calls: Calls, page: int, path: bytes) -> None:
    if len(path) >= _PAGE:
        raise MemtraceError("the helper's path is too long")
    calls.write(page, path + b"\0")
    if not calls.call(calls.libc("dlopen"), page, _RTLD_NOW):
        reason = calls.call(calls.libc("dlerror"))
        detail = os.fsdecode(target.read_cstring(reason, 1024)) if reason else "no reason given"
        raise MemtraceError(f"the process can't load the helper: {detail}")


def _dlopen_staged(calls: Calls, page: int, helper: Path) -> None:
    calls.write(page, os.fsencode(helper.name) + b"\0")
    descriptor = calls.call_int(calls.libc("memfd_create"), page, _MFD_CLOEXEC)
    if descriptor < 0:
        raise MemtraceError(
            f"the process can't open {helper} (other mount namespace), nor make a memfd",
            "copy the helper to where the process sees it under the same path",
        )
    try:
        with open(f"/proc/{calls.images.pid}/fd/{descriptor}", "wb") as file:
            file.write(helper.read_bytes())
        _dlopen(calls, page, f"/proc/self/fd/{descriptor}".encode())
    finally:
        calls.call(calls.libc("close"), descriptor)
