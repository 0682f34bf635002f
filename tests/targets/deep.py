"""Recursion, as deep as asked for: says "ready" at the bottom, waits there, comes back.

    deep.py DEPTH"""

import os
import sys

ready = int(os.environ["MEMTRACE_READY_FD"])
finish = int(os.environ["MEMTRACE_FINISH_FD"])


def wait_at_the_bottom():
    os.write(ready, b"ready\n")
    os.read(finish, 1)


def down(level):
    below = level - 1
    if below:
        below = down(below)
    else:
        wait_at_the_bottom()
    above = below + 1
    return above


sys.setrecursionlimit(200000)
print(down(int(sys.argv[1])))
