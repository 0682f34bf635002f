/* Source text of expressions. See plan_names.h. */
#include "plan_names.h"

#include <string.h>

/* Deeper nesting is …: the text would be of no use, and the C stack is the debuggee's. */
enum { MT_NAME_NESTING = 48 };

static const char ellipsis[] = "…";

void mt_name_clear(struct mt_name *name)
{
    name->size = 0;
    name->full = false;
}

static void append(struct mt_name *name, const char *bytes, size_t size)
{
    if (size > sizeof(name->bytes) - name->size) {
        name->full = true;
        return;
    }
    memcpy(name->bytes + name->size, bytes, size);
    name->size += (uint32_t)size;
}

static void append_text(struct mt_name *name, const char *text)
{
    append(name, text, strlen(text));
}

/* Take back what was appended behind `size`, and say … instead. */
static void give_up(struct mt_name *name, uint32_t size)
{
    name->size = size;
    append_text(name, ellipsis);
}

static void append_character(struct mt_name *name, Py_UCS4 character)
{
    char bytes[4];
    size_t size;
    if (character == 0)
        character = 0x2400;
    if (character < 0x80) {
        bytes[0] = (char)character;
        size = 1;
    } else if (character < 0x800) {
        bytes[0] = (char)(0xC0 | character >> 6);
        bytes[1] = (char)(0x80 | (character & 63));
        size = 2;
    } else if (character < 0x10000) {
        bytes[0] = (char)(0xE0 | character >> 12);
        bytes[1] = (char)(0x80 | (character >> 6 & 63));
        bytes[2] = (char)(0x80 | (character & 63));
        size = 3;
    } else {
        bytes[0] = (char)(0xF0 | character >> 18);
        bytes[1] = (char)(0x80 | (character >> 12 & 63));
        bytes[2] = (char)(0x80 | (character >> 6 & 63));
        bytes[3] = (char)(0x80 | (character & 63));
        size = 4;
    }
    append(name, bytes, size);
}

void mt_name_string(struct mt_name *name, PyObject *string)
{
    uint32_t start = name->size;
#if PY_VERSION_HEX < 0x030C0000
    /* Up to 3.11 a str made by old C code can have no characters yet (PEP 623). */
    if (string && !PyUnicode_IS_READY(string))
        string = NULL;
#endif
    if (!string) {
        append_text(name, ellipsis);
        return;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(string);
    const void *data = PyUnicode_DATA(string);
    if (PyUnicode_IS_ASCII(string) && !memchr(data, 0, (size_t)length)) {
        append(name, data, (size_t)length); /* as nearly all names are: its own UTF-8 */
        length = 0;
    }
    for (Py_ssize_t i = 0; i < length && !name->full; i++)
        append_character(name, PyUnicode_READ_CHAR(string, i));
    if (name->full)
        give_up(name, start);
}

/* ---- constants ----------------------------------------------------------------------------- */

/* repr() of an exact builtin scalar, by its type's own function: PyObject_Repr() would run
 * pending signal handlers. */
static bool append_scalar(struct mt_name *name, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type != &PyUnicode_Type && type != &PyLong_Type && type != &PyFloat_Type &&
        type != &PyBytes_Type && type != &PyComplex_Type && type != &PyBool_Type &&
        object != Py_None && object != Py_Ellipsis)
        return false;
    /* An error of ours must not hide one that is on its way. */
    if (PyErr_Occurred())
        return false;
    PyObject *text = type->tp_repr(object);
    if (!text) {
        PyErr_Clear(); /* too many digits, or no memory */
        return false;
    }
    mt_name_string(name, text);
    Py_DECREF(text);
    return true;
}

static bool append_constant(struct mt_name *name, PyObject *object, int nesting)
{
    if (nesting > MT_NAME_NESTING || name->full)
        return false;
    if (!PyTuple_CheckExact(object))
        return append_scalar(name, object);
    Py_ssize_t size = PyTuple_GET_SIZE(object);
    append_text(name, "(");
    for (Py_ssize_t i = 0; i < size; i++) {
        if (i)
            append_text(name, ", ");
        if (!append_constant(name, PyTuple_GET_ITEM(object, i), nesting + 1))
            return false;
    }
    append_text(name, size == 1 ? ",)" : ")");
    return true;
}

static void constant(struct mt_name *name, PyObject *object)
{
    uint32_t start = name->size;
    if (!object || !append_constant(name, object, 0) || name->full)
        give_up(name, start);
}

/* ---- expressions ------------------------------------------------------------------------------ */

static bool base(struct mt_name *name, const struct mt_flow *flow, uint32_t number, int nesting);

