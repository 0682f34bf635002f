/* Driver for CPython 3.12 and later: sys.monitoring (PEP 669).
 *
 * Which events. PY_START, PY_RESUME and PY_THROW are asked for everywhere: code that is not
 * traced answers DISABLE at each of its starts, once, and is left alone from then on. Code
 * that is traced gets INSTRUCTION events of its own (set_local_events), and every location
 * that is no store site answers DISABLE at its first event, so that only stores cost. RAISE
 * can't be asked for locally; its callback looks at one counter.
 *
 * After a store. Some outcomes are known only when the next instruction begins: a store that
 * may fail, a mutating call, a breakpoint's hit. That instruction is no site and was disabled.
 * So at the first such store the instruction behind it is marked (plan->after), and the
 * code's events are switched off and on again, which arms all of its locations anew; those
 * that are neither site nor marked disable themselves again.
 *
 * Other tools. Events and DISABLE are each tool's own, but for a slip of the interpreter's, which
 * watch_plan goes round. restart_events() by another tool has each location answer once more.
 *
 * Frames that run at install are reached by walking them; generators and tasks suspended
 * then report PY_RESUME or PY_THROW.
 *
 * Which interpreters. Those that share the main one's GIL. Tools, callbacks and events are an
 * interpreter's own: struct hooks. Each is brought in line by a pending call of its own, which
 * the next thread to run code there carries out, so before anything that it would miss; a thread
 * state of ours in there would be in the way of Py_EndInterpreter(). That there is a new one is
 * seen at the next start of a call or store in any other: the count of those ever made has grown.
 *
 * Callbacks are objects with a vectorcall slot of their own: the cheapest thing that
 * sys.monitoring can call. All under the GIL. sys.monitoring's functions are builtins; the
 * only thing they can run of the program's is an audit hook.
 *
 * Without the GIL. Callbacks run on any thread at once; the rest on that of the service. The main
 * interpreter alone is recorded, and plans are under mt_sharing_lock, or alone (guard.h).
 * sys.monitoring stops the world by itself whenever it changes code. Switching a code's events
 * off and on again would lose what other threads do in between: so what comes behind a site
 * whose outcome may have to be waited for is marked before the code's events are first switched
 * on. */

#include "frame.h"

#if MT_HAVE_MONITORING

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include "driver.h"
#include "engine.h"
#include "guard.h"
#include "interpreter.h"
#include "plan_cache.h"
#include "ring.h"
#include "status.h"
#include "throttle.h"

// _PyEval_AddPendingCall()
#undef _PyGC_FINALIZED
#define Py_BUILD_CORE 1
#include <internal/pycore_ceval.h>
#undef Py_BUILD_CORE

enum event { PY_START, PY_RESUME, PY_THROW, PY_RETURN, INSTRUCTION, RAISE, EVENT_COUNT };

// Names in sys.monitoring.events, and their bits, read there: numbers changed in 3.13.
static const char *const event_names[EVENT_COUNT] = {
    "PY_START", "PY_RESUME", "PY_THROW", "PY_RETURN", "INSTRUCTION", "RAISE",
};
static int event_bits[EVENT_COUNT];

static PyObject *disable; // borrowed: sys.monitoring.DISABLE, which is immortal

// What is ours in one interpreter. Outlives it, until the next look at all of them.
struct hooks {
    PyInterpreterState *interp; // borrowed, compared
    int64_t id;
    uint16_t number;     // from 1: what plan->watched says
    int tool_id;         // -1: none
    uint32_t generation; // of the options that its events were set by
    bool seen;           // at the present look at all interpreters
    bool asked;          // a pending call of ours waits there
    // Code may be silent that answered DISABLE in an earlier recording, under other options.
    bool may_be_silent;
    struct hooks *next;
};

static struct hooks *all_hooks;

// Recording is wanted; false from mt_driver_remove() on.
static bool wanted;

static struct hooks *find_hooks(const PyInterpreterState *interp)
{
    struct hooks *hooks = all_hooks;

    while (hooks && hooks->interp != interp)
        hooks = hooks->next;
    return hooks;
}

// ---- callbacks -------------------------------------------------------------------------------

struct callback {
    PyObject_HEAD
    vectorcallfunc vectorcall;
};

// clang-format off
static PyTypeObject callback_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "memtrace.callback",
    .tp_basicsize = sizeof(struct callback),
    .tp_vectorcall_offset = offsetof(struct callback, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
};
// clang-format on

