"""The only place that reads the debuggee's memory: a live process or a core file, through
gdb. And what gdb knows about the process as a whole.

Never writes. A failed read is a MemtraceError, so that damaged data ends a command with a
message, and nothing worse. gdb's main thread only."""

from __future__ import annotations

import re

import gdb

from .errors import MemtraceError

_READ_MAX = 64 * 1024 * 1024
_STRING_MAX = 64 * 1024


def pid() -> int:
    """Process id of the selected inferior, 0: there is none. A core file has the pid that
    its process had."""
    return gdb.selected_inferior().pid


def program() -> str:
    """The program that `run` would start, or that runs; "" if gdb was given none."""
    return gdb.current_progspace().filename or ""


def is_live() -> bool:
    """Is there a process of this machine (not a core file, not a remote one)?"""
    return pid() != 0 and _connection() == "native"


def is_remote() -> bool:
    """Is the process one that gdb reaches through something else: gdbserver, a recording?"""
    return pid() != 0 and _connection() not in ("native", "core")


def _connection() -> str:
    connection = getattr(gdb.selected_inferior(), "connection", None)  # gdb 12
    if connection is not None:
        return str(connection.type)
    return "core" if core_path() else "native"


def is_core() -> bool:
    """Is the selected inferior a core file?"""
    return pid() != 0 and _connection() == "core"


def core_path() -> str:
    """The core file that the selected inferior is, "" if it is none."""
    text = gdb.execute("info target", to_string=True)
    match = re.search(r"^Local core dump file:\n\s+`(.*)', file type ", text, re.MULTILINE)
    return match.group(1) if match else ""


def read(address: int, size: int) -> bytes:
    """Read memory. Raises MemtraceError where there is none."""
    if size < 0 or size > _READ_MAX:
        raise MemtraceError(f"refused to read {size} bytes at {address:#x}")
    if size == 0:
        return b""
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except (gdb.MemoryError, gdb.error, OverflowError, ValueError):
        raise MemtraceError(f"cannot read {size} bytes at {address:#x}") from None


def read_i32(address: int) -> int:
    """A signed 32-bit number."""
    return int.from_bytes(read(address, 4), "little", signed=True)


def read_cstring(address: int, limit: int = _STRING_MAX) -> bytes:
    """The bytes up to the first NUL, at most `limit`."""
    parts = []
    while limit > 0:
        # Up to the end of the page: the next one may not be there.
        size = min(limit, 4096 - address % 4096)
        part = read(address, size)
        end = part.find(b"\0")
        if end >= 0:
            parts.append(part[:end])
            break
        parts.append(part)
        address += size
        limit -= size
    return b"".join(parts)
