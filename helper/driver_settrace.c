/* Driver for CPython 3.8 to 3.11: a C trace function with opcode events.
 *
 * Which frames. The interpreter asks the trace function at each call; a frame of traced code
 * is marked (f_trace_opcodes, no f_trace_lines) and reports each instruction from then on, or, where
 * that is cheaper, its lines, and the instructions of those lines alone that need it
 * (plan_stretch.h). All others report nothing, or, where they ran already at install, their lines.
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
 *                that another thread's turn comes right at the end of start_new_thread. And it
 *                is set while no thread runs any Python (a host program between its calls), for
 *                one evaluation, to meet a thread of the host's own.
 *
 * Which interpreters. All, since up to 3.11 they share the GIL. The evaluation function, the count
 * of threads and the list of them are an interpreter's own: struct hooks. That there is a new one
 * is seen at the next event in any other: the count of interpreters ever made has grown. (On 3.10
 * and 3.11 there is none in a line that stores nothing; what such a line itself has the new one run
 * is not seen.) What it is given is set in its fields, without a switch of thread states: a thread
 * state of ours in there would be in the way of Py_EndInterpreter().
 *
 * Other tools. There is room for one trace function a thread. A thread that another tool has is
 * left to it. A tool that comes later is heard before it takes a slot (tracer.h): the frames of
 * that thread are given back as they would be without us, because a frame that reports its
 * instructions to us would report no lines to it. When a slot is found empty again, the thread is
 * covered anew: right after the call that emptied it where that was on the main thread (a pending
 * call), and at the next call (3.8 to 3.10) or audited function otherwise.
 *
 * Dormant (3.11). Any trace function, even one that is never called, has the interpreter look at
 * each instruction of the thread, and keeps it from its specialised ones: 3.3 times the time. So
 * none is set while no code that could run is of interest (dormant.h). The audit hook that hears of
 * other tools also hears of whatever brings code; before that runs, all threads are covered as at
 * `memtrace on`. For the time that an extension module takes to be loaded they are covered too: what
 * it could call is seen only then, by a pending call.
 *
 * Everything here runs under the GIL. Fields of thread states are set directly, because
 * PyEval_SetTrace raises an audit event, which can run code of the program. */

#include "frame.h"

#if !MT_HAVE_MONITORING

#include <errno.h>
#include "dormant.h"
#include "driver.h"
#include "engine.h"
#include "interpreter.h"
#include "ring.h"
#include "status.h"
#include "throttle.h"
#include "tracer.h"

// What is ours in one interpreter. Outlives it, until another one has its address: `id` tells.
struct hooks {
    PyInterpreterState *interp; // borrowed, compared
    int64_t id;
    // What evaluated frames before us: the interpreter, or another tool. NULL: ours is not set.
    mt_eval_function previous_eval;
    // 3.11: calls that are about to start a thread and keep the evaluation function in place.
    int starting;
    // How many threads the interpreter has ever made, and had when we last looked at them all.
    const uint64_t *threads_made;
    uint64_t threads_seen;
    // Somebody was about to set or clear a thread's trace slot since we last looked at them all;
    // the thread of the last who was (compared only); and threads that another tool then held.
    bool slots_changed;
    PyThreadState *changing_thread;
    uint32_t held;
    bool generators_marked; // 3.11: suspended generators may carry our marks
    struct hooks *next;
};

static struct hooks *all_hooks; // the main interpreter's is last
static struct hooks first_hooks;

// Are trace functions set?
enum dormancy {
    AWAKE,
    DORMANT,
    INTERRUPTED, // dormant again when a library that is being loaded turns out to be harmless
};
static enum dormancy dormancy;
static bool look_asked; // interrupted: a pending call will look

// How long installing and removing wait for the interpreter's list of threads.
enum { LIST_WAIT_US = 100 * 1000 };

static int on_trace(PyObject *self, PyFrameObject *object, int what, PyObject *argument);
static void remove_thread(PyThreadState *tstate, void *context);
static PyObject *evaluate(PyThreadState *tstate, mt_frame *frame, int throw_flag);
MT_EVAL_FUNCTION(on_eval, evaluate);

static struct hooks *find_hooks(const PyInterpreterState *interp)
{
    struct hooks *hooks = all_hooks;

