/* Conditions that need no Python, against what Python says of them. */
#include "units.h"

#include "condition.h"
#include "py_support.h"

static const char *const values[] = {
    "0",         "1",           "-1",      "7",     "-7",      "10**9", "2**53",
    "2**53 + 1", "2**63 - 1",   "-2**63",  "2**63", "-10**30", "True",  "False",
    "None",      "0.0",         "-0.0",    "0.5",   "1.0",     "7.0",   "float('nan')",
    "1e300",     "-1e308 * 10", "2.0**53", "''",    "'x'",     "'xy'",  "'\\xe9'",
    "'\\u20ac'", "'gold'",      "b'x'",    "[1]",   "(1,)",    "1j",    "object()",
};
enum { VALUES = sizeof values / sizeof *values };

static const char *const simple[] = {
    "new < 0",
    "new<=7",
    "0 > new",
    "new >= 1.0",
    "new == 'x'",
    "new != \"gold\"",
    "new == ''",
    "new is None",
    "new is not None",
    "old is new",
    "old is not new",
    "old != new",
    "old == new",
    "old < new",
    "new == None",
    "new is True",
    "False is not old",
    "new == True",
    "new > -7",
    "new < 1e300",
    " new\t==  7 ",
    "new == 0.5",
    "new > 1.5e-3",
    "1 == 1.0",
    "'a' == 'a'",
    "new < 9007199254740993",
    "new == 999999999999999999",
    "old is None",
};

static const char *const others[] = {
    "new",
    "not new",
    "new < 0 or old",
    "new < 0 < old",
    "new.balance < 0",
    "newer < 0",
    "new < limit",
    "len(new) > 3",
    "new == 'a' 'b'",
    "new == '\\n'",
    "new == b'x'",
    "new == 'x' + ''",
    "new == 0x10",
    "new == 1_000",
    "new == 1j",
    "new is 7",
    "new in (1, 2)",
    "new == 'caf\xc3\xa9'",
    "new == 1 # no",
    "(new < 0)",
    "new isnot None",
    "new == 10000000000000000000",
    "new == 1e",
    "new == 1e999999999999999999999x",
};

// What Python says: 0, 1, or -1 for an exception.
static int python_says(const char *condition, PyObject *old_object, PyObject *new_object)
{
    PyDict_SetItemString(py_globals, "old", old_object);
    PyDict_SetItemString(py_globals, "new", new_object);
    PyObject *result =
        PyRun_String(condition + strspn(condition, " "), Py_eval_input, py_globals, py_globals);
    int truth = result ? PyObject_IsTrue(result) : -1;
    PyErr_Clear();
    Py_XDECREF(result);
    return truth;
}

static void test_condition_is_what_python_says(void **state)
{
    int decided = 0;
    PyObject *objects[VALUES];
    for (int i = 0; i < VALUES; i++)
        objects[i] = py_eval(values[i]);
    for (size_t c = 0; c < sizeof simple / sizeof *simple; c++) {
        struct mt_condition condition;
        if (!mt_condition_parse(simple[c], &condition))
            fail_msg("not simple: %s", simple[c]);
        for (int i = 0; i < VALUES * VALUES; i++) {
            PyObject *old_object = objects[i / VALUES], *new_object = objects[i % VALUES];
            enum mt_truth truth = mt_condition_holds(&condition, old_object, new_object);
            assert_null(PyErr_Occurred());
            int expected = python_says(simple[c], old_object, new_object);
            decided += truth != MT_UNKNOWN;
            if (truth != MT_UNKNOWN && (truth == MT_TRUE) != expected)
                fail_msg("%s with old %s and new %s: %d, but Python says %d", simple[c],
                         values[i / VALUES], values[i % VALUES], truth, expected);
        }
    }
    assert_true(decided > VALUES * VALUES * 15);
    for (int i = 0; i < VALUES; i++)
        Py_DECREF(objects[i]);
}

static enum mt_truth holds(const char *text, const char *old_source, const char *new_source)
{
    struct mt_condition condition;
    PyObject *old_object = old_source ? py_eval(old_source) : NULL;
    PyObject *new_object = new_source ? py_eval(new_source) : NULL;
    assert_true(mt_condition_parse(text, &condition));
    enum mt_truth truth = mt_condition_holds(&condition, old_object, new_object);
    Py_XDECREF(old_object);
    Py_XDECREF(new_object);
    return truth;
}

static void test_condition_decides_the_common(void **state)
{
    assert_int_equal(holds("new < 0", NULL, "-20"), MT_TRUE);
    assert_int_equal(holds("new < 0", NULL, "2.5"), MT_FALSE);
    assert_int_equal(holds("new == 'x'", NULL, "'x'"), MT_TRUE);
    assert_int_equal(holds("new == 'x'", NULL, "7"), MT_FALSE);
    assert_int_equal(holds("new is None", NULL, "[]"), MT_FALSE);
    assert_int_equal(holds("old != new", "'a' * 100", "'a' * 99 + 'b'"), MT_TRUE);
}

static void test_condition_leaves_the_rest_to_python(void **state)
{
    struct mt_condition condition;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (mt_condition_parse(others[i], &condition))
            fail_msg("understood: %s", others[i]);
    assert_int_equal(holds("new < 0", "1", NULL), MT_UNKNOWN); // a deleted variable
    assert_int_equal(holds("old == 1", NULL, "1"), MT_UNKNOWN);
    assert_int_equal(holds("new < 0", NULL, "'x'"), MT_UNKNOWN); // a TypeError
    assert_int_equal(holds("new < 'b'", NULL, "'a'"), MT_UNKNOWN);
    assert_int_equal(holds("new == 1", NULL, "hostile(int)(5)"), MT_UNKNOWN);
    assert_int_equal(holds("new == 'x'", NULL, "hostile(str)('x')"), MT_UNKNOWN);
    assert_int_equal(holds("new == 1.0", NULL, "2**53 + 1"), MT_UNKNOWN);
    assert_int_equal(py_number("len(ran)"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_condition_is_what_python_says),
        cmocka_unit_test(test_condition_decides_the_common),
        cmocka_unit_test(test_condition_leaves_the_rest_to_python),
    };
    return cmocka_run_group_tests(tests, py_begin_group, py_end_group);
}
