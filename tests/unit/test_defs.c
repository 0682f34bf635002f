/* Definitions: ids, what is cut, what is lost, and that they outlive a ring that wraps. */
#include "units.h"

#include "catalog.h"

struct fixture {
    struct mt_control *control;
    struct mt_source source;
    struct mt_catalog catalog;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    char error[MT_DETAIL_BYTES];
    fixture = (struct fixture){.control = open_buffer(MT_BUFFER_BYTES_MIN)};
    assert_int_equal(mt_source_init_buffer(&fixture.source, fixture.control,
                                           fixture.control->buffer_bytes, true, error),
                     MT_OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    mt_catalog_deinit(&fixture->catalog);
    mt_source_deinit(&fixture->source);
    mt_buffer_destroy(fixture->control);
    return 0;
}

static struct mt_catalog *refresh(struct fixture *fixture)
{
    assert_int_equal(mt_catalog_refresh(&fixture->catalog, &fixture->source), MT_OK);
    assert_int_equal(fixture->catalog.damaged, 0);
    return &fixture->catalog;
}

static void test_defs_count_ids_from_one_within_their_kind(void **state)
{
    assert_int_equal(mt_defs_code(TEXT("bank.py"), TEXT("transfer"), 10), 1);
    assert_int_equal(
        mt_defs_site(mt_defs_reserve_sites(1), 1, 12, MT_LOCAL, TEXT("balance"), TEXT("")), 1);
    assert_int_equal(
        mt_defs_site(mt_defs_reserve_sites(1), 1, 13, MT_ITEM, TEXT("flags"), TEXT("point")), 2);
    assert_int_equal(mt_defs_code(TEXT("bank.py"), TEXT("Account.close"), 20), 2);
    assert_int_equal(mt_defs_type(TEXT("Account")), 1);
    struct mt_catalog *catalog = refresh(*state);
    assert_string_equal(mt_catalog_code(catalog, 1)->qualname, "transfer");
    assert_int_equal(mt_catalog_code(catalog, 2)->first_line, 20);
    const struct mt_site_def *site = mt_catalog_site(catalog, 2);
    assert_string_equal(site->name, "flags");
    assert_string_equal(site->key, "point");
    assert_int_equal(site->code, 1);
    assert_int_equal(site->line, 13);
    assert_int_equal(site->scope, MT_ITEM);
    assert_string_equal(mt_catalog_type(catalog, 1), "Account");
}

static void test_defs_keep_notes_in_order(void **state)
{
    assert_int_equal(mt_defs_note(81723, 5, TEXT("i in f: 1 change in 8 is recorded")), 1);
    assert_int_equal(mt_defs_note(UINT64_C(1) << 40, 6, TEXT("later")), 2);
    const struct mt_note_def *notes = refresh(*state)->notes.entries;
    assert_int_equal(notes[1].seq, 81723);
    assert_int_equal(notes[1].time_ns, 5);
    assert_string_equal(notes[1].text, "i in f: 1 change in 8 is recorded");
    assert_true(notes[2].seq == UINT64_C(1) << 40);
}

static void test_defs_that_come_later_are_seen_at_the_next_refresh(void **state)
{
    mt_defs_type(TEXT("First"));
    const char *first = mt_catalog_type(refresh(*state), 1);
    assert_string_equal(mt_catalog_type(refresh(*state), 2), "");
    mt_defs_type(TEXT("Second"));
    assert_string_equal(mt_catalog_type(refresh(*state), 2), "Second");
    assert_string_equal(first, "First");
    // Nothing new: nothing is copied again.
    const struct mt_text_chunk *chunks = refresh(*state)->chunks;
    assert_ptr_equal(refresh(*state)->chunks, chunks);
}

static void test_defs_write_a_nul_as_its_symbol(void **state)
{
    mt_defs_type(TEXT("a\0b"));
    assert_string_equal(mt_catalog_type(refresh(*state), 1), "a\xe2\x90\x80"
                                                             "b");
}

static void test_defs_cut_a_long_text_between_characters(void **state)
{
    static char text[6000];
    memset(text, 'x', sizeof text);
    text[4095] = '\xc3', text[4096] = '\xa9'; // é across the cut
    mt_defs_type((struct mt_text){text, sizeof text});
    assert_int_equal(strlen(mt_catalog_type(refresh(*state), 1)), 4095);
}

static void test_defs_survive_a_ring_that_wraps(void **state)
{
    struct fixture *fixture = *state;
    mt_defs_code(TEXT("bank.py"), TEXT("transfer"), 10);
    struct mt_ring ring;
    mt_ring_init(&ring, 1);
    for (int32_t i = 0; i < 100000; i++)
        append_int(&ring, 1, i);
    assert_true(fixture->control->lost_overwritten > 0);
    assert_string_equal(mt_catalog_code(refresh(fixture), 1)->qualname, "transfer");
}

static void test_defs_without_room_are_counted_and_have_no_id(void **state)
{
    struct fixture *fixture = *state;
    static char text[4096];
    memset(text, 'x', sizeof text);
    uint32_t defined = 0;
    while (mt_defs_type((struct mt_text){text, sizeof text}) != 0)
        defined++;
    // Half of the packets, each of which takes fifteen.
    assert_int_equal(defined, fixture->control->packet_count / 2 * 15);
    assert_int_equal(fixture->control->lost_definitions, 1);
    assert_int_equal(mt_defs_code(TEXT(""), (struct mt_text){text, sizeof text}, 1), 0);
    assert_int_equal(fixture->control->lost_definitions, 2);
    assert_int_equal(strlen(mt_catalog_type(refresh(fixture), defined)), 4096);
    assert_string_equal(mt_catalog_code(&fixture->catalog, 1)->qualname, "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defs_count_ids_from_one_within_their_kind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_defs_keep_notes_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defs_that_come_later_are_seen_at_the_next_refresh,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defs_write_a_nul_as_its_symbol, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defs_cut_a_long_text_between_characters, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_defs_survive_a_ring_that_wraps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defs_without_room_are_counted_and_have_no_id, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
