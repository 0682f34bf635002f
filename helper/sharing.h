/* What the threads of a process share where no GIL keeps them apart.
 *
 * MT_FREE_THREADED is 1 in the helper of a CPython that was built without the GIL (3.13 and
 * later, PEP 703), whether or not PYTHON_GIL=1 brings it back at run time. In every other
 * helper what is declared here is empty and costs nothing: "with the GIL" is the lock.
 *
 * Without the GIL, three things take its place:
 *
 *   mt_sharing_lock     for what is done once: a plan is published, a definition written, a
 *                       code object's events are switched on. A leaf above the lock in defs.c:
 *                       nothing that is called with it held may detach the thread from the
 *                       interpreter, so a stopped world never waits for it.
 *   mt_guard_alone      for what changes for everybody: options, breakpoints, on and off. Runs
 *                       with every other thread stopped at a safe point (guard.h).
 *   mt_guard_begin      for objects of the program that other threads may change (guard.h).
 *
 * Everything else belongs to one thread, is written before it is published and never again,
 * or is one atomic word. No Python.h. */
#ifndef MT_SHARING_H
#define MT_SHARING_H

#include <stdint.h>

#ifndef MT_FREE_THREADED
#define MT_FREE_THREADED 0
#endif

#if MT_FREE_THREADED
void mt_sharing_lock(void);
void mt_sharing_unlock(void);
#else
static inline void mt_sharing_lock(void) {}
static inline void mt_sharing_unlock(void) {}
#endif

/* One more in a counter of the control block. Relaxed: nothing is ordered by it. */
static inline void mt_sharing_count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif
