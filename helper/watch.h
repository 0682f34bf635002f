/* Variable breakpoints: which are armed, where they apply, and whether an event hits.
 *
 * The decision is made here, in the debuggee: an event that does not hit costs no stop. A
 * condition is Python that the person wrote; it is compiled when the breakpoint is set and
 * run at the store, over `old`, `new` and the frame's variables, with recording and tracing
 * suspended. It is the only Python code that the helper ever runs. Needs the GIL. */
#ifndef MT_WATCH_H
#define MT_WATCH_H

#include <Python.h>
#include <stdbool.h>
#include "frame.h"
#include "plan.h"
#include "request.h"

/* Arm the request's breakpoints instead of those before (texts are borrowed from it).
 * MT_BAD_REQUEST with the syntax error as detail when a condition does not compile; then
 * nothing is armed. */
enum mt_status mt_watch_configure(const struct mt_request *request);

void mt_watch_clear(void);

/* How many are armed. */
uint32_t mt_watch_count(void);

/* Could an event of this code and name hit a breakpoint? For planning: 0 no, 1 yes. */
uint32_t mt_watch_applies(PyCodeObject *code, const struct mt_plan *plan, enum mt_scope scope,
                          const char *name);

/* The same for any name, by the names that the code has: it can't store to another. (CPython >=
 * 3.11) */
bool mt_watch_may_apply(PyCodeObject *code);

/* An event, as a breakpoint looks at it. Objects are borrowed; NULL where unbound or
 * unreadable. */
struct mt_watch_event {
    mt_frame *frame;
    const struct mt_plan *plan;
    const char *name;     /* of an item: its container's */
    const char *key_text; /* of an item without `key` */
    const struct mt_value *key;
    enum mt_kind kind;
    PyObject *old_object, *new_object;
};

/* Fill ret->ids and ret->count with the breakpoints that the event hits, ret->error with
 * why a condition failed (which is a hit). True if there are any. */
bool mt_watch_check(const struct mt_watch_event *event, struct mt_hit *ret);

#endif
