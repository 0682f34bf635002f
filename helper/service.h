/* Carries out one request from the mailbox: install, change, remove. */
#ifndef MT_SERVICE_H
#define MT_SERVICE_H

#include "memtrace.h"

/* Carry out control->request and publish its outcome. The calling thread holds the GIL. */
enum mt_status mt_service_carry_out(void);

/* In a forked child, before any Python code: nothing is recorded there. */
void mt_service_abandon(void);

#endif
