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
extern __attribute__((visibility("hidden"))) struct mt_control *mt_control;

/* No two threads append at once: each holds the same lock meanwhile, the main interpreter's GIL.
 * Then numbering events needs no locked instruction, some 5 ns of an event's 40. Set before the
 * first event; false is always right. */
extern __attribute__((visibility("hidden"))) bool mt_ring_serialised;

/* One thread's writer. Lifetime: the thread's. */
struct mt_ring {
    struct mt_packet_header *packet; /* open packet, or NULL before the first event */
    uint32_t packet_index;
    uint32_t tid;
    uint32_t used;                /* bytes of the packet in use, header included; without one
                                   * all of them, so that there is no room */
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
    uint64_t bits; /* the tag's encoding */
    uint8_t tag;   /* one of those below MT_TAG_STR */
};

static const struct mt_scalar mt_scalar_none = {.tag = MT_TAG_ABSENT};

/* The same event as mt_ring_append() writes, for scalars, at the present time; `key` is
 * MT_TAG_ABSENT for none. False: there is no room in the packet; nothing was done, not even a
 * number taken: mt_ring_append() goes on from there. Inline, so that tags that the caller knows
 * cost nothing, and without a call in it, so that no register is saved. */
static inline bool mt_ring_append_scalars(struct mt_ring *ring, uint64_t time_ns, enum mt_kind kind,
                                          uint32_t site, uint32_t activation, struct mt_scalar key,
                                          struct mt_scalar old_value, struct mt_scalar new_value);

/* For defs.c: take a packet for definitions, never to be reused; NULL when half of the
 * buffer holds definitions already, or none is free. */
struct mt_packet_header *mt_ring_take_defs_packet(void);

/* ---- inline ---------------------------------------------------------------------------- */

/* Number of the next event of this process. Its time is taken right before or after it, so that
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

/* Bytes of a scalar's encoding, by tag. */
static inline uint32_t mt_scalar_size(struct mt_scalar scalar)
{
    static const uint8_t sizes[MT_TAG_STR] = {
        [MT_TAG_INT32] = 4, [MT_TAG_INT64] = 8, [MT_TAG_FLOAT] = 8};

    return sizes[scalar.tag];
}

/* Room that mt_ring_append_scalars() may write into, over-writing included. */
enum { MT_SCALAR_EVENT_BYTES = 48 };

static inline __attribute__((always_inline)) bool
mt_ring_append_scalars(struct mt_ring *ring, uint64_t time_ns, enum mt_kind kind, uint32_t site,
                       uint32_t activation, struct mt_scalar key, struct mt_scalar old_value,
                       struct mt_scalar new_value)
{
    if (__builtin_expect(ring->used > MT_PACKET_BYTES - MT_SCALAR_EVENT_BYTES, 0))
        return false;
    struct mt_packet_header *packet = ring->packet;
    uint64_t seq = mt_ring_take_seq();
    uint64_t id = (uint64_t)kind | (key.tag != MT_TAG_ABSENT ? MT_EVENT_KEY : 0);
    uint64_t tags = (uint64_t)(old_value.tag | new_value.tag << 4);
    uint8_t *at = (uint8_t *)packet + ring->used;
    // memtrace.h, "An event". Compact: id, time, seq and tags are one word. Unsigned differences:
    // what went backwards doesn't fit either. What is written too much is overwritten by what
    // follows.
    if (__builtin_expect(((seq - ring->last_seq) >> 16 | (time_ns - ring->last_time) >> 32) == 0,
                         1)) {
        uint64_t head = tags << 56 | (uint64_t)(uint16_t)seq << 40 |
                        (uint64_t)(uint32_t)time_ns << 8 | id;
        memcpy(at, &head, sizeof head);
        at += sizeof head;
    } else {
        *at = (uint8_t)(id | MT_EVENT_EXTENDED);
        memcpy(at + 1, &time_ns, sizeof time_ns);
        memcpy(at + 9, &seq, sizeof seq);
        at[17] = (uint8_t)tags;
        at += 18;
    }
    ring->last_seq = seq;
    ring->last_time = time_ns;
    memcpy(at, &site, sizeof site);
    memcpy(at + sizeof site, &activation, sizeof activation);
    at += sizeof site + sizeof activation;
    if (key.tag != MT_TAG_ABSENT) {
        *at = key.tag;
        memcpy(at + 1, &key.bits, sizeof key.bits);
        at += 1 + mt_scalar_size(key);
    }
    memcpy(at, &old_value.bits, sizeof old_value.bits);
    at += mt_scalar_size(old_value);
    memcpy(at, &new_value.bits, sizeof new_value.bits);
    at += mt_scalar_size(new_value);
    uint64_t used = (uint64_t)(at - (uint8_t *)packet);
    ring->used = (uint32_t)used;
    // Only this thread writes it; another one reads it when it takes a dead thread's packet.
    __atomic_store_n(&packet->event_count, packet->event_count + 1, __ATOMIC_RELAXED);
    // The commit. Pairs with the acquire load of content_bits in packets.c.
    __atomic_store_n(&packet->content_bits, used * 8, __ATOMIC_RELEASE);
    return true;
}

#endif
