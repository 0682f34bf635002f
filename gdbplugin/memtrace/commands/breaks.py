"""`memtrace break` and `memtrace tbreak`."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

import gdb

from .. import breakpoints, variable
from . import base, events

_HELP = """
TARGET is  VAR, FUNC:VAR, FILE:FUNC:VAR, FILE:VAR or MODULE:GLOBAL; VAR is a name, or a name
with .ATTR and [KEY] behind it: self.balance, flags[4]. FUNC is a qualified name or the last
part of it, and may be a glob.

EXPR is Python over `old`, `new` and the variables of the frame, evaluated in the process at
every change of the variable; if it fails, the process stops and the error is shown.

The process stops at the change, in the thread that made it: memtrace bt, locals and print
work there. It is a breakpoint of gdb's: info breakpoints, disable, enable, ignore, commands
and delete work. condition N EXPR adds a condition of gdb's own, $_memtrace("PYTHON") in it
evaluates Python over the frame, in gdb."""


class Break(base.Command):
    __doc__ = "Stop where a Python variable changes.\n\nmemtrace break TARGET [if EXPR]\n" + _HELP
    name = "memtrace break"
    kind = gdb.COMMAND_BREAKPOINTS
    temporary = False

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        return events.variables(word) if not words else ()

    def run(self, arguments: Any) -> None:
        breakpoints.create(variable.parse(arguments), self.temporary)


class TBreak(Break):
    __doc__ = (
        "Stop once where a Python variable changes, then forget the breakpoint.\n\n"
        "memtrace tbreak TARGET [if EXPR]\n" + _HELP
    )
    name = "memtrace tbreak"
    temporary = True


COMMANDS = (Break, TBreak)
