/* Frames, thread states and the tracing switches of the interpreter, behind verbs: what
 * differs between CPython versions and is no object's layout (object.h has those).
 *
 * Everything needs the GIL and runs no Python code. A `struct mt_frame` is what the
 * interpreter executes: _PyInterpreterFrame from 3.11 on, PyFrameObject before. Its address
 * identifies a running or suspended call; it is never kept beyond the call's end. */
#ifndef MT_FRAME_H
#define MT_FRAME_H

#include <Python.h>
#include <frameobject.h>
#include <stdbool.h>
#include <stdint.h>
#include "memtrace.h"
#include "sharing.h"

#ifdef Py_GIL_DISABLED
_Static_assert(MT_FREE_THREADED, "the helper of a build without the GIL has its own locks");
#else
_Static_assert(!MT_FREE_THREADED, "with the GIL nothing else is locked");
#endif

#if PY_VERSION_HEX < 0x03080000 || PY_VERSION_HEX >= 0x03100000
#error "memtrace knows CPython 3.8 to 3.15"
#endif

/* sys.monitoring came with 3.12 (PEP 669); before it the only way in is a trace function. */
#define MT_HAVE_MONITORING (PY_VERSION_HEX >= 0x030c0000)

/* Where it pays to set no trace function until there is something to trace (dormant.h): up to 3.10
 * an evaluation function keeps other code at its own speed. */
#define MT_CAN_BE_DORMANT (PY_VERSION_HEX >= 0x030b0000 && !MT_HAVE_MONITORING)

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE
#define MT_FRAME_UNDEF_BUILD_CORE
#endif
#undef _PyGC_FINALIZED
#if PY_VERSION_HEX >= 0x030b0000
#include <internal/pycore_frame.h>
#endif
#if PY_VERSION_HEX >= 0x030e0000
// 3.14: what belongs to _PyInterpreterFrame moved out of pycore_frame.h (gh-131238).
#include <internal/pycore_interpframe.h>
#include <internal/pycore_stackref.h>
#endif
#if PY_VERSION_HEX < 0x030a0000
#include <internal/pycore_pystate.h>
#endif
#ifdef MT_FRAME_UNDEF_BUILD_CORE
#undef Py_BUILD_CORE
#undef MT_FRAME_UNDEF_BUILD_CORE
#endif

/* 3.11: frames became lazily made views on _PyInterpreterFrame (bpo-44590). */
#if PY_VERSION_HEX >= 0x030b0000
typedef struct _PyInterpreterFrame mt_frame;
#else
typedef PyFrameObject mt_frame;
#endif

/* ---- one frame ------------------------------------------------------------------------ */

static inline mt_frame *mt_frame_of_object(PyFrameObject *object)
{
#if PY_VERSION_HEX >= 0x030b0000
    return object->f_frame;
#else
    return object;
#endif
}

/* The frame's code object; NULL for a frame of the interpreter's own (3.12+ shims). */
static inline PyCodeObject *mt_frame_code(mt_frame *frame)
{
#if PY_VERSION_HEX >= 0x030e0000
    PyObject *code = PyStackRef_AsPyObjectBorrow(frame->f_executable);
    return PyCode_Check(code) ? (PyCodeObject *)code : NULL;
#elif PY_VERSION_HEX >= 0x030d0000
    // 3.13: f_code became f_executable, which may be None in a trampoline frame (gh-111481).
    return PyCode_Check(frame->f_executable) ? (PyCodeObject *)frame->f_executable : NULL;
#else
    return frame->f_code;
#endif
}

/* Code of the interpreter's own, constant, whose frame is between those of a class call and of
 * its __init__ (3.12+): it has no instruction that is ever traced, and can't be planned. */
static inline bool mt_code_is_shim(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030c0000
    return code->_co_firsttraceable >= Py_SIZE(code);
#else
    return false;
#endif
}

static inline PyObject *mt_frame_globals(mt_frame *frame)
{
    return frame->f_globals;
}

/* The mapping of a class or module body, or of exec; NULL in a function. */
static inline PyObject *mt_frame_namespace(mt_frame *frame)
{
    return frame->f_locals;
}

