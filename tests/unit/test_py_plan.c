/* plan: the store sites of every construct, their lines, scopes and names; that no store of
 * a library is missed; that bytecode made by hand does no harm. Runs in an embedded
 * interpreter. */
#include <Python.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plan.h"

static const char *const op_names[] = {
    [MT_SITE_STORE_FAST] = "STORE_FAST",
    [MT_SITE_DELETE_FAST] = "DELETE_FAST",
    [MT_SITE_STORE_DEREF] = "STORE_DEREF",
    [MT_SITE_DELETE_DEREF] = "DELETE_DEREF",
    [MT_SITE_STORE_NAME] = "STORE_NAME",
    [MT_SITE_DELETE_NAME] = "DELETE_NAME",
    [MT_SITE_STORE_GLOBAL] = "STORE_GLOBAL",
    [MT_SITE_DELETE_GLOBAL] = "DELETE_GLOBAL",
    [MT_SITE_STORE_ATTR] = "STORE_ATTR",
    [MT_SITE_DELETE_ATTR] = "DELETE_ATTR",
    [MT_SITE_STORE_ITEM] = "STORE_ITEM",
    [MT_SITE_DELETE_ITEM] = "DELETE_ITEM",
    [MT_SITE_STORE_SLICE] = "STORE_ITEM",
    [MT_SITE_INPLACE] = "INPLACE",
    [MT_SITE_CALL] = "CALL",
    [MT_SITE_CONTAINER] = "CONTAINER",
};

static const char *const scope_names[] = {
    "argument", "local", "cell", "global", "name", "attribute", "item",
};

/* Text that grows; cut at its end. */
struct text {
    char bytes[65536];
    size_t size;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size =
        vsnprintf(text->bytes + text->size, sizeof(text->bytes) - text->size, format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && text->size + (size_t)size < sizeof(text->bytes));
    text->size += (size_t)size;
}

/* `STORE_ITEM 3 item d['a']`: the sites of one plan, a line each. */
static void describe(struct text *text, const struct mt_plan *plan)
{
    for (uint32_t i = 0; i < plan->site_count; i++) {
        const struct mt_site *site = &plan->sites[i];
        add(text, "%s %d %s %s", op_names[site->op], site->line, scope_names[site->scope],
            mt_site_name(site));
        if (site->scope == MT_ITEM)
            add(text, "[%s]", mt_site_key(site));
        if (site->op == MT_SITE_CALL) {
            add(text, " .%s", PyUnicode_AsUTF8(mt_plan_name(plan->code, site->name_index)));
            if (site->self_is_bound)
                add(text, " bound");
        }
        if (site->restores)
            add(text, " restores");
        add(text, "\n");
    }
}

static struct mt_plan *plan_of(PyObject *code)
{
    struct mt_plan *plan;
    assert_int_equal(mt_plan_create((PyCodeObject *)code, &plan), MT_OK);
    assert_non_null(plan);
    assert_false(PyErr_Occurred());
    return plan;
}

/* The code of `source`, or of the function, class or comprehension nested in it along the
 * dotted `path` of co_names. New reference. */
static PyObject *compile_code(const char *source, const char *path)
{
    PyObject *code = Py_CompileString(source, "<test>", Py_file_input);
    if (!code)
        PyErr_Print();
    assert_non_null(code);
    while (*path) {
        size_t size = strcspn(path, ".");
        PyObject *consts = ((PyCodeObject *)code)->co_consts, *found = NULL;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(consts) && !found; i++) {
            PyObject *item = PyTuple_GET_ITEM(consts, i);
            if (!PyCode_Check(item))
                continue;
            const char *name = PyUnicode_AsUTF8(((PyCodeObject *)item)->co_name);
            if (strlen(name) == size && memcmp(name, path, size) == 0)
                found = item;
        }
        if (!found)
            fail_msg("no %s in the source", path);
        Py_INCREF(found);
        Py_DECREF(code);
        code = found;
        path += size + (path[size] == '.');
    }
    return code;
}

typedef void describe_plan(struct text *text, const struct mt_plan *plan);

