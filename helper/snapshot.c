/* A bounded snapshot of a builtin container.
 *
 * An item's word is the value of an exact int, float, complex, bool or short str or bytes
 * (an equal object in its place is no change), the value and address of a longer one, and
 * the address of anything else. Needs the GIL. */
#include "snapshot.h"

#include <string.h>

#include "guard.h"
#include "pyobject.h"

enum {
    SCALAR_BYTES = 128, /* of a str, bytes or int: longer, its address counts too */
    SLOTS_MAX = 1024,   /* table positions looked at in a sparse dict or set */
};

/* ---- words ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
}

/* Contents of `size` bytes at `bytes`; beyond the bound, of their beginning and `object`. */
static uint64_t bytes_word(PyObject *object, uint64_t seed, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t hash = mix(seed, size), word;
    size_t left = size;
    if (left > SCALAR_BYTES) {
        hash = mix(hash, (uintptr_t)object);
        left = SCALAR_BYTES;
    }
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        hash = mix(hash, word);
    }
    word = 0;
    memcpy(&word, at, left);
    return mix(hash, word);
}

static uint64_t double_bits(double value)
{
    uint64_t bits;
    value += 0.0; /* -0.0 equals 0.0 */
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t item_word(PyObject *item)
{
    if (!item)
        return 0;
    PyTypeObject *type = Py_TYPE(item);
    uint64_t seed = mix(1, (uintptr_t)type);
    struct mt_characters characters;
    int32_t small;
    if (type == &PyLong_Type && mt_pyobject_small_int(item, &small))
        return mix(seed, (uint64_t)small);
    if (type == &PyLong_Type) {
        struct mt_digits number = mt_pyobject_digits(item);
        return bytes_word(item, mix(seed, number.negative), number.digits,
                          number.count * sizeof *number.digits);
    }
    if (type == &PyUnicode_Type && mt_pyobject_characters(item, &characters))
        return bytes_word(item, mix(seed, (uint64_t)characters.kind), characters.data,
                          (size_t)characters.length * (size_t)characters.kind);
    if (type == &PyBytes_Type)
        return bytes_word(item, seed, PyBytes_AS_STRING(item), (size_t)PyBytes_GET_SIZE(item));
    if (type == &PyFloat_Type) {
        double value = PyFloat_AS_DOUBLE(item);
        /* A nan equals only itself. */
        return mix(mix(seed, double_bits(value)), value != value ? (uintptr_t)item : 0);
    }
    if (type == &PyComplex_Type) {
        Py_complex value = ((PyComplexObject *)item)->cval;
        bool is_nan = value.real != value.real || value.imag != value.imag;
        return mix(mix(mix(seed, double_bits(value.real)), double_bits(value.imag)),
                   is_nan ? (uintptr_t)item : 0);
    }
    return mix(seed, (uintptr_t)item);
}

/* ---- containers ------------------------------------------------------------------------- */

static bool is_full(const struct mt_snapshot *snapshot)
{
    return snapshot->count == MT_SNAPSHOT_ITEMS;
}

static void add_item(struct mt_snapshot *snapshot, PyObject *item)
{
    snapshot->items[snapshot->count++] = item_word(item);
}

static void take_list(PyObject *list, struct mt_snapshot *ret)
{
    Py_ssize_t size = Py_SIZE(list);
    ret->length = (uint64_t)size;
    for (Py_ssize_t i = 0; i < size && !is_full(ret); i++)
        add_item(ret, PyList_GET_ITEM(list, i));
    ret->whole = ret->count == ret->length;
}

static void take_deque(PyObject *deque, struct mt_snapshot *ret)
{
    struct mt_deque_walk walk;
    PyObject *item;
    ret->length = (uint64_t)Py_SIZE(deque);
    mt_pyobject_deque_begin(deque, &walk);
    while (!is_full(ret) && (item = mt_pyobject_deque_next(&walk)))
        add_item(ret, item);
    ret->whole = ret->count == ret->length;
}

static void take_set(PyObject *set, struct mt_snapshot *ret)
{
    Py_ssize_t slots = mt_pyobject_set_slots(set);
    ret->length = (uint64_t)PySet_GET_SIZE(set);
    if (slots > SLOTS_MAX)
        slots = SLOTS_MAX;
    for (Py_ssize_t i = 0; i < slots && !is_full(ret) && ret->count < ret->length; i++) {
        PyObject *item = mt_pyobject_set_at(set, i);
        if (item)
            add_item(ret, item);
    }
    ret->whole = ret->count == ret->length;
}

static void take_dict(PyObject *dict, struct mt_snapshot *ret)
{
    struct mt_table table;
    PyObject *key, *value;
    mt_pyobject_dict(dict, &table);
    ret->length = (uint64_t)table.used;
    ret->version = mt_pyobject_dict_version(dict);
    Py_ssize_t slots = table.slots < SLOTS_MAX ? table.slots : SLOTS_MAX;
    for (Py_ssize_t i = 0; i < slots && !is_full(ret); i++) {
        if (!mt_pyobject_dict_at(&table, i, &key, &value))
            continue;
        add_item(ret, key);
        add_item(ret, value);
    }
    ret->whole = ret->count == 2 * ret->length;
}

/* An item is a byte; eight of them make a word. */
static void take_bytearray(PyObject *bytearray, struct mt_snapshot *ret)
{
    size_t size = (size_t)Py_SIZE(bytearray), covered = size;
    if (covered > MT_SNAPSHOT_ITEMS)
        covered = MT_SNAPSHOT_ITEMS;
    ret->length = size;
    ret->count = (uint32_t)((covered + 7) / 8);
    ret->whole = covered == size;
    memset(ret->items, 0, ret->count * sizeof *ret->items);
    if (covered)
        memcpy(ret->items, PyByteArray_AS_STRING(bytearray), covered);
}

/* ---- methods ---------------------------------------------------------------------------- */

/* The types of containers, one bit each. */
enum { LIST = 1, DICT = 2, SET = 4, BYTEARRAY = 8, DEQUE = 16 };

/* Indices into `methods` of those that are asked for. 0: none. */
enum { APPEND = 1, EXTEND, INSERT, REMOVE, POP, SETDEFAULT, POPITEM, ADD, DISCARD, OTHERS };

/* Mutating methods, and the types that have one of that name. */
static const struct {
    const char *name;
    uint8_t types;
} methods[] = {
    [APPEND] = {"append", LIST | BYTEARRAY | DEQUE},
    [EXTEND] = {"extend", LIST | BYTEARRAY | DEQUE},
    [INSERT] = {"insert", LIST | BYTEARRAY | DEQUE},
    [REMOVE] = {"remove", LIST | SET | BYTEARRAY | DEQUE},
    [POP] = {"pop", LIST | DICT | SET | BYTEARRAY | DEQUE},
    [SETDEFAULT] = {"setdefault", DICT},
    [POPITEM] = {"popitem", DICT},
    [ADD] = {"add", SET},
    [DISCARD] = {"discard", SET},
    [OTHERS] = {"update", DICT | SET},
    {"clear", LIST | DICT | SET | BYTEARRAY | DEQUE},
    {"sort", LIST},
    {"reverse", LIST | BYTEARRAY | DEQUE},
    {"appendleft", DEQUE},
    {"extendleft", DEQUE},
    {"popleft", DEQUE},
    {"rotate", DEQUE},
    {"intersection_update", SET},
    {"difference_update", SET},
    {"symmetric_difference_update", SET},
    {"__setitem__", LIST | DICT | BYTEARRAY | DEQUE},
    {"__delitem__", LIST | DICT | BYTEARRAY | DEQUE},
    {"__iadd__", LIST | BYTEARRAY | DEQUE},
    {"__imul__", LIST | BYTEARRAY | DEQUE},
    {"__ior__", DICT | SET},
    {"__iand__", SET},
    {"__isub__", SET},
    {"__ixor__", SET},
};
enum { METHODS = sizeof methods / sizeof *methods };

/* The bit of a container's type; 0: none of them. */
static uint8_t type_bit(PyTypeObject *type)
{
    if (type == &PyList_Type)
        return LIST;
    if (type == &PyDict_Type)
        return DICT;
    if (type == &PySet_Type)
        return SET;
    if (type == &PyByteArray_Type)
        return BYTEARRAY;
    return mt_pyobject_is_deque_type(type) ? DEQUE : 0;
}

bool mt_snapshot_takes(PyObject *container)
{
    return type_bit(Py_TYPE(container)) != 0;
}

bool mt_snapshot_method_of(PyObject *container, uint8_t method)
{
    return methods[method].types & type_bit(Py_TYPE(container));
}

uint8_t mt_snapshot_method(const char *name)
{
    for (int method = 1; method < METHODS; method++) {
        if (strcmp(methods[method].name, name) == 0)
            return (uint8_t)method;
    }
    return 0;
}

/* ---- length ------------------------------------------------------------------------------ */

uint64_t mt_snapshot_length(PyObject *container)
{
    struct mt_table table;
    if (PySet_Check(container))
        return (uint64_t)PySet_GET_SIZE(container);
    if (!PyDict_Check(container))
        return (uint64_t)Py_SIZE(container);
    mt_pyobject_dict(container, &table);
    return (uint64_t)table.used;
}

/* Of a key whose hash and comparison are the interpreter's own. (A stored key of the program's
 * with the same hash is asked too; should it exchange items of this very container for as many
 * others, these changes are its own code's.) */
static bool key_is_quiet(PyObject *key)
{
    return key && (PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PyBytes_CheckExact(key));
}

bool mt_snapshot_length_tells(PyObject *container, uint8_t method, PyObject *first)
{
    PyTypeObject *type = Py_TYPE(container);
    bool is_index = first && PyLong_CheckExact(first);
    if (type == &PyList_Type) {
        if (method == EXTEND)
            return first && (PyList_CheckExact(first) || PyTuple_CheckExact(first));
        return method == APPEND || (method == POP && (!first || is_index)) ||
               (method == INSERT && is_index);
    }
    if (type == &PyDict_Type)
        return method == POPITEM ||
               ((method == POP || method == SETDEFAULT) && key_is_quiet(first));
    if (type == &PySet_Type)
        return (method == ADD || method == DISCARD || method == REMOVE) && key_is_quiet(first);
    return type == &PyByteArray_Type && is_index && method == APPEND;
}

void mt_snapshot_take(PyObject *container, struct mt_snapshot *ret)
{
    PyTypeObject *type = Py_TYPE(container);
    ret->container = (uintptr_t)container;
    ret->length = ret->version = 0;
    ret->count = ret->whole = 0;
    if (!mt_guard_begin(container)) {
        ret->container = 0; /* differs from every one that could be taken */
        return;
    }
    if (type == &PyList_Type)
        take_list(container, ret);
    else if (type == &PyDict_Type)
        take_dict(container, ret);
    else if (type == &PySet_Type)
        take_set(container, ret);
    else if (type == &PyByteArray_Type)
        take_bytearray(container, ret);
    else if (mt_pyobject_is_deque_type(type))
        take_deque(container, ret);
    else
        ret->container = 0;
    mt_guard_end();
}
