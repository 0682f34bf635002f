"""The ABI of helper/memtrace.h and helper/reader.h as ctypes: structs, enums, names.

A mirror and nothing else: no gdb, no file access, no policy. tests/plugin/test_abi.py
compiles a C program from the headers and compares every size, offset and number with
what stands here, so a change of a header that is not mirrored fails there.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    c_char,
    c_char_p,
    c_int32,
    c_uint8,
    c_uint32,
    c_uint64,
)
from enum import IntEnum
from typing import Dict

ABI_VERSION = 1
MAGIC = b"MEMTRACE"
MEMFD_NAME = "memtrace"

PACKET_BYTES = 64 * 1024
CONTROL_BYTES = 64 * 1024
REQUEST_BYTES = 32 * 1024
DETAIL_BYTES = 512
TRACER_BYTES = 256
BUFFER_BYTES_MIN = 1024 * 1024
HIT_MAX = 16
VALUE_BYTES_MAX = 512
LEFT_OUT_MAX = 6

CTF_MAGIC = 0xC1FC1FC1
STREAM_EVENTS = 0
STREAM_DEFS = 1


class Status(IntEnum):
    """enum mt_status: what a request, or a function of the reader, came to."""

    OK = 0
    REFUSED = 1
    BAD_REQUEST = 2
    NO_MEMORY = 3
    TRACER_PRESENT = 4
    NO_TOOL_ID = 5
    FINALIZING = 6
    WRONG_VERSION = 7
    TRUNCATED = 8
    CORRUPT = 9
    NOT_FOUND = 10
    IO_ERROR = 11
    OVERWRITTEN = 12


class State(IntEnum):
    """enum mt_state: what the helper is doing."""

    OFF = 0
    ARMED = 1
    ON = 2
    ENDED = 3


class Kind(IntEnum):
    """enum mt_kind: what happened to the variable."""

    NEW = 0
    MODIFIED = 1
    MUTATED = 2
    REBOUND = 3
    DELETED = 4


class Scope(IntEnum):
    """enum mt_scope: through which kind of instruction."""

    ARGUMENT = 0
    LOCAL = 1
    CELL = 2
    GLOBAL = 3
    NAME = 4
    ATTRIBUTE = 5
    ITEM = 6


class Tag(IntEnum):
    """enum mt_tag: the first byte of a captured value."""

    ABSENT = 0
    NONE = 1
    FALSE = 2
    TRUE = 3
    INT32 = 4
    INT64 = 5
    FLOAT = 6
    STR = 7
    BYTES = 8
    OBJECT = 9
    COMPOUND = 10
    UNKNOWN = 11
    REDACTED = 12


class SlotUse(IntEnum):
    """enum mt_slot_use: who uses a packet."""

    FREE = 0
    OPEN = 1
    CLOSED = 2
    DEFS = 3


# Which strings mt_reader_names() is asked for.
NAMES_FUNCTIONS = 0
NAMES_FILES = 1
NAMES_VARIABLES = 2


class PacketHeader(ctypes.LittleEndianStructure):
    """struct mt_packet_header."""

    _fields_ = [
        ("magic", c_uint32),
        ("uuid", c_uint8 * 16),
        ("stream_id", c_uint32),
        ("packet_bits", c_uint64),
        ("content_bits", c_uint64),
        ("timestamp_begin", c_uint64),
        ("timestamp_end", c_uint64),
        ("events_discarded", c_uint64),
        ("packet_seq", c_uint64),
        ("first_seq", c_uint64),
        ("event_count", c_uint64),
        ("pid", c_uint32),
        ("tid", c_uint32),
    ]


class Slot(ctypes.LittleEndianStructure):
    """struct mt_slot."""

    _fields_ = [
        ("use", c_uint32),
        ("tid", c_uint32),
        ("generation", c_uint64),
    ]


LAYOUT_NAMES = (
    "object_type",
    "var_size",
    "type_name",
    "type_flags",
    "type_basicsize",
    "type_dictoffset",
    "type_base",
    "type_dict",
    "heap_type_cached_keys",
    "long_digits",
    "long_tag",
    "float_value",
    "complex_value",
    "bytes_data",
    "bytearray_start",
    "unicode_length",
    "unicode_state",
    "unicode_ascii_data",
    "unicode_compact_data",
    "unicode_utf8",
    "unicode_utf8_length",
    "tuple_items",
    "list_items",
    "dict_used",
    "dict_keys",
    "dict_values",
    "set_fill",
    "set_used",
    "set_mask",
    "set_table",
    "cell_contents",
    "function_qualname",
    "module_dict",
    "code_filename",
    "code_name",
    "code_qualname",
    "code_first_line",
    "code_lines",
    "code_bytes",
    "code_names",
    "code_nlocalsplus",
    "code_localsplus_names",
    "code_localsplus_kinds",
    "code_varnames",
    "code_cellvars",
    "code_freevars",
    "code_nlocals",
    "code_arg_count",
    "code_flags",
    "tstate_frame",
    "cframe_current_frame",
    "tstate_next",
    "tstate_interp",
    "tstate_native_id",
    "tstate_thread_id",
    "interp_threads_head",
    "interp_next",
    "interp_modules",
    "frame_code",
    "frame_back",
    "frame_locals",
    "frame_globals",
    "frame_builtins",
    "frame_instruction",
    "frame_localsplus",
    "frame_owner",
    "frame_object_frame",
    "keys_log2_size",
    "keys_kind",
    "keys_usable",
    "keys_nentries",
    "keys_indices",
    "managed_dict_offset",
    "managed_values_offset",
    "values_items",
    "keys_size",
    "runtime_interpreters_head",
    "type_mro",
    "member_descr_member",
    "unicode_kind_shift",
    "runtime_gil",
    "runtime_main_interpreter",
    "interp_gil",
    "gil_last_holder",
    "gil_locked",
)


class Layout(ctypes.LittleEndianStructure):
    """struct mt_layout: offsets in bytes into CPython's structs, -1 where there is none."""

    _fields_ = [(name, c_int32) for name in LAYOUT_NAMES] + [("spare", c_int32 * 21)]


