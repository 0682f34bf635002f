/* The interpreters of the process: the main one, and subinterpreters (Py_NewInterpreter,
 * _interpreters, concurrent.interpreters).
 *
 * Recorded are those that share the GIL which the calling thread holds: all of them up to 3.11,
 * and from 3.12 on those that were not given a GIL of their own (PEP 684). Plans, activations and
 * definitions are one for the process and rely on that one GIL; the others are left out, and
 * counted. Without the GIL the calling thread's is recorded alone, and those that come later are
 * counted when options change.
 *
 * Under the GIL. An interpreter that shares it stays whole while it is held, but may be about to
 * end. */
#ifndef MT_INTERPRETER_H
#define MT_INTERPRETER_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include "memtrace.h"
#include "sharing.h"

/* An interpreter at the moment of a look. */
struct mt_interpreter {
    PyInterpreterState *state; /* borrowed */
    int64_t id;                /* 0 is the main one's; never used again in this process */
    uint32_t threads;          /* that run in it, and are not counted in the main one; not the
                                  calling one if that has no frame (a service's), unless it
                                  is alone */
};

/* Does the calling thread hold the main interpreter's GIL, which ours are under? */
bool mt_interpreter_has_main_gil(void);

/* Look at all interpreters: call `each` with those that can be recorded, in no order, under no
 * lock, and count the others in the control block. Those that are only just being made are not
 * there yet: they are looked at later. */
void mt_interpreters_look(void (*each)(const struct mt_interpreter *interpreter, void *context),
                          void *context);

/* Where the interpreter counts the interpreters ever made, and the count that was looked at. */
extern const int64_t *mt_interpreters_made;
extern int64_t mt_interpreters_seen;

/* Is there one that has not been looked at? Two loads: may be asked at each event, once
 * mt_interpreters_look() has run. */
static inline bool mt_interpreters_appeared(void)
{
    return !MT_FREE_THREADED && *mt_interpreters_made != mt_interpreters_seen;
}

#endif
