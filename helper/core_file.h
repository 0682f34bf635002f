/* Buffers inside a core file. No Python.h. */
#ifndef MT_CORE_FILE_H
#define MT_CORE_FILE_H

#include "packets.h"

/* Find the buffer in the ELF core file at `path`, map the file and init `source` with it.
 * MT_NOT_FOUND, MT_CORRUPT, MT_TRUNCATED, MT_WRONG_VERSION or MT_IO_ERROR: see `error`. */
enum mt_status mt_core_file_open(struct mt_source *source, const char *path, char *error);

#endif
