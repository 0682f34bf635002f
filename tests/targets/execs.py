"""Becomes another Python program in the same process: exits.py beside it. At once, or when it is
told to where somebody waits for it to be ready."""

import os
import sys

before = 1
if "MEMTRACE_READY_FD" in os.environ:
    os.write(int(os.environ["MEMTRACE_READY_FD"]), b"ready\n")
    os.read(int(os.environ["MEMTRACE_FINISH_FD"]), 1)
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(__file__), "exits.py")])
