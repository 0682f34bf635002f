"""Threads, frames and objects of an interpreter, read from its memory.

Works on a stripped interpreter, live or in a core: where things are comes from the layout
that the helper's compiler worked out (helper/layout.c). No code of the process runs and
nothing in it changes. The memory is not trusted: a process may be stopped anywhere, a core
may be damaged. Every count is checked, every chain is bounded, and what can't be right
raises Unreadable.

Exact builtins become the same values of gdb's own Python; anything else becomes a Proxy,
whose attributes are looked up in memory. No gdb: memory comes as an object with read().

Versions: CPython 3.8 to 3.15; each branch names the version that it is for."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Protocol, Set, Tuple

from .abi import Layout
from .errors import MemtraceError

# Bounds on what is believed.
MAX_ITEMS = 1 << 32  # of any container
MAX_DIGITS = 1 << 16  # of an int
MAX_TEXT = 1 << 24  # bytes of a str or bytes that are fetched
MAX_FRAMES = 2_000_000
MAX_THREADS = 20_000
MAX_DEPTH = 50  # of nested containers that are converted at once
EAGER_ITEMS = 100_000  # objects converted at once; bigger containers are read as they are used

# PyTypeObject.tp_flags
HEAPTYPE = 1 << 9
LONG, LIST, TUPLE, BYTES, STR, DICT, TYPE = (1 << bit for bit in (24, 25, 26, 27, 28, 29, 31))
MANAGED_DICT = 1 << 4  # 3.11+
INLINE_VALUES = 1 << 2  # 3.13+

# Kinds of variables in co_localspluskinds (3.11+).
FAST_CELL, FAST_FREE = 0x40, 0x80

# co_flags
OPTIMIZED = 0x01

# Frames that are no Python frame: the C stack's own (3.12+).
OWNED_BY_CSTACK = 3

# PyMemberDef.type of a slot, Py_T_OBJECT_EX and T_OBJECT.
MEMBER_OBJECT_EX, MEMBER_OBJECT = 16, 6


class Unreadable(MemtraceError):
    """Memory that cannot be read, or holds what cannot be."""


class Memory(Protocol):
    """Where bytes come from."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`. Raises Unreadable or another MemtraceError."""


@dataclass(frozen=True)
class Thread:
    """A thread of an interpreter."""

    address: int  # PyThreadState *
    native_id: int  # kernel's thread id; 0 before 3.11
    thread_id: int  # pthread_t


@dataclass(frozen=True)
class Frame:
    """A Python frame."""

    address: int
    code: int
    function: str
    file: str
    line: int  # 0 where unknown
    optimized: bool  # a function: variables in slots, not in a namespace


class _Code:
    """What a frame needs of its code object."""

    def __init__(
        self, function: str, file: str, optimized: bool, first_line: int, table: bytes
    ) -> None:
        self.function = function
        self.file = file
        self.optimized = optimized
        self._first_line = first_line
        self._table = table
        self._lines: Dict[int, int] = {}  # by offset

    def line(self, version: int, offset: int) -> int:
        """The line of an instruction, 0 if it has none."""
        if offset not in self._lines:
            if version >= 0x30B:
                find = location_line
            else:
                find = line_table_line if version == 0x30A else lnotab_line
            self._lines[offset] = find(self._table, self._first_line, offset)
        return self._lines[offset]


