/* Driver for CPython 3.8 to 3.11: a C trace function with opcode events.
 *
 * Which frames. The interpreter asks the trace function at each call; a frame of traced code
 * is marked (f_trace_opcodes, no f_trace_lines) and reports each instruction from then on.
 * All others report nothing, or, where they ran already at install, their lines.
 *
 * Which threads. A trace function is set per thread, and nobody tells of a new one.
 *
 *   3.8 to 3.10  A frame evaluation function (PEP 523) sees each call of Python code before
 *                it runs, in whichever thread: it sets the trace function where there is
 *                none, and switches the interpreter's look-out for events off for code that
 *                is not traced, which then runs at its own speed.
 *   3.11         An evaluation function would change the program: calls from Python to Python
 *                are no longer made within one evaluation, so that the caller's stack holds
 *                the arguments until the call returns, and objects die later. So it is set
 *                only while Thread.start() runs (any code that names start_new_thread), to
 *                meet the new thread at its first frame. Otherwise the interpreter's count of
 *                threads ever made is looked at with each event: a thread that appears is
 *                given the trace function before it has had the GIL, but for the rare case
 *                that another thread's turn comes right at the end of start_new_thread.
 *
 * Everything here runs under the GIL. Fields of thread states are set directly, because
 * PyEval_SetTrace raises an audit event, which can run code of the program. */

#include "frame.h"

#if !MT_HAVE_MONITORING

#include <errno.h>
#include "activation.h"
#include "driver.h"
#include "engine.h"
#include "ring.h"
#include "status.h"

// What evaluated frames before us: the interpreter, or another tool. NULL: ours is not set.
static mt_eval_function previous_eval;
// 3.11: calls that are about to start a thread and keep the evaluation function in place.
static int starting;
// How many threads the interpreter had ever made when we last looked at them all (3.11).
static uint64_t threads_seen;
static const uint64_t *threads_made;

// How long installing and removing wait for the interpreter's list of threads.
enum { LIST_WAIT_US = 100 * 1000 };

static int on_trace(PyObject *self, PyFrameObject *object, int what, PyObject *argument);
static PyObject *evaluate(PyThreadState *tstate, mt_frame *frame, int throw_flag);
MT_EVAL_FUNCTION(on_eval, evaluate);

static void set_eval(PyInterpreterState *interp)
{
    if (previous_eval)
        return;
    previous_eval = mt_eval_get(interp);
    mt_eval_set(interp, on_eval);
}

// If another tool has put its own function over ours since, ours stays as a pass-through.
static void reset_eval(PyInterpreterState *interp)
{
    if (!previous_eval || mt_eval_get(interp) != on_eval)
        return;
    mt_eval_set(interp, previous_eval);
    previous_eval = NULL;
}

// A call that starts a thread is over, or the thread has been met: whichever comes first.
static void thread_began(PyInterpreterState *interp)
{
    if (starting && --starting == 0)
        reset_eval(interp);
}

// ---- threads -------------------------------------------------------------------------------

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

// False when the list could not be read within `wait_us`: see mt_interpreter_first_thread.
static bool try_each_thread(void (*each)(PyThreadState *tstate, void *context), void *context,
                            int wait_us)
{
    PyThreadState *first = mt_interpreter_first_thread(PyThreadState_Get()->interp, wait_us);

    for (PyThreadState *tstate = first; tstate; tstate = PyThreadState_Next(tstate))
        each(tstate, context);
    return first != NULL;
}

static void for_each_thread(void (*each)(PyThreadState *tstate, void *context), void *context)
{
    if (try_each_thread(each, context, LIST_WAIT_US))
        return;
    // Who makes a thread is done in no time. Whoever it is only reads the list, and may wait for
    // the GIL that we hold (sys._current_frames() whose garbage collection runs code).
    for (PyThreadState *tstate = PyInterpreterState_ThreadHead(PyThreadState_Get()->interp); tstate;
         tstate = PyThreadState_Next(tstate))
        each(tstate, context);
}

// Ask for opcode events in the traced frames that a thread runs already, if `on`; take our
// flags off all of its frames otherwise.
static void mark_running_frames(PyThreadState *tstate, bool on)
{
    PyFrameObject *object = mt_tstate_frame_object(tstate);

    while (object) {
        PyCodeObject *code = mt_frame_code(mt_frame_of_object(object));
        bool traced = on && code && mt_verdict_plan(code);
        if (traced || object->f_trace_opcodes)
            mt_trace_frame(object, traced);
        PyFrameObject *back = mt_frame_object_back(object);
        Py_DECREF(object);
        object = back;
    }
}

static void cover(PyThreadState *tstate)
{
    mt_trace_set(tstate, on_trace);
    mark_running_frames(tstate, true);
    mt_trace_enable_all(tstate, true);
}

