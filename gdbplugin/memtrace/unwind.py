"""Walk the stack of a stopped thread by the call frame information in memory (cfi.py).

gdb can do that, too. But where a file has debug information it reads that of every function on
its way, to look for inlined ones: most of a second for a Python with its symbols, which nobody
waits for who only wants to know which functions of the C library a thread is in. So gdb is
asked only where this fails: code that a just-in-time compiler made, functions that gdb called.
No gdb."""

from __future__ import annotations

import struct
from typing import Callable, Dict, List, NamedTuple

from .cfi import RETURN_ADDRESS, RSP, CfiError, Cursor, FrameInfo, How, Row, Rule
from .elf import PT_GNU_EH_FRAME
from .image import Image, Images

# By DWARF's numbers. gdb's names.
REGISTERS = (
    *("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
)

_MASK = (1 << 64) - 1

Registers = Dict[int, int]
Read = Callable[[int, int], bytes]


class Place(NamedTuple):
    """Where a frame stands. `is_signal`: it was made by the kernel, to run a handler."""

    pc: int
    is_signal: bool


class Unwinder:
    """Walks stacks of one process. Keeps what it reads of the mapped files: not to be used after
    the process has run."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._infos: Dict[str, FrameInfo] = {}

    def walk(self, registers: Registers, limit: int) -> List[Place]:
        """The frames of a thread, youngest first: all of them, or the `limit` youngest. Raises
        CfiError where one can't be left, and what Images.read raises."""
        places: List[Place] = []
        called = False  # the pc is a return address: it may belong to the next function
        while len(places) < limit:
            pc = registers[RETURN_ADDRESS]
            row = self._row(pc - called)
            places.append(Place(pc, row.is_signal))
            if row.rules.get(RETURN_ADDRESS, Rule(How.SAME)).how == How.UNDEFINED:
                break  # where the thread began
            before = registers[RSP]
            registers = caller(row, registers, self._images.read)
            if _register(registers, RETURN_ADDRESS) == 0:
                break
            if registers[RSP] <= before and not row.is_signal:  # a handler may have its own stack
                raise CfiError("the stack leads nowhere")
            called = not row.is_signal
        return places

    def _row(self, pc: int) -> Row:
        image = self._images.at(pc)
        if image is None:
            raise CfiError("the code is in no file")
        if image.path not in self._infos:
            self._infos[image.path] = FrameInfo(_header(image), self._images.read)
        return self._infos[image.path].row(pc)


def _header(image: Image) -> int:
    for segment in image.elf.segments:
        if segment.kind == PT_GNU_EH_FRAME:
            return segment.address + image.bias
    raise CfiError(f"{image.path} has none")


def caller(row: Row, registers: Registers, read: Read) -> Registers:
    """The caller's registers, for a row's rules; without those that nobody knows any more. Raises
    CfiError, and what `read` raises."""
    cfa = row.cfa
    if cfa.expression:
        frame = _evaluate(cfa.expression, [], registers, read)
    else:
        frame = _register(registers, cfa.register) + cfa.offset & _MASK
    found = {**registers, RSP: frame}
    for register, rule in row.rules.items():
        if rule.how == How.UNDEFINED:
            found.pop(register, None)
        else:
            found[register] = _value(register, rule, frame, registers, read)
    return found


def _value(register: int, rule: Rule, frame: int, registers: Registers, read: Read) -> int:
    how, operand = rule
    if isinstance(operand, bytes):
        value = _evaluate(operand, [frame], registers, read)
        return _word(value, read) if how == How.AT_EXPRESSION else value
    if how == How.AT_OFFSET:
        return _word(frame + operand & _MASK, read)
    if how == How.OFFSET:
        return frame + operand & _MASK
    return _register(registers, operand if how == How.REGISTER else register)


def _register(registers: Registers, number: int) -> int:
    try:
        return registers[number]
    except KeyError:
        raise CfiError(f"register {number} is not known") from None


def _word(address: int, read: Read) -> int:
    return int(struct.unpack("<Q", read(address, 8))[0])


# Of DWARF's operators those that the C library and linkers use in call frame information.
_CONSTANTS = dict(zip(range(0x08, 0x10), ("<B", "<b", "<H", "<h", "<I", "<i", "<Q", "<q")))
_BINARY: Dict[int, Callable[[int, int], int]] = {
    0x1A: lambda a, b: a & b,
    0x1C: lambda a, b: a - b,
    0x21: lambda a, b: a | b,
    0x22: lambda a, b: a + b,
    0x24: lambda a, b: a << (b & 63),
    0x2A: lambda a, b: int(a >= b),
}


def _evaluate(expression: bytes, stack: List[int], registers: Registers, read: Read) -> int:
    cursor = Cursor(expression)
    while not cursor.is_at_end:
        operator = cursor.byte()
        if len(stack) < 2 and operator in _BINARY or not stack and operator in (0x06, 0x23):
            raise CfiError("an expression without operands")
        if operator == 0x06:  # deref
            stack.append(_word(stack.pop(), read))
        elif operator in _CONSTANTS:
            stack.append(cursor.number(_CONSTANTS[operator]))
        elif operator in _BINARY:
            second = stack.pop()
            stack.append(_BINARY[operator](stack.pop(), second) & _MASK)
        elif operator == 0x23:  # plus_uconst
            stack.append(stack.pop() + cursor.uleb() & _MASK)
        elif 0x30 <= operator <= 0x4F:  # lit0 …
            stack.append(operator - 0x30)
        elif 0x70 <= operator <= 0x8F:  # breg0 …
            stack.append(_register(registers, operator - 0x70) + cursor.sleb() & _MASK)
        else:
            raise CfiError(f"operator {operator:#x}")
    if not stack:
        raise CfiError("an expression without a value")
    return stack.pop()
