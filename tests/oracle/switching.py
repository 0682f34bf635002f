"""Switches recording on and off, many times, while threads run; the child of test_switching.py.

    switching.py ROUNDS

After each round nothing may be left: no tracer, no opcode events in frames, no tool id and no
local events of sys.monitoring.
"""

from __future__ import annotations

import sys
import threading

import harness

TOOLS = range(6)


class Box:
    pass


class Switches:
    """Recording begins in an __init__ that has run often: from 3.12 on the interpreter puts a frame
    of its own between it and the call."""

    def __init__(self, recording) -> None:
        if recording:
            recording.start()
            recording.stop()


def count(limit):
    for index in range(limit):
        text = "a" * (index % 5)
        yield index, text


def recurse(depth):
    left = depth
    return recurse(left - 1) + 1 if left else 0


def work(stop: threading.Event) -> None:
    while not stop.is_set():
        box, items = Box(), []
        box.total = 0
        for index, text in count(50):
            box.total += index
            items.append(text)
        recurse(30)
        table = {key: text * 2 for key, text in enumerate(items)}
        kept = []
        try:
            raise KeyError(table)
        except KeyError as error:
            kept.append(error)
        kept.clear()


def check_nothing_is_left(frame) -> None:
    assert sys.gettrace() is None
    assert not frame.f_trace_opcodes and frame.f_trace_lines
    if not hasattr(sys, "monitoring"):
        return
    for tool in TOOLS:
        assert sys.monitoring.get_tool(tool) is None, tool
        sys.monitoring.use_tool_id(tool, "check")
        for function in (work, count, recurse, main):
            assert not sys.monitoring.get_local_events(tool, function.__code__), function
        sys.monitoring.free_tool_id(tool)


def main(rounds: int) -> None:
    sys.setswitchinterval(1e-4)
    suspended = count(10**6)
    next(suspended)
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    recording = harness.MemtraceRecording(["only=*switching.py"])
    try:
        for number in range(100):
            Switches(recording if number == 99 else None)
        for _ in range(rounds):
            recording.start()
            for _ in range(20):
                next(suspended)
            recording.stop()
            check_nothing_is_left(sys._getframe())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print("nothing left")


if __name__ == "__main__":
    main(int(sys.argv[1]))
