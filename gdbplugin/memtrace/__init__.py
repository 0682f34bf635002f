"""memtrace in gdb: the package behind memtrace-gdb.py.

Modules that talk to gdb import it; the rest (abi, elf, procfs, safety, options, reader,
render) is plain Python and tested without it. Everything runs on gdb's main thread."""

from __future__ import annotations

_registered = False


def register() -> None:
    """Register the commands and settings with gdb. Sourcing the plugin again does nothing."""
    global _registered
    if _registered:
        return
    from . import commands, errors

    errors.watch_exit()
    commands.register()
    _registered = True
