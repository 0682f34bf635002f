"""`memtrace log`, and `memtrace diffs`, which is the same."""

from __future__ import annotations

import time
from typing import Any, Iterable, Iterator, Optional, Sequence

import gdb

from .. import render, session, target
from ..errors import MemtraceError
from ..reader import Filter
from . import base, events

_FOLLOW_SECONDS = 0.1


class Log(base.Command):
    """Print the changes of variables, oldest first.

        memtrace log [--var GLOB] [--func GLOB] [--file GLOB] [--thread ID] [--kind KIND,...]
                     [--since SEQ|TIME] [--last N] [--numbers] [--json] [--follow]

        --var GLOB     name as written: b, self.balance, flags[*]
        --func GLOB    function: its qualified name or the last part of it
        --file GLOB    file: its path or the last part of it
        --thread ID    kernel thread id (LWP), or gdb's number of the thread
        --kind KIND    new, modified, mutated, rebound, deleted
        --since SEQ    only events after that number; --since 2s: of the last two seconds
        --last N       only the last N of them
        --numbers      with the number of each event, for memtrace at
        --json         one JSON object a line
        --follow       go on with new events until ^C

    Works on a live process, after it has ended, on a core file and on a loaded recording."""

    name = "memtrace log"

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        events.add_filters(parser)
        parser.add_argument("--last", type=_count, default=0, metavar="N")
        parser.add_argument("--numbers", action="store_true")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--follow", action="store_true")
        return parser

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        option = events.words_before(words)
        found = list(events.candidates(option, word)) if option else []
        return found or base.option_strings(self.parser())

    def run(self, arguments: Any) -> None:
        current = session.current()
        wanted = events.to_filter(arguments, current.reader)
        wanted.last = arguments.last
        show = _form(arguments)
        if arguments.follow and not _is_written(current):
            raise MemtraceError(
                "nothing is written here any more: the process has ended",
                "memtrace log, without --follow",
            )
        events.show_losses(current, quietly=arguments.json)
        last = _print(current, wanted, show)
        if arguments.follow:
            _follow(current, wanted, show, max(last, wanted.since_seq))
        elif not last:
            events.check_filters(wanted, current.reader)
            if not arguments.json:
                base.line("no events" if not current.reader.totals().events else "no such events")


class Diffs(Log):
    __doc__ = (Log.__doc__ or "").replace("memtrace log", "memtrace diffs")
    name = "memtrace diffs"


def _count(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise MemtraceError(f"--last {text}: not a number of events")
    return int(text)


def _form(arguments: Any) -> Any:
    if arguments.json:
        return render.as_json
    return render.numbered if arguments.numbers else render.plain


def _print(current: session.Session, wanted: Filter, show: Any) -> int:
    """Returns the number of the last event, 0 if there was none."""
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for event in current.reader.events(wanted):
            last = event.seq
            yield show(event)

    base.lines(texts())
    return last


def _follow(current: session.Session, wanted: Filter, show: Any, last: int) -> None:
    """New events, until ^C. The process is another gdb's, or stopped: gdb can't run it
    meanwhile; `memtrace on --live` is for that."""
    wanted.last = 0
    try:
        while _is_written(current):
            gdb.flush()
            time.sleep(_FOLLOW_SECONDS)
            wanted.since_seq = max(last, wanted.since_seq)
            last = _print(current, wanted, show) or last
    except KeyboardInterrupt:
        base.line()


def _is_written(current: session.Session) -> bool:
    return current.is_live and not target.is_core()


COMMANDS = (Log, Diffs)
