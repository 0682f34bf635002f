/* A store site is about to run: read old and new, decide what kind of change it is, write it.
 *
 * A store that can neither fail nor run code is written before it runs: the old value is still
 * there and the new one is on the operand stack. Any other becomes a pending entry. With the
 * GIL, on the thread that runs the frame; thread->call is that frame's. */
#ifndef MT_STORE_H
#define MT_STORE_H

#include <Python.h>
#include <stdbool.h>
#include "plan.h"
#include "ring.h"
#include "thread.h"
#include "value.h"

/* The instruction of this site is about to run, the one before is settled. */
void mt_store_site(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                   struct mt_site *site);

/* ---- inline: the hot path --------------------------------------------------------------- */

/* A site for what is by far the commonest: a scalar (or nothing) in a local, and a scalar that
 * replaces it, with nothing to settle before. False: it is something else, nothing is done. */
static inline bool mt_store_scalar(struct mt_thread *thread, mt_frame *frame,
                                   const struct mt_site *site)
{
    struct mt_scalar old_value, new_value;

    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&site->def_id, __ATOMIC_ACQUIRE);

    if (site->plain != MT_PLAIN_LOCAL || !def_id ||
        !mt_value_scalar(mt_frame_operand(frame, site->depth, 0), &new_value) ||
        !mt_value_scalar(mt_frame_slot(frame, site->slot), &old_value))
        return false;
    if (mt_value_scalars_equal(old_value, new_value))
        return true;
    return mt_ring_append_scalars(&thread->ring,
                                  old_value.tag == MT_TAG_ABSENT ? MT_NEW : MT_MODIFIED, def_id,
                                  thread->call.activation, (struct mt_scalar){.tag = MT_TAG_ABSENT},
                                  old_value, new_value) != 0;
}

#endif
