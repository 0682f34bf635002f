/* value.c in an embedded interpreter: what is captured, as the reader's text; what stays
 * untouched; comparison, type ids, redaction. */
#define _GNU_SOURCE 1 /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "py_support.h"

#include "defs.h"
#include "ring.h"
#include "value.h"
#include "value_text.h"

static void configure(uint32_t size, const char *redact)
{
    mt_value_configure(&(struct mt_value_options){.size = size, .redact = redact});
}

/* The name that was defined for a type id, read back from the buffer: all definitions here
 * are of types. */
static const char *defined_type(uint32_t type, void *context)
{
    for (uint32_t i = 0; i < mt_control->packet_count; i++) {
        const char *packet = (const char *)mt_control + mt_control->packets_offset +
                             (size_t)i * MT_PACKET_BYTES;
        const struct mt_packet_header *header = (const void *)packet;
        if (header->magic != MT_CTF_MAGIC || header->stream_id != MT_STREAM_DEFS)
            continue;
        const char *end = packet + header->content_bits / 8;
        for (const char *at = packet + sizeof *header; at < end; at += 5 + strlen(at + 5) + 1) {
            assert_int_equal(*at, MT_DEF_TYPE);
            if (memcmp(at + 1, &type, 4) == 0)
                return at + 5;
        }
    }
    return "";
}

/* Also checks that the encoding is exactly as long as it says. */
static const char *text_of_value(const struct mt_value *value)
{
    static char text[8192];
    uint8_t bytes[sizeof value->bytes + 1];
    bytes[0] = value->tag;
    memcpy(bytes + 1, value->bytes, value->size);
    assert_int_equal(mt_value_encoded_size(value->tag, value->bytes, value->size), value->size);
    mt_value_text(bytes, value->size + 1u, defined_type, NULL, text, sizeof text);
    return text;
}

/* Captures under watch. The value is freed before the text is used: nothing may refer to it. */
static const char *text_of(const char *source)
{
    struct mt_value value;
    PyObject *object = py_eval(source);
    struct py_watch watch = py_watch_begin(object);
    mt_value_capture(object, &value);
    py_watch_end(&watch);
    Py_DECREF(object);
    return text_of_value(&value);
}

static void assert_text(const char *source, const char *expected)
{
    const char *text = text_of(source);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s, expected %s", source, text, expected);
}

/* "<{name} at 0x…>" of an object that lives on as global `name`. */
static void assert_object_text(const char *name, const char *format)
{
    char expected[512];
    PyObject *object = PyDict_GetItemString(py_globals, name);
    assert_non_null(object);
    snprintf(expected, sizeof expected, format, (void *)object);
    assert_text(name, expected);
}

/* ---- what is captured ------------------------------------------------------------------- */

static void assert_repr(const char *source)
{
    char expected[8192];
    PyObject *object = py_eval(source), *repr = PyObject_Repr(object);
    snprintf(expected, sizeof expected, "%s", PyUnicode_AsUTF8(repr));
    Py_DECREF(repr);
    Py_DECREF(object);
    assert_text(source, expected);
}

static void test_value_shows_scalars_as_repr_does(void **state)
{
    static const char *const sources[] = {
        "None",
        "True",
        "False",
        "0",
        "1",
        "-1",
        "30",
        "255",
        "256",
        "-6",
        "2**29",
        "2**30 - 1",
        "2**30",
        "-2**30",
        "2**31 - 1",
        "2**31",
        "-2**31",
        "-2**31 - 1",
        "2**60",
        "2**62",
        "2**63 - 1",
        "-2**63",
        "0.0",
        "-0.0",
        "1.5",
        "1e16",
        "1e300",
        "float('inf')",
        "float('nan')",
        "0.1",
        "1+2j",
        "-0.0j",
        "''",
        "'text'",
        "'it\\'s'",
        "b''",
        "b'a\\x00\\xff'",
        "'\\x00'",
        "'\\xe9\\u20ac\\U0001f600'",
        "bytearray(b'xy')",
        "bytearray()",
        "2**63",
        "-2**63 - 1",
        "2**64 - 1",
        "2**64",
        "-10**30",
        "10**100",
        "2**150 + 1",
        "range(3)",
        "range(1, 10, -2)",
        "slice(1, None, 2)",
        "[]",
        "()",
        "{}",
        "set()",
        "frozenset()",
        "[1, 'a', None]",
        "(1,)",
        "(1, (2, [3]))",
        "{'a': 1, 'b': [2]}",
        "{5}",
        "frozenset({'x'})",
        "collections.deque([1, 2])",
        "collections.deque()",
        "[1.5, b'x', 1j]",
        "{1: 2, None: 3.5, (1, 2): 4}",
        "[2**100]",
        "[[[]]]",
        "[range(2)]",
    };
    configure(128, NULL);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        assert_repr(sources[i]);
}

