"""cfi.py and unwind.py against what readelf says about the files of this very process, and on
entries that are damaged. (How whole stacks are walked: tests/gdb/test_unwind.py.)"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace import unwind  # noqa: E402
from memtrace.cfi import Cfa, CfiError, FrameInfo, How, Row, Rule  # noqa: E402
from memtrace.elf import PT_GNU_EH_FRAME  # noqa: E402
from memtrace.image import Image, Images  # noqa: E402

NUMBERS = {name: number for number, name in enumerate(unwind.REGISTERS)}
NUMBERS["ra"] = NUMBERS["rip"]


def read_own(address: int, size: int) -> bytes:
    with open("/proc/self/mem", "rb", buffering=0) as file:
        file.seek(address)
        return file.read(size)


def own_image(pattern: str) -> Image:
    images = Images(os.getpid(), read_own)
    (found,) = images.named(lambda name: re.fullmatch(pattern, name) is not None)
    return found


def header_of(image: Image) -> int:
    (segment,) = (s for s in image.elf.segments if s.kind == PT_GNU_EH_FRAME)
    return segment.address + image.bias


def rows_of_readelf(path: str) -> "Iterator[tuple[int, int, dict[str, str]]]":
    """Every function's rows: address, that of the next row or the function's end, and the cells by
    name of the column."""
    text = subprocess.run(
        ["readelf", "--debug-dump=frames-interp", "-W", path],
        check=False,  # it minds that there is no debug information besides
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    for entry in text.split("\n\n"):
        match = re.search(r" FDE .* pc=[0-9a-f]+\.\.([0-9a-f]+)\n +LOC +(.*)\n", entry)
        if not match:
            continue
        columns = match.group(2).split()
        table = re.sub(r"\br\d+ \((\w+)\)", r"\1", entry[match.end() :])  # "r9 (r9)" is one cell
        rows = [line.split() for line in table.splitlines()]
        starts = [int(row[0], 16) for row in rows]
        for row, start, end in zip(rows, starts, [*starts[1:], int(match.group(1), 16)]):
            if start < end:
                yield start, end, dict(zip(columns, row[1:]))


def assert_same(cells: "dict[str, str]", row: Row) -> None:
    for column, cell in cells.items():
        if column == "CFA":
            if cell == "exp":
                assert row.cfa.expression
            else:
                register, offset = re.fullmatch(r"(\w+)([+-]\d+)", cell).groups()
                assert row.cfa == Cfa(NUMBERS[register], int(offset))
        elif column in NUMBERS:
            rule = row.rules.get(NUMBERS[column])
            if cell == "u":  # "undefined", or nothing is said
                assert rule is None or rule.how == How.UNDEFINED
            elif cell == "s":
                assert rule is None or rule.how == How.SAME
            elif cell == "exp":
                assert rule is not None and rule.how == How.AT_EXPRESSION
            elif cell in NUMBERS:
                assert rule == Rule(How.REGISTER, NUMBERS[cell])
            else:
                assert rule == Rule(How.AT_OFFSET, int(cell.removeprefix("c")))


@pytest.mark.parametrize(
    ("name", "step"), [(r"libc[.-].*", 7), (r"ld-.*", 1), (r"python3\.\d+", 10)]
)
def test_rows_are_those_that_readelf_sees(name: str, step: int) -> None:
    image = own_image(name)
    info = FrameInfo(header_of(image), read_own)
    seen = 0
    for start, end, cells in islice(rows_of_readelf(image.path), 0, None, step):
        for pc in (start, end - 1):
            assert_same(cells, info.row(pc + image.bias))
        seen += 1
    assert seen > 500


def test_the_frame_of_a_signal_handler_is_known() -> None:
    image = own_image(r"libc[.-].*")
    info = FrameInfo(header_of(image), read_own)
    all_saved = [
        (start, cells)
        for start, _, cells in rows_of_readelf(image.path)
        if list(cells.values()).count("exp") > 10
    ]
    assert all_saved  # where the C library returns from handlers to the kernel
    for start, _ in all_saved:
        assert info.row(start + image.bias).is_signal
    assert not info.row(image.symbol("getpid")).is_signal


def test_code_of_no_function_has_no_row() -> None:
    image = own_image(r"libc[.-].*")
    info = FrameInfo(header_of(image), read_own)
    for pc in (image.bias, image.bias + (1 << 30)):
        with pytest.raises(CfiError, match="no function there"):
            info.row(pc)


def memory(words: "dict[int, int]") -> unwind.Read:
    def read(address: int, size: int) -> bytes:
        assert size == 8
        return struct.pack("<Q", words[address])

    return read


def test_the_callers_registers_are_found_in_each_way() -> None:
    registers = {NUMBERS["rsp"]: 0x1000, NUMBERS["rbp"]: 0x2000, NUMBERS["rbx"]: 7, 16: 0x400}
    row = Row(
        Cfa(NUMBERS["rbp"], 16),
        {
            16: Rule(How.AT_OFFSET, -8),
            NUMBERS["rbp"]: Rule(How.AT_EXPRESSION, b"\x77\x08"),  # rsp + 8
            NUMBERS["rbx"]: Rule(How.UNDEFINED),
            NUMBERS["r12"]: Rule(How.REGISTER, NUMBERS["rbx"]),
            NUMBERS["r13"]: Rule(How.OFFSET, -32),
            NUMBERS["r14"]: Rule(How.EXPRESSION, b"\x23\x30"),  # CFA + 48
        },
    )
    found = unwind.caller(row, registers, memory({0x2008: 0x500, 0x1008: 0x3000}))
    assert found == {
        NUMBERS["rsp"]: 0x2010,
        NUMBERS["rbp"]: 0x3000,
        16: 0x500,
        NUMBERS["r12"]: 7,
        NUMBERS["r13"]: 0x1FF0,
        NUMBERS["r14"]: 0x2040,
    }
    with pytest.raises(CfiError, match="register 3 is not known"):
        unwind.caller(Row(Cfa(NUMBERS["rbx"], 8)), found, memory({}))


def test_the_expression_of_a_linkage_table() -> None:
    # As linkers write it: rsp + 8, and 8 more once the stub has pushed its number.
    expression = bytes.fromhex("7708800 03f1a3b2a332422".replace(" ", ""))
    for pc, expected in ((0x40A, 0x1008), (0x40B, 0x1010), (0x40F, 0x1010)):
        registers = {NUMBERS["rsp"]: 0x1000, 16: pc}
        row = Row(Cfa(expression=expression), {16: Rule(How.OFFSET, -8)})
        assert unwind.caller(row, registers, memory({}))[NUMBERS["rsp"]] == expected


@pytest.mark.parametrize("expression", [b"\x22", b"\x06", b"\x08", b"\x77", b"\xff", b"\x0e\0"])
def test_expressions_that_cannot_be_are_errors(expression: bytes) -> None:
    row = Row(Cfa(expression=expression))
    with pytest.raises(CfiError):
        unwind.caller(row, {NUMBERS["rsp"]: 0x1000, 16: 0}, memory({}))


def test_damaged_information_is_an_error() -> None:
    image = own_image(r"ld-.*")
    pc = next(rows_of_readelf(image.path))[0] + image.bias
    looked_at = {}

    def read(address: int, size: int) -> bytes:
        looked_at[address] = read_own(address, size)
        return looked_at[address]

    FrameInfo(header_of(image), read).row(pc)
    failed = 0
    for place, good in list(looked_at.items()):
        for at in range(min(len(good), 64)):
            for byte in (0, 0x3F, 0xFF):
                damaged = good[:at] + bytes([byte]) + good[at + 1 :]
                contents = {**looked_at, place: damaged}

                def read_damaged(address: int, size: int) -> bytes:
                    data = contents.get(address, b"")  # noqa: B023
                    if len(data) != size:
                        raise CfiError("no memory there")
                    return data

                try:
                    FrameInfo(header_of(image), read_damaged).row(pc)
                except CfiError:
                    failed += 1
    assert failed > 50
