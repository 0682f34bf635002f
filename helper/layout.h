/* Where CPython keeps what: offsets of the interpreter that this helper is compiled for.
 *
 * gdb reads frames and objects of a stripped interpreter by these (gdbplugin's objects.py).
 * Any thread, no GIL. */
#ifndef MT_LAYOUT_H
#define MT_LAYOUT_H

#include "memtrace.h"

/* Fill every field of `ret`; -1 where this version has no such field. */
void mt_layout_fill(struct mt_layout *ret);

#endif