/* Offset in bytes of the instruction that is about to run or runs; -1 before the first. */
static inline int mt_frame_offset(mt_frame *frame)
{
#if PY_VERSION_HEX >= 0x030e0000
    // 3.14: without the GIL each thread may run a copy of its own (gh-115999).
    return (int)((char *)frame->instr_ptr - (char *)_PyFrame_GetBytecode(frame));
#elif PY_VERSION_HEX >= 0x030d0000
    return (int)((char *)frame->instr_ptr - (char *)_PyCode_CODE(mt_frame_code(frame)));
#elif PY_VERSION_HEX >= 0x030b0000
    return (int)((char *)frame->prev_instr - (char *)_PyCode_CODE(frame->f_code));
#elif PY_VERSION_HEX >= 0x030a0000
    // 3.10: f_lasti counts code units (bpo-27129).
    return frame->f_lasti < 0 ? -1 : frame->f_lasti * 2;
#else
    return frame->f_lasti;
#endif
}

/* Where a code object's instructions begin, and how many bytes behind it a frame of it is: what
 * mt_frame_offset gives, at the least cost. A huge number for a frame that has not begun, or that
 * runs other code. */
static inline const char *mt_code_start(PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030b0000
    return (const char *)_PyCode_CODE(code);
#else
    return NULL;
#endif
}

static inline uint64_t mt_frame_place(mt_frame *frame, const char *code_start)
{
#if PY_VERSION_HEX >= 0x030d0000
    return (uintptr_t)frame->instr_ptr - (uintptr_t)code_start;
#elif PY_VERSION_HEX >= 0x030b0000
    return (uintptr_t)frame->prev_instr - (uintptr_t)code_start;
#elif PY_VERSION_HEX >= 0x030a0000
    return (uint64_t)(uint32_t)frame->f_lasti * 2;
#else
    return (uint32_t)frame->f_lasti;
#endif
}

/* The object in a slot of localsplus (locals, cells, free variables), or NULL. */
static inline PyObject *mt_frame_slot(mt_frame *frame, int slot)
{
#if PY_VERSION_HEX >= 0x030e0000
    // 3.14: slots are tagged references; the low bits say who owns the count (gh-128563).
    return (PyObject *)(frame->localsplus[slot].bits & ~(uintptr_t)3);
#elif PY_VERSION_HEX >= 0x030b0000
    return frame->localsplus[slot];
#else
    return frame->f_localsplus[slot];
#endif
}

/* Operand `below` places under the top of the stack (0: the top), at an instruction's
 * start. `depth`: operands on the stack there, used where the frame does not say (3.12,
 * 3.13: stacktop is -1 at an INSTRUCTION event). */
static inline PyObject *mt_frame_operand(mt_frame *frame, int depth, int below)
{
#if PY_VERSION_HEX >= 0x030e0000
    return (PyObject *)(frame->stackpointer[-1 - below].bits & ~(uintptr_t)3);
#elif PY_VERSION_HEX >= 0x030c0000
    return frame->localsplus[mt_frame_code(frame)->co_nlocalsplus + depth - 1 - below];
#elif PY_VERSION_HEX >= 0x030b0000
    return frame->localsplus[frame->stacktop - 1 - below];
#elif PY_VERSION_HEX >= 0x030a0000
    return frame->f_valuestack[frame->f_stackdepth - 1 - below];
#else
    return frame->f_stacktop[-1 - below];
#endif
}

/* A sum of str first unbinds the variable that it is stored to, if nothing else holds its left
 * operand (unicode_concatenate() in ceval.c). From 3.11 on a specialised instruction does that,
 * and none runs while code is traced. */
#define MT_CONCAT_UNBINDS (PY_VERSION_HEX < 0x030b0000)

/* Has the call behind a CALL event only just begun (as against a resumed generator)? */
bool mt_frame_begins(mt_frame *frame);

/* Does the frame, at a RETURN event, only yield? */
bool mt_frame_yields(mt_frame *frame);

/* The calling frame, or NULL. */
mt_frame *mt_frame_back(mt_frame *frame);

/* The calling thread's state, unchecked: it holds the GIL. */
static inline PyThreadState *mt_tstate_self(void)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

