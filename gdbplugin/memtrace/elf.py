"""Read the dynamic symbols of an ELF file, or of its image in a process. x86-64 only.

Only what the loader itself uses is read: program headers and the tables that the dynamic
section points to. So a stripped file tells as much as any other, and so does a file that
was deleted under a running process, through its mapped pages. No gdb.

Nothing is trusted: offsets outside the file, counts that can't be, and strings without an
end raise ElfError."""

from __future__ import annotations

import bisect
import mmap
import struct
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Tuple

PT_LOAD, PT_DYNAMIC, PT_GNU_EH_FRAME = 1, 2, 0x6474E550
EM_X86_64 = 62
STT_OBJECT, STT_FUNC, STT_GNU_IFUNC = 1, 2, 10

_DT_PLTRELSZ, _DT_HASH, _DT_STRTAB, _DT_SYMTAB = 2, 4, 5, 6
_DT_RELA, _DT_RELASZ, _DT_STRSZ, _DT_JMPREL = 7, 8, 10, 23
_DT_GNU_HASH, _DT_VERSYM = 0x6FFFFEF5, 0x6FFFFFF0
_VERSYM_HIDDEN = 0x8000
_R_GLOB_DAT, _R_JUMP_SLOT = 6, 7

_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")

_TABLE_MAX = 256 * 1024 * 1024

# Reads `size` bytes at a virtual address of the image; short or failing reads raise.
Read = Callable[[int, int], bytes]


class ElfError(Exception):
    """The file is not what it should be; the text says how."""


@dataclass(frozen=True)
class Symbol:
    """A defined dynamic symbol. `value` is its address before relocation."""

    name: str
    value: int
    size: int
    kind: int
    hidden: bool  # an old version, kept for programs that were linked against it


@dataclass(frozen=True)
class Segment:
    """A program header of one of the kinds above."""

    kind: int
    offset: int
    address: int
    file_size: int


class Elf:
    """The dynamic symbols of one file.

    `read`: bytes at an address, before relocation; of from_bytes() and from_memory() only, a
    file is closed by then. `symbols`: name → Symbol, the default version where there are several.
    `imports`: address of a slot of the global offset table → name of the function that the
    loader puts there. Addresses are before relocation: add bias()."""

    def __init__(self, header: bytes, read: Read, table: bytes) -> None:
        self.machine = _machine(header)
        self.segments = list(_segments(header, table))
        self.read = read
        self.symbols: Dict[str, Symbol] = {}
        self.imports: Dict[int, str] = {}
        self._starts: List[int] = []
        self._functions: List[Symbol] = []
        dynamic = self._dynamic()
        if _DT_SYMTAB in dynamic:
            self._load(dynamic)

    # ---- where it is -----------------------------------------------------------------

    def bias(self, start: int, offset: int) -> int:
        """What to add to this file's addresses, when its bytes at `offset` are mapped at
        `start`."""
        for segment in self.segments:
            if segment.kind == PT_LOAD:
                first = segment.offset & -mmap.PAGESIZE
                if first <= offset < segment.offset + max(segment.file_size, 1):
                    return start - offset - (segment.address - segment.offset)
        raise ElfError(f"no segment holds offset {offset:#x}")

    def function_at(self, address: int) -> Optional[Symbol]:
        """The exported function whose code contains the address (before relocation)."""
        index = bisect.bisect_right(self._starts, address) - 1
        # Functions may nest and have aliases; a few steps back find what contains it.
        for symbol in reversed(self._functions[max(index - 4, 0) : index + 1]):
            if symbol.value <= address < symbol.value + max(symbol.size, 1):
                return symbol
        return None

    # ---- reading ---------------------------------------------------------------------

    def _dynamic(self) -> Dict[int, int]:
        values: Dict[int, int] = {}
        for segment in self.segments:
            if segment.kind == PT_DYNAMIC and not values:
                data = self.read(segment.address, segment.file_size & -16)
                for tag, value in struct.iter_unpack("<QQ", data):
                    values[tag] = value  # each tag that we use comes once
        return values

    def _table(self, address: int, size: int) -> bytes:
        if size < 0 or size > _TABLE_MAX:
            raise ElfError(f"table of {size} bytes")
        return self.read(self._unrelocated(address), size)

    def _unrelocated(self, address: int) -> int:
        """The loader writes relocated addresses into a mapped dynamic section."""
        top = max(s.address + s.file_size for s in self.segments if s.kind == PT_LOAD)
        return address - self.relocated_by if address > top else address

    relocated_by = 0

    def _load(self, dynamic: Dict[int, int]) -> None:
        strings = self._table(dynamic[_DT_STRTAB], dynamic.get(_DT_STRSZ, 0))
        count = self._count(dynamic)
        raw = self._table(dynamic[_DT_SYMTAB], count * _SYMBOL.size)
        versions: Tuple[int, ...] = (0,) * count
        if _DT_VERSYM in dynamic:
            data = self._table(dynamic[_DT_VERSYM], 2 * count)
            versions = struct.unpack(f"<{count}H", data)
        names = []
        for version, entry in zip(versions, _SYMBOL.iter_unpack(raw)):
            name_at, info, _, section, value, size = entry
            name = _string(strings, name_at)
            names.append(name)
            if section == 0 or not name:
                continue
            symbol = Symbol(name, value, size, info & 15, bool(version & _VERSYM_HIDDEN))
            if symbol.kind in (STT_FUNC, STT_GNU_IFUNC):
                self._functions.append(symbol)
            if name not in self.symbols or not symbol.hidden:
                self.symbols[name] = symbol
        self._functions.sort(key=lambda s: s.value)
        self._starts = [s.value for s in self._functions]
        self.imports = dict(self._imports(dynamic, names))

    def _imports(self, dynamic: Dict[int, int], names: List[str]) -> Iterator[Tuple[int, str]]:
        for start, size in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
            length = dynamic.get(size, 0) // _RELA.size * _RELA.size
            if start not in dynamic or not length:
                continue
            for offset, info, _ in _RELA.iter_unpack(self._table(dynamic[start], length)):
                if info & 0xFFFFFFFF in (_R_GLOB_DAT, _R_JUMP_SLOT):
                    index = info >> 32
                    if index < len(names):
                        yield offset, names[index]

    def _count(self, dynamic: Dict[int, int]) -> int:
        """How many symbols there are: said by the hash tables only."""
        if _DT_HASH in dynamic:
            return int(struct.unpack("<II", self._table(dynamic[_DT_HASH], 8))[1])
        if _DT_GNU_HASH not in dynamic:
            raise ElfError("no hash table")
        address = dynamic[_DT_GNU_HASH]
        buckets, first, bloom, _ = struct.unpack("<IIII", self._table(address, 16))
        address += 16 + 8 * bloom
        data = self._table(address, 4 * buckets)
        last = max(struct.unpack(f"<{buckets}I", data), default=0)
        if last < first:
            return int(first)
        chain = address + 4 * buckets + 4 * (last - first)
        for count in range(last + 1, last + 1_000_000):
            if struct.unpack("<I", self._table(chain, 4))[0] & 1:
                return count
            chain += 4
        raise ElfError("hash chain without end")


