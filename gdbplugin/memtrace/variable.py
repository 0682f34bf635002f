"""The TARGET of a variable breakpoint, as a person writes it, and what the helper is told.

    balance   transfer:balance   bank.py:transfer:balance   config:limit   bank.py:balance
    and below any of them .ATTR and [KEY]:   transfer:self.balance   flags[4]

No gdb."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Iterator, List, Tuple

from .errors import MemtraceError
from .options import request_line

_EXAMPLES = (
    "memtrace break balance\n"
    "memtrace break transfer:balance if new < 0\n"
    "memtrace break bank.py:transfer:self.balance"
)
_VARIABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*|\[.+\])*\Z")


@dataclass(frozen=True)
class Watched:
    """One variable, where it counts, and when."""

    variable: str
    owner: str = ""  # function, or the module of a global: as written, "" anywhere
    file: str = ""
    condition: str = ""

    def __str__(self) -> str:
        text = self.variable
        if self.owner:
            text += f" in {self.owner}"
        if self.file:
            text += f" of {self.file}"
        if self.condition:
            text += f", if {self.condition}"
        return text

    def request_lines(self, number: int) -> Iterator[str]:
        """What makes the helper watch for it. An owner without a file may be a function or a
        module: both are told, under the same number."""
        for place in self._places():
            yield request_line("break", str(number))
            for key, value in place:
                yield request_line(key, value)
            yield request_line("break-target", self.variable)
            if self.condition:
                yield request_line("break-if", self.condition)

    def _places(self) -> List[List[Tuple[str, str]]]:
        file = [("break-file", self.file)] if self.file else []
        if not self.owner:
            return [file]
        places = [[*file, ("break-function", self.owner)]]
        if not self.file and re.fullmatch(r"[\w.]+", self.owner):
            path = self.owner.replace(".", "/")
            modules = [self.owner] if path == self.owner else [f"*/{path}.py"]
            places += [[("break-module", module)] for module in [*modules, f"*/{path}/__init__.py"]]
        return places


def parse(text: str) -> Watched:
    """`TARGET [if EXPR]`. Raises MemtraceError."""
    target, condition = _split_condition(text.strip())
    if not target:
        raise MemtraceError("which variable?", _EXAMPLES)
    parts = _split_colons(target)
    variable = parts.pop()
    if len(parts) > 2 or not all(parts) or not _is_variable(variable):
        raise MemtraceError(f"{target} is no variable, FUNC:VAR or FILE:FUNC:VAR", _EXAMPLES)
    owner, file = (parts.pop() if parts else ""), ""
    if parts:
        file = parts.pop()
    elif owner.endswith(".py") or "/" in owner:
        owner, file = "", owner
    return Watched(variable, owner, file, condition)


def _is_variable(text: str) -> bool:
    if not _VARIABLE.match(text):
        return False
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _split_condition(text: str) -> Tuple[str, str]:
    for at in _outside(text):
        if re.match(r"\s+if(\s|$)", text[at:]):
            condition = text[at:].split("if", 1)[1].strip()
            _check_condition(condition)
            return text[:at], condition
    return text, ""


def _check_condition(condition: str) -> None:
    """The helper compiles it again; a mistake is found here before anything is armed."""
    if not condition:
        raise MemtraceError("`if` needs an expression", _EXAMPLES)
    try:
        ast.parse(condition, mode="eval")
    except (SyntaxError, ValueError) as error:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise MemtraceError(
            f"{message}: {condition}",
            "the condition is a Python expression over old, new and the frame's variables",
        ) from None


def _split_colons(text: str) -> List[str]:
    parts, start = [], 0
    for at in _outside(text):
        if text[at] == ":":
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


def _outside(text: str) -> Iterator[int]:
    """Positions outside brackets and quotations."""
    depth, quote = 0, ""
    for at, character in enumerate(text):
        if quote:
            if character == quote and text[at - 1] != "\\":
                quote = ""
        elif character in "'\"":
            quote = character
        elif character in "[({":
            depth += 1
        elif character in "])}":
            depth -= 1
        elif not depth:
            yield at
