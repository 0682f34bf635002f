/* One event of a packet, decoded: what the reader and the writer of recordings share.
 *
 * Inline, because a query decodes millions. Never reads behind `end`. No Python.h. */
#ifndef MT_EVENT_H
#define MT_EVENT_H

#include <stdbool.h>
#include <string.h>
#include "memtrace.h"

/* Where decoding of a packet stands. */
struct mt_decoder {
    const uint8_t *at, *end;
    uint64_t seq, time_ns; /* of the event before */
};

/* An event as it lies in its packet; the encodings have no tag in front. */
struct mt_raw_event {
    uint64_t seq, time_ns;
    uint32_t site, activation;
    uint8_t kind, old_tag, new_tag, key_tag;
    bool has_key;
    uint32_t key_size, old_size, new_size;
    const uint8_t *key; /* old and new follow it */
};

enum mt_decoded { MT_DECODED_EVENT, MT_DECODED_END, MT_DECODED_DAMAGED };

/* Begin behind the header of the packet at `packet`, whose header and events are
 * `content_bytes` long (at least a header: the caller has checked). */
static inline struct mt_decoder mt_decoder_begin(const uint8_t *packet, uint32_t content_bytes)
{
    struct mt_packet_header header;
    memcpy(&header, packet, sizeof header);
    return (struct mt_decoder){packet + sizeof header, packet + content_bytes, header.first_seq,
                               header.timestamp_begin};
}

/* Bytes of the encoding behind `tag`, or -1: unknown tag or cut off. */
static inline int64_t mt_event_value_bytes(uint8_t tag, const uint8_t *at, const uint8_t *end)
{
    // 100: length and 16-bit size, then that many bytes. 101: 16-bit size first.
    static const uint8_t sizes[16] = {0, 0, 0, 0, 4, 8, 8, 100, 100, 12, 101, 0, 0, 255, 255, 255};
    int64_t size = sizes[tag & 15], available = end - at;
    if (size >= 100) {
        int64_t head = size == 100 ? 6 : 2;
        uint16_t n;
        if (size == 255 || available < head)
            return -1;
        memcpy(&n, at + head - 2, sizeof n);
        size = head + n;
    }
    return tag < 16 && size <= available ? size : -1;
}

static inline enum mt_decoded mt_decode_event(struct mt_decoder *decoder, struct mt_raw_event *ret)
{
    enum { COMPACT_BYTES = 16, EXTENDED_BYTES = 26 };
    const uint8_t *at = decoder->at, *end = decoder->end;
    if (at == end)
        return MT_DECODED_END;
    uint8_t id = *at;
    bool extended = id & MT_EVENT_EXTENDED;
    if (end - at < (extended ? EXTENDED_BYTES : COMPACT_BYTES))
        return MT_DECODED_DAMAGED;
    at++;
    if (!extended) {
        uint16_t seq;
        uint32_t time_ns;
        memcpy(&time_ns, at, sizeof time_ns);
        memcpy(&seq, at + sizeof time_ns, sizeof seq);
        at += sizeof seq + sizeof time_ns;
        ret->seq = decoder->seq + (uint16_t)(seq - (uint16_t)decoder->seq);
        ret->time_ns = decoder->time_ns + (uint32_t)(time_ns - (uint32_t)decoder->time_ns);
    } else {
        memcpy(&ret->time_ns, at, sizeof ret->time_ns);
        memcpy(&ret->seq, at + sizeof ret->time_ns, sizeof ret->seq);
        at += sizeof ret->seq + sizeof ret->time_ns;
    }
    uint8_t tags = *at++;
    memcpy(&ret->site, at, sizeof ret->site);
    memcpy(&ret->activation, at + sizeof ret->site, sizeof ret->activation);
    at += sizeof ret->site + sizeof ret->activation;

    ret->kind = id & MT_EVENT_KIND_MASK;
    ret->old_tag = tags & 15;
    ret->new_tag = tags >> 4;
    ret->has_key = id & MT_EVENT_KEY;
    ret->key_tag = MT_TAG_ABSENT;
    int64_t key_size = 0;
    if (ret->has_key) {
        if (at == end)
            return MT_DECODED_DAMAGED;
        ret->key_tag = *at++;
        key_size = mt_event_value_bytes(ret->key_tag, at, end);
    }
    if (key_size < 0 || ret->kind >= MT_KIND_COUNT ||
        (id & ~(MT_EVENT_KIND_MASK | MT_EVENT_KEY | MT_EVENT_EXTENDED)))
        return MT_DECODED_DAMAGED;
    ret->key = at;
    ret->key_size = (uint32_t)key_size;
    at += key_size;
    int64_t old_size = mt_event_value_bytes(ret->old_tag, at, end);
    if (old_size < 0)
        return MT_DECODED_DAMAGED;
    ret->old_size = (uint32_t)old_size;
    at += old_size;
    int64_t new_size = mt_event_value_bytes(ret->new_tag, at, end);
    if (new_size < 0)
        return MT_DECODED_DAMAGED;
    ret->new_size = (uint32_t)new_size;
    decoder->at = at + new_size;
    decoder->seq = ret->seq;
    decoder->time_ns = ret->time_ns;
    return MT_DECODED_EVENT;
}

#endif
