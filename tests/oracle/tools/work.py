"""What the tools and memtrace look at together: phases, and what lasts across them.

Every phase is the same work, so that what a tool or memtrace sees of one can be compared with
another run's. `across` runs through all of them; so do a generator and a thread.
"""

from __future__ import annotations

import queue
import threading
import types


class Account:
    def __init__(self, balance):
        self.balance = balance

    def pay(self, amount):
        if amount > self.balance:
            raise ValueError("too little")
        self.balance -= amount
        return self.balance


def counter(step):
    total = 0
    while True:
        total += step
        received = yield total
        if received:
            step = received


def delegates(step):
    yield from counter(step)


def classify(number):
    if number % 3 == 0:
        kind = "fizz"
    elif number % 5 == 0:
        kind = "buzz"
    else:
        kind = "none"
    return kind


def depth(left):
    below = depth(left - 1) if left else 0
    return below + 1


@types.coroutine
def pause():
    yield


async def fetch(number):
    await pause()
    doubled = number * 2
    return doubled


async def gather():
    results = []
    for number in range(2):
        results.append(await fetch(number))
    return results


def in_thread(results):
    kinds = [classify(number) for number in range(3)]
    results.append(kinds)


def phase(number, suspended):
    kinds = {}
    for index in range(6):
        kind = classify(index)
        kinds[kind] = kinds.get(kind, 0) + 1
    account = Account(10)
    try:
        account.pay(7)
        account.pay(number + 100)
    except ValueError as error:
        text = str(error)
    else:
        text = "paid"
    levels = depth(3)
    got = [next(one) for one in suspended]
    task = gather()
    try:
        while True:
            task.send(None)
    except StopIteration as stop:
        got += stop.value
    thread = threading.Thread(target=in_thread, args=(kinds.setdefault("lists", []),))
    thread.start()
    thread.join()
    return text, levels, got


def worker(orders, answers):
    """A thread that is there from the beginning to the end."""
    done = 0
    while True:
        order = orders.get()
        if order is None:
            break
        kind = classify(order)
        done += 1
        answers.put((kind, done))


def across(steps):
    """Take the steps, each followed by a phase; what a step gives is called after its phase."""
    orders, answers = queue.SimpleQueue(), queue.SimpleQueue()
    thread = threading.Thread(target=worker, args=(orders, answers))
    thread.start()
    suspended = [counter(1), delegates(2)]
    for one in suspended:
        next(one)
    try:
        for number, (step, after) in enumerate(steps):
            step()
            begun = number * 10
            found = phase(number, suspended)
            orders.put(number)
            answer = answers.get()
            begun += len(found) + len(answer)
            after()
    finally:
        orders.put(None)
        thread.join()
