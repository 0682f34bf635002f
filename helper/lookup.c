/* What a store is about to replace, read from memory.
 *
 * Read are: the hash table of a dict (combined and split), the attributes that an instance
 * holds itself (its dict, or from 3.11 on values without a dict), a class's own dict, slots
 * through their member descriptors, the items of list, bytearray and collections.deque.
 * Their layouts per CPython version are pyobject.c's; the rules of attribute and item
 * stores that are followed here are those of object.__setattr__ and type.__setattr__
 * (Objects/object.c, Objects/typeobject.c).
 *
 * A key is compared as the dict would: in the table's order, identity first, then by
 * value. Where the dict would call an __eq__ that may be the program's, the answer is
 * "unreadable". Needs the GIL. */
#include "lookup.h"

#include <math.h>
#include <structmember.h>

#include "pyobject.h"

enum {
    KEY_DEPTH = 8,   /* tuples in tuples of a dict key */
    KEY_ITEMS = 256, /* items of all of them together */
};

/* ---- equality of keys --------------------------------------------------------------------- */

enum match { MATCH_EQUAL, MATCH_DIFFERENT, MATCH_UNDECIDED };

static enum match match_if(bool equal)
{
    return equal ? MATCH_EQUAL : MATCH_DIFFERENT;
}

static bool is_integer(PyObject *object)
{
    return PyLong_CheckExact(object) || PyBool_Check(object);
}

static bool strings_equal(PyObject *left, PyObject *right)
{
    struct mt_characters a, b;
    if (!mt_pyobject_characters(left, &a) || !mt_pyobject_characters(right, &b))
        return false;
    /* Kinds are canonical: equal strings are of the same kind. */
    return a.length == b.length && a.kind == b.kind &&
           memcmp(a.data, b.data, (size_t)a.length * (size_t)a.kind) == 0;
}

static bool bytes_equal(PyObject *left, PyObject *right)
{
    Py_ssize_t size = PyBytes_GET_SIZE(left);
    return size == PyBytes_GET_SIZE(right) &&
           memcmp(PyBytes_AS_STRING(left), PyBytes_AS_STRING(right), (size_t)size) == 0;
}

static bool integers_equal(PyObject *left, PyObject *right)
{
    struct mt_digits a = mt_pyobject_digits(left), b = mt_pyobject_digits(right);
    return a.count == b.count && a.negative == b.negative &&
           memcmp(a.digits, b.digits, a.count * sizeof *a.digits) == 0;
}

/* Is an int exactly that double? Without the int that float.__eq__ may allocate. */
static bool integer_equals_double(PyObject *integer, double value)
{
    int64_t small;
    if (!isfinite(value) || value != floor(value))
        return false;
    if (mt_pyobject_int64(integer, &small))
        return value >= -0x1p63 && value < 0x1p63 && (int64_t)value == small;
    struct mt_digits number = mt_pyobject_digits(integer);
    int exponent;
    double fraction = frexp(fabs(value), &exponent);
    if (number.negative != (value < 0) || mt_pyobject_bit_length(&number) != (uint64_t)exponent)
        return false;
    bool rest;
    uint64_t leading = mt_pyobject_leading_bits(&number, &rest);
    return !rest && leading == (uint64_t)ldexp(fraction, 64);
}

static bool number_equals_double(PyObject *number, double value)
{
    return PyFloat_CheckExact(number) ? PyFloat_AS_DOUBLE(number) == value
                                      : integer_equals_double(number, value);
}

/* `key` is an exact int, bool or float; `other` too, or an exact complex. */
static bool numbers_equal(PyObject *key, PyObject *other)
{
    if (PyComplex_CheckExact(other)) {
        Py_complex value = ((PyComplexObject *)other)->cval;
        return value.imag == 0 && number_equals_double(key, value.real);
    }
    if (PyFloat_CheckExact(other))
        return number_equals_double(key, PyFloat_AS_DOUBLE(other));
    if (PyFloat_CheckExact(key))
        return number_equals_double(other, PyFloat_AS_DOUBLE(key));
    return integers_equal(key, other);
}

static bool is_number(PyObject *object)
{
    return is_integer(object) || PyFloat_CheckExact(object) || PyComplex_CheckExact(object);
}

