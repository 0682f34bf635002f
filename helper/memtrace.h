/* The ABI between the helper (in the debuggee), the reader, and gdb.
 *
 * This is the only header that all three know. It describes one shared memory
 * region, the *buffer*: a memfd that the helper creates, maps MAP_SHARED and never
 * unmaps. gdb maps the same memfd through /proc/PID/fd and so follows live without
 * stopping the process; it keeps the pages when the process dies; and a core file
 * contains them, because a memfd has no link (core(5): anonymous shared mappings).
 *
 * Layout of the buffer:
 *
 *     0                      struct mt_control          MT_CONTROL_BYTES
 *     MT_CONTROL_BYTES       struct mt_slot[packet_count], padded to MT_PACKET_BYTES
 *     packets_offset         packet_count packets of MT_PACKET_BYTES each
 *
 * Every packet is a packet of the Common Trace Format 1.8 (little endian, byte
 * aligned): struct mt_packet_header, then events. Stream MT_STREAM_EVENTS holds
 * changes of variables, one stream instance per thread; stream MT_STREAM_DEFS holds
 * definitions (code objects, store sites, types), written once and never reused.
 *
 * Who writes what: `request` and `request_number` are gdb's, everything else is the
 * helper's. All integers are little endian. All offsets are bytes from the start of
 * the buffer. No pointer in here may be followed by gdb without distrust.
 *
 * Bump MT_ABI_VERSION whenever the meaning of any byte changes. A reader that meets
 * another version must refuse and say which one it knows.
 */
#ifndef MEMTRACE_H
#define MEMTRACE_H

#include <stdint.h>

#define MT_ABI_VERSION 1
#define MT_MAGIC "MEMTRACE"      /* 8 bytes, no terminator */
#define MT_MEMFD_NAME "memtrace" /* /proc/PID/maps: /memfd:memtrace (deleted) */

enum {
    MT_PACKET_BYTES = 64 * 1024,
    MT_CONTROL_BYTES = 64 * 1024,
    MT_REQUEST_BYTES = 32 * 1024,
    MT_DETAIL_BYTES = 512,
    MT_TRACER_BYTES = 256,
    MT_BUFFER_BYTES_MIN = 1024 * 1024, /* smallest buffer-size accepted */
    MT_HIT_MAX = 16,                   /* breakpoints that one event can hit */
    MT_VALUE_BYTES_MAX = 512,          /* upper bound of set memtrace value-size */
    MT_LEFT_OUT_MAX = 6,               /* interpreters that are named as not recorded */
};

/* ---- results ---------------------------------------------------------------- */

/* What a request, or a function of the C modules, came to. The text for a person is
 * in control->detail. Numbers are ABI: append, never reorder. */
enum mt_status {
    MT_OK = 0,
    MT_REFUSED,        /* detail says why and what to do */
    MT_BAD_REQUEST,    /* the request text could not be parsed; detail names the line */
    MT_NO_MEMORY,      /* mmap, memfd_create or malloc failed */
    MT_TRACER_PRESENT, /* another tracer holds the only slot (CPython <= 3.11) */
    MT_NO_TOOL_ID,     /* every sys.monitoring tool id is taken (CPython >= 3.12) */
    MT_FINALIZING,     /* the interpreter is shutting down or not initialised */
    MT_WRONG_VERSION,  /* buffer, recording or interpreter of another version */
    MT_TRUNCATED,      /* reader: the data ends early */
    MT_CORRUPT,        /* reader: the data contradicts itself */
    MT_NOT_FOUND,      /* reader: no such event, file, or buffer */
    MT_IO_ERROR,       /* a system call failed; detail has strerror */
    MT_OVERWRITTEN,    /* reader: the packet was reused while it was read */
};

/* What the helper is doing. */
enum mt_state {
    MT_STATE_OFF = 0, /* mapped, not recording */
    MT_STATE_ARMED,   /* a request waits for the GIL */
    MT_STATE_ON,      /* recording */
    MT_STATE_ENDED,   /* the interpreter finalizes or the process called exit */
};

