/* The out-of-line half of frame.h. Needs the GIL throughout; runs no Python code. */

#include "frame.h"

#include <opcode.h>
#include <string.h>
#include "status.h"

#if MT_HAVE_MONITORING
#undef _PyGC_FINALIZED
#define Py_BUILD_CORE
#include <internal/pycore_instruments.h>
#undef Py_BUILD_CORE
#endif

#if PY_VERSION_HEX >= 0x03090000
// For tracing_possible (3.9), the count and the list of threads (3.11), garbage collector and slots
// in code objects. The public header defines this macro for older extensions.
#undef _PyGC_FINALIZED
#define Py_BUILD_CORE
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#undef Py_BUILD_CORE
#endif

/* ---- one frame ------------------------------------------------------------------------ */

bool mt_frame_begins(mt_frame *frame)
{
#if PY_VERSION_HEX >= 0x030e0000
    return mt_frame_offset(frame) <= mt_frame_code(frame)->_co_firsttraceable * 2;
#elif PY_VERSION_HEX >= 0x030d0000
    PyCodeObject *code = mt_frame_code(frame);
    return frame->instr_ptr <= _PyCode_CODE(code) + code->_co_firsttraceable;
#elif PY_VERSION_HEX >= 0x030b0000
    // The first RESUME; a generator that is thrown into before it began stands before it.
    PyCodeObject *code = frame->f_code;
    return frame->prev_instr <= _PyCode_CODE(code) + code->_co_firsttraceable;
#else
    return frame->f_lasti < 0;
#endif
}

bool mt_frame_yields(mt_frame *frame)
{
    int offset = mt_frame_offset(frame);

    if (offset < 0)
        return false;
#if PY_VERSION_HEX >= 0x030b0000
    PyCodeObject *code = mt_frame_code(frame);
    if (!(code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)))
        return false;
    uint8_t opcode = ((const uint8_t *)_PyCode_CODE(code))[offset];
    return opcode == YIELD_VALUE;
#else
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(frame->f_code->co_code);
    if (!(frame->f_code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)))
        return false;
    // Up to 3.10 a `yield from` leaves f_lasti on the instruction before it, to run it again.
    if (offset + 2 < PyBytes_GET_SIZE(frame->f_code->co_code) && bytes[offset + 2] == YIELD_FROM)
        return true;
    return bytes[offset] == YIELD_VALUE || bytes[offset] == YIELD_FROM;
#endif
}

mt_frame *mt_frame_back(mt_frame *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
    return frame->previous;
#else
    return frame->f_back;
#endif
}

/* ---- code objects ------------------------------------------------------------------------ */

#if !MT_FREE_THREADED

Py_ssize_t mt_code_extra_index = -1;
static freefunc extra_destroy;

bool mt_code_extra_cover(PyInterpreterState *interp)
{
    Py_ssize_t used = interp->co_extra_user_count;

    if (used > mt_code_extra_index)
        return interp->co_extra_freefuncs[mt_code_extra_index] == extra_destroy;
    // What _PyEval_RequestCodeExtraIndex() does, for an interpreter that is not the thread's.
    while (used <= mt_code_extra_index)
        interp->co_extra_freefuncs[used++] = NULL;
    interp->co_extra_freefuncs[mt_code_extra_index] = extra_destroy;
    interp->co_extra_user_count = used;
    return true;
}

enum mt_status mt_code_extra_init(freefunc destroy)
{
    if (mt_code_extra_index >= 0)
        return MT_OK;
    extra_destroy = destroy;
#if PY_VERSION_HEX >= 0x030c0000
    mt_code_extra_index = PyUnstable_Eval_RequestCodeExtraIndex(destroy);
#else
    mt_code_extra_index = _PyEval_RequestCodeExtraIndex(destroy);
#endif
    if (mt_code_extra_index < 0)
        return mt_status_set(MT_REFUSED, "no free slot in code objects: too many profilers and "
                                         "debuggers are loaded in this process");
    return MT_OK;
}

bool mt_code_extra_set(PyCodeObject *code, uintptr_t value)
{
    struct mt_code_extra *extra = code->co_extra;
    Py_ssize_t size = extra ? extra->size : 0;

    // Not by the interpreter's own function: that makes room for the words of tools which came
    // after us too, and their free functions would be called for code that they never touched.
    if (!extra || size <= mt_code_extra_index) {
        extra = PyMem_Realloc(extra, sizeof *extra +
                                         (size_t)(mt_code_extra_index + 1) * sizeof(uintptr_t));
        if (!extra)
            return false;
        memset(extra->words + size, 0,
               (size_t)(mt_code_extra_index + 1 - size) * sizeof(uintptr_t));
        extra->size = mt_code_extra_index + 1;
        code->co_extra = extra;
    }
    extra->words[mt_code_extra_index] = value;
    return true;
}

