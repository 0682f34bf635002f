/* lookup.c in an embedded interpreter: what a store would replace, found without running
 * code of the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "py_support.h"

#include "lookup.h"

/* Expected outcomes: the object, by expression, or one of these. */
static const char ABSENT[] = "absent", UNREADABLE[] = "unreadable";

enum certainty { CERTAIN, NOT_CERTAIN };

static void check(const char *what, const struct mt_target *target, const char *expected,
                  enum certainty certainty)
{
    static const char *const found_names[] = {"found", "absent", "unreadable"};
    if (expected == ABSENT || expected == UNREADABLE) {
        enum mt_found found = expected == ABSENT ? MT_ABSENT : MT_UNREADABLE;
        if (target->found != found)
            fail_msg("%s: %s, expected %s", what, found_names[target->found], expected);
        assert_null(target->object);
    } else {
        PyObject *object = py_eval(expected);
        if (target->found != MT_FOUND)
            fail_msg("%s: %s, expected found", what, found_names[target->found]);
        if (target->object != object)
            fail_msg("%s: another object than %s", what, expected);
        Py_DECREF(object);
    }
    if (target->certain != (certainty == CERTAIN))
        fail_msg("%s: certain is %d", what, target->certain);
}

static void assert_attribute(const char *source, const char *name, const char *expected,
                             enum certainty certainty)
{
    struct mt_target target;
    char what[256];
    PyObject *object = py_eval(source), *name_object = PyUnicode_InternFromString(name);
    struct py_watch watch = py_watch_begin(object);
    mt_lookup_attribute(object, name_object, &target);
    py_watch_end(&watch);
    snprintf(what, sizeof what, "%s.%s", source, name);
    check(what, &target, expected, certainty);
    Py_DECREF(name_object);
    Py_DECREF(object);
}

static void assert_item(const char *source, const char *key, const char *expected,
                        enum certainty certainty)
{
    struct mt_target target;
    char what[256];
    PyObject *object = py_eval(source), *key_object = py_eval(key);
    PyObject *both = PyTuple_Pack(2, object, key_object);
    struct py_watch watch = py_watch_begin(both);
    mt_lookup_item(object, key_object, &target);
    py_watch_end(&watch);
    Py_DECREF(both);
    snprintf(what, sizeof what, "%s[%s]", source, key);
    check(what, &target, expected, certainty);
    Py_DECREF(key_object);
    Py_DECREF(object);
}

/* ---- attributes of instances ------------------------------------------------------------ */

static const char classes[] =
    "class Plain:\n"
    "    shared = 'of the class'\n"
    "plain = Plain(); plain.x = ['x']; plain.y = ['y']\n"
    "twin = Plain(); twin.y = ['twin']; twin.x = ['later']\n"
    "bare = Plain()\n"
    "gone = Plain(); gone.x = 1; del gone.x\n"
    "aged = Plain(); aged.x = ['aged']; aged.__dict__; aged.z = ['z']\n"
    "many = Plain()\n"
    "for i in range(100): setattr(many, 'a%d' % i, ['many', i])\n"
    "own = Plain(); own.__dict__ = {'x': ['own']}\n"
    "odd = Plain(); odd.__dict__ = {Key(hash('x')): 1}\n"
    "odder = Plain(); odder.__dict__ = type('D', (dict,), {'__getitem__': None})(x=['odder'])\n"
    "class Slots:\n"
    "    __slots__ = ('a', 'b', '__dict__')\n"
    "slots = Slots(); slots.a = ['a']; slots.other = ['other']\n"
    "class Tight:\n"
    "    __slots__ = ('a',)\n"
    "tight = Tight(); tight.a = ['tight']\n"
    "class Borrowed:\n"
    "    stolen = Tight.a\n"
    "borrowed = Borrowed()\n"
    "class Described:\n"
    "    p = property(lambda self: 1, lambda self, v: None)\n"
    "    nondata = type('N', (), {'__get__': lambda *a: 1})()\n"
    "    class Data:\n"
    "        def __get__(self, *a): ran.append('get')\n"
    "        def __set__(self, *a): ran.append('set')\n"
    "    data = Data()\n"
    "described = Described(); described.__dict__['p'] = 1; described.__dict__['data'] = 2\n"
    "described.nondata = ['mine']\n"
    "class Setter:\n"
    "    def __setattr__(self, *a): object.__setattr__(self, *a)\n"
    "setter = Setter(); setter.x = 1\n"
    "class Deleter:\n"
    "    def __delattr__(self, *a): object.__delattr__(self, *a)\n"
    "deleter = Deleter(); deleter.x = 1\n"
    "Trapped = type('Trapped', (), {n: trap(n) for n in ('__getattr__', '__getattribute__',\n"
    "    '__eq__', '__hash__', '__bool__', '__len__', '__repr__')})\n"
    "trapped = Trapped(); trapped.x = ['trapped']\n"
    "class Num(int): pass\n"
    "class Pair(tuple): pass\n"
    "class Raw(bytes): pass\n"
    "num = Num(2**100); num.x = ['num']\n"
    "zero = Num(0); zero.x = ['zero']\n"
    "minus = Num(-2**40); minus.x = ['minus']\n"
    "pair = Pair((1, 2, 3)); pair.x = ['pair']\n"
    "raw = Raw(b'12345'); raw.x = ['raw']\n"
    "class Xs(list): pass\n"
    "items = Xs(); items.x = ['items']\n"
    "error = ValueError(); error.x = ['error']\n"
    "def function(): 'doc'\n"
    "function.x = ['function']\n";