static void test_value_of_no_object_is_absent(void **state)
{
    struct mt_value value;
    mt_value_capture(NULL, &value);
    assert_int_equal(value.tag, MT_TAG_ABSENT);
    assert_int_equal(value.size, 0);
}

static void test_value_keeps_length_and_beginning_of_a_long_text(void **state)
{
    configure(16, NULL);
    assert_text("'abcdefghijklmnop'", "'abcdefghijklmnop'");
    assert_text("'abcdefghijklmnopq'", "'abcdefghijklmnop'… (17 characters)");
    assert_text("b'x' * 1000", "b'xxxxxxxxxxxxxxxx'… (1000 bytes)");
    /* A character that doesn't fit is left out whole. */
    assert_text("'\\u20ac' * 6", "'€€€€€'… (6 characters)");
    assert_text("'abcdefghijklm\\U0001f600'", "'abcdefghijklm'… (14 characters)");
    configure(512, NULL);
    struct mt_value value;
    PyObject *object = py_eval("'x' * 10_000_000");
    mt_value_capture(object, &value);
    assert_int_equal(value.size, 6 + 512);
    Py_DECREF(object);
}

static void test_value_keeps_a_lone_surrogate(void **state)
{
    struct mt_value value;
    PyObject *object = py_eval("'\\ud800x'");
    mt_value_capture(object, &value);
    assert_int_equal(value.tag, MT_TAG_STR);
    assert_memory_equal(value.bytes, "\2\0\0\0\4\0\xed\xa0\x80x", 10);
    Py_DECREF(object);
}

static void test_value_counts_the_items_that_have_no_room(void **state)
{
    configure(64, NULL);
    assert_text("list(range(1000))", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 990 more]");
    assert_text("tuple(range(11))", "(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 1 more)");
    assert_text("{i: i for i in range(1000)}", "{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, … 995 more}");
    assert_text("collections.deque(range(1000), 900)",
                "deque([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, … 890 more])");
}

static void test_value_of_a_container_in_itself_ends(void **state)
{
    configure(512, NULL);
    py_exec("xs = [1]; xs.append(xs)\n"
            "d = {}; d['d'] = d\n"
            "deep = []\n"
            "for _ in range(100000): deep = [deep]\n");
    assert_text("xs", "[1, …]");
    assert_text("d", "{'d': …}");
    assert_text("deep", "[[[[[[[[…]]]]]]]]");
    py_exec("while deep: deep = deep.pop()");
}

static void test_value_of_big_int_is_whole_or_its_beginning(void **state)
{
    configure(64, NULL);
    assert_repr("2**(8 * 44)");
    assert_repr("-(10**100)");
    const char *text = text_of("-(10**300)");
    assert_memory_equal(text, "-1000000000000", 14);
    assert_non_null(strstr(text, "(301 digits)"));
    assert_non_null(strstr(text_of("7 ** 100000"), "(84510 digits)"));
}

static void test_value_names_functions_classes_and_modules(void **state)
{
    configure(64, NULL);
    py_exec("class Account:\n"
            "    def deposit(self): pass\n"
            "deposit = Account.deposit\n"
            "bound = Account().deposit\n"
            "class K\xc3\xa4se(metaclass=Meta): pass\n"
            "import json\n"
            "deque = collections.deque\n");
    assert_object_text("Account", "<type Account at %p>");
    assert_object_text("deposit", "<function Account.deposit at %p>");
    assert_object_text("bound", "<method Account.deposit at %p>");
    assert_object_text("K\xc3\xa4se", "<Meta K\xc3\xa4se at %p>");
    assert_object_text("json", "<module json at %p>");
    assert_object_text("deque", "<type deque at %p>");
    py_exec("size = len");
    assert_object_text("size", "<builtin_function_or_method len at %p>");
}

