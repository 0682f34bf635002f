"""What differs between CPython versions, for the oracle: tracing, frames and instructions.

Up to 3.11 the oracle is a trace function with opcode events. sys.settrace shows it no operand
stack, and gives it the locals as a dict that then keeps them alive; so it is installed with
PyEval_SetTrace. From 3.12 on it listens to sys.monitoring, with every instruction of the traced
code as an event, always (the helper switches most of them off). Slots and stack of a frame
are read from memory, by the layouts of CPython's headers; a version that is not in LAYOUTS is
refused.
"""

from __future__ import annotations

import _thread
import ctypes
import dis
import sys
import sysconfig
import threading
import types
from dataclasses import dataclass
from typing import Any, Callable

VERSION = sys.version_info[:2]
WORD = ctypes.sizeof(ctypes.c_void_p)
UNBOUND = object()


# ---- memory --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes of what the oracle reads of a frame."""

    locals: int  # f_locals
    slots: int  # localsplus: variables, then the operand stack
    stack_top: int | None  # where the stack ends; None: the frame does not say
    form: str = "count"  # of stack_top: a count of items from `slots`, or a pointer
    values: int | None = None  # pointer to the stack, where the count is of its items alone
    frame_data: int | None = None  # PyFrameObject → the interpreter's frame; None: the same


# Up to 3.10: Include/cpython/frameobject.h. From 3.11 on: struct _frame and
# _PyInterpreterFrame in Include/internal/pycore_frame.h and pycore_interpframe_structs.h.
LAYOUTS = {
    (3, 8): Layout(locals=56, slots=360, stack_top=72, form="pointer"),
    (3, 9): Layout(locals=56, slots=360, stack_top=72, form="pointer"),
    (3, 10): Layout(locals=56, slots=352, stack_top=80, values=64),
    (3, 11): Layout(locals=24, slots=72, stack_top=64, frame_data=24),
    (3, 12): Layout(locals=40, slots=72, stack_top=None, frame_data=24),
    (3, 13): Layout(locals=40, slots=72, stack_top=None, frame_data=24),
    (3, 14): Layout(locals=40, slots=80, stack_top=64, form="pointer", frame_data=24),
    (3, 15): Layout(locals=40, slots=80, stack_top=64, form="pointer", frame_data=24),
}
if VERSION not in LAYOUTS:
    raise ImportError(f"the oracle knows the frames of {sorted(LAYOUTS)}, not of {VERSION}")
_LAYOUT = LAYOUTS[VERSION]
if VERSION < (3, 11) and types.FrameType.__basicsize__ != _LAYOUT.slots + WORD:
    raise ImportError(f"frames have {types.FrameType.__basicsize__} bytes here")
# 3.14: the low bits of a reference say who owns its count.
_TAG = 3 if VERSION >= (3, 14) else 0
# Objects of a build without the GIL have two words more in front (Include/object.h, 3.13).
_HEADER = 2 * WORD if sysconfig.get_config_var("Py_GIL_DISABLED") else 0


