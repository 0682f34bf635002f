"""Call frame information of a mapped file: where a function keeps what its caller had in its
registers, at each of its instructions. x86-64, as compilers write .eh_frame for it.

The loader maps it for C++ exceptions, so that a stripped file has it as any other has, and the
program header that points to its search table is what the unwinder of libgcc goes by. It is read
from the process's memory: what is mapped there is what runs there.

Nothing is trusted: whatever can't be, and what is not known here, raises CfiError. No gdb."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from typing import Callable, Dict, List, NamedTuple, Tuple, Union

Read = Callable[[int, int], bytes]

RSP, RETURN_ADDRESS = 7, 16  # DWARF's numbers; the other registers' have no use here

_TABLE_HEADER = bytes((1, 0x1B, 0x03, 0x3B))  # version; encodings as all linkers write them
_TABLE_MAX = 64 * 1024 * 1024
_ENTRY_MAX = 1024 * 1024
_STACK_MAX = 64  # of remembered rows, and of an expression

# Encodings of pointers: the format, and what is added.
_FORMATS = {0x00: "<Q", 0x02: "<H", 0x03: "<I", 0x04: "<Q", 0x0A: "<h", 0x0B: "<i", 0x0C: "<q"}
_PC_RELATIVE = 0x10


class CfiError(Exception):
    """There is no usable information; the text says why."""


class How(Enum):
    """Where the caller's value of a register is. The operand: a register's number, an offset
    from the CFA, or an expression."""

    UNDEFINED = "nowhere"
    SAME = "in the register"
    REGISTER = "in another register"
    AT_OFFSET = "in memory at CFA + offset"
    OFFSET = "is CFA + offset"
    AT_EXPRESSION = "in memory at an expression's value"
    EXPRESSION = "is an expression's value"


class Rule(NamedTuple):
    """Where one register's value is."""

    how: How
    operand: Union[int, bytes] = 0


class Cfa(NamedTuple):
    """The canonical frame address: register + offset, or an expression's value if there is one."""

    register: int = RSP
    offset: int = 0
    expression: bytes = b""


@dataclass
class Row:
    """The rules at one instruction. Registers without one are what they are."""

    cfa: Cfa = Cfa()
    rules: Dict[int, Rule] = field(default_factory=dict)
    is_signal: bool = False  # the frame is what the kernel made to run a signal's handler

    def copy(self) -> "Row":
        """One that can be changed."""
        return Row(self.cfa, dict(self.rules), self.is_signal)


class Cursor:
    """Numbers from bytes, one after the other. Raises CfiError where they end."""

    def __init__(self, data: bytes, address: int = 0) -> None:
        self._data = data
        self._address = address
        self.at = 0

    @property
    def is_at_end(self) -> bool:
        """Is nothing left?"""
        return self.at >= len(self._data)

    def number(self, form: str) -> int:
        """A number in struct's notation."""
        try:
            (value,) = struct.unpack_from(form, self._data, self.at)
        except struct.error:
            raise CfiError("ends early") from None
        self.at += struct.calcsize(form)
        return int(value)

    def byte(self) -> int:
        """One byte."""
        return self.number("<B")

    def uleb(self) -> int:
        """An unsigned number of any length."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 63:
                raise CfiError("a number without end")

    def sleb(self) -> int:
        """A signed number of any length."""
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value

    def block(self) -> bytes:
        """Bytes with their number before them."""
        size = self.uleb()
        found = self._data[self.at : self.at + size]
        if len(found) != size:
            raise CfiError("ends early")
        self.at += size
        return found

    def text(self) -> bytes:
        """Bytes up to a zero."""
        end = self._data.find(b"\0", self.at)
        if end < 0:
            raise CfiError("a text without end")
        found = self._data[self.at : end]
        self.at = end + 1
        return found

    def pointer(self, encoding: int) -> int:
        """An address; relative ones are relative to where they stand."""
        form = pointer_format(encoding)
        base = self._address + self.at if encoding & _PC_RELATIVE else 0
        return base + self.number(form)


def pointer_format(encoding: int) -> str:
    """The size and sign of a pointer, in struct's notation."""
    if encoding & 0x0F not in _FORMATS or encoding & 0x70 not in (0, _PC_RELATIVE):
        raise CfiError(f"pointers in encoding {encoding:#x}")
    return _FORMATS[encoding & 0x0F]