/* Can comparing a plain key with an object of this type run code of the program? */
static bool compares_quietly(PyTypeObject *type)
{
    /* object's own __eq__ knows identity only; builtin ones say NotImplemented to a plain
     * key of another type. */
    return type->tp_richcompare == PyBaseObject_Type.tp_richcompare || !type->tp_richcompare ||
           type == &PyUnicode_Type || type == &PyBytes_Type || type == &PyTuple_Type ||
           type == &PyLong_Type || type == &PyFloat_Type || type == &PyBool_Type ||
           type == &PyComplex_Type || type == &PyFrozenSet_Type || type == &PyRange_Type ||
           type == &PyCode_Type || type == &PyCFunction_Type || type == &PyMethod_Type;
}

/* Does `key` (plain, see key_is_plain) equal `other` (anything) as a dict sees it? */
static enum match match_keys(PyObject *key, PyObject *other)
{
    if (key == other)
        return MATCH_EQUAL;
    if (PyUnicode_CheckExact(key) && PyUnicode_CheckExact(other))
        return match_if(strings_equal(key, other));
    if (is_number(key) && is_number(other))
        return match_if(numbers_equal(key, other));
    if (PyBytes_CheckExact(key) && PyBytes_CheckExact(other))
        return match_if(bytes_equal(key, other));
    if (!PyTuple_CheckExact(key) || !PyTuple_CheckExact(other))
        return compares_quietly(Py_TYPE(other)) ? MATCH_DIFFERENT : MATCH_UNDECIDED;
    if (PyTuple_GET_SIZE(key) != PyTuple_GET_SIZE(other))
        return MATCH_DIFFERENT;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
        enum match match = match_keys(PyTuple_GET_ITEM(key, i), PyTuple_GET_ITEM(other, i));
        if (match != MATCH_EQUAL)
            return match;
    }
    return MATCH_EQUAL;
}

/* Can the key be hashed and compared without running code of the program? */
static bool key_is_plain(PyObject *key, int depth, int *items)
{
    struct mt_characters characters;
    if (PyUnicode_CheckExact(key))
        return mt_pyobject_characters(key, &characters);
    if (is_integer(key) || key == Py_None || PyFloat_CheckExact(key) || PyBytes_CheckExact(key))
        return true;
    if (!PyTuple_CheckExact(key) || depth == KEY_DEPTH)
        return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++)
        if (--*items < 0 || !key_is_plain(PyTuple_GET_ITEM(key, i), depth + 1, items))
            return false;
    return true;
}

/* The hash of a plain key; false: not a plain one. */
static bool hash_key(PyObject *key, Py_hash_t *ret)
{
    int items = KEY_ITEMS;
    /* Nearly always: a name, whose hash was needed before. */
    if (PyUnicode_CheckExact(key)) {
        *ret = mt_pyobject_known_hash(key);
        if (*ret != -1)
            return true;
    }
    if (!key_is_plain(key, 0, &items))
        return false;
    *ret = Py_TYPE(key)->tp_hash(key);
    return true;
}

/* ---- dicts ---------------------------------------------------------------------------------- */

static enum mt_found find_in_table(const struct mt_table *table, PyObject *key, PyObject **ret)
{
    Py_hash_t hash;
    struct mt_probe probe;
    PyObject *other, *value;
    *ret = NULL;
    if (!hash_key(key, &hash))
        return MT_UNREADABLE;
    mt_pyobject_probe(table, hash, &probe);
    while (mt_pyobject_probe_next(&probe, &other, &value)) {
        switch (match_keys(key, other)) {
        case MATCH_EQUAL: *ret = value; return value ? MT_FOUND : MT_ABSENT;
        case MATCH_UNDECIDED: return MT_UNREADABLE;
        case MATCH_DIFFERENT: break;
        }
    }
    return MT_ABSENT;
}

enum mt_found mt_lookup_dict(PyObject *dict, PyObject *key, PyObject **ret)
{
    struct mt_table table;
    *ret = NULL;
    if (!PyDict_Check(dict))
        return MT_UNREADABLE;
    mt_pyobject_dict(dict, &table);
    return find_in_table(&table, key, ret);
}

/* ---- targets -------------------------------------------------------------------------------- */

static void set_unreadable(struct mt_target *ret)
{
    ret->found = MT_UNREADABLE;
    ret->object = NULL;
    ret->certain = false;
}

