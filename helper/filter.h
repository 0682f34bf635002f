/* Which code is traced: user code, or what the person's globs say.
 *
 * Decided once per code object and generation of options. Needs the GIL for the prefix of
 * the standard library, nothing else. */
#ifndef MT_FILTER_H
#define MT_FILTER_H

#include <Python.h>
#include <stdbool.h>
#include "request.h"

/* Take over the globs of a request (they stay the request's) and find the library's place. */
void mt_filter_configure(const struct mt_request *request);

/* Is this code traced? `qualname` as the plan knows it. */
bool mt_filter_traces(PyCodeObject *code, const char *qualname);

/* Is it certain, without the plan's qualified name, that this code is not traced? Spares most
 * library code its plan. */
bool mt_filter_rejects(PyCodeObject *code);

/* Does the person want no events of this variable, named as it is written? An item has the name
 * of its container. */
bool mt_filter_skips_variable(const char *name);

/* Does a glob match a text? * ? [set], whole text, case counts. */
bool mt_filter_glob(const char *glob, const char *text);

/* Does a glob match a function: its qualified name or the last part of it? */
bool mt_filter_function(const char *glob, const char *qualname);

/* Does a glob match a file: its path, its base name, or its module (base name without .py)? */
bool mt_filter_file(const char *glob, const char *file);

#endif
