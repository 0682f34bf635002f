/* See dormant.h.
 *
 * How code comes to run on 3.11, and how each way is known:
 *
 *   It runs already, or is a function's, or a suspended generator's (coroutine's, async
 *   generator's): the garbage collector tracks all of those, always, so its lists have them.
 *   It is a constant of such code, at any depth: what makes functions of a `def`, a lambda, a
 *   comprehension, a class body is MAKE_FUNCTION, of a constant.
 *   exec(), eval(), import of Python modules, runpy, PyRun_*: audit event "exec", with the code
 *   object that runs next.
 *   types.FunctionType(code): "function.__new__". function.__code__ = code:
 *   "object.__setattr__".
 *   A compiled file as the main program: run_pyc_file() alone raises no "exec"; but
 *   "cpython.run_file" comes before it.
 *   C code that calls PyEval_EvalCode(), PyFunction_New() and the like raises no event. It has to
 *   refer to them: linkage.c looks. A library that is loaded later is announced by "import" or
 *   "ctypes.dlopen"; what ctypes calls by name, by "ctypes.dlsym", and what it could call before
 *   is in objects of a known layout.
 *
 * So while nothing of the first two kinds is of interest and no library refers to those functions,
 * the audit hook hears of whatever changes that. What remains unheard: bytecode made by hand that
 * has MAKE_FUNCTION take a code object from elsewhere than its constants; C code that loads a
 * library, or looks a function up by its name, without telling. */

#include "dormant.h"

#if MT_CAN_BE_DORMANT

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "interpreter.h"
#include "linkage.h"
#include "verdict.h"

enum {
    LOOK_NS = 100 * 1000 * 1000, // of processor time, for which the program waits
    CLOCK_EVERY = 1024,          // objects between two looks at the clock
    NESTING_MAX = 100,           // of code within code: the compiler makes a few levels
    LIST_WAIT_US = 10 * 1000,    // for the list of threads
    MAGIC = 3495,                // of all 3.11 (PyImport_GetMagicNumber() looks an attribute up)
};

// ---- code ------------------------------------------------------------------------------------

// This code, or what it can make functions of.
static bool is_of_interest(PyCodeObject *code, int nesting)
{
    PyObject *constants = code->co_consts;

    if (nesting > NESTING_MAX || mt_verdict_may_trace(code))
        return true;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(constants); i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);
        if (PyCode_Check(constant) && is_of_interest((PyCodeObject *)constant, nesting + 1))
            return true;
    }
    return false;
}

static uint64_t thread_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000 * 1000 * 1000 + (uint64_t)now.tv_nsec;
}

// ---- what is there ---------------------------------------------------------------------------

struct look {
    bool found;                    // something of interest, or no certainty
    uint64_t ends_ns;              // by when it has to be over
    uint32_t objects;              // seen
    PyTypeObject *last_other_type; // borrowed, compared only: is known not to be a ctypes function
};

// ctypes' function pointers are instances of classes right below _ctypes.CFuncPtr.
static bool is_ctypes_function(struct look *look, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE) || type == look->last_other_type)
        return false;
    for (const PyTypeObject *base = type->tp_base; base; base = base->tp_base) {
        if (!strcmp(base->tp_name, "_ctypes.CFuncPtr"))
            return true;
    }
    look->last_other_type = type;
    return false;
}

// CDataObject of ctypes.h: behind the object's head, where the C value is.
static const void *ctypes_function(PyObject *object)
{
    const struct {
        PyObject head;
        const void *const *place;
    } *data = (const void *)object;

    return data->place ? *data->place : NULL;
}

static bool look_at_object(PyObject *object, void *context)
{
    struct look *look = context;
    PyCodeObject *code = mt_object_code(object);

    if (code)
        look->found = is_of_interest(code, 0);
    else if (is_ctypes_function(look, object))
        look->found = mt_linkage_runs_code(ctypes_function(object));
    if (++look->objects % CLOCK_EVERY == 0 && thread_ns() > look->ends_ns)
        look->found = true;
    return !look->found;
}

static void look_at_frames(PyInterpreterState *interp, struct look *look)
{
    PyThreadState *tstate = mt_interpreter_first_thread(interp, LIST_WAIT_US);

    look->found |= !tstate;
    for (; tstate; tstate = PyThreadState_Next(tstate)) {
        mt_frame *frame = mt_frame_current(tstate);
        for (; frame && !look->found; frame = mt_frame_back(frame))
            look->found = is_of_interest(mt_frame_code(frame), 0);
    }
}

