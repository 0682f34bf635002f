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

/* The instruction of this site is about to run, the one before is settled. Out of line, so that
 * what mt_store_quick() deals with pays for none of this. */
void mt_store_site(struct mt_thread *thread, mt_frame *frame, struct mt_plan *plan,
                   struct mt_site *site);

/* The line of this store, to a local of thread->call, begins, and is run unseen: note what the local
 * holds. False: it can't be done, each instruction is to be seen. Nothing of the frame is
 * unsettled. */
bool mt_store_later(struct mt_thread *thread, mt_frame *frame, struct mt_site *site);

/* mt_store_late() goes on here. */
void mt_store_late_other(struct mt_thread *thread);

/* ---- inline: the hot path --------------------------------------------------------------- */

/* A small int, or a float: the commonest scalars. False: it is something else. */
static inline __attribute__((always_inline)) bool mt_store_read_number(PyObject *object,
                                                                       struct mt_scalar *ret)
{
    int32_t small;

    if (PyLong_CheckExact(object)) {
        ret->tag = MT_TAG_INT32;
        if (!mt_pyobject_small_int(object, &small))
            return false;
        ret->bits = (uint32_t)small;
        return true;
    }
    ret->tag = MT_TAG_FLOAT;
    if (!PyFloat_CheckExact(object))
        return false;
    memcpy(&ret->bits, &((PyFloatObject *)object)->ob_fval, sizeof(double));
    return true;
}

/* A local that has a number and gets `new_object`. False: that is no number of the same kind, or
 * there is no room; nothing is done. Nothing is called from here, so that no register is saved:
 * whatever isn't at hand goes the general way. */
static inline __attribute__((always_inline)) bool mt_store_number(struct mt_thread *thread,
                                                                  uint32_t def_id,
                                                                  struct mt_scalar old_value,
                                                                  PyObject *new_object)
{
    struct mt_scalar new_value;
    uint64_t now;

    if (!mt_store_read_number(new_object, &new_value) || new_value.tag != old_value.tag)
        return false;
    // Of one tag, so that each way knows what it writes.
    if (new_value.tag == MT_TAG_INT32)
        return old_value.bits == new_value.bits ||
               (mt_clock_by_counter(&now) &&
                mt_ring_append_scalars(&thread->ring, now, MT_MODIFIED, def_id,
                                       thread->call.activation, mt_scalar_none,
                                       (struct mt_scalar){old_value.bits, MT_TAG_INT32},
                                       (struct mt_scalar){new_value.bits, MT_TAG_INT32}));
    return mt_value_scalars_equal((struct mt_scalar){old_value.bits, MT_TAG_FLOAT},
                                  (struct mt_scalar){new_value.bits, MT_TAG_FLOAT}) ||
           (mt_clock_by_counter(&now) &&
            mt_ring_append_scalars(&thread->ring, now, MT_MODIFIED, def_id, thread->call.activation,
                                   mt_scalar_none, (struct mt_scalar){old_value.bits, MT_TAG_FLOAT},
                                   (struct mt_scalar){new_value.bits, MT_TAG_FLOAT}));
}

/* Sites that need no more than a look, nearly always, at an instruction of thread->quick_frame.
 * False: mt_store_site() goes on. */
static inline bool mt_store_quick(struct mt_thread *thread, mt_frame *frame,
                                  const struct mt_site *site)
{
    // Acquire pairs with plan_defs.c.
    uint32_t def_id = __atomic_load_n(&site->def_id, __ATOMIC_ACQUIRE);

    if (__builtin_expect(site->plain != MT_PLAIN_LOCAL || !def_id, 0)) {
        if (site->op != MT_SITE_INPLACE)
            return false;
        PyObject *left = mt_frame_operand(frame, site->depth, 1);
        return PyLong_CheckExact(left) || PyFloat_CheckExact(left);
    }
    PyObject *new_object = mt_frame_operand(frame, site->depth, 0);
    PyObject *old_object = mt_frame_slot(frame, site->slot);
    // A variable that keeps its object keeps its value.
    if (old_object == new_object)
        return true;
    struct mt_scalar old_value;
    return old_object && Py_TYPE(old_object) == Py_TYPE(new_object) &&
           mt_store_read_number(old_object, &old_value) &&
           mt_store_number(thread, def_id, old_value, new_object);
}

/* The line is over, or interrupted, in thread->call: write the store that was noted, if it has
 * happened. Here: nothing was stored, or a number that replaces a number. */
static inline void mt_store_late(struct mt_thread *thread)
{
    struct mt_late *late = &thread->late;
    PyObject *new_object = mt_frame_slot(late->frame, late->site->slot);

    if (new_object != late->old_object &&
        (!new_object || !mt_store_number(thread, late->def_id, late->old_value, new_object)))
        mt_store_late_other(thread);
    late->frame = NULL;
}

#endif
