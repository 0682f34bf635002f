"""Events out of a buffer, a core or a recording, by ctypes on libmemtrace-reader.so.

The C library does the reading, checking and filtering (helper/reader.h); this gives its
results as Python values. It imports no gdb. A Reader may be used from several threads:
calls take its lock, but iterate from one thread at a time; for a second one, clone()."""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from . import abi
from .abi import Kind, Scope, Status
from .errors import MemtraceError

LIBRARY = "libmemtrace-reader.so"

_NAME_CALLBACK = ctypes.CFUNCTYPE(None, c_char_p, c_void_p)
_NOTE_CALLBACK = ctypes.CFUNCTYPE(None, c_uint64, c_char_p, c_void_p)


class Event(NamedTuple):
    """One change of one variable, by the field names of the documentation. Values are the
    texts that a person sees; None where the variable was unbound."""

    seq: int
    time_ns: int
    pid: int
    thread: int
    activation: int
    function: str
    file: str
    line: int
    kind: Kind
    scope: Scope
    name: str
    old: Optional[str]
    new: Optional[str]
    old_type: Optional[str]
    new_type: Optional[str]


@dataclass
class Filter:
    """Which events: see struct mt_filter. What is None or empty does not filter. Globs match
    the whole text; a comma separates alternatives."""

    variable: str = ""
    function: str = ""
    file: str = ""
    thread: int = 0
    kinds: Iterable[Kind] = ()
    since_seq: int = 0
    until_seq: int = 0
    since_ns: int = 0
    activation: int = 0
    last: int = 0

    def to_c(self) -> abi.Filter:
        mask = 0
        for kind in self.kinds:
            mask |= 1 << kind
        return abi.Filter(
            variable=_bytes(self.variable),
            function=_bytes(self.function),
            file=_bytes(self.file),
            thread=self.thread,
            kinds=mask,
            since_seq=self.since_seq,
            until_seq=self.until_seq,
            since_ns=self.since_ns,
            activation=self.activation,
            last=self.last,
        )


def library_directories() -> List[Path]:
    """Where the reader and the helpers are looked for: $MEMTRACE_LIB and nowhere else if it is
    set; or the lib of $MEMTRACE_BUILD, the builds of this checkout (newest first), the
    installed tree."""
    if os.environ.get("MEMTRACE_LIB"):
        return [Path(os.environ["MEMTRACE_LIB"])]
    directories = []
    if os.environ.get("MEMTRACE_BUILD"):
        directories.append(Path(os.environ["MEMTRACE_BUILD"]) / "lib")
    plugin = Path(__file__).resolve().parent.parent
    builds = [path for path in plugin.parent.glob("build*/lib") if path.is_dir()]
    directories += sorted(builds, key=lambda path: path.stat().st_mtime, reverse=True)
    directories.append(plugin.parent.parent.parent / "lib" / "memtrace")
    return directories


_library: Optional[ctypes.CDLL] = None


def load_library() -> ctypes.CDLL:
    """libmemtrace-reader.so with its functions declared. Raises MemtraceError."""
    global _library
    if _library is None:
        _library = _declare(ctypes.CDLL(str(_find_library())))
    return _library


