/* From an event to the recording: definitions at first need, breakpoints, the ring.
 *
 * An event is written once its values are known; a hit of a breakpoint is shown to gdb when the
 * store is done, at once or at the frame's next instruction. With the GIL, on the thread that
 * runs the frame. */
#ifndef MT_EMIT_H
#define MT_EMIT_H

#include <Python.h>
#include <stdbool.h>
#include "plan.h"
#include "ring.h"
#include "thread.h"
#include "value.h"
#include "verdict.h"

/* One event, with everything that the ring and the breakpoints need to know. */
struct mt_emission {
    struct mt_record record;
    struct mt_plan *plan;
    struct mt_site *site;              // NULL for an argument
    struct mt_argument *argument;      // NULL for a site
    PyObject *old_object, *new_object; // borrowed; NULL where unbound or unreadable
    bool done;                         // the store has happened: a hit is shown at once
};

/* Write it, unless a breakpoint alone is interested and doesn't hit. */
void mt_emit(struct mt_thread *thread, mt_frame *frame, struct mt_emission *event);

/* The thread stops here for gdb, with thread->hit filled in. */
void mt_emit_hit(struct mt_thread *thread, mt_frame *frame);

/* In a forked child: nobody is in a hit. */
void mt_emit_forked(void);

extern const struct mt_value mt_value_absent, mt_value_redacted;

/* A value for an event: `space` filled, or a constant where there is nothing to show. NULL
 * `object`: unbound. */
static inline const struct mt_value *mt_emit_capture(PyObject *object, bool hide,
                                                     struct mt_value *space)
{
    if (!object)
        return &mt_value_absent;
    if (__builtin_expect(hide, 0))
        return &mt_value_redacted;
    mt_value_capture(object, space);
    return space;
}

#endif
