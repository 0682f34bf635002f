/* Conditions of breakpoints that need no Python: a comparison of `old` or `new` with each other or
 * with a constant, over None, bool, int, float and str.
 *
 * Pure reading. Needs the GIL: looks into objects. */
#ifndef MT_CONDITION_H
#define MT_CONDITION_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

enum mt_condition_op {
    MT_CONDITION_LESS,
    MT_CONDITION_LESS_EQUAL,
    MT_CONDITION_GREATER,
    MT_CONDITION_GREATER_EQUAL,
    MT_CONDITION_EQUAL,
    MT_CONDITION_UNEQUAL,
    MT_CONDITION_IS,
    MT_CONDITION_IS_NOT,
};

struct mt_condition_side {
    enum {
        MT_CONDITION_OLD,
        MT_CONDITION_NEW,
        MT_CONDITION_SINGLETON, /* None, True, False: `object` */
        MT_CONDITION_INT,
        MT_CONDITION_FLOAT,
        MT_CONDITION_TEXT,
    } what;
    PyObject *object; /* borrowed: immortal, or as good as that */
    int64_t integer;
    double real;
    const char *text; /* ASCII, `size` of it; borrowed from the condition's text */
    size_t size;
};

struct mt_condition {
    struct mt_condition_side left, right;
    enum mt_condition_op op;
};

/* Understand `text`, which outlives *ret and compiles as Python. False: it takes Python. */
bool mt_condition_parse(const char *text, struct mt_condition *ret);

enum mt_truth { MT_FALSE, MT_TRUE, MT_UNKNOWN };

/* What Python would say of it, or MT_UNKNOWN where only running it tells: other types, values out
 * of the common range, a side that is not there (NULL), an error. */
enum mt_truth mt_condition_holds(const struct mt_condition *condition, PyObject *old_object,
                                 PyObject *new_object);

#endif
