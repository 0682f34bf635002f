/* Result codes and the text that goes with them.
 *
 * Lives in the helper and in the reader. No Python.h, needs no GIL, allocates nothing.
 * Threads: callers serialise; see status.h. */
#include <stdarg.h>
#include <stdio.h>

#include "status.h"

/* Takes the texts before there is a buffer, and in the reader, which has none. */
static char early_detail[MT_DETAIL_BYTES];

/* Where texts go: MT_DETAIL_BYTES, in the control block once there is one. */
static char *current_detail = early_detail;

void mt_status_init(char *detail)
{
    current_detail = detail ? detail : early_detail;
}

enum mt_status mt_status_set(enum mt_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(current_detail, MT_DETAIL_BYTES, format, arguments);
    va_end(arguments);
    return status;
}

const char *mt_status_detail(void)
{
    return current_detail;
}