/* The frame that a thread executes, or NULL. */
static inline mt_frame *mt_frame_current(PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x030d0000
    // 3.13: cframe is gone (gh-108035).
    return tstate->current_frame;
#elif PY_VERSION_HEX >= 0x030b0000
    return tstate->cframe->current_frame;
#else
    return tstate->frame;
#endif
}

/* ---- code objects ------------------------------------------------------------------------ */

/* A word of ours in each code object, and what is called with it when the code dies. The first
 * is for the calling thread's interpreter; each other one has to be covered too, before code of
 * its own is given a word. False: its slots are in use otherwise. Without the GIL
 * (code_words.c): `get` for code that the thread runs, `set` under mt_sharing_lock. */
enum mt_status mt_code_extra_init(freefunc destroy);
bool mt_code_extra_cover(PyInterpreterState *interp);
#if MT_FREE_THREADED
uintptr_t mt_code_extra_get(PyCodeObject *code);
#else
static inline uintptr_t mt_code_extra_get(PyCodeObject *code);
#endif
bool mt_code_extra_set(PyCodeObject *code, uintptr_t value);
enum { MT_CODE_EXTRA_BYTES = 16 }; /* that the word takes, where the code has no other tool's */
/* Now and then, where the world may be stopped: give memory back. */
#if MT_FREE_THREADED
void mt_code_extra_tidy(void);
#else
static inline void mt_code_extra_tidy(void) {}
#endif

/* Give back what the interpreter keeps for tracing a code object, and makes again when it is
 * traced again: in 3.11 a table of lines, 2 or 4 bytes for each code unit. */
void mt_code_trim(PyCodeObject *code);

/* Where it keeps such tables: about what the code's weighs, the same at any time. */
#define MT_HAVE_LINE_TABLES (PY_VERSION_HEX >= 0x030b0000 && PY_VERSION_HEX < 0x030c0000)
static inline size_t mt_code_line_table_bytes(const PyCodeObject *code)
{
    // Two bytes for each code unit, or four where a line number takes more; and the allocator's.
#if MT_HAVE_LINE_TABLES
    return ((size_t)Py_SIZE(code) * (code->co_firstlineno < 1 << 15 ? 2 : 4) + 15) & ~(size_t)15;
#else
    return 0;
#endif
}

#if !MT_FREE_THREADED
/* Index of our word in co_extra, the same in every interpreter; -1 before it was asked for. */
extern __attribute__((visibility("hidden"))) Py_ssize_t mt_code_extra_index;

/* co_extra: a count, then that many words (PEP 523; the struct is private to codeobject.c but
 * the same from 3.6 to 3.15). */
struct mt_code_extra {
    Py_ssize_t size;
    uintptr_t words[];
};

static inline uintptr_t mt_code_extra_get(PyCodeObject *code)
{
    const struct mt_code_extra *extra = code->co_extra;

    return extra && extra->size > mt_code_extra_index ? extra->words[mt_code_extra_index] : 0;
}
#endif

/* UTF-8 of a str, in the object's own memory; NULL where it is none (or NULL) or has no UTF-8. No
 * error is left set. */
const char *mt_object_text(PyObject *object);

/* The file that a code object names, UTF-8 in the object's own memory; NULL: it is no UTF-8. */
const char *mt_code_filename(PyCodeObject *code);

/* The qualified name that a code object carries (3.11+, bpo-44530), in the same way; NULL also: it
 * has none. */
const char *mt_code_qualname(PyCodeObject *code);

/* Slots of localsplus: how many, their names (borrowed str), and whether a slot holds a cell. */
int mt_code_slot_count(PyCodeObject *code);
PyObject *mt_code_slot_name(PyCodeObject *code, int slot);
bool mt_code_slot_is_cell(PyCodeObject *code, int slot);

#if MT_FREE_THREADED || !MT_HAVE_MONITORING
// There is no such table, or it can't be touched because other threads run the code.
static inline void mt_code_restore_instruction_tools(PyCodeObject *code) {}
static inline void mt_code_keep_instruction_tools(PyCodeObject *code, int tool) {}
static inline void mt_code_drop_instruction_tools(PyCodeObject *code) {}
static inline bool mt_code_each_running(void (*each)(PyCodeObject *code))
{
    return false;
}
#else
/* The interpreter's table of tools that have INSTRUCTION events of a code object, by place. Where
 * one tool has them it keeps none; and when a second one asks for any event of that code it makes
 * one without the first (seen on 3.12 to 3.15), which gets no INSTRUCTION events any more.
 *
 * Before we ask for ours: give other tools back theirs. */
