/* Definitions as the reader knows them: code objects, store sites, types by their ids.
 *
 * Only grows: definitions are never overwritten. Strings are the catalog's, valid until it
 * ends. No Python.h. Threads: one at a time. */
#ifndef MT_CATALOG_H
#define MT_CATALOG_H

#include "packets.h"

struct mt_code_def {
    const char *file, *qualname;
    uint32_t first_line;
};
struct mt_site_def {
    uint32_t code, line;
    uint8_t scope;
    const char *name, *key;
};

/* One table by id: `size` entries, the first of which (id 0) stands for what was lost. */
struct mt_table {
    void *entries;
    uint32_t size, capacity;
};

struct mt_note_def {
    uint64_t seq, time_ns;
    const char *text;
};

struct mt_text_chunk;

struct mt_catalog {
    struct mt_table codes;        /* struct mt_code_def; file NULL: not defined */
    struct mt_table sites;        /* struct mt_site_def; name NULL: not defined */
    struct mt_table types;        /* const char *; NULL: not defined */
    struct mt_table notes;        /* struct mt_note_def; text NULL: not defined */
    uint64_t id_limit;            /* more definitions than that can't be there */
    uint32_t *parsed;             /* bytes read of the buffer's packet by index */
    bool complete;                /* everything was read: a recording, a dead buffer */
    struct mt_text_chunk *chunks; /* copies of definitions, that strings point into */
    uint64_t damaged;             /* packets whose rest made no sense */
};

/* Read what was defined since the last call. */
enum mt_status mt_catalog_refresh(struct mt_catalog *catalog, const struct mt_source *source);
void mt_catalog_deinit(struct mt_catalog *catalog);

/* Never NULL: what isn't defined has the name "?". */
const struct mt_code_def *mt_catalog_code(const struct mt_catalog *catalog, uint32_t id);
const struct mt_site_def *mt_catalog_site(const struct mt_catalog *catalog, uint32_t id);
/* "" if not defined. */
const char *mt_catalog_type(const struct mt_catalog *catalog, uint32_t id);

#endif
