/* How much the engine slows the program down, and what to give up when that is too much.
 *
 * A window is a number of looks of the driver, one in SAMPLE of which is timed. At its end the
 * cost of all looks is set against the CPU time that has passed: if the program runs more than
 * `limit` per cent of the time that it would have taken alone, the places that cost most are
 * named, as many as it takes. What is done about them is throttle.c's. No Python.h, no clock:
 * times are given. Threads: the caller's lock (the GIL). */
#ifndef MT_OVERHEAD_H
#define MT_OVERHEAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MT_OVERHEAD_WINDOW = 1 << 14, /* looks */
    MT_OVERHEAD_SAMPLE = 61,      /* a prime: loops must not keep step with it */
    MT_OVERHEAD_PLACES = 64,      /* that can be told apart within a window */
    MT_OVERHEAD_HOT_MAX = 8,      /* named at the end of one */
};

/* A place: something of a plan, the caller's to interpret; only compared here. */
struct mt_place {
    const void *plan;
    uint32_t index;
    uint64_t cost_ns; /* of the samples */
};

struct mt_overhead {
    uint32_t limit;   /* per cent: 200 is twice the time */
    uint32_t look_ns; /* what a look costs the interpreter, beside what is timed */
    uint32_t looks, samples;
    uint64_t cost_ns; /* of the samples */
    struct mt_place places[MT_OVERHEAD_PLACES];
};

void mt_overhead_init(struct mt_overhead *overhead, uint32_t limit, uint32_t look_ns);

/* Count a look. Is it one to be timed? */
bool mt_overhead_count(struct mt_overhead *overhead);

/* A timed look, at a place. */
void mt_overhead_sample(struct mt_overhead *overhead, const void *plan, uint32_t index,
                        uint64_t cost_ns);

/* Is the window over? */
bool mt_overhead_is_full(const struct mt_overhead *overhead);

/* End the window, in which so much CPU time passed. Returns how many places must become cheaper,
 * the costliest first; *ret_percent is what was measured. */
uint32_t mt_overhead_judge(struct mt_overhead *overhead, uint64_t elapsed_ns,
                           struct mt_place ret[MT_OVERHEAD_HOT_MAX], uint32_t *ret_percent);

#endif
