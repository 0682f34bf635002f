/* A floor for CPython 3.12 and later: what it costs to see each store, and to keep it.
 *
 * The callback of sys.monitoring's INSTRUCTION events. Where the instruction is no store it
 * answers DISABLE; at a store it appends 40 bytes to a ring: time, code, offset, and for
 * STORE_FAST the old and the new value, as a number. It does what any tool that records
 * stores must do and nothing that makes the record useful: no type is kept, no text, no
 * equality, no names, and superinstructions count as one. A built-in function, as sys.monitoring
 * users write it. One thread only. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define Py_BUILD_CORE
#if PY_VERSION_HEX >= 0x030e0000
#include <internal/pycore_interpframe.h>
#include <internal/pycore_stackref.h>
#else
#include <internal/pycore_frame.h>
#endif
#undef Py_BUILD_CORE
#include <stdbool.h>
#include <x86intrin.h>

struct record {
    uint64_t time;
    PyCodeObject *code;
    int32_t offset, slot;
    int64_t old_value, new_value;
};

enum { RECORDS = 1 << 20, CODES = 1024, OPCODES = 256 };

static struct record *records;
static uint64_t record_count;
static PyObject *disable; // owned
static bool stores[OPCODES];
static int store_fast;

// Bytecode by code object. Owns both: an address in here can't come to mean another code.
static struct known_code {
    PyCodeObject *code;
    PyObject *bytes;
} known_codes[CODES];

static const unsigned char *bytes_of(PyCodeObject *code)
{
    struct known_code *known = &known_codes[((uintptr_t)code >> 4) % CODES];

    if (known->code != code) {
        PyObject *bytes = PyCode_GetCode(code);
        if (!bytes)
            return NULL;
        Py_XDECREF(known->code);
        Py_XDECREF(known->bytes);
        Py_INCREF(code);
        known->code = code;
        known->bytes = bytes;
    }
    return (const unsigned char *)PyBytes_AS_STRING(known->bytes);
}

static int64_t as_number(PyObject *object)
{
    int overflow;
    double real;
    int64_t bits;

    if (object && PyLong_CheckExact(object))
        return PyLong_AsLongAndOverflow(object, &overflow);
    if (object && PyFloat_CheckExact(object)) {
        real = PyFloat_AS_DOUBLE(object);
        memcpy(&bits, &real, sizeof bits);
        return bits;
    }
    return (int64_t)(intptr_t)object;
}

// The local that is about to be overwritten, and the top of the stack. On 3.12 and 3.13 the
// stack pointer is not in the frame: here its depth is taken as 1, as it is in plain code.
static void operands(PyCodeObject *code, int slot, PyObject **ret_old, PyObject **ret_new)
{
#if PY_VERSION_HEX >= 0x030e0000
    _PyInterpreterFrame *frame = PyThreadState_GetUnchecked()->current_frame;
    *ret_old = (PyObject *)(frame->localsplus[slot].bits & ~(uintptr_t)3);
    *ret_new = (PyObject *)(frame->stackpointer[-1].bits & ~(uintptr_t)3);
#else
#if PY_VERSION_HEX >= 0x030d0000
    _PyInterpreterFrame *frame = PyThreadState_GetUnchecked()->current_frame;
#else
    _PyInterpreterFrame *frame = _PyThreadState_UncheckedGet()->cframe->current_frame;
#endif
    *ret_old = frame->localsplus[slot];
    *ret_new = frame->localsplus[code->co_nlocalsplus];
#endif
}

static PyObject *on_instruction(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    PyCodeObject *code = (PyCodeObject *)arguments[0];
    long offset = PyLong_AsLong(arguments[1]);
    const unsigned char *bytes = bytes_of(code);
    PyObject *old_object = NULL, *new_object = NULL;

    if (!bytes)
        return NULL;
    if (!stores[bytes[offset]])
        return Py_NewRef(disable);
    int slot = bytes[offset + 1];
    if (bytes[offset] == store_fast)
        operands(code, slot, &old_object, &new_object);
    records[record_count++ % RECORDS] = (struct record){
        __rdtsc(), code, (int32_t)offset, slot, as_number(old_object), as_number(new_object),
    };
    Py_RETURN_NONE;
}

// setup(DISABLE, [opcodes that store], STORE_FAST)
static PyObject *setup(PyObject *self, PyObject *arguments)
{
    PyObject *not_here, *opcodes;

    if (!PyArg_ParseTuple(arguments, "OO!i", &not_here, &PyList_Type, &opcodes, &store_fast))
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(opcodes); i++) {
        long opcode = PyLong_AsLong(PyList_GET_ITEM(opcodes, i));
        if (opcode >= 0 && opcode < OPCODES) // pseudo-opcodes are above
            stores[opcode] = true;
    }
    Py_XSETREF(disable, Py_NewRef(not_here));
    if (!records)
        records = calloc(RECORDS, sizeof *records);
    return records ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

static PyObject *taken(PyObject *self, PyObject *unused)
{
    unsigned long long count = record_count;

    record_count = 0;
    return PyLong_FromUnsignedLongLong(count);
}

static PyMethodDef methods[] = {
    {"setup", setup, METH_VARARGS, "Say what a store is."},
    {"taken", taken, METH_NOARGS, "Stores since the last call of this."},
    {"on_instruction", (PyCFunction)(void (*)(void))on_instruction, METH_FASTCALL, "Callback."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "store_floor",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_store_floor(void)
{
    return PyModule_Create(&definition);
}
