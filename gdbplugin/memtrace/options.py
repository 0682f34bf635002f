"""What shall be recorded: what `set memtrace …` and `memtrace on …` gave, and the request
text that tells the helper (helper/memtrace.h, "the request").

Plain Python: no gdb. One object, `options`, for the whole gdb session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, List

from .abi import REQUEST_BYTES, VALUE_BYTES_MAX
from .errors import MemtraceError

BUFFER_BYTES = 64 * 1024 * 1024
VALUE_BYTES = 64
VALUE_BYTES_MIN = 16
MAX_OVERHEAD_MIN, MAX_OVERHEAD_MAX = 105, 100_000

# Names and keys whose values are never captured, unless the person says otherwise.
REDACT = (
    "*password*",
    "*passwd*",
    "*secret*",
    "*token*",
    "*api_key*",
    "*apikey*",
    "*private_key*",
    "*credential*",
    "authorization",
)


@dataclass
class Options:
    """Options in force for the next install or change.

    `live` is gdb's own: print events while the process runs.
    `breakpoints`: objects with `request_lines() -> iterable of "key=value"` (see
    breakpoints.py); their values are escaped by request_line()."""

    buffer_size: int = BUFFER_BYTES
    value_size: int = VALUE_BYTES
    rebound: bool = False
    mutations: bool = True
    record: bool = True
    follow_fork: bool = False
    max_overhead: int = 0  # per cent of the program's own time; 0: no limit
    live: bool = False
    redact: List[str] = field(default_factory=lambda: list(REDACT))
    only: List[str] = field(default_factory=list)
    skip: List[str] = field(default_factory=list)
    skip_var: List[str] = field(default_factory=list)
    all: bool = False
    breakpoints: List[Any] = field(default_factory=list)

    def what(self) -> str:
        """What is traced, in a few words."""
        if self.only:
            text = "only " + ", ".join(self.only)
        else:
            text = "all code" if self.all else "user code"
            text += " but " + ", ".join(self.skip) if self.skip else ""
        return text + (", without " + ", ".join(self.skip_var) if self.skip_var else "")

    def request_text(self, verb: str) -> str:
        """The request with this verb: install, change or remove. Raises MemtraceError when it
        does not fit the mailbox."""
        lines = [request_line("verb", verb)]
        if verb != "remove":
            lines += self._lines()
        text = "".join(line + "\n" for line in lines)
        if len(text.encode("utf-8", "surrogateescape")) >= REQUEST_BYTES:
            raise MemtraceError(
                f"options and breakpoints take more than {REQUEST_BYTES} bytes",
                "delete variable breakpoints, or use fewer or shorter globs",
            )
        return text

    def _lines(self) -> Iterable[str]:
        """Everything that is not the helper's default."""
        for key in ("only", "skip", "skip-var", "redact"):
            for glob in getattr(self, key.replace("-", "_")):
                yield request_line(key, glob)
        for key, value in (
            ("all", self.all),
            ("rebound", self.rebound),
            ("follow-fork", self.follow_fork),
        ):
            if value:
                yield request_line(key, "1")
        for key, value in (("record", self.record), ("mutations", self.mutations)):
            if not value:
                yield request_line(key, "0")
        size = max(VALUE_BYTES_MIN, min(self.value_size, VALUE_BYTES_MAX))
        yield request_line("value-size", str(size))
        if self.max_overhead:
            yield request_line("max-overhead", str(self.max_overhead))
        for breakpoint_ in self.breakpoints:
            yield from breakpoint_.request_lines()


def request_line(key: str, value: str) -> str:
    """One line of a request, without its end. % and newline in the value are escaped."""
    return f"{key}={value.replace('%', '%25').replace(chr(10), '%0A')}"


options = Options()
