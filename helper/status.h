/* Result codes and the text that goes with them.
 *
 * Functions of the helper return enum mt_status (memtrace.h). The text for a person goes
 * to one fixed buffer in the control block, so that a core file shows it too. Before the
 * buffer exists the text goes to a static buffer of the same size. No Python.h. Threads:
 * callers serialise (the mailbox carries out one request at a time). */
#ifndef MT_STATUS_H
#define MT_STATUS_H

#include "memtrace.h"

/* Where detail texts go from now on: control->detail, MT_DETAIL_BYTES. */
void mt_status_init(char *detail);

/* Set the detail text (printf style, cut at MT_DETAIL_BYTES - 1) and return `status`. */
enum mt_status mt_status_set(enum mt_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const char *mt_status_detail(void);

#endif