class Hit(ctypes.LittleEndianStructure):
    """struct mt_hit: valid while a thread is stopped in memtrace_hook_hit()."""

    _fields_ = [
        ("count", c_uint32),
        ("ids", c_uint32 * HIT_MAX),
        ("tid", c_uint32),
        ("seq", c_uint64),
        ("tstate", c_uint64),
        ("frame", c_uint64),
        ("error", c_char * 256),
    ]


class Control(ctypes.LittleEndianStructure):
    """struct mt_control: the head of the buffer."""

    _fields_ = [
        ("magic", c_char * 8),
        ("abi_version", c_uint32),
        ("control_bytes", c_uint32),
        ("packet_bytes", c_uint32),
        ("packet_count", c_uint32),
        ("buffer_bytes", c_uint64),
        ("slots_offset", c_uint64),
        ("packets_offset", c_uint64),
        ("base", c_uint64),
        ("uuid", c_uint8 * 16),
        ("pid", c_uint32),
        ("python_hex", c_uint32),
        ("python_version", c_char * 64),
        ("soabi", c_char * 64),
        ("driver", c_char * 16),
        ("program", c_char * 256),
        ("started_ns", c_uint64),
        ("started_realtime_ns", c_uint64),
        ("state", c_uint32),
        ("thread_count", c_uint32),
        ("next_seq", c_uint64),
        ("next_packet", c_uint64),
        ("lost_overwritten", c_uint64),
        ("lost_no_packet", c_uint64),
        ("lost_pending", c_uint64),
        ("lost_definitions", c_uint64),
        ("lost_foreign_tracer", c_uint64),
        ("lost_activations", c_uint64),
        ("lost_plans", c_uint64),
        ("defs_bytes", c_uint64),
        ("codes_seen", c_uint64),
        ("codes_traced", c_uint64),
        ("tracer_holder", c_uint64),
        ("lost_interpreters", c_uint64),
        ("interpreters", c_uint64),
        ("interpreters_left_out", c_uint64 * LEFT_OUT_MAX),
        ("left_out", c_uint64),
        ("disabled", c_uint64),
        ("tracer_threads", c_uint64),
        ("dormant", c_uint64),
        ("spare_counters", c_uint64 * 4),
        ("request_number", c_uint32),
        ("done_number", c_uint32),
        ("status", c_uint32),
        ("breakpoints_armed", c_uint32),
        ("detail", c_char * DETAIL_BYTES),
        ("options", c_char * 4096),
        ("request", c_char * REQUEST_BYTES),
        ("hit", Hit),
        ("layout", Layout),
        ("tracer", c_char * TRACER_BYTES),
    ]


