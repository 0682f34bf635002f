/* plan_cache: how much is kept, what goes first, what must not go, and what a plan that is made
 * again goes on with. Runs in an embedded interpreter. */
#include <Python.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "defs.h"
#include "frame.h"
#include "plan_cache.h"
#include "plan_defs.h"
#include "py_support.h"
#include "ring.h"
#include "thread.h"

enum { CODES = 64 };

static PyObject *codes; /* owned list of code objects, all of the same shape */

static PyCodeObject *code_at(int i)
{
    return (PyCodeObject *)PyList_GET_ITEM(codes, i);
}

static struct mt_plan *plan_at(int i)
{
    return mt_plan_cache_plan(mt_code_extra_get(code_at(i)));
}

static struct mt_remains *remains_at(int i)
{
    return mt_plan_cache_remains(mt_code_extra_get(code_at(i)));
}

static struct mt_plan *add(int i)
{
    struct mt_plan *plan;
    assert_int_equal(mt_plan_create(code_at(i), &plan), MT_OK);
    plan->traced = true;
    assert_true(mt_plan_cache_add(plan));
    return plan;
}

/* New code objects, the plans of the others gone with them, and room for `plans` of them. */
static void begin(uint32_t plans)
{
    Py_CLEAR(codes);
    assert_int_equal(mt_plan_cache_count(), 0);
    assert_int_equal(mt_plan_cache_bytes(), 0);
    codes = py_eval("[compile(f'def f(a):\\n x = a\\n y = a\\n', f'{i:03}.py', 'exec').co_consts[0]"
                    " for i in range(64)]");
    mt_plan_cache_configure(SIZE_MAX);
    add(CODES - 1);
    mt_plan_cache_configure(mt_plan_cache_bytes() * plans);
}

static void test_plans_within_the_bound_all_stay(void **state)
{
    begin(16);
    for (int i = 0; i < 15; i++)
        add(i);
    assert_int_equal(mt_plan_cache_count(), 16);
}

static void test_plans_beyond_the_bound_are_dropped(void **state)
{
    begin(16);
    for (int i = 0; i < CODES - 1; i++) {
        add(i);
        assert_in_range(mt_plan_cache_count(), 1, 16);
        assert_non_null(plan_at(i));
    }
    assert_non_null(remains_at(0));
}

static void test_what_is_left_of_plans_takes_from_the_room_for_others(void **state)
{
    begin(16);
    size_t bound = 16 * mt_plan_cache_bytes();
    for (int i = 0; i < CODES - 1; i++)
        add(i);
    // An eighth may be free, and one plan too much.
    assert_in_range(mt_plan_cache_bytes(), bound / 2, bound + bound / 16);
    assert_in_range(mt_plan_cache_count(), 4, 14); // a quarter at least
    Py_CLEAR(codes);
    assert_int_equal(mt_plan_cache_bytes(), 0);
}

static void test_a_plan_in_use_stays_when_others_are_dropped(void **state)
{
    begin(16);
    struct mt_plan *used = add(0);
    for (int i = 1; i < CODES - 1; i++) {
        used->idle = 0;
        add(i);
    }
    assert_ptr_equal(plan_at(0), used);
}

// As the engine does: the plan is asked for, or made.
static bool call(int number)
{
    struct mt_plan *plan = plan_at(number);

    if (plan)
        plan->idle = 0;
    else
        add(number);
    return plan;
}

static void
test_of_more_functions_in_turn_than_there_is_room_for_most_keep_their_plans(void **state)
{
    begin(16);
    int room = 0, kept = 0;
    for (int round = 0; round < 10; round++) {
        kept = 0;
        for (int i = 0; i < 24; i++)
            kept += call(i);
        room = (int)mt_plan_cache_count();
    }
    assert_in_range(kept, room / 2, 24);
}

static void test_plans_go_that_nobody_asks_for_any_more(void **state)
{
    begin(16);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 8; i++)
            call(i);
    }
    int kept = 0;
    for (int round = 0; round < 40; round++) {
        kept = 0;
        for (int i = 20; i < 31; i++)
            kept += call(i);
    }
    assert_int_equal(kept, 11);
}

static void test_plans_that_a_thread_is_in_are_never_dropped(void **state)
{
    begin(0);
    struct mt_thread *thread = mt_thread_get();
    struct mt_plan *called = add(0);
    thread->call.plan = called;
    struct mt_plan *caller = add(1);
    thread->calls[0] = (struct mt_call){NULL, caller, 1};
    thread->call_count = 1;
    struct mt_plan *waiting = add(2);
    thread->pending[0].plan = waiting;
    thread->pending_count = 1;
    for (int i = 3; i < CODES - 1; i++)
        add(i);
    assert_ptr_equal(plan_at(0), called);
    assert_ptr_equal(plan_at(1), caller);
    assert_ptr_equal(plan_at(2), waiting);
    assert_int_equal(mt_plan_cache_count(), 4);
    thread->call.plan = NULL;
    thread->call_count = 0;
    thread->pending_count = 0;
}

static void test_no_thread_is_in_a_plan_that_died_with_its_code(void **state)
{
    begin(16);
    struct mt_thread *thread = mt_thread_get();
    thread->call.plan = add(0);
    PyList_SetSlice(codes, 0, 1, NULL);
    assert_null(thread->call.plan);
}

