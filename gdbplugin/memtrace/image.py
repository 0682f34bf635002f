"""The files that a process has mapped, and the addresses of their symbols in it. No gdb.

A file is read where the process sees it (/proc/PID/root); when it is no longer there (a
deleted or replaced library), its pages in memory are read instead."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from . import elf, procfs
from .safety import is_libc, is_loader

Read = Callable[[int, int], bytes]

_parsed: Dict[Tuple[str, int, int], elf.Elf] = {}  # by device, inode, time of change


@dataclass(frozen=True)
class Image:
    """One mapped ELF file: `elf` and what to add to its addresses."""

    path: str
    name: str
    elf: elf.Elf
    bias: int

    def symbol(self, name: str) -> Optional[int]:
        """The address of a function or object, None if it exports none of that name."""
        symbol = self.elf.symbols.get(name)
        if symbol is None or symbol.kind == elf.STT_GNU_IFUNC:
            return None
        return symbol.value + self.bias

    def function_at(self, address: int) -> str:
        """Name of the exported function that contains the address, or ""."""
        symbol = self.elf.function_at(address - self.bias)
        return symbol.name if symbol else ""

    def import_at(self, slot: int) -> str:
        """Name of the function whose address the loader put into a slot, or ""."""
        return self.elf.imports.get(slot - self.bias, "")


class Images:
    """The mapped files of one process at one moment. `read`: reads its memory."""

    def __init__(self, pid: int, read: Read) -> None:
        self.pid = pid
        self.mappings = procfs.maps(pid)
        self.read = read
        self._images: Dict[str, Optional[Image]] = {}

    def __iter__(self) -> Iterator[Image]:
        """Every mapped ELF file; those that can't be read are left out."""
        for path in dict.fromkeys(m.path for m in self.mappings if m.path.startswith("/")):
            image = self._image(path)
            if image:
                yield image

    def at(self, address: int) -> Optional[Image]:
        """The file that is mapped at an address."""
        mapping = procfs.find(self.mappings, address)
        return self._image(mapping.path) if mapping and mapping.path else None

    def module_at(self, address: int) -> str:
        """Name of the file that is mapped at an address, "" if there is none."""
        mapping = procfs.find(self.mappings, address)
        return mapping.name if mapping else ""

    def named(self, accepts: Callable[[str], bool]) -> List[Image]:
        """Files with executable code whose name is accepted."""
        paths = dict.fromkeys(
            m.path
            for m in self.mappings
            if "x" in m.permissions and m.path.startswith("/") and accepts(m.name)
        )
        return [image for image in map(self._image, paths) if image]

    def libc_symbol(self, name: str) -> Optional[int]:
        """A function of the C library, in whichever of its files this version has it."""
        for image in self.named(is_libc):
            address = image.symbol(name)
            if address is not None:
                return address
        return None

    def has_glibc(self) -> bool:
        """Are glibc and its loader mapped? musl's are one file of another name."""
        return bool(self.libc_symbol("gnu_get_libc_version") and self.named(is_loader))

    def exporting(self, name: str) -> List[Image]:
        """The files that export `name`."""
        return [image for image in self if name in image.elf.symbols]

    def called_name(self, return_address: int) -> str:
        """The function that was called by the instruction before a return address, where the
        call went through the caller's global offset table; "" where it can't be told."""
        caller = self.at(return_address)
        if caller is None:
            return ""
        try:
            slot = self._call_slot(return_address)
        except Exception:  # unreadable code: whoever asks treats it as unknown
            return ""
        return caller.import_at(slot) if slot else ""

    def _call_slot(self, return_address: int) -> int:
        code = self.read(return_address - 6, 6)
        offset = struct.unpack("<i", code[2:])[0]
        if code[:2] == b"\xff\x15":  # call *slot(%rip)
            return int(return_address + offset)
        if code[1] != 0xE8:  # call stub
            return 0
        stub = return_address + offset
        code = self.read(stub, 16)
        at = 4 if code.startswith(b"\xf3\x0f\x1e\xfa") else 0  # endbr64
        at += code[at] == 0xF2  # bnd
        if code[at : at + 2] != b"\xff\x25":  # jmp *slot(%rip)
            return 0
        return int(stub + at + 6 + struct.unpack_from("<i", code, at + 2)[0])

    def _image(self, path: str) -> Optional[Image]:
        if path not in self._images:
            self._images[path] = self._load(path)
        return self._images[path]

    def _load(self, path: str) -> Optional[Image]:
        first = min((m for m in self.mappings if m.path == path), key=lambda m: m.offset)
        try:
            parsed = self._parse(path, first)
            return Image(path, first.name, parsed, parsed.bias(first.start, first.offset))
        except (elf.ElfError, OSError, struct.error, KeyError, ValueError):
            return None  # a data file, or damaged

    def _parse(self, path: str, first: procfs.Mapping) -> elf.Elf:
        file = f"/proc/{self.pid}/root{path}"
        try:
            stat = os.stat(file)
        except OSError:
            stat = None
        if stat is None or stat.st_ino != first.inode:
            return elf.from_memory(first.start, self.read)
        key = (first.device, stat.st_ino, stat.st_mtime_ns)
        if key not in _parsed:
            _parsed[key] = elf.from_file(file)
        return _parsed[key]
