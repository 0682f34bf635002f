/* Values as text. What is expected is what Python's repr() gives, written down. */
#include "units.h"

#include <float.h>
#include <math.h>

#include "value_text.h"

/* An encoding under construction. */
struct code {
    uint8_t bytes[1024];
    uint32_t size;
};

static void add(struct code *code, const void *bytes, size_t size)
{
    memcpy(code->bytes + code->size, bytes, size);
    code->size += (uint32_t)size;
}

static void add_number(struct code *code, uint64_t number, size_t size)
{
    add(code, &number, size);
}

static void add_int(struct code *code, int32_t number)
{
    add_number(code, MT_TAG_INT32, 1);
    add(code, &number, sizeof number);
}

static void add_text(struct code *code, uint8_t tag, uint32_t length, const char *bytes,
                     size_t size)
{
    add_number(code, tag, 1);
    add_number(code, length, 4);
    add_number(code, size, 2);
    add(code, bytes, size);
}

/* A container's head; its items are to follow. */
static void add_container(struct code *code, uint8_t tag, uint64_t length, uint16_t count)
{
    add_number(code, tag, 1);
    add_number(code, length, 8);
    add_number(code, count, 2);
}

static void add_object(struct code *code, uint8_t tag, uint32_t type, uint64_t address)
{
    add_number(code, tag, 1);
    add_number(code, type, 4);
    add_number(code, address, 8);
}

static struct code compound(const struct code *inner)
{
    struct code code = {.size = 0};
    add_number(&code, MT_TAG_COMPOUND, 1);
    add_number(&code, inner->size, 2);
    add(&code, inner->bytes, inner->size);
    return code;
}

static const char *type_name(uint32_t type, void *context)
{
    static const char *const names[] = {"", "Account", "function", "Money"};
    return type < 4 ? names[type] : "";
}

static const char *text_of(const struct code *code)
{
    static char text[4096];
    // On the heap, so that the sanitizer sees a read behind the end.
    uint8_t *bytes = malloc(code->size + 1u);
    memcpy(bytes, code->bytes, code->size);
    bytes = realloc(bytes, code->size ? code->size : 1);
    size_t length = mt_value_text(bytes, code->size, type_name, NULL, text, sizeof text);
    assert_int_equal(length, strlen(text));
    free(bytes);
    return text;
}

static const char *text_of_nested(const struct code *inner)
{
    struct code code = compound(inner);
    return text_of(&code);
}

static void assert_float(double number, const char *expected)
{
    struct code code = {.size = 0};
    add_number(&code, MT_TAG_FLOAT, 1);
    add(&code, &number, sizeof number);
    assert_string_equal(text_of(&code), expected);
}

static void assert_str(const char *bytes, size_t size, uint32_t length, const char *expected)
{
    struct code code = {.size = 0};
    add_text(&code, MT_TAG_STR, length, bytes, size);
    assert_string_equal(text_of(&code), expected);
}

#define ASSERT_STR(bytes, length, expected) assert_str(bytes, sizeof(bytes) - 1, length, expected)

static void assert_bytes(const char *bytes, size_t size, uint32_t length, const char *expected)
{
    struct code code = {.size = 0};
    add_text(&code, MT_TAG_BYTES, length, bytes, size);
    assert_string_equal(text_of(&code), expected);
}

