/* A captured value as text.
 *
 * In the reader, never in the debuggee. No Python.h, needs no GIL. Threads: no state.
 *
 * The bytes may be damaged or hostile: a struct input is never read behind its end, and
 * the depth of nesting is bounded. Where something doesn't add up the whole text becomes
 * "<damaged>". */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memtrace.h"
#include "unprintable.h"
#include "value_text.h"

/* A list in a list … takes 12 bytes a level, so the helper's budget ends before this. */
enum { DEPTH_MAX = 64 };

#define ELLIPSIS "\xe2\x80\xa6"

/* ---- reading, writing ------------------------------------------------------------ */

struct input {
    const uint8_t *at, *end;
    bool damaged;
    mt_type_name_fn *type_name;
    void *context;
};

struct output {
    char *text;
    size_t size;   /* of `text` */
    size_t length; /* of the whole text; behind `size` it is only counted */
};

/* `size` bytes of input, or NULL and damaged. */
static const uint8_t *take(struct input *in, size_t size)
{
    if (in->damaged || (size_t)(in->end - in->at) < size) {
        in->damaged = true;
        return NULL;
    }
    const uint8_t *bytes = in->at;
    in->at += size;
    return bytes;
}

static uint64_t take_unsigned(struct input *in, size_t size)
{
    uint64_t value = 0;
    const uint8_t *bytes = take(in, size);
    if (bytes)
        memcpy(&value, bytes, size);
    return value;
}

static double take_double(struct input *in)
{
    double value = 0;
    const uint8_t *bytes = take(in, sizeof value);
    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return value;
}

static void put_bytes(struct output *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++, out->length++)
        if (out->length < out->size)
            out->text[out->length] = bytes[i];
}

