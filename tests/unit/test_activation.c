/* The table of activation numbers, against a list that is searched from end to end. */
#include "units.h"

#include "activation.h"

enum { FRAMES = 3000 };

static int tear_down(void **state)
{
    mt_activation_reset();
    return 0;
}

/* Frames as an interpreter places them: aligned, near each other. Never dereferenced. */
static const void *frame(uint32_t number)
{
    return (const void *)(uintptr_t)(0x7f5000000000 + (uintptr_t)number * 104);
}

static uint32_t random_below(uint32_t bound)
{
    static uint64_t seed = 42;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % bound;
}

static void test_activations_count_from_one_in_each_recording(void **state)
{
    for (int recording = 0; recording < 2; recording++) {
        assert_int_equal(mt_activation_begin(frame(1)), 1);
        assert_int_equal(mt_activation_begin(frame(2)), 2);
        assert_int_equal(mt_activation_next(), 3);
        assert_int_equal(mt_activation_begin(frame(3)), 4);
        mt_activation_reset();
        assert_int_equal(mt_activation_find(frame(1)), 0);
    }
}

static void test_activation_is_known_from_its_first_event_to_its_return(void **state)
{
    assert_int_equal(mt_activation_find(frame(1)), 0);
    assert_false(mt_activation_any());
    mt_activation_end(frame(1));
    uint32_t number = mt_activation_begin(frame(1));
    assert_true(mt_activation_any());
    assert_int_equal(mt_activation_find(frame(1)), number);
    mt_activation_end(frame(1));
    assert_int_equal(mt_activation_find(frame(1)), 0);
    assert_false(mt_activation_any());
}

static void test_activation_at_an_address_used_again_has_a_new_number(void **state)
{
    uint32_t first = mt_activation_begin(frame(1));
    uint32_t second = mt_activation_begin(frame(1));
    assert_int_not_equal(first, second);
    assert_int_equal(mt_activation_find(frame(1)), second);
    mt_activation_end(frame(1));
    assert_false(mt_activation_any());
}

/* Begin and end calls at random around `live` of them, and compare all of the table each time
 * that many have changed. */
static void assert_agrees(uint32_t live)
{
    static uint32_t numbers[FRAMES]; // 0: not live
    uint32_t count = 0;
    memset(numbers, 0, sizeof numbers);
    mt_activation_reset();
    for (uint32_t step = 0; step < 100000; step++) {
        uint32_t i = random_below(FRAMES);
        if (numbers[i]) {
            mt_activation_end(frame(i));
            numbers[i] = 0;
            count--;
        } else if (count < live) {
            numbers[i] = mt_activation_begin(frame(i));
            count++;
        }
        if (step % 500)
            continue;
        assert_int_equal(mt_activation_any(), count != 0);
        for (uint32_t k = 0; k < FRAMES; k++)
            assert_int_equal(mt_activation_find(frame(k)), numbers[k]);
    }
}

/* Half full, as full as it gets, its clusters are long, and some go on from the last slot to
 * the first: an end in one of those moves the right ones up. */
static void test_activations_that_end_in_any_order_leave_the_others_found(void **state)
{
    assert_agrees(500);
}

static void test_activations_stay_found_while_the_table_grows(void **state)
{
    assert_agrees(FRAMES);
}

static void test_activations_beyond_the_bound_are_forgotten_one_by_one_and_counted(void **state)
{
    enum { BEYOND = 100, ALL = MT_ACTIVATIONS_MAX + BEYOND };
    struct mt_control *control = open_buffer(MT_BUFFER_BYTES_MIN);
    for (uint32_t i = 0; i < ALL; i++) {
        assert_int_equal(mt_activation_begin(frame(i)), i + 1);
        assert_int_equal(mt_activation_find(frame(i)), i + 1);
    }
    assert_int_equal(control->lost_activations, BEYOND);
    uint32_t known = 0;
    for (uint32_t i = 0; i < ALL; i++) {
        uint32_t number = mt_activation_find(frame(i));
        assert_true(number == 0 || number == i + 1);
        known += number != 0;
        mt_activation_end(frame(i));
    }
    assert_int_equal(known, MT_ACTIVATIONS_MAX);
    assert_false(mt_activation_any());
    mt_buffer_destroy(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_activations_count_from_one_in_each_recording, tear_down),
        cmocka_unit_test_teardown(test_activation_is_known_from_its_first_event_to_its_return,
                                  tear_down),
        cmocka_unit_test_teardown(test_activation_at_an_address_used_again_has_a_new_number,
                                  tear_down),
        cmocka_unit_test_teardown(test_activations_that_end_in_any_order_leave_the_others_found,
                                  tear_down),
        cmocka_unit_test_teardown(test_activations_stay_found_while_the_table_grows, tear_down),
        cmocka_unit_test_teardown(
            test_activations_beyond_the_bound_are_forgotten_one_by_one_and_counted, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
