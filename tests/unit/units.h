/* What the unit tests of the modules without Python.h share: a small buffer, and short ways
 * to write events into it. Included by each test once, after nothing. */
#ifndef MT_UNITS_H
#define MT_UNITS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defs.h"
#include "reader.h"
#include "ring.h"

#define TEXT(string) ((struct mt_text){string, sizeof string - 1})

static inline struct mt_control *open_buffer(uint64_t bytes)
{
    struct mt_control *control = NULL;
    assert_int_equal(mt_buffer_create(bytes, &control), MT_OK);
    mt_defs_reset();
    return control;
}

static inline struct mt_value value_absent(void)
{
    return (struct mt_value){.tag = MT_TAG_ABSENT};
}

static inline struct mt_value value_of(uint8_t tag, const void *bytes, size_t size)
{
    struct mt_value value = {.tag = tag, .size = (uint16_t)size};
    memcpy(value.bytes, bytes, size);
    return value;
}

static inline struct mt_value value_int(int32_t number)
{
    return value_of(MT_TAG_INT32, &number, sizeof number);
}

/* A str that is whole, of one-byte characters. */
static inline struct mt_value value_str(const char *text)
{
    uint32_t length = (uint32_t)strlen(text);
    uint16_t n = (uint16_t)length;
    struct mt_value value = {.tag = MT_TAG_STR, .size = (uint16_t)(6 + length)};
    memcpy(value.bytes, &length, 4);
    memcpy(value.bytes + 4, &n, 2);
    memcpy(value.bytes + 6, text, length);
    return value;
}

static inline uint64_t append(struct mt_ring *ring, enum mt_kind kind, uint32_t site,
                              struct mt_value old_value, struct mt_value new_value)
{
    struct mt_record record = {kind, site, 1, &old_value, &new_value, NULL};
    return mt_ring_append(ring, &record);
}

static inline uint64_t append_int(struct mt_ring *ring, uint32_t site, int32_t number)
{
    return append(ring, MT_MODIFIED, site, value_int(number - 1), value_int(number));
}

/* A reader of the buffer, live. */
static inline struct mt_reader *open_live(struct mt_control *control)
{
    char error[MT_DETAIL_BYTES];
    struct mt_reader *reader = NULL;
    int status = mt_reader_open_memory(control, control->buffer_bytes, 1, &reader, error);
    if (status != MT_OK)
        fail_msg("mt_reader_open_memory: %s", error);
    return reader;
}

static inline struct mt_cursor *query(struct mt_reader *reader, struct mt_filter filter)
{
    struct mt_cursor *cursor = NULL;
    assert_int_equal(mt_reader_query(reader, &filter, &cursor), MT_OK);
    return cursor;
}

/* The numbers of the events that match, as "1 2 5". Static. */
static inline const char *seqs(struct mt_reader *reader, struct mt_filter filter)
{
    static char text[4096];
    size_t size = 0;
    struct mt_cursor *cursor = query(reader, filter);
    struct mt_event event;
    text[0] = '\0';
    while (mt_cursor_next(cursor, &event) && size < sizeof text - 32)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%llu", size ? " " : "",
                                 (unsigned long long)event.seq);
    mt_cursor_close(cursor);
    return text;
}

#endif
