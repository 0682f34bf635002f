/* CLOCK_MONOTONIC in nanoseconds, by the cheapest means that still orders events. No
 * Python.h. Any thread, no lock, no allocation; errno is kept. */
#ifndef MT_CLOCK_H
#define MT_CLOCK_H

#include <stdint.h>

/* Look at the machine: is the time stamp counter the kernel's own clock source? Then it is
 * used as soon as its rate has been measured. Call once, before the first event. */
void mt_clock_init(void);

/* Now. Never goes back within a process, but for what two threads that run at once see of a
 * correction: below a microsecond. */
uint64_t mt_clock_ns(void);

#endif
