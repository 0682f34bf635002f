/* See condition.h. Needs the GIL. */

#include "condition.h"

#include <string.h>
#include "pyobject.h"

enum { INT_DIGITS = 18, /* as many always fit int64_t */ LITERAL_BYTES = 64 };

// ---- parsing -----------------------------------------------------------------------------

static const char *skip_spaces(const char *at)
{
    return at + strspn(at, " \t");
}

static bool is_name_character(char character)
{
    return Py_ISALNUM(character) || character == '_' || (unsigned char)character >= 0x80;
}

// Behind `word`, if it stands at `at` as a whole word; else NULL.
static const char *skip_word(const char *at, const char *word)
{
    size_t size = strlen(word);

    return strncmp(at, word, size) == 0 && !is_name_character(at[size]) ? at + size : NULL;
}

static const char *parse_text(const char *at, struct mt_condition_side *ret)
{
    char quote = *at++;
    const char *end = at;

    // What is escaped, and what is no ASCII, is Python's.
    while (*end && *end != quote && *end != '\\' && (unsigned char)*end < 0x80)
        end++;
    if (*end != quote)
        return NULL;
    ret->what = MT_CONDITION_TEXT;
    ret->text = at;
    ret->size = (size_t)(end - at);
    return end + 1;
}

static const char *parse_number(const char *at, struct mt_condition_side *ret)
{
    char literal[LITERAL_BYTES];
    size_t sign = *at == '-', digits = strspn(at + sign, "0123456789");
    size_t size = sign + strspn(at + sign, "0123456789.eE");

    // The sign of an exponent.
    if (size > sign && (at[size - 1] == 'e' || at[size - 1] == 'E') &&
        (at[size] == '-' || at[size] == '+'))
        size += 1 + strspn(at + size + 1, "0123456789");
    if (!digits || size >= sizeof literal || is_name_character(at[size]))
        return NULL;
    memcpy(literal, at, size);
    literal[size] = '\0';
    if (size == sign + digits) {
        if (digits > INT_DIGITS)
            return NULL;
        ret->what = MT_CONDITION_INT;
        ret->integer = strtoll(literal, NULL, 10);
        return at + size;
    }
    // Not strtod: its decimal point is the locale's.
    char *end;
    ret->what = MT_CONDITION_FLOAT;
    ret->real = PyOS_string_to_double(literal, &end, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return NULL;
    }
    return *end ? NULL : at + size;
}

// Behind the operand at `at`; NULL: it is none of ours.
static const char *parse_side(const char *at, struct mt_condition_side *ret)
{
    const struct {
        const char *word;
        int what;
        PyObject *object;
    } words[] = {
        {"old", MT_CONDITION_OLD, NULL},
        {"new", MT_CONDITION_NEW, NULL},
        {"None", MT_CONDITION_SINGLETON, Py_None},
        {"True", MT_CONDITION_SINGLETON, Py_True},
        {"False", MT_CONDITION_SINGLETON, Py_False},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *end = skip_word(at, words[i].word);
        if (!end)
            continue;
        *ret = (struct mt_condition_side){.what = words[i].what, .object = words[i].object};
        return end;
    }
    return *at == '\'' || *at == '"' ? parse_text(at, ret) : parse_number(at, ret);
}

static const char *parse_operator(const char *at, enum mt_condition_op *ret)
{
    static const struct {
        char text[3];
        enum mt_condition_op op;
    } operators[] = {
        // The longer ones first.
        {"<=", MT_CONDITION_LESS_EQUAL}, {">=", MT_CONDITION_GREATER_EQUAL},
        {"==", MT_CONDITION_EQUAL},      {"!=", MT_CONDITION_UNEQUAL},
        {"<", MT_CONDITION_LESS},        {">", MT_CONDITION_GREATER},
    };

    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t size = strlen(operators[i].text);
        if (strncmp(at, operators[i].text, size) != 0)
            continue;
        *ret = operators[i].op;
        return at + size;
    }
    const char *end = skip_word(at, "is");
    if (!end)
        return NULL;
    const char *negated = skip_word(skip_spaces(end), "not");
    *ret = negated ? MT_CONDITION_IS_NOT : MT_CONDITION_IS;
    return negated ? negated : end;
}

static bool has_object(const struct mt_condition_side *side)
{
    return side->what <= MT_CONDITION_SINGLETON;
}

bool mt_condition_parse(const char *text, struct mt_condition *ret)
{
    const char *at = parse_side(skip_spaces(text), &ret->left);

    at = at ? parse_operator(skip_spaces(at), &ret->op) : NULL;
    at = at ? parse_side(skip_spaces(at), &ret->right) : NULL;
    // Anything behind it: a longer expression, two strings side by side, a chain.
    if (!at || *skip_spaces(at))
        return false;
    // Which number or string is which object is the compiler's choice.
    return ret->op < MT_CONDITION_IS || (has_object(&ret->left) && has_object(&ret->right));
}