def _word(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value


def _object(pointer: int) -> Any:
    pointer &= ~_TAG
    return ctypes.cast(pointer, ctypes.py_object).value if pointer else UNBOUND


def _data(frame: types.FrameType) -> int:
    if _LAYOUT.frame_data is None:
        return id(frame)
    return _word(id(frame) + _HEADER + _LAYOUT.frame_data)


def slot(frame: types.FrameType, index: int) -> Any:
    """The object in variable slot `index` (a cell, for cell and free variables), or UNBOUND."""
    return _object(_word(_data(frame) + _LAYOUT.slots + index * WORD))


def namespace(frame: types.FrameType) -> Any:
    """Where STORE_NAME stores: the mapping itself, never a copy."""
    return _object(_word(_data(frame) + _LAYOUT.locals))


def stack(frame: types.FrameType, height: int, position: int) -> Any:
    """The item `position` from the top of the operand stack (1 is the top); UNBOUND for NULL.

    `height`: how many variables and items there are by the code. Valid at an instruction of
    this frame."""
    data = _data(frame)
    if _LAYOUT.stack_top is None:
        top = data + _LAYOUT.slots + height * WORD
    elif _LAYOUT.form == "pointer":
        top = _word(data + _LAYOUT.stack_top)
    else:
        count = ctypes.c_int.from_address(data + _LAYOUT.stack_top).value
        start = data + _LAYOUT.slots if _LAYOUT.values is None else _word(data + _LAYOUT.values)
        top = start + count * WORD
    return _object(_word(top - position * WORD))


# ---- tracing -------------------------------------------------------------------------------

# What a tracer is told. BEGIN and RESUME: of a call. EXCEPTION: the instruction raised.
BEGIN, RESUME, SUSPEND, END, EXCEPTION, INSTRUCTION = (
    "begin",
    "resume",
    "suspend",
    "end",
    "exception",
    "instruction",
)
# Called with the frame, one of the above, and the offset of an instruction.
Callback = Callable[[types.FrameType, str, int], None]


class SettraceTracer:
    """Up to 3.11: a trace function in each thread, and opcode events."""

    CALL, _, LINE, RETURN, OPCODE = 0, 1, 2, 3, 7  # PyTrace_*

    def __init__(self, callback: Callback) -> None:
        prototype = ctypes.PYFUNCTYPE(
            ctypes.c_int, ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p
        )
        self._function = prototype(self._traced)
        self._callback = callback
        self._set_trace = ctypes.pythonapi.PyEval_SetTrace
        self._set_trace.argtypes = [ctypes.c_void_p, ctypes.py_object]
        self._set_trace.restype = None
        self._start_thread = _thread.start_new_thread

    def start(self) -> None:
        """Trace this thread, and those started from now on, from their next call on."""

        def start_new_thread(function: Callable, *args: Any) -> int:
            def run(*args: Any, **kwargs: Any) -> None:
                self._set_trace(self._function, None)
                function(*args, **kwargs)

            return self._start_thread(run, *args)

        _thread.start_new_thread = _thread.start_new = start_new_thread
        threading._start_new_thread = start_new_thread
        self._set_trace(self._function, None)

    def stop(self) -> None:
        self._set_trace(None, None)
        _thread.start_new_thread = _thread.start_new = self._start_thread
        threading._start_new_thread = self._start_thread

    def watch(self, frame: types.FrameType, wanted: bool) -> None:
        """At BEGIN: are the frame's instructions wanted?"""
        frame.f_trace_lines = False
        frame.f_trace_opcodes = wanted

    def _traced(self, _: Any, frame: types.FrameType, what: int, value: int | None) -> int:
        if what == self.OPCODE:
            self._callback(frame, INSTRUCTION, frame.f_lasti)
        elif what == self.CALL:
            self._callback(frame, BEGIN if _begins(frame) else RESUME, 0)
        elif what == self.RETURN:
            suspends = value is not None and _suspends(frame)
            self._callback(frame, SUSPEND if suspends else END, 0)
        elif what != self.LINE:
            self._callback(frame, EXCEPTION, 0)
        return 0


class MonitoringTracer:
    """From 3.12 on: sys.monitoring, for all threads."""

    TOOL = 2  # customarily a profiler's; the helper tries 4, 3, 5

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._watched: list[types.CodeType] = []

    def start(self) -> None:
        monitoring = sys.monitoring
        events = monitoring.events
        monitoring.use_tool_id(self.TOOL, "oracle")
        for event, what in (
            (events.PY_START, BEGIN),
            (events.PY_RESUME, RESUME),
            (events.PY_THROW, RESUME),
            (events.PY_YIELD, SUSPEND),
            (events.PY_RETURN, END),
            (events.PY_UNWIND, END),
            (events.RAISE, EXCEPTION),
            (events.INSTRUCTION, INSTRUCTION),
        ):
            monitoring.register_callback(self.TOOL, event, self._tell(what))
        monitoring.set_events(
            self.TOOL,
            events.PY_START
            | events.PY_RESUME
            | events.PY_THROW
            | events.PY_YIELD
            | events.PY_RETURN
            | events.PY_UNWIND
            | events.RAISE,
        )

    def _tell(self, what: str) -> Callable:
        def happened(code: types.CodeType, offset: int, *_: Any) -> None:
            self._callback(sys._getframe(1), what, offset)

        return happened

    def stop(self) -> None:
        sys.monitoring.set_events(self.TOOL, 0)
        for code in self._watched:
            sys.monitoring.set_local_events(self.TOOL, code, 0)
        sys.monitoring.free_tool_id(self.TOOL)

    def watch(self, frame: types.FrameType, wanted: bool) -> None:
        """At BEGIN: are the frame's instructions wanted?"""
        if wanted and not sys.monitoring.get_local_events(self.TOOL, frame.f_code):
            self._watched.append(frame.f_code)
            sys.monitoring.set_local_events(
                self.TOOL, frame.f_code, sys.monitoring.events.INSTRUCTION
            )


Tracer = MonitoringTracer if VERSION >= (3, 12) else SettraceTracer


def _opname(frame: types.FrameType, offset: int) -> str:
    return dis.opname[frame.f_code.co_code[offset]]


def _begins(frame: types.FrameType) -> bool:
    """At a call event: does the call begin here, rather than resume?"""
    if VERSION < (3, 11):
        return frame.f_lasti < 0
    argument = frame.f_code.co_code[frame.f_lasti + 1]
    return _opname(frame, frame.f_lasti) == "RESUME" and argument == 0


def _suspends(frame: types.FrameType) -> bool:
    """At a return event with a value: will the frame be resumed?"""
    name = _opname(frame, frame.f_lasti)
    if VERSION < (3, 11) and name != "RETURN_VALUE":
        # A `yield from` leaves f_lasti before itself, to run again.
        following = frame.f_lasti + 2
        if following < len(frame.f_code.co_code) and _opname(frame, following) == "YIELD_FROM":
            return True
    return name == "YIELD_VALUE"


# ---- code objects --------------------------------------------------------------------------

# Up to 3.10: the qualified names that code gives to the functions it makes, by id. The code
# objects are constants of code that the oracle keeps.
_made: dict[int, str] = {}


def qualname(code: types.CodeType) -> str:
    """The qualified name; up to 3.10 as the code that made the function says."""
    if VERSION >= (3, 11):
        return code.co_qualname
    raw = [item for item in dis.get_instructions(code) if item.opname != "EXTENDED_ARG"]
    for first, second, third in zip(raw, raw[1:], raw[2:]):
        if third.opname == "MAKE_FUNCTION" and isinstance(first.argval, types.CodeType):
            _made[id(first.argval)] = second.argval
    if len(raw) > 3 and (raw[3].opname, raw[3].argval) == ("STORE_NAME", "__qualname__"):
        return raw[2].argval
    return _made.get(id(code), code.co_name)


def lines(code: types.CodeType) -> dict[int, int]:
    """Line of the instruction at each offset; 0 where it has none."""
    found = {}
    if VERSION >= (3, 10):
        for start, end, line in code.co_lines():
            for offset in range(start, end, 2):
                found[offset] = line or 0
        return found
    starts = dict(dis.findlinestarts(code))
    line = code.co_firstlineno
    for offset in range(0, len(code.co_code), 2):
        line = found[offset] = starts.get(offset, line)
    return found


def slot_names(code: types.CodeType) -> tuple[str, ...]:
    """Names of the variable slots, in the order of the slots."""
    if VERSION < (3, 11):
        return code.co_varnames + code.co_cellvars + code.co_freevars
    found = []
    while True:
        try:
            found.append(code._varname_from_oparg(len(found)))
        except IndexError:
            return tuple(found)


def deref_slot(code: types.CodeType, arg: int) -> int:
    """Slot of the cell that an instruction's argument means."""
    return arg if VERSION >= (3, 11) else code.co_nlocals + arg


def argument_slot(code: types.CodeType, name: str) -> int:
    """Slot in which an argument is when the call begins."""
    names = slot_names(code)
    if VERSION < (3, 11) and name in code.co_cellvars:
        return code.co_nlocals + code.co_cellvars.index(name)
    return names.index(name)


@dataclass(frozen=True)
class Instruction:
    """One instruction, prefixes and caches folded in."""

    offset: int  # of the instruction itself
    first_offset: int  # of its first EXTENDED_ARG
    event_offset: int  # that its event tells
    name: str
    arg: int | None
    value: Any  # dis's argval
    next_offset: int  # of the instruction behind it


def instructions(code: types.CodeType) -> list[Instruction]:
    """The code's instructions. An opcode event comes once, at the first EXTENDED_ARG; an
    INSTRUCTION event at the instruction itself."""
    raw = list(dis.get_instructions(code))
    found = []
    first = None
    for index, item in enumerate(raw):
        if first is None:
            first = item.offset
        if item.opname == "EXTENDED_ARG":
            continue
        behind = raw[index + 1].offset if index + 1 < len(raw) else len(code.co_code)
        event = item.offset if Tracer is MonitoringTracer else first
        found.append(
            Instruction(item.offset, first, event, item.opname, item.arg, item.argval, behind)
        )
        first = None
    return found


def exception_handlers(code: types.CodeType) -> list[tuple[int, int, int, int, int]]:
    """(start, end, target, items kept, items pushed); offsets in bytes, end exclusive.

    Up to 3.10 blocks that the instructions set up say that, see names.py."""
    if VERSION < (3, 11):
        return []
    return [
        (entry.start, entry.end, entry.target, entry.depth, entry.lasti + 1)
        for entry in dis._parse_exception_table(code)
    ]


def is_inplace(item: Instruction) -> bool:
    """Is it the operator of an augmented assignment?"""
    if VERSION < (3, 11):
        return item.name.startswith("INPLACE_")
    return item.name == "BINARY_OP" and dis._nb_ops[item.arg][0].startswith("NB_INPLACE_")


def is_subscript(item: Instruction) -> bool:
    """Does it read base[key]? From 3.14 on that is a binary operator."""
    return item.name == "BINARY_SUBSCR" or (
        item.name == "BINARY_OP" and dis._nb_ops[item.arg][0] == "NB_SUBSCR"
    )


def loads_method(item: Instruction) -> bool:
    """Does this LOAD_ATTR leave self beside the function, as LOAD_METHOD did up to 3.11?"""
    return VERSION >= (3, 12) and bool(item.arg & 1)


def takes_operand_out(items: list[Instruction], index: int) -> bool:
    """A sum whose left operand, a str, is taken out of the variable that the sum is about to be
    stored to: up to 3.10, if nothing else holds it."""
    return (
        VERSION < (3, 11)
        and items[index].name in ("BINARY_ADD", "INPLACE_ADD")
        and index + 1 < len(items)
        and items[index + 1].name in ("STORE_FAST", "STORE_DEREF", "STORE_NAME")
    )


def moves(item: Instruction) -> bool:
    """Does it only move operands about?"""
    return item.name == "SWAP" or item.name.startswith("ROT_")
