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

/* ---- inline: the hot path --------------------------------------------------------------- */

/* A local that has a small int, or a float, and gets another one. False: it is something else,
 * nothing is done. Nothing is called from here, so that no register is saved: whatever isn't at
 * hand goes the general way. */
static inline __attribute__((always_inline)) bool
mt_store_number(struct mt_thread *thread, const struct mt_site *site, uint32_t def_id,
                PyObject *old_object, PyObject *new_object)
{
    uint64_t now;

    if (!old_object || Py_TYPE(old_object) != Py_TYPE(new_object))
        return false;
    if (PyLong_CheckExact(new_object)) {
        int32_t old_value, new_value;
        if (!mt_pyobject_small_int(old_object, &old_value) ||
            !mt_pyobject_small_int(new_object, &new_value))
            return false;
        return old_value == new_value ||
               (mt_clock_by_counter(&now) &&
                mt_ring_append_scalars(&thread->ring, now, MT_MODIFIED, def_id,
                                       thread->call.activation, mt_scalar_none,
                                       (struct mt_scalar){(uint32_t)old_value, MT_TAG_INT32},
                                       (struct mt_scalar){(uint32_t)new_value, MT_TAG_INT32}));
    }
    if (!PyFloat_CheckExact(new_object))
        return false;
    double old_real = PyFloat_AS_DOUBLE(old_object), new_real = PyFloat_AS_DOUBLE(new_object);
    uint64_t old_bits, new_bits;
    if (old_real == new_real)
        return true;
    memcpy(&old_bits, &old_real, sizeof old_bits);
    memcpy(&new_bits, &new_real, sizeof new_bits);
    return mt_clock_by_counter(&now) &&
           mt_ring_append_scalars(&thread->ring, now, MT_MODIFIED, def_id, thread->call.activation,
                                  mt_scalar_none, (struct mt_scalar){old_bits, MT_TAG_FLOAT},
                                  (struct mt_scalar){new_bits, MT_TAG_FLOAT});
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
    return mt_store_number(thread, site, def_id, old_object, new_object);
}

#endif
