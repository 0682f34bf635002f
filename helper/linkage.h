/* Could a loaded library, or the main program, run Python code that the interpreter's audit events
 * say nothing of (CPython 3.11)? It would have to refer to the interpreter's functions for that.
 *
 * Needs the GIL. Takes the loader's lock for its list, which is never held while code of others
 * runs. */
#ifndef MT_LINKAGE_H
#define MT_LINKAGE_H

#include <Python.h>
#include <stdbool.h>

/* Is it certain that none could: the main program is a Python, and no library refers to such a
 * function? Looks at each library once, as long as none is unloaded. */
bool mt_linkage_is_known(void);

/* Is it such a function's name? */
bool mt_linkage_names_runner(const char *name);

/* Is it one's address? */
bool mt_linkage_runs_code(const void *function);

#endif