static void test_text_of_what_has_only_a_tag(void **state)
{
    static const struct {
        uint8_t tag;
        const char *text;
    } cases[] = {
        {MT_TAG_ABSENT, ""},   {MT_TAG_NONE, "None"}, {MT_TAG_FALSE, "False"},
        {MT_TAG_TRUE, "True"}, {MT_TAG_UNKNOWN, "?"}, {MT_TAG_REDACTED, "<redacted>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct code code = {.size = 0};
        add_number(&code, cases[i].tag, 1);
        assert_string_equal(text_of(&code), cases[i].text);
    }
}

static void test_text_of_ints(void **state)
{
    struct code code = {.size = 0};
    add_int(&code, INT32_MIN);
    assert_string_equal(text_of(&code), "-2147483648");
    code.size = 0;
    add_number(&code, MT_TAG_INT64, 1);
    add_number(&code, (uint64_t)INT64_MIN, 8);
    assert_string_equal(text_of(&code), "-9223372036854775808");
}

static void add_big(struct code *code, int negative, uint64_t bits, uint64_t leading, uint8_t n)
{
    add_number(code, MT_NESTED_BIGINT, 1);
    add_number(code, (uint64_t)negative, 1);
    add_number(code, bits, 8);
    add_number(code, leading, 8);
    add_number(code, n, 1);
}

static void test_text_of_big_ints_is_exact_where_all_is_stored(void **state)
{
    struct code code = {.size = 0};
    static const uint8_t two_to_100[13] = {[12] = 0x10};
    add_big(&code, 1, 101, (uint64_t)1 << 63, 13);
    add(&code, two_to_100, sizeof two_to_100);
    assert_string_equal(text_of_nested(&code), "-1267650600228229401496703205376");
    // 255 bytes of ones: 2**2040 - 1 has 615 digits.
    uint8_t ones[255];
    memset(ones, 0xff, sizeof ones);
    code.size = 0;
    add_big(&code, 0, 2040, UINT64_MAX, 255);
    add(&code, ones, sizeof ones);
    const char *text = text_of_nested(&code);
    assert_int_equal(strlen(text), 615);
    assert_memory_equal(text, "12623830496605", 14);
    assert_string_equal(text + 615 - 10, "8201547775");
}

static void test_text_of_big_ints_has_leading_digits_otherwise(void **state)
{
    struct code code = {.size = 0};
    add_big(&code, 0, 1001, (uint64_t)1 << 63, 0); // 2**1000
    assert_string_equal(text_of_nested(&code), "107150860718626… (302 digits)");
    code.size = 0;
    add_big(&code, 1, 997, 0xbf21e44003acdd2cu, 0); // -10**300
    assert_string_equal(text_of_nested(&code), "-100000000000000… (301 digits)");
    code.size = 0;
    add_big(&code, 0, 1000004, (uint64_t)1 << 63, 0); // 2**1000003
    assert_string_equal(text_of_nested(&code), "792052498343671… (301031 digits)");
}

static void test_text_of_floats_is_the_shortest_that_reads_back(void **state)
{
    assert_float(0.0, "0.0");
    assert_float(-0.0, "-0.0");
    assert_float(1.0, "1.0");
    assert_float(1.5, "1.5");
    assert_float(0.1, "0.1");
    assert_float(1.0 / 3, "0.3333333333333333");
    assert_float(100.0, "100.0");
    assert_float(0.0001, "0.0001");
    assert_float(0.00001, "1e-05");
    assert_float(2.5e-7, "2.5e-07");
    assert_float(1e15, "1000000000000000.0");
    assert_float(1e16, "1e+16");
    assert_float(1e22, "1e+22");
    assert_float(123456789012345680.0, "1.2345678901234568e+17");
    assert_float(DBL_MAX, "1.7976931348623157e+308");
    assert_float(5e-324, "5e-324");
    assert_float(ldexp(1, -44), "5.684341886080802e-14"); // its nearest 16 digits aren't it
    assert_float(INFINITY, "inf");
    assert_float(-INFINITY, "-inf");
    assert_float(NAN, "nan");
}

static void assert_complex(double real, double imaginary, const char *expected)
{
    struct code code = {.size = 0};
    add_number(&code, MT_NESTED_COMPLEX, 1);
    add(&code, &real, sizeof real);
    add(&code, &imaginary, sizeof imaginary);
    assert_string_equal(text_of_nested(&code), expected);
}

static void test_text_of_complex_numbers(void **state)
{
    assert_complex(1, 2, "(1+2j)");
    assert_complex(0, 1, "1j");
    assert_complex(0, -1.5, "-1.5j");
    assert_complex(-0.0, 2, "(-0+2j)");
    assert_complex(1, -0.0, "(1-0j)");
    assert_complex(NAN, NAN, "(nan+nanj)");
    assert_complex(INFINITY, -INFINITY, "(inf-infj)");
}

static void test_text_of_str_quotes_and_escapes_as_repr(void **state)
{
    ASSERT_STR("", 0, "''");
    ASSERT_STR("text", 4, "'text'");
    ASSERT_STR("it's", 4, "\"it's\"");
    ASSERT_STR("say \"no\"", 8, "'say \"no\"'");
    ASSERT_STR("'\"", 2, "'\\'\"'");
    ASSERT_STR("a\\b\n\r\t", 6, "'a\\\\b\\n\\r\\t'");
    ASSERT_STR("\0\x1b\x7f", 3, "'\\x00\\x1b\\x7f'");
}

static void test_text_of_str_shows_what_is_printable(void **state)
{
    ASSERT_STR("h\xc3\xa9\xe2\x82\xac", 3, "'h\xc3\xa9\xe2\x82\xac'"); // é €
    ASSERT_STR("\xf0\x9f\x98\x80", 1, "'\xf0\x9f\x98\x80'");           // U+1F600
    ASSERT_STR("\xc2\xa0\xc2\xad", 2, "'\\xa0\\xad'");                 // no-break space
    ASSERT_STR("\xe2\x80\xa8\xef\xbb\xbf", 2, "'\\u2028\\ufeff'");
    ASSERT_STR("\xf3\xa0\x80\x81", 1, "'\\U000e0001'");
    ASSERT_STR("\xed\xb2\x80", 1, "'\\udc80'"); // lone surrogate
}

static void test_text_of_cut_str_and_bytes_tells_the_whole_length(void **state)
{
    ASSERT_STR("the beginni", 1000, "'the beginni'… (1000 characters)");
    assert_bytes("\x00"
                 "ab",
                 3, 1000, "b'\\x00ab'… (1000 bytes)");
}

static void test_text_of_bytes(void **state)
{
    assert_bytes("", 0, 0, "b''");
    assert_bytes("a'\"\\\n\xff\x00", 7, 7, "b'a\\'\"\\\\\\n\\xff\\x00'");
    assert_bytes("it's", 4, 4, "b\"it's\"");
    struct code code = {.size = 0};
    add_text(&code, MT_NESTED_BYTEARRAY, 1, "x", 1);
    assert_string_equal(text_of_nested(&code), "bytearray(b'x')");
    code.size = 0;
    add_text(&code, MT_NESTED_BYTEARRAY, 1000, "x", 1);
    assert_string_equal(text_of_nested(&code), "bytearray(b'x'… (1000 bytes))");
}

/* A container of `length` whose first `count` items are 1, 2, 3, … */
static void assert_container(uint8_t tag, uint64_t length, uint16_t count, const char *expected)
{
    struct code code = {.size = 0};
    add_container(&code, tag, length, count);
    for (int32_t i = 1; i <= (tag == MT_NESTED_DICT ? 2 * count : count); i++)
        add_int(&code, i);
    assert_string_equal(text_of_nested(&code), expected);
}

static void test_text_of_containers(void **state)
{
    assert_container(MT_NESTED_LIST, 0, 0, "[]");
    assert_container(MT_NESTED_LIST, 3, 3, "[1, 2, 3]");
    assert_container(MT_NESTED_LIST, 99, 2, "[1, 2, … 97 more]");
    assert_container(MT_NESTED_LIST, 5, 0, "[… 5 more]");
    assert_container(MT_NESTED_TUPLE, 0, 0, "()");
    assert_container(MT_NESTED_TUPLE, 1, 1, "(1,)");
    assert_container(MT_NESTED_TUPLE, 2, 2, "(1, 2)");
    assert_container(MT_NESTED_SET, 0, 0, "set()");
    assert_container(MT_NESTED_SET, 1, 1, "{1}");
    assert_container(MT_NESTED_FROZENSET, 0, 0, "frozenset()");
    assert_container(MT_NESTED_FROZENSET, 1, 1, "frozenset({1})");
    assert_container(MT_NESTED_DEQUE, 1, 1, "deque([1])");
    assert_container(MT_NESTED_DICT, 0, 0, "{}");
    assert_container(MT_NESTED_DICT, 4, 1, "{1: 2, … 3 more}");
}

static void test_text_of_nested_containers(void **state)
{
    struct code code = {.size = 0};
    add_container(&code, MT_NESTED_DICT, 1, 1);
    add_text(&code, MT_TAG_STR, 1, "a", 1);
    add_container(&code, MT_NESTED_LIST, 2, 2);
    add_number(&code, MT_NESTED_ELLIPSIS, 1);
    add_object(&code, MT_TAG_OBJECT, 1, 0x7f12ab);
    assert_string_equal(text_of_nested(&code), "{'a': […, <Account at 0x7f12ab>]}");
}

static void test_text_of_ranges_and_slices(void **state)
{
    struct code code = {.size = 0};
    add_number(&code, MT_NESTED_RANGE, 1);
    add_int(&code, 0);
    add_int(&code, 10);
    add_int(&code, 1);
    assert_string_equal(text_of_nested(&code), "range(0, 10)");
    code.bytes[code.size - 4] = 2;
    assert_string_equal(text_of_nested(&code), "range(0, 10, 2)");
    code.bytes[0] = MT_NESTED_SLICE;
    assert_string_equal(text_of_nested(&code), "slice(0, 10, 2)");
}

static void test_text_of_objects(void **state)
{
    struct code code = {.size = 0};
    add_object(&code, MT_TAG_OBJECT, 1, 0x7f12ab);
    assert_string_equal(text_of(&code), "<Account at 0x7f12ab>");
    code.size = 0;
    add_object(&code, MT_TAG_OBJECT, 9, 0x7f12ab); // its definition was lost
    assert_string_equal(text_of(&code), "<? at 0x7f12ab>");
    code.size = 0;
    add_object(&code, MT_NESTED_NAMED, 2, 0x7f);
    add_number(&code, 8, 2);
    add(&code, "transfer", 8);
    assert_string_equal(text_of_nested(&code), "<function transfer at 0x7f>");
    code.size = 0;
    add_object(&code, MT_NESTED_SUBCLASS, 3, 0x7f);
    add_int(&code, 3);
    assert_string_equal(text_of_nested(&code), "<Money 3 at 0x7f>");
}

static void test_text_is_cut_between_characters(void **state)
{
    struct code code = {.size = 0};
    add_text(&code, MT_TAG_STR, 2, "\xe2\x82\xac\xe2\x82\xac", 6);
    char text[16];
    for (size_t size = 1; size <= 9; size++) {
        memset(text, '#', sizeof text);
        assert_int_equal(mt_value_text(code.bytes, code.size, NULL, NULL, text, size), 8);
        static const size_t kept[] = {0, 0, 1, 1, 1, 4, 4, 4, 7, 8};
        assert_int_equal(strlen(text), kept[size]);
        assert_int_equal(text[size], '#');
    }
}

static void test_text_of_damaged_bytes_says_so(void **state)
{
    struct code code = {.size = 0};
    assert_string_equal(text_of(&code), "<damaged>");
    add_number(&code, 15, 1);
    assert_string_equal(text_of(&code), "<damaged>");
    code.size = 0;
    add_text(&code, MT_TAG_STR, 1, "\xff", 1);
    assert_string_equal(text_of(&code), "<damaged>");
    code.size = 0;
    add_int(&code, 1);
    add_number(&code, 0, 1); // more bytes than the value has
    assert_string_equal(text_of(&code), "<damaged>");
    for (uint32_t size = 1; size < 5; size++) {
        code.size = size;
        assert_string_equal(text_of(&code), "<damaged>");
    }
}

static void test_text_of_endless_nesting_says_damaged(void **state)
{
    struct code code = {.size = 0};
    for (int i = 0; i < 80; i++)
        add_container(&code, MT_NESTED_LIST, 1, 1);
    add_int(&code, 1);
    assert_string_equal(text_of_nested(&code), "<damaged>");
}

static void test_text_survives_any_bytes(void **state)
{
    uint32_t random = 12345;
    for (int round = 0; round < 20000; round++) {
        struct code code = {.size = 0};
        uint32_t size = round % 40;
        for (uint32_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            // Mostly small numbers: tags, and sizes that fit.
            add_number(&code, random >> 24 < 200 ? random >> 16 & 63 : random >> 8, 1);
        }
        if (size > 3 && round % 2) {
            code.bytes[0] = MT_TAG_COMPOUND;
            code.bytes[1] = (uint8_t)(size - 3);
            code.bytes[2] = 0;
            code.bytes[3] = (uint8_t)(MT_NESTED_BIGINT + random % 14);
        }
        text_of(&code);
    }
}

static void test_encoded_size_is_what_the_tag_announces(void **state)
{
    struct code code = {.size = 0};
    add_text(&code, MT_TAG_STR, 3, "abc", 3);
    assert_int_equal(mt_value_encoded_size(MT_TAG_STR, code.bytes + 1, code.size - 1), 9);
    assert_int_equal(mt_value_encoded_size(MT_TAG_STR, code.bytes + 1, code.size - 2), -1);
    assert_int_equal(mt_value_encoded_size(MT_TAG_INT32, code.bytes + 1, 100), 4);
    assert_int_equal(mt_value_encoded_size(MT_TAG_NONE, code.bytes, 0), 0);
    assert_int_equal(mt_value_encoded_size(13, code.bytes, 100), -1);
}

static void test_types_have_names(void **state)
{
    struct code code = {.size = 0};
    add_number(&code, MT_TAG_ABSENT, 1);
    assert_string_equal(mt_value_type(code.bytes, code.size, type_name, NULL), "");
    code.size = 0;
    add_int(&code, 1);
    assert_string_equal(mt_value_type(code.bytes, code.size, type_name, NULL), "int");
    code.size = 0;
    add_object(&code, MT_TAG_OBJECT, 1, 2);
    assert_string_equal(mt_value_type(code.bytes, code.size, type_name, NULL), "Account");
    struct code inner = {.size = 0};
    add_container(&inner, MT_NESTED_LIST, 0, 0);
    code = compound(&inner);
    assert_string_equal(mt_value_type(code.bytes, code.size, type_name, NULL), "list");
    assert_string_equal(mt_value_type(code.bytes, 3, type_name, NULL), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_of_what_has_only_a_tag),
        cmocka_unit_test(test_text_of_ints),
        cmocka_unit_test(test_text_of_big_ints_is_exact_where_all_is_stored),
        cmocka_unit_test(test_text_of_big_ints_has_leading_digits_otherwise),
        cmocka_unit_test(test_text_of_floats_is_the_shortest_that_reads_back),
        cmocka_unit_test(test_text_of_complex_numbers),
        cmocka_unit_test(test_text_of_str_quotes_and_escapes_as_repr),
        cmocka_unit_test(test_text_of_str_shows_what_is_printable),
        cmocka_unit_test(test_text_of_cut_str_and_bytes_tells_the_whole_length),
        cmocka_unit_test(test_text_of_bytes),
        cmocka_unit_test(test_text_of_containers),
        cmocka_unit_test(test_text_of_nested_containers),
        cmocka_unit_test(test_text_of_ranges_and_slices),
        cmocka_unit_test(test_text_of_objects),
        cmocka_unit_test(test_text_is_cut_between_characters),
        cmocka_unit_test(test_text_of_damaged_bytes_says_so),
        cmocka_unit_test(test_text_of_endless_nesting_says_damaged),
        cmocka_unit_test(test_text_survives_any_bytes),
        cmocka_unit_test(test_encoded_size_is_what_the_tag_announces),
        cmocka_unit_test(test_types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