static void test_value_of_another_object_is_type_and_address(void **state)
{
    configure(64, NULL);
    py_exec("account = Account()\n"
            "import datetime\n"
            "day = datetime.date(2000, 1, 1)\n"
            "fake = type('collections.deque', (), {})()\n"
            "error = ValueError('x')\n");
    assert_object_text("account", "<Account at %p>");
    assert_object_text("day", "<date at %p>");
    assert_object_text("fake", "<collections.deque at %p>");
    assert_object_text("error", "<ValueError at %p>");
}

static void test_value_of_a_builtins_subclass_shows_the_builtin_part(void **state)
{
    configure(128, NULL);
    py_exec("class Mixin: pass\n"
            "class Money(int): pass\n"
            "class Cents(Mixin, Money): pass\n"
            "class Ratio(float): pass\n"
            "class Text(str): pass\n"
            "class Data(bytes): pass\n"
            "class Items(list): __slots__ = ()\n"
            "class Queue(collections.deque): pass\n"
            "cents = Cents(30); big = Money(2**70); ratio = Ratio(1.5); text = Text('ab\\u20ac')\n"
            "data = Data(b'x'); items = Items([1, 2]); queue = Queue([3])\n"
            "point = collections.namedtuple('Point', 'x y')(1, 2)\n"
            "counts = collections.defaultdict(int, a=1)\n"
            "words = type('Words', (set,), {})({4})\n"
            "buffer = type('Buffer', (bytearray,), {})(b'z')\n"
            "turn = type('Turn', (complex,), {})(1j)\n"
            "mine = Items(); mine.append(mine)\n");
    assert_object_text("cents", "<Cents 30 at %p>");
    assert_object_text("big", "<Money 1180591620717411303424 at %p>");
    assert_object_text("ratio", "<Ratio 1.5 at %p>");
    assert_object_text("text", "<Text 'ab\xe2\x82\xac' at %p>");
    assert_object_text("data", "<Data b'x' at %p>");
    assert_object_text("items", "<Items [1, 2] at %p>");
    assert_object_text("queue", "<Queue deque([3]) at %p>");
    assert_object_text("point", "<Point (1, 2) at %p>");
    assert_object_text("counts", "<defaultdict {'a': 1} at %p>");
    assert_object_text("words", "<Words {4} at %p>");
    assert_object_text("buffer", "<Buffer bytearray(b'z') at %p>");
    assert_object_text("turn", "<Turn 1j at %p>");
    assert_non_null(strstr(text_of("mine"), "<Items [<Items … at "));
}

static void test_value_looks_at_a_bounded_part_of_a_sparse_table(void **state)
{
    configure(16, NULL);
    py_exec("sparse = dict.fromkeys(range(1000))\n"
            "for i in range(995): del sparse[i]\n"
            "hollow = set(range(100000))\n"
            "for i in range(99999): hollow.remove(i)\n");
    assert_text("sparse", "{… 5 more}");
    assert_text("hollow", "{… 1 more}");
}

static void test_value_keeps_the_order_of_an_instances_dict(void **state)
{
    configure(256, NULL);
    py_exec("class Shared: pass\n"
            "one = Shared(); one.x = 1; one.y = 2; one.z = 3\n"
            "two = Shared(); two.z = 5; two.y = 6; two.x = 7; del two.y\n"
            "one.__dict__, two.__dict__\n");
    assert_text("one.__dict__", "{'x': 1, 'y': 2, 'z': 3}");
    assert_text("two.__dict__", "{'z': 5, 'x': 7}");
}

/* ---- within the budget, whatever the object --------------------------------------------- */

