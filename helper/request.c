/* See request.h. Threads: one request at a time (the mailbox). No GIL. */

#include "request.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "status.h"

// The block that a request owns, filled from the front.
struct block {
    char *next, *end;
};

static char *take(struct block *block, size_t bytes)
{
    char *taken = block->next;

    if ((size_t)(block->end - block->next) < bytes)
        return NULL;
    block->next += bytes;
    return taken;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

// Copy a value, %XX undone, with a NUL behind it, behind which the block goes on; NULL when it
// is malformed.
static const char *unescape(struct block *block, const char *from, size_t size)
{
    char *copy = take(block, size + 1);
    char *to = copy;

    if (!copy)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (from[i] != '%') {
            *to++ = from[i];
            continue;
        }
        if (size - i < 3 || hex_digit(from[i + 1]) < 0 || hex_digit(from[i + 2]) < 0)
            return NULL;
        *to = (char)(hex_digit(from[i + 1]) * 16 + hex_digit(from[i + 2]));
        if (!*to++)
            return NULL;
        i += 2;
    }
    *to = '\0';
    block->next = to + 1;
    return copy;
}

struct line {
    const char *key, *value; // not terminated
    size_t key_size, value_size;
};

// The next line of the text; false at its end. A line without '=' has value NULL.
static bool next_line(const char **text, struct line *ret)
{
    const char *start = *text;

    while (*start == '\n')
        start++;
    if (!*start)
        return false;
    size_t size = strcspn(start, "\n");
    const char *equals = memchr(start, '=', size);
    ret->key = start;
    ret->key_size = equals ? (size_t)(equals - start) : size;
    ret->value = equals ? equals + 1 : NULL;
    ret->value_size = equals ? size - ret->key_size - 1 : 0;
    *text = start + size;
    return true;
}

static bool key_is(const struct line *line, const char *key)
{
    return strlen(key) == line->key_size && !memcmp(line->key, key, line->key_size);
}

static enum mt_status bad(const struct line *line)
{
    size_t size = line->key_size + (line->value ? 1 + line->value_size : 0);

    return mt_status_set(MT_BAD_REQUEST, "line of the request not understood: %.*s", (int)size,
                         line->key);
}

static bool parse_number(const struct line *line, unsigned long max, unsigned long *ret)
{
    char digits[24], *end;

    if (!line->value_size || line->value_size >= sizeof digits)
        return false;
    memcpy(digits, line->value, line->value_size);
    digits[line->value_size] = '\0';
    if (*digits < '0' || *digits > '9') // strtoul takes spaces and signs
        return false;
    *ret = strtoul(digits, &end, 10);
    return !*end && *ret <= max;
}

static enum mt_status parse_flag(const struct line *line, bool *ret)
{
    unsigned long number;

    if (!parse_number(line, 1, &number))
        return bad(line);
    *ret = number;
    return MT_OK;
}

// All values of one key, one behind the other, an empty text at the end.
static enum mt_status parse_list(const char *text, const char *key, struct block *block,
                                 const char **ret)
{
    struct line line;

    *ret = block->next;
    while (next_line(&text, &line)) {
        if (key_is(&line, key) && line.value_size && !unescape(block, line.value, line.value_size))
            return bad(&line);
    }
    char *end = take(block, 1);
    if (!end)
        return MT_NO_MEMORY;
    *end = '\0';
    return MT_OK;
}

static enum mt_status parse_verb(const struct line *line, enum mt_verb *ret)
{
    static const char *const verbs[] = {"install", "change", "remove"};

    for (int i = 0; i < 3; i++) {
        if (line->value && strlen(verbs[i]) == line->value_size &&
            !memcmp(verbs[i], line->value, line->value_size)) {
            *ret = (enum mt_verb)i;
            return MT_OK;
        }
    }
    return bad(line);
}

static enum mt_status parse_breakpoint_text(const struct line *line, struct block *block,
                                            struct mt_request *request)
{
    static const struct {
        const char *key;
        size_t offset;
    } texts[] = {
        {"break-file", offsetof(struct mt_breakpoint, file)},
        {"break-module", offsetof(struct mt_breakpoint, module)},
        {"break-function", offsetof(struct mt_breakpoint, function)},
        {"break-target", offsetof(struct mt_breakpoint, target)},
        {"break-if", offsetof(struct mt_breakpoint, condition)},
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!key_is(line, texts[i].key))
            continue;
        if (!request->breakpoint_count || !line->value)
            return bad(line);
        const char *text = unescape(block, line->value, line->value_size);
        if (!text)
            return bad(line);
        struct mt_breakpoint *last = &request->breakpoints[request->breakpoint_count - 1];
        memcpy((char *)last + texts[i].offset, &text, sizeof text);
        return MT_OK;
    }
    return bad(line);
}

