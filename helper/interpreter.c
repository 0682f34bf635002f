/* See interpreter.h. */

#include "interpreter.h"

#include <sched.h>
#include "frame.h"
#include "ring.h"

// The list of interpreters, the GIL that each has, and whether it is ending.
#undef _PyGC_FINALIZED
#define Py_BUILD_CORE 1
#if PY_VERSION_HEX >= 0x03090000
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#endif
#include <internal/pycore_pystate.h>
#undef Py_BUILD_CORE

/* PEP 684. */
#define HAVE_OWN_GILS (PY_VERSION_HEX >= 0x030c0000)

enum {
    LOOK_MAX = 4096,      // interpreters seen at one look
    INCOMPLETE_MAX = 200, // looks at one that is being made, before it has to be asked for
    LOCK_ATTEMPTS = 10000,
};

const int64_t *mt_interpreters_made = &_PyRuntime.interpreters.next_id;
int64_t mt_interpreters_seen;

// Looks in a row that have found an interpreter which was not whole yet.
static int incomplete_looks;
// The newest interpreter that was counted as left out.
static int64_t last_left_out;

enum condition { RECORDABLE, INCOMPLETE, ENDING, OTHER_GIL };

#if HAVE_OWN_GILS
static enum condition condition_of(const PyInterpreterState *interp)
{
    // The calling thread's interpreter has the GIL that it holds.
    const void *ours = PyThreadState_Get()->interp->ceval.gil;

    if (interp->finalizing)
        return ENDING;
    if (!interp->ceval.gil)
        return INCOMPLETE;
    return interp->ceval.gil == ours ? RECORDABLE : OTHER_GIL;
}

// Interpreters with a GIL of their own come and go at any time: the list's lock is needed. It is
// held for moments by others, and never while Python code runs.
static bool lock_list(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    // 3.13: a PyMutex (gh-111924). What waits for one is not exported, or gives the GIL up.
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        uint8_t unlocked = _Py_UNLOCKED;
        if (__atomic_compare_exchange_n(&_PyRuntime.interpreters.mutex._bits, &unlocked, _Py_LOCKED,
                                        false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
        sched_yield();
    }
    return false;
#else
    return PyThread_acquire_lock(_PyRuntime.interpreters.mutex, WAIT_LOCK) == PY_LOCK_ACQUIRED;
#endif
}

static void unlock_list(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyMutex_Unlock(&_PyRuntime.interpreters.mutex);
#else
    PyThread_release_lock(_PyRuntime.interpreters.mutex);
#endif
}
#else
static enum condition condition_of(const PyInterpreterState *interp)
{
    return interp->finalizing ? ENDING : RECORDABLE;
}

// The list changes under the GIL. Its lock may be the calling thread's own: sys._current_frames()
// can run finalizers under it.
static bool lock_list(void)
{
    return true;
}

static void unlock_list(void) {}
#endif

bool mt_interpreter_has_main_gil(void)
{
    const PyThreadState *tstate = mt_tstate_self();

#if HAVE_OWN_GILS
    return tstate && tstate->interp->ceval.gil == PyInterpreterState_Main()->ceval.gil;
#else
    return tstate != NULL;
#endif
}

// (In a forked child there is no buffer.)
static void leave_out(int64_t id, uint32_t position)
{
    if (!mt_control)
        return;
    if (id > last_left_out) {
        last_left_out = id;
        mt_control->lost_interpreters++;
    }
    if (position < MT_LEFT_OUT_MAX)
        mt_control->interpreters_left_out[position] = (uint64_t)id;
}

// Subinterpreters leave thread states with the threads that have called into them.
static bool is_main_threads(const PyThreadState *tstate)
{
    const PyInterpreterState *first = PyInterpreterState_Main();

    if (tstate->interp == first)
        return false;
    for (PyThreadState *other = PyInterpreterState_ThreadHead((PyInterpreterState *)first); other;
         other = PyThreadState_Next(other)) {
        if (other->thread_id == tstate->thread_id)
            return true;
    }
    return false;
}

// 3.15 gives each thread state a base frame, which runs nothing.
static bool runs_python(PyThreadState *tstate)
{
    for (mt_frame *frame = mt_frame_current(tstate); frame; frame = mt_frame_back(frame)) {
        if (mt_frame_code(frame))
            return true;
    }
    return false;
}

static uint32_t count_threads(PyInterpreterState *interp)
{
    const PyThreadState *self = PyThreadState_Get();
    PyThreadState *first = PyInterpreterState_ThreadHead(interp);
    uint32_t threads = 0;

    for (PyThreadState *tstate = first; tstate; tstate = PyThreadState_Next(tstate)) {
        bool alone = tstate == first && !PyThreadState_Next(tstate);
        threads += (tstate != self || runs_python(tstate) || alone) && !is_main_threads(tstate);
    }
    return threads;
}

// Copy what can be recorded; returns how many. The list's lock is held for no more than that.
static uint32_t copy_list(struct mt_interpreter *ret, uint32_t max, bool *ret_incomplete)
{
    uint32_t count = 0, left_out = 0;

    if (!lock_list()) {
        *ret_incomplete = true;
        return 0;
    }
    // Whatever is made from now on is in the next look.
    mt_interpreters_seen = *mt_interpreters_made;
    for (PyInterpreterState *interp = PyInterpreterState_Head(); interp;
         interp = PyInterpreterState_Next(interp)) {
        enum condition condition = condition_of(interp);
        if (MT_FREE_THREADED && interp != PyThreadState_Get()->interp && condition == RECORDABLE)
            condition = OTHER_GIL;
        int64_t id = PyInterpreterState_GetID(interp);
        *ret_incomplete |= condition == INCOMPLETE;
        if (condition == RECORDABLE && count < max)
            ret[count++] = (struct mt_interpreter){interp, id, count_threads(interp)};
        else if (condition == OTHER_GIL || condition == RECORDABLE)
            leave_out(id, left_out++);
    }
    unlock_list();
    if (!mt_control)
        return count;
    mt_control->interpreters = count;
    for (uint32_t i = left_out; i < MT_LEFT_OUT_MAX; i++)
        mt_control->interpreters_left_out[i] = 0;
    return count;
}

void mt_interpreters_look(void (*each)(const struct mt_interpreter *interpreter, void *context),
                          void *context)
{
    struct mt_interpreter *list = PyMem_RawMalloc(LOOK_MAX * sizeof *list);
    bool incomplete = false;
    uint32_t count = list ? copy_list(list, LOOK_MAX, &incomplete) : 0;

    // One that never becomes whole must not cost every event a look.
    incomplete_looks = incomplete ? incomplete_looks + 1 : 0;
    if (incomplete && incomplete_looks < INCOMPLETE_MAX)
        mt_interpreters_seen = -1;
    for (uint32_t i = 0; i < count; i++)
        each(&list[i], context);
    PyMem_RawFree(list);
}
