"""What every command has in common: a name, parsed arguments, completion, errors.

A command is a subclass of Command with `name`, a docstring (its help) and run(). Commands
with words and options declare them in parser(); commands that take an expression get the
text as typed. On gdb's main thread."""

from __future__ import annotations

import argparse
from typing import Any, Iterable, List, NoReturn, Optional, Sequence

import gdb

from .. import errors
from ..errors import MemtraceError
from ..words import split


class Parser(argparse.ArgumentParser):
    """argparse that raises MemtraceError instead of printing and exiting."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=command, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        usage = " ".join(self.format_usage().split())
        raise MemtraceError(f"{self.prog}: {message}", f"{usage}\nhelp {self.prog}")


class Command(gdb.Command):
    """Base of memtrace's commands."""

    name = ""
    kind = gdb.COMMAND_DATA
    prefix = False

    def __init__(self) -> None:
        super().__init__(self.name, self.kind, prefix=self.prefix)

    def parser(self) -> Optional[Parser]:
        """What the command's words mean; None: the text is handed to run() as typed."""
        return None

    def run(self, arguments: Any) -> None:
        """Do it. `arguments`: what the parser made of the words, or the text."""
        raise NotImplementedError

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        """What could stand where `word` is being typed, behind the finished `words`."""
        return ()

    @errors.command
    def invoke(self, argument: str, from_tty: bool) -> None:
        parser = self.parser()
        arguments: Any = argument.strip()
        if parser is not None:
            arguments = parser.parse_args(split(argument))
        self.run(arguments)

    def complete(self, text: str, word: Optional[str]) -> "List[str] | int":
        """gdb replaces `word`, the end of `text` behind the last break character, by what is
        returned here; options and dotted names are matched from their true beginning. It asks
        twice; without a word it wants to know what kind of completion this is (gdb 14 and
        later say None for it)."""
        if word is None:
            return []
        try:
            words = text.split()
            current = "" if not text or text[-1].isspace() else words.pop()
            found = sorted(
                {name for name in self.candidates(words, current) if name.startswith(current)}
            )
        except (MemtraceError, gdb.error):
            return []
        skipped = len(current) - len(word)
        return [name[skipped:] for name in found]


def option_strings(parser: Optional[Parser]) -> List[str]:
    """The parser's option names, for completion."""
    if parser is None:
        return []
    return [name for action in parser._actions for name in action.option_strings]


def write(text: str, stream: int = gdb.STDOUT) -> None:
    """Print. gdb writes UTF-8 whatever the locale; what UTF-8 lacks (lone surrogates, from
    undecodable file names) is shown as escapes."""
    gdb.write(text.encode("utf-8", "backslashreplace").decode("utf-8"), stream)


def lines(texts: Iterable[str]) -> None:
    """Print many lines, some at a time: a call of gdb's for each is slow."""
    waiting: List[str] = []
    for text in texts:
        waiting.append(text + "\n")
        if len(waiting) == 256:
            write("".join(waiting))
            waiting.clear()
    write("".join(waiting))


def line(text: str = "", stream: int = gdb.STDOUT) -> None:
    """Print one line."""
    write(text + "\n", stream)
