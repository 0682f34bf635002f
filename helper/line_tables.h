/* 3.11: tables of lines in code that is not traced, within a bound.
 *
 * The interpreter makes one (2 or 4 bytes a code unit, mt_code_trim) for each code object that it
 * asks a trace function about, for the code's life. With no code traced at all, that would be
 * more memory than everything else that memtrace keeps. So the code objects are noted when their
 * first call is answered, and those longest noted give their tables back when all of them
 * together outweigh the bound; then the next call is answered, and noted, anew. Calls in between
 * cost nothing here. A table that goes while a frame of its code runs is made again by that
 * frame, and not counted: frames are few.
 *
 * With the GIL. On other versions nothing is ever noted. */
#ifndef MT_LINE_TABLES_H
#define MT_LINE_TABLES_H

#include <Python.h> // first: its feature macros
#include <stdint.h>

/* Called with code whose table has gone; its number means nothing any more. */
typedef void mt_line_tables_trimmed(PyCodeObject *code);

/* From now on at most `bytes_max`, or a bound of this module's own if that is less. */
void mt_line_tables_configure(size_t bytes_max, mt_line_tables_trimmed *trimmed);

/* Note code that isn't (borrowed, until it is trimmed or forgotten); others may be trimmed.
 * Returns its number, from 1, or 0: nothing to note. */
uint16_t mt_line_tables_note(PyCodeObject *code);

/* The code dies, or its table is somebody else's care. 0 is no number. */
void mt_line_tables_forget(uint16_t number);

/* For tests: what the tables of all that is noted weigh. */
size_t mt_line_tables_bytes(void);

#endif
