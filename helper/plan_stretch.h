/* Stretches: what runs from one line event to the next (settrace driver).
 *
 * An event for each instruction is what recording costs most on 3.10 and 3.11, and most lines don't
 * need it: nothing in them changes a variable, or they end in storing to a local, which can be
 * looked at before and after. This finds the lines of which that can be said for certain; where
 * a line can be left, entered or interrupted in any other way, each of its instructions is to be
 * seen. Reads decoded bytecode and nothing else. Needs the GIL.
 *
 * When there is a line event: maybe_call_line_trace() in CPython's Python/ceval.c, 3.10 and 3.11. Up
 * to 3.9 a line event costs as much as the instruction events that it saves (measured); from 3.12 on
 * there are events only where they are asked for (PEP 669). */
#ifndef MT_PLAN_STRETCH_H
#define MT_PLAN_STRETCH_H

#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MT_HAVE_STRETCHES (PY_VERSION_HEX >= 0x030a0000 && PY_VERSION_HEX < 0x030c0000)

struct mt_bytecode;

/* What there is to see at an instruction. */
enum mt_interest {
    MT_INTEREST_NONE,
    MT_INTEREST_STORE,    /* a local is stored to: its value, before and after */
    MT_INTEREST_OPERATOR, /* nothing, if the local that its result is stored to can't change in
                             place */
    MT_INTEREST_ALL,      /* the instruction itself */
};

struct mt_seen {
    uint8_t interest; /* enum mt_interest */
    uint16_t site;    /* STORE: index of its site */
};

/* What a line event says of the stretch that it begins. */
enum {
    MT_STRETCH_NONE,  /* each instruction is to be seen */
    MT_STRETCH_EMPTY, /* there is nothing to see */
    MT_STRETCH_STORE, /* + index of the site: one store, to a local, comes last */
};

struct mt_stretches {
    uint16_t *at;        /* by code unit; PyMem_RawFree() it */
    uint32_t unit_count; /* of `at`; 0: every instruction of the code is to be seen */
};

/* The stretches of code, of whose instructions `seen` says what there is to see. None where seeing
 * every instruction is as cheap, or there is no memory. */
#if MT_HAVE_STRETCHES
void mt_stretches_find(const struct mt_bytecode *bytecode, const struct mt_seen *seen,
                       struct mt_stretches *ret);
#else
static inline void mt_stretches_find(const struct mt_bytecode *bytecode, const struct mt_seen *seen,
                                     struct mt_stretches *ret)
{
    memset(ret, 0, sizeof *ret);
}
#endif

#endif
