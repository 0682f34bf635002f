/* Definitions: written once, committed like events, never overwritten.
 *
 * In the debuggee. No Python.h, needs no GIL, calls no malloc and no stdio.
 *
 * Threads: `lock` is a leaf: nothing is called under it but mt_ring_take_defs_packet(),
 * which takes no lock. It is held for a few copies; a thread that is stopped under it by a
 * debugger keeps others from defining, not from appending events. A definition is committed
 * (release store of content_bits, pairs with the acquire load in catalog.c) before its id is
 * returned, so before any event that names it is numbered: a reader that notes the next number
 * first and reads definitions afterwards knows the ids of all events before that number. */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "clock.h"
#include "defs.h"
#include "ring.h"

enum { TEXT_BYTES_MAX = 4096, DEFINITION_HEAD_BYTES_MAX = 16 };

/* What a NUL inside a text is written as: U+2400, symbol for null. */
static const char nul_symbol[3] = {'\xe2', '\x90', '\x80'};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* All below are under `lock`. The open packet of the stream, NULL before the first one. */
static struct mt_packet_header *packet;
static uint32_t used;                     /* bytes of it, header included */
static uint32_t last_id[MT_DEF_NOTE + 1]; /* by enum mt_def */

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

/* Bytes of `text` that are kept: whole characters. */
static size_t cut_text(struct mt_text text)
{
    if (text.size <= TEXT_BYTES_MAX)
        return text.size;
    size_t size = TEXT_BYTES_MAX;
    while (size > 0 && ((uint8_t)text.bytes[size] & 0xc0) == 0x80)
        size--;
    return size;
}

/* Upper bound: a NUL grows to three bytes. */
static size_t bound_text(struct mt_text text)
{
    size_t kept = cut_text(text), bytes = kept + 1;
    for (size_t i = 0; i < kept; i++)
        if (text.bytes[i] == '\0')
            bytes += sizeof nul_symbol - 1;
    return bytes;
}

static uint8_t *put_text(uint8_t *at, struct mt_text text)
{
    size_t kept = cut_text(text);
    for (size_t i = 0; i < kept; i++) {
        if (text.bytes[i] != '\0') {
            *at++ = (uint8_t)text.bytes[i];
        } else {
            memcpy(at, nul_symbol, sizeof nul_symbol);
            at += sizeof nul_symbol;
        }
    }
    *at++ = '\0';
    return at;
}

/* Make room and begin a definition, under `*id`, or the next one if that is 0. NULL, and *id 0,
 * if there is no room. Under `lock`. */
static uint8_t *begin(enum mt_def kind, size_t bytes, uint32_t *id)
{
    if (!packet || used + bytes > MT_PACKET_BYTES) {
        struct mt_packet_header *taken = mt_ring_take_defs_packet();
        if (!taken) {
            __atomic_fetch_add(&mt_control->lost_definitions, 1, __ATOMIC_RELAXED);
            *id = 0;
            return NULL;
        }
        if (packet)
            __atomic_store_n(&packet->timestamp_end, mt_clock_ns(), __ATOMIC_RELAXED);
        packet = taken;
        used = sizeof *packet;
    }
    if (!*id)
        *id = ++last_id[kind];
    uint8_t *at = (uint8_t *)packet + used;
    *at++ = (uint8_t)kind;
    return put_u32(at, *id);
}

/* The definition ends at `end`: show it to readers. Under `lock`. */
static void commit(const uint8_t *end)
{
    uint32_t now_used = (uint32_t)(end - (uint8_t *)packet);
    __atomic_fetch_add(&mt_control->defs_bytes, now_used - used, __ATOMIC_RELAXED);
    used = now_used;
    __atomic_store_n(&packet->event_count, packet->event_count + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&packet->content_bits, (uint64_t)used * 8, __ATOMIC_RELEASE);
}

uint32_t mt_defs_code(struct mt_text file, struct mt_text qualname, uint32_t first_line)
{
    uint32_t id = 0;
    size_t bytes = DEFINITION_HEAD_BYTES_MAX + bound_text(file) + bound_text(qualname);
    pthread_mutex_lock(&lock);
    uint8_t *at = begin(MT_DEF_CODE, bytes, &id);
    if (at) {
        at = put_u32(at, first_line);
        at = put_text(at, file);
        commit(put_text(at, qualname));
    }
    pthread_mutex_unlock(&lock);
    return id;
}

uint32_t mt_defs_reserve_sites(uint32_t count)
{
    pthread_mutex_lock(&lock);
    uint32_t first = last_id[MT_DEF_SITE] + 1;
    last_id[MT_DEF_SITE] += count;
    pthread_mutex_unlock(&lock);
    return first;
}

uint32_t mt_defs_site(uint32_t site, uint32_t code, uint32_t line, enum mt_scope scope,
                      struct mt_text name, struct mt_text key)
{
    uint32_t id = site;
    size_t bytes = DEFINITION_HEAD_BYTES_MAX + bound_text(name) + bound_text(key);
    pthread_mutex_lock(&lock);
    uint8_t *at = begin(MT_DEF_SITE, bytes, &id);
    if (at) {
        at = put_u32(at, code);
        at = put_u32(at, line);
        *at++ = (uint8_t)scope;
        at = put_text(at, name);
        commit(put_text(at, key));
    }
    pthread_mutex_unlock(&lock);
    return id;
}

uint32_t mt_defs_type(struct mt_text name)
{
    uint32_t id = 0;
    size_t bytes = DEFINITION_HEAD_BYTES_MAX + bound_text(name);
    pthread_mutex_lock(&lock);
    uint8_t *at = begin(MT_DEF_TYPE, bytes, &id);
    if (at)
        commit(put_text(at, name));
    pthread_mutex_unlock(&lock);
    return id;
}

uint32_t mt_defs_note(uint64_t seq, uint64_t time_ns, struct mt_text text)
{
    uint32_t id = 0;
    size_t bytes = DEFINITION_HEAD_BYTES_MAX + 16 + bound_text(text);
    pthread_mutex_lock(&lock);
    uint8_t *at = begin(MT_DEF_NOTE, bytes, &id);
    if (at) {
        memcpy(at, &seq, sizeof seq);
        memcpy(at + 8, &time_ns, sizeof time_ns);
        commit(put_text(at + 16, text));
    }
    pthread_mutex_unlock(&lock);
    return id;
}

void mt_defs_reset(void)
{
    // A forked child may have been born while another thread of the parent held it.
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    lock = fresh;
    packet = NULL;
    used = 0;
    memset(last_id, 0, sizeof last_id);
}