static void test_lookup_finds_an_instances_own_attribute(void **state)
{
    assert_attribute("plain", "x", "plain.x", CERTAIN);
    assert_attribute("plain", "y", "plain.y", CERTAIN);
    assert_attribute("twin", "x", "twin.x", CERTAIN);
    assert_attribute("twin", "y", "twin.y", CERTAIN);
    assert_attribute("plain", "z", ABSENT, CERTAIN);
    assert_attribute("bare", "x", ABSENT, CERTAIN);
    assert_attribute("gone", "x", ABSENT, CERTAIN);
    assert_attribute("many", "a0", "many.a0", CERTAIN);
    assert_attribute("many", "a99", "many.a99", CERTAIN);
    assert_attribute("many", "a100", ABSENT, CERTAIN);
    assert_attribute("trapped", "x", "object.__getattribute__(trapped, 'x')", CERTAIN);
}

static void test_lookup_leaves_class_attributes_out(void **state)
{
    assert_attribute("plain", "shared", ABSENT, CERTAIN);
    assert_attribute("described", "nondata", "described.__dict__['nondata']", CERTAIN);
}

static void test_lookup_reads_attributes_once_a_dict_was_made(void **state)
{
    assert_attribute("aged", "x", "aged.x", CERTAIN);
    assert_attribute("aged", "z", "aged.z", CERTAIN);
    assert_attribute("own", "x", "own.x", CERTAIN);
    assert_attribute("own", "y", ABSENT, CERTAIN);
    assert_attribute("odder", "x", "odder.x", CERTAIN);
}

static void test_lookup_makes_no_dict_of_inline_values(void **state)
{
    /* Were a dict made, its items would be what gc sees the object refer to. */
    py_exec("fresh = Plain(); fresh.x = ['fresh']");
    assert_attribute("fresh", "x", "fresh.x", CERTAIN);
#if PY_VERSION_HEX >= 0x030B0000
    assert_int_equal(py_number("any(type(o) is dict for o in gc.get_referents(fresh))"), 0);
#endif
}

static void test_lookup_reads_attributes_behind_a_variable_size(void **state)
{
    assert_attribute("num", "x", "num.x", CERTAIN);
    assert_attribute("zero", "x", "zero.x", CERTAIN);
    assert_attribute("minus", "x", "minus.x", CERTAIN);
    assert_attribute("pair", "x", "pair.x", CERTAIN);
    assert_attribute("raw", "x", "raw.x", CERTAIN);
    assert_attribute("items", "x", "items.x", CERTAIN);
    assert_attribute("error", "x", "error.x", CERTAIN);
    assert_attribute("function", "x", "function.x", CERTAIN);
}

static void test_lookup_reads_slots(void **state)
{
    assert_attribute("slots", "a", "slots.a", CERTAIN);
    assert_attribute("slots", "b", ABSENT, CERTAIN);
    assert_attribute("slots", "other", "slots.other", CERTAIN);
    assert_attribute("tight", "a", "tight.a", CERTAIN);
    assert_attribute("tight", "other", ABSENT, NOT_CERTAIN);
    assert_attribute("borrowed", "stolen", UNREADABLE, NOT_CERTAIN);
    assert_attribute("function", "__doc__", "function.__doc__", CERTAIN);
    assert_attribute("function", "__closure__", "None", NOT_CERTAIN);
    assert_attribute("error", "__suppress_context__", "False", NOT_CERTAIN);
    assert_attribute("1j", "real", UNREADABLE, NOT_CERTAIN);
}