/* ---- events ------------------------------------------------------------------ */

enum mt_kind { MT_NEW = 0, MT_MODIFIED, MT_MUTATED, MT_REBOUND, MT_DELETED, MT_KIND_COUNT };

enum mt_scope {
    MT_ARGUMENT = 0, /* bound by a call, on the first line of the code */
    MT_LOCAL,        /* STORE_FAST and the like */
    MT_CELL,         /* STORE_DEREF: cell and free variables */
    MT_GLOBAL,       /* STORE_GLOBAL */
    MT_NAME,         /* STORE_NAME: class and module bodies, exec */
    MT_ATTRIBUTE,    /* STORE_ATTR */
    MT_ITEM,         /* STORE_SUBSCR */
    MT_SCOPE_COUNT
};

/* Tags of captured values. A scalar has its whole encoding behind the tag; everything
 * else is a MT_TAG_COMPOUND, whose bytes use the nested encoding below.
 *
 *   ABSENT NONE FALSE TRUE UNKNOWN REDACTED    nothing
 *   INT32                                      int32_t
 *   INT64                                      int64_t
 *   FLOAT                                      IEEE 754 double
 *   STR, BYTES                                 uint32_t length (characters, bytes) of the
 *                                              whole; uint16_t n; n bytes (UTF-8 with
 *                                              surrogatepass, cut at a character)
 *   OBJECT                                     uint32_t type id; uint64_t address
 *   COMPOUND                                   uint16_t n; n bytes
 *
 * The nested encoding is a tag byte (values of enum mt_tag, or MT_NESTED_*), then the
 * encoding of that tag. */
enum mt_tag {
    MT_TAG_ABSENT = 0, /* unbound: old of NEW, new of DELETED */
    MT_TAG_NONE = 1,
    MT_TAG_FALSE = 2,
    MT_TAG_TRUE = 3,
    MT_TAG_INT32 = 4,
    MT_TAG_INT64 = 5,
    MT_TAG_FLOAT = 6,
    MT_TAG_STR = 7,
    MT_TAG_BYTES = 8,
    MT_TAG_OBJECT = 9,
    MT_TAG_COMPOUND = 10,
    MT_TAG_UNKNOWN = 11, /* can't be read without running code: shown as ? */
    MT_TAG_REDACTED = 12,
};

/* Only inside a compound:
 *
 *   BIGINT          uint8_t negative; uint64_t bits (int.bit_length()); uint64_t leading
 *                   (the most significant 64 bits, first bit 1); uint8_t n; n further
 *                   bytes: the whole magnitude, little endian, where it fits the budget,
 *                   else n = 0
 *   COMPLEX         double real; double imaginary
 *   LIST TUPLE SET FROZENSET DEQUE
 *                   uint64_t length; uint16_t count; count nested values
 *   DICT            uint64_t length; uint16_t count; count pairs of nested values
 *   BYTEARRAY       as MT_TAG_BYTES
 *   SUBCLASS        uint32_t type id; uint64_t address; one nested value: the builtin part
 *   RANGE SLICE     three nested values: start, stop, step
 *   NAMED           uint32_t type id; uint64_t address; uint16_t n; n bytes UTF-8: a
 *                   function's qualname, a class's or a module's name, read without
 *                   running code
 *   ELLIPSIS        nothing: the budget ended here
 */
enum mt_nested_tag {
    MT_NESTED_BIGINT = 32,
    MT_NESTED_COMPLEX,
    MT_NESTED_LIST,
    MT_NESTED_TUPLE,
    MT_NESTED_SET,
    MT_NESTED_FROZENSET,
    MT_NESTED_DEQUE,
    MT_NESTED_DICT,
    MT_NESTED_BYTEARRAY,
    MT_NESTED_SUBCLASS,
    MT_NESTED_RANGE,
    MT_NESTED_SLICE,
    MT_NESTED_NAMED,
    MT_NESTED_ELLIPSIS,
};