    while (hooks && hooks->interp != interp)
        hooks = hooks->next;
    return hooks;
}

// Those of an interpreter that is looked at: made at first sight of it. NULL: no memory.
static struct hooks *make_hooks(const struct mt_interpreter *interpreter)
{
    struct hooks *hooks = find_hooks(interpreter->state);

    if (hooks && hooks->id == interpreter->id)
        return hooks;
    struct hooks *next = hooks ? hooks->next : all_hooks;
    if (!hooks) {
        hooks = all_hooks ? PyMem_RawCalloc(1, sizeof *hooks) : &first_hooks;
        if (!hooks)
            return NULL;
        all_hooks = hooks;
    }
    *hooks = (struct hooks){
        .interp = interpreter->state,
        .id = interpreter->id,
        .threads_made = mt_interpreter_threads_made(interpreter->state),
        .next = next,
    };
    return hooks;
}

static void set_eval(struct hooks *hooks)
{
    if (hooks->previous_eval)
        return;
    hooks->previous_eval = mt_eval_get(hooks->interp);
    mt_eval_set(hooks->interp, on_eval);
}

// If another tool has put its own function over ours since, ours stays as a pass-through.
static void reset_eval(struct hooks *hooks)
{
    if (!hooks->previous_eval || mt_eval_get(hooks->interp) != on_eval)
        return;
    mt_eval_set(hooks->interp, hooks->previous_eval);
    hooks->previous_eval = NULL;
}

// A call that starts a thread is over, or the thread has been met: whichever comes first.
static void thread_began(struct hooks *hooks)
{
    if (hooks->starting && --hooks->starting == 0)
        reset_eval(hooks);
}

// ---- threads -------------------------------------------------------------------------------

// 3.11: if no thread but `self` runs Python, the next one to do so is to be met.
static void meet_next(struct hooks *hooks, const PyThreadState *self)
{
    PyThreadState *tstate = mt_interpreter_first_thread(hooks->interp, 0);

    if (!tstate || dormancy == DORMANT)
        return;
    for (; tstate; tstate = PyThreadState_Next(tstate)) {
        if (tstate != self && mt_frame_current(tstate))
            return; // its events will tell
    }
    set_eval(hooks);
}

static bool is_foreign(PyThreadState *tstate)
{
    Py_tracefunc function = mt_trace_function(tstate);

    return function && function != on_trace;
}

// Make sure that a thread about to run traced code has our trace function.
static bool claim(struct hooks *hooks, PyThreadState *tstate)
{
    if (is_foreign(tstate)) {
        mt_control->lost_foreign_tracer++;
        // Nobody told of it: by its fields, as we do it?
        hooks->slots_changed |= !hooks->held;
        return false;
    }
    if (!mt_trace_function(tstate))
        mt_trace_set(tstate, on_trace);
    return true;
}

typedef void each_thread(PyThreadState *tstate, void *context);

// False when the list could not be read within `wait_us`: see mt_interpreter_first_thread.
static bool try_each_thread(PyInterpreterState *interp, each_thread *each, void *context,
                            int wait_us)
{
    PyThreadState *first = mt_interpreter_first_thread(interp, wait_us);

    for (PyThreadState *tstate = first; tstate; tstate = PyThreadState_Next(tstate))
        each(tstate, context);
    return first != NULL;
}

static void for_each_thread(PyInterpreterState *interp, each_thread *each, void *context)
{
    if (try_each_thread(interp, each, context, LIST_WAIT_US))
        return;
    // Who makes a thread is done in no time. Whoever it is only reads the list, and may wait for
    // the GIL that we hold (sys._current_frames() whose garbage collection runs code).
    for (PyThreadState *tstate = PyInterpreterState_ThreadHead(interp); tstate;
         tstate = PyThreadState_Next(tstate))
        each(tstate, context);
}

// What frames of this code are to report; NULL: it is not traced.
static enum mt_trace trace_of(const struct mt_plan *plan)
{
    if (!plan)
        return MT_TRACE_NOTHING;
    return plan->stretches.unit_count && !plan->has_watch && !mt_throttle_on
               ? MT_TRACE_LINES
               : MT_TRACE_INSTRUCTIONS;
}

