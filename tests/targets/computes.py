"""Computes in bytecode until it is told to finish, then prints the sum of 1 to N.

    computes.py N

The sum is computed again and again; a wrong one ends it with status 1."""

import os
import select
import sys


def sum_to(n):
    total = 0
    for i in range(n + 1):
        total += i
    return total


def finish_is_due(descriptor):
    return bool(select.select([descriptor], [], [], 0)[0])


def main():
    n = int(sys.argv[1])
    os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
    finish = int(os.environ["MEMTRACE_FINISH_FD"])
    while True:
        total = sum_to(n)
        if total != n * (n + 1) // 2:
            sys.exit(f"sum is {total}")
        if finish_is_due(finish):
            break
    print(total)


main()
