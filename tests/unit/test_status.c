/* Result codes and detail texts. */
#include "units.h"
#include "status.h"

static void test_status_text_goes_to_the_given_buffer(void **state)
{
    char detail[MT_DETAIL_BYTES] = "";
    mt_status_init(detail);
    assert_int_equal(mt_status_set(MT_REFUSED, "thread %d holds it", 7), MT_REFUSED);
    assert_string_equal(detail, "thread 7 holds it");
    assert_ptr_equal(mt_status_detail(), detail);
    mt_status_init(NULL);
}

static void test_status_text_is_kept_before_there_is_a_buffer(void **state)
{
    mt_status_init(NULL);
    mt_status_set(MT_NO_MEMORY, "early");
    assert_string_equal(mt_status_detail(), "early");
}

static void test_status_cuts_a_long_text(void **state)
{
    char detail[MT_DETAIL_BYTES + 1], longer[2 * MT_DETAIL_BYTES];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    detail[MT_DETAIL_BYTES] = '#';
    mt_status_init(detail);
    mt_status_set(MT_REFUSED, "%s", longer);
    assert_int_equal(strlen(detail), MT_DETAIL_BYTES - 1);
    assert_int_equal(detail[MT_DETAIL_BYTES], '#');
    mt_status_init(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_text_goes_to_the_given_buffer),
        cmocka_unit_test(test_status_text_is_kept_before_there_is_a_buffer),
        cmocka_unit_test(test_status_cuts_a_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
