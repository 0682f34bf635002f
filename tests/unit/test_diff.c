/* Did a container's contents change between two snapshots? */
#include "units.h"
#include "diff.h"

static struct mt_snapshot snapshot(uint32_t count, uint64_t length)
{
    struct mt_snapshot result = {
        .container = 0x1000, .length = length, .count = count, .whole = count == length};
    for (uint32_t i = 0; i < count; i++)
        result.items[i] = 100 + i;
    return result;
}

static void test_diff_same_items_of_a_whole_container_are_unchanged(void **state)
{
    struct mt_snapshot before = snapshot(3, 3), after = snapshot(3, 3);
    assert_int_equal(mt_diff(&before, &after), MT_UNCHANGED);
}

static void test_diff_sees_one_item_that_differs(void **state)
{
    struct mt_snapshot before = snapshot(64, 64), after = snapshot(64, 64);
    after.items[63]++;
    assert_int_equal(mt_diff(&before, &after), MT_CHANGED);
}

static void test_diff_sees_a_length_that_differs_behind_the_bound(void **state)
{
    struct mt_snapshot before = snapshot(64, 1000), after = snapshot(64, 1001);
    assert_int_equal(mt_diff(&before, &after), MT_CHANGED);
}

static void test_diff_is_undecided_behind_the_bound(void **state)
{
    struct mt_snapshot before = snapshot(64, 1000), after = snapshot(64, 1000);
    assert_int_equal(mt_diff(&before, &after), MT_UNDECIDED);
}

static void test_diff_trusts_a_version_that_stayed(void **state)
{
    struct mt_snapshot before = snapshot(64, 1000), after = snapshot(64, 1000);
    before.version = after.version = 7;
    assert_int_equal(mt_diff(&before, &after), MT_UNCHANGED);
}

static void test_diff_of_another_version_is_changed_behind_the_bound(void **state)
{
    struct mt_snapshot before = snapshot(64, 1000), after = snapshot(64, 1000);
    before.version = 7;
    after.version = 8;
    assert_int_equal(mt_diff(&before, &after), MT_CHANGED);
}

static void test_diff_another_version_of_whole_equal_contents_is_unchanged(void **state)
{
    struct mt_snapshot before = snapshot(3, 3), after = snapshot(3, 3);
    before.version = 7;
    after.version = 8;
    assert_int_equal(mt_diff(&before, &after), MT_UNCHANGED);
}

static void test_diff_of_no_snapshot_is_undecided(void **state)
{
    struct mt_snapshot none = {0};
    assert_int_equal(mt_diff(&none, &none), MT_UNDECIDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diff_same_items_of_a_whole_container_are_unchanged),
        cmocka_unit_test(test_diff_sees_one_item_that_differs),
        cmocka_unit_test(test_diff_sees_a_length_that_differs_behind_the_bound),
        cmocka_unit_test(test_diff_is_undecided_behind_the_bound),
        cmocka_unit_test(test_diff_trusts_a_version_that_stayed),
        cmocka_unit_test(test_diff_of_another_version_is_changed_behind_the_bound),
        cmocka_unit_test(test_diff_another_version_of_whole_equal_contents_is_unchanged),
        cmocka_unit_test(test_diff_of_no_snapshot_is_undecided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