/* One captured value, as the engine hands it to the ring: the tag, and `size` bytes of
 * the encoding that follows it. */
struct mt_value {
    uint8_t tag;
    uint16_t size;
    uint8_t bytes[MT_VALUE_BYTES_MAX + 16];
};

/* An event of stream MT_STREAM_EVENTS, packed, little endian:
 *
 *   uint8_t   id            kind, | MT_EVENT_KEY where an item's key follows,
 *                           | MT_EVENT_EXTENDED where time and seq are whole
 *   compact:  uint32_t time low bits of the time in nanoseconds
 *             uint16_t seq  low bits of seq
 *   extended: uint64_t time
 *             uint64_t seq
 *   uint8_t   tags          old tag in the low 4 bits, new tag in the high 4 bits
 *   uint32_t  site          id of a store site (MT_DEF_SITE)
 *   uint32_t  activation
 *   [uint8_t  key tag, key] only with MT_EVENT_KEY
 *   old, new                the encodings that the tags announce
 *
 * A reader widens seq and time with those of the event before in the same packet (for
 * the first event: first_seq and timestamp_begin of the packet). A writer uses the
 * extended form wherever that would be wrong. A scalar event is at most 32 bytes. */
enum {
    MT_EVENT_KIND_MASK = 0x07,
    MT_EVENT_KEY = 0x08,
    MT_EVENT_EXTENDED = 0x10,
};

/* Events of stream MT_STREAM_DEFS, packed:
 *
 *   uint8_t id = MT_DEF_CODE   uint32_t code; uint32_t first_line; char file[]; char qualname[]
 *   uint8_t id = MT_DEF_SITE   uint32_t site; uint32_t code; uint32_t line; uint8_t scope;
 *                              char name[]; char key[]
 *   uint8_t id = MT_DEF_TYPE   uint32_t type; char name[]
 *   uint8_t id = MT_DEF_NOTE   uint32_t note; uint64_t seq; uint64_t time; char text[]
 *
 * Strings end with a zero byte and are UTF-8 (surrogatepass). Ids count from 1 within
 * their kind; 0 means that the definition was lost because there was no room. `name` is
 * whole (`b`, `self.balance`) but for items, where it is the container's (`flags`): the
 * event's key completes it (`flags[4]`), or where the event has none, because the key is
 * no scalar, `key`: the key's expression as the programmer wrote it (`flags[point]`). A note says
 * something about the events from number `seq` on, for a person. */
enum mt_def { MT_DEF_CODE = 1, MT_DEF_SITE = 2, MT_DEF_TYPE = 3, MT_DEF_NOTE = 4 };

/* ---- packets ------------------------------------------------------------------- */

#define MT_CTF_MAGIC 0xC1FC1FC1u
enum { MT_STREAM_EVENTS = 0, MT_STREAM_DEFS = 1 };

/* CTF packet header and packet context, in one. Sizes in bits, as CTF has them. */
struct mt_packet_header {
    uint32_t magic;            /* MT_CTF_MAGIC */
    uint8_t uuid[16];          /* control->uuid */
    uint32_t stream_id;        /* MT_STREAM_* */
    uint64_t packet_bits;      /* MT_PACKET_BYTES * 8 */
    uint64_t content_bits;     /* header and events; stored with release: the commit */
    uint64_t timestamp_begin;  /* CLOCK_MONOTONIC ns */
    uint64_t timestamp_end;    /* 0 while the packet is open in the ring */
    uint64_t events_discarded; /* by this thread since it began: could not be written */
    uint64_t packet_seq;       /* number of this packet in its stream instance, from 0 */
    uint64_t first_seq;        /* seq of the first event, or of the next one when empty */
    uint64_t event_count;      /* events in this packet; may lag content_bits by one */
    uint32_t pid;
    uint32_t tid; /* 0 in MT_STREAM_DEFS */
};

