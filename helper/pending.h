/* Instructions that have begun and whose outcome makes the event.
 *
 * A store that may fail or run code, a mutating call, a slice store and an in-place operator
 * are entries on a thread's stack from the moment before they run until the frame's next
 * instruction (the operator: until its partner store), or until they raise. Entries nest,
 * because code that an instruction runs has stores of its own. With the GIL, on the thread that
 * runs the frame. */
#ifndef MT_PENDING_H
#define MT_PENDING_H

#include <Python.h>
#include <stdbool.h>
#include "thread.h"
#include "value.h"

/* ---- for drivers ------------------------------------------------------------------------- */

/* The frame's next instruction is about to run: the one before is done. */
void mt_pending_settle(struct mt_thread *thread, mt_frame *frame);

/* The instruction raised. */
void mt_pending_raise(struct mt_thread *thread, mt_frame *frame);

/* ---- for the engine ---------------------------------------------------------------------- */

/* The frame's call ends: settle what is done, drop the rest. */
void mt_pending_end(struct mt_thread *thread, mt_frame *frame);

/* A new entry, its key and container empty. NULL: nested too deeply (counted in lost_pending). */
struct mt_pending *mt_pending_push(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                                   struct mt_site *site, enum mt_pending_what what);

/* The innermost entry if it is this frame's, or NULL. */
struct mt_pending *mt_pending_top(struct mt_thread *thread, mt_frame *frame);

/* The innermost entry is done with; what it held is given back. */
void mt_pending_pop(struct mt_thread *thread);

/* The same, but what it held is returned, for the caller to give back (new reference or NULL):
 * where that must not happen at once, because it may run code of the program. */
PyObject *mt_pending_take(struct mt_thread *thread);

/* Remember a container, with a bounded snapshot, before an instruction that may change it.
 * `length_tells`: its length is enough to see whether it did. NULL: no room. */
struct mt_pending *mt_pending_mutation(struct mt_thread *thread, mt_frame *frame,
                                       struct mt_plan *plan, struct mt_site *site,
                                       enum mt_pending_what what, PyObject *container,
                                       bool length_tells);

/* Does the entry's container, which lives, differ from what it was? */
bool mt_pending_changed(const struct mt_pending *pending);

/* Write that it does: MUTATED. `site`: what is named as changed; `hide`: its contents are
 * redacted; `key` may be NULL; `done`: the instruction has run (see struct mt_emission). */
void mt_pending_write_mutation(struct mt_thread *thread, mt_frame *frame,
                               struct mt_pending *pending, struct mt_site *site, bool hide,
                               const struct mt_value *key, bool done);

/* The object that the plain name of a site holds now (a local, a cell, a name of a namespace),
 * borrowed, or NULL. Without the GIL: of locals only. */
PyObject *mt_pending_variable(mt_frame *frame, const struct mt_site *site);

#endif