#endif /* !MT_FREE_THREADED */

void mt_code_trim(PyCodeObject *code)
{
#if MT_HAVE_LINE_TABLES
    // Safe while its frames run: each use of the table makes one first, where there is none
    // (_PyCode_InitLineArray), and reads it before anything else can run.
    PyMem_Free(code->_co_linearray);
    code->_co_linearray = NULL;
#endif
}

const char *mt_object_text(PyObject *object)
{
    const char *text = object && PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : NULL;

    if (!text)
        PyErr_Clear(); // lone surrogates, or no memory
    return text;
}

const char *mt_code_filename(PyCodeObject *code)
{
    return mt_object_text(code->co_filename);
}

const char *mt_code_qualname(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030b0000
    return mt_object_text(code->co_qualname);
#else
    return NULL;
#endif
}

int mt_code_slot_count(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030b0000
    return code->co_nlocalsplus;
#else
    return (int)(code->co_nlocals + PyTuple_GET_SIZE(code->co_cellvars) +
                 PyTuple_GET_SIZE(code->co_freevars));
#endif
}

PyObject *mt_code_slot_name(PyCodeObject *code, int slot)
{
#if PY_VERSION_HEX >= 0x030b0000
    return PyTuple_GET_ITEM(code->co_localsplusnames, slot);
#else
    Py_ssize_t cells = PyTuple_GET_SIZE(code->co_cellvars);

    if (slot < code->co_nlocals)
        return PyTuple_GET_ITEM(code->co_varnames, slot);
    slot -= code->co_nlocals;
    return slot < cells ? PyTuple_GET_ITEM(code->co_cellvars, slot)
                        : PyTuple_GET_ITEM(code->co_freevars, slot - cells);
#endif
}

bool mt_code_slot_is_cell(PyCodeObject *code, int slot)
{
#if PY_VERSION_HEX >= 0x030b0000
    // CO_FAST_CELL and CO_FAST_FREE of pycore_code.h (3.11 to 3.15).
    return ((const uint8_t *)PyBytes_AS_STRING(code->co_localspluskinds))[slot] & 0xC0;
#else
    return slot >= code->co_nlocals;
#endif
}

#if MT_HAVE_MONITORING && !MT_FREE_THREADED

// Is the instruction at a code unit one that INSTRUCTION events are made at?
static bool is_instrumented(PyCodeObject *code, Py_ssize_t unit)
{
    const _PyCoMonitoringData *data = code->_co_monitoring;
    uint8_t opcode = _PyCode_CODE(code)[unit].op.code;

    if (opcode == INSTRUMENTED_LINE && data->lines) {
#if PY_VERSION_HEX >= 0x030d0300
        // 3.14, 3.13.3: as many bytes an entry as the lines need, the opcode first (gh-127953).
        opcode = data->lines->data[unit * data->lines->bytes_per_entry];
#else
        opcode = data->lines[unit].original_opcode;
#endif
    }
    return opcode == INSTRUMENTED_INSTRUCTION;
}

// Tools that the table names anywhere.
static uint8_t known_tools(PyCodeObject *code, const uint8_t *tools)
{
    uint8_t known = 0;

    for (Py_ssize_t unit = 0; unit < Py_SIZE(code); unit++)
        known |= tools[unit];
    return known;
}

// Of those among `wanted` that have INSTRUCTION events, give back theirs to the ones that the table
// names nowhere.
static void restore_tools(PyCodeObject *code, uint8_t wanted)
{
    _PyCoMonitoringData *data = code->_co_monitoring;
    uint8_t active = data ? data->active_monitors.tools[PY_MONITORING_EVENT_INSTRUCTION] : 0;

    if (!active)
        return;
    // Freed by the interpreter, with the code object.
    if (!data->per_instruction_tools)
        data->per_instruction_tools = PyMem_Calloc(1, (size_t)Py_SIZE(code));
    uint8_t *tools = data->per_instruction_tools;
    uint8_t forgotten = tools ? active & wanted & (uint8_t)~known_tools(code, tools) : 0;
    // Where such a tool has said DISABLE, the place is not instrumented any more.
    for (Py_ssize_t unit = 0; forgotten && unit < Py_SIZE(code); unit++) {
        if (is_instrumented(code, unit))
            tools[unit] |= forgotten;
    }
}

void mt_code_restore_instruction_tools(PyCodeObject *code)
{
    restore_tools(code, UINT8_MAX);
}

