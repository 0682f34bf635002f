/* snapshot.c with diff.c in an embedded interpreter: which statements change a container. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "py_support.h"

#include "snapshot.h"

static void take(PyObject *container, struct mt_snapshot *ret)
{
    memset(ret, 0xA5, sizeof *ret);
    struct py_watch watch = py_watch_begin(container);
    mt_snapshot_take(container, ret);
    py_watch_end(&watch);
}

/* What the statement does to the container `c` that `setup` makes. */
static void assert_change(const char *setup, const char *statement, enum mt_change expected)
{
    struct mt_snapshot before, after;
    py_exec(setup);
    PyObject *container = PyDict_GetItemString(py_globals, "c");
    assert_true(mt_snapshot_takes(container));
    take(container, &before);
    py_exec(statement);
    take(container, &after);
    enum mt_change change = mt_diff(&before, &after);
    if (change != expected)
        fail_msg("%s; %s: %d, expected %d", setup, statement, change, expected);
}

static void test_snapshot_sees_what_changes_a_list(void **state)
{
    assert_change("c = [1, 'a', [2]]", "pass", MT_UNCHANGED);
    assert_change("c = []", "c.append(1)", MT_CHANGED);
    assert_change("c = [2, 1]", "c.sort()", MT_CHANGED);
    assert_change("c = [1, 2]", "c.sort()", MT_UNCHANGED);
    assert_change("c = [1]", "c[0] = 2", MT_CHANGED);
    assert_change("c = [1]", "c[0] = True", MT_CHANGED);
    assert_change("c = [1]", "c[0] = 1.0", MT_CHANGED);
    assert_change("c = [[1]]", "c[:] = [[1]]", MT_CHANGED);
    assert_change("c = [[1]]", "c[0].append(2)", MT_UNCHANGED);
    assert_change("c = [None] * 64", "c[63] = 1", MT_CHANGED);
    assert_change("c = [None] * 64", "pass", MT_UNCHANGED);
    assert_change("c = [None] * 65", "pass", MT_UNDECIDED);
    assert_change("c = [None] * 100_000", "c.append(1)", MT_CHANGED);
}

static void test_snapshot_compares_scalars_by_value(void **state)
{
    py_exec("def new(o): return eval(repr(o))");
    assert_change("c = [1000, 2**80, 1.5, 1j, 'ab\\u20ac', b'xyz', 'x' * 100]",
                  "c[:] = [new(x) for x in c]", MT_UNCHANGED);
    assert_change("c = [0.0]", "c[0] = -0.0", MT_UNCHANGED);
    assert_change("c = [float('nan')]", "c[0] = float('nan')", MT_CHANGED);
    assert_change("c = [float('nan')]", "c[:] = c[:]", MT_UNCHANGED);
    assert_change("c = [5]", "c[0] = -5", MT_CHANGED);
    assert_change("c = [2**80]", "c[0] = 2**80 + 1", MT_CHANGED);
    assert_change("c = ['a']", "c[0] = b'a'", MT_CHANGED);
    assert_change("c = ['a\\0']", "c[0] = 'a'", MT_CHANGED);
    assert_change("c = ['\\x01\\x01']", "c[0] = '\\u0101'", MT_CHANGED);
    /* Beyond the bound the object counts: a change is never missed. */
    assert_change("c = ['x' * 1000]", "c[0] = 'x' * 999 + 'y'", MT_CHANGED);
    assert_change("c = [2**10000]", "c[0] = 2**10000 + 2**9000", MT_CHANGED);
    assert_change("c = ['x' * 1000]", "c[:] = c[:]", MT_UNCHANGED);
}

static void test_snapshot_sees_what_changes_a_dict(void **state)
{
    enum mt_change beyond = PY_VERSION_HEX < 0x030C0000 ? MT_UNCHANGED : MT_UNDECIDED;
    assert_change("c = {}", "pass", MT_UNCHANGED);
    assert_change("c = {'a': 1}", "c.update(a=2)", MT_CHANGED);
    assert_change("c = {'a': 1}", "c.update(a=1)", MT_UNCHANGED);
    assert_change("c = {'a': 1}", "c.setdefault('a', 5)", MT_UNCHANGED);
    assert_change("c = {'a': 1, 'b': 2}", "c['a'] = c.pop('a')", MT_CHANGED);
    assert_change("c = {i: i for i in range(32)}", "pass", MT_UNCHANGED);
    assert_change("c = {i: i for i in range(33)}", "pass", beyond);
    assert_change("c = {i: i for i in range(33)}", "c.pop(32); c[33] = 33",
                  PY_VERSION_HEX < 0x030C0000 ? MT_CHANGED : MT_UNDECIDED);
    assert_change("c = dict.fromkeys(range(5000))\nfor i in range(4990): del c[i]", "pass", beyond);
    assert_change("class P: pass\np = P(); p.x = 1; c = p.__dict__", "p.x = 2", MT_CHANGED);
    assert_change("class P: pass\np = P(); p.x = 1; c = p.__dict__", "pass", MT_UNCHANGED);
}

