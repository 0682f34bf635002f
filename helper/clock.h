/* CLOCK_MONOTONIC in nanoseconds, by the cheapest means that still orders events. No
 * Python.h. Any thread, no lock, no allocation; errno is kept. */
#ifndef MT_CLOCK_H
#define MT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Look at the machine: does the kernel keep time by the time stamp counter? Then we do too, as soon
 * as its rate has been measured. Some 10 µs. Call once, before the first event. */
void mt_clock_init(void);

/* Now. Never goes back within a process, but for what two threads that run at once see of a
 * correction: below a microsecond. */
static inline uint64_t mt_clock_ns(void);

/* ---- inline: every event asks -------------------------------------------------------------- */

/* From time stamp counter to nanoseconds. clock.c's, except for what mt_clock_ns() reads. */
struct mt_clock {
    uint32_t version;     /* even: the rest is whole */
    uint64_t ticks, ns;   /* the same moment by counter and clock */
    uint64_t ns_per_tick; /* times 2^32 */
    uint64_t good_for;    /* ticks; 0: not measured, or the counter is no clock */
};
extern __attribute__((visibility("hidden"))) struct mt_clock mt_clock;

/* The kernel's answer, or a fresh measurement. */
uint64_t mt_clock_ask(void);

/* The time by the counter. False: the mapping is too old, or there is none; mt_clock_ns() goes on
 * from there. */
static inline bool mt_clock_by_counter(uint64_t *ret)
{
#if defined(__x86_64__)
    // Word by word, and each used at once: this is where registers are scarce. Who comes at the
    // wrong moment reads old or new words, and then sees by `version` that they don't fit.
    uint32_t before = __atomic_load_n(&mt_clock.version, __ATOMIC_ACQUIRE); // pairs with measure()
    uint64_t ticks = __rdtsc() - __atomic_load_n(&mt_clock.ticks, __ATOMIC_RELAXED);
    if (__builtin_expect(ticks >= __atomic_load_n(&mt_clock.good_for, __ATOMIC_RELAXED), 0))
        return false;
    unsigned __int128 scaled = (unsigned __int128)ticks *
                               __atomic_load_n(&mt_clock.ns_per_tick, __ATOMIC_RELAXED);
    *ret = __atomic_load_n(&mt_clock.ns, __ATOMIC_RELAXED) + (uint64_t)(scaled >> 32);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // pairs with the release fence in measure()
    return __builtin_expect(
        !(before & 1) && __atomic_load_n(&mt_clock.version, __ATOMIC_RELAXED) == before, 1);
#else
    return false;
#endif
}

static inline uint64_t mt_clock_ns(void)
{
    uint64_t now;

    return __builtin_expect(mt_clock_by_counter(&now), 1) ? now : mt_clock_ask();
}

#endif
