/* Which code is traced. Runs in an embedded interpreter, whose library is put where the tests
 * want it. */
#include <Python.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "filter.h"
#include "py_support.h"
#include "status.h"

#define VERSION_DIR "python" Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION)

static struct mt_request request;

/* Put a request's options in force until the next. */
static void configure(const char *text)
{
    mt_request_deinit(&request);
    if (mt_request_parse(text, &request) != MT_OK)
        fail_msg("%s: %s", text, mt_status_detail());
    mt_filter_configure(&request);
}

static bool traces(const char *file, const char *qualname)
{
    PyCodeObject *code = PyCode_NewEmpty(file, qualname, 1);
    assert_non_null(code);
    Py_ssize_t count = Py_REFCNT(code->co_filename);
    bool traced = mt_filter_traces(code, qualname);
    // What is certain without the name must not contradict.
    if (mt_filter_rejects(code))
        assert_false(traced);
    assert_int_equal(Py_REFCNT(code->co_filename), count);
    assert_null(PyErr_Occurred());
    Py_DECREF(code);
    return traced;
}

static void assert_traced(bool expected, const char *file, const char *qualname)
{
    if (traces(file, qualname) != expected)
        fail_msg("%s in %s: %s traced", qualname, file, expected ? "is not" : "is");
}

static bool rejects(const char *file)
{
    PyCodeObject *code = PyCode_NewEmpty(file, "f", 1);
    assert_non_null(code);
    bool rejected = mt_filter_rejects(code);
    Py_DECREF(code);
    return rejected;
}

static void test_filter_traces_code_of_the_user(void **state)
{
    static const char *const files[] = {
        "/srv/bank.py",
        "bank.py",
        "",
        "<string>",
        "<stdin>",
        "<ipython-input-1>",
        "/srv/lib/" VERSION_DIR "/bank.py",
        // Beside the library, and named as it is.
        "/opt/py/lib/" VERSION_DIR "0/bank.py",
        "/opt/py/lib/" VERSION_DIR ".py",
        "/opt/py/lib/bank.py",
        "/opt/py/libs/" VERSION_DIR "/bank.py",
        "/srv/site-packages",
        "/srv/my-site-packages/bank.py",
    };
    configure("");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_traced(true, files[i], "transfer");
        assert_false(rejects(files[i]));
    }
}

static void test_filter_leaves_out_library_packages_and_frozen_code(void **state)
{
    static const char *const files[] = {
        "/opt/py/lib/" VERSION_DIR "/os.py",
        "/opt/py/lib/" VERSION_DIR "/json/decoder.py",
        "/opt/platform/lib64/" VERSION_DIR "/_sysconfigdata.py",
        "/srv/venv/lib/" VERSION_DIR "/site-packages/requests/api.py",
        "/usr/lib/python3/dist-packages/apt/cache.py",
        "<frozen importlib._bootstrap>",
        "<frozen os>",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        configure("");
        assert_traced(false, files[i], "f");
        assert_true(rejects(files[i]));
        configure("all=1");
        assert_traced(true, files[i], "f");
        assert_false(rejects(files[i]));
    }
}

static void test_filter_without_a_library_traces_all_but_packages_and_frozen(void **state)
{
    py_exec("del sys.base_prefix, sys.base_exec_prefix");
    configure("");
    assert_traced(true, "/opt/py/lib/" VERSION_DIR "/os.py", "f");
    assert_traced(false, "/srv/site-packages/a.py", "f");
    assert_traced(false, "<frozen os>", "f");
}

static void test_filter_with_only_traces_what_a_glob_matches_library_or_not(void **state)
{
    configure("only=bank\nonly=decode\n");
    assert_traced(true, "/srv/bank.py", "transfer");
    assert_traced(true, "/opt/py/lib/" VERSION_DIR "/json/decoder.py", "JSONDecoder.decode");
    assert_traced(true, "<frozen codecs>", "decode");
    assert_traced(false, "/opt/py/lib/" VERSION_DIR "/json/decoder.py", "JSONDecoder.raw_decode");
    assert_traced(false, "/srv/shop.py", "transfer");
    configure("only=bank\nall=1\n");
    assert_traced(false, "/srv/shop.py", "transfer");
}

static void test_filter_with_skip_leaves_out_what_a_glob_matches(void **state)
{
    configure("skip=bank\nskip=*.close\n");
    assert_traced(false, "/srv/bank.py", "transfer");
    assert_traced(false, "/srv/shop.py", "Account.close");
    assert_traced(true, "/srv/shop.py", "Account.closed");
    assert_traced(false, "/opt/py/lib/" VERSION_DIR "/os.py", "f");
    configure("skip=bank\nall=1\n");
    assert_traced(false, "/srv/bank.py", "transfer");
    assert_traced(true, "/opt/py/lib/" VERSION_DIR "/os.py", "f");
    configure("skip=transfer\nonly=bank\n");
    assert_traced(false, "/srv/bank.py", "transfer");
    assert_traced(true, "/srv/bank.py", "close");
}

