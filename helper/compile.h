/* Compiles what the person typed: conditions and keys of breakpoints. Needs the GIL. */
#ifndef MT_COMPILE_H
#define MT_COMPILE_H

#include <Python.h>

/* The code object of an expression, a new reference; or NULL with an exception set. `name`
 * stands for its file. What the compiler would warn of (SyntaxWarning) is left unsaid: by the
 * program's own filters that is printed, raised, or given to code of the program's. */
PyObject *mt_compile_expression(const char *text, const char *name);

#endif
