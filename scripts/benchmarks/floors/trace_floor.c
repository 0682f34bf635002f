/* A floor for CPython up to 3.11: what it costs to be called at all.
 *
 * A C trace function that does nothing, with an event for each instruction (`opcodes`) or for
 * each line (`lines`, on every version). No tracer that is told of stores by sys.settrace's
 * machinery can cost less than this. `off` returns how many events there were. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#if PY_VERSION_HEX >= 0x030b0000
/* 3.11 made the frame object opaque; f_trace_opcodes is still a field of it. */
#define Py_BUILD_CORE
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE
#endif

static unsigned long long events;

static int at_line(PyObject *self, PyFrameObject *frame, int what, PyObject *argument)
{
    events++;
    return 0;
}

static int at_opcode(PyObject *self, PyFrameObject *frame, int what, PyObject *argument)
{
    events++;
    if (what == PyTrace_CALL) {
        frame->f_trace_lines = 0;
        frame->f_trace_opcodes = 1;
    }
    return 0;
}

static PyObject *begin(Py_tracefunc function)
{
    events = 0;
    PyEval_SetTrace(function, NULL);
    Py_RETURN_NONE;
}

static PyObject *lines(PyObject *self, PyObject *unused)
{
    return begin(at_line);
}

static PyObject *opcodes(PyObject *self, PyObject *unused)
{
    return begin(at_opcode);
}

static PyObject *off(PyObject *self, PyObject *unused)
{
    PyEval_SetTrace(NULL, NULL);
    return PyLong_FromUnsignedLongLong(events);
}

static PyMethodDef methods[] = {
    {"lines", lines, METH_NOARGS, "Trace lines."},
    {"opcodes", opcodes, METH_NOARGS, "Trace instructions."},
    {"off", off, METH_NOARGS, "Stop, and return the number of events."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "trace_floor",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_trace_floor(void)
{
    return PyModule_Create(&definition);
}