static void put(struct output *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

static void put_format(struct output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* For numbers: what doesn't fit 64 characters is cut. */
static void put_format(struct output *out, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(out, text);
}

/* ---- numbers --------------------------------------------------------------------- */

enum { DOUBLE_DIGITS_MAX = 17 };

/* The digits of a finite double > 0, shortest that read back as it, closest of those;
 * value = 0.d1d2d3… * 10^point. Returns their count. */
static int shortest_digits(double value, char digits[DOUBLE_DIGITS_MAX + 1], int *point)
{
    for (int count = 1; count <= DOUBLE_DIGITS_MAX; count++) {
        // The closest decimal of that many digits, and the one above it: below a power of
        // two doubles lie closer, so that the second may read back where the first doesn't.
        char text[40];
        snprintf(text, sizeof text, "%.*e", count - 1, value);
        char *exponent = strchr(text, 'e');
        char *last = exponent - 1;
        bool found = strtod(text, NULL) == value;
        if (!found && *last != '9') {
            ++*last;
            found = strtod(text, NULL) == value;
        }
        if (!found)
            continue;
        // Skips the decimal point, whatever the locale has for it.
        int n = 0;
        for (const char *c = text; c < exponent; c++)
            if (*c >= '0' && *c <= '9')
                digits[n++] = *c;
        digits[n] = '\0';
        *point = atoi(exponent + 1) + 1;
        return n;
    }
    return 0; // not reached: 17 digits always read back
}

/* As repr() shows a float; `whole_suffix` is what a whole number ends with: ".0", or "" in
 * a complex number. */
static void put_double(struct output *out, double value, const char *whole_suffix)
{
    if (isnan(value)) {
        put(out, "nan");
        return;
    }
    if (signbit(value))
        put(out, "-");
    value = fabs(value);
    if (isinf(value)) {
        put(out, "inf");
        return;
    }
    char digits[DOUBLE_DIGITS_MAX + 1] = "0";
    int point = 1;
    int count = value == 0 ? 1 : shortest_digits(value, digits, &point);
    if (point > 16 || point < -3) {
        put_bytes(out, digits, 1);
        if (count > 1) {
            put(out, ".");
            put(out, digits + 1);
        }
        put_format(out, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
    } else if (point <= 0) {
        put(out, "0.");
        for (int i = point; i < 0; i++)
            put(out, "0");
        put(out, digits);
    } else {
        for (int i = 0; i < point; i++)
            put_bytes(out, i < count ? digits + i : "0", 1);
        if (count > point) {
            put(out, ".");
            put(out, digits + point);
        } else {
            put(out, whole_suffix);
        }
    }
}

static void put_complex(struct output *out, double real, double imaginary)
{
    bool pure = real == 0 && !signbit(real);
    if (!pure) {
        put(out, "(");
        put_double(out, real, "");
        // A minus comes with the number itself; nan never has one.
        if (isnan(imaginary) || !signbit(imaginary))
            put(out, "+");
    }
    put_double(out, imaginary, "");
    put(out, pure ? "j" : "j)");
}

/* Exactly: `n` bytes of magnitude, little endian. Schoolbook division, n <= 255. */
static void put_magnitude(struct output *out, const uint8_t *bytes, size_t n)
{
    uint32_t words[64] = {0};
    memcpy(words, bytes, n);
    uint32_t chunks[72]; // nine decimal digits each; 255 bytes have 615 digits
    size_t chunk_count = 0, word_count = 64;
    do {
        uint64_t rest = 0;
        for (size_t i = word_count; i-- > 0;) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 1000000000u);
            rest %= 1000000000u;
        }
        chunks[chunk_count++] = (uint32_t)rest;
        while (word_count > 0 && words[word_count - 1] == 0)
            word_count--;
    } while (word_count > 0);
    put_format(out, "%" PRIu32, chunks[--chunk_count]);
    while (chunk_count > 0)
        put_format(out, "%09" PRIu32, chunks[--chunk_count]);
}

/* f * 10^exponent with 1 <= f < 10, to some 33 digits. */
struct decimal {
    __float128 f;
    uint64_t exponent;
};

static struct decimal normal(__float128 f, uint64_t exponent)
{
    while (f >= 10) {
        f /= 10;
        exponent++;
    }
    return (struct decimal){f, exponent};
}

/* leading * 2^shift. Squaring doubles the relative error, so it stays below 2^shift's
 * number of bits * 10^-33: good for 15 digits of anything that fits a memory. */
static struct decimal scale(__float128 leading, uint64_t shift)
{
    struct decimal result = normal(leading, 0), power = {2, 0};
    for (; shift > 0; shift >>= 1) {
        if (shift & 1)
            result = normal(result.f * power.f, result.exponent + power.exponent);
        power = normal(power.f * power.f, power.exponent * 2);
    }
    return result;
}

enum { LEADING_DIGITS = 15 };
#define LEADING_SCALE 100000000000000u /* 10^14 */

static void put_leading_digits(struct output *out, uint64_t bits, uint64_t leading)
{
    uint64_t shift = bits > 64 ? bits - 64 : 0;
    // The number lies between these two. Where their digits differ it is hardly by chance
    // that close to a round one: 10**400 is meant, not 99999… below it.
    struct decimal low = scale(leading, shift);
    struct decimal high = scale((__float128)leading + 1, shift);
    uint64_t digits = (uint64_t)(low.f * LEADING_SCALE);
    if (digits != (uint64_t)(high.f * LEADING_SCALE) || low.exponent != high.exponent) {
        digits = (uint64_t)(high.f * LEADING_SCALE);
        low = high;
    }
    put_format(out, "%0*" PRIu64 ELLIPSIS " (%" PRIu64 " digits)", LEADING_DIGITS, digits,
               low.exponent + 1);
}

static void put_big_int(struct output *out, struct input *in)
{
    bool negative = take_unsigned(in, 1) != 0;
    uint64_t bits = take_unsigned(in, 8);
    uint64_t leading = take_unsigned(in, 8);
    size_t n = take_unsigned(in, 1);
    const uint8_t *magnitude = take(in, n);
    if (in->damaged)
        return;
    if (negative)
        put(out, "-");
    if (n > 0)
        put_magnitude(out, magnitude, n);
    else
        put_leading_digits(out, bits, leading);
}

/* ---- text ------------------------------------------------------------------------ */

static bool is_printable(uint32_t c)
{
    size_t low = 0, high = sizeof mt_unprintable / sizeof mt_unprintable[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > mt_unprintable[middle].last)
            low = middle + 1;
        else if (c < mt_unprintable[middle].first)
            high = middle;
        else
            return false;
    }
    return true;
}

/* Length of the UTF-8 sequence at `at` and its code point; 0 if there is none. Surrogates
 * are let through: a str may hold them. */