/* Who uses a packet. `generation` is odd while the packet is being reset, and grows with
 * every reuse: a reader reads it before and after, and drops what it copied when the two
 * differ or are odd (pairs with the writer's release stores in ring.c). */
enum mt_slot_use { MT_SLOT_FREE = 0, MT_SLOT_OPEN, MT_SLOT_CLOSED, MT_SLOT_DEFS };
struct mt_slot {
    uint32_t use; /* enum mt_slot_use */
    uint32_t tid;
    uint64_t generation;
};

/* ---- the shape of CPython objects ------------------------------------------------ */

/* Offsets in bytes, as the helper's own compiler saw them, so that gdb can walk frames
 * and objects of a stripped interpreter by reading memory. -1: this version has no such
 * field. Filled by layout.c. */
struct mt_layout {
    int32_t object_type; /* PyObject.ob_type */
    int32_t var_size;    /* PyVarObject.ob_size */
    int32_t type_name;   /* PyTypeObject.tp_name */
    int32_t type_flags;  /* .tp_flags (unsigned long) */
    int32_t type_basicsize;
    int32_t type_dictoffset;
    int32_t type_base;
    int32_t type_dict;
    int32_t heap_type_cached_keys; /* PyHeapTypeObject.ht_cached_keys (3.3+) */
    int32_t long_digits;           /* PyLongObject's digit[]; 30-bit digits */
    int32_t long_tag;              /* 3.12+: lv_tag; else -1: sign and size in ob_size */
    int32_t float_value;
    int32_t complex_value;
    int32_t bytes_data;
    int32_t bytearray_start;
    int32_t unicode_length, unicode_state, unicode_ascii_data, unicode_compact_data;
    int32_t unicode_utf8, unicode_utf8_length;
    int32_t tuple_items, list_items /* pointer */;
    int32_t dict_used, dict_keys, dict_values;
    int32_t set_fill, set_used, set_mask, set_table;
    int32_t cell_contents;
    int32_t function_qualname, module_dict;
    int32_t code_filename, code_name, code_qualname /* -1 before 3.11 */, code_first_line;
    int32_t code_lines; /* co_linetable, or co_lnotab before 3.10 */
    int32_t code_bytes; /* co_code_adaptive (3.11+: inline) or co_code (object) */
    int32_t code_names, code_nlocalsplus, code_localsplus_names, code_localsplus_kinds;
    int32_t code_varnames, code_cellvars, code_freevars, code_nlocals; /* before 3.11 */
    int32_t code_arg_count, code_flags;
    int32_t tstate_frame;         /* tstate -> frame; 3.11, 3.12: -> cframe */
    int32_t cframe_current_frame; /* -1: tstate_frame is the frame itself */
    int32_t tstate_next, tstate_interp, tstate_native_id, tstate_thread_id;
    int32_t interp_threads_head, interp_next, interp_modules;
    int32_t frame_code, frame_back, frame_locals, frame_globals, frame_builtins;
    int32_t frame_instruction; /* pointer into the code (3.11+), or int f_lasti */
    int32_t frame_localsplus, frame_owner /* 3.11+ */;
    int32_t frame_object_frame; /* PyFrameObject.f_frame; -1 before 3.11 */
    int32_t keys_log2_size, keys_kind, keys_usable, keys_nentries, keys_indices;
    int32_t managed_dict_offset;       /* from the object, negative; 0 where there is none */
    int32_t managed_values_offset;     /* pointer to PyDictValues, from the object; 0 none */
    int32_t values_items;              /* PyDictValues: its array */
    int32_t keys_size;                 /* dk_size, a Py_ssize_t: before 3.11; then keys_log2_size */
    int32_t runtime_interpreters_head; /* _PyRuntime -> first interpreter */
    int32_t type_mro;                  /* PyTypeObject.tp_mro */
    int32_t member_descr_member;       /* PyMemberDescrObject.d_member */
    int32_t unicode_kind_shift; /* bit of `kind` in unicode_state; `compact`, `ascii` follow */
    int32_t runtime_gil;        /* _PyRuntime's _gil_runtime_state: before 3.12 */
    int32_t runtime_main_interpreter; /* _PyRuntime -> main interpreter */
    int32_t interp_gil;               /* PyInterpreterState -> _gil_runtime_state: 3.12+ */
    int32_t gil_last_holder;          /* pointer to the PyThreadState */
    int32_t gil_locked;               /* int */
    int32_t spare[21];
};

