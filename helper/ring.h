/* The buffer: a memfd of packets, and one writer per thread.
 *
 * Packets are handed out round robin from one pool, so that a full buffer loses its
 * oldest packet, whichever thread wrote it (flight recorder). A packet that another
 * thread still writes (MT_SLOT_OPEN) or that holds definitions (MT_SLOT_DEFS) is passed
 * over; open packets of threads that no longer exist are taken back.
 *
 * Writers: one struct mt_ring per thread, used by that thread alone; no lock, no
 * allocation. Readers: other processes; see the commit protocol in ring.c. No Python.h,
 * needs no GIL. */
#ifndef MT_RING_H
#define MT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include "memtrace.h"

/* Create the memfd of `buffer_bytes` (rounded up to whole packets, at least
 * MT_BUFFER_BYTES_MIN), map it shared, fill the control block except for the fields about
 * Python, write the magic last. The memfd's descriptor is CLOEXEC and moved to a high
 * number, out of the program's way. Returns MT_OK or MT_NO_MEMORY. */
enum mt_status mt_buffer_create(uint64_t buffer_bytes, struct mt_control **ret);

/* Unmap and close: for unit tests; the helper never calls it. */
void mt_buffer_destroy(struct mt_control *control);

/* In a forked child: forget the parent's buffer without writing to it. */
void mt_buffer_abandon(void);

/* The buffer in use, or NULL. */
extern struct mt_control *mt_control;

/* No two threads append at once: one GIL for the whole process. Then numbering events needs
 * no locked instruction. Set before the first event; false is always right. */
extern bool mt_ring_serialised;

/* One thread's writer. Lifetime: the thread's. */
struct mt_ring {
    struct mt_packet_header *packet;   /* open packet, or NULL before the first event */
    uint32_t packet_index;
    uint32_t tid;
    uint32_t used;                     /* bytes of the packet in use, header included */
    uint64_t last_seq, last_time;      /* of the event before in this packet */
    uint64_t packet_seq;               /* of the next packet */
    uint64_t discarded;
};

void mt_ring_init(struct mt_ring *ring, uint32_t tid);

/* Close the open packet: the thread ends, or recording stops. */
void mt_ring_close(struct mt_ring *ring);

/* What an event says, besides who and when. Values are read, not kept. */
struct mt_record {
    enum mt_kind kind;
    uint32_t site;
    uint32_t activation;
    const struct mt_value *old_value;  /* never NULL: MT_TAG_ABSENT for unbound */
    const struct mt_value *new_value;
    const struct mt_value *key;        /* NULL unless an item with a scalar key */
};

/* Number, time and append one event; commit it. Returns its seq, or 0 when there was no
 * packet for it (counted in lost_no_packet and events_discarded; the number is used up). */
uint64_t mt_ring_append(struct mt_ring *ring, const struct mt_record *record);

/* For defs.c: take a packet for definitions, never to be reused; NULL when half of the
 * buffer holds definitions already, or none is free. */
struct mt_packet_header *mt_ring_take_defs_packet(void);

#endif
