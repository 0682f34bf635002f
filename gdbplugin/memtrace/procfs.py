"""Read /proc/PID: maps, status, threads. Parsing only; no gdb, nothing is written.

Every function takes the text or a pid and returns plain data. What has gone away in the
meantime (a thread that ended) is left out, not an error; a process that has gone away
raises ProcessLookupError or FileNotFoundError as open() does."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import Dict, List, Optional

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+) *(.*)", re.ASCII)


@dataclass(frozen=True)
class Mapping:
    """One line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    offset: int
    device: str
    inode: int
    path: str  # "" for anonymous memory; ends in " (deleted)" for an unlinked file

    @property
    def name(self) -> str:
        """The file's own name, without directory and without " (deleted)"."""
        path = self.path
        if path.endswith(" (deleted)"):
            path = path[: -len(" (deleted)")]
        return path.rpartition("/")[2]


def parse_maps(text: str) -> List[Mapping]:
    """The mappings in the text of /proc/PID/maps, in order of address."""
    result = []
    for line in text.splitlines():
        match = _MAPPING.fullmatch(line)
        if match:
            start, end, permissions, offset, device, inode, path = match.groups()
            result.append(
                Mapping(
                    int(start, 16),
                    int(end, 16),
                    permissions,
                    int(offset, 16),
                    device,
                    int(inode),
                    path,
                )
            )
    return result


def maps(pid: int) -> List[Mapping]:
    """The mappings of a process."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        return parse_maps(file.read())


def find(mappings: List[Mapping], address: int) -> Optional[Mapping]:
    """The mapping that contains the address."""
    for mapping in mappings:
        if mapping.start <= address < mapping.end:
            return mapping
    return None


def parse_status(text: str) -> Dict[str, str]:
    """The fields of /proc/PID/status."""
    fields = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in fields}


def status(pid: int, tid: int = 0) -> Dict[str, str]:
    """Status of a process, or of one of its threads."""
    path = f"/proc/{pid}/task/{tid}/status" if tid else f"/proc/{pid}/status"
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return parse_status(file.read())


def is_alive(pid: int) -> bool:
    """Is there a process that has not ended? A zombie has."""
    try:
        return status(pid).get("State", "Z")[0] not in "ZX"
    except OSError:
        return False


def ends_within(pid: int, seconds: float) -> bool:
    """Wait for a process to end, at most so long. Has it?"""
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def has_signal(fields: Dict[str, str], mask: str, number: int) -> bool:
    """Is signal `number` in a mask of a status: "SigPnd", "ShdPnd", "SigBlk", …?"""
    return bool(int(fields.get(mask, "0"), 16) >> (number - 1) & 1)


def threads(pid: int) -> List[int]:
    """Kernel ids of the threads of a process."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


def syscall(pid: int, tid: int) -> int:
    """The number of the system call that a stopped thread is in, -1: none, or not known."""
    try:
        with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
            first = file.read().split()[0]
    except (OSError, IndexError):
        return -1
    return int(first) if first.lstrip("-").isdigit() else -1


def comm(pid: int, tid: int) -> str:
    """The name of a thread, "" when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def descriptor_of(pid: int, mapping: Mapping) -> Optional[int]:
    """A file descriptor of the process that is open on the mapped file."""
    directory = f"/proc/{pid}/fd"
    for name in os.listdir(directory):
        try:
            if os.readlink(f"{directory}/{name}") != mapping.path:
                continue
            if os.stat(f"{directory}/{name}").st_ino == mapping.inode:
                return int(name)
        except OSError:
            continue  # closed in the meantime
    return None


def same_file(pid: int, path: str) -> bool:
    """Is `path`, as the process sees it, the file that we see under that name? False in
    another mount namespace or root directory."""
    try:
        ours = os.stat(path)
        theirs = os.stat(f"/proc/{pid}/root{path}")
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
