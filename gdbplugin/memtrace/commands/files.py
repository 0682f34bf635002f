"""`memtrace save`, `load` and `unload`: recordings on disk."""

from __future__ import annotations

import os
from typing import Any, List, Optional

import gdb

from .. import session
from ..errors import MemtraceError
from ..reader import Reader
from . import base


class _PathCommand(base.Command):
    """A command that takes a path, completed as gdb completes file names."""

    def __init__(self) -> None:
        gdb.Command.__init__(self, self.name, self.kind, gdb.COMPLETE_FILENAME)

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        parser.add_argument("path", metavar="PATH")
        return parser


class Save(_PathCommand):
    """Write the events that can be read now to a new directory.

        memtrace save DIR

    The directory is a trace in the Common Trace Format 1.8: memtrace load reads it, and so do
    babeltrace2 and Trace Compass."""

    name = "memtrace save"

    def run(self, arguments: Any) -> None:
        current = session.current()
        path = os.path.expanduser(arguments.path)
        current.reader.save(path)
        totals = current.reader.totals()
        base.line(f"memtrace: saved {totals.events} events to {path}")


class Load(_PathCommand):
    """Answer questions from a recording instead of from the process.

        memtrace load PATH

    PATH is a directory that memtrace save wrote, or a core file. memtrace log, last, history, at
    and info memtrace work on it. memtrace unload goes back to the process."""

    name = "memtrace load"

    def run(self, arguments: Any) -> None:
        path = os.path.expanduser(arguments.path)
        if not os.path.exists(path):
            raise MemtraceError(f"{path}: no such file or directory")
        reader = Reader.open_directory(path) if os.path.isdir(path) else Reader.open_core(path)
        control = reader.control
        session.use(session.Session(control.pid if control else 0, None, reader))
        totals = reader.totals()
        base.line(f"memtrace: {path}: {totals.events} events of {_processes(reader)}")


class Unload(base.Command):
    """Go back from a loaded recording to the process.

    memtrace unload"""

    name = "memtrace unload"

    def parser(self) -> Optional[base.Parser]:
        return base.Parser(self.name)

    def run(self, arguments: Any) -> None:
        session.use(None)


def _processes(reader: Reader) -> str:
    control = reader.control
    if control is not None:
        return f"process {control.pid}"
    first = next(reader.events(), None)
    return f"process {first.pid}" if first else "no process"


COMMANDS: "List[type]" = [Save, Load, Unload]
