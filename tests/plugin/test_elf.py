"""elf.py and image.py against what the loader and readelf say about this very process."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace import elf  # noqa: E402
from memtrace.image import Images  # noqa: E402

LIBC = os.path.realpath(
    next(
        line.split()[-1]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "/libc.so" in line or "/libc-2" in line
    )
)


def read_own(address: int, size: int) -> bytes:
    with open("/proc/self/mem", "rb", buffering=0) as file:
        file.seek(address)
        return file.read(size)


def readelf_functions(path: str) -> "dict[str, tuple[int, int]]":
    text = subprocess.run(
        ["readelf", "--dyn-syms", "-W", path], check=True, capture_output=True, text=True
    ).stdout
    rows = re.findall(
        r"^ *\d+: ([0-9a-f]+) +(\d+) FUNC +\S+ +\S+ +(\d+) ([^\s@]+)(@@\S+|)?$", text, re.MULTILINE
    )
    return {name: (int(value, 16), int(size)) for value, size, _, name, _ in rows}


@pytest.mark.parametrize("path", [LIBC, os.path.realpath("/usr/bin/python3")])
def test_functions_are_those_that_readelf_sees(path: str) -> None:
    expected = readelf_functions(path)
    assert len(expected) > 100
    parsed = elf.from_file(path)
    for name, place in expected.items():
        symbol = parsed.symbols[name]
        assert (symbol.value, symbol.size) == place, name


def test_what_a_file_only_uses_is_not_among_its_symbols() -> None:
    parsed = elf.from_file(os.path.realpath("/usr/bin/python3"))
    assert "malloc" in parsed.imports.values()
    assert "malloc" not in parsed.symbols


def test_addresses_are_those_of_the_running_process() -> None:
    images = Images(os.getpid(), read_own)
    for name in ("dlopen", "mmap", "getpid"):
        expected = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
        assert images.libc_symbol(name) == expected
    address = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value
    (found,) = images.exporting("Py_RunMain")
    assert found.symbol("Py_IsInitialized") == address
    assert found.function_at(address + 1) == "Py_IsInitialized"
    assert images.has_glibc()


def test_a_deleted_file_is_read_from_memory() -> None:
    images = Images(os.getpid(), read_own)
    start = min(m.start for m in images.mappings if m.path == LIBC)
    in_memory, in_file = elf.from_memory(start, read_own), elf.from_file(LIBC)
    assert in_memory.symbols == in_file.symbols
    assert in_memory.imports == in_file.imports
    assert in_memory.bias(start, 0) == in_file.bias(start, 0) == start


def test_the_name_of_a_call_through_the_offset_table(tmp_path: Path) -> None:
    source = tmp_path / "calls.c"
    source.write_text(
        "#include <string.h>\n#include <unistd.h>\n"
        "void *after;\n"
        '__attribute__((noinline)) static void local(void) { __asm__ volatile(""); }\n'
        'void by_plt(void) { getppid(); after = &&here; here: __asm__ volatile(""); }\n'
        'void by_local(void) { local(); __asm__ volatile(""); }\n'
    )
    for flags, name in ((["-fplt"], "plt"), (["-fno-plt"], "noplt")):
        library = tmp_path / f"calls_{name}.so"
        subprocess.run(
            ["gcc", "-O1", "-shared", "-fPIC", *flags, str(source), "-o", str(library)], check=True
        )
        loaded = ctypes.CDLL(str(library))
        images = Images(os.getpid(), read_own)
        code = ctypes.cast(loaded.by_plt, ctypes.c_void_p).value
        names = {images.called_name(code + offset) for offset in range(5, 40)}
        assert "getppid" in names, flags
        code = ctypes.cast(loaded.by_local, ctypes.c_void_p).value
        assert {images.called_name(code + offset) for offset in range(5, 12)} == {""}


def test_damaged_files_are_errors() -> None:
    data = Path(LIBC).read_bytes()
    for size in (0, 10, 63, 100, 3000, 100_000, len(data) // 2):
        with pytest.raises(elf.ElfError):
            elf.from_bytes(data[:size])
    with pytest.raises(elf.ElfError, match="ends early"):
        elf.from_bytes(data[: len(data) // 2])
    with pytest.raises(elf.ElfError, match="no ELF"):
        elf.from_bytes(b"#!/bin/sh\n" + bytes(100))


def test_no_damaged_byte_raises_anything_else() -> None:
    data = bytearray(Path("/lib64/ld-linux-x86-64.so.2").read_bytes())
    for position in range(0, 0x400, 3):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        try:
            elf.from_bytes(bytes(changed))
        except elf.ElfError:
            pass