static void test_value_is_well_formed_within_any_budget(void **state)
{
    py_exec("zoo = [None, 5, 2**40, 2**90, -2**3000, 1.5, 1j, 'x' * 40, '\\u20ac' * 40, \n"
            "       b'y' * 40, bytearray(50), list(range(40)), [[i, [i]] for i in range(40)],\n"
            "       {str(i): [i] for i in range(40)}, {'k' * 50: 'v' * 50}, {(1, 2): {3: {4}}},\n"
            "       set('abcdefghijk'), frozenset(range(100)), collections.deque('xyz' * 50),\n"
            "       range(2**70, 2**80), slice('a' * 30, [1] * 30, {2: 3}), len, json, Meta,\n"
            "       Account, account, cents, big, ratio, text, data, items, queue, point,\n"
            "       counts, words, xs, d,\n"
            "       slice(slice(slice(1))), [slice(None)] * 9, [point] * 9, [len] * 9,\n"
            "       [1j] * 9, [Text('t' * 90)], [Money(2**99)] * 5, {b'k': 2**99}, [[[]]] * 9,\n"
            "       ['ab'] * 30]\n"
            "zoo.append(zoo[:])\n");
    PyObject *zoo = PyDict_GetItemString(py_globals, "zoo");
    for (uint32_t size = 16; size <= MT_VALUE_BYTES_MAX; size++) {
        configure(size, NULL);
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(zoo); i++) {
            struct mt_value value;
            memset(&value, 0xA5, sizeof value);
            mt_value_capture(PyList_GET_ITEM(zoo, i), &value);
            assert_in_range(value.size, 0, 6 + (size < 24 ? 24 : size));
            assert_null(strstr(text_of_value(&value), "<damaged>"));
            /* Nothing behind it was written but the nested encoding's own scratch. */
            assert_int_equal(value.bytes[sizeof value.bytes - 1], 0xA5);
        }
    }
}

/* ---- what stays untouched --------------------------------------------------------------- */

