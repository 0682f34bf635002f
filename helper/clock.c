/* See clock.h.
 *
 * clock_gettime() costs 20 to 45 ns, more than all the rest of writing an event. Where the
 * kernel itself keeps time by the time stamp counter (it has checked that the counter is
 * constant, never stops and is the same on all processors), a mapping from counter to
 * nanoseconds does it in a quarter. The mapping is measured against CLOCK_MONOTONIC and measured
 * again whenever it is older than a tenth of a second, so that the kernel's own corrections
 * (adjtimex(2): at most 500 ppm) are followed.
 *
 * Whether it does so, /sys says (clocksource "tsc"). Where that can't be read (a chroot, a sandbox)
 * or has another name for it (kvm-clock, hyperv_clocksource_tsc_page: the counter, scaled by the
 * hypervisor), there is one more thing to know it by: on x86 a program reads the clock without a
 * system call only if it is worked out from the counter, whichever processor the program runs on
 * (vclock modes TSC, PVCLOCK with its "stable" bit, HVCLOCK; an HPET or ACPI timer takes the call,
 * as does a counter that the kernel has found unstable). That is seen by what it costs. Should a
 * program be kept from its vDSO (valgrind), it costs as much as the call, and nothing is lost but
 * time.
 *
 * The mapping is guarded by a sequence count: odd while it is written. */

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_MEASURE_NS = 20 * 1000 * 1000, // before that the rate would be a guess
    MEASURE_AGAIN_NS = 100 * 1000 * 1000,
    SAMPLE_TICKS_MAX = 20000, // a sample that took longer was interrupted
    COST_SAMPLES = 32,        // the fastest of so many was not interrupted
};

struct mt_clock mt_clock; // its `version` guards the rest
// The moment the last rate was measured from: written by whoever holds `version` odd.
static uint64_t sample_ticks, sample_ns;
static bool counter_is_clock; // set once, by mt_clock_init

static uint64_t kernel_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#if defined(__x86_64__)

static inline uint64_t ticks_now(void)
{
    return __rdtsc();
}

// Both clocks at one moment.
static void sample(uint64_t *ticks, uint64_t *ns)
{
    for (int tries = 0; tries < 5; tries++) {
        uint64_t before = ticks_now();
        *ns = kernel_ns();
        uint64_t took = ticks_now() - before;
        *ticks = before + took / 2;
        if (took < SAMPLE_TICKS_MAX)
            return;
    }
}

static bool source_is_counter(void)
{
    static const char path[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char name[8] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    ssize_t size = read(fd, name, sizeof name - 1);
    close(fd);
    return size >= 4 && !memcmp(name, "tsc\n", 4);
}

// Does the C library tell the time in less than half of what the system call takes? With a call in
// it, it takes that long itself, however slow the machine's calls or its clock.
static bool clock_needs_no_call(void)
{
    uint64_t fastest = UINT64_MAX, fastest_call = UINT64_MAX;

    for (int i = 0; i < COST_SAMPLES; i++) {
        struct timespec now;
        uint64_t start = ticks_now();
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t middle = ticks_now();
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
        uint64_t end = ticks_now();
        if (middle - start < fastest)
            fastest = middle - start;
        if (end - middle < fastest_call)
            fastest_call = end - middle;
    }
    return fastest < fastest_call / 2;
}

static void store_mapping(const struct mt_clock *fresh)
{
    __atomic_store_n(&mt_clock.ticks, fresh->ticks, __ATOMIC_RELAXED);
    __atomic_store_n(&mt_clock.ns, fresh->ns, __ATOMIC_RELAXED);
    __atomic_store_n(&mt_clock.ns_per_tick, fresh->ns_per_tick, __ATOMIC_RELAXED);
    __atomic_store_n(&mt_clock.good_for, fresh->good_for, __ATOMIC_RELAXED);
}

// By the mapping, which the caller holds.
static uint64_t convert(uint64_t ticks)
{
    return mt_clock.ns +
           (uint64_t)((unsigned __int128)(ticks - mt_clock.ticks) * mt_clock.ns_per_tick >> 32);
}

// Measure the mapping anew. Holds `version` odd; whoever comes meanwhile asks the kernel.
static uint64_t measure(void)
{
    uint32_t even = __atomic_load_n(&mt_clock.version, __ATOMIC_RELAXED) & ~1u;

    // Acquire pairs with the release below: we see the last owner's sample.
    if (!__atomic_compare_exchange_n(&mt_clock.version, &even, even + 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return kernel_ns();
    // Pairs with the fence in clock.h: who read a word written below sees `version` odd.
    __atomic_thread_fence(__ATOMIC_RELEASE);
    uint64_t ticks, ns;
    sample(&ticks, &ns);
    uint64_t now = ns;
    if (!sample_ns || ticks < sample_ticks) {
        sample_ticks = ticks; // the first sample, or the counter was reset
        sample_ns = ns;
        __atomic_store_n(&mt_clock.good_for, 0, __ATOMIC_RELAXED);
    } else if (ns - sample_ns >= FIRST_MEASURE_NS) {
        uint64_t rate =
            (uint64_t)(((unsigned __int128)(ns - sample_ns) << 32) / (ticks - sample_ticks));
        uint64_t shown = mt_clock.good_for ? convert(ticks) : 0;
        struct mt_clock fresh = {
            .ticks = ticks,
            .ns = ns,
            .ns_per_tick = rate,
            .good_for = ((uint64_t)MEASURE_AGAIN_NS << 32) / rate,
        };
        if (shown > ns && shown - ns < MEASURE_AGAIN_NS / 2) {
            // We were ahead: go on from there, slower, until the next measure.
            fresh.ns = shown;
            fresh.ns_per_tick -= ((shown - ns) << 32) / fresh.good_for;
        }
        now = fresh.ns;
        store_mapping(&fresh);
        sample_ticks = ticks;
        sample_ns = ns;
    }
    __atomic_store_n(&mt_clock.version, even + 2, __ATOMIC_RELEASE); // pairs with clock.h
    return now;
}

void mt_clock_init(void)
{
    int saved_errno = errno;

    counter_is_clock = source_is_counter() || clock_needs_no_call();
    if (counter_is_clock)
        measure();
    errno = saved_errno;
}

uint64_t mt_clock_ask(void)
{
    return counter_is_clock ? measure() : kernel_ns();
}

#else

void mt_clock_init(void) {}

uint64_t mt_clock_ask(void)
{
    return kernel_ns();
}

#endif
