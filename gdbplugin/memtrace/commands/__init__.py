"""The commands, one file per family. Each module lists its classes in COMMANDS.

Order matters where one name begins another: prefixes come first."""

from __future__ import annotations

from importlib import import_module

FAMILIES = ("onoff", "settings", "log", "history", "at", "info", "breaks", "stack", "files")


def register() -> None:
    """Register every command and setting with gdb, and follow its events."""
    for family in FAMILIES:
        for command in import_module(f"{__name__}.{family}").COMMANDS:
            command()
    from .. import breakpoints, live

    breakpoints.connect()
    live.connect()