// Have the traced frames that a thread runs already report.
static void mark_running_frames(PyThreadState *tstate)
{
    PyFrameObject *object = mt_tstate_frame_object(tstate);

    while (object) {
        PyCodeObject *code = mt_frame_code(mt_frame_of_object(object));
        enum mt_trace trace = trace_of(code ? mt_verdict_plan(code) : NULL);
        if (trace != MT_TRACE_NOTHING || mt_trace_is_marked(object))
            mt_trace_frame(object, trace);
        PyFrameObject *back = mt_frame_object_back(object);
        Py_DECREF(object);
        object = back;
    }
}

static void unmark_running_frames(PyThreadState *tstate)
{
    for (mt_frame *frame = mt_frame_current(tstate); frame; frame = mt_frame_back(frame)) {
        PyFrameObject *object = mt_frame_object(frame);
        if (object && mt_trace_is_marked(object))
            mt_trace_frame(object, MT_TRACE_NOTHING);
    }
}

static bool unmark_suspended(PyObject *object, void *context)
{
    PyFrameObject *frame = mt_generator_frame_object(object);

    if (frame && mt_trace_is_marked(frame))
        mt_trace_frame(frame, MT_TRACE_NOTHING);
    return true;
}

// Nothing leads to suspended generators but the garbage collector.
static void unmark_generators(struct hooks *hooks)
{
    if (hooks->generators_marked)
        mt_interpreter_each_object(hooks->interp, unmark_suspended, NULL);
    hooks->generators_marked = false;
}

static void cover(PyThreadState *tstate)
{
    if (dormancy == DORMANT)
        return;
    mt_trace_set(tstate, on_trace);
    mark_running_frames(tstate);
    mt_trace_enable_all(tstate, true);
}

static void cover_if_new(PyThreadState *tstate, void *hooks)
{
    if (mt_trace_function(tstate))
        return;
    cover(tstate);
    thread_began(hooks);
}

// 3.11: has a thread been made since the last look, in this interpreter?
static inline bool threads_appeared(const struct hooks *hooks)
{
    return MT_CALLS_SHARE_C_STACK && *hooks->threads_made != hooks->threads_seen;
}

static __attribute__((noinline)) void cover_new_threads(struct hooks *hooks)
{
    uint64_t made = *hooks->threads_made;

    // No wait here, where the lock may be this thread's own: the next event tries again.
    if (try_each_thread(hooks->interp, cover_if_new, hooks, 0))
        hooks->threads_seen = made;
}

static void cover_interpreter(const struct mt_interpreter *interpreter, void *context)
{
    struct hooks *hooks = make_hooks(interpreter);

    if (!hooks || !mt_verdict_cover(hooks->interp)) {
        mt_control->lost_interpreters++;
        return;
    }
    if (!MT_CALLS_SHARE_C_STACK)
        set_eval(hooks);
    cover_new_threads(hooks);
    if (MT_CALLS_SHARE_C_STACK)
        meet_next(hooks, NULL);
}

static __attribute__((noinline)) void cover_new_interpreters(void)
{
    mt_interpreters_look(cover_interpreter, NULL);
}

// ---- other tools ---------------------------------------------------------------------------

// A thread that another tool holds: its frames are as they would be without us.
static void leave(struct hooks *hooks, PyThreadState *tstate)
{
    unmark_running_frames(tstate);
    unmark_generators(hooks);
    hooks->held++;
    mt_control->tracer_threads++;
    mt_control->tracer_holder = (uintptr_t)mt_trace_function(tstate);
    mt_tracer_describe(tstate, mt_control->tracer, sizeof mt_control->tracer);
}

// Before a look at the threads of one interpreter.
static void forget_held(struct hooks *hooks)
{
    if (mt_control) // a forked child has none
        mt_control->tracer_threads -= hooks->held;
    hooks->held = 0;
}

// In a look: may go on. `slots_changed` stays where it can't be said yet what becomes of one.
static void look_at_slot(PyThreadState *tstate, void *context)
{
    struct hooks *hooks = context;
    bool changed = !mt_trace_function(tstate) || tstate == hooks->changing_thread;

    if (is_foreign(tstate))
        leave(hooks, tstate);
    else if (changed && tstate->tracing)
        // Within a hook of the program's that is asked first, or within the tool's own function:
        // the interpreter goes on to tell the tool of this event when that returns.
        hooks->slots_changed = true;
    else if (changed)
        cover(tstate); // the tool has left, or was not allowed to come
}