def from_bytes(data: "mmap.mmap | bytes") -> Elf:
    """An ELF file, whole. Raises ElfError."""
    header = data[:64]
    table = _program_headers(header, lambda offset, size: data[offset : offset + size])
    segments = list(_segments(header, table))
    if any(s.offset + s.file_size > len(data) for s in segments):
        raise ElfError("it ends early")

    def read(address: int, size: int) -> bytes:
        for segment in segments:
            if segment.kind != PT_LOAD:
                continue
            if segment.address <= address < segment.address + segment.file_size:
                offset = address - segment.address + segment.offset
                found = data[offset : offset + size]
                if len(found) == size:
                    return found
        raise ElfError(f"no {size} bytes at {address:#x}")

    return Elf(header, read, table)


def from_file(path: str) -> Elf:
    """An ELF file by its path. Raises ElfError, OSError."""
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # an empty file
            raise ElfError(str(error)) from None
    with data:
        return from_bytes(data)


def from_memory(start: int, read_memory: Read) -> Elf:
    """A file that is mapped in a process from its first byte on, at `start`. Raises ElfError
    and what `read_memory` raises."""
    header = read_memory(start, 64)
    table = _program_headers(header, lambda offset, size: read_memory(start + offset, size))
    loads = [s for s in _segments(header, table) if s.kind == PT_LOAD]
    if not loads:
        raise ElfError("nothing to load")
    bias = start - (loads[0].address - loads[0].offset)

    class MappedElf(Elf):
        relocated_by = bias

    return MappedElf(header, lambda address, size: read_memory(bias + address, size), table)


def _machine(header: bytes) -> int:
    if len(header) < 64 or header[:4] != b"\x7fELF":
        raise ElfError("no ELF file")
    if header[4] != 2 or header[5] != 1:
        raise ElfError("not 64 bit, little endian")
    return int(struct.unpack_from("<H", header, 18)[0])


def _program_headers(header: bytes, read: Callable[[int, int], bytes]) -> bytes:
    _machine(header)
    offset, size, count = struct.unpack_from("<Q14xHH", header, 32)
    if size != _PROGRAM_HEADER.size:
        raise ElfError(f"program headers of {size} bytes")
    table = read(offset, size * count)
    if len(table) != size * count:
        raise ElfError("cut in its program headers")
    return table


def _segments(header: bytes, table: bytes) -> Iterator[Segment]:
    for kind, _, offset, address, _, size, _, _ in _PROGRAM_HEADER.iter_unpack(table):
        if kind in (PT_LOAD, PT_DYNAMIC, PT_GNU_EH_FRAME):
            yield Segment(kind, offset, address, size)


def _string(strings: bytes, start: int) -> str:
    end = strings.find(b"\0", start)
    if end < 0:
        raise ElfError("string without end")
    return strings[start:end].decode("utf-8", "backslashreplace")
