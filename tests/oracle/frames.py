"""What differs between CPython versions, for the oracle: frames and instructions.

sys.settrace shows a trace function no operand stack, and gives it the locals as a dict
that then keeps them alive. So the oracle installs its trace function with PyEval_SetTrace
and reads slots and stack of a frame from memory. The layouts are those of CPython's
headers; a version that is not in LAYOUTS is refused.
"""

from __future__ import annotations

import ctypes
import dis
import sys
import types
from dataclasses import dataclass
from typing import Any

VERSION = sys.version_info[:2]
WORD = ctypes.sizeof(ctypes.c_void_p)


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes of what the oracle reads of a frame."""

    frame_data: int  # PyFrameObject → pointer to the interpreter's frame
    locals: int  # in the interpreter's frame: f_locals
    stack_top: int  # int: items in use, counted from `slots`
    slots: int  # localsplus: variables, then the operand stack


# 3.11: Include/internal/pycore_frame.h, struct _frame and _PyInterpreterFrame.
LAYOUTS = {(3, 11): Layout(frame_data=24, locals=24, stack_top=64, slots=72)}
if VERSION not in LAYOUTS:
    raise ImportError(f"the oracle knows the frames of {sorted(LAYOUTS)}, not of {VERSION}")
_LAYOUT = LAYOUTS[VERSION]

UNBOUND = object()
CALL, EXCEPTION, LINE, RETURN, OPCODE = 0, 1, 2, 3, 7  # PyTrace_*
Callback = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p
)
set_trace = ctypes.pythonapi.PyEval_SetTrace
set_trace.argtypes = [ctypes.c_void_p, ctypes.py_object]
set_trace.restype = None


def _word(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value


def _object(pointer: int) -> Any:
    return ctypes.cast(pointer, ctypes.py_object).value if pointer else UNBOUND


def _data(frame: types.FrameType) -> int:
    return _word(id(frame) + _LAYOUT.frame_data)


def slot(frame: types.FrameType, index: int) -> Any:
    """The object in variable slot `index` (a cell, for cell and free variables), or UNBOUND."""
    return _object(_word(_data(frame) + _LAYOUT.slots + index * WORD))


def namespace(frame: types.FrameType) -> Any:
    """Where STORE_NAME stores: the mapping itself, never a copy."""
    return _object(_word(_data(frame) + _LAYOUT.locals))


def stack(frame: types.FrameType, depth: int) -> Any:
    """The item `depth` from the top of the operand stack (1 is the top), or UNBOUND for NULL.

    Valid during an opcode event of this frame."""
    data = _data(frame)
    top = ctypes.c_int.from_address(data + _LAYOUT.stack_top).value
    return _object(_word(data + _LAYOUT.slots + (top - depth) * WORD))


def begins(frame: types.FrameType) -> bool:
    """At a call event: does the call begin here, rather than resume?"""
    code = frame.f_code.co_code
    return code[frame.f_lasti] == dis.opmap["RESUME"] and code[frame.f_lasti + 1] == 0


def suspends(frame: types.FrameType) -> bool:
    """At a return event with a value: will the frame be resumed?"""
    return frame.f_code.co_code[frame.f_lasti] == dis.opmap["YIELD_VALUE"]


def qualname(code: types.CodeType) -> str:
    return code.co_qualname


def lines(code: types.CodeType) -> dict[int, int]:
    """Line of the instruction at each offset; 0 where it has none."""
    found = {}
    for start, end, line in code.co_lines():
        for offset in range(start, end, 2):
            found[offset] = line or 0
    return found


def slot_names(code: types.CodeType) -> tuple[str, ...]:
    """Names of the variable slots, in the order of the slots."""
    return tuple(code._varname_from_oparg(i) for i in range(_slot_count(code)))


def _slot_count(code: types.CodeType) -> int:
    cell_arguments = set(code.co_varnames) & set(code.co_cellvars)
    return code.co_nlocals + len(code.co_cellvars) - len(cell_arguments) + len(code.co_freevars)


@dataclass(frozen=True)
class Instruction:
    """One instruction, prefixes and caches folded in."""

    offset: int  # of the instruction itself
    event_offset: int  # f_lasti at its opcode event: of its first EXTENDED_ARG
    name: str
    arg: int | None
    value: Any  # dis's argval
    next_offset: int  # of the instruction behind it


def instructions(code: types.CodeType) -> list[Instruction]:
    """The code's instructions. An opcode event comes once, at the first EXTENDED_ARG."""
    raw = list(dis.get_instructions(code))
    found = []
    first = None
    for index, item in enumerate(raw):
        if first is None:
            first = item.offset
        if item.opname == "EXTENDED_ARG":
            continue
        behind = raw[index + 1].offset if index + 1 < len(raw) else len(code.co_code)
        found.append(Instruction(item.offset, first, item.opname, item.arg, item.argval, behind))
        first = None
    return found


def exception_handlers(code: types.CodeType) -> list[tuple[int, int, int, int, int]]:
    """(start, end, target, items kept, items pushed); offsets in bytes, end exclusive."""
    return [
        (entry.start, entry.end, entry.target, entry.depth, entry.lasti + 1)
        for entry in dis._parse_exception_table(code)
    ]


def is_inplace(item: Instruction) -> bool:
    """Is it the operator of an augmented assignment?"""
    return item.name == "BINARY_OP" and item.arg >= dis._nb_ops.index(("NB_INPLACE_ADD", "+="))