@dataclass(frozen=True)
class _Common:
    """A common information entry (CIE): what many functions share."""

    code_factor: int
    data_factor: int
    pointers: int  # encoding
    has_augmentation: bool
    is_signal: bool
    instructions: bytes


class FrameInfo:
    """The call frame information of one mapped file. `header`: the address of its search table,
    where PT_GNU_EH_FRAME is mapped. Raises CfiError, and what `read` raises."""

    def __init__(self, header: int, read: Read) -> None:
        self._read = read
        self._header = header
        self._common: Dict[int, _Common] = {}
        self._rows: Dict[int, Row] = {}
        start = read(header, 12)
        if start[:4] != _TABLE_HEADER:
            raise CfiError("no search table of the usual form")
        self._count = struct.unpack_from("<I", start, 8)[0]
        if not 0 < self._count <= _TABLE_MAX // 8:
            raise CfiError(f"{self._count} functions")
        self._table = read(header + 12, 8 * self._count)

    def row(self, pc: int) -> Row:
        """The rules at an instruction. Not to be changed."""
        if pc not in self._rows:
            self._rows[pc] = self._find(pc)
        return self._rows[pc]

    def _find(self, pc: int) -> Row:
        address = self._header + self._entry(pc - self._header)
        data = self._record(address)
        cursor = Cursor(data, address + 4)
        common = self._common_entry(address + 4 - cursor.number("<I"))
        start = cursor.pointer(common.pointers)
        size = cursor.number(pointer_format(common.pointers))
        if not start <= pc < start + size:
            raise CfiError("no function there")
        if common.has_augmentation:
            cursor.block()
        initial = _Program(common, Row(is_signal=common.is_signal))
        row = initial.run(common.instructions, start, pc)
        return _Program(common, row).run(data[cursor.at :], start, pc)

    def _entry(self, offset: int) -> int:
        """Where the last function that begins at or before an offset has its entry. Both are
        relative to the table."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if struct.unpack_from("<i", self._table, 8 * middle)[0] <= offset:
                low = middle + 1
            else:
                high = middle
        if not low:
            raise CfiError("no function there")
        return int(struct.unpack_from("<i", self._table, 8 * (low - 1) + 4)[0])

    def _record(self, address: int) -> bytes:
        (size,) = struct.unpack("<I", self._read(address, 4))
        if not 4 <= size <= _ENTRY_MAX:
            raise CfiError(f"an entry of {size} bytes")
        return self._read(address + 4, size)

    def _common_entry(self, address: int) -> _Common:
        if address not in self._common:
            self._common[address] = self._parse_common(address)
        return self._common[address]

    def _parse_common(self, address: int) -> _Common:
        data = self._record(address)
        cursor = Cursor(data, address + 4)
        if cursor.number("<I") != 0:
            raise CfiError("an entry that refers to no common one")
        version = cursor.byte()
        augmentation = cursor.text().decode("ascii", "replace")
        code_factor, data_factor = cursor.uleb(), cursor.sleb()
        column = cursor.byte() if version == 1 else cursor.uleb()
        if version not in (1, 3) or column != RETURN_ADDRESS or augmentation.strip("zRPLS"):
            raise CfiError(f"version {version}, {augmentation!r}, return address in {column}")
        pointers = 0
        if augmentation.startswith("z"):
            pointers, after = _augmentation(cursor, augmentation[1:])
            cursor.at = after
        elif augmentation:
            raise CfiError(f"{augmentation!r} without its size")
        return _Common(
            code_factor,
            data_factor,
            pointers,
            bool(augmentation),
            "S" in augmentation,
            data[cursor.at :],
        )


def _augmentation(cursor: Cursor, letters: str) -> Tuple[int, int]:
    """The encoding of a function's addresses, and where the augmentation ends."""
    size = cursor.uleb()
    after = cursor.at + size
    pointers = 0
    for letter in letters:
        if letter == "R":
            pointers = cursor.byte()
        elif letter == "L":
            cursor.byte()
        elif letter == "P":
            cursor.number(pointer_format(cursor.byte()))
    return pointers, after