class Objects:
    """Reader of one interpreter's objects. Keeps what it has read: make a new one at each
    stop."""

    def __init__(self, memory: Memory, layout: Layout, python_hex: int) -> None:
        self.memory = memory
        self.layout = layout
        self.version = python_hex >> 16
        self.head = layout.var_size  # size of PyObject
        self._types: Dict[int, Tuple[str, int]] = {}
        self._proxies: Dict[int, Proxy] = {}
        self._codes: Dict[int, Optional[_Code]] = {}

    # ---- plain memory --------------------------------------------------------------------

    def bytes_at(self, address: int, size: int) -> bytes:
        if address < 4096 or not 0 <= size <= MAX_TEXT:
            raise Unreadable(f"no object can be at {address:#x}")
        return self.memory.read(address, size)

    def unpack(self, form: str, address: int) -> Tuple[Any, ...]:
        return struct.unpack("<" + form, self.bytes_at(address, struct.calcsize("<" + form)))

    def word(self, address: int) -> int:
        return int(self.unpack("Q", address)[0])

    def signed(self, address: int) -> int:
        return int(self.unpack("q", address)[0])

    def int32(self, address: int) -> int:
        return int(self.unpack("i", address)[0])

    def count(self, address: int, limit: int = MAX_ITEMS) -> int:
        """A length: checked."""
        number = self.signed(address)
        if not 0 <= number <= limit:
            raise Unreadable(f"a length of {number} at {address:#x} can't be right")
        return number

    def c_string(self, address: int, limit: int = 512) -> str:
        """A NUL terminated text, read in pieces that don't cross a page."""
        found = b""
        while len(found) < limit:
            piece = self.bytes_at(address, min(64, 4096 - address % 4096))
            if b"\0" in piece:
                return (found + piece.split(b"\0", 1)[0]).decode("utf-8", "backslashreplace")
            found += piece
            address += len(piece)
        raise Unreadable("a name without an end")

    # ---- types ---------------------------------------------------------------------------

    def type_of(self, address: int) -> int:
        return self.word(address + self.layout.object_type)

    def type_info(self, type_address: int) -> Tuple[str, int]:
        """Name and flags of a type."""
        if type_address not in self._types:
            flags = self.word(type_address + self.layout.type_flags)
            name = self.c_string(self.word(type_address + self.layout.type_name))
            self._types[type_address] = name, flags
        return self._types[type_address]

    def type_name(self, address: int) -> str:
        """Name of the type of an object."""
        return self.type_info(self.type_of(address))[0]

    def exact(self, address: int) -> str:
        """Name of an object's type when that is a builtin one, else ""."""
        name, flags = self.type_info(self.type_of(address))
        static = not flags & HEAPTYPE
        return name if static or name == "collections.deque" else ""

    def mro(self, type_address: int) -> Iterator[int]:
        """The types in which an attribute is looked for, in order."""
        tuple_address = self.word(type_address + self.layout.type_mro)
        if tuple_address:
            yield from self.tuple_items(tuple_address)

    # ---- builtin values ------------------------------------------------------------------

    def value(self, address: int) -> Any:
        """The object as a Python value, or a Proxy. 0 raises."""
        return _Conversion(self).convert(address)

    def proxy(self, address: int) -> "Proxy":
        """The one Proxy of this address: `is` works between them."""
        if address not in self._proxies:
            self._proxies[address] = Proxy(self, address)
        return self._proxies[address]

    def integer(self, address: int) -> int:
        layout = self.layout
        if layout.long_tag >= 0:  # 3.12+: low bits are the sign (2: negative, 1: zero)
            tag = self.word(address + layout.long_tag)
            size, negative = tag >> 3, tag & 3 == 2
        else:
            signed = self.signed(address + layout.var_size)
            size, negative = abs(signed), signed < 0
        if size > MAX_DIGITS:
            raise Unreadable(f"an int of {size} digits at {address:#x} is beyond the limit")
        total = 0
        digits = self.unpack(f"{size}I", address + layout.long_digits) if size else ()
        for shift, digit in enumerate(digits):
            total |= digit << (30 * shift)
        return -total if negative else total

    def text(self, address: int) -> str:
        """A str. Legacy strings (before 3.12) are read too."""
        layout = self.layout
        length = self.count(address + layout.unicode_length)
        (state,) = self.unpack("I", address + layout.unicode_state)
        shift = layout.unicode_kind_shift
        kind, compact, ascii_ = state >> shift & 7, state >> shift + 3 & 1, state >> shift + 4 & 1
        codec = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}.get(kind)
        if codec is None:
            raise Unreadable(f"no str at {address:#x}")
        if compact:
            data = address + (layout.unicode_ascii_data if ascii_ else layout.unicode_compact_data)
        else:
            data = self.word(address + layout.unicode_compact_data)
        if length * kind > MAX_TEXT:
            raise Unreadable(f"a str of {length} characters at {address:#x} is beyond the limit")
        try:
            return self.bytes_at(data, length * kind).decode(codec, "surrogatepass")
        except UnicodeDecodeError:
            raise Unreadable(f"no str at {address:#x}") from None

    def byte_string(self, address: int) -> bytes:
        size = self.count(address + self.layout.var_size)
        return self.bytes_at(address + self.layout.bytes_data, size)

    def byte_array(self, address: int) -> bytearray:
        size = self.count(address + self.layout.var_size)
        start = self.word(address + self.layout.bytearray_start)
        return bytearray(self.bytes_at(start, size) if size else b"")

    def length(self, address: int, flavour: str) -> int:
        """Items of a builtin container."""
        if flavour == "dict":
            return self.count(address + self.layout.dict_used)
        if flavour in ("set", "frozenset"):
            return self.count(address + self.layout.set_used)
        return self.count(address + self.layout.var_size)

    def pointers(self, address: int, count: int) -> Iterator[int]:
        """An array of object pointers, fetched in pieces."""
        while count > 0:
            piece = min(count, 8192)
            yield from self.unpack(f"{piece}Q", address)
            address += 8 * piece
            count -= piece

    def tuple_items(self, address: int) -> Iterator[int]:
        return self.pointers(address + self.layout.tuple_items, self.length(address, "tuple"))

    def items(self, address: int, flavour: str) -> Iterator[int]:
        """Addresses of the items of a tuple, list, deque or set."""
        if flavour == "tuple":
            return self.tuple_items(address)
        if flavour == "list":
            size = self.length(address, flavour)
            return self.pointers(self.word(address + self.layout.list_items), size)
        if flavour == "collections.deque":
            return self._deque_items(address)
        return self._set_items(address)

    def item_at(self, address: int, flavour: str, index: int) -> int:
        """One item of a tuple or list."""
        array = address + self.layout.tuple_items
        if flavour == "list":
            array = self.word(address + self.layout.list_items)
        return self.word(array + 8 * index)

    def _deque_items(self, address: int) -> Iterator[int]:
        """A deque is a chain of blocks: a link, 64 items, a link (unchanged from 3.5 to 3.15)."""
        left = self.length(address, "collections.deque")
        block, _right, index = self.unpack("QQq", address + self.head + 8)
        while left > 0:
            if not 0 <= index < 64:
                raise Unreadable(f"no deque at {address:#x}")
            piece = min(left, 64 - index)
            yield from self.pointers(block + 8 + 8 * index, piece)
            left -= piece
            index = 0
            block = self.word(block + 8 + 8 * 64)

    def _set_items(self, address: int) -> Iterator[int]:
        """Entries are a key and its hash. Unused ones have no key; a removed one has -1 for a
        hash, which no key has."""
        size = self.count(address + self.layout.set_mask) + 1
        table = self.word(address + self.layout.set_table)
        while size > 0:
            piece = min(size, 4096)
            words = self.unpack("Qq" * piece, table)
            for key, hash_ in zip(words[::2], words[1::2]):
                if key and hash_ != -1:
                    yield key
            table += 16 * piece
            size -= piece

    def dict_items(self, address: int) -> Iterator[Tuple[int, int]]:
        """Addresses of keys and values of a dict."""
        keys = self.word(address + self.layout.dict_keys)
        values = self.word(address + self.layout.dict_values)
        return self._entries(keys, values + self.layout.values_items if values else 0)

    def _entries(self, keys: int, values: int) -> Iterator[Tuple[int, int]]:
        """Entries of a keys object; with `values` (an array) those of a split dict."""
        layout = self.layout
        if layout.keys_kind >= 0:  # 3.11+: the size as a logarithm, a kind, small entries
            log2_size, log2_bytes = self.unpack("BB", keys + layout.keys_log2_size)
            small = self.unpack("B", keys + layout.keys_kind)[0] != 0
            if log2_size > 40 or log2_bytes > 44:
                raise Unreadable(f"no dict keys at {keys:#x}")
            size, index_bytes = 1 << log2_size, 1 << log2_bytes
        else:
            size, small = self.count(keys + layout.keys_size), False
            width = 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4 if size <= 0xFFFFFFFF else 8
            index_bytes = size * width
        used = self.count(keys + layout.keys_nentries, size)
        entry = keys + layout.keys_indices + index_bytes
        form, step = ("QQ", 2) if small else ("qQQ", 3)
        done = 0
        while done < used:
            piece = min(used - done, 4096)
            words = self.unpack(form * piece, entry)
            held = words[step - 1 :: step]
            if values:
                held = self.unpack(f"{piece}Q", values + 8 * done)
            for key, value in zip(words[step - 2 :: step], held):
                if key and value:
                    yield key, value
            entry += 8 * step * piece
            done += piece

    # ---- attributes ----------------------------------------------------------------------

    def namespace(self, address: int) -> Iterator[Tuple[int, int]]:
        """Keys and values of an object's own __dict__, as far as it has one."""
        layout = self.layout
        type_address = self.type_of(address)
        name, flags = self.type_info(type_address)
        if flags & TYPE:  # an instance of type: a class
            own = self.word(address + layout.type_dict)
            return self.dict_items(own) if own else iter(())
        if name == "module":
            return self.dict_items(self.word(address + layout.module_dict))
        if self.version >= 0x30B and flags & MANAGED_DICT:
            return self._managed_namespace(address, type_address, flags)
        offset = self.signed(type_address + layout.type_dictoffset)
        if offset == 0:
            return iter(())
        if offset < 0:  # counted from the end of a variable-size object
            base = self.signed(type_address + layout.type_basicsize)
            itemsize = self.signed(type_address + layout.type_basicsize + 8)
            length = abs(self.signed(address + layout.var_size))
            offset += (base + length * itemsize + 7) // 8 * 8
        own = self.word(address + offset)
        return self.dict_items(own) if own else iter(())

    def _managed_namespace(
        self, address: int, type_address: int, flags: int
    ) -> Iterator[Tuple[int, int]]:
        """3.11+: the dict, or the bare values of an instance that has none yet, lie before
        the object (3.13: the values inside it)."""
        layout = self.layout
        own = self.word(address + layout.managed_dict_offset)
        values = 0
        if layout.managed_values_offset:  # 3.11
            values = self.word(address + layout.managed_values_offset)
        elif self.version == 0x30C:
            if own & 1:  # values: stored as their address less one
                own, values = 0, own + 1
        elif not own and flags & INLINE_VALUES:  # 3.13+
            values = address + self.signed(type_address + layout.type_basicsize)
            if not self.unpack("B", values + 3)[0]:  # `valid`
                values = 0
        if own:
            return self.dict_items(own)
        keys = self.word(type_address + layout.heap_type_cached_keys)
        if not values or not keys:
            return iter(())
        return self._entries(keys, values + layout.values_items)

    def find(self, entries: Iterator[Tuple[int, int]], name: str) -> int:
        """The value under a str key, 0 if there is none."""
        for key, value in entries:
            if self.type_info(self.type_of(key))[1] & STR and self.text(key) == name:
                return value
        return 0

    def class_attribute(self, type_address: int, name: str) -> int:
        """What the classes of the MRO hold under `name`, 0 if nothing."""
        for cls in self.mro(type_address):
            found = self.find(self.namespace(cls), name)
            if found:
                return found
        return 0

    def attribute(self, address: int, name: str) -> int:
        """Address of the value of `object.name`, found without running code; 0 if there is no
        such attribute. Raises MemtraceError where only running code could tell."""
        type_address = self.type_of(address)
        found = self.class_attribute(type_address, name)
        if found and self.type_name(found) == "member_descriptor":
            return self._member(address, found, name)
        if found and self.type_name(found) in ("property", "getset_descriptor"):
            raise MemtraceError(f"{name} is a property: reading it would run code of the process")
        is_class = self.type_info(type_address)[1] & TYPE
        own = self.class_attribute(address, name) if is_class else 0
        return own or self.find(self.namespace(address), name) or found

    def _member(self, address: int, descriptor: int, name: str) -> int:
        """A slot (__slots__)."""
        member = self.word(descriptor + self.layout.member_descr_member)
        _name, kind, offset = self.unpack("Qi4xq", member)
        if kind not in (MEMBER_OBJECT_EX, MEMBER_OBJECT) or not 0 < offset < 1 << 20:
            raise MemtraceError(f"{name} is not stored as an object")
        return self.word(address + offset)

    # ---- threads and frames --------------------------------------------------------------

    def threads(self, runtime: int) -> Iterator[Thread]:
        """All threads of all interpreters, from the address of _PyRuntime."""
        interpreter = self.word(runtime + self.layout.runtime_interpreters_head)
        for _ in range(1000):
            if not interpreter:
                return
            yield from self.threads_of(interpreter)
            interpreter = self.word(interpreter + self.layout.interp_next)

    def gil_holder(self, runtime: int) -> Optional[Thread]:
        """The thread that holds the main interpreter's global lock, None if it is free (or the
        interpreter is built without)."""
        layout = self.layout
        if layout.runtime_gil >= 0:
            gil = runtime + layout.runtime_gil
        else:
            interpreter = self.word(runtime + layout.runtime_main_interpreter)
            gil = self.word(interpreter + layout.interp_gil)
        if self.int32(gil + layout.gil_locked) != 1:
            return None
        holder = self.word(gil + layout.gil_last_holder)
        return self.thread(holder) if holder else None

    def thread(self, tstate: int) -> Thread:
        """The thread of a PyThreadState."""
        native = self.layout.tstate_native_id
        return Thread(
            tstate,
            self.word(tstate + native) if native >= 0 else 0,
            self.word(tstate + self.layout.tstate_thread_id),
        )

    def threads_of(self, interpreter: int) -> Iterator[Thread]:
        """All threads of one PyInterpreterState."""
        layout = self.layout
        tstate = self.word(interpreter + layout.interp_threads_head)
        for _ in range(MAX_THREADS):
            if not tstate:
                return
            yield self.thread(tstate)
            tstate = self.word(tstate + layout.tstate_next)

    def frames(self, tstate: int) -> Iterator[Frame]:
        """The Python frames of a thread, innermost first. Each is read when it is asked for:
        there may be many thousands."""
        layout = self.layout
        address = self.word(tstate + layout.tstate_frame)
        if layout.cframe_current_frame >= 0:  # 3.11, 3.12
            address = self.word(address + layout.cframe_current_frame)
        seen: Set[int] = set()
        while address and len(seen) < MAX_FRAMES:
            if address in seen:
                raise Unreadable("the chain of frames is a circle")
            seen.add(address)
            head = self.bytes_at(address, layout.frame_localsplus)
            frame = self._frame(address, head)
            if frame is not None:
                yield frame
            (address,) = struct.unpack_from("<Q", head, layout.frame_back)

    def frame(self, address: int) -> Frame:
        """The Python frame at an address."""
        frame = self._frame(address, self.bytes_at(address, self.layout.frame_localsplus))
        if frame is None:
            raise Unreadable(f"no frame at {address:#x}")
        return frame

    def _frame(self, address: int, head: bytes) -> Optional[Frame]:
        """A frame from its fields. None: it stands for C (3.12+), or has not begun (3.11+)."""
        layout = self.layout
        if layout.frame_owner >= 0 and head[layout.frame_owner] >= OWNED_BY_CSTACK:
            return None
        (code_address,) = struct.unpack_from("<Q", head, layout.frame_code)
        if self.version >= 0x30E:
            code_address &= ~3  # 3.14: tagged
        code = self._code(code_address)
        if code is None:
            if layout.frame_owner >= 0:
                return None
            raise Unreadable(f"no frame at {address:#x}")
        offset = self._offset(head, code_address)
        if layout.frame_owner >= 0 and offset < 0:
            return None
        line = code.line(self.version, offset)
        return Frame(address, code_address, code.function, code.file, line, code.optimized)

    def _offset(self, head: bytes, code: int) -> int:
        """Bytes from the beginning of the bytecode to the frame's instruction."""
        layout = self.layout
        if layout.frame_owner >= 0:  # 3.11+: a pointer
            (instruction,) = struct.unpack_from("<Q", head, layout.frame_instruction)
            return int(instruction) - code - int(layout.code_bytes)
        (offset,) = struct.unpack_from("<i", head, layout.frame_instruction)
        return int(offset) * 2 if self.version == 0x30A else int(offset)  # 3.10 counts units

    def _code(self, address: int) -> Optional[_Code]:
        """What a code object says; None: there is none. Read once: a recursion's frames have
        the same."""
        if address not in self._codes:
            self._codes[address] = self._read_code(address)
        return self._codes[address]

    def _read_code(self, address: int) -> Optional[_Code]:
        if self.type_name(address) != "code":
            return None
        layout = self.layout
        name = layout.code_qualname if layout.code_qualname >= 0 else layout.code_name
        return _Code(
            self.text(self.word(address + name)),
            self.text(self.word(address + layout.code_filename)),
            bool(self.int32(address + layout.code_flags) & OPTIMIZED),
            self.int32(address + layout.code_first_line),
            self.byte_string(self.word(address + layout.code_lines)),
        )

    def variables(self, frame: Frame) -> Iterator[Tuple[str, int]]:
        """Names of a frame's variables and addresses of their values; unbound ones are left
        out. In a module or class body: its namespace."""
        if not frame.optimized:
            namespace = self.word(frame.address + self.layout.frame_locals)
            if namespace and self.type_info(self.type_of(namespace))[1] & DICT:
                for key, value in self.dict_items(namespace):
                    if self.type_info(self.type_of(key))[1] & STR:
                        yield self.text(key), value
        names = self._variable_names(frame.code)
        slots = self.pointers(frame.address + self.layout.frame_localsplus, len(names))
        for (name, may_be_cell), value in zip(names, slots):
            if self.version >= 0x30E:
                value &= ~3  # 3.14: tagged references
            if value and may_be_cell and self.type_name(value) == "cell":
                value = self.word(value + self.layout.cell_contents)
            if value and not name.startswith("."):
                yield name, value

    def _variable_names(self, code: int) -> List[Tuple[str, bool]]:
        """Name of each slot of a frame, and whether a cell may stand in it."""
        layout = self.layout
        if layout.code_localsplus_names >= 0:  # 3.11+
            names = self._texts(self.word(code + layout.code_localsplus_names))
            kinds = self.byte_string(self.word(code + layout.code_localsplus_kinds))
            cell = FAST_CELL | FAST_FREE
            return [(name, bool(kind & cell)) for name, kind in zip(names, kinds)]
        locals_ = self._texts(self.word(code + layout.code_varnames))
        cells = self._texts(self.word(code + layout.code_cellvars))
        cells += self._texts(self.word(code + layout.code_freevars))
        return [(name, False) for name in locals_] + [(name, True) for name in cells]

    def _texts(self, tuple_address: int) -> List[str]:
        if self.length(tuple_address, "tuple") > 100_000:
            raise Unreadable("too many names in a code object")
        return [self.text(item) for item in self.tuple_items(tuple_address)]

    def globals(self, frame: Frame) -> Iterator[Tuple[int, int]]:
        """Keys and values of the frame's globals."""
        return self.dict_items(self.word(frame.address + self.layout.frame_globals))


