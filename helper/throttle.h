/* `set memtrace max-overhead`: what costs too much is recorded less often, then not at all.
 *
 * Sites are thinned in two steps, to one change in 8 and one in 64, then muted; a call's
 * arguments likewise, and then the code is left alone as if it were not traced. With settrace,
 * where the instructions between the sites are what costs, the last step of a site is that of
 * its code. All of this lasts until the options change. Each step is a note in the recording;
 * what is left out while thinned is counted. With the GIL. */
#ifndef MT_THROTTLE_H
#define MT_THROTTLE_H

#include <Python.h>
#include <stdbool.h>
#include "frame.h"
#include "plan.h"
#include "thread.h"

/* `limit` in per cent, 0: none. */
void mt_throttle_configure(uint32_t limit);

/* Is this change of a thinned site or call one that is left out? Counted then. `thin` != 0. */
bool mt_throttle_skips(uint8_t thin);

/* A look begins: its time, if it is one to be timed, else 0. To be handed to mt_throttle_end(). */
uint64_t mt_throttle_begin(void);

/* It ends: at a byte offset of the plan's code, or (-1) at a call. `plan` NULL: not traced. At
 * the end of a window this may quieten the plan. */
void mt_throttle_end(uint64_t began, struct mt_plan *plan, int offset);

#endif