static size_t decode_utf8(const uint8_t *at, const uint8_t *end, uint32_t *ret)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = *at;
    size_t size = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size == 0 || first >= 0xf8 || (size_t)(end - at) < size)
        return 0;
    uint32_t c = size == 1 ? first : first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3fu);
    }
    if (c < least[size] || c > 0x10ffff)
        return 0;
    *ret = c;
    return size;
}

/* The quote that repr() takes: ' unless only ' occurs. */
static char choose_quote(const uint8_t *bytes, size_t n)
{
    return memchr(bytes, '\'', n) && !memchr(bytes, '"', n) ? '"' : '\'';
}

/* One ASCII character between quotes. */
static void put_ascii(struct output *out, uint32_t c, char quote)
{
    char text[5] = {'\\', (char)c};
    if (c == (uint32_t)quote || c == '\\')
        put_bytes(out, text, 2);
    else if (c == '\n')
        put(out, "\\n");
    else if (c == '\r')
        put(out, "\\r");
    else if (c == '\t')
        put(out, "\\t");
    else if (c < 0x20 || c >= 0x7f)
        put_format(out, "\\x%02" PRIx32, c);
    else
        put_bytes(out, text + 1, 1);
}

static void put_str(struct output *out, struct input *in)
{
    uint64_t length = take_unsigned(in, 4);
    size_t n = take_unsigned(in, 2);
    const uint8_t *at = take(in, n);
    if (!at)
        return;
    char quote = choose_quote(at, n);
    const uint8_t *end = at + n;
    uint64_t characters = 0;
    put_bytes(out, &quote, 1);
    while (at < end) {
        uint32_t c;
        size_t size = decode_utf8(at, end, &c);
        if (size == 0) {
            in->damaged = true;
            return;
        }
        if (c < 0x80)
            put_ascii(out, c, quote);
        else if (is_printable(c))
            put_bytes(out, (const char *)at, size);
        else
            put_format(out,
                       c < 0x100     ? "\\x%02" PRIx32
                       : c < 0x10000 ? "\\u%04" PRIx32
                                     : "\\U%08" PRIx32,
                       c);
        at += size;
        characters++;
    }
    put_bytes(out, &quote, 1);
    if (characters < length)
        put_format(out, ELLIPSIS " (%" PRIu64 " characters)", length);
}

static void put_bytes_value(struct output *out, struct input *in)
{
    uint64_t length = take_unsigned(in, 4);
    size_t n = take_unsigned(in, 2);
    const uint8_t *bytes = take(in, n);
    if (!bytes)
        return;
    char quote = choose_quote(bytes, n);
    put(out, "b");
    put_bytes(out, &quote, 1);
    for (size_t i = 0; i < n; i++)
        put_ascii(out, bytes[i], quote);
    put_bytes(out, &quote, 1);
    if (n < length)
        put_format(out, ELLIPSIS " (%" PRIu64 " bytes)", length);
}

/* ---- objects and containers ------------------------------------------------------- */

static void put_value(struct output *out, struct input *in, uint8_t tag, int depth);

static void put_nested(struct output *out, struct input *in, int depth)
{
    uint8_t tag = (uint8_t)take_unsigned(in, 1);
    if (!in->damaged)
        put_value(out, in, tag, depth);
}

static const char *type_name(struct input *in, uint32_t type)
{
    const char *name = in->type_name ? in->type_name(type, in->context) : "";
    return name && *name ? name : "?";
}

static void put_object(struct output *out, struct input *in)
{
    uint32_t type = (uint32_t)take_unsigned(in, 4);
    uint64_t address = take_unsigned(in, 8);
    put(out, "<");
    put(out, type_name(in, type));
    put_format(out, " at 0x%" PRIx64 ">", address);
}

static void put_subclass(struct output *out, struct input *in, int depth)
{
    uint32_t type = (uint32_t)take_unsigned(in, 4);
    uint64_t address = take_unsigned(in, 8);
    put(out, "<");
    put(out, type_name(in, type));
    put(out, " ");
    put_nested(out, in, depth);
    put_format(out, " at 0x%" PRIx64 ">", address);
}

static void put_named(struct output *out, struct input *in)
{
    uint32_t type = (uint32_t)take_unsigned(in, 4);
    uint64_t address = take_unsigned(in, 8);
    size_t n = take_unsigned(in, 2);
    const uint8_t *name = take(in, n);
    put(out, "<");
    put(out, type_name(in, type));
    put(out, " ");
    if (name)
        put_bytes(out, (const char *)name, n);
    put_format(out, " at 0x%" PRIx64 ">", address);
}

