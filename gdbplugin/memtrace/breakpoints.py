"""Variable breakpoints: gdb breakpoints on the function that the helper calls at a hit.

The decision is made in the process (helper/watch.c); here a breakpoint is a number of gdb's,
what it watches, and a condition that asks whether the hit is its own. gdb shows that
condition in `info breakpoints`, keeps counts, and does disable, ignore, commands and delete.
What `condition N EXPR` gives is joined to it.

The helper is told of every change with a `change` request. gdb can't be made to call into
the process while it is deciding about a stop, so what changes then is told before the next
prompt.

gdb's main thread."""

from __future__ import annotations

import re
from typing import Any, Iterable, List, Optional, Set

import gdb

from . import errors, expression, inject, live, render, selection, session
from .abi import NAMES_FILES, NAMES_FUNCTIONS, NAMES_VARIABLES, State, text
from .errors import MemtraceError
from .options import options
from .reader import Event, Filter
from .variable import Watched

_OURS = re.compile(r"\$_memtrace_stop\(\"")


class VariableBreakpoint:
    """What memtrace knows about one of gdb's breakpoints. Made by create()."""

    def __init__(self, breakpoint_: gdb.Breakpoint, watched: Watched, temporary: bool) -> None:
        self.breakpoint = breakpoint_
        self.number = breakpoint_.number
        self.watched = watched
        self.temporary = temporary

    @property
    def enabled(self) -> bool:
        return self.breakpoint.is_valid() and bool(self.breakpoint.enabled)

    def request_lines(self) -> Iterable[str]:
        """For the request; nothing while disabled."""
        return self.watched.request_lines(self.number) if self.enabled else ()

    def join_condition(self) -> None:
        """Have the condition ask for our hit first, whatever the person put there. (gdb keeps
        that of a pending breakpoint apart until it has a location.)"""
        if self.breakpoint.pending:
            return
        theirs = self.breakpoint.condition
        if theirs is None:
            self.breakpoint.condition = _condition(self.watched)
        elif not _OURS.search(theirs):
            self.breakpoint.condition = f"{_condition(self.watched)} && ({theirs})"


def _ascii(watched: Watched) -> str:
    """gdb converts texts between charsets: those that are the same in all."""
    return str(watched).encode("ascii", "backslashreplace").decode("ascii")


def _condition(watched: Watched) -> str:
    quoted = _ascii(watched).replace("\\", "\\\\").replace('"', '\\"')
    return f'$_memtrace_stop("{quoted}")'


def create(watched: Watched, temporary: bool) -> VariableBreakpoint:
    """Make a breakpoint, arm it, and say what was made. Raises MemtraceError when the helper
    refuses it; then there is none."""
    made = VariableBreakpoint(_gdb_breakpoint(watched, temporary), watched, temporary)
    options.breakpoints.append(made)
    try:
        sync(report=False)
    except MemtraceError:
        # A temporary one may have been armed, hit and deleted by now.
        if made.breakpoint.is_valid():
            options.breakpoints.remove(made)
            made.breakpoint.delete()
            raise
    kind = "Temporary variable" if temporary else "Variable"
    gdb.write(f"{kind} breakpoint {made.number}: {watched}{_pending(watched)}\n")
    return made


def _gdb_breakpoint(watched: Watched, temporary: bool) -> gdb.Breakpoint:
    """By gdb's own command: of gdb.Breakpoint's, one with a condition can't stay pending. Its
    announcement, of a C function that nobody knows, is captured."""
    pending = gdb.parameter("breakpoint pending")
    before = {b.number for b in gdb.breakpoints()}
    command = "tbreak" if temporary else "break"
    gdb.execute("set breakpoint pending on", to_string=True)
    try:
        gdb.execute(f"{command} {selection.HOOK} if {_condition(watched)}", to_string=True)
    finally:
        shown = {True: "on", False: "off", None: "auto"}[pending]
        gdb.execute(f"set breakpoint pending {shown}", to_string=True)
    made = next(b for b in gdb.breakpoints() if b.number not in before)
    # The stop is shown as an event (_on_stop) and not as a line of C.
    made.silent = True
    return made


def _find(breakpoint_: gdb.Breakpoint) -> Optional[VariableBreakpoint]:
    return next((b for b in options.breakpoints if b.number == breakpoint_.number), None)


def _pending(watched: Watched) -> str:
    """Why it can't hit yet, as far as is known."""
    current = _session()
    if current is None or current.state == State.OFF:
        return " (pending: until memtrace on)"
    if current.is_pending:
        return " (armed as soon as the process runs)"
    if watched.owner:
        functions = current.reader.names(NAMES_FUNCTIONS)
        known = {name.rpartition(".")[2] for name in functions} | set(functions)
        files = current.reader.names(NAMES_FILES)
        known |= {render.short_file(name).rpartition(".")[0] for name in files}
        if watched.owner not in known and not set(watched.owner) & set("*?["):
            return _unseen("function", watched.owner, known)
    variables = current.reader.names(NAMES_VARIABLES)
    base = watched.variable.partition("[")[0]
    if base not in variables:
        return _unseen("variable", base, variables)
    return ""


def _unseen(what: str, name: str, known: Iterable[str]) -> str:
    near = expression.near(name, known)
    hint = f"; seen: {', '.join(near)}" if near else ""
    return f" (pending: no {what} {name} seen yet{hint})"


