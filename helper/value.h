/* Capture an object into a few bytes, and compare two objects, without running code of
 * the program and without keeping a reference.
 *
 * Needs the GIL. Never sets or clears an exception, never calls a slot of a type that is
 * not an exact builtin, allocates nothing. Only exact builtin types are looked into; a
 * subclass of a builtin shows its type, address and the builtin's part. */
#ifndef MT_VALUE_H
#define MT_VALUE_H

#include <Python.h>
#include <stdbool.h>
#include <string.h>
#include "memtrace.h"
#include "pyobject.h"
#include "ring.h"

struct mt_value_options {
    uint32_t size;      /* budget of one value in bytes, 16 to MT_VALUE_BYTES_MAX */
    const char *redact; /* globs, each ending in '\0', the list in another '\0';
                                  matched against names and str keys, ASCII case ignored;
                                  borrowed from the request text */
};

/* Options in force. Set while no capture runs (GIL held). Forgets the type ids: call it
 * after mt_defs_reset() too. */
void mt_value_configure(const struct mt_value_options *options);

/* All but the commonest scalars: mt_value_capture goes on here. */
void mt_value_capture_other(PyObject *object, struct mt_value *ret);

/* Capture `object` (borrowed; NULL gives MT_TAG_ABSENT) within the budget. The budget
 * counts the bytes behind the lengths: characters of a str as UTF-8, bytes, and all of a
 * container's nested encoding. Inline: this is the recorder's hot path. */
static inline void mt_value_capture(PyObject *object, struct mt_value *ret)
{
    ret->size = 0;
    if (!object) {
        ret->tag = MT_TAG_ABSENT;
        return;
    }
    PyTypeObject *type = Py_TYPE(object);
    int32_t small;
    if (type == &PyLong_Type && mt_pyobject_small_int(object, &small)) {
        ret->tag = MT_TAG_INT32;
        ret->size = sizeof small;
        memcpy(ret->bytes, &small, sizeof small);
    } else if (object == Py_None) {
        ret->tag = MT_TAG_NONE;
    } else if (type == &PyBool_Type) {
        ret->tag = object == Py_True ? MT_TAG_TRUE : MT_TAG_FALSE;
    } else if (type == &PyFloat_Type) {
        ret->tag = MT_TAG_FLOAT;
        ret->size = sizeof(double);
        memcpy(ret->bytes, &((PyFloatObject *)object)->ob_fval, sizeof(double));
    } else {
        mt_value_capture_other(object, ret);
    }
}

/* None, bool, float, an int of at most 60 bits, or unbound (NULL): in registers. False: anything
 * else, nothing that counts is written. */
static inline bool mt_value_scalar(PyObject *object, struct mt_scalar *ret)
{
    ret->bits = 0;
    if (!object) {
        ret->tag = MT_TAG_ABSENT;
        return true;
    }
    PyTypeObject *type = Py_TYPE(object);
    int32_t small;
    int64_t large;
    if (__builtin_expect(type == &PyLong_Type, 1)) {
        ret->tag = MT_TAG_INT32;
        if (__builtin_expect(mt_pyobject_small_int(object, &small), 1)) {
            ret->bits = (uint32_t)small;
            return true;
        }
        if (!mt_pyobject_two_digits(object, &large))
            return false;
        if (large != (int32_t)large)
            ret->tag = MT_TAG_INT64;
        ret->bits = large != (int32_t)large ? (uint64_t)large : (uint32_t)large;
        return true;
    }
    if (type == &PyFloat_Type) {
        ret->tag = MT_TAG_FLOAT;
        memcpy(&ret->bits, &((PyFloatObject *)object)->ob_fval, sizeof(double));
        return true;
    }
    ret->tag = object == Py_None ? MT_TAG_NONE : object == Py_True ? MT_TAG_TRUE : MT_TAG_FALSE;
    return object == Py_None || type == &PyBool_Type;
}

/* Are two scalars equal in the sense of mt_value_compare(), not being the same object? */
static inline bool mt_value_scalars_equal(struct mt_scalar a, struct mt_scalar b)
{
    if (a.tag != b.tag)
        return false;
    if (a.tag == MT_TAG_FLOAT) {
        double x, y;
        memcpy(&x, &a.bits, sizeof x);
        memcpy(&y, &b.bits, sizeof y);
        return x == y;
    }
    return a.bits == b.bits;
}

/* Scalars only (None, bool, int up to 64 bit, float, str and bytes of at most 64 bytes):
 * the key of an item. False: no scalar, nothing written. */
bool mt_value_capture_key(PyObject *object, struct mt_value *ret);

/* Does the name match the redaction list? UTF-8, `size` bytes. */
bool mt_value_is_redacted(const char *name, size_t size);

enum mt_sameness {
    MT_SAME_OBJECT, /* identical */
    MT_EQUAL,       /* an equal int, float, bool, complex, str, bytes, None of the
                                  same exact type */
    MT_DIFFERENT,   /* or undecided within 64 KiB of comparison */
};
enum mt_sameness mt_value_compare(PyObject *old_object, PyObject *new_object);

/* The definition id of a type's __name__ (mt_defs_type), cached by name: classes of one name
 * share it, and a type that took a freed one's address gets its own. 0: no room for it. */
uint32_t mt_value_type_id(PyTypeObject *type);

#endif
