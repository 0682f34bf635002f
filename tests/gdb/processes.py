"""What can be seen of a process from outside: is it as it was before gdb came?"""

from __future__ import annotations

import time
from pathlib import Path

from session import slowness


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def thread_count(pid: int) -> int:
    """Number of its threads."""
    return int(status(pid)["Threads"])


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