class _Program:
    """Carries out call frame instructions up to a place in the code. `row`: in force before the
    first, and where DW_CFA_restore goes back to."""

    def __init__(self, common: _Common, row: Row) -> None:
        self.row = row.copy()
        self._initial = row
        self._common = common
        self._remembered: List[Row] = []

    def run(self, instructions: bytes, start: int, pc: int) -> Row:
        """The row in force at `pc`, in the code that begins at `start`."""
        location = start
        cursor = Cursor(instructions)
        while not cursor.is_at_end and location <= pc:
            opcode = cursor.byte()
            advance = self._advance(opcode, cursor)
            if advance is None:
                self._rule(opcode, cursor)
            else:
                location += advance
        return self.row

    def _advance(self, opcode: int, cursor: Cursor) -> "int | None":
        """By how many bytes an instruction moves on in the code; None: it is not of that kind."""
        if opcode >> 6 == 1:
            return (opcode & 0x3F) * self._common.code_factor
        form = {0x02: "<B", 0x03: "<H", 0x04: "<I"}.get(opcode)
        if form:
            return cursor.number(form) * self._common.code_factor
        return None

    def _rule(self, opcode: int, cursor: Cursor) -> None:
        rules = self.row.rules
        if opcode >> 6 == 2:
            rules[opcode & 0x3F] = self._at_offset(cursor.uleb())
        elif opcode >> 6 == 3:
            self._restore(opcode & 0x3F)
        elif opcode in _CFA_RULES:
            self._set_cfa(opcode, cursor)
        elif opcode == 0x00:  # nop
            pass
        elif opcode == 0x05:  # offset_extended
            register = cursor.uleb()
            rules[register] = self._at_offset(cursor.uleb())
        elif opcode == 0x06:  # restore_extended
            self._restore(cursor.uleb())
        elif opcode == 0x07:
            rules[cursor.uleb()] = Rule(How.UNDEFINED)
        elif opcode == 0x08:
            rules[cursor.uleb()] = Rule(How.SAME)
        elif opcode == 0x09:
            register = cursor.uleb()
            rules[register] = Rule(How.REGISTER, cursor.uleb())
        elif opcode == 0x0A:  # remember_state
            if len(self._remembered) >= _STACK_MAX:
                raise CfiError("too many rows to remember")
            self._remembered.append(self.row.copy())
        elif opcode == 0x0B:  # restore_state
            if not self._remembered:
                raise CfiError("no row to go back to")
            self.row = self._remembered.pop()
        elif opcode == 0x10:
            register = cursor.uleb()
            rules[register] = Rule(How.AT_EXPRESSION, cursor.block())
        elif opcode == 0x11:  # offset_extended_sf
            register = cursor.uleb()
            rules[register] = self._at_offset(cursor.sleb())
        elif opcode in (0x14, 0x15):  # val_offset, val_offset_sf
            register = cursor.uleb()
            factored = cursor.uleb() if opcode == 0x14 else cursor.sleb()
            rules[register] = Rule(How.OFFSET, factored * self._common.data_factor)
        elif opcode == 0x16:
            register = cursor.uleb()
            rules[register] = Rule(How.EXPRESSION, cursor.block())
        elif opcode == 0x2E:  # GNU_args_size: for exceptions only
            cursor.uleb()
        else:
            raise CfiError(f"instruction {opcode:#x}")

    def _at_offset(self, factored: int) -> Rule:
        return Rule(How.AT_OFFSET, factored * self._common.data_factor)

    def _restore(self, register: int) -> None:
        before = self._initial.rules.get(register)
        if before is None:
            self.row.rules.pop(register, None)
        else:
            self.row.rules[register] = before

    def _set_cfa(self, opcode: int, cursor: Cursor) -> None:
        register, offset, _ = self.row.cfa
        if opcode == 0x0F:
            self.row.cfa = Cfa(expression=cursor.block())
            return
        if opcode in (0x0C, 0x0D, 0x12):
            register = cursor.uleb()
        if opcode in (0x0C, 0x0E):
            offset = cursor.uleb()
        elif opcode in (0x12, 0x13):
            offset = cursor.sleb() * self._common.data_factor
        self.row.cfa = Cfa(register, offset)


# def_cfa, _register, _offset, _expression, _sf, _offset_sf
_CFA_RULES = frozenset((0x0C, 0x0D, 0x0E, 0x0F, 0x12, 0x13))
