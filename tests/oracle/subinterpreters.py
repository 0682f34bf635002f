"""Runs code in subinterpreters while it is recorded; the child of test_subinterpreters.py.

    subinterpreters.py CASE OUTPUT

writes what was recorded, and the counters, as JSON to OUTPUT. The cases are the functions below
that begin with case_.
"""

from __future__ import annotations

import functools
import json
import sys
import threading

import harness

try:  # 3.13
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters

HAVE_OWN_GILS = sys.version_info >= (3, 12)
HAVE_ISOLATED = sys.hexversion >= 0x03090000  # create(isolated=…)

PROGRAM = """
def add_up(limit):
    total = 0
    for number in range(limit):
        total += number
    return total
result = add_up(3)
"""
# Suspended between two runs.
GENERATOR = """
def count():
    number = 0
    while True:
        number += 1
        yield number
numbers = count()
next(numbers)
"""
THREADS = """
import threading
def work(limit):
    done = 0
    for number in range(limit):
        done += number
    done = 'end'
threads = [threading.Thread(target=work, args=(100,)) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def create(own_gil: bool = False):
    if sys.version_info >= (3, 13):
        return _interpreters.create("isolated" if own_gil else "legacy")
    if HAVE_ISOLATED:
        return _interpreters.create(isolated=own_gil)
    return _interpreters.create()


def run(interpreter, text: str) -> None:
    execute = getattr(_interpreters, "exec", None) or _interpreters.run_string
    failure = execute(interpreter, text)
    assert failure is None, failure


def destroy(interpreter) -> None:
    _interpreters.destroy(interpreter)


def case_one_that_is_there(recording) -> None:
    there = create()
    run(there, PROGRAM)
    recording.start()
    run(there, PROGRAM)
    recording.stop()
    run(there, PROGRAM)
    destroy(there)


def case_one_that_comes_later(recording) -> None:
    recording.start()
    later = create()
    run(later, PROGRAM)
    destroy(later)
    recording.stop()


def case_one_made_where_nothing_is_called(recording) -> None:
    # Not a call of Python's from when the frame is known on.
    program = "def make(create, run, text):\n known = 0\n known = 1\n run(create(), text)\n"
    namespace = {}
    exec(compile(program, "<string>", "exec"), namespace)
    if sys.version_info >= (3, 13):
        made = functools.partial(_interpreters.create, "legacy")
    elif HAVE_ISOLATED:
        made = functools.partial(_interpreters.create, isolated=False)
    else:
        made = _interpreters.create
    execute = getattr(_interpreters, "exec", None) or _interpreters.run_string
    recording.start()
    namespace["make"](made, execute, PROGRAM)
    recording.stop()


def case_one_that_ends_meanwhile(recording) -> None:
    there = create()
    run(there, PROGRAM)
    recording.start()
    run(there, PROGRAM)
    destroy(there)
    last = create()  # likely at the address of the one before
    run(last, PROGRAM)
    recording.stop()
    run(last, PROGRAM)
    destroy(last)


def case_on_again(recording) -> None:
    there = create()
    for _ in range(3):
        recording.start()
        run(there, PROGRAM)
        recording.stop()
        run(there, PROGRAM)
    destroy(there)


def case_generator_suspended(recording) -> None:
    there = create()
    run(there, GENERATOR)
    recording.start()
    run(there, "next(numbers)")
    recording.stop()
    run(there, "next(numbers); assert not numbers.gi_frame.f_trace_opcodes")
    destroy(there)


def case_threads(recording) -> None:
    there = create()
    recording.start()
    run(there, THREADS)
    recording.stop()
    destroy(there)


def case_own_gil(recording) -> None:
    there = create(own_gil=True)
    recording.start()
    run(there, PROGRAM)
    later = create(own_gil=True)
    run(later, PROGRAM)
    mine = 1
    recording.stop()
    destroy(there)
    destroy(later)
    assert mine


def case_own_gil_at_once(recording) -> None:
    """One computes under its own GIL, while another one, that is recorded, does the same."""
    own, shared = create(own_gil=True), create()
    running, stop = threading.Event(), threading.Event()

    def compute() -> None:
        while not stop.is_set():
            run(own, PROGRAM + "add_up(1000)")
            running.set()

    thread = threading.Thread(target=compute)
    thread.start()
    running.wait()
    recording.start()
    run(shared, PROGRAM + "add_up(3000)")
    recording.stop()
    stop.set()
    thread.join()
    destroy(own)
    destroy(shared)


def case_nothing_is_left(recording) -> None:
    there = create()
    recording.start()
    run(there, GENERATOR + PROGRAM)
    recording.stop()
    run(there, "import sys; assert sys.gettrace() is None")
    run(
        there,
        "if hasattr(sys, 'monitoring'):\n"
        "    for tool in range(6):\n"
        "        assert sys.monitoring.get_tool(tool) is None, tool\n"
        "        sys.monitoring.use_tool_id(tool, 'check')\n"
        "        assert not sys.monitoring.get_local_events(tool, add_up.__code__)\n"
        "        sys.monitoring.free_tool_id(tool)\n",
    )
    destroy(there)


def case_under_load(recording) -> None:
    """Interpreters come and go, in several threads, while recording is switched on and off."""
    sys.setswitchinterval(1e-4)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            one = create()
            for _ in range(3):
                run(one, PROGRAM)
            run(one, GENERATOR)
            destroy(one)

    def churn_own() -> None:
        while HAVE_OWN_GILS and not stop.is_set():
            one = create(own_gil=True)
            run(one, PROGRAM * 3)
            destroy(one)

    threads = [threading.Thread(target=target) for target in (churn, churn, churn_own)]
    for thread in threads:
        thread.start()
    there = create()
    for _ in range(40):
        recording.start()
        run(there, PROGRAM)
        recording.stop()
    stop.set()
    for thread in threads:
        thread.join()
    destroy(there)


def main(case: str, output: str) -> None:
    recording = harness.MemtraceRecording([])
    globals()[f"case_{case}"](recording)
    control = recording.control
    counters = {
        "interpreters": control.interpreters,
        "lost": control.lost_interpreters,
        "left_out": [number for number in control.interpreters_left_out if number],
        "threads": control.thread_count,
    }
    control.lost_interpreters = 0
    with open(output, "w", encoding="utf-8") as file:
        json.dump({**counters, "events": recording.events()}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
