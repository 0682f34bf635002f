/* Recordings: directories that are traces of the Common Trace Format 1.8. No Python.h. */
#ifndef MT_RECORDING_H
#define MT_RECORDING_H

#include "catalog.h"
#include "packets.h"

/* Write what `source` holds now to the directory `path`, which is made and must be new or
 * empty: `metadata`, `definitions`, and `thread-TID` for each thread. On failure what was
 * written stays, and `error` (MT_DETAIL_BYTES) says what to do. */
enum mt_status mt_recording_save(const struct mt_source *source, const char *path, char *error);

/* Map the streams of the directory `path`. */
enum mt_status mt_recording_open(struct mt_source *source, const char *path, char *error);

#endif