static void set_found(struct mt_target *ret, PyObject *object, bool certain)
{
    ret->found = object ? MT_FOUND : MT_ABSENT;
    ret->object = object;
    ret->certain = certain;
}

/* Nothing is known, and nothing held. */
static void begin(struct mt_target *ret)
{
    *ret = (struct mt_target){.found = MT_UNREADABLE};
}

/* Hold what is looked into still, until mt_lookup_done. False: it can't be had. */
static bool hold(struct mt_target *ret, PyObject *object)
{
#if MT_FREE_THREADED
    if (!mt_guard_begin(object))
        return false;
    ret->guards++;
#endif
    return true;
}

/* A store into a dict with a plain key can't fail, unless an unknown __eq__ is in its way. */
static void target_in_dict(PyObject *dict, PyObject *key, struct mt_target *ret)
{
    ret->found = mt_lookup_dict(dict, key, &ret->object);
    ret->certain = ret->found != MT_UNREADABLE;
}

void mt_lookup_name(PyObject *namespace_, PyObject *name, struct mt_target *ret)
{
    begin(ret);
    if (PyDict_CheckExact(namespace_) && hold(ret, namespace_))
        target_in_dict(namespace_, name, ret);
}

void mt_lookup_cell(PyObject *cell, struct mt_target *ret)
{
    begin(ret);
    if (hold(ret, cell))
        set_found(ret, PyCell_GET(cell), true);
}

/* ---- attributes ----------------------------------------------------------------------------- */

/* Without the GIL a reference of our own, which end_attribute gives back: another thread may
 * change the class. It may wait for the types' lock: nothing is held still then. */
#if MT_FREE_THREADED
#define MT_TYPE_LOOKUP _PyType_LookupRef
#else
#define MT_TYPE_LOOKUP _PyType_Lookup
#endif

static void end_attribute(PyObject *attribute)
{
    if (MT_FREE_THREADED)
        Py_XDECREF(attribute);
}

/* What the type's MRO has by that name (see end_attribute), or NULL. Runs no code: names of a
 * type's attributes are str, and the type's cache is the one that the store itself uses. */
static PyObject *type_attribute(PyTypeObject *type, PyObject *name)
{
    if (!PyErr_Occurred())
        return MT_TYPE_LOOKUP(type, name);
    /* On a miss of its cache _PyType_Lookup takes a pending exception for its own. */
    PyObject *error, *value, *traceback;
    PyErr_Fetch(&error, &value, &traceback);
    PyObject *attribute = MT_TYPE_LOOKUP(type, name);
    PyErr_Restore(error, value, traceback);
    return attribute;
}

/* A slot, or another member of the object's C structure. */
static void target_in_member(PyObject *object, PyObject *descriptor, struct mt_target *ret)
{
    const PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
    bool writable = !(member->flags & READONLY);
    const int known_flags = READONLY | READ_RESTRICTED | PY_WRITE_RESTRICTED;
    /* A descriptor that was put into an unrelated class refuses the object. */
    if ((member->flags & ~known_flags) ||
        !PyType_IsSubtype(Py_TYPE(object), PyDescr_TYPE(descriptor)) || !hold(ret, object)) {
        set_unreadable(ret);
        return;
    }
    const char *address = (const char *)object + member->offset;
    PyObject *value;
    switch (member->type) {
    case T_OBJECT_EX: set_found(ret, *(PyObject *const *)address, writable); break;
    case T_OBJECT:
        /* Reads as None when unset. */
        value = *(PyObject *const *)address;
        set_found(ret, value ? value : Py_None, writable);
        break;
    case T_BOOL:
        /* Refuses anything but a bool. */
        set_found(ret, *address ? Py_True : Py_False, false);
        break;
    default: set_unreadable(ret); break;
    }
}

/* An attribute of a class whose metaclass is type. */
static void target_in_class(PyTypeObject *class_, PyObject *name, struct mt_target *ret)
{
    PyObject *dict = mt_pyobject_type_dict(class_);
    if (!dict) {
        set_unreadable(ret);
        return;
    }
    PyObject *descriptor = type_attribute(&PyType_Type, name);
    bool through_descriptor = descriptor && Py_TYPE(descriptor)->tp_descr_set;
    end_attribute(descriptor);
    if (!hold(ret, dict)) {
        set_unreadable(ret);
        return;
    }
    target_in_dict(dict, name, ret);
    /* __doc__, __module__ and the like are stored through a descriptor of type, most of
     * them into the class's dict after all. */
    if (through_descriptor) {
        ret->certain = false;
        if (ret->found == MT_ABSENT)
            set_unreadable(ret);
    }
    if (mt_pyobject_type_is_immutable(class_))
        ret->certain = false;
}

