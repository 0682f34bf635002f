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

const char *mt_status_name(enum mt_status status)
{
    switch (status) {
    case MT_OK: return "ok";
    case MT_REFUSED: return "refused";
    case MT_BAD_REQUEST: return "bad request";
    case MT_NO_MEMORY: return "no memory";
    case MT_TRACER_PRESENT: return "another tracer is present";
    case MT_NO_TOOL_ID: return "no free tool id";
    case MT_FINALIZING: return "interpreter not running";
    case MT_WRONG_VERSION: return "wrong version";
    case MT_TRUNCATED: return "truncated";
    case MT_CORRUPT: return "corrupt";
    case MT_NOT_FOUND: return "not found";
    case MT_IO_ERROR: return "input/output error";
    case MT_OVERWRITTEN: return "overwritten";
    }
    return "unknown";
}