/* What `describer` says of the plan of the code at `path`; `what` that is. */
static void check_plan(const char *source, const char *path, const char *what,
                       describe_plan *describer, const char *expected, int line)
{
    static struct text text;
    PyObject *code = compile_code(source, path);
    struct mt_plan *plan = plan_of(code);
    text.size = 0;
    text.bytes[0] = '\0';
    describer(&text, plan);
    if (strcmp(text.bytes, expected) != 0)
        fail_msg("line %d: %s of\n%s\nare\n%sand should be\n%s", line, what, source, text.bytes,
                 expected);
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

#define CHECK_SITES(source, path, expected) \
    check_plan(source, path, "sites", describe, expected, __LINE__)

/* ---- constructs -------------------------------------------------------------------------- */

static void test_plan_names_each_target_of_an_assignment(void **state)
{
    CHECK_SITES("a, b = 1, 2\nc = d = e\n*f, g = h\n(i, [j, *k]) = l\n", "",
                "STORE_NAME 1 name a\nSTORE_NAME 1 name b\n"
                "STORE_NAME 2 name c\nSTORE_NAME 2 name d\n"
                "STORE_NAME 3 name f\nSTORE_NAME 3 name g\n"
                "STORE_NAME 4 name i\nSTORE_NAME 4 name j\nSTORE_NAME 4 name k\n");
    CHECK_SITES("def f(p):\n  x, p.y = p\n  p.y, x[0] = p.y[1:2] = p, 1\n  x: int = 3\n", "f",
                "STORE_FAST 2 local x\nSTORE_ATTR 2 attribute p.y\n"
                "STORE_ATTR 3 attribute p.y\nSTORE_ITEM 3 item x[0]\n"
                "STORE_ITEM 3 item p.y[1:2]\nCONTAINER 3 attribute p.y\n"
                "STORE_FAST 4 local x\n");
}

static void test_plan_knows_scope_by_instruction(void **state)
{
    const char *source = "def f(arg):\n"
                         "  global g\n"
                         "  g = 1\n"
                         "  c = 2\n"
                         "  def inner():\n"
                         "    nonlocal c\n"
                         "    c = g\n"
                         "    del c\n"
                         "  arg = inner\n"
                         "  del g, arg\n";
    CHECK_SITES(source, "f",
                "STORE_GLOBAL 3 global g\nSTORE_DEREF 4 cell c\nSTORE_FAST 5 local inner\n"
                "STORE_FAST 9 local arg\nDELETE_GLOBAL 10 global g\nDELETE_FAST 10 local arg\n");
    CHECK_SITES(source, "f.inner", "STORE_DEREF 7 cell c\nDELETE_DEREF 8 cell c\n");
}

static void test_plan_joins_in_place_operator_and_its_store(void **state)
{
    const char *source = "def f(xs, o, k):\n"
                         "  xs += k\n"
                         "  o.a.b |= k\n"
                         "  o[k] ^= k\n"
                         "  xs *= 2\n"
                         "  o.n[0][k].m -= k\n";
    CHECK_SITES(source, "f",
                "INPLACE 2 local xs\nSTORE_FAST 2 local xs\n"
                "INPLACE 3 attribute o.a.b\nSTORE_ATTR 3 attribute o.a.b\n"
                "INPLACE 4 item o[k]\nSTORE_ITEM 4 item o[k]\nCONTAINER 4 local o\n"
                "INPLACE 5 local xs\nSTORE_FAST 5 local xs\n"
                "INPLACE 6 attribute o.n[0][k].m\nSTORE_ATTR 6 attribute o.n[0][k].m\n");

    PyObject *code = compile_code(source, "f");
    struct mt_plan *plan = plan_of(code);
    for (uint32_t i = 0; i < plan->site_count; i++) {
        if (plan->sites[i].op != MT_SITE_INPLACE)
            continue;
        const struct mt_site *partner = &plan->sites[plan->sites[i].partner];
        assert_true(partner->offset > plan->sites[i].offset);
        assert_ptr_equal(mt_site_name(partner), mt_site_name(&plan->sites[i]));
        assert_int_equal(partner->slot, plan->sites[i].slot);
        assert_int_equal(partner->name_index, plan->sites[i].name_index);
    }
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_leaves_out_in_place_operators_that_change_no_container(void **state)
{
    CHECK_SITES("def f(i, o, k):\n  i += 1\n  i -= 2.5\n  i //= k\n  i **= k\n  o[1:k] += k\n", "f",
                "STORE_FAST 2 local i\nSTORE_FAST 3 local i\nSTORE_FAST 4 local i\n"
                "STORE_FAST 5 local i\nSTORE_ITEM 6 item o[1:k]\nCONTAINER 6 local o\n");
}

static void test_plan_names_slices_and_their_container(void **state)
{
    CHECK_SITES("def f(o, a, b):\n"
                "  o[a:b] = o.xs[:] = a\n"
                "  o[a:] = 1\n"
                "  o[-1:b:2] = 1\n"
                "  del o.d['k'][a:b], o[:b]\n"
                "  f()[1:] = 1\n",
                "f",
                "STORE_ITEM 2 item o[a:b]\nCONTAINER 2 local o\n"
                "STORE_ITEM 2 item o.xs[:]\nCONTAINER 2 attribute o.xs\n"
                "STORE_ITEM 3 item o[a:]\nCONTAINER 3 local o\n"
                "STORE_ITEM 4 item o[-1:b:2]\nCONTAINER 4 local o\n"
                "DELETE_ITEM 5 item o.d['k'][a:b]\nCONTAINER 5 item o.d['k']\n"
                "DELETE_ITEM 5 item o[:b]\nCONTAINER 5 local o\n"
                "STORE_ITEM 6 item f(…)[1:]\n");
}

static void test_plan_deletes_everything_that_can_be_deleted(void **state)
{
    CHECK_SITES("x = 1\ndel x, x.a, x['b'], x[x], x[1:2].c\n", "",
                "STORE_NAME 1 name x\nDELETE_NAME 2 name x\nDELETE_ATTR 2 attribute x.a\n"
                "DELETE_ITEM 2 item x['b']\nDELETE_ITEM 2 item x[x]\n"
                "CONTAINER 2 name x\nDELETE_ATTR 2 attribute x[…].c\n");
}

static void test_plan_writes_expressions_as_the_programmer_did(void **state)
{
    CHECK_SITES("def f(o, k):\n"
                "  o.a['k'][-1][k.n][1, 'b'][None][2.5][b'x'][f(k)] = 1\n"
                "  f(o)(k).x = 1\n"
                "  o.m(1).n(k=2)[3] = 1\n"
                "  (o + k).x.y = 1\n"
                "  o[k + 1].z = 1\n"
                "  o[k + 1] = 1\n"
                "  (k or o).w = 1\n"
                "  o[f'{k}'][...] = 1\n"
                "  o[1 if k else 2].u = 1\n"
                "  super().v = 1\n",
                "f",
                "STORE_ITEM 2 item o.a['k'][-1][k.n][(1, 'b')][None][2.5][b'x'][f(…)]\n"
                "CONTAINER 2 item o.a['k'][-1][k.n][(1, 'b')][None][2.5][b'x']\n"
                "STORE_ATTR 3 attribute f(…)(…).x\n"
                "STORE_ITEM 4 item o.m(…).n(…)[3]\n"
                "STORE_ATTR 5 attribute ….x.y\n"
                "STORE_ATTR 6 attribute o[…].z\n"
                "STORE_ITEM 7 item o[…]\nCONTAINER 7 local o\n"
                "STORE_ATTR 8 attribute ….w\n"
                "STORE_ITEM 9 item o[…][Ellipsis]\n"
                "STORE_ATTR 10 attribute o[…].u\n"
                "STORE_ATTR 11 attribute super(…).v\n");
}

static void test_plan_finds_calls_of_mutating_methods(void **state)
{
    CHECK_SITES("def f(xs, o):\n"
                "  global g\n"
                "  xs.append(1)\n"
                "  o.a.b.update(k=1)\n"
                "  o['k'][xs].add(2)\n"
                "  g.pop()\n"
                "  xs.frob(1)\n"
                "  f(o).append(1)\n"
                "  [].append(1)\n"
                "  (xs + o).append(1)\n"
                "  xs.append\n"
                "  f(o).items.append(1)\n"
                "  def h(): o.clear(); xs.remove(1)\n",
                "f",
#if PY_VERSION_HEX >= 0x030B0000
                "CALL 3 cell xs .append\nCALL 4 attribute o.a.b .update\n"
#else
                "CALL 3 cell xs .append\nCALL 4 attribute o.a.b .update bound\n"
#endif
                "CALL 5 item o['k'][xs] .add\nCALL 6 global g .pop\n"
                "CALL 12 attribute f(…).items .append\nSTORE_FAST 13 local h\n");
    CHECK_SITES("def f(xs, y):\n  xs.append(y)\n  xs.sort(key=lambda v: v)\n", "f",
#if PY_VERSION_HEX >= 0x030B0000
                "CALL 2 local xs .append\nCALL 3 local xs .sort\n");
#else
                "CALL 2 local xs .append\nCALL 3 local xs .sort bound\n");
#endif
}

static void test_plan_follows_a_call_through_branches_in_its_arguments(void **state)
{
    CHECK_SITES("def f(xs, o, c):\n"
                "  xs.append(1 if c else 2)\n"
                "  o.xs.insert(c and o or 1, c if o < c < xs else (c := 3))\n"
                "  xs.extend([y for y in c if y] or [z.append(1) for z in o if z])\n"
                "  o[c].extend(*(c or xs))\n"
                "  xs.append(o.pop(c.append(1 if c else 2) if c else 3))\n"
                "  xs.append(\n"
                "    c)\n",
                "f",
                PY_VERSION_HEX >= 0x030C0000
                    ? "CALL 2 local xs .append\nSTORE_FAST 3 local c\n"
                      "CALL 3 attribute o.xs .insert\n"
                      "STORE_FAST 4 local y\nSTORE_FAST 4 local y restores\n"
                      "STORE_FAST 4 local z\nCALL 4 local z .append\n"
                      "STORE_FAST 4 local z restores\nCALL 4 local xs .extend\n"
                      "CALL 5 item o[c] .extend bound\nCALL 6 local c .append\n"
                      "CALL 6 local o .pop\nCALL 6 local xs .append\nCALL 7 local xs .append\n"
                      "STORE_FAST 4 local y restores\nSTORE_FAST 4 local z restores\n"
                    : "CALL 2 local xs .append\nSTORE_FAST 3 local c\n"
                      "CALL 3 attribute o.xs .insert\nCALL 4 local xs .extend\n"
                      "CALL 5 item o[c] .extend bound\nCALL 6 local c .append\n"
                      "CALL 6 local o .pop\nCALL 6 local xs .append\nCALL 7 local xs .append\n");
}

static void test_plan_has_the_stores_that_statements_imply(void **state)
{
    CHECK_SITES("import a.b, c as d\n"
                "from e import f, g as h\n"
                "for i in j: pass\n"
                "for k.l, m[0] in n: pass\n"
                "with o as p, q as r.s: pass\n"
                "(t := 1)\n"
                "@u\n"
                "def v(): pass\n",
                "",
                "STORE_NAME 1 name a\nSTORE_NAME 1 name d\nSTORE_NAME 2 name f\n"
                "STORE_NAME 2 name h\nSTORE_NAME 3 name i\nSTORE_ATTR 4 attribute k.l\n"
                "STORE_ITEM 4 item m[0]\nSTORE_NAME 5 name p\n"
                "STORE_ATTR 5 attribute r.s\nSTORE_NAME 6 name t\nSTORE_NAME 8 name v\n");
}

/* The stores to `name` in the code: "STORE STORE DELETE". */
static void stores_of(const char *source, const char *path, const char *name, struct text *text)
{
    PyObject *code = compile_code(source, path);
    struct mt_plan *plan = plan_of(code);
    text->size = 0;
    text->bytes[0] = '\0';
    for (uint32_t i = 0; i < plan->site_count; i++) {
        if (strcmp(mt_site_name(&plan->sites[i]), name) == 0)
            add(text, "%s ", op_names[plan->sites[i].op]);
    }
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_has_the_implicit_delete_of_except(void **state)
{
    static struct text text;
    stores_of("def f():\n  try: g()\n  except E as e: h()\n", "f", "e", &text);
    /* The handler's name, and its removal when the body ends and when it raises. */
    assert_string_equal(text.bytes, PY_VERSION_HEX >= 0x03090000
                                        ? "STORE_FAST STORE_FAST DELETE_FAST STORE_FAST "
                                          "DELETE_FAST "
                                        : "STORE_FAST STORE_FAST DELETE_FAST ");
}

static void test_plan_reads_class_bodies(void **state)
{
    static struct text text;
    const char *source =
        "class C(B):\n  'doc'\n  x: int = 1\n  def m(self): super().m()\n  del x\n";
    stores_of(source, "C", "x", &text);
    assert_string_equal(text.bytes, "STORE_NAME DELETE_NAME ");
    const char *implied[] = {"__module__", "__qualname__", "__doc__", "__classcell__"};
    for (size_t i = 0; i < 4; i++) {
        stores_of(source, "C", implied[i], &text);
        assert_string_equal(text.bytes, "STORE_NAME ");
    }
}

#if PY_VERSION_HEX >= 0x030A0000
static void test_plan_has_the_captures_of_match(void **state)
{
    static struct text text;
    const char *source = "def f(x):\n"
                         "  match x:\n"
                         "    case [a, *b]: pass\n"
                         "    case {'k': c, **d}: pass\n"
                         "    case P(x=e, y=1) as h: pass\n"
                         "    case i: pass\n";
    const char *captures[] = {"a", "b", "c", "d", "e", "h", "i"};
    for (size_t i = 0; i < sizeof(captures) / sizeof(*captures); i++) {
        stores_of(source, "f", captures[i], &text);
        assert_string_equal(text.bytes, "STORE_FAST ");
    }
}
#endif

static void test_plan_reads_generators_and_coroutines(void **state)
{
    CHECK_SITES("async def f(xs, q):\n"
                "  async with q as r: xs.append(await r)\n"
                "  async for s in q: xs.append((yield s))\n",
                "f",
                "STORE_FAST 2 local r\nCALL 2 local xs .append\nSTORE_FAST 3 local s\n"
                "CALL 3 local xs .append\n");
    CHECK_SITES("def f(xs):\n  xs.append((yield from xs))\n  x = yield 1\n", "f",
                "CALL 2 local xs .append\nSTORE_FAST 3 local x\n");
}

static void test_plan_keeps_expressions_across_try_and_with(void **state)
{
    static struct text text;
    stores_of("def f(xs, c):\n"
              "  for i in xs:\n"
              "    try:\n"
              "      with c: xs.append(c)\n"
              "    except E:\n"
              "      xs.append(1 if c else 2)\n"
              "    finally:\n"
              "      xs.append(c and i)\n",
              "f", "xs", &text);
    assert_true(strncmp(text.bytes, "CALL CALL CALL ", 15) == 0);
    assert_null(strstr(text.bytes, "STORE"));
}

static void test_plan_lists_arguments_in_order_of_the_signature(void **state)
{
    PyObject *code = compile_code("def f(a, /, b, c=1, *args, d, e=2, **kw):\n"
                                  "  x = 1\n"
                                  "  return lambda: (b, kw)\n",
                                  "f");
    struct mt_plan *plan = plan_of(code);
    const char *names[] = {"a", "b", "c", "d", "e", "args", "kw"};
    const bool cells[] = {false, true, false, false, false, false, true};
    assert_int_equal(plan->argument_count, 7);
    for (uint32_t i = 0; i < 7; i++) {
        assert_string_equal(mt_argument_name(&plan->arguments[i]), names[i]);
        assert_int_equal(plan->arguments[i].is_cell, cells[i]);
        /* Before 3.11 cells stand behind the locals. */
        bool moved = cells[i] && PY_VERSION_HEX < 0x030B0000;
        if (!moved)
            assert_int_equal(plan->arguments[i].slot, i);
        else
            assert_true(plan->arguments[i].slot >= ((PyCodeObject *)code)->co_nlocals);
    }
    assert_false(plan->is_generator);
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_leaves_out_the_iterator_of_a_comprehension(void **state)
{
    PyObject *code = compile_code("x = (y for y in z)\n", "<genexpr>");
    struct mt_plan *plan = plan_of(code);
    assert_int_equal(plan->argument_count, 0);
    assert_true(plan->is_generator);
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void check_qualname(PyObject *code, const char *expected)
{
    struct mt_plan *plan = plan_of(code);
    assert_string_equal(plan->qualname, expected);
    mt_plan_destroy(plan);
}

static void test_plan_knows_qualified_names_once_the_outer_code_was_seen(void **state)
{
    const char *source = "class C:\n"
                         "  def m(self):\n"
                         "    return [lambda: (x, self) for x in self]\n";
    PyObject *module = compile_code(source, "");
    PyObject *class_code = PyTuple_GET_ITEM(((PyCodeObject *)module)->co_consts, 0);
    PyObject *method_code = NULL;
    for (Py_ssize_t i = 0; !method_code; i++) {
        PyObject *item = PyTuple_GET_ITEM(((PyCodeObject *)class_code)->co_consts, i);
        method_code = PyCode_Check(item) ? item : NULL;
    }
    /* Seen alone, up to 3.10 nothing says that it is a method. */
    check_qualname(method_code, PY_VERSION_HEX >= 0x030B0000 ? "C.m" : "m");
    check_qualname(module, "<module>");
    check_qualname(class_code, "C");
    check_qualname(method_code, "C.m");
    Py_DECREF(module);

    module = compile_code("def f():\n  def g(): pass\n", "");
    PyObject *outer = PyTuple_GET_ITEM(((PyCodeObject *)module)->co_consts, 0);
    mt_plan_note_children((PyCodeObject *)outer);
    PyObject *inner = PyTuple_GET_ITEM(((PyCodeObject *)outer)->co_consts, 1);
    assert_true(PyCode_Check(inner));
    check_qualname(inner, "f.<locals>.g");
    Py_DECREF(module);
}

static void test_plan_finds_sites_by_offset(void **state)
{
    /* 400 names: the later ones need an EXTENDED_ARG prefix. */
    static char source[16384];
    size_t size = 0;
    for (int i = 0; i < 400; i++)
        size += (size_t)snprintf(source + size, sizeof(source) - size, "n%d = 1\n", i);
    PyObject *code = compile_code(source, "");
    struct mt_plan *plan = plan_of(code);
    for (uint32_t i = 0, line = 0; i < plan->site_count; i++) {
        struct mt_site *site = &plan->sites[i];
        if (site->op != MT_SITE_STORE_NAME)
            continue;
        assert_int_equal(site->line, ++line);
        assert_ptr_equal(mt_plan_site(plan, site->offset), site);
        /* Up to 3.11 the event comes at the prefix, from 3.12 on at both. */
        struct mt_site *prefix = mt_plan_site(plan, site->offset - 2);
        if (line > 256)
            assert_true(PY_VERSION_HEX < 0x030C0000 ? prefix == site : prefix != site);
        else
            assert_ptr_not_equal(prefix, site);
    }
    assert_null(mt_plan_site(plan, 1 << 20));
    assert_null(mt_plan_site(plan, -2));
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_without_sites_takes_no_table(void **state)
{
    PyObject *code = compile_code("def f(): return g()\n", "f");
    struct mt_plan *plan = plan_of(code);
    assert_int_equal(plan->site_count, 0);
    assert_int_equal(plan->unit_count, 0);
    assert_null(mt_plan_site(plan, 0));
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_finds_sites_where_there_are_too_many_for_the_table(void **state)
{
    enum { STORES = 70000 };
    char *source = malloc(STORES * 4 + 1);
    assert_non_null(source);
    for (int i = 0; i < STORES; i++)
        memcpy(source + 4 * i, "x=1\n", 4);
    source[STORES * 4] = '\0';
    PyObject *code = compile_code(source, "");
    free(source);
    struct mt_plan *plan = plan_of(code);
    uint32_t found = 0;
    for (uint32_t i = 0; i < plan->site_count; i++)
        found += mt_plan_site(plan, plan->sites[i].offset) == &plan->sites[i] &&
                 plan->sites[i].op == MT_SITE_STORE_NAME;
    assert_int_equal(found, STORES);
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

/* ---- whole libraries ---------------------------------------------------------------------- */

/* Python's own view of a library: for each code object every offset with a STORE_ or DELETE_
 * instruction. Opcodes are at even bytes; inline caches read as zero there. */
static const char scan_library[] =
    "import opcode, os\n"
    "stores = {n for name, n in opcode.opmap.items()\n"
    "          if name.startswith(('STORE_', 'DELETE_')) and n < 256}\n"
    "root = os.path.dirname(os.__file__)\n"
    "folders = ['', 'asyncio', 'collections', 'concurrent/futures', 'email', 'http', 'json',\n"
    "           'logging', 'multiprocessing', 'unittest', 'test']\n"
    "def codes(code):\n"
    "    yield code\n"
    "    for const in code.co_consts:\n"
    "        if hasattr(const, 'co_code'):\n"
    "            yield from codes(const)\n"
    "found = []\n"
    "for folder in folders:\n"
    "    path = os.path.join(root, folder)\n"
    "    if not os.path.isdir(path):\n"
    "        continue\n"
    "    for name in sorted(os.listdir(path))[:120]:\n"
    "        if not name.endswith('.py') or name.startswith('bad'):\n"
    "            continue\n"
    "        with open(os.path.join(path, name), 'rb') as f:\n"
    "            try:\n"
    "                module = compile(f.read(), name, 'exec')\n"
    "            except (SyntaxError, ValueError):\n"
    "                continue\n"
    "        for code in codes(module):\n"
    "            text = code.co_code\n"
    "            found.append((code, [i for i in range(0, len(text), 2)\n"
    "                                 if text[i] in stores]))\n";

static PyObject *run(const char *source, const char *result)
{
    PyObject *globals = PyDict_New();
    PyObject *ret = PyRun_String(source, Py_file_input, globals, globals);
    if (!ret)
        PyErr_Print();
    assert_non_null(ret);
    Py_DECREF(ret);
    ret = PyDict_GetItemString(globals, result);
    assert_non_null(ret);
    Py_INCREF(ret);
    Py_DECREF(globals);
    return ret;
}

static void test_plan_misses_no_store_of_the_standard_library(void **state)
{
    PyObject *found = run(scan_library, "found");
    Py_ssize_t count = PyList_GET_SIZE(found), stores = 0, unknown = 0;
    assert_true(count > 3000);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *code = PyTuple_GET_ITEM(PyList_GET_ITEM(found, i), 0);
        PyObject *offsets = PyTuple_GET_ITEM(PyList_GET_ITEM(found, i), 1);
        struct mt_plan *plan = plan_of(code);
        for (Py_ssize_t k = 0; k < PyList_GET_SIZE(offsets); k++) {
            int offset = (int)PyLong_AsLong(PyList_GET_ITEM(offsets, k));
            const struct mt_site *site = mt_plan_site(plan, offset);
            assert_non_null(site);
            assert_int_equal(site->offset, offset);
            assert_true(site->op < MT_SITE_INPLACE);
            assert_true(mt_site_name(site)[0] != '\0');
            stores++;
        }
        for (uint32_t k = 0; k < plan->site_count; k++) {
            assert_true(plan->sites[k].depth <= ((PyCodeObject *)code)->co_stacksize);
            unknown += plan->sites[k].depth < 0;
        }
        mt_plan_destroy(plan);
    }
    print_message("%zd code objects, %zd stores, %zd of unknown depth\n", count, stores, unknown);
    /* Some of what the compiler writes can't be reached: the end of an `except … as` that
     * raises in its last statement. Up to 3.9 finally blocks can have several depths, too. */
    assert_true(unknown * (PY_VERSION_HEX >= 0x030A0000 ? 1000 : 100) < stores);
    Py_DECREF(found);
}

/* Code objects with random bytes in every table; none is ever run. */
static const char damage[] =
    "import json.decoder, random, opcode, sys\n"
    "rng = random.Random(20)\n"
    "nop = bytes([opcode.opmap['NOP'], 0]) * 16\n"
    "def spoil(data, rate):\n"
    "    data = bytearray(data)\n"
    "    for i in range(len(data)):\n"
    "        if rng.random() < rate:\n"
    "            data[i] = rng.randrange(256)\n"
    "    return bytes(data)\n"
    "def cut(items):\n"
    "    return items[:rng.randrange(len(items) + 1)]\n"
    "def codes(code):\n"
    "    yield code\n"
    "    for const in code.co_consts:\n"
    "        if hasattr(const, 'co_code'):\n"
    "            yield from codes(const)\n"
    "with open(json.decoder.__file__) as f:\n"
    "    originals = list(codes(compile(f.read(), 'x', 'exec')))\n"
    "valid = [n for name, n in opcode.opmap.items() if n < 256 and not name.startswith(\n"
    "         ('INSTRUMENTED', 'ENTER_', 'EXIT_', 'RESERVED', 'INTERPRETER'))]\n"
    "damaged = []\n"
    "for _ in range(6000):\n"
    "    code = rng.choice(originals)\n"
    "    rate = rng.choice([0.01, 0.1, 0.5])\n"
    "    text = bytearray(code.co_code)\n"
    "    for i in range(0, len(text), 2):\n"
    "        if rng.random() < rate:\n"
    "            text[i] = rng.choice(valid)\n"
    "            text[i + 1] = rng.randrange(256)\n"
    "    changes = {'co_code': bytes(text) + nop, 'co_names': cut(code.co_names),\n"
    "               'co_consts': cut(code.co_consts),\n"
    "               'co_stacksize': rng.choice([0, 1, code.co_stacksize, 10**6])}\n"
    "    if hasattr(code, 'co_exceptiontable'):\n"
    "        changes['co_exceptiontable'] = spoil(code.co_exceptiontable or bytes(40), rate)\n"
    "    table = 'co_linetable' if hasattr(code, 'co_linetable') else 'co_lnotab'\n"
    "    changes[table] = spoil(getattr(code, table), rate)\n"
    "    try:\n"
    "        damaged.append(code.replace(**changes))\n"
    "    except (ValueError, SystemError):\n"
    "        pass\n";

static void test_plan_survives_damaged_code(void **state)
{
    PyObject *damaged = run(damage, "damaged");
    Py_ssize_t count = PyList_GET_SIZE(damaged);
    assert_true(count > 1000);
    for (Py_ssize_t i = 0; i < count; i++) {
        struct mt_plan *plan = plan_of(PyList_GET_ITEM(damaged, i));
        for (uint32_t k = 1; k < plan->site_count; k++)
            assert_true(plan->sites[k - 1].offset <= plan->sites[k].offset);
        mt_plan_destroy(plan);
    }
    Py_DECREF(damaged);
}

static struct mt_site *site_named(struct mt_plan *plan, enum mt_site_op op, const char *name)
{
    for (uint32_t i = 0; i < plan->site_count; i++) {
        if (plan->sites[i].op == op && strcmp(mt_site_name(&plan->sites[i]), name) == 0)
            return &plan->sites[i];
    }
    fail_msg("no such site: %s", name);
    return NULL;
}

static void test_plan_finds_no_site_that_is_muted(void **state)
{
    PyObject *code = compile_code("def f():\n  x = 1\n  y = 2\n", "f");
    struct mt_plan *plan = plan_of(code);
    struct mt_site *x = site_named(plan, MT_SITE_STORE_FAST, "x");
    struct mt_site *y = site_named(plan, MT_SITE_STORE_FAST, "y");
    x->muted = true;
    mt_plan_update_sites(plan);
    assert_null(mt_plan_site(plan, x->offset));
    assert_ptr_equal(mt_plan_site(plan, y->offset), y);
    x->muted = false;
    mt_plan_update_sites(plan);
    assert_ptr_equal(mt_plan_site(plan, x->offset), x);
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_mutes_operator_and_store_together_or_none(void **state)
{
    PyObject *code = compile_code("def f(xs, ys):\n  xs += ys\n", "f");
    struct mt_plan *plan = plan_of(code);
    struct mt_site *operation = site_named(plan, MT_SITE_INPLACE, "xs");
    struct mt_site *store = site_named(plan, MT_SITE_STORE_FAST, "xs");
    store->muted = true;
    mt_plan_update_sites(plan);
    assert_ptr_equal(mt_plan_site(plan, store->offset), store);
    store->muted = operation->muted = true;
    mt_plan_update_sites(plan);
    assert_null(mt_plan_site(plan, store->offset));
    assert_null(mt_plan_site(plan, operation->offset));
    mt_plan_destroy(plan);
    Py_DECREF(code);
}

static void test_plan_mutes_all_prefixes_of_an_instruction(void **state)
{
    // The 300th local's store has a prefix.
    PyObject *source = PyUnicode_FromString("def f():\n"), *line;
    for (int i = 0; i < 300; i++) {
        line = PyUnicode_FromFormat("  v%d = 1\n", i);
        PyUnicode_AppendAndDel(&source, line);
    }
    PyObject *code = compile_code(PyUnicode_AsUTF8(source), "f");
    struct mt_plan *plan = plan_of(code);
    struct mt_site *site = site_named(plan, MT_SITE_STORE_FAST, "v299");
    assert_int_equal(site->prefixes, 1);
    int event = site->offset - (PY_VERSION_HEX < 0x030C0000 ? 2 : 0);
    assert_ptr_equal(mt_plan_site(plan, event), site);
    site->muted = true;
    mt_plan_update_sites(plan);
    assert_null(mt_plan_site(plan, event));
    mt_plan_destroy(plan);
    Py_DECREF(code);
    Py_DECREF(source);
}

#if MT_HAVE_STRETCHES

/* Lines that begin a stretch: `3 x` stores to x, `4 -` has nothing to see. */
static void describe_stretches(struct text *text, const struct mt_plan *plan)
{
    for (uint32_t unit = 0; unit < plan->stretches.unit_count; unit++) {
        uint16_t stretch = plan->stretches.at[unit];
        if (stretch != MT_STRETCH_NONE)
            add(text, "%d %s\n", PyCode_Addr2Line(plan->code, 2 * (int)unit),
                stretch == MT_STRETCH_EMPTY
                    ? "-"
                    : mt_site_name(&plan->sites[stretch - MT_STRETCH_STORE]));
    }
}

#define CHECK_STRETCHES(source, expected) \
    check_plan(source, "f", "stretches", describe_stretches, expected, __LINE__)

static void test_plan_has_lines_of_one_store_or_none_seen_as_a_whole(void **state)
{
    CHECK_STRETCHES("def f(a):\n"
                    "  x = a * 2 + 1\n"
                    "  if x > 3 and a or x < 2:\n"
                    "    x += a\n"
                    "  y = x if a else 2\n"
                    "  return x + y - a\n",
                    "2 x\n3 -\n4 x\n5 y\n6 -\n");
}

static void test_plan_has_other_lines_seen_by_their_instructions(void **state)
{
    // Two stores, an item, an attribute, a mutating method, code behind the store, a suspension.
    CHECK_STRETCHES(
        "def f(a, b):\n"
        "  x, y = a, b\n"
        "  a[0] = x\n"
        "  a.b = y\n"
        "  a.append(x)\n"
        "  (z := a) + b\n"
        "  c = yield b\n"
        "  return a + b + a + b + a + b + a + b + a + b + a + b + a + b + a + b + a + b\n",
        "8 -\n");
}

static void test_plan_has_a_line_seen_by_instructions_where_another_one_leads_into_it(void **state)
{
    // The first line goes on behind the second one, of which no line event tells.
    CHECK_STRETCHES("def f(a, b):\n"
                    "  x = (a if a > (\n"
                    "    b) else b)\n"
                    "  y = a + b + a + b + a + b + a + b + a + b + a + b + a + b + a + b + a\n"
                    "  return y + a + b\n",
                    "2 -\n3 -\n3 -\n2 x\n4 y\n5 -\n");
}

static void test_plan_has_no_stretches_where_instructions_are_as_cheap(void **state)
{
    CHECK_STRETCHES("def f(a):\n  a.b = 1\n  a.c = 2\n  return a\n", "");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_names_each_target_of_an_assignment),
        cmocka_unit_test(test_plan_knows_scope_by_instruction),
        cmocka_unit_test(test_plan_joins_in_place_operator_and_its_store),
        cmocka_unit_test(test_plan_leaves_out_in_place_operators_that_change_no_container),
        cmocka_unit_test(test_plan_names_slices_and_their_container),
        cmocka_unit_test(test_plan_deletes_everything_that_can_be_deleted),
        cmocka_unit_test(test_plan_writes_expressions_as_the_programmer_did),
        cmocka_unit_test(test_plan_finds_calls_of_mutating_methods),
        cmocka_unit_test(test_plan_follows_a_call_through_branches_in_its_arguments),
        cmocka_unit_test(test_plan_has_the_stores_that_statements_imply),
        cmocka_unit_test(test_plan_has_the_implicit_delete_of_except),
        cmocka_unit_test(test_plan_reads_class_bodies),
#if PY_VERSION_HEX >= 0x030A0000
        cmocka_unit_test(test_plan_has_the_captures_of_match),
#endif
        cmocka_unit_test(test_plan_reads_generators_and_coroutines),
        cmocka_unit_test(test_plan_keeps_expressions_across_try_and_with),
        cmocka_unit_test(test_plan_lists_arguments_in_order_of_the_signature),
        cmocka_unit_test(test_plan_leaves_out_the_iterator_of_a_comprehension),
        cmocka_unit_test(test_plan_knows_qualified_names_once_the_outer_code_was_seen),
        cmocka_unit_test(test_plan_finds_sites_by_offset),
        cmocka_unit_test(test_plan_without_sites_takes_no_table),
        cmocka_unit_test(test_plan_finds_sites_where_there_are_too_many_for_the_table),
        cmocka_unit_test(test_plan_misses_no_store_of_the_standard_library),
        cmocka_unit_test(test_plan_survives_damaged_code),
        cmocka_unit_test(test_plan_finds_no_site_that_is_muted),
        cmocka_unit_test(test_plan_mutes_operator_and_store_together_or_none),
        cmocka_unit_test(test_plan_mutes_all_prefixes_of_an_instruction),
#if MT_HAVE_STRETCHES
        cmocka_unit_test(test_plan_has_lines_of_one_store_or_none_seen_as_a_whole),
        cmocka_unit_test(test_plan_has_other_lines_seen_by_their_instructions),
        cmocka_unit_test(test_plan_has_a_line_seen_by_instructions_where_another_one_leads_into_it),
        cmocka_unit_test(test_plan_has_no_stretches_where_instructions_are_as_cheap),
#endif
    };
    Py_Initialize();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    Py_Finalize();
    return failed;
}
