/* Raw memory of CPython's builtin objects, where reading it differs between versions or
 * has no API that is free of side effects: int digits, dict tables, instance attributes,
 * sets, deques, ranges, names.
 *
 * Needs the GIL; without it, what can change is to be held still (guard.h), all but the keys
 * that instances of a class share, which other instances add to. Nothing here runs code of the
 * program, sets an exception, allocates, takes a reference or changes an object. All results
 * are borrowed and valid until the next bytecode runs. This pair of files is where
 * PY_VERSION_HEX and internal headers stay for objects; what the layouts mean (lookup.c,
 * value.c, snapshot.c) is elsewhere. */
#ifndef MT_PYOBJECT_H
#define MT_PYOBJECT_H

#include <Python.h>
#include <stdbool.h>
#if PY_VERSION_HEX < 0x030B0000
#include <longintrepr.h> /* 3.11: part of Python.h */
#endif

/* ---- int ---------------------------------------------------------------------------- */

struct mt_digits {
    const digit *digits; /* least significant first, PyLong_SHIFT bits each */
    size_t count;        /* 0: the number is 0 */
    bool negative;
};

/* Of an int or a subclass of int. */
static inline struct mt_digits mt_pyobject_digits(PyObject *integer)
{
    const PyLongObject *number = (const PyLongObject *)integer;
    struct mt_digits ret;
#if PY_VERSION_HEX >= 0x030C0000
    /* 3.12 (gh-101291): size in the upper bits of lv_tag; low two bits 0 +, 1 zero, 2 -. */
    ret.digits = number->long_value.ob_digit;
    ret.count = number->long_value.lv_tag >> 3;
    ret.negative = (number->long_value.lv_tag & 3) == 2;
#else
    Py_ssize_t size = ((const PyVarObject *)number)->ob_size;
    ret.digits = number->ob_digit;
    ret.count = (size_t)(size < 0 ? -size : size);
    ret.negative = size < 0;
#endif
    return ret;
}

/* The value of an int of at most one digit (|value| < 2**30): the common case, decided
 * without a branch on the number of digits. */
static inline bool mt_pyobject_small_int(PyObject *integer, int32_t *ret)
{
#if PY_VERSION_HEX >= 0x030C0000
    uintptr_t tag = ((PyLongObject *)integer)->long_value.lv_tag;
    if (tag >= 2 << 3)
        return false;
    *ret = (1 - (int32_t)(tag & 3)) * (int32_t)((PyLongObject *)integer)->long_value.ob_digit[0];
#else
    Py_ssize_t size = ((PyVarObject *)integer)->ob_size;
    if ((size_t)(size + 1) > 2)
        return false;
    /* The digit of 0 may be undefined: multiplied away. */
    *ret = (int32_t)size * (int32_t)((PyLongObject *)integer)->ob_digit[0];
#endif
    return true;
}

/* An int of exactly two digits (31 to 60 bits). */
static inline bool mt_pyobject_two_digits(PyObject *integer, int64_t *ret)
{
    struct mt_digits number = mt_pyobject_digits(integer);
    if (number.count != 2)
        return false;
    int64_t magnitude = (int64_t)((uint64_t)number.digits[1] << PyLong_SHIFT | number.digits[0]);
    *ret = number.negative ? -magnitude : magnitude;
    return true;
}

/* The value of an int that fits 64 bits. */
bool mt_pyobject_int64(PyObject *integer, int64_t *ret);

/* int.bit_length() */
uint64_t mt_pyobject_bit_length(const struct mt_digits *number);

/* The most significant 64 bits, first bit 1, of a number of at least 64 bits; `rest`:
 * whether a lower bit is set (reads all digits). `rest` may be NULL. */
uint64_t mt_pyobject_leading_bits(const struct mt_digits *number, bool *rest);

/* ---- dict ---------------------------------------------------------------------------- */

/* Keys and values of a dict, or of an instance whose attributes have no dict yet. */
struct mt_table {
    PyDictKeysObject *keys;
    PyObject *const *values; /* split table: by index of the key; NULL: in the entries */
    const uint8_t *order;    /* split table, 3.11+: indices in order of insertion */
    int order_step;          /* 1 or -1: where the next one of `order` is */
    Py_ssize_t slots;        /* positions to walk */
    Py_ssize_t used;         /* items, or -1 where only walking tells */
};