static void test_filter_skips_variables_by_their_whole_name(void **state)
{
    configure("skip-var=i\nskip-var=*.count\n");
    assert_true(mt_filter_skips_variable("i"));
    assert_true(mt_filter_skips_variable("self.count"));
    assert_false(mt_filter_skips_variable("ii"));
    assert_false(mt_filter_skips_variable("count"));
    configure("");
    assert_false(mt_filter_skips_variable("i"));
}

static void test_filter_globs_match_whole_texts_in_their_case(void **state)
{
    assert_true(mt_filter_glob("b*k", "bank"));
    assert_true(mt_filter_glob("b*k", "bk"));
    assert_true(mt_filter_glob("b?nk", "bank"));
    assert_true(mt_filter_glob("[a-c]ank", "bank"));
    assert_true(mt_filter_glob("[!a]ank", "bank"));
    assert_true(mt_filter_glob("*", ""));
    assert_true(mt_filter_glob("/srv/*", "/srv/a/b.py"));
    assert_true(mt_filter_glob("*.py", ".py"));
    assert_true(mt_filter_glob("a\\b", "a\\b"));
    assert_false(mt_filter_glob("ban", "bank"));
    assert_false(mt_filter_glob("ank", "bank"));
    assert_false(mt_filter_glob("Bank", "bank"));
    assert_false(mt_filter_glob("", "bank"));
    assert_false(mt_filter_glob("b?k", "bk"));
}

static void test_filter_globs_match_path_base_name_or_module(void **state)
{
    assert_true(mt_filter_file("/srv/bank.py", "/srv/bank.py"));
    assert_true(mt_filter_file("*/srv/*", "/srv/bank.py"));
    assert_true(mt_filter_file("bank.py", "/srv/bank.py"));
    assert_true(mt_filter_file("bank", "/srv/bank.py"));
    assert_true(mt_filter_file("bank", "bank.py"));
    assert_true(mt_filter_file("<string>", "<string>"));
    assert_true(mt_filter_file("a.b", "/srv/a.b.py"));
    assert_false(mt_filter_file("srv", "/srv/bank.py"));
    assert_false(mt_filter_file("bank", "/srv/bank/shop.py"));
    assert_false(mt_filter_file("a", "/srv/a.b.py"));
    char file[600];
    memset(file, 'm', sizeof file);
    memcpy(file + sizeof file - 4, ".py", 4);
    assert_true(mt_filter_file("m*.py", file));
    assert_false(mt_filter_file("m*m", file)); // beyond what a module's name is
}

static void test_filter_globs_match_qualified_or_plain_names(void **state)
{
    assert_true(mt_filter_function("close", "close"));
    assert_true(mt_filter_function("close", "Account.close"));
    assert_true(mt_filter_function("Account.close", "Account.close"));
    assert_true(mt_filter_function("Account.*", "Account.close"));
    assert_true(mt_filter_function("<lambda>", "f.<locals>.<lambda>"));
    assert_false(mt_filter_function("Account", "Account.close"));
    assert_false(mt_filter_function("lose", "Account.close"));
}

static void test_filter_stands_a_file_name_that_is_no_text(void **state)
{
    PyObject *code = py_eval("compile('1', '/srv/\\udcff.py', 'exec')");
    configure("");
    assert_true(mt_filter_traces((PyCodeObject *)code, "f"));
    assert_false(mt_filter_rejects((PyCodeObject *)code));
    configure("only=/srv/*\n");
    assert_false(mt_filter_traces((PyCodeObject *)code, "f"));
    configure("only=f\n");
    assert_true(mt_filter_traces((PyCodeObject *)code, "f"));
    assert_null(PyErr_Occurred());
    Py_DECREF(code);
}

static int start(void **state)
{
    py_start();
    py_exec("prefixes = sys.base_prefix, sys.base_exec_prefix, getattr(sys, 'platlibdir', None)");
    return 0;
}

static int set_up(void **state)
{
    py_exec("sys.base_prefix, sys.base_exec_prefix = '/opt/py', '/opt/platform'\n"
            "sys.platlibdir = 'lib64'");
    return 0;
}

static int stop(void **state)
{
    mt_request_deinit(&request);
    py_exec("sys.base_prefix, sys.base_exec_prefix, sys.platlibdir = prefixes");
    return Py_FinalizeEx();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_filter_traces_code_of_the_user, set_up),
        cmocka_unit_test_setup(test_filter_leaves_out_library_packages_and_frozen_code, set_up),
        cmocka_unit_test_setup(test_filter_without_a_library_traces_all_but_packages_and_frozen,
                               set_up),
        cmocka_unit_test_setup(test_filter_with_only_traces_what_a_glob_matches_library_or_not,
                               set_up),
        cmocka_unit_test_setup(test_filter_with_skip_leaves_out_what_a_glob_matches, set_up),
        cmocka_unit_test_setup(test_filter_skips_variables_by_their_whole_name, set_up),
        cmocka_unit_test(test_filter_globs_match_whole_texts_in_their_case),
        cmocka_unit_test(test_filter_globs_match_path_base_name_or_module),
        cmocka_unit_test(test_filter_globs_match_qualified_or_plain_names),
        cmocka_unit_test_setup(test_filter_stands_a_file_name_that_is_no_text, set_up),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
