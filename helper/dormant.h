/* Can code that is to be recorded come to run, and when? While it can't, the settrace driver sets
 * no trace function and the program runs at its own speed (CPython 3.11, where any trace function
 * slows all code of a thread down).
 *
 * Needs the GIL. Runs no code of the program's and holds no reference. */
#ifndef MT_DORMANT_H
#define MT_DORMANT_H

#include <Python.h>
#include <stdbool.h>
#include "frame.h"

/* What an audit event announces. */
enum mt_arrival {
    MT_ARRIVAL_NOTHING,
    MT_ARRIVAL_LIBRARY, /* one that may run code by itself: to be looked at when it is loaded */
    MT_ARRIVAL_CODE,    /* code of interest runs next, or it can't be known any more */
};

#if MT_CAN_BE_DORMANT

/* Is it certain that, by the options in force, no code of interest can run before
 * mt_dormant_arrival() is told of it? False also where finding out takes too long. */
bool mt_dormant_may_begin(void);

/* The same after a library was loaded, if it was certain before. */
bool mt_dormant_may_go_on(void);

/* Of an audit event, before what it announces is done. */
enum mt_arrival mt_dormant_arrival(const char *event, PyObject *arguments);

#else

static inline bool mt_dormant_may_begin(void)
{
    return false;
}

static inline bool mt_dormant_may_go_on(void)
{
    return false;
}

static inline enum mt_arrival mt_dormant_arrival(const char *event, PyObject *arguments)
{
    return MT_ARRIVAL_NOTHING;
}

#endif
#endif
