/* See watch.h. Everything needs the GIL. Without it, the list is replaced alone (guard.h); a
 * thread that evaluates a condition meanwhile finds out when it is done. */

#include "watch.h"

#include <stdlib.h>
#include <string.h>
#include "compile.h"
#include "condition.h"
#include "filter.h"
#include "guard.h"
#include "ring.h"
#include "status.h"
#include "value.h"

// An armed breakpoint: the request's, and what was made of it.
struct watch {
    const struct mt_breakpoint *breakpoint; // borrowed from the request in force
    char base[256];                         // target without its last [key]
    bool is_item;                           // the target ends in [key]
    bool has_key;                           // and the key is a literal: `key`
    struct mt_value key;
    char key_text[128];         // as the person wrote it
    PyObject *condition;        // owned code object, NULL for none
    struct mt_condition simple; // the same, where `is_simple`
    bool is_simple;             // it needs no Python
    PyInterpreterState *interp; // that it was compiled in; compared only
    bool names_old, names_new;  // what the condition needs
    bool has_functions;         // it has comprehensions or lambdas with a code of their own
};

static struct watch *watches; // watch_count of them; NULL when there are none
static uint32_t watch_count;
static uint32_t watch_version; // grows when `watches` are others

// ---- targets ---------------------------------------------------------------------------

// Position of the '[' that opens the last subscript of a target that ends in ']', or -1.
static int last_subscript(const char *target)
{
    int size = (int)strlen(target), nesting = 0, open = -1;
    char quote = '\0';

    if (!size || target[size - 1] != ']')
        return -1;
    for (int i = 0; i < size; i++) {
        char c = target[i];
        if (quote) {
            if (c == '\\' && target[i + 1])
                i++;
            else if (c == quote)
                quote = '\0';
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == '[' && nesting++ == 0) {
            open = i;
        } else if (c == ']') {
            nesting--;
        }
    }
    return nesting || quote ? -1 : open;
}

// A literal key becomes the value that an event's key has; anything else is compared as text.
static bool parse_key(const char *text, struct mt_value *ret)
{
    PyObject *type, *error, *traceback, *scope = NULL, *object = NULL;
    bool literal = text[strspn(text, " -+0123456789.eExXabcdefABCDEF_")] == '\0' || *text == '\'' ||
                   *text == '"' || !strncmp(text, "b'", 2) || !strcmp(text, "None") ||
                   !strcmp(text, "True") || !strcmp(text, "False");

    if (!literal)
        return false;
    PyErr_Fetch(&type, &error, &traceback);
    PyObject *code = mt_compile_expression(text, "<memtrace key>");
    // A name such as `abc` passes the test above: with no names in scope it fails here.
    scope = code ? PyDict_New() : NULL;
    PyObject *builtins = scope ? PyDict_New() : NULL;
    if (builtins && PyDict_SetItemString(scope, "__builtins__", builtins) == 0)
        object = PyEval_EvalCode(code, scope, scope);
    bool captured = object && mt_value_capture_key(object, ret);
    Py_XDECREF(object);
    Py_XDECREF(builtins);
    Py_XDECREF(scope);
    Py_XDECREF(code);
    PyErr_Restore(type, error, traceback);
    return captured;
}

static void parse_target(const char *target, struct watch *ret)
{
    int open = last_subscript(target);
    int base_size = open >= 0 ? open : (int)strlen(target);

    snprintf(ret->base, sizeof ret->base, "%.*s", base_size, target);
    ret->is_item = open > 0;
    if (!ret->is_item)
        return;
    snprintf(ret->key_text, sizeof ret->key_text, "%.*s", (int)strlen(target) - open - 2,
             target + open + 1);
    ret->has_key = parse_key(ret->key_text, &ret->key);
}

// ---- arming ------------------------------------------------------------------------------

static void free_watches(struct watch *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        Py_XDECREF(list[i].condition);
    PyMem_RawFree(list);
}

struct armed {
    struct watch *list;
    uint32_t count;
};

// Exchange what is armed with *argument.
static void exchange(void *argument)
{
    struct armed *other = argument;
    struct armed before = {watches, watch_count};

    watches = other->list;
    watch_count = other->count;
    watch_version++;
    *other = before;
}

