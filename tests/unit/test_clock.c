/* The clock, against the kernel's, which here runs slower when a test wants it to. Where the
 * kernel doesn't keep time by the counter, the one is the other, and these tests say little. */
#define _GNU_SOURCE
#include "units.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum {
    MS = 1000 * 1000,
    // The mapping is measured at 20 ms and every 100 ms then: this long sees it three times.
    SEVERAL_MEASURES_NS = 350 * MS,
    // In a tenth of a second the rate's error is below a microsecond, plus half the time that a
    // sample took. Room for a machine that is busy or virtual; an hour's worth of drift, a rate
    // that is wrong by one percent or a mapping from before a measure is far beyond.
    TOLERANCE_NS = 200 * 1000,
};

/* From `slow_from` to `slow_to` one nanosecond in fifty is none. */
static uint64_t slow_from = UINT64_MAX, slow_to = UINT64_MAX;

static uint64_t correct(uint64_t ns)
{
    if (ns <= slow_from)
        return ns;
    return ns - ((ns < slow_to ? ns : slow_to) - slow_from) / 50;
}

/* The C library's, which makes no system call if it can, where a test wants it; else NULL. */
static int (*library_clock_gettime)(clockid_t, struct timespec *);

/* Instead of the C library's: what clock.c and this test know of the kernel's time. */
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved
int clock_gettime(clockid_t id, struct timespec *ret)
{
    int result = library_clock_gettime ? library_clock_gettime(id, ret)
                                       : (int)syscall(SYS_clock_gettime, id, ret);
    uint64_t ns = correct((uint64_t)ret->tv_sec * 1000000000u + (uint64_t)ret->tv_nsec);
    ret->tv_sec = (time_t)(ns / 1000000000u);
    ret->tv_nsec = (long)(ns % 1000000000u);
    return result;
}

static bool sys_is_hidden;