def _session() -> Optional[session.Session]:
    try:
        found = session.find()
    except MemtraceError:
        return None
    return found if found is not None and found.is_live else None


# ---- telling the helper ----------------------------------------------------------------------

_told: List[str] = []
# The numbers of those that are there for the person. While the process runs for a moment so that
# the helper can be told of others, these may be hit (where no GIL keeps threads from it): such a
# hit would be no stop of the `continue` that follows.
_there: Set[int] = set()


def _lines() -> List[str]:
    return [line for b in options.breakpoints for line in b.request_lines()]


def _tell() -> None:
    global _told
    _told = _lines()


def told(_: Any = None) -> None:
    """The helper knows what there is: recording has just begun or changed."""
    _tell()
    _there.clear()
    _there.update(b.number for b in options.breakpoints)


def sync(report: bool = True) -> None:
    """Tell the helper what has changed, if it can be told now. `report`: show an error instead
    of raising it."""
    if inject.is_busy() or _lines() == _told or not _can_ask():
        return
    current = _session()
    if current is None or current.state not in (State.ON, State.ARMED):
        return
    before = list(_told)
    _tell()
    try:
        current.request(options.request_text("change")).check()
        told()
    except MemtraceError as error:
        _told[:] = before
        if not report:
            raise
        told()  # once: the person has been told, too
        errors.report(error)


def _can_ask() -> bool:
    """Is the process stopped, and is gdb not in the middle of a stop?"""
    thread = gdb.selected_thread()
    return thread is not None and thread.is_valid() and thread.is_stopped()


def _on_modified(breakpoint_: gdb.Breakpoint) -> None:
    found = _find(breakpoint_)
    if found is not None and not inject.is_busy():
        found.join_condition()
        sync()


def _on_deleted(breakpoint_: gdb.Breakpoint) -> None:
    found = _find(breakpoint_)
    if found is not None:
        options.breakpoints.remove(found)
        # A temporary one goes in the middle of its stop.
        if not found.temporary:
            sync()


# ---- the stop ----------------------------------------------------------------------------------


def _hit_ids() -> Set[int]:
    """Numbers of the breakpoints that the hit is one of."""
    hit = selection.process().control.hit
    return set(hit.ids[: min(hit.count, len(hit.ids))])


class _MemtraceStop(gdb.Function):
    """$_memtrace_stop(WHAT): does the selected thread stand at a hit of the variable breakpoint
    that watches WHAT? The condition of every variable breakpoint."""

    def __init__(self) -> None:
        super().__init__("_memtrace_stop")

    @errors.command
    def invoke(self, what: gdb.Value) -> bool:
        ids, wanted = _hit_ids() & _there, what.string()
        return any(b.number in ids and _ascii(b.watched) == wanted for b in options.breakpoints)


class _Memtrace(gdb.Function):
    """$_memtrace("EXPR"): the Python expression over the selected thread's Python frame, as a
    number or a text. For conditions and commands of any breakpoint."""

    def __init__(self) -> None:
        super().__init__("_memtrace")

    @errors.command
    def invoke(self, text_: gdb.Value) -> Any:
        stack = selection.stack()
        value = expression.evaluate(text_.string(), stack.objects, stack.frame(0))
        if isinstance(value, (bool, float, str)):
            return value
        if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
            return value
        return expression.show(value)


def _on_stop(event: Any) -> None:
    # Also while memtrace lets the process run for a moment: what is printed then is captured,
    # and shown when the process has stopped for a reason of the person's.
    live.flush()
    # gdb names every breakpoint of the place, also those whose condition said no.
    here = [b for b in map(_find, getattr(event, "breakpoints", ())) if b is not None]
    try:
        hit = [b for b in here if b.number in _hit_ids()]
    except MemtraceError as error:
        errors.report(error)
        return
    if hit:
        inject.say_at_stop("\n" + "\n".join(_describe(hit)) + "\n")


def _describe(hit: List[VariableBreakpoint]) -> List[str]:
    """The stop, for a person."""
    title = "Temporary variable breakpoint" if hit[0].temporary else "Variable breakpoint"
    numbers = ", ".join(str(b.number) for b in hit)
    title += f"s {numbers}" if len(hit) > 1 else f" {numbers}"
    lines = []
    try:
        current = selection.process()
        event = hit_event(current)
        problem = text(current.control.hit.error)
    except MemtraceError as error:
        return [title, f"memtrace: {error}"]
    if event is None:
        lines = [f"{title}, thread {current.control.hit.tid}", *(str(b.watched) for b in hit)]
    else:
        lines = [f"{title}, {render.place(event)}", render.change(event)]
    if problem:
        lines.append(f"Error in the condition: {problem}")
    return lines


def hit_event(current: session.Session) -> Optional[Event]:
    """The event at which the process is stopped."""
    seq = current.control.hit.seq
    if not seq:
        return None
    return next(current.reader.events(Filter(since_seq=seq - 1, until_seq=seq)), None)


def connect() -> None:
    """Follow gdb's breakpoints and stops."""
    _MemtraceStop()
    _Memtrace()
    gdb.events.stop.connect(_on_stop)
    gdb.events.breakpoint_modified.connect(_on_modified)
    gdb.events.breakpoint_deleted.connect(_on_deleted)
    gdb.events.before_prompt.connect(sync)
    session.observers.append(told)