static void key(struct mt_name *name, const struct mt_flow *flow, uint32_t number, int nesting)
{
    const struct mt_node *node = &flow->nodes[number];
    if (node->kind == MT_NODE_CONST) {
        constant(name, mt_opcodes_const(flow->bytecode->code, node->index));
    } else if (node->kind == MT_NODE_SMALL_INT) {
        char digits[16];
        snprintf(digits, sizeof(digits), "%u", (unsigned)node->index);
        append_text(name, digits);
    } else {
        base(name, flow, number, nesting);
    }
}

/* False: nothing of it has a name, and … was appended. */
static bool base(struct mt_name *name, const struct mt_flow *flow, uint32_t number, int nesting)
{
    const struct mt_node *node = &flow->nodes[number];
    PyCodeObject *code = flow->bytecode->code;
    uint32_t start = name->size;
    if (nesting > MT_NAME_NESTING || name->full) {
        give_up(name, start);
        return false;
    }
    switch ((enum mt_node_kind)node->kind) {
    case MT_NODE_FAST: mt_name_string(name, mt_opcodes_fast_name(code, node->index)); return true;
    case MT_NODE_DEREF: mt_name_string(name, mt_opcodes_deref_name(code, node->index)); return true;
    case MT_NODE_GLOBAL:
    case MT_NODE_NAME: mt_name_string(name, mt_opcodes_name(code, node->index)); return true;
    case MT_NODE_ATTR:
    case MT_NODE_METHOD:
        base(name, flow, node->first, nesting + 1);
        append_text(name, ".");
        mt_name_string(name, mt_opcodes_name(code, node->index));
        return true;
    case MT_NODE_SUBSCR:
        base(name, flow, node->first, nesting + 1);
        append_text(name, "[");
        key(name, flow, node->second, nesting + 1);
        append_text(name, "]");
        return true;
    case MT_NODE_CALL:
        if (!base(name, flow, node->first, nesting + 1))
            return false;
        append_text(name, "(…)");
        return true;
    default: append_text(name, ellipsis); return false;
    }
}

/* An expression cut in the middle would name something else. */
static void finish(struct mt_name *name, uint32_t start)
{
    if (name->full)
        give_up(name, start);
}

void mt_name_base(struct mt_name *name, const struct mt_flow *flow, uint32_t node)
{
    uint32_t start = name->size;
    base(name, flow, node, 0);
    finish(name, start);
}

void mt_name_attribute(struct mt_name *name, PyObject *attribute)
{
    append_text(name, ".");
    mt_name_string(name, attribute);
    finish(name, 0);
}

void mt_name_key(struct mt_name *name, const struct mt_flow *flow, uint32_t node)
{
    uint32_t start = name->size;
    key(name, flow, node, 0);
    finish(name, start);
}

static bool is_none(const struct mt_flow *flow, uint32_t number)
{
    const struct mt_node *node = &flow->nodes[number];
    return node->kind == MT_NODE_CONST &&
           mt_opcodes_const(flow->bytecode->code, node->index) == Py_None;
}

static void slice_part(struct mt_name *name, const struct mt_flow *flow, uint32_t node)
{
    if (!is_none(flow, node))
        key(name, flow, node, 0);
}

void mt_name_slice(struct mt_name *name, const struct mt_flow *flow, uint32_t start, uint32_t stop)
{
    uint32_t before = name->size;
    slice_part(name, flow, start);
    append_text(name, ":");
    slice_part(name, flow, stop);
    finish(name, before);
}

/* 3.14 makes slices of constants constants (gh-125420). */
static bool constant_slice(struct mt_name *name, const struct mt_flow *flow,
                           const struct mt_node *node)
{
    PyObject *object = NULL;
    if (node->kind == MT_NODE_CONST)
        object = mt_opcodes_const(flow->bytecode->code, node->index);
    if (!object || !PySlice_Check(object))
        return false;
    const PySliceObject *slice = (const PySliceObject *)object;
    if (slice->start != Py_None)
        constant(name, slice->start);
    append_text(name, ":");
    if (slice->stop != Py_None)
        constant(name, slice->stop);
    if (slice->step != Py_None) {
        append_text(name, ":");
        constant(name, slice->step);
    }
    return true;
}

void mt_name_final_key(struct mt_name *name, const struct mt_flow *flow, uint32_t node)
{
    const struct mt_node *last = &flow->nodes[node];
    uint32_t before = name->size;
    if (last->kind == MT_NODE_SLICE) {
        mt_name_slice(name, flow, last->first, last->second);
        if (last->index == 3) {
            append_text(name, ":");
            slice_part(name, flow, last->third);
        }
    } else if (!constant_slice(name, flow, last)) {
        key(name, flow, node, 0);
    }
    finish(name, before);
}
