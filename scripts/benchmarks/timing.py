"""Child: pairs of neighbouring runs, untraced and observed, in turns.

Time is the CPU time of this process, all threads: what other processes of the machine do
matters less to it than to the wall clock, and nothing that is compared here waits."""

import gc
import time

SHORTEST = 0.002  # seconds: a shorter run is repeated, as timers and caches are coarse


def seconds(run, repeat=1):
    """CPU time of one run(), mean of `repeat`, and what it returned last."""
    start = time.process_time()
    for _ in range(repeat):
        returned = run()
    return (time.process_time() - start) / repeat, returned


def repeats(run):
    """How often to run for one measurement."""
    spent, _ = seconds(run)
    return max(1, int(SHORTEST / max(spent, 1e-7)))


class Disturbed(Exception):
    """A run under an observer returned something else than the untraced one."""


def pair(run, observer, subject, repeat, expected):
    """One pair: [seconds untraced, seconds observed, events per observed run]."""
    gc.collect()
    run()  # what the observer before took out of the caches
    untraced, _ = seconds(run, repeat)
    observed_run = observer.start(subject)
    try:
        if observer.settles:
            # First sight of the code is not what is measured here.
            begin = time.monotonic()
            observed_run()
            while time.monotonic() - begin < observer.settle_seconds:
                observed_run()
        observer.events()
        observed, returned = seconds(observed_run, repeat if observer.settles else 1)
        events = observer.events()
    finally:
        observer.stop()
    if returned != expected:
        raise Disturbed("returned %r, untraced %r" % (returned, expected))
    return [untraced, observed, events // (repeat if observer.settles else 1)]


def compare(subject, observers, rounds, deadline):
    """Pairs of every observer in turns: {name: [pair, …]}, and {name: why} of those that
    failed. Begins no pair after `deadline` (time.monotonic()) once each has one."""
    run = subject.run
    expected = run()
    repeat = repeats(run)
    pairs = {observer.name: [] for observer in observers}
    failures = {}
    for number in range(rounds):
        for observer in observers if number % 2 == 0 else observers[::-1]:
            if observer.name in failures or (number and time.monotonic() > deadline):
                continue
            try:
                found = pair(run, observer, subject, repeat, expected)
            except Exception as error:
                failures[observer.name] = "%s: %s" % (type(error).__name__, error)
                continue
            pairs[observer.name].append(found)
    return pairs, failures
