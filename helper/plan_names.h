/* Source text of the expressions that plan_flow.c finds, by the rules of docs/events.md,
 * "Names". Needs the GIL; runs no Python code, causes no garbage collection, leaves no
 * exception set. */
#ifndef MT_PLAN_NAMES_H
#define MT_PLAN_NAMES_H

#include "memtrace.h"
#include "plan_flow.h"

enum { MT_NAME_BYTES = 2048 };

/* Text under construction; what doesn't fit is left out whole: the expression is …. */
struct mt_name {
    uint32_t size;
    bool full;
    char bytes[MT_NAME_BYTES];
};

void mt_name_clear(struct mt_name *name);

/* Append a str in UTF-8 (surrogatepass; NUL as U+2400). NULL appends …. */
void mt_name_string(struct mt_name *name, PyObject *string);

/* Append the expression as a base: `x`, `base.attr`, `base[key]`, `base(…)` or `…`. */
void mt_name_base(struct mt_name *name, const struct mt_flow *flow, uint32_t node);

/* Append `.name`. */
void mt_name_attribute(struct mt_name *name, PyObject *attribute);

/* Append the expression as a key: as a constant is written, else as a base. */
void mt_name_key(struct mt_name *name, const struct mt_flow *flow, uint32_t node);

/* As mt_name_key(), but a slice as `start:stop` or `start:stop:step`, empty where None. */
void mt_name_final_key(struct mt_name *name, const struct mt_flow *flow, uint32_t node);

/* The same for a slice whose start and stop are on the stack. */
void mt_name_slice(struct mt_name *name, const struct mt_flow *flow, uint32_t start, uint32_t stop);

#endif
