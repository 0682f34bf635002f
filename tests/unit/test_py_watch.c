/* Variable breakpoints: where they apply, what they hit, and that looking changes nothing. Runs
 * in an embedded interpreter: a traced function calls look(), which asks what an event in that
 * function's frame hits. */
#include <Python.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "py_support.h"
#include "status.h"
#include "value.h"
#include "watch.h"

static struct mt_request request;

/* Arm a request's breakpoints. */
static enum mt_status arm(const char *text)
{
    struct mt_request fresh;
    if (mt_request_parse(text, &fresh) != MT_OK)
        fail_msg("%s: %s", text, mt_status_detail());
    enum mt_status status = mt_watch_configure(&fresh);
    mt_request_deinit(status == MT_OK ? &request : &fresh);
    if (status == MT_OK)
        request = fresh;
    return status;
}

/* An event, and what it hits: numbers as "1 2", then the error. Objects by Python source, NULL
 * where there is none. */
struct look {
    const char *name, *key_text, *key, *old_source, *new_source;
    enum mt_kind kind;
    char hits[128];
};

static struct look *looking;

/* The method look(). */
static PyObject *look(PyObject *self, PyObject *nothing)
{
    struct mt_plan *plan;
    struct mt_value key;
    struct mt_hit hit;
    mt_frame *frame = mt_frame_current(mt_tstate_self());
    assert_int_equal(mt_plan_create(mt_frame_code(frame), &plan), MT_OK);
    PyObject *old_object = looking->old_source ? py_eval(looking->old_source) : NULL;
    PyObject *new_object = looking->new_source ? py_eval(looking->new_source) : NULL;
    PyObject *key_object = looking->key ? py_eval(looking->key) : NULL;
    if (key_object)
        assert_true(mt_value_capture_key(key_object, &key));
    PyObject *seen =
        Py_BuildValue("(OO)", old_object ? old_object : Py_None, new_object ? new_object : Py_None);
    struct mt_watch_event event = {
        .frame = frame,
        .plan = plan,
        .name = looking->name,
        .key_text = looking->key_text ? looking->key_text : "",
        .key = key_object ? &key : NULL,
        .kind = looking->kind,
        .old_object = old_object,
        .new_object = new_object,
    };
    struct py_watch watch = py_watch_begin(seen);
    bool any = mt_watch_check(&event, &hit);
    py_watch_end(&watch);

    size_t size = 0;
    for (uint32_t i = 0; i < hit.count; i++)
        size += (size_t)snprintf(looking->hits + size, sizeof looking->hits - size, "%s%u",
                                 i ? " " : "", hit.ids[i]);
    snprintf(looking->hits + size, sizeof looking->hits - size, "%s%s", *hit.error ? " " : "",
             hit.error);
    assert_int_equal(any, hit.count != 0);
    Py_DECREF(seen);
    Py_XDECREF(key_object);
    Py_XDECREF(new_object);
    Py_XDECREF(old_object);
    mt_plan_destroy(plan);
    Py_RETURN_NONE;
}

/* Look at an event while `source` runs, which calls look(). */
static void assert_hits_in(const char *source, struct look event, const char *expected)
{
    looking = &event;
    strcpy(event.hits, "look() was not called");
    py_exec(source);
    looking = NULL;
    if (strcmp(event.hits, expected) != 0)
        fail_msg("%s%s%s: hits \"%s\", not \"%s\"", event.name,
                 event.key || event.key_text ? " " : "",
                 event.key        ? event.key
                 : event.key_text ? event.key_text
                                  : "",
                 event.hits, expected);
}

#define ASSERT_HITS(expected, ...) \
    assert_hits_in("transfer(100)", (struct look){__VA_ARGS__}, expected)

static void test_watch_hits_the_variable_of_its_name(void **state)
{
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak=2\nbreak-target=self.balance\n"
                         "break=3\nbreak-target=b\n"),
                     MT_OK);
    assert_int_equal(mt_watch_count(), 3);
    ASSERT_HITS("1 3", .name = "b", .kind = MT_MODIFIED, .old_source = "1", .new_source = "2");
    ASSERT_HITS("1 3", .name = "b", .kind = MT_NEW, .new_source = "2");
    ASSERT_HITS("1 3", .name = "b", .kind = MT_DELETED, .old_source = "2");
    ASSERT_HITS("2", .name = "self.balance", .new_source = "2");
    ASSERT_HITS("", .name = "balance");
    ASSERT_HITS("", .name = "self");
    ASSERT_HITS("", .name = "bb");
    ASSERT_HITS("", .name = "b", .key = "0");
    ASSERT_HITS("", .name = "b", .key_text = "i");
}

