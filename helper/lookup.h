/* Read what a store is about to replace: attributes, items and names, straight from the
 * object's memory, without running code of the program (no __getattr__, descriptor,
 * __eq__ or __hash__) and without changing it (an instance's inline values are not turned
 * into a dict).
 *
 * Needs the GIL. All results are borrowed and valid until the next bytecode runs; without the
 * GIL, until mt_lookup_done, which is to be called in any case: what was looked into is held
 * still till then (guard.h), and is unreadable where that can't be had. Cost is that of one
 * hash lookup, whatever the size of the container. Which builtin structures are
 * read, per CPython version, stands in lookup.c. */
#ifndef MT_LOOKUP_H
#define MT_LOOKUP_H

#include <Python.h>
#include <stdbool.h>
#include "guard.h"

enum mt_found {
    MT_FOUND,      /* *ret is the object there */
    MT_ABSENT,     /* nothing is bound there; *ret is NULL */
    MT_UNREADABLE, /* only running code could tell; *ret is NULL: shown as ? */
};

struct mt_target {
    enum mt_found found;
    PyObject *object; /* borrowed */
    bool certain;     /* the store can't fail and runs no code: an event may be
                                  written before it. Else the caller waits for the outcome. */
#if MT_FREE_THREADED
    unsigned guards; /* that are held for `object` */
#endif
};

/* `object` is not needed any more. May be called twice. */
static inline void mt_lookup_done(struct mt_target *target)
{
#if MT_FREE_THREADED
    for (; target->guards; target->guards--)
        mt_guard_end();
#endif
}

/* Key `key` of exact or subclassed dict `dict`, which is held still or the thread's own. Only exact
 * str, int, bool, None, float and bytes keys, and tuples of them, are looked for by equality; any
 * other key is unreadable unless found by identity. */
enum mt_found mt_lookup_dict(PyObject *dict, PyObject *key, PyObject **ret);

/* What `object.name = …` or `del object.name` would replace. */
void mt_lookup_attribute(PyObject *object, PyObject *name, struct mt_target *ret);

/* What `container[key] = …` or `del container[key]` would replace. Exact list with an int
 * (negative too), dict, bytearray, collections.deque; array.array is unreadable unless its
 * item can be read from its buffer. A slice is unreadable. Subclasses with their own
 * __setitem__ are unreadable and not certain. */
void mt_lookup_item(PyObject *container, PyObject *key, struct mt_target *ret);

/* What a cell holds. */
void mt_lookup_cell(PyObject *cell, struct mt_target *ret);

/* Name in a namespace: exact dict, or the mapping that a metaclass's __prepare__ gave. */
void mt_lookup_name(PyObject *namespace_, PyObject *name, struct mt_target *ret);

#endif
