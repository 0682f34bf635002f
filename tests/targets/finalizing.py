"""Stays in the middle of Python's finalization until it is told to finish."""

import os
import sys


class Last:
    """Destroyed when modules are: the interpreter is finalizing by then."""

    def __del__(self, write=os.write, read=os.read, environ=dict(os.environ)):
        write(int(environ["MEMTRACE_READY_FD"]), b"ready\n")
        read(int(environ["MEMTRACE_FINISH_FD"]), 1)
        write(1, b"right\n")


sys.last = Last()