static void arm(struct watch *list, uint32_t count)
{
    struct armed other = {list, count};

    mt_guard_alone(exchange, &other);
    free_watches(other.list, other.count);
}

void mt_watch_clear(void)
{
    arm(NULL, 0);
}

uint32_t mt_watch_count(void)
{
    return watch_count;
}

// The text of the exception that is set, which is cleared. Runs str() of a builtin exception.
static void describe_error(char *text, size_t size)
{
    PyObject *type, *error, *traceback;

    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    PyObject *message = error ? PyObject_Str(error) : NULL;
    const char *utf8 = message ? PyUnicode_AsUTF8(message) : NULL;
    snprintf(text, size, "%s: %s", type ? ((PyTypeObject *)type)->tp_name : "error",
             utf8 ? utf8 : "?");
    PyErr_Clear();
    Py_XDECREF(message);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
}

// Note which of the names it needs a condition's code has, and the functions in it.
static void look_at_names(struct watch *watch, PyObject *code)
{
    PyObject *names = ((PyCodeObject *)code)->co_names, *consts = ((PyCodeObject *)code)->co_consts;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        watch->names_old |= PyUnicode_CompareWithASCIIString(name, "old") == 0;
        watch->names_new |= PyUnicode_CompareWithASCIIString(name, "new") == 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(consts); i++) {
        PyObject *function = PyTuple_GET_ITEM(consts, i);
        if (!PyCode_Check(function))
            continue;
        watch->has_functions = true;
        look_at_names(watch, function);
    }
}

// May the condition be decided in C? Not without the GIL, where other threads change what it
// would look into; and not for a variable called `old`, which hides the value of that name.
static bool needs_no_python(const struct watch *watch)
{
    return !MT_FREE_THREADED && strcmp(watch->base, "old") != 0;
}

static enum mt_status compile_condition(struct watch *watch)
{
    char error[256];

    if (!*watch->breakpoint->condition)
        return MT_OK;
    watch->condition = mt_compile_expression(watch->breakpoint->condition, "<memtrace condition>");
    if (watch->condition) {
        watch->interp = PyThreadState_Get()->interp;
        look_at_names(watch, watch->condition);
        watch->is_simple = needs_no_python(watch) &&
                           mt_condition_parse(watch->breakpoint->condition, &watch->simple);
        return MT_OK;
    }
    describe_error(error, sizeof error);
    return mt_status_set(MT_BAD_REQUEST, "condition of breakpoint %u: %s: %s",
                         watch->breakpoint->number, watch->breakpoint->condition, error);
}

enum mt_status mt_watch_configure(const struct mt_request *request)
{
    uint32_t count = (uint32_t)request->breakpoint_count;
    struct watch *list = NULL;
    enum mt_status status = MT_OK;

    if (count) {
        list = PyMem_RawCalloc(count, sizeof *list);
        if (!list)
            return mt_status_set(MT_NO_MEMORY, "no memory for %u breakpoints", count);
    }
    for (uint32_t i = 0; i < count && status == MT_OK; i++) {
        list[i].breakpoint = &request->breakpoints[i];
        parse_target(list[i].breakpoint->target, &list[i]);
        status = compile_condition(&list[i]);
    }
    if (status != MT_OK) {
        free_watches(list, count);
        return status;
    }
    arm(list, count);
    return MT_OK;
}

// ---- where they apply ------------------------------------------------------------------------

// `qualname` NULL: not known, so that any function's glob matches.
static bool applies_to_code(const struct watch *watch, PyCodeObject *code, const char *qualname)
{
    const struct mt_breakpoint *breakpoint = watch->breakpoint;

    if (*breakpoint->function && qualname && !mt_filter_function(breakpoint->function, qualname))
        return false;
    if (!*breakpoint->file && !*breakpoint->module)
        return true;
    const char *file = mt_code_filename(code);
    if (!file)
        return false;
    return (!*breakpoint->file || mt_filter_file(breakpoint->file, file)) &&
           (!*breakpoint->module || mt_filter_file(breakpoint->module, file));
}

uint32_t mt_watch_applies(PyCodeObject *code, const struct mt_plan *plan, enum mt_scope scope,
                          const char *name)
{
    for (uint32_t i = 0; i < watch_count; i++) {
        bool module_only = *watches[i].breakpoint->module && !*watches[i].breakpoint->function;
        if (module_only && scope != MT_GLOBAL && scope != MT_NAME && scope != MT_ATTRIBUTE &&
            scope != MT_ITEM)
            continue;
        if (!strcmp(watches[i].base, name) && applies_to_code(&watches[i], code, plan->qualname))
            return 1;
    }
    return 0;
}