/* Of an exact dict or a subclass's dict part. */
void mt_pyobject_dict(PyObject *dict, struct mt_table *ret);

/* Look at position `position` (0 to slots - 1) in order of insertion. False: no item there. */
bool mt_pyobject_dict_at(const struct mt_table *table, Py_ssize_t position, PyObject **key,
                         PyObject **value);

/* Walk the entries whose key has hash `hash`, in the order in which the dict itself
 * compares them. Begin with mt_pyobject_probe; each next returns false at the end. The
 * value is NULL where a split table has the key but this object has not. */
struct mt_probe {
    const struct mt_table *table;
    size_t hash, perturb, index, mask;
};
void mt_pyobject_probe(const struct mt_table *table, Py_hash_t hash, struct mt_probe *ret);
bool mt_pyobject_probe_next(struct mt_probe *probe, PyObject **key, PyObject **value);

/* ma_version_tag up to 3.11, where it changes whenever the contents do; else 0. */
uint64_t mt_pyobject_dict_version(PyObject *dict);

/* ---- instances, types, modules --------------------------------------------------------- */

enum mt_instance {
    MT_INSTANCE_TABLE,   /* *ret is the table of its attributes */
    MT_INSTANCE_EMPTY,   /* has room for a dict, but none was made yet */
    MT_INSTANCE_NO_DICT, /* can't have attributes of its own */
};

/* The dict that an object keeps its attributes in, borrowed; NULL: it has none (yet). */
PyObject *mt_pyobject_instance_dict(PyObject *object);

/* The attributes that an object holds itself. Does not turn inline values into a dict. */
enum mt_instance mt_pyobject_instance(PyObject *object, struct mt_table *ret);

/* A class's own dict, or NULL where it is not to be had without a reference (static
 * builtin types from 3.12 on: they can't be changed anyway). */
PyObject *mt_pyobject_type_dict(PyTypeObject *type);

/* Does a store to an attribute of the class raise? */
bool mt_pyobject_type_is_immutable(PyTypeObject *type);

/* The name a module was created with; NULL if none. */
PyObject *mt_pyobject_module_name(PyObject *module);

/* ---- sequences and sets ------------------------------------------------------------------ */

/* Is the type collections.deque itself? (No API names it; checked by what only it has.) */
bool mt_pyobject_is_deque_type(PyTypeObject *type);

/* Walk a deque from its left end; `begin` once, then `next` until NULL. */
struct mt_deque_walk {
    const void *block;
    Py_ssize_t index, left;
};
void mt_pyobject_deque_begin(PyObject *deque, struct mt_deque_walk *ret);
PyObject *mt_pyobject_deque_next(struct mt_deque_walk *walk);

/* Item `index` (0 <= index < Py_SIZE): walks whole blocks of 64 from the nearer end. */
PyObject *mt_pyobject_deque_at(PyObject *deque, Py_ssize_t index);

/* Set or frozenset (or subclass): number of table positions, and the key at one or NULL. */
Py_ssize_t mt_pyobject_set_slots(PyObject *set);
PyObject *mt_pyobject_set_at(PyObject *set, Py_ssize_t position);

void mt_pyobject_range(PyObject *range, PyObject *ret[3]);

/* ---- str ----------------------------------------------------------------------------------- */

/* The hash of a str, -1 where it was never needed. */
static inline Py_hash_t mt_pyobject_known_hash(PyObject *string)
{
    // Relaxed: whoever hashes a str first writes it, and always the same.
    return __atomic_load_n(&((PyASCIIObject *)string)->hash, __ATOMIC_RELAXED);
}

/* Characters of a str (or subclass). False: a legacy string whose characters were never
 * made (3.11 and earlier, PyUnicode_FromUnicode of old C extensions). */
struct mt_characters {
    const void *data;
    Py_ssize_t length;
    int kind; /* bytes per character: 1, 2, 4 */
    bool ascii;
};
bool mt_pyobject_characters(PyObject *string, struct mt_characters *ret);

/* Encode as UTF-8 (lone surrogates too, as "surrogatepass"), at most `size` bytes, cut at
 * a character. Returns the bytes written; *whole says whether that was all. Does not fill
 * the object's UTF-8 cache. */
size_t mt_pyobject_utf8(const struct mt_characters *string, char *ret, size_t size, bool *whole);

#endif
