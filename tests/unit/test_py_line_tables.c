/* line_tables: which tables stay, which go, and what becomes of the code's word. Runs in an
 * embedded interpreter; where that has no such tables there is nothing to test. */
#include <Python.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine.h"
#include "frame.h"
#include "line_tables.h"
#include "py_support.h"
#include "request.h"
#include "ring.h"
#include "verdict.h"

enum { CODES = 64 };

#if MT_HAVE_LINE_TABLES

static PyObject *codes; /* owned list of code objects, all of the same shape */

static PyCodeObject *code_at(int i)
{
    return (PyCodeObject *)PyList_GET_ITEM(codes, i);
}

static bool has_table(int i)
{
    return code_at(i)->_co_linearray != NULL;
}

/* What the interpreter and the driver do when code is called. */
static struct mt_plan *call(PyCodeObject *code)
{
    if (!code->_co_linearray) {
        code->_co_linearray_entry_size = 2;
        code->_co_linearray = PyMem_Calloc((size_t)Py_SIZE(code), 2);
    }
    return mt_verdict_plan(code);
}

/* Recording under options of which the codes of these tests are no part, or are. */
static void configure(const char *only, size_t bytes_max)
{
    static struct mt_request request;
    char text[100];
    snprintf(text, sizeof text, "verb=install\nonly=%s\nplan-bytes=%zu\n", only, bytes_max);
    assert_int_equal(mt_request_parse(text, &request), MT_OK);
    assert_int_equal(mt_engine_configure(&request, false), MT_OK);
}

/* New code objects, and room for the tables of `tables` of them. */
static void begin(size_t tables)
{
    Py_CLEAR(codes);
    assert_int_equal(mt_line_tables_bytes(), 0);
    codes = py_eval("[compile(f'def f(a):\\n x = a\\n y = a\\n', f'{i:03}.py', 'exec').co_consts[0]"
                    " for i in range(64)]");
    configure("nothing.py", tables * mt_code_line_table_bytes(code_at(0)));
}

static void test_tables_within_the_bound_all_stay(void **state)
{
    begin(16);
    for (int i = 0; i < 16; i++)
        call(code_at(i));
    assert_int_equal(mt_line_tables_bytes(), 16 * mt_code_line_table_bytes(code_at(0)));
    for (int i = 0; i < 16; i++)
        assert_true(has_table(i));
}

static void test_the_oldest_tables_go(void **state)
{
    begin(16);
    for (int i = 0; i < CODES; i++)
        call(code_at(i));
    for (int i = 0; i < CODES; i++)
        assert_int_equal(has_table(i), i >= CODES - 16);
}

static void test_a_table_made_again_is_noted_again(void **state)
{
    begin(1);
    for (int i = 0; i < 10 * CODES; i++) {
        assert_null(call(code_at(i % CODES)));
        for (int k = 0; k < CODES; k++)
            assert_int_equal(has_table(k), k == i % CODES);
    }
}

static void test_code_that_is_called_over_and_over_is_noted_once(void **state)
{
    begin(16);
    for (int i = 0; i < 100; i++)
        call(code_at(0));
    assert_int_equal(mt_line_tables_bytes(), mt_code_line_table_bytes(code_at(0)));
}

static void test_code_that_dies_is_forgotten(void **state)
{
    begin(16);
    for (int i = 0; i < 16; i++)
        call(code_at(i));
    PyList_SetSlice(codes, 4, 12, NULL);
    assert_int_equal(mt_line_tables_bytes(), 8 * mt_code_line_table_bytes(code_at(0)));
    for (int i = 8; i < 16; i++)
        call(code_at(i));
    for (int i = 0; i < 16; i++)
        assert_true(has_table(i));
}

static void test_code_that_becomes_traced_keeps_its_table(void **state)
{
    begin(1);
    call(code_at(0));
    configure("000.py", 1 << 20);
    assert_non_null(call(code_at(0)));
    assert_int_equal(mt_line_tables_bytes(), 0);
    for (int i = 1; i < CODES; i++)
        call(code_at(i));
    assert_true(has_table(0));
}

static void test_code_whose_plan_was_dropped_is_noted_too(void **state)
{
    begin(1);
    configure("00?.py", 0); // no room for a second plan
    for (int i = 0; i < 8; i++)
        assert_non_null(call(code_at(i)));
    configure("nothing.py", 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 7; i++) {
            assert_null(call(code_at(i)));
            assert_true(has_table(i));
            assert_int_equal(mt_line_tables_bytes(), mt_code_line_table_bytes(code_at(0)));
        }
    }
    PyList_SetSlice(codes, 6, 7, NULL);
    assert_int_equal(mt_line_tables_bytes(), 0);
}

static int start(void **state)
{
    py_start();
    return mt_buffer_create(1 << 20, &mt_control) == MT_OK ? 0 : -1;
}

static int stop(void **state)
{
    Py_CLEAR(codes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_within_the_bound_all_stay),
        cmocka_unit_test(test_the_oldest_tables_go),
        cmocka_unit_test(test_a_table_made_again_is_noted_again),
        cmocka_unit_test(test_code_that_is_called_over_and_over_is_noted_once),
        cmocka_unit_test(test_code_that_dies_is_forgotten),
        cmocka_unit_test(test_code_that_becomes_traced_keeps_its_table),
        cmocka_unit_test(test_code_whose_plan_was_dropped_is_noted_too),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

#else

int main(void)
{
    puts("skipped: only CPython 3.11 makes tables of lines, and this is " PY_VERSION);
    return 0;
}

#endif
