/* See guard.h. Called by attached threads of a CPython without the GIL. */

#include "guard.h"

#if MT_FREE_THREADED

#include <sched.h>

enum {
    GUARDS_MAX = 16, // of one thread: a target's two, and containers within containers
    SPINS = 200,     // a holder that runs is done by then
    YIELDS = 100,    // one that lost its processor has had it again by then
};

// The guards that this thread holds, innermost last. `again`: it had the lock before.
static __thread struct {
    PyObject *object;
    bool again;
} held[GUARDS_MAX];
static __thread unsigned held_count;

// The two low bits of a PyMutex (cpython/lock.h): locked, and somebody waits for it.
enum { LOCKED = 1 };

static inline bool take(PyMutex *mutex)
{
    uint8_t bits = __atomic_load_n(&mutex->_bits, __ATOMIC_RELAXED);

    // Acquire pairs with the release in PyMutex_Unlock.
    return !(bits & LOCKED) &&
           __atomic_compare_exchange_n(&mutex->_bits, &bits, bits | LOCKED, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static __attribute__((noinline)) bool take_contended(PyMutex *mutex)
{
    for (int i = 0; i < SPINS + YIELDS; i++) {
        if (take(mutex))
            return true;
        if (i < SPINS)
            __builtin_ia32_pause();
        else
            sched_yield();
    }
    return false;
}

static bool is_held(const PyObject *object)
{
    for (unsigned i = 0; i < held_count; i++) {
        if (held[i].object == object)
            return true;
    }
    return false;
}

// Does a call further up this stack hold the lock, in a critical section (list.sort, which runs
// a key function; a dict that drops a value)? Then nobody else changes the object either.
static bool is_own(const PyMutex *mutex)
{
    enum { INACTIVE = 1, TWO_MUTEXES = 2 }; // tags, pycore_critical_section.h
    uintptr_t link = PyThreadState_GetUnchecked()->critical_section;

    // Sections further out than an inactive one are inactive too: their locks were let go of.
    while (link && !(link & INACTIVE)) {
        const PyCriticalSection *section = (const PyCriticalSection *)(link & ~(uintptr_t)3);
        if (section->_cs_mutex == mutex ||
            (link & TWO_MUTEXES && ((const PyCriticalSection2 *)section)->_cs_mutex2 == mutex))
            return true;
        link = section->_cs_prev;
    }
    return false;
}

bool mt_guard_begin(PyObject *object)
{
    if (held_count == GUARDS_MAX)
        return false;
    bool again = is_held(object) || is_own(&object->ob_mutex);
    if (!again && !take(&object->ob_mutex) && !take_contended(&object->ob_mutex))
        return false;
    held[held_count].object = object;
    held[held_count++].again = again;
    return true;
}

void mt_guard_end(void)
{
    held_count--;
    if (!held[held_count].again)
        PyMutex_Unlock(&held[held_count].object->ob_mutex);
}

// ---- alone ---------------------------------------------------------------------------------

struct call {
    void (*function)(void *); // NULL: has been called
    void *argument;
};

static int visit_one(PyObject *object, void *context)
{
    struct call *call = context;

    if (call->function)
        call->function(call->argument);
    call->function = NULL;
    return 0; // no further object
}

void mt_guard_alone(void (*function)(void *), void *argument)
{
    // The one public function that stops the world and calls back (3.13 to 3.15): it looks at
    // the objects that the garbage collector knows, of which there is always one.
    PyUnstable_GC_VisitObjects(visit_one, &(struct call){function, argument});
}

#else

typedef int mt_guard_nothing_here; // ISO C wants a declaration in every file

#endif