/* What a container's text begins and ends with; `empty` where that isn't both together. */
struct brackets {
    const char *open, *close, *empty;
};

static void put_items(struct output *out, struct input *in, struct brackets brackets, int pair,
                      int depth)
{
    uint64_t length = take_unsigned(in, 8);
    uint64_t count = take_unsigned(in, 2);
    if (in->damaged || count > length) {
        in->damaged = true;
        return;
    }
    if (length == 0 && brackets.empty) {
        put(out, brackets.empty);
        return;
    }
    put(out, brackets.open);
    for (uint64_t i = 0; i < count && !in->damaged; i++) {
        if (i > 0)
            put(out, ", ");
        put_nested(out, in, depth);
        if (pair) {
            put(out, ": ");
            put_nested(out, in, depth);
        }
    }
    if (count < length)
        put_format(out, "%s" ELLIPSIS " %" PRIu64 " more", count > 0 ? ", " : "", length - count);
    put(out, brackets.close);
}

static void put_tuple(struct output *out, struct input *in, int depth)
{
    uint64_t length = 0;
    if (in->end - in->at >= (ptrdiff_t)sizeof length)
        memcpy(&length, in->at, sizeof length);
    put_items(out, in, (struct brackets){"(", length == 1 ? ",)" : ")", NULL}, 0, depth);
}

/* Skips an int that is 1, if that comes next. */
static bool skip_one(struct input *in)
{
    static const uint8_t one[] = {MT_TAG_INT32, 1, 0, 0, 0};
    if (in->end - in->at < (ptrdiff_t)sizeof one || memcmp(in->at, one, sizeof one) != 0)
        return false;
    in->at += sizeof one;
    return true;
}

/* A step of 1 is left out, as repr() does. */
static void put_range(struct output *out, struct input *in, int depth)
{
    put(out, "range(");
    put_nested(out, in, depth);
    put(out, ", ");
    put_nested(out, in, depth);
    if (!skip_one(in)) {
        put(out, ", ");
        put_nested(out, in, depth);
    }
    put(out, ")");
}

static void put_slice(struct output *out, struct input *in, int depth)
{
    put(out, "slice(");
    put_nested(out, in, depth);
    put(out, ", ");
    put_nested(out, in, depth);
    put(out, ", ");
    put_nested(out, in, depth);
    put(out, ")");
}

static void put_compound(struct output *out, struct input *in, int depth)
{
    size_t n = take_unsigned(in, 2);
    const uint8_t *bytes = take(in, n);
    if (!bytes)
        return;
    struct input inner = *in;
    inner.at = bytes;
    inner.end = bytes + n;
    put_nested(out, &inner, depth);
    in->damaged = inner.damaged || inner.at != inner.end;
}

/* What is behind the tag, as text. */
static void put_value(struct output *out, struct input *in, uint8_t tag, int depth)
{
    if (++depth > DEPTH_MAX) {
        in->damaged = true;
        return;
    }
    switch (tag) {
    case MT_TAG_ABSENT: return;
    case MT_TAG_NONE: put(out, "None"); return;
    case MT_TAG_FALSE: put(out, "False"); return;
    case MT_TAG_TRUE: put(out, "True"); return;
    case MT_TAG_INT32: put_format(out, "%" PRId32, (int32_t)take_unsigned(in, 4)); return;
    case MT_TAG_INT64: put_format(out, "%" PRId64, (int64_t)take_unsigned(in, 8)); return;
    case MT_TAG_FLOAT: put_double(out, take_double(in), ".0"); return;
    case MT_TAG_STR: put_str(out, in); return;
    case MT_TAG_BYTES: put_bytes_value(out, in); return;
    case MT_TAG_OBJECT: put_object(out, in); return;
    case MT_TAG_COMPOUND: put_compound(out, in, depth); return;
    case MT_TAG_UNKNOWN: put(out, "?"); return;
    case MT_TAG_REDACTED: put(out, "<redacted>"); return;
    case MT_NESTED_BIGINT: put_big_int(out, in); return;
    case MT_NESTED_COMPLEX: {
        double real = take_double(in);
        put_complex(out, real, take_double(in));
        return;
    }
    case MT_NESTED_LIST: put_items(out, in, (struct brackets){"[", "]", NULL}, 0, depth); return;
    case MT_NESTED_TUPLE: put_tuple(out, in, depth); return;
    case MT_NESTED_SET: put_items(out, in, (struct brackets){"{", "}", "set()"}, 0, depth); return;
    case MT_NESTED_FROZENSET:
        put_items(out, in, (struct brackets){"frozenset({", "})", "frozenset()"}, 0, depth);
        return;
    case MT_NESTED_DEQUE:
        put_items(out, in, (struct brackets){"deque([", "])", NULL}, 0, depth);
        return;
    case MT_NESTED_DICT: put_items(out, in, (struct brackets){"{", "}", NULL}, 1, depth); return;
    case MT_NESTED_BYTEARRAY:
        put(out, "bytearray(");
        put_bytes_value(out, in);
        put(out, ")");
        return;
    case MT_NESTED_SUBCLASS: put_subclass(out, in, depth); return;
    case MT_NESTED_RANGE: put_range(out, in, depth); return;
    case MT_NESTED_SLICE: put_slice(out, in, depth); return;
    case MT_NESTED_NAMED: put_named(out, in); return;
    case MT_NESTED_ELLIPSIS: put(out, ELLIPSIS); return;
    default: in->damaged = true; return;
    }
}