// An offset as sys.monitoring passes it: a small non-negative int.
static inline int offset_of(PyObject *object)
{
    return (int)((PyLongObject *)object)->long_value.ob_digit[0];
}

static PyObject *monitoring_function(const char *name)
{
    PyObject *module = PySys_GetObject("monitoring"); // borrowed

    return module ? PyObject_GetAttrString(module, name) : NULL;
}

static bool watch_code(const struct hooks *hooks, PyCodeObject *code, int events)
{
    PyObject *arguments[] = {PyLong_FromLong(hooks->tool_id), (PyObject *)code,
                             PyLong_FromLong(events)};
    PyObject *function = monitoring_function("set_local_events");
    PyObject *result = function && arguments[0] && arguments[2]
                           ? PyObject_Vectorcall(function, arguments, 3, NULL)
                           : NULL;

    Py_XDECREF(function);
    Py_XDECREF(arguments[0]);
    Py_XDECREF(arguments[2]);
    Py_XDECREF(result);
    if (!result)
        PyErr_Clear();
    return result != NULL;
}

static int local_events(const struct mt_plan *plan)
{
    return event_bits[INSTRUCTION] | (plan->is_generator ? event_bits[PY_RETURN] : 0);
}

// Have a table of tools from now on, with ours in it.
static void keep_tools(const struct hooks *hooks, struct mt_plan *plan, PyCodeObject *code)
{
    if (!hooks || hooks->tool_id < 0)
        return;
    mt_code_keep_instruction_tools(code, hooks->tool_id);
    plan->has_tools = true;
}

static bool watch_plan(const struct hooks *hooks, struct mt_plan *plan, PyCodeObject *code)
{
    if (!watch_code(hooks, code, local_events(plan)))
        return false;
    keep_tools(hooks, plan, code);
    return true;
}

static bool is_watched(const struct mt_plan *plan)
{
    // Acquire pairs with the release in note_watched: the events are on.
    return __atomic_load_n(&plan->watched, __ATOMIC_ACQUIRE) != 0;
}

static void note_watched(struct mt_plan *plan, const struct hooks *hooks)
{
    __atomic_store_n(&plan->watched, hooks->number, __ATOMIC_RELEASE); // pairs with is_watched
}

// Code of an interpreter that is gone, or (`hooks`) that goes quiet.
static void unwatch(PyCodeObject *code, struct mt_plan *plan, struct mt_remains *remains,
                    void *hooks)
{
    if (hooks)
        watch_code(hooks, code, 0);
    if (plan)
        plan->watched = 0;
    else
        remains->watched = 0;
}

// Code whose plan was dropped is judged, and watched again, when it runs.
static void unwatch_unless_traced(PyCodeObject *code, struct mt_plan *plan,
                                  struct mt_remains *remains, void *hooks)
{
    if (!plan || !mt_verdict_plan(code))
        unwatch(code, plan, remains, hooks);
}

static bool is_after(const struct mt_plan *plan, int offset)
{
    uint32_t unit = (uint32_t)offset / 2;

    return plan->after && plan->after[unit / 8] >> unit % 8 & 1;
}

// Mark the instruction behind a site; false if it is marked, or a site, already.
static bool mark_after(struct mt_plan *plan, const struct mt_site *site)
{
    int32_t next = mt_site_next(site);
    uint32_t unit = (uint32_t)next / 2;

    if (unit >= plan->unit_count || mt_plan_site(plan, next) || is_after(plan, next))
        return false;
    if (!plan->after)
        plan->after = PyMem_RawCalloc(1, plan->unit_count / 8 + 1);
    if (!plan->after)
        return false;
    plan->after[unit / 8] |= (uint8_t)(1 << unit % 8);
    return true;
}

// Arm every location of the code anew, so that the one behind the site reports.
static __attribute__((noinline)) void arm_after(struct mt_plan *plan, const struct mt_site *site)
{
    // Without the GIL it has been marked before.
    if (MT_FREE_THREADED || !mark_after(plan, site))
        return; // it reports already
    struct hooks *hooks = find_hooks(PyThreadState_Get()->interp);
    if (!hooks)
        return;
    watch_code(hooks, plan->code, 0);
    watch_code(hooks, plan->code, local_events(plan));
}

#if MT_FREE_THREADED

