/* Other tools in a thread's only trace slot (CPython <= 3.11): who they are, and when they come
 * and go.
 *
 * Needs the GIL. Runs no code of the program's. */
#ifndef MT_TRACER_H
#define MT_TRACER_H

#include <Python.h>
#include "frame.h"

#if !MT_HAVE_MONITORING

/* Who holds the slot, for a person: "Bdb.trace_dispatch of a Pdb (/usr/lib/python3.11/bdb.py)",
 * "coverage.CTracer (…/coverage/tracer.cpython-311-x86_64-linux-gnu.so)". `text` gets at most
 * `size` bytes with the zero byte. */
void mt_tracer_describe(PyThreadState *tstate, char *text, size_t size);

/* Have `changes` called with the calling thread just before PyEval_SetTrace or sys.settrace sets
 * or clears a slot, and `other` at any other audit event, with its name and arguments (a tuple). A
 * hook that is there already stays. */
typedef void mt_tracer_other(PyThreadState *tstate, const char *event, PyObject *arguments);
void mt_tracer_listen(void (*changes)(PyThreadState *tstate), mt_tracer_other *other);
void mt_tracer_unlisten(void);

#endif
#endif