static int look_later(void *unused);

static __attribute__((noinline)) void look_at_slots(struct hooks *hooks)
{
    hooks->slots_changed = false;
    forget_held(hooks);
    // No wait here: see cover_new_threads.
    if (!try_each_thread(hooks->interp, look_at_slot, hooks, 0))
        hooks->slots_changed = true;
    if (hooks->slots_changed)
        Py_AddPendingCall(look_later, NULL);
    else
        hooks->changing_thread = NULL;
}

static int look_later(void *unused)
{
    struct hooks *hooks = mt_engine_on ? find_hooks(PyThreadState_Get()->interp) : NULL;

    if (hooks && hooks->slots_changed)
        look_at_slots(hooks);
    return 0;
}

// Another tool will see how the line goes on.
static void forget_stretch(void)
{
    if (mt_thread_self != &mt_thread_none)
        mt_thread_self->late.frame = NULL;
}

// Just before this thread's slot is set or cleared, by whomever.
static void on_slot_change(PyThreadState *tstate)
{
    struct hooks *hooks = find_hooks(tstate->interp);

    if (!mt_engine_on) {
        mt_tracer_unlisten(); // a forked child
        return;
    }
    if (!hooks)
        return;
    if (is_foreign(tstate) && dormancy == DORMANT) {
        // It has taken nothing from us.
    } else if (is_foreign(tstate)) {
        struct mt_thread *thread = mt_thread_self;
        uint32_t cut = thread != &mt_thread_none ? mt_engine_interrupt(thread) : 0;
        mt_control->lost_foreign_tracer += cut ? cut : 1; // it was in a call at least
    } else {
        forget_stretch();
        unmark_running_frames(tstate);
        unmark_generators(hooks);
    }
    hooks->changing_thread = tstate;
    hooks->slots_changed = true;
    Py_AddPendingCall(look_later, NULL);
}

static void hear(const char *event, PyObject *arguments);

static void on_audit(PyThreadState *tstate, const char *event, PyObject *arguments)
{
    if (!mt_engine_on) {
        mt_tracer_unlisten(); // a forked child
        return;
    }
    if (dormancy != AWAKE)
        hear(event, arguments); // in an interpreter that has no hooks yet, too
    // It has none when this is said, but will have them by the next event of whatever thread.
    if (strcmp(event, "cpython.PyInterpreterState_New") == 0)
        mt_thread_forget_quick_frames();
    struct hooks *hooks = find_hooks(tstate->interp);
    if (!hooks)
        return;
    if (hooks->slots_changed)
        look_at_slots(hooks);
    // Started by a thread that another tool holds, so that nobody met it.
    if (threads_appeared(hooks))
        cover_new_threads(hooks);
}

// ---- events --------------------------------------------------------------------------------

static inline void on_opcode(struct mt_thread *thread, mt_frame *frame)
{
    struct mt_plan *plan = thread->call.frame == frame ? thread->call.plan
                                                       : mt_engine_enter(thread, frame);

    if (!plan)
        return;
    if (__builtin_expect(mt_thread_unsettled(thread, frame), 0))
        mt_pending_settle(thread, frame);
    struct mt_site *site = mt_plan_site(plan, mt_frame_offset(frame));
    if (site)
        mt_store_site(thread, frame, plan, site);
}

static void on_call(struct mt_thread *thread, struct hooks *hooks, PyFrameObject *object,
                    mt_frame *frame)
{
    PyCodeObject *code = mt_frame_code(frame);
    struct mt_plan *plan = code ? mt_verdict_plan(code) : NULL;

    if (MT_CALLS_SHARE_C_STACK && code &&
        (plan ? plan->starts_threads : mt_verdict_starts_threads(code))) {
        hooks->starting++;
        set_eval(hooks);
    }
    thread->untraced_frame = plan ? NULL : frame;
    if (!plan)
        return;
    mt_trace_frame(object, trace_of(plan));
    mt_engine_call(thread, frame, plan, !plan->is_generator || mt_frame_begins(frame), true);
}

