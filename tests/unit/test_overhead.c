/* overhead: when it is too much, and what is to blame. Times are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "overhead.h"

enum { LOOK_NS = 20 };

static struct mt_overhead overhead;
static struct mt_place hot[MT_OVERHEAD_HOT_MAX];
static uint32_t percent;
static char plans[100]; // addresses

/* A window of looks at `places` places in turn, the first of which costs `first_ns`, the others
 * `other_ns` each. Returns the whole cost. */
static uint64_t fill_window(uint32_t limit, uint32_t places, uint64_t first_ns, uint64_t other_ns)
{
    uint64_t cost = 0;
    mt_overhead_init(&overhead, limit, LOOK_NS);
    for (uint32_t look = 0; !mt_overhead_is_full(&overhead); look++) {
        uint32_t place = look % places;
        uint64_t ns = place ? other_ns : first_ns;
        cost += ns + LOOK_NS;
        if (mt_overhead_count(&overhead))
            mt_overhead_sample(&overhead, &plans[place], place, ns);
    }
    return cost;
}

static uint32_t judge(uint64_t elapsed_ns)
{
    return mt_overhead_judge(&overhead, elapsed_ns, hot, &percent);
}

static void test_overhead_within_the_limit_names_nothing(void **state)
{
    // As much again as the cost: the program takes twice its own time.
    uint64_t cost = fill_window(210, 2, 100, 100);
    assert_int_equal(judge(2 * cost), 0);
    assert_in_range(percent, 195, 205);
}

static void test_overhead_beyond_the_limit_names_the_costliest_first(void **state)
{
    uint64_t cost = fill_window(110, 3, 50, 400);
    assert_true(judge(2 * cost) >= 2);
    assert_ptr_equal(hot[0].plan > hot[1].plan ? hot[0].plan : hot[1].plan, &plans[2]);
    assert_true(hot[0].index != 0 && hot[1].index != 0);
    assert_true(hot[0].cost_ns >= hot[1].cost_ns);
}

static void test_overhead_names_no_more_than_it_takes(void **state)
{
    // The first place alone makes out nine tenths of it.
    uint64_t cost = fill_window(150, 10, 9000, 100);
    assert_int_equal(judge(2 * cost), 1);
    assert_ptr_equal(hot[0].plan, &plans[0]);
}

static void test_overhead_of_many_small_places_names_a_few_at_a_time(void **state)
{
    uint64_t cost = fill_window(105, 100, 100, 100);
    assert_int_equal(judge(cost), MT_OVERHEAD_HOT_MAX);
}

static void test_overhead_begins_each_window_anew(void **state)
{
    uint64_t cost = fill_window(110, 1, 500, 0);
    assert_int_equal(judge(2 * cost), 1);
    assert_false(mt_overhead_is_full(&overhead));
    for (int i = 0; i < MT_OVERHEAD_WINDOW; i++)
        mt_overhead_count(&overhead); // nothing costs anything any more
    mt_overhead_sample(&overhead, &plans[0], 0, 0);
    assert_int_equal(judge(UINT64_C(1) << 40), 0);
    assert_int_equal(percent, 100);
}

static void test_overhead_of_interrupted_looks_is_cut(void **state)
{
    mt_overhead_init(&overhead, 200, LOOK_NS);
    for (int i = 0; i < MT_OVERHEAD_WINDOW; i++) {
        if (mt_overhead_count(&overhead))
            mt_overhead_sample(&overhead, &plans[0], 0, i ? 10 : UINT64_C(1) << 40);
    }
    // 30 ns a look and one of 100 us in 269: some 400 ns a look.
    assert_int_equal(judge(MT_OVERHEAD_WINDOW * UINT64_C(1000)), 0);
    assert_in_range(percent, 120, 200);
}

static void test_overhead_of_code_that_is_not_traced_is_nobodys(void **state)
{
    mt_overhead_init(&overhead, 110, LOOK_NS);
    for (int i = 0; i < MT_OVERHEAD_WINDOW; i++) {
        if (mt_overhead_count(&overhead))
            mt_overhead_sample(&overhead, NULL, 0, 100);
    }
    assert_int_equal(judge(MT_OVERHEAD_WINDOW * UINT64_C(150)), 0);
    assert_in_range(percent, 300, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overhead_within_the_limit_names_nothing),
        cmocka_unit_test(test_overhead_beyond_the_limit_names_the_costliest_first),
        cmocka_unit_test(test_overhead_names_no_more_than_it_takes),
        cmocka_unit_test(test_overhead_of_many_small_places_names_a_few_at_a_time),
        cmocka_unit_test(test_overhead_begins_each_window_anew),
        cmocka_unit_test(test_overhead_of_interrupted_looks_is_cut),
        cmocka_unit_test(test_overhead_of_code_that_is_not_traced_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
