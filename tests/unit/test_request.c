/* Requests: every key, what malformed ones are refused with, and their bounds. */
#include "units.h"

#include "request.h"
#include "status.h"

static void parse(const char *text, struct mt_request *ret)
{
    if (mt_request_parse(text, ret) != MT_OK)
        fail_msg("%s: %s", text, mt_status_detail());
}

static void assert_refused(const char *text, const char *detail)
{
    struct mt_request request;
    mt_status_set(MT_OK, "%s", "");
    int status = mt_request_parse(text, &request);
    if (status != MT_BAD_REQUEST)
        fail_msg("%s: status %d", text, status);
    assert_string_equal(mt_status_detail(), detail);
    assert_null(request.memory);
}

/* The line alone, and behind ones that are well, are refused in the same words. */
static void assert_line_refused(const char *line)
{
    char text[512], detail[512];
    snprintf(detail, sizeof detail, "line of the request not understood: %s", line);
    assert_refused(line, detail);
    snprintf(text, sizeof text, "verb=install\nskip=a%%25\nbreak=1\n%s\nall=1\n", line);
    assert_refused(text, detail);
}

/* The texts of a list, one behind the other: "a|b|". Static. */
static const char *list_of(const char *list)
{
    static char text[256];
    size_t size = 0;
    for (; *list; list += strlen(list) + 1)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s|", list);
    text[size] = '\0';
    return text;
}

static void test_request_that_says_nothing_has_the_defaults(void **state)
{
    static const char *const texts[] = {"", "\n", "verb=install", "\nverb=install\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct mt_request request;
        parse(texts[i], &request);
        assert_int_equal(request.verb, MT_VERB_INSTALL);
        assert_false(request.all);
        assert_true(request.record);
        assert_false(request.rebound);
        assert_true(request.mutations);
        assert_false(request.follow_fork);
        assert_int_equal(request.value_size, 64);
        assert_string_equal(list_of(request.only), "");
        assert_string_equal(list_of(request.skip), "");
        assert_string_equal(list_of(request.redact), "");
        assert_int_equal(request.breakpoint_count, 0);
        mt_request_deinit(&request);
    }
}

static void test_request_has_a_verb(void **state)
{
    struct mt_request request;
    parse("verb=change\n", &request);
    assert_int_equal(request.verb, MT_VERB_CHANGE);
    mt_request_deinit(&request);
    parse("verb=remove\n", &request);
    assert_int_equal(request.verb, MT_VERB_REMOVE);
    mt_request_deinit(&request);
    assert_line_refused("verb=");
    assert_line_refused("verb=instal");
    assert_line_refused("verb=installs");
}

static void test_request_switches_each_option(void **state)
{
    struct mt_request request;
    parse("all=1\nrecord=0\nrebound=1\nmutations=0\nfollow-fork=1\nvalue-size=512\n"
          "plan-bytes=0\n",
          &request);
    assert_int_equal(request.plan_bytes, 0);
    assert_true(request.all);
    assert_false(request.record);
    assert_true(request.rebound);
    assert_false(request.mutations);
    assert_true(request.follow_fork);
    assert_int_equal(request.value_size, 512);
    mt_request_deinit(&request);
    parse("all=0\nrecord=1\nrebound=0\nmutations=1\nfollow-fork=0\nvalue-size=16\n", &request);
    assert_false(request.all);
    assert_true(request.record);
    assert_false(request.rebound);
    assert_true(request.mutations);
    assert_false(request.follow_fork);
    assert_int_equal(request.value_size, 16);
    mt_request_deinit(&request);
}

static void test_request_takes_numbers_only_where_it_wants_them(void **state)
{
    static const char *const keys[] = {"all", "record", "rebound", "mutations", "follow-fork"};
    static const char *const values[] = {"=",    "=2",          "=-1",
                                         "=yes", "=1x",         "= 1",
                                         "=+1",  "=4294967297", "=99999999999999999999999999"};
    char line[64];
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            snprintf(line, sizeof line, "%s%s", keys[k], values[v]);
            assert_line_refused(line);
        }
    }
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        if (strcmp(values[v], "=2") == 0)
            continue;
        snprintf(line, sizeof line, "break%s", values[v]);
        assert_line_refused(line);
    }
}