class _Conversion:
    """One conversion of an object and what it contains: bounded, and safe with cycles."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.left = EAGER_ITEMS
        self.open: Set[int] = set()

    def convert(self, address: int) -> Any:
        objects = self.objects
        name = objects.exact(address)
        simple = _SIMPLE.get(name)
        if simple is not None:
            return simple(objects, address)
        if name in _CONTAINERS:
            return self._container(address, name)
        if name in ("range", "slice"):
            parts = [self.convert(part) for part in objects.pointers(address + objects.head, 3)]
            try:
                return range(*parts) if name == "range" else slice(*parts)
            except (TypeError, ValueError) as error:
                raise Unreadable(f"the range at {address:#x}: {error}") from None
        return objects.proxy(address)

    def _container(self, address: int, name: str) -> Any:
        objects = self.objects
        size = objects.length(address, name)
        if address in self.open or size > self.left or len(self.open) >= MAX_DEPTH:
            return objects.proxy(address)
        self.left -= size
        self.open.add(address)
        try:
            if name == "dict":
                pairs = objects.dict_items(address)
                return {self.convert(key): self.convert(value) for key, value in pairs}
            items = [self.convert(item) for item in objects.items(address, name) if item]
            return _CONTAINERS[name](items)
        except TypeError as error:  # a key that is no key here
            raise Unreadable(f"the {name} at {address:#x}: {error}") from None
        finally:
            self.open.discard(address)


def _complex(objects: Objects, address: int) -> complex:
    return complex(*objects.unpack("dd", address + objects.layout.complex_value))


def _float(objects: Objects, address: int) -> float:
    return float(objects.unpack("d", address + objects.layout.float_value)[0])


_SIMPLE = {
    "NoneType": lambda objects, address: None,
    "ellipsis": lambda objects, address: Ellipsis,
    "bool": lambda objects, address: bool(objects.integer(address)),
    "int": Objects.integer,
    "float": _float,
    "complex": _complex,
    "str": Objects.text,
    "bytes": Objects.byte_string,
    "bytearray": Objects.byte_array,
}


def _deque(items: List[Any]) -> Any:
    from collections import deque

    return deque(items)


_CONTAINERS: Dict[str, Callable[[List[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "collections.deque": _deque,
    "dict": dict,
}

# A container that a Proxy can look into, by the flag of its type.
_SUBCLASS_OF = ((DICT, "dict"), (LIST, "list"), (TUPLE, "tuple"))
_SCALAR_SUBCLASS_OF = ((LONG, "int"), (STR, "str"), (BYTES, "bytes"))


class Proxy:
    """An object of the process that is no exact builtin, or a builtin container too big to be
    converted whole. Attributes and items are read from memory when asked for; whatever would
    run its code raises MemtraceError. Equal only to itself."""

    # Long names: those of the object's own attributes are free.
    __slots__ = ("_memtrace_objects", "_memtrace_address")

    _memtrace_objects: Objects
    _memtrace_address: int

    def __init__(self, objects: Objects, address: int) -> None:
        object.__setattr__(self, "_memtrace_objects", objects)
        object.__setattr__(self, "_memtrace_address", address)

    def __getattr__(self, name: str) -> Any:
        objects, address = self._memtrace_objects, self._memtrace_address
        special = self._special(name)
        if special is not None:
            return special
        found = objects.attribute(address, name)
        if found:
            return objects.value(found)
        raise AttributeError(f"{self!r} has no attribute {name!r}")

    def _special(self, name: str) -> Any:
        """What CPython keeps in the object's own structure."""
        objects, address = self._memtrace_objects, self._memtrace_address
        type_name, flags = objects.type_info(objects.type_of(address))
        if name == "__dict__":
            return {objects.value(k): objects.value(v) for k, v in objects.namespace(address)}
        if name not in ("__name__", "__qualname__"):
            return None
        if flags & TYPE:
            return objects.type_info(address)[0].rpartition(".")[2]
        if type_name == "function":
            whole = objects.text(objects.word(address + objects.layout.function_qualname))
            return whole if name == "__qualname__" else whole.rpartition(".")[2]
        return None

    def __setattr__(self, name: str, value: Any) -> None:
        raise MemtraceError("memtrace print changes nothing in the process")

    def __dir__(self) -> List[str]:
        objects = self._memtrace_objects
        return [
            objects.text(key)
            for key, _ in objects.namespace(self._memtrace_address)
            if objects.type_info(objects.type_of(key))[1] & STR
        ]

    def __repr__(self) -> str:
        try:
            return self._describe()
        except MemtraceError as error:
            return f"<unreadable at {self._memtrace_address:#x}: {error.message}>"

    def _describe(self) -> str:
        objects, address = self._memtrace_objects, self._memtrace_address
        name, flags = objects.type_info(objects.type_of(address))
        if flags & TYPE:
            return f"<type {objects.type_info(address)[0]} at {address:#x}>"
        if name == "function":
            own = objects.text(objects.word(address + objects.layout.function_qualname))
            return f"<function {own} at {address:#x}>"
        if name == "module":
            own_name = objects.find(objects.namespace(address), "__name__")
            return f"<module {objects.text(own_name)} at {address:#x}>" if own_name else "<module>"
        flavour = self._flavour()
        if flavour:
            return f"<{name} of {objects.length(address, flavour)} items at {address:#x}>"
        for flag, scalar in _SCALAR_SUBCLASS_OF:
            if flags & flag:
                return f"<{name} {_SIMPLE[scalar](objects, address)!r} at {address:#x}>"
        return f"<{name} at {address:#x}>"

    def _flavour(self) -> str:
        """The builtin container that this is, or is a subclass of; "" if none."""
        objects, address = self._memtrace_objects, self._memtrace_address
        exact: str = objects.exact(address)
        if exact in _CONTAINERS:
            return exact
        flags = objects.type_info(objects.type_of(address))[1]
        return next((name for flag, name in _SUBCLASS_OF if flags & flag), "")

    def _container(self, method: str) -> str:
        """_flavour(), or an error where `method` is the program's own code."""
        objects, address = self._memtrace_objects, self._memtrace_address
        flavour = self._flavour()
        own = objects.class_attribute(objects.type_of(address), method)
        if own and objects.type_name(own) == "function":
            raise MemtraceError(f"{method} of {self!r} is code of the process, which does not run")
        if not flavour:
            raise TypeError(f"{self!r} has no {method}")
        return flavour

    def __len__(self) -> int:
        flavour = self._container("__len__")
        return self._memtrace_objects.length(self._memtrace_address, flavour)

    def __bool__(self) -> bool:
        objects, address = self._memtrace_objects, self._memtrace_address
        own = objects.class_attribute(objects.type_of(address), "__bool__")
        if own and objects.type_name(own) == "function":
            raise MemtraceError(
                f"__bool__ of {self!r} is code of the process, which does not run",
                "compare with `is None`, or look at an attribute",
            )
        has_length = objects.class_attribute(objects.type_of(address), "__len__")
        return len(self) != 0 if self._flavour() or has_length else True

    def __getitem__(self, key: Any) -> Any:
        objects, address = self._memtrace_objects, self._memtrace_address
        flavour = self._container("__getitem__")
        if flavour == "dict":
            for found, value in objects.dict_items(address):
                if objects.value(found) == key:
                    return objects.value(value)
            raise KeyError(key)
        if flavour in ("list", "tuple") and isinstance(key, int):
            size = objects.length(address, flavour)
            if not -size <= key < size:
                raise IndexError(f"{key}, of {size} items")
            return objects.value(objects.item_at(address, flavour, key % size))
        return list(self)[key]

    def __iter__(self) -> Iterator[Any]:
        objects, address = self._memtrace_objects, self._memtrace_address
        flavour = self._container("__iter__")
        if flavour == "dict":
            return (objects.value(key) for key, _ in objects.dict_items(address))
        return (objects.value(item) for item in objects.items(address, flavour) if item)

    def __contains__(self, wanted: Any) -> bool:
        self._container("__contains__")
        return any(item == wanted for item in self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise MemtraceError(f"{self!r} can't be called: no code of the process runs")

    def __eq__(self, other: object) -> bool:
        return type(other) is Proxy and self._memtrace_address == other._memtrace_address

    def __hash__(self) -> int:
        return hash(self._memtrace_address)


# ---- line tables -----------------------------------------------------------------------------


def location_line(table: bytes, first_line: int, offset: int) -> int:
    """3.11+, co_linetable: the line of the instruction at `offset` bytes, 0 if it has none.
    Each entry covers some code units: a byte with its form and length, then numbers in pieces
    of six bits (Objects/locations.md in CPython's source)."""
    at, line, start = 0, first_line, 0
    while at < len(table):
        head = table[at]
        form, length = head >> 3 & 15, (head & 7) + 1
        at += 1
        if form in (13, 14):  # a signed step follows
            step, shift = 0, 0
            while at < len(table):
                step |= (table[at] & 63) << shift
                shift += 6
                at += 1
                if not table[at - 1] & 64:
                    break
            line += -(step >> 1) if step & 1 else step >> 1
        elif 10 <= form <= 12:
            line += form - 10
        start += 2 * length
        if offset < start:
            return 0 if form == 15 else line
        while at < len(table) and not table[at] & 128:  # columns
            at += 1
    return 0


def line_table_line(table: bytes, first_line: int, offset: int) -> int:
    """3.10, co_linetable: pairs of a length in bytes and a signed step of the line before
    it, -128 for code without a line (PEP 626)."""
    line, start = first_line, 0
    for length, step in zip(table[::2], table[1::2]):
        signed = step - 256 if step > 127 else step
        if signed != -128:
            line += signed
        start += length
        if offset < start:
            return 0 if signed == -128 else line
    return 0


def lnotab_line(table: bytes, first_line: int, offset: int) -> int:
    """Before 3.10, co_lnotab: pairs of a step of the address and a signed step of the line."""
    line, address = first_line, 0
    for length, step in zip(table[::2], table[1::2]):
        address += length
        if address > offset:
            break
        line += step - 256 if step > 127 else step
    return line


def find_thread(threads: Iterator[Thread], native_id: int, thread_id: int) -> Optional[Thread]:
    """The thread with the kernel's id, or by its pthread_t where that is all there is: in
    another pid namespace and before 3.11."""
    known = list(threads)
    for thread in known:
        if thread.native_id and thread.native_id == native_id:
            return thread
    return next((thread for thread in known if thread_id and thread.thread_id == thread_id), None)