// A generator yields, and stays marked. How it goes on is seen by its instructions.
static void suspend(struct hooks *hooks, PyFrameObject *object)
{
    object->f_trace_opcodes = true;
    hooks->generators_marked = true;
}

static void on_return(struct mt_thread *thread, struct hooks *hooks, PyFrameObject *object,
                      mt_frame *frame, bool unwinds)
{
    bool suspended = !unwinds && mt_frame_yields(frame);

    thread->untraced_frame = NULL;
    if (hooks->starting && mt_verdict_starts_threads(mt_frame_code(frame)))
        thread_began(hooks);
    if (MT_CALLS_SHARE_C_STACK && !mt_frame_back(frame))
        meet_next(hooks, PyThreadState_Get());
    if (!mt_trace_is_marked(object))
        return;
    // Whoever sees the frame later finds it as it would be without us. A generator is marked
    // again when it resumes; not so where a delegated throw() resumes it without a CALL event
    // and no evaluation function sees that either.
    if (!suspended || !MT_CALLS_SHARE_C_STACK || hooks->held)
        mt_trace_frame(object, MT_TRACE_NOTHING);
    else
        suspend(hooks, object);
    mt_engine_return(thread, frame, suspended);
}

// A line of the frame that thread->call is, with nothing unsettled, begins. The interpreter looks at
// f_trace_opcodes right after this event, and reports the instruction if it is set.
static inline void begin_line(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame,
                              uint64_t place)
{
    const struct mt_plan *plan = thread->call.plan;

    if (thread->late.frame)
        mt_store_late(thread);
    uint64_t unit = place / 2;
    uint32_t stretch = unit < plan->stretches.unit_count ? plan->stretches.at[unit]
                                                         : MT_STRETCH_NONE;
    object->f_trace_opcodes =
        stretch == MT_STRETCH_NONE ||
        (stretch >= MT_STRETCH_STORE &&
         !mt_store_later(thread, frame, &plan->sites[stretch - MT_STRETCH_STORE]));
}

// A frame that is not marked reports its lines: traced by options that came later?
static void on_line(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame)
{
    PyCodeObject *code = mt_frame_code(frame);
    enum mt_trace trace = trace_of(code ? mt_verdict_plan(code) : NULL);

    thread->untraced_frame = trace == MT_TRACE_NOTHING ? frame : NULL;
    if (trace != MT_TRACE_LINES || !mt_trace_is_marked(object)) {
        if (trace != MT_TRACE_NOTHING)
            mt_trace_frame(object, trace);
        return;
    }
    if (thread->call.frame != frame && !mt_engine_enter(thread, frame))
        return;
    if (mt_thread_unsettled(thread, frame))
        mt_pending_settle(thread, frame);
    begin_line(thread, object, frame, mt_frame_place(frame, mt_code_start(code)));
}

// An event other than the next line of the frame whose line runs unseen: it has been left, or is
// interrupted by a call, and the rest of it is to be seen.
static void end_stretch(struct mt_thread *thread)
{
    PyFrameObject *object = mt_frame_object(thread->late.frame);

    mt_store_late(thread);
    if (object && mt_trace_is_marked(object))
        object->f_trace_opcodes = true;
}

// The same under a limit of overhead. A frame whose code was found too costly stops reporting
// instructions.
static void on_opcode_throttled(struct mt_thread *thread, PyFrameObject *object, mt_frame *frame)
{
    uint64_t began = mt_throttle_begin();

    on_opcode(thread, frame);
    if (thread->call.frame == frame && !thread->call.plan)
        mt_trace_frame(object, MT_TRACE_NOTHING);
    mt_throttle_end(began, thread->call.frame == frame ? thread->call.plan : NULL,
                    mt_frame_offset(frame));
}

static void on_call_throttled(struct mt_thread *thread, struct hooks *hooks, PyFrameObject *object,
                              mt_frame *frame)
{
    uint64_t began = mt_throttle_begin();

    on_call(thread, hooks, object, frame);
    mt_throttle_end(began, thread->call.frame == frame ? thread->call.plan : NULL, -1);
}

