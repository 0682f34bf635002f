"""`set memtrace …` and `show memtrace …`."""

from __future__ import annotations

import re
from typing import Any, List

import gdb

from .. import errors, render, session
from ..abi import BUFFER_BYTES_MIN, VALUE_BYTES_MAX
from ..errors import MemtraceError
from ..options import MAX_OVERHEAD_MAX, MAX_OVERHEAD_MIN, VALUE_BYTES_MIN, options

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class _Prefix(gdb.Command):
    """How memtrace records. help set memtrace lists the settings."""

    def __init__(self, name: str) -> None:
        super().__init__(name, gdb.COMMAND_DATA, prefix=True)


class SetMemtrace(_Prefix):
    __doc__ = "Change how memtrace records: set memtrace OPTION VALUE."

    def __init__(self) -> None:
        super().__init__("set memtrace")

    @errors.command
    def invoke(self, argument: str, from_tty: bool) -> None:
        what = f"no option {argument.split()[0]}" if argument else "set memtrace needs an option"
        raise MemtraceError(what, "help set memtrace")


class ShowMemtrace(_Prefix):
    __doc__ = "Show how memtrace records: show memtrace [OPTION]."

    def __init__(self) -> None:
        super().__init__("show memtrace")

    @errors.command
    def invoke(self, argument: str, from_tty: bool) -> None:
        if argument:
            raise MemtraceError(f"no option {argument.split()[0]}", "help show memtrace")
        for setting in _settings:
            gdb.write(setting.description() + "\n")


_settings: List["Setting"] = []


class Setting(gdb.Parameter):
    """One field of options.options. The docstring is its help."""

    name = ""
    field = ""
    kind = gdb.PARAM_BOOLEAN
    title = ""

    def __init__(self) -> None:
        self.set_doc = f"Set {self.title}."
        self.show_doc = f"Show {self.title}."
        super().__init__(f"memtrace {self.name}", gdb.COMMAND_DATA, self.kind)
        self.value = self.to_gdb(getattr(options, self.field))
        _settings.append(self)

    def to_gdb(self, value: Any) -> Any:
        """An option's value as gdb's parameter has it."""
        return value

    def from_gdb(self, value: Any) -> Any:
        """The other way. Raises MemtraceError for what can't be."""
        return value

    def text(self, value: Any) -> str:
        """An option's value for a person."""
        return ("on" if value else "off") if isinstance(value, bool) else str(value)

    def description(self) -> str:
        return f"{self.name}: {self.text(getattr(options, self.field))} ({self.title})"

    @errors.command
    def get_set_string(self) -> str:
        try:
            value = self.from_gdb(self.value)
        except MemtraceError:
            self.value = self.to_gdb(getattr(options, self.field))
            raise
        setattr(options, self.field, value)
        self.value = self.to_gdb(value)
        return "memtrace: in force from the next memtrace on" if _is_recording() else ""

    def get_show_string(self, value: str) -> str:
        return f"memtrace {self.description()}."


class BufferSize(Setting):
    """How much memory the recorded events may take: 64M, 1G. When it is full, the oldest events
    are overwritten, and counted. The buffer is made with the first memtrace on; a process that
    has one keeps it."""

    name = "buffer-size"
    field = "buffer_size"
    kind = gdb.PARAM_STRING
    title = "the size of the buffer"

    def to_gdb(self, value: int) -> str:
        return render.size(value).replace(" bytes", "").replace(" ", "")

    def from_gdb(self, value: Any) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", str(value).strip().lower())
        if match is None:
            raise MemtraceError(f"{value} is no size", "set memtrace buffer-size 64M")
        size = int(float(match.group(1)) * _UNITS[match.group(2)])
        if not BUFFER_BYTES_MIN <= size <= 1 << 40:
            raise MemtraceError(
                f"{render.size(size)} is not possible: at least 1 MiB",
                "set memtrace buffer-size 64M",
            )
        return size

    def text(self, value: Any) -> str:
        return render.size(value)


class ValueSize(Setting):
    """How many bytes of each value are kept, 16 to 512. Longer ones are cut, and say so."""

    name = "value-size"
    field = "value_size"
    kind = gdb.PARAM_ZUINTEGER
    title = "how many bytes of a value are kept"

    def from_gdb(self, value: Any) -> int:
        if not VALUE_BYTES_MIN <= value <= VALUE_BYTES_MAX:
            raise MemtraceError(f"value-size is {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} bytes")
        return int(value)


class MaxOverhead(Setting):
    """How many times as long as alone the program may take when it is recorded: 2x, 1.5x, or off,
    for no limit. The recording measures itself. When it takes more, it records what costs most
    less often: one change in 8, then one in 64, then none any more, until the next memtrace on.
    memtrace log and info memtrace say since when of what, and how much was left out. Variables
    with a breakpoint, and functions that have one, are always recorded. Up to CPython 3.11
    it is whole functions that are given up last, as each of their instructions costs, and
    on 3.11 the interpreter's own price of tracing stays."""

    name = "max-overhead"
    field = "max_overhead"
    kind = gdb.PARAM_STRING
    title = "how much longer the program may take when it is recorded"

    def to_gdb(self, value: int) -> str:
        return f"{value / 100:g}x" if value else "off"

    def from_gdb(self, value: Any) -> int:
        text = str(value).strip().lower()
        if text in ("off", ""):
            return 0
        match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text)
        percent = round(float(match.group(1)) * 100) if match else 0
        if not MAX_OVERHEAD_MIN <= percent <= MAX_OVERHEAD_MAX:
            raise MemtraceError(
                f"{value} is no limit: a factor from {MAX_OVERHEAD_MIN / 100:g}x to "
                f"{MAX_OVERHEAD_MAX / 100:g}x, or off",
                "set memtrace max-overhead 2x",
            )
        return percent

    def text(self, value: Any) -> str:
        return self.to_gdb(value)


class Rebound(Setting):
    """Whether a store of an equal value is an event (REBOUND)."""

    name = "rebound"
    field = "rebound"
    title = "whether stores of an equal value are recorded"


class Mutations(Setting):
    """Whether changes inside lists, dicts, sets, bytearrays and deques by their methods and
    in-place operators are events (MUTATED)."""

    name = "mutations"
    field = "mutations"
    title = "whether changes inside containers are recorded"


class Recording(Setting):
    """Whether variables are recorded at all. Off: variable breakpoints only, at next to no cost
    to the rest of the program."""

    name = "recording"
    field = "record"
    title = "whether variables without a breakpoint are recorded"


class FollowFork(Setting):
    """Whether a forked child begins a recording of its own. Off: it records nothing."""

    name = "follow-fork"
    field = "follow_fork"
    title = "whether forked children are recorded"


class Redact(Setting):
    """Names and dict keys whose values are never captured: globs with spaces between, case does
    not count. `set memtrace redact` alone captures everything."""

    name = "redact"
    field = "redact"
    kind = gdb.PARAM_STRING
    title = "names whose values are not captured"

    def to_gdb(self, value: List[str]) -> str:
        return " ".join(value)

    def from_gdb(self, value: Any) -> List[str]:
        return str(value).replace(",", " ").split()

    def text(self, value: Any) -> str:
        return " ".join(value) or "none"


def _is_recording() -> bool:
    try:
        current = session.find()
        return current is not None and current.is_recording
    except MemtraceError:
        return False


COMMANDS = (
    SetMemtrace,
    ShowMemtrace,
    BufferSize,
    ValueSize,
    MaxOverhead,
    Rebound,
    Mutations,
    Recording,
    FollowFork,
    Redact,
)