static void test_a_plan_made_again_goes_on_with_its_definitions(void **state)
{
    begin(0);
    struct mt_plan *plan = add(0);
    uint32_t second = mt_plan_defs_site(plan, &plan->sites[1]);
    assert_int_not_equal(second, 0);
    plan->watched = true;
    uint32_t code_id = plan->def_id;
    add(1);
    assert_null(plan_at(0));
    uint64_t defined = mt_control->defs_bytes;

    plan = add(0);
    assert_true(plan->watched);
    assert_int_equal(plan->def_id, code_id);
    assert_int_equal(mt_plan_defs_site(plan, &plan->sites[1]), second);
    assert_int_equal(mt_plan_defs_site(plan, &plan->sites[0]), second - 1);
    assert_int_equal(mt_plan_defs_argument(plan, &plan->arguments[0]), second + 1);
    assert_int_equal(mt_control->defs_bytes, defined);
}

static void test_a_new_buffer_knows_no_old_definitions(void **state)
{
    begin(0);
    struct mt_plan *plan = add(0);
    mt_plan_defs_site(plan, &plan->sites[0]);
    add(1);
    mt_plan_defs_site(plan_at(1), &plan_at(1)->sites[0]);
    mt_plan_cache_renew();
    assert_int_equal(plan_at(1)->first_id, 0);
    assert_int_equal(plan_at(1)->sites[0].def_id, 0);
    plan = add(0);
    assert_int_equal(plan->def_id, 0);
    assert_int_equal(plan->sites[0].def_id, 0);
}

static void test_remains_end_with_their_code(void **state)
{
    begin(0);
    for (int i = 0; i < CODES - 1; i++)
        add(i);
    uintptr_t word = mt_code_extra_get(code_at(0));
    assert_non_null(mt_plan_cache_remains(word));
    PyList_SetSlice(codes, 0, 1, NULL);
    // The entry is the next one's: of the code whose plan goes when that of new code comes.
    PyObject *code = py_eval("compile('z = 1', 'new.py', 'exec')");
    PyList_Append(codes, code);
    Py_DECREF(code);
    add(CODES - 1);
    assert_int_equal(mt_code_extra_get(code_at(CODES - 3)), word);
}

static void test_remains_end_when_the_plan_is_made_again(void **state)
{
    begin(0);
    uintptr_t highest = 0;
    for (int i = 0; i < 1000; i++) {
        add(i % 2);
        uintptr_t word = mt_code_extra_get(code_at((i + 1) % 2));
        highest = word > highest && !mt_plan_cache_plan(word) ? word : highest;
    }
    assert_in_range(highest >> 2, 0, CODES + 2);
}

static int start(void **state)
{
    py_start();
    assert_int_equal(mt_buffer_create(1 << 20, &mt_control), MT_OK);
    return mt_plan_cache_init() == MT_OK ? 0 : -1;
}

static int stop(void **state)
{
    Py_CLEAR(codes);
    return 0;
}

/* Last: leaves no room for definitions. */
static void test_plans_that_cannot_be_defined_any_more_are_dropped_too(void **state)
{
    static char name[4096];
    memset(name, 'n', sizeof name);
    const struct mt_text text = {name, sizeof name};
    const struct mt_text none = {"", 0};

    begin(16);
    struct mt_plan *half = add(0);
    assert_int_not_equal(mt_plan_defs_site(half, &half->sites[0]), 0);
    while (mt_defs_site(mt_defs_reserve_sites(1), half->def_id, 1, MT_LOCAL, text, none))
        ;
    while (mt_defs_site(mt_defs_reserve_sites(1), half->def_id, 1, MT_LOCAL, none, none))
        ;
    for (int i = 1; i < CODES - 1; i++) {
        struct mt_plan *plan = add(i);
        assert_int_equal(mt_plan_defs_site(plan, &plan->sites[0]), 0);
        assert_in_range(mt_plan_cache_count(), 1, 16);
    }
    assert_null(plan_at(0));
    assert_int_equal(remains_at(0)->first_id, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans_within_the_bound_all_stay),
        cmocka_unit_test(test_plans_beyond_the_bound_are_dropped),
        cmocka_unit_test(test_what_is_left_of_plans_takes_from_the_room_for_others),
        cmocka_unit_test(test_a_plan_in_use_stays_when_others_are_dropped),
        cmocka_unit_test(
            test_of_more_functions_in_turn_than_there_is_room_for_most_keep_their_plans),
        cmocka_unit_test(test_plans_go_that_nobody_asks_for_any_more),
        cmocka_unit_test(test_plans_that_a_thread_is_in_are_never_dropped),
        cmocka_unit_test(test_no_thread_is_in_a_plan_that_died_with_its_code),
        cmocka_unit_test(test_a_plan_made_again_goes_on_with_its_definitions),
        cmocka_unit_test(test_a_new_buffer_knows_no_old_definitions),
        cmocka_unit_test(test_remains_end_with_their_code),
        cmocka_unit_test(test_remains_end_when_the_plan_is_made_again),
        cmocka_unit_test(test_plans_that_cannot_be_defined_any_more_are_dropped_too),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