/* Terminate; a character that was cut in two goes whole. */
static void finish(struct output *out, size_t size)
{
    size_t end = out->length;
    if (end >= size) {
        end = size - 1;
        while (end > 0 && ((uint8_t)out->text[end] & 0xc0) == 0x80)
            end--;
    }
    out->text[end] = '\0';
}

size_t mt_value_text(const uint8_t *bytes, uint32_t bytes_size, mt_type_name_fn *type_name_fn,
                     void *context, char *text, size_t size)
{
    struct input in = {bytes, bytes + bytes_size, false, type_name_fn, context};
    struct output out = {text, size, 0};
    put_nested(&out, &in, 0);
    if (in.damaged || in.at != in.end) {
        out.length = 0;
        put(&out, "<damaged>");
    }
    finish(&out, size);
    return out.length;
}

int32_t mt_value_encoded_size(uint8_t tag, const uint8_t *encoding, size_t available)
{
    // The text's own walk finds the end: an output without room only counts.
    char none[1];
    struct input in = {encoding, encoding + available, false, NULL, NULL};
    struct output out = {none, 0, 0};
    put_value(&out, &in, tag, 0);
    return in.damaged ? -1 : (int32_t)(in.at - encoding);
}

/* The type that a tag alone names; else NULL. */
static const char *builtin_type(uint8_t tag)
{
    switch (tag) {
    case MT_TAG_ABSENT: return "";
    case MT_TAG_NONE: return "NoneType";
    case MT_TAG_FALSE:
    case MT_TAG_TRUE: return "bool";
    case MT_TAG_INT32:
    case MT_TAG_INT64:
    case MT_NESTED_BIGINT: return "int";
    case MT_TAG_FLOAT: return "float";
    case MT_TAG_STR: return "str";
    case MT_TAG_BYTES: return "bytes";
    case MT_NESTED_COMPLEX: return "complex";
    case MT_NESTED_LIST: return "list";
    case MT_NESTED_TUPLE: return "tuple";
    case MT_NESTED_SET: return "set";
    case MT_NESTED_FROZENSET: return "frozenset";
    case MT_NESTED_DEQUE: return "deque";
    case MT_NESTED_DICT: return "dict";
    case MT_NESTED_BYTEARRAY: return "bytearray";
    case MT_NESTED_RANGE: return "range";
    case MT_NESTED_SLICE: return "slice";
    default: return NULL;
    }
}

const char *mt_value_type(const uint8_t *bytes, uint32_t bytes_size, mt_type_name_fn *type_name_fn,
                          void *context)
{
    struct input in = {bytes, bytes + bytes_size, false, type_name_fn, context};
    uint8_t tag = (uint8_t)take_unsigned(&in, 1);
    if (tag == MT_TAG_COMPOUND) {
        take(&in, 2);
        tag = (uint8_t)take_unsigned(&in, 1);
    }
    if (in.damaged)
        return "?";
    if (tag == MT_TAG_OBJECT || tag == MT_NESTED_SUBCLASS || tag == MT_NESTED_NAMED)
        return type_name(&in, (uint32_t)take_unsigned(&in, 4));
    const char *name = builtin_type(tag);
    return name ? name : "?";
}