void mt_code_keep_instruction_tools(PyCodeObject *code, int tool)
{
    restore_tools(code, (uint8_t)(1 << tool));
}

void mt_code_drop_instruction_tools(PyCodeObject *code)
{
    _PyCoMonitoringData *data = code->_co_monitoring;
    uint8_t active = data ? data->active_monitors.tools[PY_MONITORING_EVENT_INSTRUCTION] : 0;

    // Of one tool alone the table says nothing that isn't known without it.
    if (!active || active & (active - 1))
        return;
    PyMem_Free(data->per_instruction_tools);
    data->per_instruction_tools = NULL;
}

bool mt_code_each_running(void (*each)(PyCodeObject *code))
{
    PyInterpreterState *interp = PyInterpreterState_Head();

    if (interp != PyThreadState_Get()->interp || PyInterpreterState_Next(interp))
        return false; // others may not be under this GIL
    for (PyThreadState *tstate = PyInterpreterState_ThreadHead(interp); tstate;
         tstate = PyThreadState_Next(tstate)) {
        for (mt_frame *frame = mt_frame_current(tstate); frame; frame = mt_frame_back(frame)) {
            PyCodeObject *code = mt_frame_code(frame);
            if (code && !mt_code_is_shim(code))
                each(code);
        }
    }
    return true;
}

#endif

/* ---- the interpreter ----------------------------------------------------------------------- */

enum mt_status mt_interpreter_ready(void)
{
    if (!Py_IsInitialized())
        return mt_status_set(MT_FINALIZING, "the interpreter is not initialised yet, or has "
                                            "finished: try again once the program runs");
#if PY_VERSION_HEX >= 0x030d0000
    int finalizing = Py_IsFinalizing();
#else
    int finalizing = _Py_IsFinalizing();
#endif
    if (finalizing)
        return mt_status_set(MT_FINALIZING, "the interpreter is shutting down: "
                                            "nothing is left to record");
    return MT_OK;
}

void mt_interpreter_describe(struct mt_control *control)
{
    control->python_hex = PY_VERSION_HEX;
    strncpy(control->python_version, Py_GetVersion(), sizeof control->python_version - 1);
    strncpy(control->soabi, MT_SOABI, sizeof control->soabi - 1);
    strncpy(control->driver, MT_HAVE_MONITORING ? "monitoring" : "settrace",
            sizeof control->driver - 1);
}

/* ---- tracing switches ------------------------------------------------------------------------ */

#if !MT_HAVE_MONITORING

void mt_trace_set(PyThreadState *tstate, Py_tracefunc function)
{
#if PY_VERSION_HEX < 0x030a0000
    // Up to 3.9 the evaluation loop looks at a count of threads with a tracer first.
    int change = (function != NULL) - (tstate->c_tracefunc != NULL);
#if PY_VERSION_HEX < 0x03090000
    _PyRuntime.ceval.tracing_possible += change;
#else
    tstate->interp->ceval.tracing_possible += change;
#endif
#endif
    tstate->c_tracefunc = function;
    tstate->c_traceobj = NULL;
#if PY_VERSION_HEX < 0x030a0000
    tstate->use_tracing = function || tstate->c_profilefunc;
#endif
}

void mt_trace_enable_all(PyThreadState *tstate, bool enable)
{
    // Inside a trace function, ours or a profiler's, events are off, and
    // PyThreadState_LeaveTracing() asserts it before it switches them on by what is set then.
    if (enable && tstate->tracing)
        return;
#if PY_VERSION_HEX >= 0x030b0000
    for (_PyCFrame *cframe = tstate->cframe; cframe; cframe = cframe->previous)
        cframe->use_tracing = enable ? 255 : 0;
#elif PY_VERSION_HEX >= 0x030a0000
    // The root's `previous` is not initialised in 3.10.
    for (CFrame *cframe = tstate->cframe; cframe != &tstate->root_cframe; cframe = cframe->previous)
        cframe->use_tracing = enable;
    tstate->root_cframe.use_tracing = enable;
#else
    tstate->use_tracing = enable;
#endif
}

PyFrameObject *mt_tstate_frame_object(PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x03090000
    return PyThreadState_GetFrame(tstate);
#else
    Py_XINCREF(tstate->frame);
    return tstate->frame;
#endif
}

PyFrameObject *mt_frame_object_back(PyFrameObject *object)
{
#if PY_VERSION_HEX >= 0x03090000
    return PyFrame_GetBack(object);
#else
    Py_XINCREF(object->f_back);
    return object->f_back;
#endif
}

const uint64_t *mt_interpreter_threads_made(PyInterpreterState *interp)
{
#if PY_VERSION_HEX >= 0x030b0000
    return &interp->threads.next_unique_id;
#else
    return &interp->tstate_next_unique_id;
#endif
}

