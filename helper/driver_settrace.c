/* Driver for CPython 3.8 to 3.11: a C trace function with opcode events, and a frame
 * evaluation function (PEP 523) that decides frame by frame who is traced.
 *
 * Why the evaluation function. A trace function alone slows every frame of the thread, must
 * be set in each thread, and nobody tells of a new thread. The evaluation function sees each
 * call of Python code before it runs, in whichever thread: it gives a thread that has none
 * our trace function, and switches the interpreter's look-out for events on for traced code
 * and off for all other, which then runs at its own speed. Audit events would need a hook
 * that can't be removed.
 *
 * What it costs. From 3.11 on a Python-to-Python call needs no C stack, unless an evaluation
 * function is set. A program that recurses deeper than its C stack allows must go on: when
 * only a quarter of the stack is left, the evaluation function takes itself out until that
 * call returns ("deep" below), and the trace function alone goes on, in all threads.
 *
 * Everything here runs under the GIL. Fields of thread states are set directly, because
 * PyEval_SetTrace raises an audit event, which can run code of the program. */

#include "frame.h"

#if !MT_HAVE_MONITORING

#include <errno.h>
#include "driver.h"
#include "engine.h"
#include "ring.h"
#include "status.h"

// What evaluated frames before us: the interpreter, or another tool.
static mt_eval_function previous_eval;
static bool installed;
// Frames that run without the evaluation function, because the C stack is nearly full.
static int deep;

static int on_trace(PyObject *self, PyFrameObject *object, int what, PyObject *argument);
static PyObject *evaluate(PyThreadState *tstate, mt_frame *frame, int throw_flag);
MT_EVAL_FUNCTION(on_eval, evaluate);

// ---- events --------------------------------------------------------------------------------

static inline void on_opcode(struct mt_thread *thread, mt_frame *frame)
{
    struct mt_plan *plan = thread->frame == frame ? thread->plan : mt_engine_enter(thread, frame);

    if (!plan)
        return;
    if (__builtin_expect(mt_engine_unsettled(thread, frame), 0))
        mt_engine_settle(thread, frame);
    struct mt_site *site = mt_plan_site(plan, mt_frame_offset(frame));
    if (site)
        mt_engine_site(thread, frame, plan, site);
}

static void on_call(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame)
{
    PyCodeObject *code = mt_frame_code(frame);
    struct mt_plan *plan = code ? mt_engine_plan(code) : NULL;

    if (!plan)
        return;
    mt_trace_frame(object, true);
    mt_engine_call(thread, frame, plan, mt_frame_begins(frame));
}

static void on_return(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame,
                      bool unwinds)
{
    if (!object->f_trace_opcodes)
        return;
    // Whoever sees the frame later finds it as it would be without us; a generator is
    // switched on again when it resumes.
    mt_trace_frame(object, false);
    mt_engine_return(thread, frame, !unwinds && mt_frame_yields(frame));
}

static int on_trace(PyObject *self, PyFrameObject *object, int what, PyObject *argument)
{
    struct mt_thread *thread = mt_thread_get();
    mt_frame *frame = mt_frame_of_object(object);
    int saved_errno = errno;

    if (!thread || thread->busy)
        return 0;
    if (__builtin_expect(!mt_engine_on, 0)) {
        // A forked child: the hooks came along, the recording did not.
        mt_driver_remove();
        return 0;
    }
    switch (what) {
    case PyTrace_OPCODE:
        on_opcode(thread, frame);
        break;
    case PyTrace_CALL:
        on_call(thread, object, frame);
        break;
    case PyTrace_RETURN:
        on_return(thread, object, frame, argument == NULL);
        break;
    case PyTrace_EXCEPTION:
        mt_engine_raised(thread, frame);
        break;
    }
    errno = saved_errno;
    return 0;
}

// ---- frames --------------------------------------------------------------------------------

static bool is_foreign(PyThreadState *tstate)
{
    Py_tracefunc function = mt_trace_function(tstate);

    return function && function != on_trace;
}

// Make sure that a thread about to run traced code has our trace function.
static bool claim(PyThreadState *tstate)
{
    if (is_foreign(tstate)) {
        mt_control->lost_foreign_tracer++;
        mt_control->tracer_holder = (uintptr_t)mt_trace_function(tstate);
        return false;
    }
    if (!mt_trace_function(tstate))
        mt_trace_set(tstate, on_trace);
    return true;
}

static void for_each_thread(void (*each)(PyThreadState *tstate, void *context), void *context)
{
    PyInterpreterState *interp = PyThreadState_Get()->interp;

    for (PyThreadState *tstate = PyInterpreterState_ThreadHead(interp); tstate;
         tstate = PyThreadState_Next(tstate))
        each(tstate, context);
}

static void trace_everywhere(PyThreadState *tstate, void *context)
{
    if (claim(tstate))
        mt_trace_enable_all(tstate, true);
}