static void test_value_runs_no_code_of_the_program(void **state)
{
    configure(256, "*secret*\0");
    static const char *const sources[] = {
        "object.__new__(hostile(object))",
        "[object.__new__(hostile(object))] * 3",
        "hostile(int)(5)",
        "hostile(str)('secret')",
        "hostile(float)(2.5)",
        "hostile(bytes)(b'x')",
        "list.__new__(hostile(list))",
        "tuple.__new__(hostile(tuple), (1, 2))",
        "dict.__new__(hostile(dict))",
        "set.__new__(hostile(set))",
        "collections.deque.__new__(hostile(collections.deque))",
        "collections.OrderedDict(a=1)",
        "{Key(1): Key(2)}",
        "{Key(5)}",
        "hostile(object)",
        "type.__call__(Meta, 'Made', (), {})",
        "hostile(type(sys))('module')",
        "(x for x in [])",
        "{hostile(str).__new__(hostile(str), 'k') is None: 1}",
        "slice(object.__new__(hostile(object)))",
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        assert_null(strstr(text_of(sources[i]), "<damaged>"));
}

static void test_value_leaves_the_utf8_cache_of_a_str_empty(void **state)
{
    struct mt_value value;
    PyObject *object = py_eval("'\\u20ac' * 3 + 'x'");
    mt_value_capture(object, &value);
    assert_string_equal(text_of_value(&value), "'€€€x'");
    assert_null(((PyCompactUnicodeObject *)object)->utf8);
    Py_DECREF(object);
}

/* ---- keys of items ---------------------------------------------------------------------- */

static void assert_key(const char *source, const char *expected)
{
    struct mt_value value;
    PyObject *object = py_eval(source);
    struct py_watch watch = py_watch_begin(object);
    bool captured = mt_value_capture_key(object, &value);
    py_watch_end(&watch);
    Py_DECREF(object);
    if (expected)
        assert_string_equal(captured ? text_of_value(&value) : "no key", expected);
    else
        assert_false(captured);
}

static void test_value_key_is_a_whole_scalar_or_nothing(void **state)
{
    configure(16, NULL);
    assert_key("4", "4");
    assert_key("-2**63", "-9223372036854775808");
    assert_key("2**63", NULL);
    assert_key("True", "True");
    assert_key("None", "None");
    assert_key("1.5", "1.5");
    assert_key("'k' * 64", "'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk'");
    assert_key("'k' * 65", NULL);
    assert_key("'\\u20ac' * 22", NULL);
    assert_key("b'k'", "b'k'");
    assert_key("b'k' * 65", NULL);
    assert_key("(1,)", NULL);
    assert_key("1j", NULL);
    assert_key("hostile(int)(3)", NULL);
    assert_key("hostile(str)('x')", NULL);
}

/* ---- comparison ------------------------------------------------------------------------- */

static void assert_compares(const char *source, enum mt_sameness expected)
{
    PyObject *pair = py_eval(source);
    PyObject *left = PyTuple_GET_ITEM(pair, 0), *right = PyTuple_GET_ITEM(pair, 1);
    struct py_watch watch = py_watch_begin(pair);
    int sameness = mt_value_compare(left, right), back = mt_value_compare(right, left);
    py_watch_end(&watch);
    if (sameness != (int)expected || back != (int)expected)
        fail_msg("%s: %d and %d, expected %d", source, sameness, back, expected);
    Py_DECREF(pair);
}

static void test_value_compares_scalars_by_value_and_type(void **state)
{
    py_exec("def new(o): return eval(repr(o))\nn = float('nan')\n");
    assert_compares("(None, None)", MT_SAME_OBJECT);
    assert_compares("(xs, xs)", MT_SAME_OBJECT);
    assert_compares("(n, n)", MT_SAME_OBJECT);
    assert_compares("(n, float('nan'))", MT_DIFFERENT);
    assert_compares("(1000, new(1000))", MT_EQUAL);
    assert_compares("(1000, 1001)", MT_DIFFERENT);
    assert_compares("(1000, -1000)", MT_DIFFERENT);
    assert_compares("(2**200, new(2**200))", MT_EQUAL);
    assert_compares("(2**200, 2**200 + 2**70)", MT_DIFFERENT);
    assert_compares("(1, True)", MT_DIFFERENT);
    assert_compares("(1, 1.0)", MT_DIFFERENT);
    assert_compares("(0.0, -0.0)", MT_EQUAL);
    assert_compares("(1.5, new(1.5))", MT_EQUAL);
    assert_compares("(1.5+2j, new(1.5+2j))", MT_EQUAL);
    assert_compares("(1.5+2j, 1.5-2j)", MT_DIFFERENT);
    assert_compares("('abc', ''.join(['a', 'bc']))", MT_EQUAL);
    assert_compares("('abc', 'abd')", MT_DIFFERENT);
    assert_compares("('\\u20acx', ''.join(['\\u20ac', 'x']))", MT_EQUAL);
    assert_compares("('abc', b'abc')", MT_DIFFERENT);
    assert_compares("(b'abc', b''.join([b'a', b'bc']))", MT_EQUAL);
    assert_compares("((1,), tuple([1]))", MT_DIFFERENT);
    assert_compares("([], [])", MT_DIFFERENT);
    assert_compares("(hostile(int)(3), hostile(int)(3))", MT_DIFFERENT);
}

static void test_value_comparison_is_bounded(void **state)
{
    assert_compares("('x' * 65536, 'y' + 'x' * 65535)", MT_DIFFERENT);
    assert_compares("('x' * 65536, ('x' * 65537)[1:])", MT_EQUAL);
    assert_compares("('x' * 65537, ('x' * 65538)[1:])", MT_DIFFERENT);
    assert_compares("(b'x' * 65537, (b'x' * 65538)[1:])", MT_DIFFERENT);
}

/* ---- type ids --------------------------------------------------------------------------- */

static void test_value_type_id_goes_by_name(void **state)
{
    configure(64, NULL);
    PyObject *first = py_eval("type('Same', (), {})"), *second = py_eval("type('Same', (), {})");
    PyObject *other = py_eval("type('Other', (), {})"), *nameless = py_eval("type('', (), {})");
    /* Whether its str was ever hashed or not. */
    PyObject *third = py_eval("type(''.join(['Sa', 'me']), (), {})");
    uint32_t id = mt_value_type_id((PyTypeObject *)first);
    assert_int_not_equal(id, 0);
    assert_int_equal(mt_value_type_id((PyTypeObject *)first), id);
    assert_int_equal(mt_value_type_id((PyTypeObject *)second), id);
    assert_int_equal(mt_value_type_id((PyTypeObject *)third), id);
    assert_int_not_equal(mt_value_type_id((PyTypeObject *)nameless), 0);
    assert_int_not_equal(mt_value_type_id((PyTypeObject *)other), id);
    /* Renamed in place: as a type that took a freed one's address. */
    PyObject_SetAttrString(first, "__name__", PyObject_GetAttrString(other, "__name__"));
    assert_int_equal(mt_value_type_id((PyTypeObject *)first),
                     mt_value_type_id((PyTypeObject *)other));
    assert_string_equal(defined_type(mt_value_type_id((PyTypeObject *)other), NULL), "Other");
    Py_DECREF(first);
    Py_DECREF(second);
    Py_DECREF(third);
    Py_DECREF(nameless);
    Py_DECREF(other);
}

static void test_value_type_ids_survive_a_flood_of_types(void **state)
{
    configure(64, NULL);
    uint32_t last = 0;
    PyObject *one = py_eval("type('One', (), {})");
    uint32_t id = mt_value_type_id((PyTypeObject *)one);
    for (int i = 0; i < 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "Flood%d", i);
        PyObject *type = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", name);
        last = mt_value_type_id((PyTypeObject *)type);
        if (last)
            assert_string_equal(defined_type(last, NULL), name);
        Py_DECREF(type);
        if (i % 1000)
            i += 9;
    }
    assert_int_not_equal(last, id);
    uint32_t again = mt_value_type_id((PyTypeObject *)one);
    if (again)
        assert_string_equal(defined_type(again, NULL), "One");
    Py_DECREF(one);
}

