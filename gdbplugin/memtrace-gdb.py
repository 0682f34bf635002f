"""memtrace: which line changed which Python variable. Load it into gdb:

    (gdb) source /path/to/gdbplugin/memtrace-gdb.py
    (gdb) help memtrace

Registers the commands and nothing else; the work is done by the package beside this file.
Runs in gdb, on its main thread."""

import os
import sys


def _load():
    import gdb

    if sys.version_info < (3, 9):
        raise gdb.GdbError(
            "memtrace: this gdb embeds Python %d.%d; memtrace needs 3.9 or later"
            % sys.version_info[:2]
        )
    here = os.path.dirname(os.path.abspath(__file__))
    if here not in sys.path:
        sys.path.insert(0, here)
    import memtrace

    memtrace.register()


_load()
del _load
