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
from typing import Any, Iterable, List, Optional

import gdb

from . import errors, expression, inject, live, render, selection, session
from .abi import NAMES_FILES, NAMES_FUNCTIONS, NAMES_VARIABLES, State, text
from .errors import MemtraceError
from .options import options
from .reader import Event, Filter
from .variable import Watched

_OURS = re.compile(r"\$_memtrace_stop\(\d+, \"")


class VariableBreakpoint(gdb.Breakpoint):
    """One variable breakpoint. Made by create()."""

    def __init__(self, watched: Watched, temporary: bool) -> None:
        self.watched = watched
        super().__init__(selection.HOOK, internal=False, temporary=temporary)
        # Silent: the stop is shown as an event (_on_stop) and not as a line of C.
        self.silent = True
        self.join_condition()

    def request_lines(self) -> Iterable[str]:
        """For the request; nothing while disabled."""
        if not self.is_valid() or not self.enabled:
            return ()
        return self.watched.request_lines(self.number)

    def join_condition(self) -> None:
        """Have the condition ask for our hit first, whatever the person put there."""
        own = f'$_memtrace_stop({self.number}, "{_quoted(str(self.watched))}")'
        theirs = self.condition
        if theirs is None:
            self.condition = own
        elif not _OURS.search(theirs):
            self.condition = f"{own} && ({theirs})"


def _quoted(words: str) -> str:
    """Inside a C string. gdb converts those between charsets, so ASCII only."""
    plain = words.encode("ascii", "replace").decode("ascii")
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def create(watched: Watched, temporary: bool) -> VariableBreakpoint:
    """Make a breakpoint, arm it, and say what was made. Raises MemtraceError when the helper
    refuses it; then there is none."""
    global _wanted, _made
    _wanted, _made = (watched, temporary), None
    # By way of a captured command: gdb would announce the hook, and that it is pending.
    gdb.execute("python import memtrace.breakpoints; memtrace.breakpoints.make()", to_string=True)
    made = _made
    if made is None:
        raise MemtraceError("gdb did not make the breakpoint")
    options.breakpoints.append(made)
    try:
        sync(report=False)
    except MemtraceError:
        options.breakpoints.remove(made)
        made.delete()
        raise
    kind = "Temporary variable" if temporary else "Variable"
    gdb.write(f"{kind} breakpoint {made.number}: {watched}{_pending(watched)}\n")
    return made


_wanted: Any = None
_made: Optional[VariableBreakpoint] = None


def make() -> None:
    """For create() only."""
    global _made
    _made = VariableBreakpoint(*_wanted)


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


def _lines() -> List[str]:
    return [line for b in options.breakpoints for line in b.request_lines()]


def told(_: Any = None) -> None:
    """The helper knows what there is: recording has just begun or changed."""
    global _told
    _told = _lines()


def sync(report: bool = True) -> None:
    """Tell the helper what has changed, if it can be told now. `report`: show an error instead
    of raising it."""
    if inject.is_busy() or _lines() == _told or not _can_ask():
        return
    current = _session()
    if current is None or current.state not in (State.ON, State.ARMED):
        return
    before = list(_told)
    told()
    try:
        current.request(options.request_text("change")).check()
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
    if isinstance(breakpoint_, VariableBreakpoint) and not inject.is_busy():
        breakpoint_.join_condition()
        sync()


def _on_deleted(breakpoint_: gdb.Breakpoint) -> None:
    if breakpoint_ in options.breakpoints:
        options.breakpoints.remove(breakpoint_)
        # One that deletes itself does so in the middle of its stop.
        if not breakpoint_.temporary:
            sync()


# ---- the stop ----------------------------------------------------------------------------------


class _MemtraceStop(gdb.Function):
    """$_memtrace_stop(NUMBER, WHAT): is the variable breakpoint's hit, at which the selected
    thread stands, that of breakpoint NUMBER? The condition of every variable breakpoint."""

    def __init__(self) -> None:
        super().__init__("_memtrace_stop")

    def invoke(self, number: gdb.Value, what: gdb.Value) -> bool:
        try:
            hit = session.current().control.hit
        except MemtraceError as error:
            raise gdb.GdbError(f"memtrace: {error}") from None
        return int(number) in hit.ids[: min(hit.count, len(hit.ids))]


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
    if inject.is_busy():
        return
    live.flush()
    hit = [b for b in getattr(event, "breakpoints", ()) if isinstance(b, VariableBreakpoint)]
    if hit:
        gdb.write("\n" + "\n".join(_describe(hit)) + "\n")


def _describe(hit: List[VariableBreakpoint]) -> List[str]:
    """The stop, for a person."""
    title = "Temporary variable breakpoint" if hit[0].temporary else "Variable breakpoint"
    numbers = ", ".join(str(b.number) for b in hit)
    title += f"s {numbers}" if len(hit) > 1 else f" {numbers}"
    lines = []
    try:
        current = session.current()
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