def _find_library() -> Path:
    directories = library_directories()
    for directory in directories:
        if (directory / LIBRARY).is_file():
            return directory / LIBRARY
    raise MemtraceError(
        f"{LIBRARY} was not found in " + ", ".join(str(directory) for directory in directories),
        "build memtrace (cmake -B build -S . && cmake --build build), or set MEMTRACE_LIB to "
        "the directory that has it",
    )


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    reader, cursor = c_void_p, c_void_p
    text = c_char_p
    signatures = {
        "mt_reader_open_memory": (c_int, c_void_p, c_uint64, c_int, POINTER(reader), text),
        "mt_reader_open_file": (c_int, text, c_uint64, c_uint64, c_int, POINTER(reader), text),
        "mt_reader_open_core": (c_int, text, POINTER(reader), text),
        "mt_reader_open_directory": (c_int, text, POINTER(reader), text),
        "mt_reader_close": (None, reader),
        "mt_reader_control": (POINTER(abi.Control), reader),
        "mt_reader_query": (c_int, reader, POINTER(abi.Filter), POINTER(cursor)),
        "mt_cursor_next": (c_int, cursor, POINTER(abi.Event)),
        "mt_cursor_close": (None, cursor),
        "mt_reader_value_text": (c_size_t, reader, c_void_p, c_uint32, c_void_p, c_size_t),
        "mt_reader_value_type": (c_char_p, reader, c_void_p, c_uint32),
        "mt_reader_names": (None, reader, c_int, _NAME_CALLBACK, c_void_p),
        "mt_reader_notes": (None, reader, _NOTE_CALLBACK, c_void_p),
        "mt_reader_totals": (None, reader, POINTER(abi.Totals)),
        "mt_reader_save": (c_int, reader, text, text),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


class Reader:
    """An open buffer, core or recording. Close it, or let it go."""

    def __init__(self, opener: Callable[[ctypes.CDLL, c_void_p, bytes], int], name: str) -> None:
        """Use open_file() and its like. `opener` calls one mt_reader_open_* function."""
        self.name = name
        self._opener = opener
        self._library = load_library()
        self._lock = threading.RLock()
        self._handle = c_void_p()
        self._text = ctypes.create_string_buffer(8192)
        error = ctypes.create_string_buffer(abi.DETAIL_BYTES)
        status = opener(self._library, self._handle, error)  # type: ignore[arg-type]
        _check(status, error, name, "cannot be read")

    @classmethod
    def open_file(cls, path: str, offset: int, size: int, live: bool) -> "Reader":
        """A buffer in a file: a memfd by /proc/PID/fd/N. `live`: somebody still writes it."""

        def opener(library: ctypes.CDLL, handle: c_void_p, error: bytes) -> int:
            return library.mt_reader_open_file(  # type: ignore[no-any-return]
                os.fsencode(path), offset, size, int(live), byref(handle), error
            )

        return cls(opener, path)

    @classmethod
    def open_core(cls, path: str) -> "Reader":
        """The buffer in a core file."""

        def opener(library: ctypes.CDLL, handle: c_void_p, error: bytes) -> int:
            return library.mt_reader_open_core(  # type: ignore[no-any-return]
                os.fsencode(path), byref(handle), error
            )

        return cls(opener, path)

    @classmethod
    def open_directory(cls, path: str) -> "Reader":
        """A recording: a directory written by `memtrace save` or `record`."""

        def opener(library: ctypes.CDLL, handle: c_void_p, error: bytes) -> int:
            return library.mt_reader_open_directory(  # type: ignore[no-any-return]
                os.fsencode(path), byref(handle), error
            )

        return cls(opener, path)

    @classmethod
    def open_memory(cls, control: abi.Control) -> "Reader":
        """The live buffer of this very process, by its control block."""

        def opener(library: ctypes.CDLL, handle: c_void_p, error: bytes) -> int:
            return library.mt_reader_open_memory(  # type: ignore[no-any-return]
                ctypes.addressof(control), control.buffer_bytes, 1, byref(handle), error
            )

        return cls(opener, "this process")

    def clone(self) -> "Reader":
        """The same source, opened again, for another thread."""
        return Reader(self._opener, self.name)

    def close(self) -> None:
        with self._lock:
            if self._handle:
                self._library.mt_reader_close(self._handle)
                self._handle = c_void_p()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def _open_handle(self) -> c_void_p:
        if not self._handle:
            raise MemtraceError(f"{self.name} has been closed")
        return self._handle

    @property
    def control(self) -> Optional[abi.Control]:
        """The control block, as it is at each access; None for a recording."""
        with self._lock:
            pointer = self._library.mt_reader_control(self._open_handle())
        return pointer.contents if pointer else None

    def events(self, filter: Optional[Filter] = None) -> Iterator[Event]:
        """Events that match, in order of seq, as of now."""
        cursor = c_void_p()
        wanted = (filter or Filter()).to_c()
        with self._lock:
            status = self._library.mt_reader_query(
                self._open_handle(), byref(wanted), byref(cursor)
            )
        if status != Status.OK:
            raise MemtraceError(f"{self.name} cannot be searched: {_status_name(status)}")
        raw = abi.Event()
        try:
            while True:
                with self._lock:
                    self._open_handle()
                    if not self._library.mt_cursor_next(cursor, byref(raw)):
                        return
                    event = self._event(raw)
                yield event
        finally:
            with self._lock:
                if self._handle:
                    self._library.mt_cursor_close(cursor)

    def _event(self, raw: abi.Event) -> Event:
        old, old_type = self._value(raw.old_bytes, raw.old_size)
        new, new_type = self._value(raw.new_bytes, raw.new_size)
        return Event(
            seq=raw.seq,
            time_ns=raw.time_ns,
            pid=raw.pid,
            thread=raw.thread,
            activation=raw.activation,
            function=_text(raw.function),
            file=_text(raw.file),
            line=raw.line,
            kind=Kind(raw.kind),
            scope=Scope(raw.scope),
            name=_text(raw.name),
            old=old,
            new=new,
            old_type=old_type,
            new_type=new_type,
        )

    def _value(self, address: Optional[int], size: int) -> "tuple[Optional[str], Optional[str]]":
        if not address or not size or ctypes.c_uint8.from_address(address).value == 0:
            return None, None  # MT_TAG_ABSENT
        length = self._library.mt_reader_value_text(
            self._handle, address, size, self._text, len(self._text)
        )
        if length >= len(self._text):
            self._text = ctypes.create_string_buffer(length + 1)
            self._library.mt_reader_value_text(
                self._handle, address, size, self._text, len(self._text)
            )
        kind = self._library.mt_reader_value_type(self._handle, address, size)
        return _text(self._text.value), _text(kind) or None

    def names(self, what: int) -> List[str]:
        """Distinct names that have definitions: abi.NAMES_FUNCTIONS, _FILES or _VARIABLES."""
        found: List[str] = []

        def each(text: bytes, context: object) -> None:
            found.append(_text(text))

        callback = _NAME_CALLBACK(each)
        with self._lock:
            self._library.mt_reader_names(self._open_handle(), what, callback, None)
        return found

    def notes(self) -> List[Tuple[int, str]]:
        """What the recording says about itself: from which event on, and what."""
        found: List[Tuple[int, str]] = []

        def each(seq: int, text: bytes, context: object) -> None:
            found.append((seq, _text(text)))

        callback = _NOTE_CALLBACK(each)
        with self._lock:
            self._library.mt_reader_notes(self._open_handle(), callback, None)
        return found

    def totals(self) -> abi.Totals:
        """Counts over what can be read now."""
        totals = abi.Totals()
        with self._lock:
            self._library.mt_reader_totals(self._open_handle(), byref(totals))
        return totals

    def save(self, directory: str) -> None:
        """Write what can be read now to a new directory, as a CTF trace."""
        error = ctypes.create_string_buffer(abi.DETAIL_BYTES)
        with self._lock:
            status = self._library.mt_reader_save(
                self._open_handle(), os.fsencode(directory), error
            )
        _check(status, error, directory, "cannot be written")


def _check(status: int, error: "ctypes.Array[ctypes.c_char]", name: str, failed: str) -> None:
    """Raise what a function of the library has to say, unless all went well."""
    if status != Status.OK:
        detail = _text(error.value) or _status_name(status)
        raise MemtraceError(detail if name in detail else f"{name} {failed}: {detail}")


def _status_name(status: int) -> str:
    try:
        return Status(status).name.lower().replace("_", " ")
    except ValueError:
        return f"status {status}"


def _bytes(text: str) -> Optional[bytes]:
    return text.encode("utf-8", "surrogateescape") if text else None


def _text(raw: Optional[bytes]) -> str:
    return raw.decode("utf-8", "backslashreplace") if raw else ""
