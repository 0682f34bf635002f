"""Changes a variable ten times a second, and waits in between without giving the GIL away: who
wants it gets it only where the variable changes, and has to give it back at once."""

import ctypes
import os
import sys


class Pollfd(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("got", ctypes.c_short)]


def work(finish):
    count = 0
    while poll(ctypes.byref(finish), ctypes.c_ulong(1), 100) <= 0:
        count += 1
    return count


sys.setswitchinterval(1e-6)
poll = ctypes.PyDLL(None).poll
os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
print("right" if work(Pollfd(int(os.environ["MEMTRACE_FINISH_FD"]), 1)) >= 0 else "wrong")
