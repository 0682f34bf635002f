/* See tracer.h.
 *
 * How it is heard. Setting a trace function raises an audit event before anything is changed
 * (3.8, PEP 578), wherever it comes from: sys.settrace, or a tool in C such as coverage's tracer.
 * PySys_AddAuditHook would raise an event itself, which can run hooks of the program's, and its
 * hooks can't be taken out again. So the hook is linked into the interpreter's list directly,
 * and taken out when recording ends, or just before the interpreter frees the list. While it is
 * there an audited call (open, import, id, …) costs one comparison of text more, and the making
 * of its arguments' tuple where the program has no hooks. */

#define _GNU_SOURCE
#include "tracer.h"

#if !MT_HAVE_MONITORING

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// ---- who -------------------------------------------------------------------------------------

// Text of a str object, in the object's own memory; "?" if it has none.
static const char *text_of(PyObject *object)
{
    const char *text = mt_object_text(object);

    return text ? text : "?";
}

// A function in Python, and the type of the object that it is bound to (NULL: none).
static void describe_function(PyObject *function, PyTypeObject *self, char *text, size_t size)
{
    const PyFunctionObject *fields = (PyFunctionObject *)function;
    const char *name = text_of(fields->func_qualname);
    const char *file = text_of(((PyCodeObject *)fields->func_code)->co_filename);
    size_t length = self ? strlen(self->tp_name) : 0;

    // Named with its class already, unless that is a base of the object's.
    if (!self || (strncmp(name, self->tp_name, length) == 0 && name[length] == '.'))
        snprintf(text, size, "%s (%s)", name, file);
    else
        snprintf(text, size, "%s of a %s (%s)", name, self->tp_name, file);
}

// Not the interpreter's own trampoline into Python: the file that a tracer in C comes from.
static const char *file_of(Py_tracefunc function)
{
    Dl_info own, info;

    if (!dladdr((void *)(uintptr_t)function, &info) || !info.dli_fname ||
        !dladdr((void *)(uintptr_t)PyEval_SetTrace, &own) || info.dli_fbase == own.dli_fbase)
        return NULL;
    return info.dli_fname;
}

void mt_tracer_describe(PyThreadState *tstate, char *text, size_t size)
{
    PyObject *object = tstate->c_traceobj;
    const char *file = file_of(tstate->c_tracefunc);

    if (object && PyFunction_Check(object))
        describe_function(object, NULL, text, size);
    else if (object && PyMethod_Check(object) && PyFunction_Check(PyMethod_GET_FUNCTION(object)))
        describe_function(PyMethod_GET_FUNCTION(object), Py_TYPE(PyMethod_GET_SELF(object)), text,
                          size);
    else if (object && PyCFunction_Check(object))
        snprintf(text, size, "%s()", ((PyCFunctionObject *)object)->m_ml->ml_name);
    else if (object)
        snprintf(text, size, file ? "%s (%s)" : "%s", Py_TYPE(object)->tp_name, file);
    else
        snprintf(text, size, "function %#llx%s%s%s",
                 (unsigned long long)(uintptr_t)tstate->c_tracefunc, file ? " (" : "",
                 file ? file : "", file ? ")" : "");
}

// ---- when ------------------------------------------------------------------------------------

static void (*on_change)(PyThreadState *tstate);
static mt_tracer_other *on_other;

static int on_audit(const char *event, PyObject *arguments, void *data)
{
    PyThreadState *tstate = mt_tstate_self();

    if (strcmp(event, "cpython._PySys_ClearAuditHooks") == 0)
        mt_tracer_unlisten(); // what is in the list now is freed
    else if (tstate && strcmp(event, "sys.settrace") == 0)
        on_change(tstate);
    else if (tstate)
        on_other(tstate, event, arguments);
    return 0;
}

void mt_tracer_listen(void (*changes)(PyThreadState *tstate), mt_tracer_other *other)
{
    on_change = changes;
    on_other = other;
    mt_audit_listen(on_audit);
}

void mt_tracer_unlisten(void)
{
    mt_audit_unlisten();
}

#endif