static void test_snapshot_sees_what_changes_a_set(void **state)
{
    assert_change("c = {1, 2}", "c.add(1)", MT_UNCHANGED);
    assert_change("c = {1, 2}", "c.add(3)", MT_CHANGED);
    assert_change("c = {1, 2}", "c.discard(3)", MT_UNCHANGED);
    assert_change("c = {1}", "c ^= {1, 9}", MT_CHANGED);
    assert_change("c = set(range(64))", "pass", MT_UNCHANGED);
    assert_change("c = set(range(65))", "pass", MT_UNDECIDED);
    assert_change("c = set(range(100000))\nfor i in range(1, 99999): c.remove(i)", "pass",
                  MT_UNDECIDED);
}

static void test_snapshot_sees_what_changes_a_bytearray(void **state)
{
    assert_change("c = bytearray()", "pass", MT_UNCHANGED);
    assert_change("c = bytearray(b'abc')", "c.reverse()", MT_CHANGED);
    assert_change("c = bytearray(b'aba')", "c.reverse()", MT_UNCHANGED);
    assert_change("c = bytearray(9)", "c[8] = 1", MT_CHANGED);
    assert_change("c = bytearray(64)", "c[63] = 1", MT_CHANGED);
    assert_change("c = bytearray(64)", "pass", MT_UNCHANGED);
    assert_change("c = bytearray(65)", "pass", MT_UNDECIDED);
}

static void test_snapshot_sees_what_changes_a_deque(void **state)
{
    assert_change("c = collections.deque()", "pass", MT_UNCHANGED);
    assert_change("c = collections.deque([1, 2])", "c.rotate()", MT_CHANGED);
    assert_change("c = collections.deque([1, 2])", "c.rotate(2)", MT_UNCHANGED);
    assert_change("c = collections.deque([1, 2], 2)", "c.append(3)", MT_CHANGED);
    assert_change("c = collections.deque(range(64))", "c.rotate(33); c.rotate(-33)", MT_UNCHANGED);
    assert_change("c = collections.deque(range(64))", "c[63] = None", MT_CHANGED);
    assert_change("c = collections.deque(range(65))", "pass", MT_UNDECIDED);
}

static void test_snapshot_runs_no_code_of_the_items(void **state)
{
    py_exec("h = object.__new__(hostile(object))\nk = [Key(3), h]");
    assert_change("c = [h, hostile(int)(5), hostile(str)('x')]", "pass", MT_UNCHANGED);
    assert_change("c = {k[0]: h}", "pass", MT_UNCHANGED);
    assert_change("c = {k[0]}", "pass", MT_UNCHANGED);
    assert_change("c = collections.deque([h])", "c[0] = None", MT_CHANGED);
}

static void test_snapshot_takes_exact_containers_only(void **state)
{
    static const char *const others[] = {
        "None",
        "'text'",
        "(1,)",
        "frozenset()",
        "type('L', (list,), {})()",
        "type('D', (dict,), {})()",
        "collections.OrderedDict()",
        "memoryview(b'')",
        "type('S', (set,), {})()",
        "type('Q', (collections.deque,), {})()",
        "type('collections.deque', (), {})()",
        "object.__new__(hostile(object))",
        "list",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct mt_snapshot snapshot;
        PyObject *object = py_eval(others[i]);
        assert_false(mt_snapshot_takes(object));
        assert_false(mt_snapshot_method_of(object, mt_snapshot_method("append")));
        take(object, &snapshot);
        assert_int_equal(snapshot.container, 0);
        assert_int_equal(snapshot.count, 0);
        Py_DECREF(object);
    }
}

static void assert_methods(const char *container, const char *mutating)
{
    /* Every method that the type really has, against the documented list. */
    PyObject *object = py_eval(container);
    PyObject *names = PyObject_Dir((PyObject *)Py_TYPE(object));
    int found = 0, listed = 1;
    for (const char *at = mutating; *at; at++)
        listed += *at == ' ';
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        const char *name = PyUnicode_AsUTF8(PyList_GET_ITEM(names, i));
        char padded[64], list[512];
        snprintf(padded, sizeof padded, " %s ", name);
        snprintf(list, sizeof list, " %s ", mutating);
        bool expected = strstr(list, padded) != NULL;
        if (mt_snapshot_method_of(object, mt_snapshot_method(name)) != expected)
            fail_msg("%s.%s: expected %d", container, name, expected);
        found += expected;
        if (expected)
            assert_true(mt_snapshot_method(name));
    }
