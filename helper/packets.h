/* Where the reader's packets come from: a live buffer, a dead copy of one, or the files of
 * a recording.
 *
 * All checks of sizes and offsets against what is really there are made here: behind this
 * line a packet is `content` readable bytes. No Python.h. Threads: one at a time. */
#ifndef MT_PACKETS_H
#define MT_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include "memtrace.h"

/* A file of a recording, mapped. */
struct mt_mapped {
    const uint8_t *bytes;
    size_t size;
};

struct mt_source {
    /* A buffer. */
    const uint8_t *buffer; /* NULL: a recording */
    bool live;             /* somebody writes to it now */
    uint32_t packet_count; /* checked copies of what the control block says */
    uint64_t slots_offset, packets_offset;
    struct mt_mapped mapping; /* to unmap at the end; .bytes NULL: borrowed */

    /* A recording. */
    struct mt_mapped *files;
    size_t file_count;
    char *metadata;
};

/* A packet as it was when it was listed. */
struct mt_packet {
    const uint8_t *bytes; /* header and events; NULL before mt_packet_fetch() */
    uint8_t *copy;        /* `bytes`, where it was copied: owned, else NULL */
    uint32_t content;     /* bytes of both */
    uint32_t pid, tid;
    uint64_t packet_seq, first_seq, begin_ns, end_ns, discarded;
    uint64_t bound_seq;  /* no event in it has this seq or a later one */
    uint32_t index;      /* in the buffer */
    uint64_t generation; /* its slot's */
};

struct mt_packet_list {
    struct mt_packet *packets; /* by pid, tid, first_seq */
    size_t count, capacity;
    uint64_t torn;    /* dropped: reused while they were read, or damaged */
    uint64_t horizon; /* live: events from this seq on came too late */
};

/* Check that `bytes` bytes at `buffer` are a buffer that this version reads, and make it the
 * source's. `error`: MT_DETAIL_BYTES. */
enum mt_status mt_source_init_buffer(struct mt_source *source, const void *buffer, uint64_t bytes,
                                     bool live, char *error);
/* Map `bytes` bytes (0: to the end) of a file. */
enum mt_status mt_source_map(const char *path, uint64_t offset, uint64_t bytes,
                             struct mt_mapped *ret, char *error);
void mt_source_deinit(struct mt_source *source);

/* All packets of one stream (MT_STREAM_*): headers only for a live buffer. MT_NO_MEMORY if
 * so, else MT_OK. */
enum mt_status mt_packets_list(const struct mt_source *source, uint32_t stream,
                               struct mt_packet_list *ret);
/* Give every packet of the list its bytes; drop and count those that were reused since. */
enum mt_status mt_packets_fetch(const struct mt_source *source, struct mt_packet_list *list);
void mt_packets_free(struct mt_packet_list *list);

/* Give one packet its bytes: a copy of a live buffer's. MT_OVERWRITTEN if it was reused since
 * it was listed, MT_NO_MEMORY. */
enum mt_status mt_packet_fetch(const struct mt_source *source, struct mt_packet *packet);
void mt_packet_release(struct mt_packet *packet);

/* Writes to `error`, returns `status`. */
enum mt_status mt_packets_error(char *error, enum mt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