static void look_at_interpreter(const struct mt_interpreter *interpreter, void *context)
{
    struct look *look = context;

    // While garbage is collected, part of the objects is in lists that nothing leads to.
    look->found |= mt_interpreter_collects(interpreter->state);
    if (!look->found)
        look_at_frames(interpreter->state, look);
    if (!look->found)
        mt_interpreter_each_object(interpreter->state, look_at_object, look);
}

bool mt_dormant_may_begin(void)
{
    struct look look = {.ends_ns = thread_ns() + LOOK_NS};

    mt_interpreters_look(look_at_interpreter, &look);
    return !look.found && mt_linkage_is_known();
}

bool mt_dormant_may_go_on(void)
{
    return mt_linkage_is_known();
}

// ---- what comes ------------------------------------------------------------------------------

// An argument of an event; NULL: there is none. Events are the program's to raise, too.
static PyObject *argument(PyObject *arguments, Py_ssize_t index)
{
    return index < PyTuple_GET_SIZE(arguments) ? PyTuple_GET_ITEM(arguments, index) : NULL;
}

static bool is_text(PyObject *object, const char *text)
{
    return object && PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, text) == 0;
}

static enum mt_arrival judge(PyObject *object)
{
    return object && PyCode_Check(object) && is_of_interest((PyCodeObject *)object, 0)
               ? MT_ARRIVAL_CODE
               : MT_ARRIVAL_NOTHING;
}

// Any module's import raises the event with None for the file, and that of an extension module
// again with the file. What runs before it is loaded may not end the wait for it: so with hooks in
// Python, which run after ours, nothing is certain.
static enum mt_arrival judge_library(PyObject *file)
{
    if (!file || file == Py_None)
        return MT_ARRIVAL_NOTHING;
    return mt_interpreter_has_hooks(PyThreadState_Get()->interp) ? MT_ARRIVAL_CODE
                                                                 : MT_ARRIVAL_LIBRARY;
}

static enum mt_arrival judge_symbol(PyObject *name)
{
    const char *text = mt_object_text(name);

    return text && mt_linkage_names_runner(text) ? MT_ARRIVAL_CODE : MT_ARRIVAL_NOTHING;
}

// As the interpreter sees it: by the name, or by the first two bytes.
static bool is_compiled(const char *path)
{
    size_t size = strlen(path);
    unsigned char magic[2];
    struct stat found;

    if (size > 4 && !strcmp(path + size - 4, ".pyc"))
        return true;
    // Who writes to a pipe would see it being opened and closed.
    if (stat(path, &found) < 0 || !S_ISREG(found.st_mode))
        return false;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return false; // so it can't be run either
    bool compiled = pread(file, magic, sizeof magic, 0) == sizeof magic &&
                    (magic[0] | magic[1] << 8) == MAGIC;
    close(file);
    return compiled;
}

static enum mt_arrival judge_file(PyObject *path)
{
    const char *text = mt_object_text(path);

    return !text || is_compiled(text) ? MT_ARRIVAL_CODE : MT_ARRIVAL_NOTHING;
}

enum mt_arrival mt_dormant_arrival(const char *event, PyObject *arguments)
{
    // Most events are none of these.
    switch (event[0]) {
    case 'e':
        if (!strcmp(event, "exec"))
            return judge(argument(arguments, 0));
        break;
    case 'f':
        if (!strcmp(event, "function.__new__"))
            return judge(argument(arguments, 0));
        break;
    case 'o':
        if (!strcmp(event, "object.__setattr__") && is_text(argument(arguments, 1), "__code__"))
            return judge(argument(arguments, 2));
        break;
    case 'i':
        if (!strcmp(event, "import"))
            return judge_library(argument(arguments, 1));
        break;
    case 'c':
        if (!strcmp(event, "ctypes.dlopen"))
            return judge_library(argument(arguments, 0));
        if (!strcmp(event, "ctypes.dlsym") || !strcmp(event, "ctypes.dlsym/handle"))
            return judge_symbol(argument(arguments, 1));
        if (!strcmp(event, "cpython.run_file"))
            return judge_file(argument(arguments, 0));
        break;
    }
    return MT_ARRIVAL_NOTHING;
}

#endif
