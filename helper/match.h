/* Globs of the reader's filters. No Python.h. Threads: no state. */
#ifndef MT_MATCH_H
#define MT_MATCH_H

#include <stdbool.h>
#include <stddef.h>

/* Does one of the comma separated patterns match the whole of `text`? In a pattern * stands
 * for any text, ? for one character, [a-z] and [!a-z] for one of a set; a [ that no ]
 * closes is itself. A pattern that equals the text, letter by letter, matches too, so that
 * flags[4] can be asked for as it is shown. Blanks around a pattern don't count. */
bool mt_match(const char *patterns, const char *text);

/* Could one of the patterns match some text that begins with `prefix`? True where that
 * isn't plain. */
bool mt_match_prefix(const char *patterns, const char *prefix);

#endif