PyThreadState *mt_interpreter_first_thread(PyInterpreterState *interp, int wait_us)
{
#if PY_VERSION_HEX >= 0x030b0000
    // What is in the list when its lock has been had was linked and filled in under it.
    PyThread_type_lock lock = _PyRuntime.interpreters.mutex;
    if (PyThread_acquire_lock_timed(lock, wait_us, 0) != PY_LOCK_ACQUIRED)
        return NULL;
    PyThreadState *first = PyInterpreterState_ThreadHead(interp);
    PyThread_release_lock(lock);
    return first;
#else
    return PyInterpreterState_ThreadHead(interp);
#endif
}

void mt_interpreter_each_object(PyInterpreterState *interp,
                                bool (*each)(PyObject *object, void *context), void *context)
{
#if PY_VERSION_HEX < 0x03090000
    struct _gc_runtime_state *collector = &_PyRuntime.gc; // 3.9: per interpreter (bpo-36854)
#else
    struct _gc_runtime_state *collector = &interp->gc;
#endif
    PyGC_Head *heads[NUM_GENERATIONS + 1] = {&collector->permanent_generation.head};

    for (int i = 0; i < NUM_GENERATIONS; i++)
        heads[i + 1] = &collector->generations[i].head;
    for (int i = 0; i <= NUM_GENERATIONS; i++) {
        for (PyGC_Head *at = _PyGCHead_NEXT(heads[i]); at != heads[i]; at = _PyGCHead_NEXT(at)) {
            if (!each((PyObject *)(at + 1), context))
                return;
        }
    }
}

bool mt_interpreter_collects(PyInterpreterState *interp)
{
#if PY_VERSION_HEX < 0x03090000
    return _PyRuntime.gc.collecting;
#else
    return interp->gc.collecting;
#endif
}

PyFrameObject *mt_generator_frame_object(PyObject *object)
{
    if (!PyGen_CheckExact(object) && !PyCoro_CheckExact(object) && !PyAsyncGen_CheckExact(object))
        return NULL;
#if PY_VERSION_HEX >= 0x030b0000
    PyGenObject *generator = (PyGenObject *)object;
    // FRAME_COMPLETED and beyond (pycore_frame.h): the frame's memory is no frame any more.
    if (generator->gi_frame_state >= FRAME_COMPLETED)
        return NULL;
    return ((mt_frame *)generator->gi_iframe)->frame_obj;
#else
    return ((PyGenObject *)object)->gi_frame;
#endif
}

#if PY_VERSION_HEX >= 0x030b0000
PyCodeObject *mt_object_code(PyObject *object)
{
    if (PyFunction_Check(object))
        return (PyCodeObject *)PyFunction_GET_CODE(object);
    if (!PyGen_CheckExact(object) && !PyCoro_CheckExact(object) && !PyAsyncGen_CheckExact(object))
        return NULL;
    PyGenObject *generator = (PyGenObject *)object;
    return generator->gi_frame_state < FRAME_COMPLETED ? generator->gi_code : NULL;
}
#endif

// ---- audit hooks -----------------------------------------------------------------------------

// Ours in the list. The interpreter frees the list's entries at its end, but for this one, which
// is taken out before (tracer.c).
static _Py_AuditHookEntry audit_entry;

bool mt_interpreter_has_hooks(PyInterpreterState *interp)
{
    return interp->audit_hooks != NULL;
}

void mt_audit_listen(Py_AuditHookFunction hook)
{
    _Py_AuditHookEntry **end = &_PyRuntime.audit_hook_head;

    while (*end && *end != &audit_entry)
        end = &(*end)->next;
    if (*end)
        return;
    audit_entry = (_Py_AuditHookEntry){.hookCFunction = hook};
    *end = &audit_entry;
}

void mt_audit_unlisten(void)
{
    _Py_AuditHookEntry **link = &_PyRuntime.audit_hook_head;

    while (*link && *link != &audit_entry)
        link = &(*link)->next;
    // Its own `next` stays: somebody may be going through the list.
    if (*link)
        *link = audit_entry.next;
}

mt_eval_function mt_eval_get(PyInterpreterState *interp)
{
#if PY_VERSION_HEX >= 0x03090000
    return _PyInterpreterState_GetEvalFrameFunc(interp);
#else
    return interp->eval_frame;
#endif
}

void mt_eval_set(PyInterpreterState *interp, mt_eval_function function)
{
#if PY_VERSION_HEX >= 0x03090000
    _PyInterpreterState_SetEvalFrameFunc(interp, function);
#else
    interp->eval_frame = function;
#endif
}

#endif
