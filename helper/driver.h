/* A driver tells the engine that a store site is about to run. There is one per CPython
 * version: driver_settrace.c up to 3.11, driver_monitoring.c from 3.12 on; frame.h says
 * which. Everything needs the GIL. */
#ifndef MT_DRIVER_H
#define MT_DRIVER_H

#include <Python.h>
#include "memtrace.h"

/* Cover every thread that exists, every thread that starts later, and the frames that run
 * already. `ret_threads`: threads covered. MT_TRACER_PRESENT or MT_NO_TOOL_ID with a detail
 * text when somebody else is in the way. Installing what is installed already is MT_OK. */
enum mt_status mt_driver_install(uint32_t *ret_threads);

/* Options changed: code that was not traced may be now, in frames that run already too. */
void mt_driver_refresh(void);

/* The buffer is a new one, a forked child's; the hooks came along. */
void mt_driver_renew(void);

/* Take every hook out again; frames and threads are left as they were. */
void mt_driver_remove(void);

#endif