/* Instead of the C library's: clock.c finds no /sys when a test wants that. */
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved
int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if (sys_is_hidden && strncmp(path, "/sys/", 5) == 0) {
        errno = ENOENT;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static uint64_t kernel_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Ask without a pause for `ns` nanoseconds. */
static void assert_never_goes_back(uint64_t ns)
{
    uint64_t last = mt_clock_ns(), end = kernel_ns() + ns;
    while (kernel_ns() < end) {
        uint64_t now = mt_clock_ns();
        if (now < last)
            fail_msg("%llu after %llu", (unsigned long long)now, (unsigned long long)last);
        last = now;
    }
}

static void assert_tells_the_kernels_time(uint64_t ns)
{
    uint64_t end = kernel_ns() + ns;
    for (uint64_t before = kernel_ns(); before < end; before = kernel_ns()) {
        uint64_t now = mt_clock_ns();
        // However long we were interrupted: the time lies between these two readings.
        uint64_t after = kernel_ns();
        if (now + TOLERANCE_NS < before || now > after + TOLERANCE_NS)
            fail_msg("%llu is not from %llu to %llu", (unsigned long long)now,
                     (unsigned long long)before, (unsigned long long)after);
    }
}

static void test_clock_tells_the_kernels_time(void **state)
{
    mt_clock_init();
    assert_tells_the_kernels_time(SEVERAL_MEASURES_NS);
}

/* More rarely asked than it is measured: no mapping is in force any more when it is. */
static void test_clock_tells_the_kernels_time_after_a_pause(void **state)
{
    const struct timespec pause = {.tv_nsec = 150 * MS};
    mt_clock_init();
    for (int i = 0; i < 3; i++) {
        uint64_t before = kernel_ns();
        uint64_t now = mt_clock_ns();
        uint64_t after = kernel_ns();
        assert_in_range(now, before - TOLERANCE_NS, after + TOLERANCE_NS);
        nanosleep(&pause, NULL);
    }
}

static void test_clock_never_goes_back(void **state)
{
    mt_clock_init();
    assert_never_goes_back(SEVERAL_MEASURES_NS);
}

/* The kernel's corrections make its clock fall behind what the counter says. */
static void test_clock_waits_for_a_kernel_that_has_slowed_down(void **state)
{
    mt_clock_init();
    assert_never_goes_back(SEVERAL_MEASURES_NS);
    slow_from = kernel_ns();
    assert_never_goes_back(SEVERAL_MEASURES_NS);
    slow_to = kernel_ns() + (kernel_ns() - slow_from) / 49;
    assert_never_goes_back(SEVERAL_MEASURES_NS);
    assert_tells_the_kernels_time(SEVERAL_MEASURES_NS);
}

/* Set by one thread, read by the other: a time that was told before must not be later than one
 * that is told after, but for the microsecond that clock.h allows. */
struct relay {
    uint64_t told;
    uint64_t worst; // by how much the second thread's time was the earlier one
    bool stop;
};

static void *tell(void *argument)
{
    struct relay *relay = argument;
    while (!__atomic_load_n(&relay->stop, __ATOMIC_RELAXED))
        __atomic_store_n(&relay->told, mt_clock_ns(), __ATOMIC_RELEASE);
    return NULL;
}

static void test_clock_is_one_for_all_threads(void **state)
{
    struct relay relay = {0};
    pthread_t thread;
    mt_clock_init();
    assert_int_equal(pthread_create(&thread, NULL, tell, &relay), 0);
    uint64_t end = kernel_ns() + SEVERAL_MEASURES_NS;
    while (kernel_ns() < end) {
        uint64_t told = __atomic_load_n(&relay.told, __ATOMIC_ACQUIRE);
        uint64_t now = mt_clock_ns();
        if (told > now && told - now > relay.worst)
            relay.worst = told - now;
    }
    __atomic_store_n(&relay.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_true(relay.told != 0);
    assert_in_range(relay.worst, 0, TOLERANCE_NS);
}

/* After a new mt_clock_init(), is the time told by the counter once its rate can be known? */
static bool goes_by_the_counter(void)
{
    uint64_t now;
    mt_clock = (struct mt_clock){0};
    mt_clock_init();
    assert_tells_the_kernels_time(SEVERAL_MEASURES_NS);
    return mt_clock_by_counter(&now);
}

/* Does it take a fraction of what the system call does? */
static bool library_makes_no_call(void)
{
    uint64_t fastest = UINT64_MAX, fastest_call = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        struct timespec times[3];
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &times[0]);
        library_clock_gettime(CLOCK_MONOTONIC, &times[1]);
        library_clock_gettime(CLOCK_MONOTONIC, &times[2]);
        uint64_t took = (uint64_t)(times[2].tv_nsec - times[1].tv_nsec);
        if (times[2].tv_sec == times[1].tv_sec && took < fastest)
            fastest = took;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &times[2]);
        took = (uint64_t)(times[2].tv_nsec - times[0].tv_nsec);
        if (times[2].tv_sec == times[0].tv_sec && took < fastest_call)
            fastest_call = took;
    }
    return fastest * 5 < fastest_call;
}

static void test_clock_goes_by_the_counter_if_the_kernels_needs_no_system_call(void **state)
{
    sys_is_hidden = true;
    *(void **)&library_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    bool may = library_clock_gettime && library_makes_no_call();
    bool goes = goes_by_the_counter();
    library_clock_gettime = NULL;
    sys_is_hidden = false;
    if (!may) {
        print_message("the C library makes a system call to tell the time here\n");
        skip();
    }
    assert_true(goes);
}

static void test_clock_asks_the_kernel_if_nothing_tells_what_its_clock_is(void **state)
{
    sys_is_hidden = true;
    bool goes = goes_by_the_counter();
    sys_is_hidden = false;
    assert_false(goes);
}

static void test_clock_keeps_errno(void **state)
{
    errno = EXDEV;
    mt_clock_init();
    mt_clock_ns();
    assert_int_equal(errno, EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_tells_the_kernels_time),
        cmocka_unit_test(test_clock_tells_the_kernels_time_after_a_pause),
        cmocka_unit_test(test_clock_never_goes_back),
        cmocka_unit_test(test_clock_waits_for_a_kernel_that_has_slowed_down),
        cmocka_unit_test(test_clock_is_one_for_all_threads),
        cmocka_unit_test(test_clock_goes_by_the_counter_if_the_kernels_needs_no_system_call),
        cmocka_unit_test(test_clock_asks_the_kernel_if_nothing_tells_what_its_clock_is),
        cmocka_unit_test(test_clock_keeps_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