static bool is_name(PyObject *name, const char *text, size_t size)
{
    Py_ssize_t length;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &length);

    if (!utf8)
        PyErr_Clear(); // lone surrogates, which nobody can type
    return utf8 && (size_t)length == size && !memcmp(utf8, text, size);
}

static bool has_name(PyCodeObject *code, const char *text, size_t size)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_names); i++) {
        if (is_name(PyTuple_GET_ITEM(code->co_names, i), text, size))
            return true;
    }
    for (int slot = 0; slot < mt_code_slot_count(code); slot++) {
        if (is_name(mt_code_slot_name(code, slot), text, size))
            return true;
    }
    return false;
}

// Does the code have the names that a store to the target takes: the variable's that it begins
// with, and the attribute's that it ends in? What is no name (… and the rest) says nothing.
static bool has_names_of(PyCodeObject *code, const char *target)
{
    size_t root = strncmp(target, "…", strlen("…")) ? strcspn(target, ".[(") : 0;
    const char *dot = strrchr(target, '.');
    bool is_attribute = dot && !strpbrk(dot, "[]()\"'") && !strstr(dot, "…");

    return (!root || has_name(code, target, root)) &&
           (!is_attribute || has_name(code, dot + 1, strlen(dot + 1)));
}

bool mt_watch_may_apply(PyCodeObject *code)
{
    for (uint32_t i = 0; i < watch_count; i++) {
        if (has_names_of(code, watches[i].base) &&
            applies_to_code(&watches[i], code, mt_code_qualname(code)))
            return true;
    }
    return false;
}

// ---- hits --------------------------------------------------------------------------------------

static int put(PyObject *dict, PyObject *name, PyObject *value)
{
    return value ? PyDict_SetItem(dict, name, value) : 0;
}

// The variables of a function's frame, as the condition sees them. New reference or NULL.
static PyObject *frame_variables(mt_frame *frame, const struct mt_plan *plan)
{
    PyObject *variables = PyDict_New();
    PyCodeObject *code = plan->code;
    PyObject *namespace = mt_frame_namespace(frame);

    if (!variables)
        return NULL;
    if (namespace && PyDict_Update(variables, namespace) < 0)
        goto failed;
    for (int slot = 0; slot < mt_code_slot_count(code); slot++) {
        PyObject *name = mt_code_slot_name(code, slot); // borrowed
        PyObject *value = mt_frame_slot(frame, slot);
        if (value && mt_code_slot_is_cell(code, slot) && PyCell_Check(value))
            value = PyCell_Get(value);
        else
            Py_XINCREF(value);
        int status = put(variables, name, value);
        Py_XDECREF(value);
        if (status < 0)
            goto failed;
    }
    return variables;
failed:
    Py_DECREF(variables);
    return NULL;
}

static PyObject *event_scope(const struct mt_watch_event *event)
{
    PyObject *variables = frame_variables(event->frame, event->plan);

    if (!variables)
        return NULL;
    if ((event->old_object && PyDict_SetItemString(variables, "old", event->old_object) < 0) ||
        (event->new_object && PyDict_SetItemString(variables, "new", event->new_object) < 0)) {
        Py_DECREF(variables);
        return NULL;
    }
    // The variable itself already has its new value, as far as it is a plain name.
    if (event->new_object && !strpbrk(event->name, ".[") &&
        PyDict_SetItemString(variables, event->name, event->new_object) < 0) {
        Py_DECREF(variables);
        return NULL;
    }
    return variables;
}

// The globals that a condition runs with. What a comprehension or lambda in it names, it finds
// nowhere else. New reference or NULL.
static PyObject *condition_globals(bool has_functions, mt_frame *frame, PyObject *variables)
{
    PyObject *globals = mt_frame_globals(frame);

    if (!has_functions) {
        Py_INCREF(globals);
        return globals;
    }
    globals = PyDict_Copy(globals);
    if (globals && PyDict_Update(globals, variables) < 0)
        Py_CLEAR(globals);
    return globals;
}

