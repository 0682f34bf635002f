"""Runs one module of CPython's own tests and writes what became of each test method.

    child.py MODULE RESULTS

RESULTS gets a JSON object a line, at once, so that a crash shows where it happened:
`{"begins": ID}` and `{"ends": ID, "outcome": …, "detail": …, "events": N}` for each test, and
`{"finished": …}` at the end. A test's `events` is how many events were recorded during it. Where
there were none, recording is switched on again: a test that sets or clears its thread's trace
function must not hide those behind it.

Run by runner.py under preload.c, on CPython 3.8 and later; imports nothing of memtrace.
"""

import collections
import ctypes
import faulthandler
import json
import os
import random
import signal
import sys
import unittest

OUTCOMES = ("passed", "skipped", "expected failure", "unexpected success", "failed", "errored")


class Results(unittest.TestResult):
    """Writes down each test's outcome: the worst, where subtests have several."""

    def __init__(self, file, preload):
        super().__init__()
        self._file = file
        self._preload = preload
        self._events = preload.memtrace_regress_events
        self.again = 0
        self._seen = collections.Counter()
        self._running = None  # id, events when it began
        self._outcome, self._detail = None, ""

    def write(self, **record):
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def _unique(self, test):
        name = test.id()
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name} #{self._seen[name]}"

    def startTest(self, test):
        super().startTest(test)
        self._running = self._unique(test), self._events()
        self._outcome, self._detail = None, ""
        self.write(begins=self._running[0])

    def stopTest(self, test):
        super().stopTest(test)
        if self._running is None:
            return  # skipped by its decorator: 3.12.1 begins no such test, but ends it
        name, before = self._running
        self._running = None
        events = self._events() - before
        self._end(name, self._outcome or "passed", self._detail, events)
        if not events:
            self._preload.memtrace_regress_again()
            self.again += 1

    def _end(self, name, outcome, detail, events=None):
        self.write(ends=name, outcome=outcome, detail=detail[-3000:], events=events)

    def _note(self, test, outcome, detail=""):
        if self._running is None:  # setUpClass, setUpModule, or a class that is skipped
            self._end(self._unique(test), outcome, detail)
        elif self._outcome is None or OUTCOMES.index(outcome) > OUTCOMES.index(self._outcome):
            self._outcome, self._detail = outcome, detail

    def addError(self, test, err):
        super().addError(test, err)
        self._note(test, "errored", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(test, "failed", self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            text = (self.failures if failed else self.errors)[-1][1]
            self._note(test, "failed" if failed else "errored", f"{subtest}\n{text}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped", str(reason))

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")


def open_preload():
    """The functions that preload.c has for us, called with the GIL."""
    preload = ctypes.PyDLL(None)
    preload.memtrace_regress_events.restype = ctypes.c_uint64
    preload.memtrace_regress_losses.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return preload


def losses(preload):
    """What recording lost, by reason."""
    text = ctypes.create_string_buffer(1000)
    preload.memtrace_regress_losses(text, len(text))
    return {reason: count for reason, count in json.loads(text.value).items() if count}


def prepare():
    """What regrtest does before it runs a test, as far as results depend on it."""
    from test import support

    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    support.use_resources = []  # none: no network, no large files, no tests that take long
    support.verbose = 0
    faulthandler.enable(all_threads=True)
    random.seed(1)
    # Whoever started the runner in the background may ignore them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def main(module, path):
    # Line-buffered by hand, and not inherited by what the tests start.
    with open(path, "w", encoding="utf-8") as file:
        preload = open_preload()
        results = Results(file, preload)
        prepare()
        try:
            tests = unittest.TestLoader().loadTestsFromName("test." + module)
        except unittest.SkipTest as skipped:
            results.write(ends=module, outcome="skipped", detail=str(skipped), events=None)
        else:
            tests.run(results)
        results.write(
            finished=True,
            events=preload.memtrace_regress_events(),
            losses=losses(preload),
            again=results.again,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
