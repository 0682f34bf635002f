/* Globs, matched without recursion. In the reader. No Python.h. Threads: no state. */
#include <stdint.h>
#include <string.h>

#include "match.h"

struct pattern {
    const char *at, *end;
};

/* Take the next alternative off `*patterns`; false at the end. */
static bool next_pattern(const char **patterns, struct pattern *ret)
{
    const char *at = *patterns;
    if (!at)
        return false;
    const char *comma = strchr(at, ',');
    const char *end = comma ? comma : at + strlen(at);
    *patterns = comma ? comma + 1 : NULL;
    while (at < end && *at == ' ')
        at++;
    while (end > at && end[-1] == ' ')
        end--;
    *ret = (struct pattern){at, end};
    return true;
}

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

/* The UTF-8 character at `*at`, taken off; damaged bytes count one by one. */
static uint32_t take_character(const char **at, const char *end)
{
    uint32_t c = (uint8_t) * (*at)++;
    if (c >= 0xc0)
        for (; *at < end && is_continuation(**at); (*at)++)
            c = c << 6 | ((uint8_t) * *at & 0x3f);
    return c;
}

/* The ] that closes the set whose first member is at `at`, or NULL. */
static const char *find_set_end(const char *at, const char *end)
{
    if (at < end && (*at == '!' || *at == '^'))
        at++;
    if (at < end && *at == ']')
        at++;
    return at < end ? memchr(at, ']', (size_t)(end - at)) : NULL;
}

static bool is_in_set(uint32_t c, const char *at, const char *set_end)
{
    bool negated = at < set_end && (*at == '!' || *at == '^');
    bool found = false;
    at += negated;
    while (at < set_end) {
        uint32_t first = take_character(&at, set_end), last = first;
        if (set_end - at >= 2 && *at == '-') {
            at++;
            last = take_character(&at, set_end);
        }
        found = found || (first <= c && c <= last);
    }
    return found != negated;
}

/* Match one character of text against one place of the pattern (not *); moves both. */
static bool step(struct pattern *pattern, const char **text, const char *text_end)
{
    if (pattern->at == pattern->end || *text == text_end)
        return false;
    uint32_t c = take_character(text, text_end);
    uint32_t p = take_character(&pattern->at, pattern->end);
    if (p == '?')
        return true;
    const char *set_end = p == '[' ? find_set_end(pattern->at, pattern->end) : NULL;
    if (!set_end)
        return p == c;
    const char *set = pattern->at;
    pattern->at = set_end + 1;
    return is_in_set(c, set, set_end);
}

static bool match_glob(struct pattern pattern, const char *text, const char *text_end)
{
    // Where to go on when what follows the last * doesn't match after all: the * takes one
    // character more. An earlier * never needs another try.
    struct pattern retry = {NULL, NULL};
    const char *retry_text = NULL;
    for (;;) {
        if (pattern.at < pattern.end && *pattern.at == '*') {
            pattern.at++;
            retry = pattern;
            retry_text = text;
        } else if (text == text_end && pattern.at == pattern.end) {
            return true;
        } else if (!step(&pattern, &text, text_end)) {
            if (!retry_text || retry_text == text_end)
                return false;
            take_character(&retry_text, text_end);
            pattern = retry;
            text = retry_text;
        }
    }
}

bool mt_match(const char *patterns, const char *text)
{
    size_t size = strlen(text);
    struct pattern pattern;
    while (next_pattern(&patterns, &pattern)) {
        if ((size_t)(pattern.end - pattern.at) == size && memcmp(pattern.at, text, size) == 0)
            return true;
        if (match_glob(pattern, text, text + size))
            return true;
    }
    return false;
}

bool mt_match_prefix(const char *patterns, const char *prefix)
{
    struct pattern pattern;
    while (next_pattern(&patterns, &pattern)) {
        const char *p = prefix;
        const char *at = pattern.at;
        // Letter by letter, up to what is a glob; a [ may be one or itself.
        while (at < pattern.end && *p && *at == *p) {
            at++;
            p++;
        }
        if (!*p || (at < pattern.end && strchr("*?[", *at)))
            return true;
    }
    return false;
}