static void test_watch_hits_the_item_of_its_key(void **state)
{
    static const char *const keys[] = {
        "4",    "-1",  "0x10",    "1_000", "1.5",  "1e3",     "-0.5", "True",
        "None", "'a'", "\"a]b\"", "'[' ",  "b'a'", "1 << 40", "'é'",
    };
    char text[128];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(text, sizeof text, "break=1\nbreak-target=flags[%s]\n", keys[i]);
        bool literal = strcmp(keys[i], "1 << 40") != 0;
        assert_int_equal(arm(text), MT_OK);
        ASSERT_HITS(literal ? "1" : "", .name = "flags", .key = keys[i]);
        ASSERT_HITS("", .name = "flag", .key = keys[i]);
        ASSERT_HITS("", .name = "flags", .key = "'other'");
        ASSERT_HITS("", .name = "flags", .key = "17");
        ASSERT_HITS("", .name = "flags");
    }
    // Of equal keys the one of the same type.
    assert_int_equal(arm("break=1\nbreak-target=flags[1]\n"), MT_OK);
    ASSERT_HITS("", .name = "flags", .key = "True");
    ASSERT_HITS("", .name = "flags", .key = "1.0");
    ASSERT_HITS("", .name = "flags", .key = "'1'");
    assert_int_equal(arm("break=1\nbreak-target=flags[True]\n"), MT_OK);
    ASSERT_HITS("", .name = "flags", .key = "None");
    // Below another item, and by the key's expression.
    assert_int_equal(arm("break=1\nbreak-target=m[0][1]\nbreak=2\nbreak-target=grid[point]\n"
                         "break=3\nbreak-target=d[abc]\n"),
                     MT_OK);
    ASSERT_HITS("1", .name = "m[0]", .key = "1");
    ASSERT_HITS("", .name = "m", .key = "1");
    ASSERT_HITS("2", .name = "grid", .key_text = "point");
    ASSERT_HITS("", .name = "grid", .key_text = "points");
    ASSERT_HITS("3", .name = "d", .key_text = "abc"); // hex digits all, but a name
}

static void test_watch_applies_where_it_was_set(void **state)
{
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak-function=transfer\n"
                         "break=2\nbreak-target=b\nbreak-function=close\n"
                         "break=3\nbreak-target=b\nbreak-file=bank.py\n"
                         "break=4\nbreak-target=b\nbreak-file=shop.py\n"
                         "break=5\nbreak-target=b\nbreak-module=bank\n"
                         "break=6\nbreak-target=b\nbreak-module=shop\n"
                         "break=7\nbreak-target=b\nbreak-function=transfer\nbreak-file=*/bank.py\n"
                         "break=8\nbreak-target=b\nbreak-function=transfer\nbreak-file=shop\n"),
                     MT_OK);
    ASSERT_HITS("1 3 5 7", .name = "b");
    assert_hits_in("Account().close()", (struct look){.name = "b"}, "2 3 5");
}

