/* Which code is recorded, under the options in force: the verdict on a code object is its plan,
 * or a mark that it isn't traced. Both stay with the code object until the options change.
 *
 * With the GIL. Without it, a plan is judged before it is published (mt_sharing_lock) and from
 * then on only alone (guard.h), by mt_verdict_expire: a thread can read it as it is. */
#ifndef MT_VERDICT_H
#define MT_VERDICT_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include "plan.h"
#include "status.h"

/* The options that matter per event (of the request in force, which is the service's), and their
 * generation: it grows with every change, so that verdicts of an older one expire. */
struct mt_verdict {
    bool all;       /* every change is recorded; false: breakpoints alone */
    bool rebound;   /* REBOUND events too */
    bool mutations; /* mutating calls too */
    uint32_t generation;
};

extern struct mt_verdict mt_verdict;

/* MT_NO_MEMORY or another reason when the interpreter has no slot for plans. */
enum mt_status mt_verdict_init(void);

/* The same for another interpreter's code. False: it has none, and its code can't be recorded. */
bool mt_verdict_cover(PyInterpreterState *interp);

/* Bound what is kept with code objects (plan_cache.h, line_tables.h), from now on, as the request
 * says. */
void mt_verdict_configure(uint32_t plan_bytes);

/* Every code object is judged anew: options or breakpoints changed. */
void mt_verdict_expire(void);

/* The same, and definitions are written again: the buffer is a new one. */
void mt_verdict_renew(void);

/* Is anything recorded in this code? Plans it at first sight. NULL: not traced. */
struct mt_plan *mt_verdict_plan(PyCodeObject *code);

/* May anything be recorded in this code? Decided without a plan: true also where one would show
 * that nothing is. (CPython >= 3.11, whose code objects have qualified names) */
bool mt_verdict_may_trace(PyCodeObject *code);

/* The plan that this code, which runs, has already; NULL: none. Judges nothing. */
struct mt_plan *mt_verdict_known(PyCodeObject *code);

/* Does the code name start_new_thread, as Thread.start() does? */
bool mt_verdict_starts_threads(PyCodeObject *code);

#endif