class Filter(ctypes.Structure):
    """struct mt_filter of reader.h: which events a cursor gives."""

    _fields_ = [
        ("variable", c_char_p),
        ("function", c_char_p),
        ("file", c_char_p),
        ("thread", c_uint32),
        ("kinds", c_uint32),
        ("since_seq", c_uint64),
        ("until_seq", c_uint64),
        ("since_ns", c_uint64),
        ("activation", c_uint32),
        ("last", c_uint64),
    ]


class Event(ctypes.Structure):
    """struct mt_event of reader.h. Addresses of the values' bytes are plain numbers here."""

    _fields_ = [
        ("seq", c_uint64),
        ("time_ns", c_uint64),
        ("pid", c_uint32),
        ("thread", c_uint32),
        ("activation", c_uint32),
        ("line", c_uint32),
        ("kind", c_uint32),
        ("scope", c_uint32),
        ("site", c_uint32),
        ("function", c_char_p),
        ("file", c_char_p),
        ("name", c_char_p),
        ("old_bytes", ctypes.c_void_p),
        ("new_bytes", ctypes.c_void_p),
        ("old_size", c_uint32),
        ("new_size", c_uint32),
    ]


class Totals(ctypes.Structure):
    """struct mt_totals of reader.h."""

    _fields_ = [
        ("events", c_uint64),
        ("threads", c_uint64),
        ("packets", c_uint64),
        ("first_seq", c_uint64),
        ("last_seq", c_uint64),
        ("first_ns", c_uint64),
        ("last_ns", c_uint64),
        ("torn", c_uint64),
        ("discarded", c_uint64),
    ]


# Python class -> C struct, for the test that compares them.
STRUCTS: Dict[type, str] = {
    PacketHeader: "mt_packet_header",
    Slot: "mt_slot",
    Layout: "mt_layout",
    Hit: "mt_hit",
    Control: "mt_control",
    Filter: "mt_filter",
    Event: "mt_event",
    Totals: "mt_totals",
}

# Python enum -> prefix of its enumerators in C.
ENUMS: Dict[type, str] = {
    Status: "MT_",
    State: "MT_STATE_",
    Kind: "MT_",
    Scope: "MT_",
    Tag: "MT_TAG_",
    SlotUse: "MT_SLOT_",
}

# Python constant -> macro or enumerator in C.
CONSTANTS: Dict[str, str] = {
    "ABI_VERSION": "MT_ABI_VERSION",
    "PACKET_BYTES": "MT_PACKET_BYTES",
    "CONTROL_BYTES": "MT_CONTROL_BYTES",
    "REQUEST_BYTES": "MT_REQUEST_BYTES",
    "DETAIL_BYTES": "MT_DETAIL_BYTES",
    "TRACER_BYTES": "MT_TRACER_BYTES",
    "BUFFER_BYTES_MIN": "MT_BUFFER_BYTES_MIN",
    "HIT_MAX": "MT_HIT_MAX",
    "VALUE_BYTES_MAX": "MT_VALUE_BYTES_MAX",
    "LEFT_OUT_MAX": "MT_LEFT_OUT_MAX",
    "CTF_MAGIC": "MT_CTF_MAGIC",
    "STREAM_EVENTS": "MT_STREAM_EVENTS",
    "STREAM_DEFS": "MT_STREAM_DEFS",
}


def text(raw: bytes) -> str:
    """A C string of the ABI as text; bytes that are no UTF-8 stay visible."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