// All events but the next instruction of the call that the thread is known to be in.
// As on_trace, with its arguments where they are: neither moves them (`used` keeps them all).
static __attribute__((noinline, used)) int on_trace_other(PyObject *self, PyFrameObject *object,
                                                          int what, PyObject *argument)
{
    struct mt_thread *thread = mt_thread_get();
    mt_frame *frame = mt_frame_of_object(object);
    int *error = &errno, saved_errno = *error;

    if (!thread || thread->busy)
        return 0;
    if (__builtin_expect(!mt_engine_on, 0)) {
        // A forked child: the hooks came along, the recording did not. Or an interpreter that was
        // about to end when recording did.
        mt_driver_remove();
        remove_thread(PyThreadState_Get(), NULL);
        return 0;
    }
    if (mt_interpreters_appeared()) {
        cover_new_interpreters();
        if (thread->call.frame == frame)
            mt_thread_quicken(thread);
    }
    struct hooks *hooks = find_hooks(PyThreadState_Get()->interp);
    if (!hooks)
        return 0; // there was no memory for it
    if (threads_appeared(hooks))
        cover_new_threads(hooks);
    if (thread->late.frame && !(what == PyTrace_LINE && thread->late.frame == frame))
        end_stretch(thread);
    switch (what) {
    case PyTrace_LINE: on_line(thread, object, frame); break;
    case PyTrace_OPCODE:
        if (mt_throttle_on)
            on_opcode_throttled(thread, object, frame);
        else
            on_opcode(thread, frame);
        break;
    case PyTrace_CALL:
        if (mt_throttle_on)
            on_call_throttled(thread, hooks, object, frame);
        else
            on_call(thread, hooks, object, frame);
        break;
    case PyTrace_RETURN: on_return(thread, hooks, object, frame, argument == NULL); break;
    case PyTrace_EXCEPTION:
        mt_pending_raise(thread, frame);
        if (mt_trace_is_marked(object))
            object->f_trace_opcodes = true; // its handler need not begin a line
        break;
    }
    *error = saved_errno;
    return 0;
}

static __attribute__((noinline)) int on_site_other(struct mt_thread *thread, struct mt_site *site)
{
    mt_store_site(thread, thread->call.frame, thread->call.plan, site);
    return 0;
}

// Not inline: on_trace saves no registers for what most instructions don't need.
static __attribute__((noinline)) int on_site(struct mt_thread *thread, struct mt_site *site)
{
    return mt_store_quick(thread, thread->quick_frame, site) ? 0 : on_site_other(thread, site);
}

static __attribute__((noinline)) int on_line_quick(struct mt_thread *thread, PyFrameObject *object)
{
    mt_frame *frame = thread->quick_frame;

    begin_line(thread, object, frame, mt_frame_place(frame, thread->quick_start));
    return 0;
}

static int on_trace(PyObject *self, PyFrameObject *object, int what, PyObject *argument)
{
    struct mt_thread *thread = mt_thread_self;
    mt_frame *frame = mt_frame_of_object(object);

    if (__builtin_expect(threads_appeared(&first_hooks), 0))
        return on_trace_other(self, object, what, argument);
    // Both frames are forgotten whenever recording stops or changes, in a forked child, and when an
    // interpreter is about to be made.
    if (__builtin_expect(thread->quick_frame != frame, 0))
        return what == PyTrace_LINE && thread->untraced_frame == frame
                   ? 0
                   : on_trace_other(self, object, what, argument);
    if (__builtin_expect(what == PyTrace_OPCODE, 1)) {
        uint32_t index = mt_thread_quick_site(thread, mt_frame_place(frame, thread->quick_start));
        return index ? on_site(thread, &thread->call.plan->sites[index - 1]) : 0;
    }
    if (what == PyTrace_LINE && object->f_trace_lines == MT_LINES_FOR_US)
        return on_line_quick(thread, object);
    return on_trace_other(self, object, what, argument);
}

// ---- evaluation ----------------------------------------------------------------------------