// ---- deciding ----------------------------------------------------------------------------

// A side's value, whether it is an object or a constant.
struct value {
    enum { NOTHING, INTEGER, REAL, TEXT, OTHER } what;
    int64_t integer;
    double real;
    struct mt_characters text;
};

static struct value value_of(PyObject *object)
{
    struct value ret = {.what = OTHER};
    PyTypeObject *type = Py_TYPE(object);

    if (object == Py_None) {
        ret.what = NOTHING;
    } else if (type == &PyLong_Type || type == &PyBool_Type) {
        if (mt_pyobject_int64(object, &ret.integer))
            ret.what = INTEGER;
    } else if (type == &PyFloat_Type) {
        ret.what = REAL;
        ret.real = PyFloat_AS_DOUBLE(object);
    } else if (type == &PyUnicode_Type) {
        if (mt_pyobject_characters(object, &ret.text))
            ret.what = TEXT;
    }
    return ret;
}

static struct value value_of_side(const struct mt_condition_side *side, PyObject *object)
{
    switch (side->what) {
    case MT_CONDITION_INT: return (struct value){.what = INTEGER, .integer = side->integer};
    case MT_CONDITION_FLOAT: return (struct value){.what = REAL, .real = side->real};
    case MT_CONDITION_TEXT:
        return (struct value){
            .what = TEXT,
            .text = {.data = side->text,
                     .length = (Py_ssize_t)side->size,
                     .kind = 1,
                     .ascii = true},
        };
    default: return value_of(object);
    }
}

// A str has the narrowest kind that its characters fit: equal ones have the same.
static bool texts_are_equal(const struct mt_characters *a, const struct mt_characters *b)
{
    return a->length == b->length && a->kind == b->kind && a->ascii == b->ascii &&
           memcmp(a->data, b->data, (size_t)a->length * (size_t)a->kind) == 0;
}

static enum mt_truth truth(bool holds)
{
    return holds ? MT_TRUE : MT_FALSE;
}

#define COMPARE(op, a, b)                                     \
    ((op) == MT_CONDITION_LESS            ? truth((a) < (b))  \
     : (op) == MT_CONDITION_LESS_EQUAL    ? truth((a) <= (b)) \
     : (op) == MT_CONDITION_GREATER       ? truth((a) > (b))  \
     : (op) == MT_CONDITION_GREATER_EQUAL ? truth((a) >= (b)) \
     : (op) == MT_CONDITION_EQUAL         ? truth((a) == (b)) \
                                          : truth((a) != (b)))

static bool is_exact_as_real(int64_t integer)
{
    const int64_t bound = (int64_t)1 << 53;
    return integer >= -bound && integer <= bound;
}

static enum mt_truth compare(enum mt_condition_op op, const struct value *a, const struct value *b)
{
    if (a->what == OTHER || b->what == OTHER)
        return MT_UNKNOWN;
    if (a->what == INTEGER && b->what == INTEGER)
        return COMPARE(op, a->integer, b->integer);
    if ((a->what == INTEGER || a->what == REAL) && (b->what == INTEGER || b->what == REAL)) {
        if ((a->what == INTEGER && !is_exact_as_real(a->integer)) ||
            (b->what == INTEGER && !is_exact_as_real(b->integer)))
            return MT_UNKNOWN;
        double x = a->what == REAL ? a->real : (double)a->integer;
        double y = b->what == REAL ? b->real : (double)b->integer;
        return COMPARE(op, x, y);
    }
    if (op != MT_CONDITION_EQUAL && op != MT_CONDITION_UNEQUAL)
        return MT_UNKNOWN; // the order of str, or a TypeError
    bool equal = a->what == b->what && (a->what == NOTHING || texts_are_equal(&a->text, &b->text));
    return truth(equal == (op == MT_CONDITION_EQUAL));
}

enum mt_truth mt_condition_holds(const struct mt_condition *condition, PyObject *old_object,
                                 PyObject *new_object)
{
    const struct mt_condition_side *sides[] = {&condition->left, &condition->right};
    PyObject *objects[2];

    for (int i = 0; i < 2; i++) {
        objects[i] = sides[i]->what == MT_CONDITION_OLD   ? old_object
                     : sides[i]->what == MT_CONDITION_NEW ? new_object
                                                          : sides[i]->object;
        if (has_object(sides[i]) && !objects[i])
            return MT_UNKNOWN;
    }
    if (condition->op == MT_CONDITION_IS || condition->op == MT_CONDITION_IS_NOT)
        return truth((objects[0] == objects[1]) == (condition->op == MT_CONDITION_IS));
    struct value left = value_of_side(sides[0], objects[0]);
    struct value right = value_of_side(sides[1], objects[1]);
    return compare(condition->op, &left, &right);
}
