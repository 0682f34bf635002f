/* Which plans are in memory, within a bound.
 *
 * A plan weighs about as much as its code object. So that a program of very many functions
 * doesn't pay for all that it ever called, plans that are not in use are dropped once all
 * that is kept with code objects outweighs the bound, and made again at the code's next call.
 * What must outlast a plan (its definitions' ids, whether the driver has events on in the code)
 * stays behind as its remains, 24 bytes. A plan that a thread is in is never dropped.
 *
 * What counts: plans, on 3.11 the tables of lines of their code and of other (line_tables.h),
 * remains, and the words. The more code objects there are, the less is left for plans.
 *
 * A code object's slot holds one word: 0, never seen; odd, not traced (verdict.c says how long
 * that holds), with the number that line_tables.h has for it in the highest 16 bits; even, a
 * plan or its remains. With the GIL. Without it (sharing.h) no plan is
 * dropped, since others may be reading it, and all is under mt_sharing_lock, or alone. */
#ifndef MT_PLAN_CACHE_H
#define MT_PLAN_CACHE_H

#include <Python.h> // first: its feature macros
#include <stdbool.h>
#include <stdint.h>
#include "plan.h"
#include "status.h"

/* What is left of a plan. */
struct mt_remains {
    PyCodeObject *code; /* borrowed: the entry ends with the code; NULL: a free entry */
    uint32_t code_id;   /* as plan->def_id; of a free entry: 1 + index of the next free one */
    uint32_t first_id;  /* as in the plan, and so below */
    /* Generation of the options by which the code is not traced, 0 none */
    uint32_t not_traced : 31;
    bool starts_threads : 1;
    uint16_t watched;    /* as in the plan */
    uint16_t line_table; /* its number (line_tables.h), 0 none */
};

/* The bound, from now on; 0 drops whatever can be. */
void mt_plan_cache_configure(size_t bytes_max);

/* MT_NO_MEMORY or another reason when the interpreter has no slot for plans. */
enum mt_status mt_plan_cache_init(void);

/* Give the code its first word, or another. False: no memory. */
bool mt_plan_cache_set_word(PyCodeObject *code, uintptr_t word);

/* The plan in the code's word, or NULL; its remains, or NULL. */
static inline struct mt_plan *mt_plan_cache_plan(uintptr_t word)
{
    return word & 3 ? NULL : (struct mt_plan *)word;
}
struct mt_remains *mt_plan_cache_remains(uintptr_t word);

/* The number in the code's word, or in its remains, by which line_tables.h knows it; 0: none. */
uint16_t mt_plan_cache_line_table(uintptr_t word);
uintptr_t mt_plan_cache_with_line_table(uintptr_t not_traced, uint16_t number);

/* Keep a new plan with its code object, which takes it over, with what an earlier one left.
 * False: no memory, the plan is destroyed. */
bool mt_plan_cache_add(struct mt_plan *plan);

/* Call `each` for every code object in which the driver has events on, `watched` being this
 * number. `plan` or `remains` is its, the other NULL. `each` may not add plans. */
typedef void mt_plan_cache_each(PyCodeObject *code, struct mt_plan *plan,
                                struct mt_remains *remains, void *context);
void mt_plan_cache_each_watched(uint16_t watched, mt_plan_cache_each *each, void *context);

/* The plan at this address, if there is one. */
struct mt_plan *mt_plan_cache_find(const void *address);

/* Call `each` for every plan in memory. */
void mt_plan_cache_each_plan(void (*each)(struct mt_plan *plan));

/* The buffer is a new one: forget all ids of definitions. */
void mt_plan_cache_renew(void);

/* For tests: plans in memory, and what all that is kept weighs. */
uint32_t mt_plan_cache_count(void);
size_t mt_plan_cache_bytes(void);

#endif
