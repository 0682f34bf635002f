/* The engine: a store site is about to run → capture → breakpoints → ring.
 *
 * Drivers call in here, with the GIL, on the thread that runs the frame, at these moments;
 * nothing here knows how they found out. Runs no Python code of the program and keeps no
 * reference to its objects (but see "A reference, once" in engine.c). Leaves the exception
 * state and errno as they are. */
#ifndef MT_ENGINE_H
#define MT_ENGINE_H

#include <Python.h>
#include <stdbool.h>
#include "request.h"
#include "thread.h"
#include "value.h"

/* Options of the request from now on (texts borrowed until the next call): every code object
 * is judged anew. `fresh`: a recording begins, number activations from 1. */
enum mt_status mt_engine_configure(const struct mt_request *request, bool fresh);

/* The buffer is a new one: definitions are written again, activations numbered from 1. */
void mt_engine_renew(void);

/* Recording is on: false from mt_engine_stop() on, and in a forked child. */
extern bool mt_engine_on;

/* Stop: rings are closed, breakpoints forgotten. */
void mt_engine_stop(void);

/* Is anything recorded in this code? Plans it at first sight. NULL: not traced. */
struct mt_plan *mt_engine_plan(PyCodeObject *code);

/* Does the code name start_new_thread, as Thread.start() does? */
bool mt_engine_starts_threads(PyCodeObject *code);

/* What a driver wants called with each plan that dies with its code object, or NULL. */
extern void (*mt_engine_plan_dies)(struct mt_plan *plan);

/* A call begins, or a suspended one resumes (`begins` false). `returns`: the driver will tell of
 * its return too. */
void mt_engine_call(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan, bool begins,
                    bool returns);

/* The instruction at byte `offset` is about to run: the one before is done. Inline, because
 * most instructions are no site. */
void mt_engine_site(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                    struct mt_site *site);
void mt_engine_settle(struct mt_thread *thread, mt_frame *frame);

static inline bool mt_engine_unsettled(const struct mt_thread *thread, const mt_frame *frame)
{
    return !thread->unsettled ? false
                              : thread->hit_frame == frame ||
                                    (thread->pending_count &&
                                     thread->pending[thread->pending_count - 1].frame == frame);
}

/* The plan of a frame that an event came from, with thread->call set to match. NULL:
 * not traced. */
struct mt_plan *mt_engine_enter(struct mt_thread *thread, mt_frame *frame);

/* The instruction raised. */
void mt_engine_raised(struct mt_thread *thread, mt_frame *frame);

/* The call returns, is unwound, or (`suspended`) yields. */
void mt_engine_return(struct mt_thread *thread, mt_frame *frame, bool suspended);

/* ---- inline: the hot path --------------------------------------------------------------- */

/* A site for what is by far the commonest: a scalar (or nothing) in a local, and a scalar that
 * replaces it, with nothing to settle before. False: it is something else, nothing is done. */
static inline bool mt_engine_store_scalar(struct mt_thread *thread, mt_frame *frame,
                                          const struct mt_site *site)
{
    struct mt_scalar old_value, new_value;

    if (site->plain != MT_PLAIN_LOCAL || !site->def_id ||
        !mt_value_scalar(mt_frame_operand(frame, site->depth, 0), &new_value) ||
        !mt_value_scalar(mt_frame_slot(frame, site->slot), &old_value))
        return false;
    if (mt_value_scalars_equal(old_value, new_value))
        return true;
    return mt_ring_append_scalars(
               &thread->ring, old_value.tag == MT_TAG_ABSENT ? MT_NEW : MT_MODIFIED, site->def_id,
               thread->call.activation, (struct mt_scalar){.tag = MT_TAG_ABSENT}, old_value,
               new_value) != 0;
}

#endif