static uint32_t watching; // threads that switch a code's events on; atomic
static bool removing;     // none may begin to. Written alone

// Mark what comes behind every site whose outcome may have to be waited for: all but the plain
// stores of locals, which can't fail, unless a breakpoint's hit is to be shown.
static void mark_all_after(struct mt_plan *plan)
{
    for (uint32_t i = 0; i < plan->site_count; i++) {
        const struct mt_site *site = &plan->sites[i];
        bool is_plain = site->op == MT_SITE_STORE_FAST || site->op == MT_SITE_DELETE_FAST;
        if (!site->muted && (site->watch || !is_plain))
            mark_after(plan, site);
    }
}

// Events may be switched on. Breakpoints may be others. Alone.
static void prepare_watching(void *unused)
{
    (void)unused;
    removing = false;
    mt_plan_cache_each_plan(mark_all_after);
}

// Mark, and note that this thread is about to switch events on. False: they go off everywhere.
static bool begin_watching(struct mt_plan *plan)
{
    __atomic_fetch_add(&watching, 1, __ATOMIC_ACQ_REL);
    mt_sharing_lock();
    bool begins = !removing;
    if (begins)
        mark_all_after(plan);
    mt_sharing_unlock();
    if (!begins)
        __atomic_fetch_sub(&watching, 1, __ATOMIC_ACQ_REL);
    return begins;
}

static void end_watching(void)
{
    __atomic_fetch_sub(&watching, 1, __ATOMIC_ACQ_REL);
}

static void forbid_watching(void *unused)
{
    (void)unused;
    removing = true;
}

// No thread switches events on any more, or a second has passed.
static void stop_watching(void)
{
    mt_guard_alone(forbid_watching, NULL);
    for (int tries = 0; tries < 1000 && __atomic_load_n(&watching, __ATOMIC_ACQUIRE); tries++) {
        // They may wait for this thread to let the world be stopped.
        Py_BEGIN_ALLOW_THREADS nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
        Py_END_ALLOW_THREADS
    }
}

static void allow_watching(void)
{
    mt_guard_alone(prepare_watching, NULL);
}

#else

static bool begin_watching(struct mt_plan *plan)
{
    return true;
}

static void end_watching(void) {}

static void stop_watching(void) {}

static void allow_watching(void) {}

#endif

// The plan of code that a call is about to run, with its instructions watched. NULL: not traced.
// (3.12 shares the code of a few frozen modules between interpreters: it has its events in the
// first one that runs it.)
static struct mt_plan *traced_plan(PyCodeObject *code)
{
    struct mt_plan *plan = mt_verdict_plan(code);

    if (plan && is_watched(plan)) {
        // Its table went with an earlier plan. A tool that came since then may have made one.
        if (!plan->has_tools)
            keep_tools(find_hooks(PyThreadState_Get()->interp), plan, code);
        return plan;
    }
    mt_code_restore_instruction_tools(code);
    if (!plan || !begin_watching(plan))
        return NULL;
    struct hooks *hooks = find_hooks(PyThreadState_Get()->interp);
    bool watched = hooks && hooks->tool_id >= 0 && watch_plan(hooks, plan, code);
    if (watched)
        note_watched(plan, hooks);
    end_watching();
    return watched ? plan : NULL;
}

static void look_at_interpreters(void);

// The instruction of this site is about to run, and nothing of the frame is unsettled.
static __attribute__((noinline)) PyObject *store_at(struct mt_thread *thread, mt_frame *frame,
                                                    struct mt_plan *plan, struct mt_site *site)
{
    mt_store_site(thread, frame, plan, site);
    if (site + 1 < plan->sites + plan->site_count && site[1].second)
        mt_store_site(thread, frame, plan, site + 1);
    if (mt_thread_unsettled(thread, frame))
        arm_after(plan, site);
    else if (MT_FREE_THREADED && mt_thread_is_in(thread, frame, plan->code))
        mt_thread_quicken(thread); // see mt_thread_settled()
    Py_RETURN_NONE;
}

