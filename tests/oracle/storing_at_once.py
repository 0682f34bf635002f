"""Threads store at once, without a GIL; the child of test_free_threaded.py.

    storing_at_once.py THREADS ROUNDS

Each thread stores to its own locals, and all of them to the same dict, list, attributes, slot,
global, cell and nested container. Every value that is stored is another one, so the number of
events per thread and variable is the number of stores, and every old value is one that some
thread stored there. Prints how many events there were.
"""

from __future__ import annotations

import collections
import sys
import threading

import harness

WRITER = 10**6  # the writer's number times this, plus the round, is what is stored


class Box:
    def __init__(self):
        self.total = 0


class Slots:
    __slots__ = ("total",)

    def __init__(self):
        self.total = 0


total = 0


def storer(box, slots, table, items, nested):
    cell = 0

    def store(writer, rounds):
        nonlocal cell
        global total
        for index in range(rounds):
            value = writer * WRITER + index
            text = f"text {value}"
            seen = nested
            total = value
            box.total = value
            slots.total = value
            table["shared"] = value
            table[text] = value
            items[0] = value
            items[-1] = text
            cell = value
            nested["deep"][0] = [value]
            nested["log"].append(value)
            own = Box()
            own.total = value
            own.name = text
            del table[text], seen

    return store


# Events of each name per round.
PER_ROUND = {
    "index": 1,
    "value": 1,
    "text": 1,
    "seen": 2,
    "total": 1,
    "box.total": 1,
    "slots.total": 1,
    "table['shared']": 1,
    "table[text]": 2,
    "items[0]": 1,
    "items[-1]": 1,
    "cell": 1,
    "nested['deep'][0]": 1,
    "nested['log']": 1,
    "own": 1,
    "own.total": 1,
    "own.name": 1,
}


def run(threads: int, rounds: int) -> list[dict]:
    items = [0, "text"]
    nested = {"deep": [[0]], "log": []}
    store = storer(Box(), Slots(), {"shared": 0}, items, nested)
    ready = threading.Barrier(threads)

    def work(writer):
        ready.wait()
        store(writer, rounds)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, threads + 1)]
    recording = harness.MemtraceRecording(["only=*storer.<locals>.store", "value-size=64"])
    recording.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    recording.stop()
    assert len(nested["log"]) == threads * rounds
    return recording.events()


def name_of(event: dict) -> str:
    name = event["name"]
    return "table[text]" if name.startswith("table['text ") else name


def number_of(text: str) -> int:
    return int(text.strip("'[]").removeprefix("text "))


def check_counts(events: list[dict], threads: int, rounds: int) -> None:
    counts: dict[int, collections.Counter] = collections.defaultdict(collections.Counter)
    for event in events:
        if event["scope"] != "argument":
            counts[event["thread"]][name_of(event)] += 1
    assert len(counts) == threads, counts.keys()
    for thread, found in counts.items():
        expected = {name: count * rounds for name, count in PER_ROUND.items()}
        wrong = {
            name: (found[name], expected.get(name))
            for name in found.keys() | expected.keys()
            if found[name] != expected.get(name)
        }
        assert not wrong, f"thread {thread}: (events, stores) are {wrong}"


def check_numbers(events: list[dict]) -> None:
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def check_own(events: list[dict]) -> None:
    """A thread's own variables: each old value is the new value before."""
    last: dict[tuple, str | None] = {}
    for event in events:
        name = event["name"]
        if name in ("index", "value", "text", "own"):
            key = (event["thread"], name)
            assert event["old"] == last.get(key), event
            last[key] = event["new"]


def check_shared(events: list[dict], threads: int, rounds: int) -> int:
    """What was there before is what somebody stored there. Returns how many can't be read."""
    unknown = 0
    for event in events:
        if event["kind"] != "MODIFIED" or event["scope"] == "local":
            continue
        if event["old"] == "?":
            unknown += 1
        elif event["old"] not in ("0", "'text'", "[0]"):
            writer, index = divmod(number_of(event["old"]), WRITER)
            if event["name"] in ("own.total", "own.name"):
                raise AssertionError(f"a new object's attribute was there before: {event}")
            assert 1 <= writer <= threads and 0 <= index < rounds, event
    return unknown


def main(threads: int, rounds: int) -> None:
    events = run(threads, rounds)
    check_counts(events, threads, rounds)
    check_numbers(events)
    check_own(events)
    unknown = check_shared(events, threads, rounds)
    print(f"{len(events)} events, {unknown} with an old value that could not be read")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