/* ---- control ---------------------------------------------------------------------- */

/* A variable breakpoint's hit: valid while a thread is stopped in memtrace_hook_hit(),
 * written by that thread just before it calls it. */
struct mt_hit {
    uint32_t count;           /* of `ids` */
    uint32_t ids[MT_HIT_MAX]; /* gdb's numbers, from the request */
    uint32_t tid;
    uint64_t seq;    /* of the event */
    uint64_t tstate; /* PyThreadState * of the thread */
    uint64_t frame;  /* its frame: _PyInterpreterFrame * or PyFrameObject * */
    char error[256]; /* why a condition failed, or "" */
};

struct mt_control {
    char magic[8]; /* MT_MAGIC; written last */
    uint32_t abi_version;
    uint32_t control_bytes, packet_bytes, packet_count;
    uint64_t buffer_bytes; /* of the whole buffer */
    uint64_t slots_offset, packets_offset;
    uint64_t base; /* where the debuggee has it mapped */
    uint8_t uuid[16];
    uint32_t pid;
    uint32_t python_hex;     /* PY_VERSION_HEX the helper was built with */
    char python_version[64]; /* Py_GetVersion(), as it runs */
    char soabi[64];
    char driver[16];              /* "settrace" or "monitoring" */
    char program[256];            /* /proc/self/exe when it began */
    uint64_t started_ns;          /* CLOCK_MONOTONIC */
    uint64_t started_realtime_ns; /* CLOCK_REALTIME at the same moment */

    uint32_t state;        /* enum mt_state */
    uint32_t thread_count; /* Python threads covered at the last install */
    uint64_t next_seq;     /* events so far + 1 */
    uint64_t next_packet;  /* allocation cursor, grows without end */

    /* What could not be recorded, by reason. Only grow. */
    uint64_t lost_overwritten;    /* events in packets that were reused */
    uint64_t lost_no_packet;      /* every packet was open or held definitions */
    uint64_t lost_pending;        /* stores nested deeper than the pending stack */
    uint64_t lost_definitions;    /* definitions without room */
    uint64_t lost_foreign_tracer; /* calls that ran, whole or in part, under another tracer */
    uint64_t lost_activations;    /* activations whose number was forgotten */
    uint64_t lost_plans;          /* calls of code whose plan could not be made */
    uint64_t defs_bytes;          /* of definitions */
    uint64_t codes_seen, codes_traced;
    uint64_t tracer_holder;     /* address of another tracer's function, if any */
    uint64_t lost_interpreters; /* subinterpreters that are not recorded */
    uint64_t interpreters;      /* recorded, as of the last look at them */
    uint64_t interpreters_left_out[MT_LEFT_OUT_MAX]; /* ids of some that aren't; 0: none */
    /* Because of max-overhead: changes not recorded while sites were thinned; sites and code
     * objects of which nothing more is recorded. */
    uint64_t left_out, disabled;
    uint64_t tracer_threads; /* that another tracer holds, when last looked (CPython <= 3.11) */
    uint64_t dormant; /* 1: on, but nothing that could run is to be recorded (3.11: dormant.h) */
    uint64_t spare_counters[4];