static PyObject *evaluate(PyThreadState *tstate, mt_frame *frame, int throw_flag)
{
    // A forked child, or a pass-through; or inside somebody's trace function or a breakpoint's
    // condition, where nothing is traced.
    struct hooks *hooks = find_hooks(tstate->interp);
    mt_eval_function next = hooks && hooks->previous_eval ? hooks->previous_eval
                                                          : _PyEval_EvalFrameDefault;
    if (!mt_engine_on || !hooks || tstate->tracing)
        return mt_eval_call(next, tstate, frame, throw_flag);
    struct mt_thread *thread = mt_thread_get();
    if (!thread || thread->busy)
        return mt_eval_call(next, tstate, frame, throw_flag);
    if (hooks->slots_changed)
        look_at_slots(hooks);
    if (MT_CALLS_SHARE_C_STACK) {
        if (!mt_trace_function(tstate)) {
            cover(tstate);
            thread_began(hooks);
        }
        if (!hooks->starting)
            reset_eval(hooks);
        return mt_eval_call(next, tstate, frame, throw_flag);
    }

    PyCodeObject *code = mt_frame_code(frame);
    bool before = mt_trace_enabled(tstate);
    const struct mt_plan *plan = code ? mt_verdict_plan(code) : NULL;
    if (plan && !claim(hooks, tstate))
        plan = NULL;
    // A profiler, or another tracer, needs its events everywhere.
    bool others = tstate->c_profilefunc || is_foreign(tstate);
    mt_trace_enable(tstate, plan || others, on_trace);
    // A generator that delegated a throw() resumes without a CALL event (gen_throw runs the
    // rest of its frame from behind the `yield from`).
    if (plan && mt_frame_object(frame))
        mt_trace_frame(mt_frame_object(frame), trace_of(plan));
    PyObject *result = mt_eval_call(next, tstate, frame, throw_flag);
    others = tstate->c_profilefunc || is_foreign(tstate);
    mt_trace_enable(tstate, mt_engine_on ? before || others : others, on_trace);
    if (hooks->slots_changed && mt_engine_on)
        look_at_slots(hooks);
    return result;
}

// ---- dormancy ------------------------------------------------------------------------------

static void install_interpreter(const struct mt_interpreter *interpreter, void *context);
static void set_dormancy(enum dormancy to);

// What another tool is about to do to a thread's slot stays to be looked at.
static void reinstall_interpreter(const struct mt_interpreter *interpreter, void *threads)
{
    const struct hooks *found = find_hooks(interpreter->state);
    struct hooks before = found && found->id == interpreter->id ? *found : (struct hooks){0};

    install_interpreter(interpreter, threads);
    struct hooks *hooks = find_hooks(interpreter->state);
    if (!before.slots_changed || !hooks)
        return;
    hooks->slots_changed = true;
    hooks->changing_thread = before.changing_thread;
}

static void change_dormancy(enum dormancy to)
{
    bool reinstall = (to == DORMANT) != (dormancy == DORMANT);
    uint32_t threads = 0;

    set_dormancy(to);
    if (reinstall)
        mt_interpreters_look(reinstall_interpreter, &threads);
}

static int look_at_library(void *unused)
{
    look_asked = false;
    if (mt_engine_on && dormancy == INTERRUPTED)
        change_dormancy(mt_dormant_may_go_on() ? DORMANT : AWAKE);
    return 0;
}

static void hear(const char *event, PyObject *arguments)
{
    int saved_errno = errno;

    switch (mt_dormant_arrival(event, arguments)) {
    case MT_ARRIVAL_CODE: change_dormancy(AWAKE); break;
    case MT_ARRIVAL_LIBRARY: change_dormancy(INTERRUPTED); break;
    case MT_ARRIVAL_NOTHING: break;
    }
    // Runs not before this thread is done loading: it holds the GIL until then.
    if (dormancy == INTERRUPTED && !look_asked)
        look_asked = Py_AddPendingCall(look_at_library, NULL) == 0;
    errno = saved_errno;
}

// ---- switching on and off ---------------------------------------------------------------------

static void install_thread(PyThreadState *tstate, void *hooks)
{
    if (is_foreign(tstate))
        leave(hooks, tstate);
    else if (dormancy == DORMANT)
        remove_thread(tstate, NULL);
    else
        cover(tstate);
}

// Beside the threads.
static void let_go(struct hooks *hooks)
{
    hooks->starting = 0;
    reset_eval(hooks);
    unmark_generators(hooks);
}