static void cover_if_new(PyThreadState *tstate, void *context)
{
    if (mt_trace_function(tstate))
        return;
    cover(tstate);
    thread_began(tstate->interp);
}

// 3.11: has a thread been made since the last look?
static inline bool threads_appeared(void)
{
    return MT_CALLS_SHARE_C_STACK && *threads_made != threads_seen;
}

static __attribute__((noinline)) void cover_new_threads(void)
{
    uint64_t made = *threads_made;

    // No wait here, where the lock may be this thread's own: the next event tries again.
    if (try_each_thread(cover_if_new, NULL, 0))
        threads_seen = made;
}

// ---- events --------------------------------------------------------------------------------

static inline void on_opcode(struct mt_thread *thread, mt_frame *frame)
{
    struct mt_plan *plan = thread->call.frame == frame ? thread->call.plan
                                                       : mt_engine_enter(thread, frame);

    if (!plan)
        return;
    if (__builtin_expect(mt_pending_unsettled(thread, frame), 0))
        mt_pending_settle(thread, frame);
    struct mt_site *site = mt_plan_site(plan, mt_frame_offset(frame));
    if (site)
        mt_store_site(thread, frame, plan, site);
}

static void on_call(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame)
{
    PyCodeObject *code = mt_frame_code(frame);
    struct mt_plan *plan = code ? mt_verdict_plan(code) : NULL;

    if (MT_CALLS_SHARE_C_STACK && code &&
        (plan ? plan->starts_threads : mt_verdict_starts_threads(code))) {
        starting++;
        set_eval(PyThreadState_Get()->interp);
    }
    if (!plan)
        return;
    mt_trace_frame(object, true);
    mt_engine_call(thread, frame, plan, mt_frame_begins(frame), true);
}

static void on_return(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame,
                      bool unwinds)
{
    bool suspended = !unwinds && mt_frame_yields(frame);

    if (starting && mt_verdict_starts_threads(mt_frame_code(frame)))
        thread_began(PyThreadState_Get()->interp);
    if (!object->f_trace_opcodes)
        return;
    // Whoever sees the frame later finds it as it would be without us. A generator is marked
    // again when it resumes; not so where a delegated throw() resumes it without a CALL event
    // and no evaluation function sees that either.
    if (!suspended || !MT_CALLS_SHARE_C_STACK)
        mt_trace_frame(object, false);
    mt_engine_return(thread, frame, suspended);
}

// A frame that is not marked reports its lines: traced by options that came later? The
// interpreter looks at the mark again right after this event, and reports the instruction.
static void on_line(PyFrameObject *object, mt_frame *frame)
{
    if (mt_verdict_plan(mt_frame_code(frame)))
        mt_trace_frame(object, true);
}

// All events but the next instruction of the call that the thread is known to be in.
static __attribute__((noinline)) int on_trace_other(PyFrameObject *object, int what,
                                                    PyObject *argument)
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
    if (threads_appeared())
        cover_new_threads();
    switch (what) {
    case PyTrace_LINE: on_line(object, frame); break;
    case PyTrace_OPCODE: on_opcode(thread, frame); break;
    case PyTrace_CALL: on_call(thread, object, frame); break;
    case PyTrace_RETURN: on_return(thread, object, frame, argument == NULL); break;
    case PyTrace_EXCEPTION: mt_pending_raise(thread, frame); break;
    }
    errno = saved_errno;
    return 0;
}

// Not inline: on_trace saves no registers for what most instructions don't need.
static __attribute__((noinline)) int on_site(struct mt_thread *thread, struct mt_site *site)
{
    mt_frame *frame = thread->call.frame;

    if (!mt_store_scalar(thread, frame, site))
        mt_store_site(thread, frame, thread->call.plan, site);
    return 0;
}

static int on_trace(PyObject *self, PyFrameObject *object, int what, PyObject *argument)
{
    struct mt_thread *thread = mt_thread_self;

    // quick_frame is forgotten whenever recording stops or changes, and in a forked child.
    if (__builtin_expect(what != PyTrace_OPCODE || !thread ||
                             thread->quick_frame != mt_frame_of_object(object) ||
                             thread->unsettled || threads_appeared(),
                         0))
        return on_trace_other(object, what, argument);
    uint32_t unit = mt_frame_unit(thread->quick_frame, thread->code_start);
    uint16_t index = unit < thread->site_units ? thread->site_at[unit] : 0;
    return index ? on_site(thread, &thread->call.plan->sites[index - 1]) : 0;
}

// ---- evaluation ----------------------------------------------------------------------------