static PyObject *handle_instruction(struct mt_thread *thread, PyCodeObject *code, int offset)
{
    if (!mt_engine_on || !thread || thread->busy)
        return Py_NewRef(thread && thread->busy ? Py_None : disable);
    if (mt_interpreters_appeared())
        look_at_interpreters();
    mt_frame *frame = mt_frame_current(mt_tstate_self());
    struct mt_plan *plan = mt_thread_is_in(thread, frame, code) ? thread->call.plan
                                                                : mt_engine_enter(thread, frame);
    if (!plan)
        return Py_NewRef(disable);
    if (mt_thread_unsettled(thread, frame)) {
        int saved_errno = errno;
        mt_pending_settle(thread, frame);
        errno = saved_errno;
    }
    struct mt_site *site = mt_plan_site(plan, offset);
    if (!site)
        return Py_NewRef(is_after(plan, offset) ? Py_None : disable);
    return store_at(thread, frame, plan, site);
}

// All but the commonest: see on_instruction.
static __attribute__((noinline)) PyObject *on_instruction_other(PyCodeObject *code, int offset)
{
    struct mt_thread *thread = mt_thread_get();
    uint64_t began = mt_throttle_on ? mt_throttle_begin() : 0;
    PyObject *result = handle_instruction(thread, code, offset);

    if (began) {
        struct mt_plan *plan = thread ? thread->call.plan : NULL;
        mt_throttle_end(began, plan && plan->code == code ? plan : NULL, offset);
    }
    return result;
}

static PyObject *on_instruction(PyObject *self, PyObject *const *arguments, size_t count,
                                PyObject *names)
{
    PyCodeObject *code = (PyCodeObject *)arguments[0];
    int offset = offset_of(arguments[1]);
    struct mt_thread *thread = mt_thread_self;
    mt_frame *frame = mt_frame_current(mt_tstate_self());

    // A store of the call that the thread is known to be in; most are of a scalar to a local.
    // quick_frame is forgotten whenever recording stops or changes, and in a forked child.
    if (__builtin_expect(thread->quick_frame == frame && thread->call_code == code &&
                             mt_thread_is_fresh(thread) && !mt_interpreters_appeared(),
                         1)) {
        uint32_t index = mt_thread_quick_site(thread, (uint32_t)offset);
        if (index) {
            struct mt_site *site = &thread->call.plan->sites[index - 1];
            if (mt_store_quick(thread, frame, site))
                Py_RETURN_NONE;
            return store_at(thread, frame, thread->call.plan, site);
        }
    }
    return on_instruction_other(code, offset);
}

static PyObject *on_begin(PyObject *const *arguments, bool begins, PyObject *not_traced)
{
    struct mt_thread *thread = mt_thread_get();
    int saved_errno = errno;

    if (!mt_engine_on || !thread || thread->busy)
        return Py_NewRef(thread && thread->busy ? Py_None : not_traced);
    if (mt_interpreters_appeared())
        look_at_interpreters();
    uint64_t began = mt_throttle_on ? mt_throttle_begin() : 0;
    struct mt_plan *plan = traced_plan((PyCodeObject *)arguments[0]);
    if (!plan)
        return Py_NewRef(not_traced);
    mt_engine_call(thread, mt_frame_current(mt_tstate_self()), plan, begins, false);
    mt_throttle_end(began, plan, -1);
    errno = saved_errno;
    Py_RETURN_NONE;
}

static PyObject *on_start(PyObject *self, PyObject *const *arguments, size_t count, PyObject *names)
{
    return on_begin(arguments, true, disable);
}

static PyObject *on_resume(PyObject *self, PyObject *const *arguments, size_t count,
                           PyObject *names)
{
    return on_begin(arguments, false, disable);
}

// PY_THROW is no local event: DISABLE would be an error.
static PyObject *on_throw(PyObject *self, PyObject *const *arguments, size_t count, PyObject *names)
{
    mt_frame *frame = mt_frame_current(mt_tstate_self());

    return on_begin(arguments, mt_frame_begins(frame), Py_None);
}

// Of generators only: their frames' addresses are not used again by the next call.
static PyObject *on_return(PyObject *self, PyObject *const *arguments, size_t count,
                           PyObject *names)
{
    struct mt_thread *thread = mt_thread_get();

    if (mt_engine_on && thread && !thread->busy)
        mt_engine_return(thread, mt_frame_current(mt_tstate_self()), false);
    Py_RETURN_NONE;
}

static PyObject *on_raise(PyObject *self, PyObject *const *arguments, size_t count, PyObject *names)
{
    struct mt_thread *thread = mt_thread_self;

    if (mt_engine_on && thread && thread->pending_count && !thread->busy)
        mt_pending_raise(thread, mt_frame_current(mt_tstate_self()));
    Py_RETURN_NONE;
}

