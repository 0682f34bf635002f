"""Child: the cost of a store as something else grows.

A series is a name, values of x, and a function that makes a subject for one x (see observers).
What comes out is nanoseconds per event: (observed - untraced) / events."""

import sys
import threading
import time

from . import codes, helper, observers, timing

FILE = "<growth>"
STORES = 40000  # of one run; what grows may make it somewhat more


class Subject:
    """Generated code that is run."""

    file = FILE
    one = hot = source = run_of = None

    def __init__(self, run, file=FILE, options=()):
        self.run = run
        self.file = file
        self.options = list(options)


def _compile(source, name):
    namespace = {"threading": threading}
    exec(compile(source, FILE, "exec"), namespace)
    return namespace[name]


def locals_(count):
    # Arguments, so that all are bound and the loop stands at the same offset.
    others = "".join(", v%d=%d" % (i, i) for i in range(count - 3))
    source = "def f(n, x=0, i=0%s):\n    for i in range(n):\n        x = i\n" % others
    f = _compile(source, "f")
    return Subject(lambda: f(STORES // 2))


def last_locals(count):
    others = "".join("    v%d = %d\n" % (i, i) for i in range(count - 3))
    source = "def f(n):\n%s    for i in range(n):\n        x = i\n" % others
    f = _compile(source, "f")
    return Subject(lambda: f(STORES // 2))


def list_beside(length):
    f = _compile("def f(n, xs):\n    for i in range(n):\n        x = i\n    return len(xs)\n", "f")
    xs = [0] * length
    return Subject(lambda: f(STORES // 2, xs))


def list_item(length):
    source = "def f(n, xs):\n    for i in range(n):\n        xs[0] = i\n    return len(xs)\n"
    f = _compile(source, "f")
    xs = [0] * max(1, length)
    return Subject(lambda: f(STORES // 2, xs))


def list_mutated(length):
    source = "def f(n, xs):\n    for i in range(n):\n        xs.append(i)\n        xs.pop()\n"
    f = _compile(source, "f")
    xs = [0] * length
    return Subject(lambda: f(STORES // 8, xs))


def depth(levels):
    """As many calls at any depth: down, a store on the way down and one on the way up."""
    source = (
        "def down(level):\n    before = level\n    if level > 1:\n        down(level - 1)\n"
        "    after = before\n"
        "def f(levels, times):\n    for i in range(times):\n        down(levels)\n"
    )
    f = _compile(source, "f")
    times = max(1, STORES // 3 // levels)

    def run():
        sys.setrecursionlimit(max(1000, levels + 500))
        thread = threading.Thread(target=f, args=(levels, times))
        thread.start()
        thread.join()

    return Subject(run)


def threads(count):
    f = _compile("def f(n):\n    for i in range(n):\n        x = i\n", "f")

    def run():
        running = [threading.Thread(target=f, args=(STORES // 2 // count,)) for _ in range(count)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return Subject(run)


def events(count):
    f = _compile("def f(n):\n    for i in range(n):\n        x = i\n", "f")
    return Subject(lambda: f(count // 2))


def code_objects(count):
    made = codes.functions(count)
    rounds = max(1, STORES // 4 // count)

    def run():
        for _ in range(rounds):
            codes.call_all(made)

    return Subject(run, file=codes.FILE)


def breakpoints(count):
    f = _compile("def f(n):\n    for i in range(n):\n        x = i\n", "f")
    options = []
    for number in range(1, count + 1):
        options += ["break=%d" % number, "break-target=q%d" % number]
    return Subject(lambda: f(STORES // 2), options=options)


def breakpoints_checked(count):
    f = _compile("def f(n):\n    for i in range(n):\n        x = i\n", "f")
    # Only those of another function: the name is right, the place is not.
    options = []
    for number in range(1, count + 1):
        options += ["break=%d" % number, "break-function=g", "break-target=x"]
    return Subject(lambda: f(STORES // 2), options=options)


# name: (what x is, values, values with --quick, subject)
SERIES = {
    "locals": ("locals of the function", (3, 30, 300), (3, 30, 300), locals_),
    "last of the locals": (
        "locals of the function",
        (3, 30, 300),
        (3, 300),
        last_locals,
    ),
    "list beside": ("items of a list in a local", (0, 10**3, 10**7), (0, 10**7), list_beside),
    "item stored": ("items of the list", (1, 10**3, 10**7), (1, 10**7), list_item),
    "list mutated": ("items of the list", (0, 10**3, 10**7), (0, 10**3, 10**7), list_mutated),
    "depth": ("calls deep", (10, 100, 1000, 5000), (10, 1000), depth),
    "threads": ("threads", (1, 2, 8), (1, 8), threads),
    "events": ("events recorded", (10**5, 10**6, 10**7), (10**5, 10**6), events),
    "code objects": ("code objects", (10, 10**3, 10**4, 10**5), (10, 10**4), code_objects),
    "breakpoints": ("armed, on other variables", (1, 10, 100, 1000), (1, 1000), breakpoints),
    "breakpoints elsewhere": (
        "armed, same name elsewhere",
        (1, 10, 100, 600),
        (1, 600),
        breakpoints_checked,
    ),
}
LONG_EVENTS = 10**8


class _Full(observers.Memtrace):
    def __init__(self, recorder):
        super().__init__(
            "full",
            recorder,
            lambda subject: ["only=" + helper.literal(subject.file), *subject.options],
        )


def measure(name, recorder, rounds, deadline, quick, long):
    """One series: {x: [pair, …]} of memtrace in full."""
    _, values, quick_values, make = SERIES[name]
    values = list(quick_values if quick else values)
    if long and name == "events":
        values.append(LONG_EVENTS)
    observer = _Full(recorder)
    pairs = {x: [] for x in values}
    previous_stack = threading.stack_size(512 * 1024 * 1024) if name == "depth" else None
    # What is kept for some code leaves less room for that of other.
    one_at_a_time = name == "code objects"
    subjects = {} if one_at_a_time else {x: make(x) for x in values}
    try:
        for number in range(rounds):
            for x in values if number % 2 == 0 else values[::-1]:
                # The long ones are their own mean.
                often = 1 if name != "events" else max(1, 3 * 10**6 // x)
                if number and (number >= often * 3 or time.monotonic() > deadline):
                    continue
                subject = make(x) if one_at_a_time else subjects[x]
                found = timing.pair(subject.run, observer, subject, 1, subject.run())
                pairs[x].append(found)
    finally:
        if previous_stack is not None:
            threading.stack_size(previous_stack)
    return pairs
