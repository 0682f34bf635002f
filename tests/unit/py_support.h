/* For units with Python.h: an embedded interpreter, objects made by Python source, and the
 * check that nothing was changed. Include after cmocka.h. */
#ifndef MT_TEST_PY_SUPPORT_H
#define MT_TEST_PY_SUPPORT_H

#include <Python.h>
#include <stdio.h>
#include <stdlib.h>

/* Every special method that reading an object could run by mistake; each counts. */
static const char hostile_source[] =
    "import collections, gc, sys\n"
    "ran = []\n"
    "def trap(name):\n"
    "    def method(self, *args, **kwargs):\n"
    "        ran.append(name)\n"
    "        raise RuntimeError(name)\n"
    "    return method\n"
    "names = ['__repr__', '__str__', '__eq__', '__ne__', '__hash__', '__getattribute__',\n"
    "         '__getattr__', '__len__', '__bool__', '__iter__', '__next__', '__contains__',\n"
    "         '__getitem__', '__missing__', '__index__', '__int__', '__float__', '__format__',\n"
    "         '__sizeof__', '__call__', '__get__', '__lt__', '__reversed__']\n"
    "armed = {name: trap(name) for name in names}\n"
    "def hostile(*bases):\n"
    "    return type('Hostile', bases, dict(armed))\n"
    "class Meta(type):\n"
    "    __repr__ = __hash__ = __eq__ = __getattribute__ = __instancecheck__ = \\\n"
    "        __subclasscheck__ = __len__ = __bool__ = trap('meta')\n"
    "class Key:\n"
    "    def __init__(self, hash_): self.hash = hash_\n"
    "    def __hash__(self): return self.hash\n"
    "    def __eq__(self, other):\n"
    "        ran.append('__eq__')\n"
    "        return True\n";

static PyObject *py_globals; /* borrowed from __main__ */

static void py_exec(const char *source)
{
    PyObject *result = PyRun_String(source, Py_file_input, py_globals, py_globals);
    if (!result) {
        PyErr_Print();
        fail_msg("failed: %s", source);
    }
    Py_XDECREF(result);
}

/* A new reference. */
static PyObject *py_eval(const char *source)
{
    PyObject *result = PyRun_String(source, Py_eval_input, py_globals, py_globals);
    if (!result) {
        PyErr_Print();
        fail_msg("failed: %s", source);
    }
    return result;
}

static long py_number(const char *source)
{
    PyObject *result = py_eval(source);
    long number = PyLong_AsLong(result);
    Py_DECREF(result);
    return number;
}

static void py_start(void)
{
    Py_InitializeEx(0);
    py_globals = PyModule_GetDict(PyImport_AddModule("__main__"));
    py_exec(hostile_source);
}

/* Setup and teardown of a group of tests that needs nothing else. */
static inline int py_begin_group(void **state)
{
    py_start();
    return 0;
}

static inline int py_end_group(void **state)
{
    return Py_FinalizeEx();
}

/* What must be the same after as before: reference counts of an object, of all that it
 * refers to and that these refer to, and the exception that is set. */
struct py_watch {
    PyObject *objects; /* owned list: the object, its type, referents */
    Py_ssize_t *counts;
    PyObject *exception; /* owned: the pending exception */
};

static inline struct py_watch py_watch_begin(PyObject *object)
{
    struct py_watch watch;
    PyObject *function = py_eval("lambda o: [o, type(o), *gc.get_referents(o),\n"
                                 "           *gc.get_referents(*gc.get_referents(o))]");
    watch.objects = PyObject_CallFunctionObjArgs(function, object, NULL);
    assert_non_null(watch.objects);
    Py_DECREF(function);
    Py_ssize_t size = PyList_GET_SIZE(watch.objects);
    watch.counts = calloc((size_t)size, sizeof *watch.counts);
    watch.exception = PyObject_CallFunction(PyExc_KeyError, "s", "pending");
    PyErr_SetObject(PyExc_KeyError, watch.exception);
    for (Py_ssize_t i = 0; i < size; i++)
        watch.counts[i] = Py_REFCNT(PyList_GET_ITEM(watch.objects, i));
    return watch;
}

static inline void py_watch_end(struct py_watch *watch)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    assert_ptr_equal(value, watch->exception);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(watch->objects); i++) {
        PyObject *object = PyList_GET_ITEM(watch->objects, i);
        /* A slot of the types' attribute cache that was free until now referred to None. */
        if (object != Py_None)
            assert_int_equal(watch->counts[i], Py_REFCNT(object));
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    Py_DECREF(watch->exception);
    Py_DECREF(watch->objects);
    free(watch->counts);
    assert_int_equal(py_number("len(ran)"), 0);
}

#endif
