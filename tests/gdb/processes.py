"""What can be seen of a process from outside: is it as it was before gdb came?"""

from __future__ import annotations

import time
from pathlib import Path

from session import slowness

READ, POLL = 0, 7  # system calls


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def thread_count(pid: int) -> int:
    """Number of its threads."""
    return int(status(pid)["Threads"])


def thread_in_call(pid: int, number: int) -> int:
    """The id of a thread that waits in a system call, by the call's number on x86-64, as soon as
    there is one. The kernel gives nothing to wait on: look again."""
    deadline = time.monotonic() + 60 * slowness()
    while True:
        for task in Path(f"/proc/{pid}/task").iterdir():
            if (task / "syscall").read_text(encoding="ascii").startswith(f"{number} "):
                return int(task.name)
        assert time.monotonic() < deadline, f"no thread of {pid} is in system call {number}"
        time.sleep(0.001)


def assert_free(pid: int, threads: int) -> None:
    """Nobody traces it, it is not stopped, and it has `threads` threads. A thread that is about
    to end gets a moment: nothing tells when it has."""
    deadline = time.monotonic() + 10 * slowness()
    while True:
        now = status(pid)
        seen = (now["TracerPid"], now["State"][0] in "tTZ", int(now["Threads"]))
        if seen == ("0", False, threads):
            return
        assert time.monotonic() < deadline, f"tracer, stopped, threads: {seen}"
        time.sleep(0.01)


def changed_text(pid: int) -> list[str]:
    """Places where the process's code differs from its files: a breakpoint that was left."""
    result = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            area, permissions, offset, _, _, *path = line.split(maxsplit=5)
            if "x" not in permissions or not path or not path[0].startswith("/"):
                continue
            start, end = (int(text, 16) for text in area.split("-"))
            memory.seek(start)
            mapped = memory.read(end - start)
            with open(path[0], "rb") as file:
                file.seek(int(offset, 16))
                original = file.read(end - start)
            result += (
                [
                    f"{path[0]}+{int(offset, 16) + i:#x}: {mapped[i]:#x}"
                    for i in range(len(original))
                    if mapped[i] != original[i]
                ]
                if mapped[: len(original)] != original
                else []
            )
    return result
