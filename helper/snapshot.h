/* A bounded snapshot of a builtin container, to see whether a statement changed it.
 *
 * Taken before an in-place operator, a slice assignment or a mutating method, and again
 * after it; diff.h compares the two. Exact list, dict, set, bytearray and
 * collections.deque only. Holds addresses, never references. Needs the GIL; allocates
 * nothing; O(MT_SNAPSHOT_ITEMS). */
#ifndef MT_SNAPSHOT_H
#define MT_SNAPSHOT_H

#include <Python.h>
#include <stdbool.h>
#include "diff.h"

/* Is it a container whose contents a snapshot can hold? */
bool mt_snapshot_takes(PyObject *container);

void mt_snapshot_take(PyObject *container, struct mt_snapshot *ret);

/* Items; bytes of a bytearray. Of a container that a snapshot can hold. */
uint64_t mt_snapshot_length(PyObject *container);

/* The number of method `name` (UTF-8), if calling it could change one of these containers; else 0.
 * By name alone: for planning call sites. */
uint8_t mt_snapshot_method(const char *name);

/* Does a method of that number mutate `container`'s own type? Confirms a planned site. */
bool mt_snapshot_method_of(PyObject *container, uint8_t method);

/* Does calling it with `first` as its first argument (NULL: without one) change the contents only
 * together with the length, so that no snapshot is needed? */
bool mt_snapshot_length_tells(PyObject *container, uint8_t method, PyObject *first);

#endif
