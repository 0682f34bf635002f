"""Runs native code that sets errno, computes, and looks whether errno is still what it was.

    keeps_errno.py LIBRARY"""

import ctypes
import os
import select
import sys

keep = ctypes.CDLL(sys.argv[1]).keep_errno
finish = int(os.environ["MEMTRACE_FINISH_FD"])
os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
changed = 0
while not select.select([finish], [], [], 0)[0]:
    changed += keep(50_000_000)
print(changed)