/* Hold an object's own attributes still: the object, and the dict that it may have made of
 * them, whose lock is the one that counts then. */
static bool hold_instance(struct mt_target *ret, PyObject *object)
{
    if (!MT_FREE_THREADED)
        return true;
    if (!hold(ret, object))
        return false;
    PyObject *dict = mt_pyobject_instance_dict(object);
    return !dict || hold(ret, dict);
}

/* An attribute of an object whose type uses object's own __setattr__. */
static void target_in_instance(PyObject *object, PyObject *name, struct mt_target *ret)
{
    PyObject *descriptor = type_attribute(Py_TYPE(object), name);
    if (descriptor && Py_TYPE(descriptor)->tp_descr_set) {
        if (Py_TYPE(descriptor) == &PyMemberDescr_Type)
            target_in_member(object, descriptor, ret);
        else
            set_unreadable(ret);
        /* A member's is kept by the class, which the object keeps. */
        end_attribute(descriptor);
        return;
    }
    end_attribute(descriptor);
    if (!hold_instance(ret, object)) {
        set_unreadable(ret);
        return;
    }
    struct mt_table table;
    switch (mt_pyobject_instance(object, &table)) {
    case MT_INSTANCE_TABLE:
        ret->found = find_in_table(&table, name, &ret->object);
        ret->certain = ret->found != MT_UNREADABLE;
        break;
    case MT_INSTANCE_EMPTY: set_found(ret, NULL, true); break;
    case MT_INSTANCE_NO_DICT: set_found(ret, NULL, false); break;
    }
}

void mt_lookup_attribute(PyObject *object, PyObject *name, struct mt_target *ret)
{
    PyTypeObject *type = Py_TYPE(object);
    begin(ret);
    if (!PyUnicode_CheckExact(name))
        set_unreadable(ret);
    else if (type == &PyType_Type)
        target_in_class((PyTypeObject *)object, name, ret);
    else if (type->tp_setattro == PyBaseObject_Type.tp_setattro && !type->tp_setattr)
        target_in_instance(object, name, ret);
    else
        set_unreadable(ret);
}

/* ---- items ---------------------------------------------------------------------------------- */

/* Index of an item by an int or bool key, negative ones from the end; -1: out of range. */
static Py_ssize_t index_of(PyObject *key, Py_ssize_t length)
{
    int64_t index;
    if (!mt_pyobject_int64(key, &index))
        return -1;
    if (index < 0)
        index += length;
    return index >= 0 && index < length ? (Py_ssize_t)index : -1;
}

/* A bytearray's item as the int that reading it gives: one of those that always exist. */
static PyObject *byte_object(unsigned char byte)
{
    PyObject *object = PyLong_FromLong(byte);
    Py_DECREF(object);
    return object;
}

void mt_lookup_item(PyObject *container, PyObject *key, struct mt_target *ret)
{
    PyTypeObject *type = Py_TYPE(container);
    begin(ret);
    if (type == &PyDict_Type) {
        if (hold(ret, container))
            target_in_dict(container, key, ret);
        return;
    }
    bool is_list = type == &PyList_Type, is_bytearray = type == &PyByteArray_Type;
    if (!is_integer(key) || (!is_list && !is_bytearray && !mt_pyobject_is_deque_type(type)) ||
        !hold(ret, container))
        return;
    Py_ssize_t index = index_of(key, Py_SIZE(container));
    if (index < 0)
        set_found(ret, NULL, false);
    else if (is_list)
        set_found(ret, PyList_GET_ITEM(container, index), true);
    else if (is_bytearray)
        /* Refuses anything but 0 to 255, and a change of size while a view of it exists. */
        set_found(ret, byte_object((unsigned char)PyByteArray_AS_STRING(container)[index]), false);
    else
        set_found(ret, mt_pyobject_deque_at(container, index), true);
}