static struct callback callbacks[EVENT_COUNT] = {
    [PY_START] = {PyObject_HEAD_INIT(&callback_type) on_start},
    [PY_RESUME] = {PyObject_HEAD_INIT(&callback_type) on_resume},
    [PY_THROW] = {PyObject_HEAD_INIT(&callback_type) on_throw},
    [PY_RETURN] = {PyObject_HEAD_INIT(&callback_type) on_return},
    [INSTRUCTION] = {PyObject_HEAD_INIT(&callback_type) on_instruction},
    [RAISE] = {PyObject_HEAD_INIT(&callback_type) on_raise},
};

// ---- switching on and off -----------------------------------------------------------------------

// What is the same in every interpreter.
static bool load_constants(void)
{
    if (disable)
        return true;
    PyObject *module = PySys_GetObject("monitoring"); // borrowed
    PyObject *events = module ? PyObject_GetAttrString(module, "events") : NULL;
    bool loaded = events != NULL;

    for (int i = 0; loaded && i < EVENT_COUNT; i++) {
        PyObject *bit = PyObject_GetAttrString(events, event_names[i]);
        loaded = bit != NULL;
        event_bits[i] = bit ? (int)PyLong_AsLong(bit) : 0;
        Py_XDECREF(bit);
    }
    Py_XDECREF(events);
    if (loaded && PyType_Ready(&callback_type) == 0) {
        disable = PyObject_GetAttrString(module, "DISABLE");
        Py_XDECREF(disable);
    }
    if (!disable)
        PyErr_Clear();
    return disable != NULL;
}

// Call sys.monitoring.NAME(…) and drop the result; the exception, if any, too.
static bool call_monitoring(const char *name, const char *format, ...)
{
    va_list arguments;
    PyObject *function = monitoring_function(name);
    PyObject *tuple = NULL, *result = NULL;

    va_start(arguments, format);
    tuple = Py_VaBuildValue(format, arguments);
    va_end(arguments);
    if (function && tuple)
        result = PyObject_CallObject(function, tuple);
    Py_XDECREF(function);
    Py_XDECREF(tuple);
    Py_XDECREF(result);
    PyErr_Clear();
    return result != NULL;
}

// Who holds a tool id, as text.
static void describe_tool(int id, char *text, size_t size)
{
    PyObject *function = monitoring_function("get_tool");
    PyObject *name = function ? PyObject_CallFunction(function, "i", id) : NULL;
    const char *utf8 = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;

    snprintf(text, size, "%d: %s", id, utf8 ? utf8 : "?");
    Py_XDECREF(name);
    Py_XDECREF(function);
    PyErr_Clear();
}

static enum mt_status take_tool_id(struct hooks *hooks)
{
    // 0 to 2 and 5 have customary owners: debugger, coverage, profiler, optimizer (PEP 669).
    static const int candidates[] = {4, 3, 5};
    char holders[3][80];

    for (int i = 0; i < 3; i++) {
        if (call_monitoring("use_tool_id", "(is)", candidates[i], "memtrace")) {
            hooks->tool_id = candidates[i];
            return MT_OK;
        }
        describe_tool(candidates[i], holders[i], sizeof holders[i]);
    }
    return mt_status_set(MT_NO_TOOL_ID,
                         "every free sys.monitoring tool id is taken (%s, %s, %s): "
                         "stop one of these tools, then try again",
                         holders[0], holders[1], holders[2]);
}

static bool register_callbacks(const struct hooks *hooks, bool on)
{
    bool done = true;

    for (int i = 0; i < EVENT_COUNT; i++)
        done &= call_monitoring("register_callback", "(iiO)", hooks->tool_id, event_bits[i],
                                on ? (PyObject *)&callbacks[i] : Py_None);
    return done;
}

// Code that is to be seen to, found while the world stands still.
struct codes {
    const struct hooks *hooks;
    PyCodeObject **list; // owned references, `count` of them; recursion only once
    size_t count, capacity;
};

static bool add_code(struct codes *codes, PyCodeObject *code)
{
    if (codes->count && codes->list[codes->count - 1] == code)
        return true;
    if (codes->count == codes->capacity) {
        size_t capacity = codes->capacity ? 2 * codes->capacity : 256;
        PyCodeObject **list = PyMem_RawRealloc(codes->list, capacity * sizeof *list);
        if (!list)
            return false;
        codes->list = list;
        codes->capacity = capacity;
    }
    Py_INCREF(code);
    codes->list[codes->count++] = code;
    return true;
}

