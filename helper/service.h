/* Carries out one request from the mailbox: install, change, remove. */
#ifndef MT_SERVICE_H
#define MT_SERVICE_H

#include "memtrace.h"

/* Describe interpreter and layout in a buffer that was just made. Any thread, no GIL. */
void mt_service_describe(void);

/* Carry out control->request and publish its outcome. The calling thread holds the GIL. */
enum mt_status mt_service_carry_out(void);

/* In a forked child, on the thread that forked, before any Python code: the parent's buffer is
 * let go of. With follow-fork, and if the thread holds the GIL, the child begins a buffer of
 * its own; else nothing is recorded there. System calls only. */
void mt_service_forked(void);

#endif
