/* Definitions: code objects, store sites and type names, written once into packets of
 * stream MT_STREAM_DEFS and never overwritten.
 *
 * Each function writes a definition and returns its id, from 1 within its kind, or 0 when
 * there is no room (counted in lost_definitions). Callers remember ids; nothing is looked
 * up here. Sites get their ids before: those of one code object follow one another. Strings are
 * UTF-8, need no terminator, and are cut at 4096 bytes; a NUL inside is written as U+2400. No
 * Python.h. Threads: a leaf mutex inside, held for a few copies. */
#ifndef MT_DEFS_H
#define MT_DEFS_H

#include <stddef.h>
#include "memtrace.h"

struct mt_text {
    const char *bytes;
    size_t size;
};

uint32_t mt_defs_code(struct mt_text file, struct mt_text qualname, uint32_t first_line);
uint32_t mt_defs_site(uint32_t site, uint32_t code, uint32_t line, enum mt_scope scope,
                      struct mt_text name, struct mt_text key);
uint32_t mt_defs_type(struct mt_text name);

/* Something to know about the events from number `seq` on. */
uint32_t mt_defs_note(uint64_t seq, uint64_t time_ns, struct mt_text text);

/* Set `count` ids aside for mt_defs_site(); returns the first. */
uint32_t mt_defs_reserve_sites(uint32_t count);

/* Forget the open packet and restart ids: for a new buffer (fork, unit tests). */
void mt_defs_reset(void);

#endif