static void collect_running(void *argument)
{
    struct codes *codes = argument;

    for (PyThreadState *tstate = PyInterpreterState_ThreadHead(codes->hooks->interp); tstate;
         tstate = PyThreadState_Next(tstate)) {
        for (mt_frame *frame = mt_frame_current(tstate); frame; frame = mt_frame_back(frame)) {
            PyCodeObject *code = mt_frame_code(frame);
            // Without memory for the rest, that is reached when it is next called.
            if (code && !mt_code_is_shim(code) && !add_code(codes, code))
                return;
        }
    }
}

// Watch the traced code of every frame that runs in any thread of the interpreter.
static void watch_running_frames(const struct hooks *hooks)
{
    struct codes codes = {.hooks = hooks};

    mt_guard_alone(collect_running, &codes);
    for (size_t i = 0; i < codes.count; i++) {
        traced_plan(codes.list[i]);
        Py_DECREF(codes.list[i]);
    }
    PyMem_RawFree(codes.list);
}

// Switch the events of single code objects off.
#if MT_FREE_THREADED

static void collect_one(PyCodeObject *code, struct mt_plan *plan, struct mt_remains *remains,
                        void *codes)
{
    // Code without references is just being freed, by a thread that is stopped in the middle.
    if (!Py_REFCNT(code) || add_code(codes, code))
        plan->watched = 0;
}

static void collect_watched(void *argument)
{
    struct codes *codes = argument;

    mt_plan_cache_each_watched(codes->hooks->number, collect_one, codes);
}

static void unwatch_all(struct hooks *hooks)
{
    struct codes codes = {.hooks = hooks};

    mt_guard_alone(collect_watched, &codes);
    for (size_t i = 0; i < codes.count; i++) {
        watch_code(hooks, codes.list[i], 0);
        Py_DECREF(codes.list[i]);
    }
    PyMem_RawFree(codes.list);
}

#else

static void unwatch_all(struct hooks *hooks)
{
    mt_plan_cache_each_watched(hooks->number, unwatch, hooks);
}

#endif

static int global_events(void)
{
    return event_bits[PY_START] | event_bits[PY_RESUME] | event_bits[PY_THROW] | event_bits[RAISE];
}

// ---- one interpreter: the calling thread's ------------------------------------------------------

static void remove_here(struct hooks *hooks)
{
    if (hooks->tool_id < 0)
        return;
    call_monitoring("set_events", "(ii)", hooks->tool_id, 0);
    register_callbacks(hooks, false);
    stop_watching();
    // free_tool_id leaves the events of single code objects in place up to 3.13 (gh-127033).
    unwatch_all(hooks);
    call_monitoring("free_tool_id", "(i)", hooks->tool_id);
    hooks->tool_id = -1;
}

static enum mt_status install_here(struct hooks *hooks)
{
    if (hooks->tool_id < 0) {
        enum mt_status status = take_tool_id(hooks);
        if (status != MT_OK)
            return status;
        if (!register_callbacks(hooks, true) ||
            !call_monitoring("set_events", "(ii)", hooks->tool_id, global_events())) {
            remove_here(hooks);
            return mt_status_set(MT_REFUSED, "sys.monitoring refused our callbacks");
        }
        // Giving the tool id back does not bring disabled places back: the interpreter compares
        // a code object's events with those it had when it last ran.
        if (hooks->may_be_silent)
            call_monitoring("restart_events", "()");
        hooks->may_be_silent = true;
    }
    hooks->generation = mt_verdict.generation;
    allow_watching();
    watch_running_frames(hooks);
    return MT_OK;
}

// Options changed. Code that is not traced any more goes quiet (without the GIL: at its next
// events, when it answers DISABLE); code that answered DISABLE at its start is asked again.
static void refresh_here(struct hooks *hooks)
{
    allow_watching();
    if (!MT_FREE_THREADED)
        mt_plan_cache_each_watched(hooks->number, unwatch_unless_traced, hooks);
    call_monitoring("restart_events", "()");
    hooks->generation = mt_verdict.generation;
    watch_running_frames(hooks);
}

// ---- all interpreters ---------------------------------------------------------------------------