static void test_lookup_does_not_run_descriptors_and_setters(void **state)
{
    assert_attribute("described", "p", UNREADABLE, NOT_CERTAIN);
    assert_attribute("described", "data", UNREADABLE, NOT_CERTAIN);
    assert_attribute("plain", "__class__", UNREADABLE, NOT_CERTAIN);
    assert_attribute("plain", "__dict__", UNREADABLE, NOT_CERTAIN);
    assert_attribute("function", "__code__", UNREADABLE, NOT_CERTAIN);
    assert_attribute("setter", "x", UNREADABLE, NOT_CERTAIN);
    assert_attribute("deleter", "x", UNREADABLE, NOT_CERTAIN);
    assert_attribute("odd", "x", UNREADABLE, NOT_CERTAIN);
}

static void test_lookup_of_an_object_without_attributes_is_not_certain(void **state)
{
    assert_attribute("5", "x", ABSENT, NOT_CERTAIN);
    assert_attribute("object()", "x", ABSENT, NOT_CERTAIN);
    assert_attribute("[]", "append", ABSENT, NOT_CERTAIN);
}

/* ---- attributes of classes and modules -------------------------------------------------- */

static void test_lookup_reads_a_classs_own_dict(void **state)
{
    py_exec("class Base:\n"
            "    a = ['a']\n"
            "class Derived(Base):\n"
            "    'doc'\n"
            "    b = ['b']\n"
            "class Abstract(metaclass=type('M', (type,), {})):\n"
            "    a = 1\n");
    assert_attribute("Base", "a", "Base.a", CERTAIN);
    assert_attribute("Derived", "b", "Derived.b", CERTAIN);
    assert_attribute("Derived", "a", ABSENT, CERTAIN);
    assert_attribute("Derived", "mro", ABSENT, CERTAIN);
    assert_attribute("Derived", "__doc__", "Derived.__doc__", NOT_CERTAIN);
    assert_attribute("Derived", "__module__", "Derived.__module__", NOT_CERTAIN);
    assert_attribute("Derived", "__name__", UNREADABLE, NOT_CERTAIN);
    assert_attribute("Abstract", "a", UNREADABLE, NOT_CERTAIN);
    assert_attribute("hostile(object)", "x", ABSENT, CERTAIN);
    struct mt_target target;
    PyObject *name = PyUnicode_InternFromString("no_such_thing");
    mt_lookup_attribute((PyObject *)&PyLong_Type, name, &target);
    assert_int_not_equal(target.found, MT_FOUND);
    assert_false(target.certain);
    Py_DECREF(name);
}

static void test_lookup_reads_a_modules_dict(void **state)
{
    py_exec("import json, types\n"
            "json.thing = ['thing']\n"
            "class Sub(types.ModuleType):\n"
            "    p = property(lambda self: 1)\n"
            "sub = Sub('sub'); sub.x = ['sub']\n");
    assert_attribute("json", "thing", "json.thing", CERTAIN);
    assert_attribute("json", "nothing", ABSENT, CERTAIN);
    assert_attribute("sub", "x", "sub.x", CERTAIN);
    assert_attribute("sub", "p", UNREADABLE, NOT_CERTAIN);
}

/* ---- items ------------------------------------------------------------------------------ */

static void test_lookup_finds_items_of_sequences(void **state)
{
    py_exec("xs = [['0'], ['1'], ['2']]\n"
            "q = collections.deque([i] for i in range(300)); q.rotate(77)\n"
            "ba = bytearray(b'\\x00\\x05\\xff')\n");
    assert_item("xs", "0", "xs[0]", CERTAIN);
    assert_item("xs", "2", "xs[2]", CERTAIN);
    assert_item("xs", "-1", "xs[-1]", CERTAIN);
    assert_item("xs", "-3", "xs[-3]", CERTAIN);
    assert_item("xs", "True", "xs[1]", CERTAIN);
    assert_item("xs", "3", ABSENT, NOT_CERTAIN);
    assert_item("xs", "-4", ABSENT, NOT_CERTAIN);
    assert_item("xs", "2**100", ABSENT, NOT_CERTAIN);
    assert_item("xs", "-2**63", ABSENT, NOT_CERTAIN);
    assert_item("xs", "slice(0, 1)", UNREADABLE, NOT_CERTAIN);
    assert_item("xs", "hostile(int)(1)", UNREADABLE, NOT_CERTAIN);
    assert_item("ba", "1", "5", NOT_CERTAIN);
    assert_item("ba", "-1", "255", NOT_CERTAIN);
    assert_item("ba", "3", ABSENT, NOT_CERTAIN);
    for (int i = -300; i < 300; i++) {
        char key[16], expected[16];
        snprintf(key, sizeof key, "%d", i);
        snprintf(expected, sizeof expected, "q[%d]", i);
        assert_item("q", key, expected, CERTAIN);
    }
    assert_item("q", "300", ABSENT, NOT_CERTAIN);
    assert_item("q", "-301", ABSENT, NOT_CERTAIN);
    assert_item("collections.deque()", "0", ABSENT, NOT_CERTAIN);
}

