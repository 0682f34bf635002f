"""Child: one job under the interpreter that is measured.

    python -m benchmarks.child JOB RESULT      both files of JSON

A job is a dict with `kind`, one of the functions below, and its arguments."""

import gc
import importlib
import json
import os
import sys
import time
import traceback

from . import codes, growth, observers, timing
from .helper import Helper, Refused, literal


class Program:
    """A program of programs/ as a subject (see observers)."""

    def __init__(self, name, small):
        self._module = importlib.import_module("benchmarks.programs." + name)
        self._size = self._module.PEER_SIZE if small else self._module.SIZE
        self.file = self._module.__file__
        self.one = self._module.ONE
        self.hot = getattr(self._module, "HOT", None)
        with open(self.file, encoding="utf-8") as file:
            self.source = file.read()
        self.run = self.run_of(vars(self._module))

    def run_of(self, namespace):
        run, size = namespace["run"], self._size
        return lambda: run(size)


def program(job):
    """One program under memtrace's modes and the floors."""
    subject = Program(job["program"], small=False)
    found, failures = [], {}
    if job["floors"]:
        found += observers.floors()
    try:
        helper = Helper(job["lib"])
        for mode in job["modes"]:
            if mode != "break, condition false" or subject.hot:
                found.append(observers.memtrace(mode, helper))
    except Refused as refused:
        helper = None
        failures.update({mode: str(refused) for mode in job["modes"]})
    pairs, failed = timing.compare(subject, found, job["rounds"], _deadline(job))
    failures.update(failed)
    losses = helper.losses() if helper else {}
    return {"pairs": pairs, "failures": failures, "losses": losses}


def instructions(job):
    """A program in one mode, some runs; whoever counts knows what it cost."""
    subject = Program(job["program"], small=True)
    observer = {floor.name: floor for floor in observers.floors()}.get(job["mode"])
    if not observer and job["mode"] != observers.UNTRACED:
        observer = observers.memtrace(job["mode"], Helper(job["lib"]))
    run = observer.start(subject) if observer else subject.run
    run()  # first sight
    if observer:
        observer.events()
    for _ in range(job["runs"]):
        run()
    if not observer:
        return {"events": 0}
    events = observer.events()
    observer.stop()
    return {"events": events}


def peer(job):
    """One program, small, under one tracer written in Python."""
    subject = Program(job["program"], small=True)
    kinds = {kind.name: kind for kind in observers.PEERS + (observers.Tutorial,)}
    pairs, failures = timing.compare(subject, [kinds[job["peer"]]()], job["rounds"], _deadline(job))
    return {"pairs": pairs, "failures": failures}


def series(job):
    """One series of growth."""
    helper = Helper(job["lib"])
    pairs = growth.measure(
        job["series"], helper, job["rounds"], _deadline(job), job["quick"], job["long"]
    )
    return {"pairs": pairs, "losses": helper.losses()}


def start(job):
    """Installing with many code objects loaded, and meeting them for the first time."""
    made = codes.functions(job["codes"])
    codes.call_all(made)
    codes.call_all(made)
    untraced, _ = timing.seconds(lambda: codes.call_all(made))
    helper = Helper(job["lib"])
    only = codes.FILE if job["traced"] else "no-such-file-of-the-benchmark.py"
    # Room for all plans: the second round is to meet them.
    request = ("verb=install", "only=" + literal(only), "plan-bytes=4000000000")
    install, _ = timing.seconds(lambda: helper.request(*request))
    first, _ = timing.seconds(lambda: codes.call_all(made))
    second, _ = timing.seconds(lambda: codes.call_all(made))
    remove, _ = timing.seconds(lambda: helper.request("verb=remove"))
    return {
        "codes": job["codes"],
        "install_s": install,
        "remove_s": remove,
        "untraced_s": untraced,
        "first_s": first,
        "second_s": second,
        "first_sight_ns": (first - second) / job["codes"] * 1e9,
        "losses": helper.losses(),
    }


def _memory():
    """Pss of this process in bytes, and that of the buffer in it."""
    total = buffer = 0
    in_buffer = False
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            head = line.split()
            if "-" in head[0] and not head[0].endswith(":"):
                in_buffer = "memfd:memtrace" in line
            elif head[0] == "Pss:":
                total += int(head[1]) * 1024
                buffer += int(head[1]) * 1024 * in_buffer
    return total, buffer


def memory(job):
    """Memory of this process before, and after many code objects and events."""
    made = codes.functions(job["codes"])
    codes.call_all(made)
    subject = growth.events(job["events"])
    growth.events(1000).run()
    gc.collect()
    before, _ = _memory()
    if job["how"] == "store floor":
        floor = observers.StoreFloor()
        floor.start(subject)
        helper = None
    else:
        helper = Helper(job["lib"])
        only = {
            "full": [codes.FILE, growth.FILE],
            "nothing": ["no-such-file-of-the-benchmark.py"],
        }[job["how"]]
        helper.request("verb=install", *("only=" + literal(glob) for glob in only))
    codes.call_all(made)
    after_codes, codes_buffer = _memory()
    subject.run()
    gc.collect()
    after, buffer = _memory()
    return {
        "how": job["how"],
        "codes": job["codes"],
        "events": helper.events() if helper else floor.events(),
        "buffer_bytes": helper.control.buffer_bytes if helper else 0,
        "growth_bytes": after - before,
        "outside_buffer_bytes": after - buffer - before,
        "outside_buffer_by_codes_bytes": after_codes - codes_buffer - before,
        "losses": helper.losses() if helper else {},
    }


def event_size(job):
    """Bytes that a scalar event takes, with the widest values: 64-bit ints and floats."""
    # A global, so that the list itself is no event.
    namespace = {"xs": [0x7000000000000000, 1e300, 0x7000000000000001, 1e-300] * 20000}
    exec(compile("def f():\n    for x in xs:\n        pass\n", growth.FILE, "exec"), namespace)
    helper = Helper(job["lib"])
    helper.request("verb=install", "only=" + literal(growth.FILE))
    namespace["f"]()
    helper.request("verb=remove")
    total_bytes, total_events = helper.bytes_of_events()
    return {"bytes": total_bytes, "events": total_events}


def await_gdb(job):
    """Stay for gdb: with `events`, record as many first. Ready when the result is there."""
    if job["events"]:
        # One more variable, written just once at the very beginning.
        namespace = {}
        source = "def f(n):\n    first = n\n    for i in range(n):\n        x = i\n"
        exec(compile(source, growth.FILE, "exec"), namespace)
        helper = Helper(job["lib"], job["buffer_bytes"])
        helper.request("verb=install", "only=" + literal(growth.FILE))
        namespace["f"](job["events"] // 2)
        helper.request("verb=remove")
        kept = helper.events() - helper.control.lost_overwritten
    else:
        kept = 0
    _write(sys.argv[2], {"events": kept})
    sys.stdin.read()  # until whoever started us closes it


KINDS = {
    function.__name__: function
    for function in (program, peer, instructions, series, start, memory, event_size, await_gdb)
}


def _deadline(job):
    return time.monotonic() + job["seconds"]


def _write(path, result):
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(path + ".part", path)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    sys.path[:0] = job["paths"]
    try:
        result = KINDS[job["kind"]](job)
    except Exception as error:
        traceback.print_exc()
        result = {"error": "%s: %s" % (type(error).__name__, error)}
    if result is not None:
        _write(sys.argv[2], result)


if __name__ == "__main__":
    main()
