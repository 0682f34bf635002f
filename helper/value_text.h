/* A captured value as text, made by the reader, never in the debuggee. No Python.h.
 *
 *     None True False 30 -7 1.5 1e+16 nan     as repr() shows them
 *     123456789012345… (301 digits)           an int beyond the budget
 *     'text' b'bytes'                         repr's quoting and escapes
 *     'the beginni'… (1000 characters)        cut: the whole length in characters or bytes
 *     [1, 2, 3]  [1, 2, … 97 more]  (1,)  {1}  set()  frozenset({1})  deque([1])
 *     {'a': 1, … 3 more}  bytearray(b'x')  bytearray(b'x'… (1000 bytes))
 *     (1+2j)  range(0, 10)  slice(1, 2, None)
 *     <Account at 0x7f12ab>                   anything else: type name and address
 *     <function transfer at 0x7f…>  <type Account at 0x7f…>  <module json at 0x7f…>
 *     <Money 3 at 0x7f…>                      a builtin's subclass: the builtin part
 *     …                                       nested deeper than the budget
 *     ?  <redacted>                           can't be read; may not be shown
 */
#ifndef MT_VALUE_TEXT_H
#define MT_VALUE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Name of a type by its definition id; "" if lost. */
typedef const char *mt_type_name_fn(uint32_t type, void *context);

/* Write the text of the value at `bytes` (tag, then encoding; `bytes_size` of both). Never
 * reads behind them: damaged bytes give "<damaged>". Returns the full length; writes at
 * most `size` bytes and always a NUL (size > 0). */
size_t mt_value_text(const uint8_t *bytes, uint32_t bytes_size, mt_type_name_fn *type_name,
                     void *context, char *text, size_t size);

/* The name of the value's type: "int", "Account"; "" for unbound, "?" where that isn't known.
 * Static, or what `type_name` returns. */
const char *mt_value_type(const uint8_t *bytes, uint32_t bytes_size, mt_type_name_fn *type_name,
                          void *context);

/* Bytes that a value's encoding takes behind its tag, or -1 when damaged. */
int32_t mt_value_encoded_size(uint8_t tag, const uint8_t *encoding, size_t available);

#endif