static void test_lookup_finds_items_of_dicts_by_equality(void **state)
{
    py_exec("def new(o): return eval(repr(o))\n"
            "n = float('nan')\n"
            "d = {'a': ['a'], 1: ['1'], None: ['None'], 2.5: ['2.5'], b'b': ['b'], "
            "(1, ('x', None)): ['t'], 2**100: ['big'], n: ['nan'], 0: ['0'], 3+0j: ['c'], "
            "-1: ['-1'], '\\u20ac': ['euro'], 1e300: ['huge'], 2**1000: ['power'], "
            "(Plain, 1): ['mixed'], 2**53: ['exact'], Plain: ['class'], "
            "frozenset([7]): ['set']}\n");
    assert_item("d", "'a'", "d['a']", CERTAIN);
    assert_item("d", "''.join(['', 'a'])", "d['a']", CERTAIN);
    assert_item("d", "'b'", ABSENT, CERTAIN);
    assert_item("d", "1", "d[1]", CERTAIN);
    assert_item("d", "True", "d[1]", CERTAIN);
    assert_item("d", "1.0", "d[1]", CERTAIN);
    assert_item("d", "-0.0", "d[0]", CERTAIN);
    assert_item("d", "False", "d[0]", CERTAIN);
    assert_item("d", "None", "d[None]", CERTAIN);
    assert_item("d", "new(2.5)", "d[2.5]", CERTAIN);
    assert_item("d", "b'b'", "d[b'b']", CERTAIN);
    assert_item("d", "3", "d[3]", CERTAIN);
    assert_item("d", "-1", "d[-1]", CERTAIN);
    assert_item("d", "-2", ABSENT, CERTAIN);
    assert_item("d", "new(2**100)", "d[2**100]", CERTAIN);
    assert_item("d", "float(2**100)", "d[2**100]", CERTAIN);
    assert_item("d", "-2**100", ABSENT, CERTAIN);
    assert_item("d", "2.0**1000", "d[2**1000]", CERTAIN);
    assert_item("d", "int(1e300)", "d[1e300]", CERTAIN);
    assert_item("d", "int(1e300) + (2**61 - 1)", ABSENT, CERTAIN);
    assert_item("d", "2**53 + 1", ABSENT, CERTAIN);
    assert_item("d", "float(2**53)", "d[2**53]", CERTAIN);
    assert_item("d", "n", "d[n]", CERTAIN);
    assert_item("d", "float('nan')", ABSENT, CERTAIN);
    assert_item("d", "new((1, ('x', None)))", "d[(1, ('x', None))]", CERTAIN);
    assert_item("d", "(1.0, ('x', None))", "d[(1, ('x', None))]", CERTAIN);
    assert_item("d", "(1, ('y', None))", ABSENT, CERTAIN);
    assert_item("d", "''.join(['\\u20ac'])", "d['\\u20ac']", CERTAIN);
    assert_item("d", "(1, [])", UNREADABLE, NOT_CERTAIN);
    assert_item("d", "Plain", UNREADABLE, NOT_CERTAIN);
    assert_item("d", "Key(1)", UNREADABLE, NOT_CERTAIN);
    assert_item("d", "hostile(str)('a')", UNREADABLE, NOT_CERTAIN);
    assert_item("d", "slice(1)", UNREADABLE, NOT_CERTAIN);
    assert_item("d", "[]", UNREADABLE, NOT_CERTAIN);
}

static void test_lookup_agrees_with_the_dict_at_every_size(void **state)
{
    PyObject *dict = PyDict_New();
    for (long i = 0; i < 70000; i++) {
        PyObject *key = i % 2 ? PyLong_FromLong(i * 7919) : PyUnicode_FromFormat("k%ld", i);
        PyObject *value = PyLong_FromLong(i + 1000000);
        assert_int_equal(PyDict_SetItem(dict, key, value), 0);
        Py_DECREF(value);
        Py_DECREF(key);
        if (i % 3 == 0 && i > 3) {
            key = PyLong_FromLong((i / 2 | 1) * 7919);
            if (PyDict_DelItem(dict, key) < 0)
                PyErr_Clear();
            Py_DECREF(key);
        }
        if ((i & (i + 1)) && i % 997)
            continue;
        for (long j = 0; j <= i; j += 1 + i / 500) {
            PyObject *found;
            key = j % 2 ? PyLong_FromLong(j * 7919) : PyUnicode_FromFormat("k%ld", j);
            PyObject *expected = PyDict_GetItemWithError(dict, key);
            assert_int_equal(mt_lookup_dict(dict, key, &found), expected ? MT_FOUND : MT_ABSENT);
            assert_ptr_equal(found, expected);
            Py_DECREF(key);
        }
    }
    Py_DECREF(dict);
}

