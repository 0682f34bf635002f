/* See line_tables.h. */

#include "line_tables.h"

#include "frame.h"

#if MT_HAVE_LINE_TABLES

static size_t bytes_max, bytes;
static mt_line_tables_trimmed *on_trimmed;

enum {
    BYTES_MAX = 2 << 20, // the bound of this module's own
    ENTRIES = 1 << 15,   // that is about as many as make BYTES_MAX, small as they may be
};

// A ring: `count` entries from `oldest` on, NULL where one was forgotten. An entry's number is 1 +
// its index. All under the GIL.
static PyCodeObject *entries[ENTRIES]; // borrowed: forgotten when they die
static uint32_t oldest, count;

static void trim_oldest(void)
{
    PyCodeObject *code = entries[oldest];

    entries[oldest] = NULL;
    oldest = (oldest + 1) % ENTRIES;
    count--;
    if (!code)
        return;
    bytes -= mt_code_line_table_bytes(code);
    mt_code_trim(code);
    on_trimmed(code);
}

uint16_t mt_line_tables_note(PyCodeObject *code)
{
    if (count == ENTRIES)
        trim_oldest();
    uint32_t index = (oldest + count++) % ENTRIES;
    entries[index] = code;
    bytes += mt_code_line_table_bytes(code);
    // This one may be the frame's that is just being traced: it stays.
    while (bytes > bytes_max && count > 1)
        trim_oldest();
    return (uint16_t)(index + 1);
}

void mt_line_tables_forget(uint16_t number)
{
    if (!number)
        return;
    bytes -= mt_code_line_table_bytes(entries[number - 1]);
    entries[number - 1] = NULL;
}

void mt_line_tables_configure(size_t new_bytes_max, mt_line_tables_trimmed *trimmed)
{
    bytes_max = new_bytes_max < BYTES_MAX ? new_bytes_max : BYTES_MAX;
    on_trimmed = trimmed;
}

size_t mt_line_tables_bytes(void)
{
    return bytes;
}

#else

void mt_line_tables_configure(size_t bytes_max, mt_line_tables_trimmed *trimmed) {}

uint16_t mt_line_tables_note(PyCodeObject *code)
{
    return 0;
}

void mt_line_tables_forget(uint16_t number) {}

size_t mt_line_tables_bytes(void)
{
    return 0;
}

#endif
