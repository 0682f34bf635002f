"""Runs to its end by itself: accounts, a transfer that overdraws one, a tutorial's example.
The line numbers are known to the tests."""

import os
import signal
import sys


class Account:
    kind = "giro"

    def __init__(self, owner, balance):
        self.owner = owner
        self.balance = balance


def transfer(source, target, amount):
    balance = source.balance
    balance -= amount
    source.balance = balance
    target.balance = target.balance + amount
    return balance


def run_example():
    a = 10
    b = 15
    b = b + 15
    del a
    return b


def fill(count):
    flags = [False] * 5
    names = {}
    for index in range(count):
        flags[index] = True
        names["key"] = index
        numbers = [index]
        numbers.append(index)
    return flags


def main(how):
    limit = 3
    ann = Account("Ann", 100)
    bob = Account("Bob", 0)
    for _ in range(limit):
        transfer(ann, bob, 60)
    run_example()
    fill(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.abort()
    if how == "leave":
        os._exit(3)
    print("sum", ann.balance + bob.balance)


main(sys.argv[1] if len(sys.argv) > 1 else "")