#if PY_VERSION_HEX >= 0x03090000
    assert_int_equal(found, listed); /* dict.__ior__ came with 3.9 */
#endif
    Py_DECREF(names);
    Py_DECREF(object);
}

static void test_snapshot_knows_mutating_methods(void **state)
{
    assert_methods("[]", "append extend insert remove pop clear sort reverse __setitem__ "
                         "__delitem__ __iadd__ __imul__");
    assert_methods("{}", "update setdefault pop popitem clear __setitem__ __delitem__ __ior__");
    assert_methods("set()", "add discard remove pop clear update intersection_update "
                            "difference_update symmetric_difference_update __ior__ __iand__ "
                            "__isub__ __ixor__");
    assert_methods("bytearray()", "append extend insert remove pop clear reverse __setitem__ "
                                  "__delitem__ __iadd__ __imul__");
    assert_methods("collections.deque()", "append appendleft extend extendleft insert remove pop "
                                          "popleft clear rotate reverse __setitem__ __delitem__ "
                                          "__iadd__ __imul__");
    assert_false(mt_snapshot_method("index"));
    assert_false(mt_snapshot_method("copy"));
    assert_false(mt_snapshot_method(""));
}

/* container.method(*arguments), which the length tells of, or not. */
static void assert_tells(bool expected, const char *container, const char *method,
                         const char *first)
{
    PyObject *object = py_eval(container), *argument = first ? py_eval(first) : NULL;
    if (mt_snapshot_length_tells(object, mt_snapshot_method(method), argument) != expected)
        fail_msg("%s.%s(%s): expected %d", container, method, first ? first : "", expected);
    Py_XDECREF(argument);
    Py_DECREF(object);
}

static void test_snapshot_knows_where_the_length_tells(void **state)
{
    assert_tells(true, "[]", "append", "1");
    assert_tells(true, "[1]", "pop", NULL);
    assert_tells(true, "[1]", "pop", "0");
    assert_tells(true, "[]", "insert", "0");
    assert_tells(true, "[]", "extend", "(1,)");
    assert_tells(true, "{}", "popitem", NULL);
    assert_tells(true, "{}", "pop", "'a'");
    assert_tells(true, "{}", "setdefault", "1");
    assert_tells(true, "set()", "add", "b'a'");
    assert_tells(true, "bytearray()", "append", "1");
    // These change what is there, or run code that could.
    assert_tells(false, "[1]", "pop", "hostile(int)(5)");
    assert_tells(false, "[1]", "insert", "True");
    assert_tells(false, "[]", "extend", "iter([1])");
    assert_tells(false, "[1]", "clear", NULL);
    assert_tells(false, "[1]", "remove", "1");
    assert_tells(false, "[1]", "sort", NULL);
    assert_tells(false, "[1]", "__setitem__", "0");
    assert_tells(false, "{}", "update", "{}");
    assert_tells(false, "{}", "pop", "Key(3)");
    assert_tells(false, "{}", "__setitem__", "'a'");
    assert_tells(false, "set()", "add", "(Key(3),)");
    assert_tells(false, "set()", "update", "'a'");
    assert_tells(false, "collections.deque([1], 1)", "append", "2");
}

static void test_snapshot_measures_length(void **state)
{
    static const char *const containers[] = {"[1, 2, 3]", "{1: 0, 2: 0, 'a': 0}", "{1, 2, 3}",
                                             "bytearray(b'abc')", "collections.deque('abc')"};
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
        PyObject *object = py_eval(containers[i]);
        assert_int_equal(mt_snapshot_length(object), 3);
        Py_DECREF(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_sees_what_changes_a_list),
        cmocka_unit_test(test_snapshot_compares_scalars_by_value),
        cmocka_unit_test(test_snapshot_sees_what_changes_a_dict),
        cmocka_unit_test(test_snapshot_sees_what_changes_a_set),
        cmocka_unit_test(test_snapshot_sees_what_changes_a_bytearray),
        cmocka_unit_test(test_snapshot_sees_what_changes_a_deque),
        cmocka_unit_test(test_snapshot_runs_no_code_of_the_items),
        cmocka_unit_test(test_snapshot_takes_exact_containers_only),
        cmocka_unit_test(test_snapshot_knows_mutating_methods),
        cmocka_unit_test(test_snapshot_knows_where_the_length_tells),
        cmocka_unit_test(test_snapshot_measures_length),
    };
    return cmocka_run_group_tests(tests, py_begin_group, py_end_group);
}