static void test_request_refuses_value_sizes_that_no_value_fits(void **state)
{
    static const char *const lines[] = {"value-size=15", "value-size=513",
                                        "value-size=", "value-size=-64", "value-size=64k"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_refused(lines[i], "value-size is from 16 to 512 bytes");
}

static void test_request_gathers_lists_from_wherever_they_stand(void **state)
{
    struct mt_request request;
    parse("skip-var=i\nonly=a*\nskip=x\nskip-var=*.count\nverb=change\nonly=b[0-9]\nredact=*pin*\n"
          "all=1\nonly=c\nskip=\n",
          &request);
    assert_string_equal(list_of(request.only), "a*|b[0-9]|c|");
    assert_string_equal(list_of(request.skip), "x|");
    assert_string_equal(list_of(request.skip_var), "i|*.count|");
    assert_string_equal(list_of(request.redact), "*pin*|");
    assert_true(request.all);
    mt_request_deinit(&request);
}

static void test_request_undoes_what_was_escaped(void **state)
{
    struct mt_request request;
    parse("only=100%25\nonly=a%0Ab\nonly=%c3%A9=%3d\nbreak=1\nbreak-if=new %25 2 == 0%0A\n",
          &request);
    assert_string_equal(list_of(request.only), "100%|a\nb|\xc3\xa9==|");
    assert_string_equal(request.breakpoints[0].condition, "new % 2 == 0\n");
    mt_request_deinit(&request);
    static const char *const bad[] = {"only=%",  "only=a%2", "only=%2g", "only=%G2",
                                      "skip=%%", "redact=%", "only=%00", "only=a%0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_line_refused(bad[i]);
    // An escape does not reach into the next line.
    assert_refused("only=%\n25\n", "line of the request not understood: only=%");
}

static void test_request_has_breakpoints_with_what_follows_each(void **state)
{
    struct mt_request request;
    parse("break=7\nbreak-file=*/bank.py\nbreak-function=transfer\nbreak-target=balance\n"
          "break-if=new < 0\n"
          "break=4294967295\nbreak-module=bank\nbreak-target=flags['a=b']\n"
          "break=8\nbreak-target=\n",
          &request);
    assert_int_equal(request.breakpoint_count, 3);
    const struct mt_breakpoint *first = &request.breakpoints[0];
    assert_int_equal(first->number, 7);
    assert_string_equal(first->file, "*/bank.py");
    assert_string_equal(first->module, "");
    assert_string_equal(first->function, "transfer");
    assert_string_equal(first->target, "balance");
    assert_string_equal(first->condition, "new < 0");
    const struct mt_breakpoint *second = &request.breakpoints[1];
    assert_int_equal(second->number, UINT32_MAX);
    assert_string_equal(second->file, "");
    assert_string_equal(second->module, "bank");
    assert_string_equal(second->function, "");
    assert_string_equal(second->target, "flags['a=b']");
    assert_string_equal(second->condition, "");
    assert_string_equal(request.breakpoints[2].target, "");
    mt_request_deinit(&request);
    static const char *const early[] = {"break-file=a", "break-module=a", "break-function=a",
                                        "break-target=a", "break-if=a"};
    char detail[128];
    for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
        snprintf(detail, sizeof detail, "line of the request not understood: %s", early[i]);
        assert_refused(early[i], detail);
    }
    assert_line_refused("break-target=%0");
}

static void test_request_refuses_what_it_does_not_know(void **state)
{
    static const char *const lines[] = {
        "=",      "=1",       "al=1",          "alle=1", "All=1",     " all=1",
        "all =1", "break-=a", "break-files=a", "\r=",    "\xff\xfe=1"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_line_refused(lines[i]);
}

static void test_request_refuses_a_line_without_a_value(void **state)
{
    static const char *const lines[] = {"verb", "all",     "break", "break-target",
                                        "only", "nothing", "value"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_line_refused(lines[i]);
}

static void test_request_as_long_as_the_mailbox_is_refused(void **state)
{
    static char text[MT_REQUEST_BYTES + 1];
    struct mt_request request;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "only=", 5);
    assert_refused(text, "the request is longer than 32767 bytes: fewer globs or breakpoints");
    text[MT_REQUEST_BYTES - 1] = '\0';
    parse(text, &request);
    assert_int_equal(strlen(request.only), MT_REQUEST_BYTES - 1 - 5);
    mt_request_deinit(&request);
}

/* As many as fit: each of the shortest lines. */
static void test_request_has_room_for_all_that_fits_into_the_mailbox(void **state)
{
    static char text[MT_REQUEST_BYTES];
    struct mt_request request;
    size_t count = (sizeof text - 1) / 8;
    for (size_t i = 0; i < count; i++)
        snprintf(text + 8 * i, sizeof text - 8 * i, "break=1\n");
    parse(text, &request);
    assert_int_equal(request.breakpoint_count, count);
    assert_string_equal(request.breakpoints[count - 1].target, "");
    mt_request_deinit(&request);

    memset(text, 0, sizeof text);
    count = (sizeof text - 1) / 7;
    for (size_t i = 0; i < count; i++)
        snprintf(text + 7 * i, sizeof text - 7 * i, "only=a\n");
    parse(text, &request);
    size_t found = 0;
    for (const char *glob = request.only; *glob; glob += strlen(glob) + 1)
        found++;
    assert_int_equal(found, count);
    mt_request_deinit(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_that_says_nothing_has_the_defaults),
        cmocka_unit_test(test_request_has_a_verb),
        cmocka_unit_test(test_request_switches_each_option),
        cmocka_unit_test(test_request_takes_numbers_only_where_it_wants_them),
        cmocka_unit_test(test_request_refuses_value_sizes_that_no_value_fits),
        cmocka_unit_test(test_request_gathers_lists_from_wherever_they_stand),
        cmocka_unit_test(test_request_undoes_what_was_escaped),
        cmocka_unit_test(test_request_has_breakpoints_with_what_follows_each),
        cmocka_unit_test(test_request_refuses_what_it_does_not_know),
        cmocka_unit_test(test_request_refuses_a_line_without_a_value),
        cmocka_unit_test(test_request_as_long_as_the_mailbox_is_refused),
        cmocka_unit_test(test_request_has_room_for_all_that_fits_into_the_mailbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
