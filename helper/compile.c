/* See compile.h. The compiler has no switch for its warnings. So the program's list of warning
 * filters has one more while it runs: under the GIL, which is not given away before the filter
 * is gone, unless an audit hook or a finalizer of the program's runs in between. */

#include "compile.h"

// Borrowed; NULL where nothing is filtered by a plain list.
static PyObject *warning_filters(void)
{
    PyObject *modules = PyImport_GetModuleDict(); // borrowed
    PyObject *module = PyDict_GetItemString(modules, "warnings");

    if (!module) // not imported: the interpreter's own half has the same list
        module = PyDict_GetItemString(modules, "_warnings");
    PyObject *filters = module && PyModule_Check(module)
                            ? PyDict_GetItemString(PyModule_GetDict(module), "filters")
                            : NULL;
    return filters && PyList_CheckExact(filters) ? filters : NULL;
}

static void remove_item(PyObject *list, const PyObject *item)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (PyList_GET_ITEM(list, i) == item) {
            PyList_SetSlice(list, i, i + 1, NULL);
            return;
        }
    }
}

PyObject *mt_compile_expression(const char *text, const char *name)
{
    PyObject *type, *error, *traceback;
    PyObject *filters = warning_filters();
    PyObject *ignore =
        filters ? Py_BuildValue("(sOOOi)", "ignore", Py_None, PyExc_Warning, Py_None, 0) : NULL;

    if (ignore)
        PyList_Insert(filters, 0, ignore);
    PyErr_Clear();
    Py_XINCREF(filters);
    PyObject *code = Py_CompileString(text, name, Py_eval_input);
    PyErr_Fetch(&type, &error, &traceback);
    if (ignore)
        remove_item(filters, ignore);
    Py_XDECREF(filters);
    Py_XDECREF(ignore);
    PyErr_Restore(type, error, traceback);
    return code;
}