static enum mt_status parse_line(const struct line *line, struct block *block,
                                 struct mt_request *request)
{
    unsigned long number;

    if (key_is(line, "verb"))
        return parse_verb(line, &request->verb);
    if (key_is(line, "all"))
        return parse_flag(line, &request->all);
    if (key_is(line, "record"))
        return parse_flag(line, &request->record);
    if (key_is(line, "rebound"))
        return parse_flag(line, &request->rebound);
    if (key_is(line, "mutations"))
        return parse_flag(line, &request->mutations);
    if (key_is(line, "follow-fork"))
        return parse_flag(line, &request->follow_fork);
    if (key_is(line, "only") || key_is(line, "skip") || key_is(line, "skip-var") ||
        key_is(line, "redact"))
        return line->value ? MT_OK : bad(line); // parse_list
    if (key_is(line, "value-size")) {
        if (!parse_number(line, MT_VALUE_BYTES_MAX, &number) || number < 16)
            return mt_status_set(MT_BAD_REQUEST, "value-size is from 16 to %d bytes",
                                 MT_VALUE_BYTES_MAX);
        request->value_size = (uint32_t)number;
        return MT_OK;
    }
    if (key_is(line, "max-overhead")) {
        if (!parse_number(line, MT_OVERHEAD_PERCENT_MAX, &number) ||
            (number && number < MT_OVERHEAD_PERCENT_MIN))
            return mt_status_set(MT_BAD_REQUEST, "max-overhead is 0 or from %d to %d per cent",
                                 MT_OVERHEAD_PERCENT_MIN, MT_OVERHEAD_PERCENT_MAX);
        request->max_overhead = (uint32_t)number;
        return MT_OK;
    }
    if (key_is(line, "plan-bytes")) {
        if (!parse_number(line, UINT32_MAX, &number))
            return bad(line);
        request->plan_bytes = (uint32_t)number;
        return MT_OK;
    }
    if (key_is(line, "break")) {
        if (!parse_number(line, UINT32_MAX, &number))
            return bad(line);
        request->breakpoints[request->breakpoint_count++] =
            (struct mt_breakpoint){(uint32_t)number, "", "", "", "", ""};
        return MT_OK;
    }
    return parse_breakpoint_text(line, block, request);
}

static size_t count_breakpoints(const char *text)
{
    struct line line;
    size_t count = 0;

    while (next_line(&text, &line))
        count += key_is(&line, "break");
    return count;
}

static enum mt_status parse_lines(const char *text, struct block *block, struct mt_request *request)
{
    const char *at = text;
    struct line line;
    enum mt_status status = parse_list(text, "only", block, &request->only);

    if (status == MT_OK)
        status = parse_list(text, "skip", block, &request->skip);
    if (status == MT_OK)
        status = parse_list(text, "skip-var", block, &request->skip_var);
    if (status == MT_OK)
        status = parse_list(text, "redact", block, &request->redact);
    while (status == MT_OK && next_line(&at, &line))
        status = parse_line(&line, block, request);
    return status;
}

enum mt_status mt_request_parse(const char *text, struct mt_request *ret)
{
    size_t text_size = strnlen(text, MT_REQUEST_BYTES);
    size_t breakpoints = 0;

    *ret = (struct mt_request){
        .verb = MT_VERB_INSTALL,
        .record = true,
        .mutations = true,
        .value_size = 64,
        .plan_bytes = MT_PLAN_BYTES_DEFAULT,
    };
    if (text_size == MT_REQUEST_BYTES)
        return mt_status_set(MT_BAD_REQUEST,
                             "the request is longer than %d bytes: fewer globs "
                             "or breakpoints",
                             MT_REQUEST_BYTES - 1);
    breakpoints = count_breakpoints(text);
    ret->memory_size = breakpoints * sizeof(struct mt_breakpoint) + 2 * text_size + 64;
    ret->memory =
        mmap(NULL, ret->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ret->memory == MAP_FAILED) {
        ret->memory = NULL;
        return mt_status_set(MT_NO_MEMORY, "no memory for the request");
    }
    ret->breakpoints = ret->memory;
    struct block block = {(char *)(ret->breakpoints + breakpoints),
                          (char *)ret->memory + ret->memory_size};
    enum mt_status status = parse_lines(text, &block, ret);
    if (status != MT_OK)
        mt_request_deinit(ret);
    return status;
}

void mt_request_deinit(struct mt_request *request)
{
    if (request->memory)
        munmap(request->memory, request->memory_size);
    *request = (struct mt_request){0};
}