static void test_lookup_stops_at_a_key_whose_eq_would_run(void **state)
{
    py_exec("weird = {Key(hash('k')): 1, 'j': ['j']}\n"
            "late = {'k': ['first'], Key(hash('k')): 2}\n"
            "quiet = {type('Quiet', (), {'__hash__': lambda self: hash('k')})(): 1}\n"
            "ran.clear()\n");
    assert_item("weird", "'k'", UNREADABLE, NOT_CERTAIN);
    assert_item("weird", "'j'", "weird['j']", CERTAIN);
    /* Found before the weird one is met, as the dict would. */
    struct mt_target target;
    PyObject *late = py_eval("late"), *key = py_eval("'k'");
    mt_lookup_item(late, key, &target);
    assert_int_equal(target.found, MT_FOUND);
    Py_DECREF(key);
    Py_DECREF(late);
    assert_int_equal(py_number("len(ran)"), 0);
    /* Equal hash, but object's own __eq__: no code. */
    assert_item("quiet", "'k'", ABSENT, CERTAIN);
}

static void test_lookup_of_other_containers_is_unreadable(void **state)
{
    assert_item("type('L', (list,), {})([1])", "0", UNREADABLE, NOT_CERTAIN);
    assert_item("type('D', (dict,), {})(a=1)", "'a'", UNREADABLE, NOT_CERTAIN);
    assert_item("collections.OrderedDict(a=1)", "'a'", UNREADABLE, NOT_CERTAIN);
    assert_item("(1,)", "0", UNREADABLE, NOT_CERTAIN);
    assert_item("object.__new__(hostile(object))", "0", UNREADABLE, NOT_CERTAIN);
    assert_item("type('collections.deque', (), {})()", "0", UNREADABLE, NOT_CERTAIN);
    assert_item("memoryview(bytearray(3))", "0", UNREADABLE, NOT_CERTAIN);
}

/* ---- names ------------------------------------------------------------------------------ */

static void test_lookup_reads_names_of_exact_dicts_only(void **state)
{
    struct mt_target target;
    PyObject *name = PyUnicode_InternFromString("a");
    PyObject *dict = py_eval("{'a': None}"), *other = py_eval("type('D', (dict,), {})(a=1)");
    mt_lookup_name(dict, name, &target);
    check("dict", &target, "None", CERTAIN);
    mt_lookup_name(other, name, &target);
    check("subclass", &target, UNREADABLE, NOT_CERTAIN);
    /* A global is stored into a dict subclass's dict part all the same. */
    PyObject *found;
    assert_int_equal(mt_lookup_dict(other, name, &found), MT_FOUND);
    Py_DECREF(other);
    Py_DECREF(dict);
    Py_DECREF(name);
}

static int start(void **state)
{
    py_start();
    py_exec(classes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup_finds_an_instances_own_attribute),
        cmocka_unit_test(test_lookup_leaves_class_attributes_out),
        cmocka_unit_test(test_lookup_reads_attributes_once_a_dict_was_made),
        cmocka_unit_test(test_lookup_makes_no_dict_of_inline_values),
        cmocka_unit_test(test_lookup_reads_attributes_behind_a_variable_size),
        cmocka_unit_test(test_lookup_reads_slots),
        cmocka_unit_test(test_lookup_does_not_run_descriptors_and_setters),
        cmocka_unit_test(test_lookup_of_an_object_without_attributes_is_not_certain),
        cmocka_unit_test(test_lookup_reads_a_classs_own_dict),
        cmocka_unit_test(test_lookup_reads_a_modules_dict),
        cmocka_unit_test(test_lookup_finds_items_of_sequences),
        cmocka_unit_test(test_lookup_finds_items_of_dicts_by_equality),
        cmocka_unit_test(test_lookup_agrees_with_the_dict_at_every_size),
        cmocka_unit_test(test_lookup_stops_at_a_key_whose_eq_would_run),
        cmocka_unit_test(test_lookup_of_other_containers_is_unreadable),
        cmocka_unit_test(test_lookup_reads_names_of_exact_dicts_only),
    };
    return cmocka_run_group_tests(tests, start, py_end_group);
}