// A condition over `old` can't hold where there was nothing before, nor one over `new` where
// there is nothing after. (An old value that is there but can't be read fails.)
static bool lacks_a_side(const struct watch *watch, const struct mt_watch_event *event)
{
    return (watch->names_old && event->kind == MT_NEW) ||
           (watch->names_new && event->kind == MT_DELETED);
}

// The condition's code for the interpreter that the thread is in: from 3.12 on what a code object
// learns by running (versions of types and dicts) means something else in another one. New
// reference or NULL.
static PyObject *condition_code(const struct watch *watch)
{
    if (PyThreadState_Get()->interp != watch->interp)
        return mt_compile_expression(watch->breakpoint->condition, "<memtrace condition>");
    Py_INCREF(watch->condition);
    return watch->condition;
}

// Does the condition hold, as Python sees it? A failure holds, with the reason in `error`. While
// it is evaluated the breakpoints can be replaced by others: then it does not, and `watch` is gone.
static bool python_holds(const struct watch *watch, const struct mt_watch_event *event, char *error,
                         size_t error_size)
{
    PyObject *saved_type, *saved_error, *saved_traceback;
    bool lacks = lacks_a_side(watch, event);
    uint32_t version = watch_version;
    int truth = -1;

    PyErr_Fetch(&saved_type, &saved_error, &saved_traceback);
    bool has_functions = watch->has_functions;
    PyObject *code = condition_code(watch);
    PyObject *scope = code ? event_scope(event) : NULL;
    PyObject *globals = scope ? condition_globals(has_functions, event->frame, scope) : NULL;
    PyObject *result = globals ? PyEval_EvalCode(code, globals, scope) : NULL;
    if (result)
        truth = PyObject_IsTrue(result);
    Py_XDECREF(result);
    Py_XDECREF(code);
    Py_XDECREF(globals);
    Py_XDECREF(scope);
    if (truth < 0 && lacks && PyErr_ExceptionMatches(PyExc_NameError)) {
        PyErr_Clear();
        truth = 0;
    }
    if (truth < 0)
        describe_error(error, error_size);
    PyErr_Restore(saved_type, saved_error, saved_traceback);
    return truth != 0 && version == watch_version;
}

// The same, without Python where that tells.
static bool condition_holds(const struct watch *watch, const struct mt_watch_event *event,
                            char *error, size_t error_size)
{
    enum mt_truth truth =
        watch->is_simple ? mt_condition_holds(&watch->simple, event->old_object, event->new_object)
                         : MT_UNKNOWN;

    return truth == MT_UNKNOWN ? python_holds(watch, event, error, error_size) : truth == MT_TRUE;
}

static bool target_matches(const struct watch *watch, const struct mt_watch_event *event)
{
    bool event_is_item = event->key || *event->key_text;

    if (strcmp(watch->base, event->name) != 0 || watch->is_item != event_is_item)
        return false;
    if (!watch->is_item)
        return true;
    if (watch->has_key && event->key)
        return watch->key.tag == event->key->tag && watch->key.size == event->key->size &&
               !memcmp(watch->key.bytes, event->key->bytes, watch->key.size);
    return !event->key && !strcmp(watch->key_text, event->key_text);
}

// Is it known without Python that the condition doesn't hold? A few compares, which come before
// everything dearer, since that is what becomes of nearly every event.
static bool is_ruled_out(const struct watch *watch, const struct mt_watch_event *event)
{
    return watch->is_simple &&
           mt_condition_holds(&watch->simple, event->old_object, event->new_object) == MT_FALSE;
}

bool mt_watch_check(const struct mt_watch_event *event, struct mt_hit *ret)
{
    uint32_t version = watch_version;

    ret->count = 0;
    ret->error[0] = '\0';
    for (uint32_t i = 0; i < watch_count && ret->count < MT_HIT_MAX; i++) {
        struct watch *watch = &watches[i];
        if (!target_matches(watch, event) || is_ruled_out(watch, event) ||
            !applies_to_code(watch, event->plan->code, event->plan->qualname))
            continue;
        uint32_t number = watch->breakpoint->number;
        if (!watch->condition || condition_holds(watch, event, ret->error, sizeof ret->error))
            ret->ids[ret->count++] = number;
        if (version != watch_version)
            break; // the others were replaced while the condition was evaluated
    }
    return ret->count != 0;
}