void mt_code_restore_instruction_tools(PyCodeObject *code);

/* After that, and at the first call after a drop: have a table with ours (`tool` is our id), so
 * that they are in it when a second tool comes. One that came since the drop has left them out. */
void mt_code_keep_instruction_tools(PyCodeObject *code, int tool);

/* Of code that no frame runs: give the table's memory back, if it is there for us alone. */
void mt_code_drop_instruction_tools(PyCodeObject *code);

/* Call `each` for the code of every frame that runs, several times if need be. False: it was not
 * called, because there is more than one interpreter. */
bool mt_code_each_running(void (*each)(PyCodeObject *code));
#endif

/* ---- the interpreter ----------------------------------------------------------------------- */

/* MT_OK, or MT_FINALIZING with a detail text: not initialised, or shutting down. */
enum mt_status mt_interpreter_ready(void);

/* Fill the control block's fields about the interpreter. */
void mt_interpreter_describe(struct mt_control *control);

/* ---- tracing switches (settrace driver, 3.8 to 3.11) ----------------------------------------- */

#if !MT_HAVE_MONITORING

static inline Py_tracefunc mt_trace_function(PyThreadState *tstate)
{
    return tstate->c_tracefunc;
}

/* Set or clear a thread's trace function by its fields: PyEval_SetTrace would raise an audit
 * event, which may run code of the program. Only for a thread whose slot is free, or ours. */
void mt_trace_set(PyThreadState *tstate, Py_tracefunc function);

/* Does the evaluation that the thread is in look for trace events? Per C evaluation since
 * 3.10 (bpo-43760). Before, the loop looks at the thread's trace function itself. */
static inline bool mt_trace_enabled(PyThreadState *tstate)
{
#if PY_VERSION_HEX >= 0x030a0000
    return tstate->cframe->use_tracing != 0;
#else
    return tstate->c_tracefunc != NULL;
#endif
}

/* Switch that on or off; `function` is the trace function of a thread that is ours. Somebody
 * else's function stays where it is. */
static inline void mt_trace_enable(PyThreadState *tstate, bool enable, Py_tracefunc function)
{
#if PY_VERSION_HEX >= 0x030b0000
    // 3.11: or'ed into the opcode, hence all bits (bpo-45963).
    tstate->cframe->use_tracing = enable ? 255 : 0;
#elif PY_VERSION_HEX >= 0x030a0000
    tstate->cframe->use_tracing = enable;
#else
    if (enable && !tstate->c_tracefunc)
        mt_trace_set(tstate, function);
    else if (!enable && tstate->c_tracefunc == function)
        mt_trace_set(tstate, NULL);
#endif
}

/* The same for every evaluation that the thread is in, from the innermost outwards. */
void mt_trace_enable_all(PyThreadState *tstate, bool enable);

/* The Python frame that a thread runs, and the one that called it: new references or NULL. */
PyFrameObject *mt_tstate_frame_object(PyThreadState *tstate);
PyFrameObject *mt_frame_object_back(PyFrameObject *object);

/* The frame's object as Python code sees it, borrowed, if there is one. */
static inline PyFrameObject *mt_frame_object(mt_frame *frame)
{
#if PY_VERSION_HEX >= 0x030b0000
    return frame->frame_obj;
#else
    return frame;
#endif
}

/* What a frame is to report. Lines: at a line event it is decided, by f_trace_opcodes, whether the
 * line's instructions are reported too; until then they are. */
enum mt_trace { MT_TRACE_NOTHING, MT_TRACE_INSTRUCTIONS, MT_TRACE_LINES };

/* f_trace_lines of a frame that reports lines to us: true for the interpreter, and for Python
 * code that looks at it. */
enum { MT_LINES_FOR_US = 2 };

