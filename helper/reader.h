/* Packets → events: the reader that gdb loads with ctypes, and the tools use.
 *
 * Reads a live buffer (mapped memfd), a copy of one (core file), or a recording's
 * directory; merges the threads by seq; filters in C. Never trusts the data: every length
 * and offset is checked, a packet that was reused while it was read is dropped and counted.
 * No Python.h, no GIL. One reader is used by one thread at a time.
 *
 * Exported with MT_PUBLIC from libmemtrace-reader.so. All strings are UTF-8, NUL
 * terminated, valid until the reader is closed unless said otherwise. */
#ifndef MT_READER_H
#define MT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include "memtrace.h"

struct mt_reader;

/* Open a buffer in memory (borrowed until mt_reader_close). `writable_elsewhere`: 1 for a
 * live mapping, 0 for a dead copy. Returns MT_OK, MT_WRONG_VERSION, MT_TRUNCATED,
 * MT_CORRUPT; on failure `error` (MT_DETAIL_BYTES) says why and what to do. */
MT_PUBLIC int mt_reader_open_memory(const void *buffer, uint64_t bytes, int writable_elsewhere,
                                    struct mt_reader **ret, char *error);

/* Open the buffer in a file (a memfd through /proc/PID/fd/N, or a core file) at `offset`,
 * mapping it read only. The mapping keeps the buffer alive when the process dies. */
MT_PUBLIC int mt_reader_open_file(const char *path, uint64_t offset, uint64_t bytes,
                                  int writable_elsewhere, struct mt_reader **ret, char *error);
/* A core file, whole: finds the buffer in its PT_LOAD segments by the magic. */
MT_PUBLIC int mt_reader_open_core(const char *path, struct mt_reader **ret, char *error);

/* A directory written by save or record: a CTF trace. */
MT_PUBLIC int mt_reader_open_directory(const char *path, struct mt_reader **ret, char *error);

/* Write what can be read now as a CTF 1.8 trace to `directory`, which must be new or empty. */
MT_PUBLIC int mt_reader_save(struct mt_reader *reader, const char *directory, char *error);

MT_PUBLIC void mt_reader_close(struct mt_reader *reader);

/* The control block as it is now (live: read through the mapping), NULL for a directory. */
MT_PUBLIC const struct mt_control *mt_reader_control(struct mt_reader *reader);

/* Which events a cursor gives. NULL, 0 or empty: no such filter. Globs: * ? [], matched
 * against the whole text, case counts. A comma separates alternatives. A pattern that equals
 * the text letter by letter matches too (flags[4]). */
struct mt_filter {
    const char *variable; /* name: "b", "self.*", "flags[4]" */
    const char *function; /* qualname, or its last part */
    const char *file;     /* path, or its last part */
    uint32_t thread;
    uint32_t kinds;     /* bit 1 << kind; 0: all */
    uint64_t since_seq; /* events with seq > this */
    uint64_t until_seq; /* events with seq <= this; 0: no end */
    uint64_t since_ns;  /* CLOCK_MONOTONIC */
    uint32_t activation;
    uint64_t last; /* only the last N that match; 0: all */
};

/* One event. Strings belong to the reader; value texts are made by mt_reader_value_text. */
struct mt_event {
    uint64_t seq, time_ns;
    uint32_t pid, thread, activation, line, kind, scope, site;
    const char *function, *file, *name;   /* name complete: flags[4] */
    const uint8_t *old_bytes, *new_bytes; /* tag, then its encoding */
    uint32_t old_size, new_size;
};

struct mt_cursor;

/* Events that match, in order of seq, as of now. An open cursor on a live buffer does not
 * see later events; ask again with since_seq. */
MT_PUBLIC int mt_reader_query(struct mt_reader *reader, const struct mt_filter *filter,
                              struct mt_cursor **ret);
/* 1 and the next event, or 0 at the end. The event is valid until the next call. */
MT_PUBLIC int mt_cursor_next(struct mt_cursor *cursor, struct mt_event *ret);
MT_PUBLIC void mt_cursor_close(struct mt_cursor *cursor);

/* The value as text: what log shows. Returns the length without the NUL that is always
 * written; at most `size` bytes are written. See value_text.h for the forms. */
MT_PUBLIC size_t mt_reader_value_text(struct mt_reader *reader, const uint8_t *bytes,
                                      uint32_t bytes_size, char *text, size_t size);
/* The type's name of a captured value: "int", "Account"; "" for unbound. */
MT_PUBLIC const char *mt_reader_value_type(struct mt_reader *reader, const uint8_t *bytes,
                                           uint32_t size);

/* What the recording says about itself, in order: from event `seq` on, `text`. */
MT_PUBLIC void mt_reader_notes(struct mt_reader *reader,
                               void (*each)(uint64_t seq, const char *text, void *context),
                               void *context);

/* Functions and variables that have definitions: for completion and for "no such". Calls
 * `each(text, context)` for every distinct function (what = 0), file (1), name (2). */
MT_PUBLIC void mt_reader_names(struct mt_reader *reader, int what,
                               void (*each)(const char *text, void *context), void *context);

/* Counts over what can be read now. */
struct mt_totals {
    uint64_t events, threads, packets, first_seq, last_seq, first_ns, last_ns;
    uint64_t torn;      /* packets dropped: reused while they were read, or damaged */
    uint64_t discarded; /* sum over threads */
};
MT_PUBLIC void mt_reader_totals(struct mt_reader *reader, struct mt_totals *ret);

#endif
