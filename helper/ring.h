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
#include <string.h>
#include "clock.h"
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
    struct mt_packet_header *packet; /* open packet, or NULL before the first event */
    uint32_t packet_index;
    uint32_t tid;
    uint32_t used;                /* bytes of the packet in use, header included */
    uint64_t last_seq, last_time; /* of the event before in this packet */
    uint64_t packet_seq;          /* of the next packet */
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
    const struct mt_value *old_value; /* never NULL: MT_TAG_ABSENT for unbound */
    const struct mt_value *new_value;
    const struct mt_value *key; /* NULL unless an item with a scalar key */
};

/* Number, time and append one event; commit it. Returns its seq, or 0 when there was no
 * packet for it (counted in lost_no_packet and events_discarded; the number is used up). */
uint64_t mt_ring_append(struct mt_ring *ring, const struct mt_record *record);

/* A value of at most eight bytes, in registers: the recorder's hot path. */
struct mt_scalar {
    uint64_t bits; /* the tag's encoding, `size` bytes of it */
    uint8_t tag, size;
};

/* Room that mt_ring_append_scalars() may write into, over-writing included. */
enum { MT_SCALAR_EVENT_BYTES = 48 };

/* The same event as mt_ring_append() writes, for scalars; `key` is MT_TAG_ABSENT for none. 0: there is no room in
 * the packet; nothing was done, not even a number taken: mt_ring_append() goes on from there. */
static inline uint64_t mt_ring_append_scalars(struct mt_ring *ring, enum mt_kind kind,
                                              uint32_t site, uint32_t activation,
                                              struct mt_scalar key, struct mt_scalar old_value,
                                              struct mt_scalar new_value);

/* For defs.c: take a packet for definitions, never to be reused; NULL when half of the
 * buffer holds definitions already, or none is free. */
struct mt_packet_header *mt_ring_take_defs_packet(void);

/* ---- inline ---------------------------------------------------------------------------- */

/* Number of the next event of this process. Its time is taken right after it, so that
 * numbers follow time as far as threads that run at once let them. Release pairs with the
 * horizon in packets.c: who sees the number sees the definitions that its event names. */
static inline uint64_t mt_ring_take_seq(void)
{
    struct mt_control *control = mt_control;

    if (mt_ring_serialised) {
        uint64_t seq = control->next_seq;
        __atomic_store_n(&control->next_seq, seq + 1, __ATOMIC_RELEASE);
        return seq;
    }
    return __atomic_fetch_add(&control->next_seq, 1, __ATOMIC_RELEASE);
}

static inline uint64_t mt_ring_append_scalars(struct mt_ring *ring, enum mt_kind kind,
                                              uint32_t site, uint32_t activation,
                                              struct mt_scalar key, struct mt_scalar old_value,
                                              struct mt_scalar new_value)
{
    struct mt_packet_header *packet = ring->packet;

    if (__builtin_expect(!packet || ring->used + MT_SCALAR_EVENT_BYTES > MT_PACKET_BYTES, 0))
        return 0;
    uint64_t seq = mt_ring_take_seq();
    uint64_t time_ns = mt_clock_ns();
    uint64_t id = (uint64_t)kind | (key.tag != MT_TAG_ABSENT ? MT_EVENT_KEY : 0);
    uint64_t tags = (uint64_t)(old_value.tag | new_value.tag << 4);
    uint8_t *at = (uint8_t *)packet + ring->used;
    // memtrace.h, "An event". Compact: id, time, seq and tags are one word. Unsigned differences:
    // what went backwards doesn't fit either. What is written too much is overwritten by what
    // follows.
    if (__builtin_expect(
            seq - ring->last_seq <= UINT16_MAX && time_ns - ring->last_time <= UINT32_MAX, 1)) {
        uint64_t head = id | (time_ns & UINT32_MAX) << 8 | (seq & UINT16_MAX) << 40 | tags << 56;
        memcpy(at, &head, sizeof head);
        at += sizeof head;
    } else {
        *at = (uint8_t)(id | MT_EVENT_EXTENDED);
        memcpy(at + 1, &time_ns, sizeof time_ns);
        memcpy(at + 9, &seq, sizeof seq);
        at[17] = (uint8_t)tags;
        at += 18;
    }
    uint64_t where = (uint64_t)site | (uint64_t)activation << 32;
    memcpy(at, &where, sizeof where);
    at += sizeof where;
    if (key.tag != MT_TAG_ABSENT) {
        *at = key.tag;
        memcpy(at + 1, &key.bits, sizeof key.bits);
        at += 1 + key.size;
    }
    memcpy(at, &old_value.bits, sizeof old_value.bits);
    memcpy(at + old_value.size, &new_value.bits, sizeof new_value.bits);
    at += old_value.size + new_value.size;
    ring->used = (uint32_t)(at - (uint8_t *)packet);
    ring->last_seq = seq;
    ring->last_time = time_ns;
    // Only this thread writes it; another one reads it when it takes a dead thread's packet.
    __atomic_store_n(&packet->event_count, packet->event_count + 1, __ATOMIC_RELAXED);
    // The commit. Pairs with the acquire load of content_bits in packets.c.
    __atomic_store_n(&packet->content_bits, (uint64_t)ring->used * 8, __ATOMIC_RELEASE);
    return seq;
}

#endif
