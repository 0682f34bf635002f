"""`memtrace`, `memtrace on`, `memtrace off`."""

from __future__ import annotations

from typing import Any, Iterable, Optional, Sequence

import gdb

from .. import recording, session
from ..options import options
from . import events
from .base import Command, Parser, option_strings


class Memtrace(Command):
    """Which line changed which Python variable, when, from what to what.

        memtrace on           record this process, or the program that `run` starts
        memtrace log          what has changed
        memtrace last VAR     who wrote VAR last
        memtrace break VAR    stop where VAR changes

    help memtrace COMMAND tells more about each."""

    name = "memtrace"
    prefix = True

    def run(self, arguments: Any) -> None:
        gdb.execute("help memtrace")


class On(Command):
    """Begin to record, or change what is recorded.

        memtrace on [--only GLOB]... [--skip GLOB]... [--skip-var GLOB]... [--all] [--live]

    Records the changes of the program's own variables: not those of the standard library, of
    site-packages, or of frozen code.

        --only GLOB      only code whose file, module or function matches, library or not
        --skip GLOB      not code that matches
        --skip-var GLOB  not variables whose name matches, as it is written: i, self.count;
                         grid is all its items too. A loop's counters cost next to nothing
                         then. Variable breakpoints on them still work
        --all            library code too
        --live           print the events while the process runs

    In a process that gdb is attached to, recording begins now, or as soon as Python's global
    lock is free. Without a process it begins when `run` has started Python. It goes on after
    `detach`. A second `memtrace on` changes what is recorded and keeps the events."""

    name = "memtrace on"

    def parser(self) -> Optional[Parser]:
        parser = Parser(self.name)
        parser.add_argument("--only", action="append", default=[], metavar="GLOB")
        parser.add_argument("--skip", action="append", default=[], metavar="GLOB")
        parser.add_argument("--skip-var", action="append", default=[], metavar="GLOB")
        parser.add_argument("--all", action="store_true")
        parser.add_argument("--live", action="store_true")
        return parser

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        option = events.words_before(words)
        if option == "--skip-var" and session.find() is not None:
            return events.candidates("--var", word)
        return option_strings(self.parser())

    def run(self, arguments: Any) -> None:
        options.only = arguments.only
        options.skip = arguments.skip
        options.skip_var = arguments.skip_var
        options.all = arguments.all
        options.live = arguments.live
        recording.start()


class Off(Command):
    """End the recording. The process goes on as before; its events can still be read.

    memtrace off"""

    name = "memtrace off"

    def parser(self) -> Optional[Parser]:
        return Parser(self.name)

    def run(self, arguments: Any) -> None:
        recording.stop()


COMMANDS = (Memtrace, On, Off)