static void test_watch_of_a_module_is_of_its_globals(void **state)
{
    PyObject *code = py_eval("transfer.__code__");
    struct mt_plan *plan;
    assert_int_equal(mt_plan_create((PyCodeObject *)code, &plan), MT_OK);
    assert_int_equal(arm("break=1\nbreak-target=total\nbreak-module=bank\n"), MT_OK);
    static const bool expected[MT_SCOPE_COUNT] = {
        [MT_GLOBAL] = true,
        [MT_NAME] = true,
        [MT_ATTRIBUTE] = true,
        [MT_ITEM] = true,
    };
    for (int scope = 0; scope < MT_SCOPE_COUNT; scope++)
        assert_int_equal(mt_watch_applies(plan->code, plan, (enum mt_scope)scope, "total"),
                         expected[scope]);
    assert_int_equal(mt_watch_applies(plan->code, plan, MT_GLOBAL, "totals"), 0);
    assert_int_equal(arm("break=1\nbreak-target=total\nbreak-module=bank\n"
                         "break-function=transfer\n"),
                     MT_OK);
    assert_int_equal(mt_watch_applies(plan->code, plan, MT_LOCAL, "total"), 1);
    assert_int_equal(arm("break=1\nbreak-target=total[0]\nbreak-function=close\n"), MT_OK);
    assert_int_equal(mt_watch_applies(plan->code, plan, MT_ITEM, "total"), 0);
    assert_int_equal(arm("break=1\nbreak-target=total[0]\n"), MT_OK);
    assert_int_equal(mt_watch_applies(plan->code, plan, MT_ITEM, "total"), 1);
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void assert_condition(const char *condition, const char *expected)
{
    char text[256];
    snprintf(text, sizeof text, "break=1\nbreak-target=b\nbreak-if=%s\n", condition);
    if (arm(text) != MT_OK)
        fail_msg("%s: %s", condition, mt_status_detail());
    ASSERT_HITS(expected, .name = "b", .kind = MT_MODIFIED, .old_source = "[1]",
                .new_source = "-20");
}

static void test_watch_condition_sees_old_new_and_the_frames_variables(void **state)
{
    assert_condition("new < 0", "1");
    assert_condition("new > 0", "");
    assert_condition("old == [1] and new == -20", "1");
    assert_condition("amount == 100", "1");        // an argument
    assert_condition("kept == 5", "1");            // a cell
    assert_condition("total == 7", "1");           // a global
    assert_condition("len(old) == abs(-1)", "1");  // builtins
    assert_condition("b == -20", "1");             // is bound anew already
    assert_condition("'unbound' in locals()", ""); // was never bound
    // A comprehension or a lambda can have a scope of its own.
    assert_condition("[k for k in (1, 2) if k == new]", "");
    assert_condition("any(k > new for k in old) and (lambda: kept + amount + total)() == 112", "1");
    // A class body's variables are a mapping.
    assert_int_equal(arm("break=1\nbreak-target=rate\nbreak-if=name == 'gold' and new\n"), MT_OK);
    assert_hits_in("class Tier:\n    name = 'gold'\n    look()\n",
                   (struct look){.name = "rate", .kind = MT_NEW, .new_source = "2"}, "1");
}

static void test_watch_condition_that_fails_hits_and_says_why(void **state)
{
    assert_condition("new.balance < 0",
                     "1 AttributeError: 'int' object has no attribute 'balance'");
    assert_condition("1 / 0", "1 ZeroDivisionError: division by zero");
    assert_condition("nothing", "1 NameError: name 'nothing' is not defined");
    assert_condition("Undecided()", "1 ValueError: neither true nor false");
    // What can't be read is not nothing.
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak-if=old > new\n"), MT_OK);
    ASSERT_HITS("1 NameError: name 'old' is not defined", .name = "b", .kind = MT_MODIFIED,
                .new_source = "1");
}

static void test_watch_condition_over_what_is_not_there_does_not_hold(void **state)
{
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak-if=old > 0\n"
                         "break=2\nbreak-target=b\nbreak-if=new > 0\n"
                         "break=3\nbreak-target=b\nbreak-if=old or new\n"
                         "break=4\nbreak-target=b\nbreak-if=amount\n"),
                     MT_OK);
    ASSERT_HITS("2 4", .name = "b", .kind = MT_NEW, .new_source = "1");
    ASSERT_HITS("1 3 4", .name = "b", .kind = MT_DELETED, .old_source = "1");
    ASSERT_HITS("1 2 3 4", .name = "b", .kind = MT_MODIFIED, .old_source = "1", .new_source = "2");
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak-if=any(old for _ in (1,))\n"
                         "break=2\nbreak-target=b\nbreak-if=Undecided.old == 3\n"),
                     MT_OK);
    ASSERT_HITS("2", .name = "b", .kind = MT_NEW, .new_source = "1"); // an attribute's name
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak-if=1 / 0 or old\n"), MT_OK);
    ASSERT_HITS("1 ZeroDivisionError: division by zero", .name = "b", .kind = MT_NEW,
                .new_source = "1");
}

