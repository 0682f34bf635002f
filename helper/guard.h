/* Other threads, where no GIL stops them: hold an object still while it is read, and run
 * something alone. With the GIL both are nothing (sharing.h).
 *
 * A guard is the object's own lock, the one that CPython's critical sections take. It is tried
 * for a bounded time and never waited for: waiting would let go of the locks that the program's
 * own call holds further up this stack, and could stop this thread in the middle of an event.
 * What can't be had in time is not read, and is shown as unknown. Between begin and end nothing
 * may run code of the program, drop a reference, or detach from the interpreter; what was read
 * is borrowed from the object, so it is valid until the end. */
#ifndef MT_GUARD_H
#define MT_GUARD_H

#include <Python.h>
#include <stdbool.h>
#include "sharing.h"

#if MT_FREE_THREADED

/* Hold `object` still; nests, also on the same object. False: somebody else has it. */
bool mt_guard_begin(PyObject *object);

/* Of the guard that was begun last. */
void mt_guard_end(void);

/* Call the function while every other thread that is attached to the interpreter stands at a
 * safe point: outside of our callbacks, but for one that evaluates a breakpoint's condition,
 * looks up a class's attribute or waits for sys.monitoring. The function must not allocate
 * objects, drop references, run Python code, or call what stops the world itself. Waits as long
 * as a thread takes to get there, like a thread waits for the GIL. */
void mt_guard_alone(void (*function)(void *), void *argument);

#else

static inline bool mt_guard_begin(PyObject *object)
{
    return true;
}

static inline void mt_guard_end(void) {}

static inline void mt_guard_alone(void (*function)(void *), void *argument)
{
    function(argument);
}

#endif

#endif