static inline void mt_trace_frame(PyFrameObject *object, enum mt_trace trace)
{
    object->f_trace_opcodes = trace != MT_TRACE_NOTHING;
    object->f_trace_lines = trace == MT_TRACE_NOTHING ? 1
                            : trace == MT_TRACE_LINES ? MT_LINES_FOR_US
                                                      : 0;
#if PY_VERSION_HEX < 0x030a0000
    // The line that a traced frame is on: left as a frame has it that never was traced, because
    // the next tracer takes a resumed generator to come from there.
    if (trace == MT_TRACE_NOTHING && !object->f_trace)
        object->f_lineno = object->f_code->co_firstlineno;
#endif
}

static inline bool mt_trace_is_marked(const PyFrameObject *object)
{
    return object->f_trace_lines == MT_LINES_FOR_US ||
           (object->f_trace_opcodes && !object->f_trace_lines);
}

/* The interpreter's frame evaluation function (PEP 523). MT_EVAL_FUNCTION defines `name`, to
 * be set in the interpreter, from `function(tstate, frame, throw_flag)`. */
#if PY_VERSION_HEX >= 0x03090000
typedef _PyFrameEvalFunction mt_eval_function;
#define MT_EVAL_FUNCTION(name, function) static const mt_eval_function name = function
static inline PyObject *mt_eval_call(mt_eval_function function, PyThreadState *tstate,
                                     mt_frame *frame, int throw_flag)
{
    return function(tstate, frame, throw_flag);
}
#else
// 3.9: the thread state became a parameter (bpo-38500).
typedef PyObject *(*mt_eval_function)(struct _frame *, int);
#define MT_EVAL_FUNCTION(name, function)                         \
    static PyObject *name(mt_frame *frame, int throw_flag)       \
    {                                                            \
        return function(PyThreadState_Get(), frame, throw_flag); \
    }
static inline PyObject *mt_eval_call(mt_eval_function function, PyThreadState *tstate,
                                     mt_frame *frame, int throw_flag)
{
    return function(frame, throw_flag);
}
#endif

/* 3.11: a Python-to-Python call stays in one C evaluation (bpo-45256), unless an evaluation
 * function is set. */
#define MT_CALLS_SHARE_C_STACK (PY_VERSION_HEX >= 0x030b0000)

/* Where the interpreter counts the threads that it ever made (3.11: thread states get unique
 * numbers). Valid as long as the interpreter. */
const uint64_t *mt_interpreter_threads_made(PyInterpreterState *interp);

/* The first of the interpreter's thread states: it, and all behind it (PyThreadState_Next), are
 * whole as long as the GIL is held. NULL when that could not be made sure within `wait_us`
 * microseconds; 0: at once. A thread that comes from C links its state without the GIL, and on
 * 3.11 before the state is filled in (new_threadstate). */
PyThreadState *mt_interpreter_first_thread(PyInterpreterState *interp, int wait_us);

/* Every object that the interpreter's garbage collector knows, until `each` returns false. It makes
 * and frees none. While garbage is being collected, some are left out. */
void mt_interpreter_each_object(PyInterpreterState *interp,
                                bool (*each)(PyObject *object, void *context), void *context);
bool mt_interpreter_collects(PyInterpreterState *interp);

/* The code that a function runs when it is called, or a generator, coroutine or async generator
 * when it is resumed, borrowed; NULL: it is neither, or at its end. (3.11) */
PyCodeObject *mt_object_code(PyObject *object);

/* The frame object of a suspended generator, coroutine or async generator, borrowed; NULL: it
 * has none, or `object` is something else. */
PyFrameObject *mt_generator_frame_object(PyObject *object);

/* Does the interpreter have audit hooks that are Python objects? */
bool mt_interpreter_has_hooks(PyInterpreterState *interp);

/* Put a hook at the end of the interpreter's list of audit hooks (PEP 578), and take it out again.
 * One at a time: the list's entry is ours. */
void mt_audit_listen(Py_AuditHookFunction hook);
void mt_audit_unlisten(void);

mt_eval_function mt_eval_get(PyInterpreterState *interp);
void mt_eval_set(PyInterpreterState *interp, mt_eval_function function);

#endif /* !MT_HAVE_MONITORING */

#endif
