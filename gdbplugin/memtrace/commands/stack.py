"""`memtrace bt`, `locals` and `print`: the Python side of a stop, without debug symbols."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Optional, Sequence

from .. import breakpoints, expression, render, selection
from ..errors import MemtraceError
from ..objects import Frame
from . import base


class Backtrace(base.Command):
    """The Python frames of the selected thread, innermost first.

    memtrace bt [N] [--all] [--paths]

    N        only the N innermost frames; -N: the outermost
    --all    of every Python thread
    --paths  whole paths of files"""

    name = "memtrace bt"

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        parser.add_argument("count", type=_count, nargs="?", default=0, metavar="N")
        parser.add_argument("--all", action="store_true")
        parser.add_argument("--paths", action="store_true")
        return parser

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        return base.option_strings(self.parser())

    def run(self, arguments: Any) -> None:
        if not arguments.all:
            _show_frames(selection.stack(), arguments)
            return
        for thread, stack in selection.all_stacks():
            number = thread.native_id or thread.thread_id
            base.line(f"Thread {number if thread.native_id else hex(number)}:")
            _show_frames(stack, arguments)


class Locals(base.Command):
    """The variables of a Python frame.

        memtrace locals [--frame N]

        --frame N  of frame N of memtrace bt, not of the innermost

    In a module or class body: its namespace, but for names like __name__."""

    name = "memtrace locals"

    def parser(self) -> Optional[base.Parser]:
        parser = base.Parser(self.name)
        parser.add_argument("--frame", type=int, default=0, metavar="N")
        return parser

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        return base.option_strings(self.parser())

    def run(self, arguments: Any) -> None:
        stack = selection.stack()
        frame = stack.frame(arguments.frame)
        found = False
        for name, address in stack.objects.variables(frame):
            if not frame.optimized and name.startswith("__") and name.endswith("__"):
                continue
            found = True
            base.line(f"{name} = {_text(stack, address)}")
        if not found:
            base.line("no variables")


class Print(base.Command):
    """Evaluate a Python expression over the variables of a Python frame.

        memtrace print [--frame N] EXPR

        --frame N  over frame N of memtrace bt, not over the innermost

    It is evaluated in gdb's own Python, over copies of what is in the process's memory: nothing
    of the process runs and nothing in it changes. Builtin objects are copied; others have their
    attributes. What only running code of the process could tell (a property, a method) is an
    error."""

    name = "memtrace print"

    def candidates(self, words: Sequence[str], word: str) -> Iterable[str]:
        stack = selection.stack()
        return [name for name, _ in stack.objects.variables(stack.frame(0))]

    def run(self, arguments: Any) -> None:
        number, text = _frame_option(arguments)
        if not text:
            raise MemtraceError("memtrace print needs an expression", "memtrace print balance")
        stack = selection.stack()
        value = expression.evaluate(text, stack.objects, stack.frame(number))
        base.line(expression.show(value))


def _frame_option(text: str) -> "tuple[int, str]":
    words = text.split(None, 2)
    if not words or words[0] != "--frame":
        return 0, text
    if len(words) < 2 or not words[1].isdigit():
        raise MemtraceError("--frame needs the number of a frame", "memtrace bt")
    return int(words[1]), words[2] if len(words) > 2 else ""


def _text(stack: selection.Stack, address: int) -> str:
    try:
        return expression.show(stack.objects.value(address))
    except MemtraceError as error:
        return f"<unreadable: {error.message}>"


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise MemtraceError(f"{text} is no number of frames") from None


def _show_frames(stack: selection.Stack, arguments: Any) -> None:
    count = arguments.count
    frames = stack.first(count) if count > 0 else stack.frames
    first = max(0, len(frames) + count) if count < 0 else 0
    if not frames:
        base.line("no Python frames")
        return
    base.lines(_described(frames, first, arguments.paths))


def _described(frames: List[Frame], first: int, paths: bool) -> Iterator[str]:
    at_hit = selection.hit_is_here()
    for number, frame in enumerate(frames[first:], first):
        file = frame.file if paths else render.short_file(frame.file)
        yield f"#{number:<2} {frame.function} ({file}:{_line(frame, at_hit)})"


def _line(frame: Frame, at_hit: bool) -> str:
    """At a variable breakpoint the thread stands behind the store: the line is the store's."""
    if at_hit:
        current = selection.process()
        event = breakpoints.hit_event(current)
        if frame.address == current.control.hit.frame and event is not None:
            return str(event.line)
    return str(frame.line or "?")


COMMANDS = (Backtrace, Locals, Print)