static PyObject *evaluate(PyThreadState *tstate, mt_frame *frame, int throw_flag)
{
    // A forked child, or a pass-through; or inside somebody's trace function or a breakpoint's
    // condition, where nothing is traced.
    mt_eval_function next = previous_eval ? previous_eval : _PyEval_EvalFrameDefault;
    if (!mt_engine_on || tstate->tracing)
        return mt_eval_call(next, tstate, frame, throw_flag);
    struct mt_thread *thread = mt_thread_get();
    if (!thread || thread->busy)
        return mt_eval_call(next, tstate, frame, throw_flag);
    if (MT_CALLS_SHARE_C_STACK) {
        if (!mt_trace_function(tstate)) {
            cover(tstate);
            thread_began(tstate->interp);
        }
        return mt_eval_call(next, tstate, frame, throw_flag);
    }

    PyCodeObject *code = mt_frame_code(frame);
    bool before = mt_trace_enabled(tstate);
    bool traced = code && mt_verdict_plan(code) && claim(tstate);
    // A profiler, or another tracer, needs its events everywhere.
    bool others = tstate->c_profilefunc || is_foreign(tstate);
    mt_trace_enable(tstate, traced || others, on_trace);
    // A generator that delegated a throw() resumes without a CALL event (gen_throw runs the
    // rest of its frame from behind the `yield from`).
    if (traced && mt_frame_object(frame))
        mt_trace_frame(mt_frame_object(frame), true);
    PyObject *result = mt_eval_call(next, tstate, frame, throw_flag);
    others = tstate->c_profilefunc || is_foreign(tstate);
    mt_trace_enable(tstate, mt_engine_on ? before || others : others, on_trace);
    return result;
}

// ---- switching on and off ---------------------------------------------------------------------

struct count {
    uint32_t covered, foreign;
    PyThreadState *self;
    bool launching; // only one thread so far
};

static void install_thread(PyThreadState *tstate, void *context)
{
    struct count *count = context;

    if (is_foreign(tstate)) {
        count->foreign++;
        mt_control->tracer_holder = (uintptr_t)mt_trace_function(tstate);
        return;
    }
    cover(tstate);
    // The service's own thread has no frame and ends soon; but the main thread has none either
    // before the program begins.
    count->covered += tstate != count->self || mt_frame_current(tstate) || count->launching;
}

enum mt_status mt_driver_install(uint32_t *ret_threads)
{
    PyThreadState *self = PyThreadState_Get();
    struct count count = {
        .self = self,
        .launching = !PyThreadState_Next(PyInterpreterState_ThreadHead(self->interp)),
    };

    threads_made = mt_interpreter_threads_made(self->interp);
    threads_seen = *threads_made;
    for_each_thread(install_thread, &count);
    *ret_threads = count.covered;
    if (!count.covered && count.foreign)
        return mt_status_set(MT_TRACER_PRESENT,
                             "another tracer (a debugger or coverage tool, function %#llx) holds "
                             "the only trace slot of every thread: stop it, then try again",
                             (unsigned long long)mt_control->tracer_holder);
    if (!MT_CALLS_SHARE_C_STACK)
        set_eval(self->interp);
    if (count.foreign)
        return mt_status_set(MT_OK,
                             "%u threads are left alone: another tracer (function %#llx) "
                             "holds their trace slot",
                             count.foreign, (unsigned long long)mt_control->tracer_holder);
    return MT_OK;
}

void mt_driver_refresh(void)
{
    struct count count = {.self = NULL};

    for_each_thread(install_thread, &count);
}

static void remove_thread(PyThreadState *tstate, void *context)
{
    // Up to 3.9 the slot is empty while the thread runs code that is not traced.
    if (is_foreign(tstate))
        return;
    mt_trace_set(tstate, NULL);
    mt_trace_enable_all(tstate, tstate->c_profilefunc != NULL);
    mark_running_frames(tstate, false);
}

// Generators that are suspended carry our marks too (3.11), and nothing leads to them but the
// garbage collector.
static void unmark_suspended(void)
{
    PyObject *type, *error, *traceback;

    PyErr_Fetch(&type, &error, &traceback);
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *objects = gc ? PyObject_CallMethod(gc, "get_objects", NULL) : NULL;
    for (Py_ssize_t i = 0; objects && i < PyList_GET_SIZE(objects); i++) {
        PyFrameObject *object = mt_generator_frame_object(PyList_GET_ITEM(objects, i));
        if (object && object->f_trace_opcodes && !object->f_trace_lines)
            mt_trace_frame(object, false);
    }
    Py_XDECREF(objects);
    Py_XDECREF(gc);
    PyErr_Restore(type, error, traceback);
}

void mt_driver_remove(void)
{
    for_each_thread(remove_thread, NULL);
    starting = 0;
    reset_eval(PyThreadState_Get()->interp);
    if (MT_CALLS_SHARE_C_STACK && mt_activation_any())
        unmark_suspended();
}

#endif
