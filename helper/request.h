/* A request of gdb's, parsed. The text's form is in memtrace.h. No Python.h. */
#ifndef MT_REQUEST_H
#define MT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include "memtrace.h"

enum {
    MT_OVERHEAD_PERCENT_MIN = 105,
    MT_OVERHEAD_PERCENT_MAX = 100000,
};

/* As much as verdict.c finds right for the version. */
#define MT_PLAN_BYTES_DEFAULT UINT32_MAX

enum mt_verb { MT_VERB_INSTALL, MT_VERB_CHANGE, MT_VERB_REMOVE };

/* One variable breakpoint. Strings are of the request; "" where not given. */
struct mt_breakpoint {
    uint32_t number;
    const char *file, *module, *function, *target, *condition;
};

/* Everything that shall be in force. Owns its text. */
struct mt_request {
    enum mt_verb verb;
    bool all, record, rebound, mutations, follow_fork;
    uint32_t value_size;
    uint32_t max_overhead; /* per cent; 0: no limit */
    uint32_t plan_bytes;   /* see plan_cache.h */
    const char *only, *skip, *skip_var,
        *redact; /* lists: texts ending in '\0', the list in another */
    size_t breakpoint_count;
    struct mt_breakpoint *breakpoints; /* in memory */
    void *memory;                      /* one block: unescaped texts, lists, breakpoints */
    size_t memory_size;
};

/* Parse `text` (at most MT_REQUEST_BYTES, NUL terminated within). MT_OK, MT_BAD_REQUEST with
 * the line in the detail, or MT_NO_MEMORY. */
enum mt_status mt_request_parse(const char *text, struct mt_request *ret);
void mt_request_deinit(struct mt_request *request);

#endif