/* ---- redaction -------------------------------------------------------------------------- */

static bool redacted(const char *name)
{
    return mt_value_is_redacted(name, strlen(name));
}

static void test_value_redacts_names_by_glob(void **state)
{
    configure(64, "*password*\0api?key\0[st]oken\0x[!0-9]\0exact\0[odd\0");
    assert_true(redacted("password"));
    assert_true(redacted("My_PassWord_2"));
    assert_false(redacted("passwor"));
    assert_true(redacted("api_key"));
    assert_false(redacted("apikey"));
    assert_true(redacted("TOKEN"));
    assert_true(redacted("soken"));
    assert_false(redacted("woken"));
    assert_true(redacted("xa"));
    assert_false(redacted("x5"));
    assert_true(redacted("exact"));
    assert_false(redacted("exactly"));
    assert_true(redacted("[odd"));
    assert_false(redacted(""));
    configure(64, NULL);
    assert_false(redacted("password"));
}

static void test_value_redacts_values_of_dict_keys(void **state)
{
    configure(256, "*secret*\0");
    assert_text("{'user': 1, 'the_SECRET': 'abc', b'secret': 2, 7: 'x'}",
                "{'user': 1, 'the_SECRET': <redacted>, b'secret': <redacted>, 7: 'x'}");
    assert_text("[{'secret': [1]}]", "[{'secret': <redacted>}]");
    assert_non_null(strstr(text_of("collections.OrderedDict(secret=5)"), "{'secret': <redacted>}"));
    /* The bytes are nowhere in the value, not only not shown. */
    struct mt_value value;
    memset(&value, 0, sizeof value);
    PyObject *object = py_eval("{'secret': 'hunter2'}");
    mt_value_capture(object, &value);
    assert_null(memmem(value.bytes, sizeof value.bytes, "hunter2", 7));
    Py_DECREF(object);
}

static int start(void **state)
{
    struct mt_control *control;
    py_start();
    return mt_buffer_create(8 * 1024 * 1024, &control) == MT_OK ? 0 : -1;
}

static int stop(void **state)
{
    mt_buffer_destroy(mt_control);
    return Py_FinalizeEx();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_shows_scalars_as_repr_does),
        cmocka_unit_test(test_value_of_no_object_is_absent),
        cmocka_unit_test(test_value_keeps_length_and_beginning_of_a_long_text),
        cmocka_unit_test(test_value_keeps_a_lone_surrogate),
        cmocka_unit_test(test_value_counts_the_items_that_have_no_room),
        cmocka_unit_test(test_value_of_a_container_in_itself_ends),
        cmocka_unit_test(test_value_of_big_int_is_whole_or_its_beginning),
        cmocka_unit_test(test_value_names_functions_classes_and_modules),
        cmocka_unit_test(test_value_of_another_object_is_type_and_address),
        cmocka_unit_test(test_value_of_a_builtins_subclass_shows_the_builtin_part),
        cmocka_unit_test(test_value_looks_at_a_bounded_part_of_a_sparse_table),
        cmocka_unit_test(test_value_keeps_the_order_of_an_instances_dict),
        cmocka_unit_test(test_value_is_well_formed_within_any_budget),
        cmocka_unit_test(test_value_runs_no_code_of_the_program),
        cmocka_unit_test(test_value_leaves_the_utf8_cache_of_a_str_empty),
        cmocka_unit_test(test_value_key_is_a_whole_scalar_or_nothing),
        cmocka_unit_test(test_value_compares_scalars_by_value_and_type),
        cmocka_unit_test(test_value_comparison_is_bounded),
        cmocka_unit_test(test_value_type_id_goes_by_name),
        cmocka_unit_test(test_value_type_ids_survive_a_flood_of_types),
        cmocka_unit_test(test_value_redacts_names_by_glob),
        cmocka_unit_test(test_value_redacts_values_of_dict_keys),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