static void test_watch_that_cannot_be_armed_leaves_those_before(void **state)
{
    assert_int_equal(arm("break=1\nbreak-target=b\n"), MT_OK);
    assert_int_equal(arm("break=2\nbreak-target=b\nbreak=3\nbreak-target=b\nbreak-if=new <\n"),
                     MT_BAD_REQUEST);
    assert_non_null(strstr(mt_status_detail(), "condition of breakpoint 3: new <: SyntaxError: "));
    assert_null(PyErr_Occurred());
    assert_int_equal(mt_watch_count(), 1);
    ASSERT_HITS("1", .name = "b");
    assert_int_equal(arm("break=2\nbreak-target=b\nbreak-if=x = 1\n"), MT_BAD_REQUEST);
    ASSERT_HITS("1", .name = "b");
}

static void test_watch_condition_is_compiled_without_a_warning(void **state)
{
    (void)state;
    const char *text = "break=1\nbreak-target=b\nbreak-if=new is 'never'\n";
    PyObject *before = py_eval("__import__('warnings').simplefilter('error') or"
                               " list(__import__('warnings').filters)");
    assert_int_equal(arm(text), MT_OK);
    PyObject *after = py_eval("__import__('warnings').filters");
    assert_int_equal(PyObject_RichCompareBool(before, after, Py_EQ), 1);
    Py_DECREF(after);
    Py_DECREF(before);
    Py_DECREF(py_eval("__import__('warnings').resetwarnings()"));
}

static void test_watch_cleared_hits_nothing(void **state)
{
    assert_int_equal(arm("break=1\nbreak-target=b\nbreak-if=1\n"), MT_OK);
    mt_watch_clear();
    assert_int_equal(mt_watch_count(), 0);
    ASSERT_HITS("", .name = "b");
    assert_int_equal(arm("break=1\nbreak-target=b\n"), MT_OK);
    assert_int_equal(arm(""), MT_OK);
    assert_int_equal(mt_watch_count(), 0);
}

static void test_watch_shows_as_many_hits_as_there_is_room_for(void **state)
{
    char text[1024];
    size_t size = 0;
    for (int i = 1; i <= MT_HIT_MAX + 4; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "break=%d\nbreak-target=b\n", i);
    assert_int_equal(arm(text), MT_OK);
    ASSERT_HITS("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", .name = "b");
}

static int start(void **state)
{
    static PyMethodDef method = {"look", look, METH_NOARGS, NULL};
    py_start();
    PyObject *function = PyCFunction_New(&method, NULL);
    PyDict_SetItemString(py_globals, "look", function);
    Py_XDECREF(function);
    py_exec("exec(compile('''\n"
            "total = 7\n"
            "def transfer(amount):\n"
            "    kept = 5\n"
            "    def closure(): return kept\n"
            "    look()\n"
            "    unbound = 1\n"
            "class Account:\n"
            "    def close(self): look()\n"
            "class Undecided:\n"
            "    old = 3\n"
            "    def __bool__(self): raise ValueError('neither true nor false')\n"
            "''', '/srv/bank.py', 'exec'))");
    return 0;
}

static int stop(void **state)
{
    mt_watch_clear();
    mt_request_deinit(&request);
    return Py_FinalizeEx();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_hits_the_variable_of_its_name),
        cmocka_unit_test(test_watch_hits_the_item_of_its_key),
        cmocka_unit_test(test_watch_applies_where_it_was_set),
        cmocka_unit_test(test_watch_of_a_module_is_of_its_globals),
        cmocka_unit_test(test_watch_condition_sees_old_new_and_the_frames_variables),
        cmocka_unit_test(test_watch_condition_that_fails_hits_and_says_why),
        cmocka_unit_test(test_watch_condition_over_what_is_not_there_does_not_hold),
        cmocka_unit_test(test_watch_that_cannot_be_armed_leaves_those_before),
        cmocka_unit_test(test_watch_condition_is_compiled_without_a_warning),
        cmocka_unit_test(test_watch_cleared_hits_nothing),
        cmocka_unit_test(test_watch_shows_as_many_hits_as_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