// Evaluate without the evaluation function, so that calls below need no C stack.
static __attribute__((noinline)) PyObject *evaluate_deep(PyThreadState *tstate, mt_frame *frame,
                                                         int throw_flag)
{
    PyInterpreterState *interp = tstate->interp;

    deep++;
    mt_eval_set(interp, previous_eval);
    for_each_thread(trace_everywhere, NULL);
    PyObject *result = mt_eval_call(previous_eval, tstate, frame, throw_flag);
    if (--deep == 0 && installed)
        mt_eval_set(interp, on_eval);
    return result;
}

static PyObject *evaluate(PyThreadState *tstate, mt_frame *frame, int throw_flag)
{
    if (__builtin_expect(!mt_engine_on, 0))
        mt_driver_remove();            // a forked child
    // Inside somebody's trace function or a breakpoint's condition nothing is traced.
    if (!mt_engine_on || tstate->tracing)
        return mt_eval_call(previous_eval, tstate, frame, throw_flag);
    struct mt_thread *thread = mt_thread_get();
    if (!thread || thread->busy)
        return mt_eval_call(previous_eval, tstate, frame, throw_flag);
    if (MT_CALLS_SHARE_C_STACK && (uintptr_t)__builtin_frame_address(0) < thread->stack_guard)
        return evaluate_deep(tstate, frame, throw_flag);

    PyCodeObject *code = mt_frame_code(frame);
    bool traced = code && mt_engine_plan(code) && claim(tstate);
    bool before = mt_trace_enabled(tstate);
    // A profiler, or another tracer, needs its events everywhere.
    bool others = tstate->c_profilefunc || is_foreign(tstate);
    mt_trace_enable(tstate, traced || others);
    // A generator that delegated a throw() resumes without a CALL event (gen_throw runs the
    // rest of its frame from behind the `yield from`).
    if (traced && mt_frame_object(frame))
        mt_trace_frame(mt_frame_object(frame), true);
    PyObject *result = mt_eval_call(previous_eval, tstate, frame, throw_flag);
    others = tstate->c_profilefunc || is_foreign(tstate);
    mt_trace_enable(tstate, mt_engine_on ? before || others : others);
    return result;
}

// Ask for opcode events in the traced frames that a thread runs already, if `on`; take our
// flags off all of its frames otherwise.
static void mark_running_frames(PyThreadState *tstate, bool on)
{
    PyFrameObject *object = mt_tstate_frame_object(tstate);

    while (object) {
        PyCodeObject *code = mt_frame_code(mt_frame_of_object(object));
        bool traced = on && code && mt_engine_plan(code);
        if (traced || object->f_trace_opcodes)
            mt_trace_frame(object, traced);
        PyFrameObject *back = mt_frame_object_back(object);
        Py_DECREF(object);
        object = back;
    }
}

// ---- switching on and off ---------------------------------------------------------------------

struct count {
    uint32_t covered, foreign;
    PyThreadState *self;
};

static void install_thread(PyThreadState *tstate, void *context)
{
    struct count *count = context;

    if (is_foreign(tstate)) {
        count->foreign++;
        mt_control->tracer_holder = (uintptr_t)mt_trace_function(tstate);
        return;
    }
    // The service's own thread has no frame and ends soon.
    if (!mt_frame_current(tstate) && tstate == count->self && !installed)
        return;
    mt_trace_set(tstate, on_trace);
    mark_running_frames(tstate, true);
    mt_trace_enable_all(tstate, true);
    count->covered++;
}

enum mt_status mt_driver_install(uint32_t *ret_threads)
{
    PyThreadState *self = PyThreadState_Get();
    struct count count = {.self = self};

    for_each_thread(install_thread, &count);
    *ret_threads = count.covered;
    if (!count.covered && count.foreign)
        return mt_status_set(MT_TRACER_PRESENT,
                             "another tracer (a debugger or coverage tool, function %#llx) holds "
                             "the only trace slot of every thread: stop it, then try again",
                             (unsigned long long)mt_control->tracer_holder);
    if (!installed) {
        previous_eval = mt_eval_get(self->interp);
        mt_eval_set(self->interp, on_eval);
        installed = true;
    }
    if (count.foreign)
        return mt_status_set(MT_OK, "%u threads are left alone: another tracer (function %#llx) "
                                    "holds their trace slot", count.foreign,
                             (unsigned long long)mt_control->tracer_holder);
    return MT_OK;
}

void mt_driver_refresh(void)
{
    struct count count = {.self = NULL};

    for_each_thread(install_thread, &count);
}

static void remove_thread(PyThreadState *tstate, void *context)
{
    if (mt_trace_function(tstate) != on_trace)
        return;
    mt_trace_set(tstate, NULL);
    mt_trace_enable_all(tstate, tstate->c_profilefunc != NULL);
    // Of all frames only those that run can still carry our flags.
    mark_running_frames(tstate, false);
}

void mt_driver_remove(void)
{
    PyInterpreterState *interp = PyThreadState_Get()->interp;

    for_each_thread(remove_thread, NULL);
    // If another tool has put its own function over ours since, ours stays as a pass-through.
    if (installed && mt_eval_get(interp) == on_eval)
        mt_eval_set(interp, previous_eval);
    installed = false;
}

#endif