static void install_interpreter(const struct mt_interpreter *interpreter, void *context)
{
    uint32_t *threads = context;
    struct hooks *hooks = make_hooks(interpreter);

    if (!hooks || !mt_verdict_cover(hooks->interp)) {
        mt_control->lost_interpreters++;
        return;
    }
    hooks->threads_seen = *hooks->threads_made;
    *threads += interpreter->threads;
    forget_held(hooks);
    hooks->slots_changed = false;
    hooks->changing_thread = NULL;
    for_each_thread(hooks->interp, install_thread, hooks);
    if (dormancy == DORMANT)
        let_go(hooks);
    else if (MT_CALLS_SHARE_C_STACK)
        meet_next(hooks, NULL);
}

static void install_eval(const struct mt_interpreter *interpreter, void *unused)
{
    struct hooks *hooks = make_hooks(interpreter);

    if (hooks)
        set_eval(hooks);
}

// Of all threads, those that another tool does not hold.
static uint32_t recorded_of(uint32_t threads)
{
    return threads > mt_control->tracer_threads ? threads - (uint32_t)mt_control->tracer_threads
                                                : 0;
}

// What the person is told where another tool holds some of the threads.
static void report_tracer(uint32_t threads)
{
    if (mt_control->tracer_threads)
        mt_status_set(MT_OK,
                      "%u of %u threads left alone: another tool has the only place for a tracer "
                      "there: %s. Recording begins there when it stops",
                      (unsigned)mt_control->tracer_threads, threads, mt_control->tracer);
}

static enum mt_status refuse(void)
{
    return mt_status_set(MT_TRACER_PRESENT,
                         "another tool has the only place for a tracer that %s: %s. Stop it, then "
                         "try again",
                         mt_control->tracer_threads == 1 ? "the thread has"
                                                         : "each of the threads has",
                         mt_control->tracer);
}

static void set_dormancy(enum dormancy to)
{
    if (to == DORMANT && dormancy != DORMANT)
        mt_thread_drop_calls();
    dormancy = to;
    if (mt_control) // a forked child has none
        mt_control->dormant = to == DORMANT;
}

enum mt_status mt_driver_install(uint32_t *ret_threads)
{
    uint32_t threads = 0;

    // The main one, which outlives the others, comes first: the quickest path looks at it.
    PyInterpreterState *first = PyInterpreterState_Main();
    make_hooks(&(struct mt_interpreter){first, PyInterpreterState_GetID(first), 0});
    set_dormancy(mt_dormant_may_begin() ? DORMANT : AWAKE);
    mt_interpreters_look(install_interpreter, &threads);
    *ret_threads = recorded_of(threads);
    if (!*ret_threads && mt_control->tracer_threads) {
        set_dormancy(AWAKE);
        return refuse();
    }
    if (!MT_CALLS_SHARE_C_STACK)
        mt_interpreters_look(install_eval, NULL);
    mt_tracer_listen(on_slot_change, on_audit);
    report_tracer(threads);
    return MT_OK;
}

void mt_driver_refresh(void)
{
    uint32_t threads = 0;

    set_dormancy(mt_dormant_may_begin() ? DORMANT : AWAKE);
    mt_interpreters_look(install_interpreter, &threads);
    report_tracer(threads);
}

void mt_driver_renew(void)
{
    // (Not what the parent's buffer says, which may have changed since.)
    mt_control->dormant = dormancy == DORMANT;
}

static void remove_thread(PyThreadState *tstate, void *context)
{
    // Up to 3.9 the slot is empty while the thread runs code that is not traced.
    if (is_foreign(tstate))
        return;
    mt_trace_set(tstate, NULL);
    mt_trace_enable_all(tstate, tstate->c_profilefunc != NULL);
    unmark_running_frames(tstate);
}

static void remove_interpreter(const struct mt_interpreter *interpreter, void *context)
{
    struct hooks *hooks = find_hooks(interpreter->state);

    if (!hooks || hooks->id != interpreter->id)
        return;
    for_each_thread(hooks->interp, remove_thread, NULL);
    let_go(hooks);
    forget_held(hooks);
    hooks->slots_changed = false;
}

void mt_driver_remove(void)
{
    mt_tracer_unlisten();
    set_dormancy(AWAKE);
    mt_interpreters_look(remove_interpreter, NULL);
}

#endif