// A number that no other interpreter's code has.
static uint16_t free_number(void)
{
    uint16_t number = 1;

    for (struct hooks *hooks = all_hooks; hooks;) {
        bool taken = hooks->number == number;
        number += taken;
        hooks = taken ? all_hooks : hooks->next;
    }
    return number;
}

// Those of an interpreter, made at first sight of it. NULL: no memory.
static struct hooks *make_hooks(const struct mt_interpreter *interpreter)
{
    struct hooks *hooks = find_hooks(interpreter->state);

    if (hooks && hooks->id == interpreter->id)
        return hooks;
    if (hooks) { // at the address of one that is gone
        mt_plan_cache_each_watched(hooks->number, unwatch, NULL);
    } else {
        hooks = PyMem_RawCalloc(1, sizeof *hooks);
        if (!hooks)
            return NULL;
        hooks->number = free_number();
        hooks->next = all_hooks;
        all_hooks = hooks;
    }
    hooks->interp = interpreter->state;
    hooks->id = interpreter->id;
    hooks->tool_id = -1;
    hooks->asked = hooks->may_be_silent = false;
    return hooks;
}

static bool is_in_line(const struct hooks *hooks)
{
    bool on = hooks->tool_id >= 0;

    return on == wanted && (!on || hooks->generation == mt_verdict.generation);
}

static void lose_interpreter(void)
{
    if (mt_control)
        mt_control->lost_interpreters++;
}

static void align(struct hooks *hooks)
{
    if (is_in_line(hooks))
        return;
    if (!wanted || !mt_engine_on)
        remove_here(hooks);
    else if (hooks->tool_id >= 0)
        refresh_here(hooks);
    else if (!mt_verdict_cover(hooks->interp) || install_here(hooks) != MT_OK)
        lose_interpreter();
}

// A pending call in each interpreter but the requesting thread's: bring it in line.
static int align_here(void *unused)
{
    struct hooks *hooks = find_hooks(PyThreadState_Get()->interp);
    int saved_errno = errno;

    if (hooks) {
        hooks->asked = false;
        align(hooks);
    }
    errno = saved_errno;
    return 0;
}

static void see_interpreter(const struct mt_interpreter *interpreter, void *threads)
{
    struct hooks *hooks = make_hooks(interpreter);

    if (threads)
        *(uint32_t *)threads += interpreter->threads;
    if (!hooks) {
        lose_interpreter();
        return;
    }
    hooks->seen = true;
    if (is_in_line(hooks) || hooks->asked)
        return;
    if (interpreter->state == PyThreadState_Get()->interp) {
        align(hooks);
        return;
    }
    hooks->asked = _PyEval_AddPendingCall(interpreter->state, align_here, NULL, 0) == 0;
    if (!hooks->asked)
        lose_interpreter();
}

// Bring every interpreter in line. `threads`: counts theirs, NULL for none.
static void align_all(uint32_t *threads)
{
    for (struct hooks *hooks = all_hooks; hooks; hooks = hooks->next)
        hooks->seen = false;
    mt_interpreters_look(see_interpreter, threads);
    for (struct hooks **at = &all_hooks; *at;) {
        struct hooks *hooks = *at;
        if (hooks->seen) {
            at = &hooks->next;
            continue;
        }
        mt_plan_cache_each_watched(hooks->number, unwatch, NULL);
        *at = hooks->next;
        PyMem_RawFree(hooks);
    }
}

static __attribute__((noinline)) void look_at_interpreters(void)
{
    align_all(NULL);
}

enum mt_status mt_driver_install(uint32_t *ret_threads)
{
    PyInterpreterState *interp = PyThreadState_Get()->interp;
    struct mt_interpreter here = {interp, PyInterpreterState_GetID(interp), 0};
    struct hooks *hooks = make_hooks(&here);

    if (!hooks)
        return mt_status_set(MT_NO_MEMORY, "no memory");
    if (!load_constants())
        return mt_status_set(MT_REFUSED, "sys.monitoring is not usable in this interpreter");
    enum mt_status status = install_here(hooks);
    if (status != MT_OK)
        return status;
    wanted = true;
    *ret_threads = 0;
    align_all(ret_threads);
    return MT_OK;
}

void mt_driver_refresh(void)
{
    align_all(NULL);
}

void mt_driver_renew(void) {}

void mt_driver_remove(void)
{
    wanted = false;
    align_all(NULL);
}

#endif