    /* Mailbox. gdb writes `request` (text, see service.c), then request_number = done_number
     * + 1 with release; the helper writes status and detail, then done_number with release. */
    uint32_t request_number;
    uint32_t done_number;
    uint32_t status; /* enum mt_status of request done_number */
    uint32_t breakpoints_armed;
    char detail[MT_DETAIL_BYTES]; /* for a person, UTF-8, "" when all is well */
    char options[4096];           /* what is in force, in request syntax */
    char request[MT_REQUEST_BYTES];

    struct mt_hit hit;
    struct mt_layout layout;

    char tracer[MT_TRACER_BYTES]; /* the last other tracer that was met, for a person, or "" */
};

_Static_assert(sizeof(struct mt_control) <= MT_CONTROL_BYTES, "control block outgrew its page");
_Static_assert(sizeof(struct mt_packet_header) == 96, "packet header is ABI");
_Static_assert(sizeof(struct mt_slot) == 16, "slot is ABI");

/* ---- the request -----------------------------------------------------------------------
 *
 * Text, UTF-8, NUL terminated: lines `key=value`, ended by '\n'. In values % is written %25
 * and a newline %0A. The first line is the verb. A list key may come many times. `install`
 * and `change` carry the whole of what shall be in force: what is not there is the default.
 *
 *     verb=install | change | remove
 *     only=GLOB  skip=GLOB      trace only, never trace: match file, module or function (list)
 *     skip-var=GLOB             never record: variables by their name as written (list); a
 *                               breakpoint on one works all the same
 *     all=1                     library and frozen code too
 *     record=0                  breakpoints only, no recording of other variables
 *     rebound=1                 record REBOUND
 *     mutations=0               no snapshots around in-place operators and methods
 *     value-size=64             bytes of one captured value
 *     redact=GLOB               names and keys whose values are never captured (list)
 *     follow-fork=1
 *     max-overhead=200          per cent of the program's own CPU time that it may take when it
 *                               is recorded; 0, the default: as it comes
 *     plan-bytes=4194304        weight of what is kept with code objects (plan_cache.h); default
 *                               by version
 *     break=NUMBER              begins a variable breakpoint (gdb's number); the lines below
 *     break-file=GLOB           up to the next break= belong to it
 *     break-module=GLOB
 *     break-function=GLOB       "" any
 *     break-target=TEXT         b | self.balance | flags[4] | total
 *     break-if=EXPR             Python over old, new and the frame's variables
 */

/* ---- exported functions --------------------------------------------------------------
 *
 * What gdb may call in the debuggee, and stop in. None of the first two takes the GIL,
 * blocks or runs Python; see entry.c for the contract of each. */
#define MT_PUBLIC __attribute__((visibility("default")))

/* Create the buffer, or return the one there is. `buffer_bytes`: size of the whole buffer
 * in bytes, rounded up to packets. Returns the control block, or NULL (errno says why). */
MT_PUBLIC struct mt_control *memtrace_open(uint64_t buffer_bytes);

/* Carry out the request in the mailbox on a new detached thread that ends when done.
 * Returns enum mt_status: MT_OK when the thread was started. */
MT_PUBLIC int memtrace_serve(void);

/* Carry out the request on the calling thread, which must hold the GIL: where gdb
 * stopped at entry of Py_RunMain, or in memtrace_hook_hit(). Returns enum mt_status. */
MT_PUBLIC int memtrace_serve_here(void);

/* Empty functions that gdb sets breakpoints on. */
MT_PUBLIC void memtrace_hook_hit(void);  /* a variable breakpoint hit: control->hit */
MT_PUBLIC void memtrace_hook_done(void); /* a request was carried out: control->status */
MT_PUBLIC void memtrace_hook_exit(void); /* exit() runs: the last chance to read live */

/* For finding the helper's build from outside:
 * "memtrace ABI 1 cpython-311-x86_64-linux-gnu 3.11.2". */
MT_PUBLIC extern const char memtrace_build[];

#endif
