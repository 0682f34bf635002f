"""What the programmer called it: expressions decompiled from instructions.

Follows the operand stack of a code object along every path, holding expressions instead of
objects, until nothing changes. Where two paths leave different expressions in the same
place the expression is unknown, shown as …. The rules are those of docs/events.md, "Names".

An expression is a tuple:

    ("name", scope, text)       a variable; scope local, cell, global or name
    ("attr", base, text)        ("item", base, key)        ("call", function)
    ("const", object)           ("slice", parts)
    ("null",)                   what a call has below its function
    ("method", base, text)      the attribute that a call is about to call
    ("unknown",)
"""

from __future__ import annotations

import types
from typing import Any

import frames
import values

UNKNOWN = ("unknown",)
NULL = ("null",)
Expression = tuple
Stack = tuple

_VARIABLES = {
    "LOAD_FAST": "local",
    "LOAD_DEREF": "cell",
    "LOAD_CLASSDEREF": "cell",
    "LOAD_GLOBAL": "global",
    "LOAD_NAME": "name",
}

# (popped, pushed): instructions whose results have no name.
_EFFECTS = {
    "NOP": (0, 0),
    "RESUME": (0, 0),
    "PRECALL": (0, 0),
    "KW_NAMES": (0, 0),
    "CACHE": (0, 0),
    "MAKE_CELL": (0, 0),
    "COPY_FREE_VARS": (0, 0),
    "SETUP_ANNOTATIONS": (0, 0),
    "JUMP_FORWARD": (0, 0),
    "JUMP_BACKWARD": (0, 0),
    "JUMP_BACKWARD_NO_INTERRUPT": (0, 0),
    "DELETE_FAST": (0, 0),
    "DELETE_DEREF": (0, 0),
    "DELETE_GLOBAL": (0, 0),
    "DELETE_NAME": (0, 0),
    "POP_TOP": (1, 0),
    "POP_EXCEPT": (1, 0),
    "PRINT_EXPR": (1, 0),
    "IMPORT_STAR": (1, 0),
    "RETURN_VALUE": (1, 0),
    "RERAISE": (1, 0),
    "STORE_FAST": (1, 0),
    "STORE_DEREF": (1, 0),
    "STORE_GLOBAL": (1, 0),
    "STORE_NAME": (1, 0),
    "STORE_ATTR": (2, 0),
    "DELETE_ATTR": (1, 0),
    "STORE_SUBSCR": (3, 0),
    "DELETE_SUBSCR": (2, 0),
    "LIST_APPEND": (1, 0),
    "SET_ADD": (1, 0),
    "LIST_EXTEND": (1, 0),
    "SET_UPDATE": (1, 0),
    "DICT_UPDATE": (1, 0),
    "DICT_MERGE": (1, 0),
    "MAP_ADD": (2, 0),
    "UNARY_POSITIVE": (1, 1),
    "UNARY_NEGATIVE": (1, 1),
    "UNARY_NOT": (1, 1),
    "UNARY_INVERT": (1, 1),
    "BINARY_OP": (2, 1),
    "COMPARE_OP": (2, 1),
    "IS_OP": (2, 1),
    "CONTAINS_OP": (2, 1),
    "GET_ITER": (1, 1),
    "GET_YIELD_FROM_ITER": (1, 1),
    "GET_AITER": (1, 1),
    "GET_ANEXT": (0, 1),
    "GET_AWAITABLE": (1, 1),
    "GET_LEN": (0, 1),
    "BEFORE_WITH": (1, 2),
    "BEFORE_ASYNC_WITH": (1, 2),
    "END_ASYNC_FOR": (2, 0),
    "YIELD_VALUE": (1, 1),
    "ASYNC_GEN_WRAP": (1, 1),
    "RETURN_GENERATOR": (0, 1),
    "LIST_TO_TUPLE": (1, 1),
    "IMPORT_NAME": (2, 1),
    "IMPORT_FROM": (0, 1),
    "PUSH_EXC_INFO": (1, 2),
    "CHECK_EXC_MATCH": (1, 1),
    "CHECK_EG_MATCH": (2, 2),
    "PREP_RERAISE_STAR": (2, 1),
    "WITH_EXCEPT_START": (0, 1),
    "MATCH_MAPPING": (0, 1),
    "MATCH_SEQUENCE": (0, 1),
    "MATCH_KEYS": (0, 1),
    "MATCH_CLASS": (3, 1),
    "LOAD_CLOSURE": (0, 1),
    "LOAD_BUILD_CLASS": (0, 1),
    "LOAD_ASSERTION_ERROR": (0, 1),
}
_EFFECTS_OF_ARGUMENT = {
    "BUILD_TUPLE": lambda arg: (arg, 1),
    "BUILD_LIST": lambda arg: (arg, 1),
    "BUILD_SET": lambda arg: (arg, 1),
    "BUILD_STRING": lambda arg: (arg, 1),
    "BUILD_MAP": lambda arg: (2 * arg, 1),
    "BUILD_CONST_KEY_MAP": lambda arg: (arg + 1, 1),
    "UNPACK_SEQUENCE": lambda arg: (1, arg),
    "UNPACK_EX": lambda arg: (1, (arg & 0xFF) + (arg >> 8) + 1),
    "FORMAT_VALUE": lambda arg: (2 if arg & 4 else 1, 1),
    "MAKE_FUNCTION": lambda arg: (1 + bin(arg & 15).count("1"), 1),
    "RAISE_VARARGS": lambda arg: (arg, 0),
}
_ENDS = {"RETURN_VALUE", "RERAISE", "RAISE_VARARGS"}
_ALWAYS_JUMPS = {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}
# (popped when it jumps, popped when it goes on, pushed when it goes on)
_BRANCHES = {
    "FOR_ITER": (1, 0, 1),
    "SEND": (1, 0, 0),
    "JUMP_IF_TRUE_OR_POP": (0, 1, 0),
    "JUMP_IF_FALSE_OR_POP": (0, 1, 0),
}


def stacks(code: types.CodeType) -> dict[int, Stack]:
    """The operand stack, as expressions, before each instruction that can be reached."""
    items = frames.instructions(code)
    at = {item.offset: item for item in items}
    starts = {item.event_offset: item.offset for item in items}
    handlers = frames.exception_handlers(code)
    found: dict[int, Stack] = {}
    waiting = [(items[0].offset, ())]
    while waiting:
        offset, stack = waiting.pop()
        offset = starts.get(offset, offset)
        if offset in found:
            stack = _merge(found[offset], stack)
            if stack == found[offset]:
                continue
        found[offset] = stack
        item = at[offset]
        waiting += _after(item, stack)
        for start, end, target, kept, pushed in handlers:
            if start <= offset < end:
                waiting.append((target, stack[:kept] + (UNKNOWN,) * pushed))
    return found


def _merge(one: Stack, other: Stack) -> Stack:
    if len(one) != len(other):
        raise AssertionError(f"paths meet with {len(one)} and {len(other)} items")
    return tuple(
        a if a == b and type(a[-1]) is type(b[-1]) else UNKNOWN for a, b in zip(one, other)
    )


def _after(item: frames.Instruction, stack: Stack) -> list[tuple[int, Stack]]:
    """Where the instruction leads, with the stack there."""
    if item.name in _ENDS:
        return []
    if item.name in _ALWAYS_JUMPS:
        return [(item.value, stack)]
    if item.name.startswith("POP_JUMP_"):
        return [(item.value, stack[:-1]), (item.next_offset, stack[:-1])]
    if item.name in _BRANCHES:
        jump_pops, next_pops, next_pushes = _BRANCHES[item.name]
        return [
            (item.value, stack[: len(stack) - jump_pops]),
            (item.next_offset, stack[: len(stack) - next_pops] + (UNKNOWN,) * next_pushes),
        ]
    return [(item.next_offset, _execute(item, stack))]


def _execute(item: frames.Instruction, stack: Stack) -> Stack:
    name, arg = item.name, item.arg
    if name in _VARIABLES:
        null = (NULL,) if name == "LOAD_GLOBAL" and arg & 1 else ()
        return stack + null + (("name", _VARIABLES[name], item.value),)
    if name == "LOAD_CONST":
        return stack + (("const", item.value),)
    if name == "PUSH_NULL":
        return stack + (NULL,)
    if name == "LOAD_ATTR":
        return stack[:-1] + (("attr", stack[-1], item.value),)
    if name == "LOAD_METHOD":
        return stack[:-1] + (("method", stack[-1], item.value), stack[-1])
    if name == "BINARY_SUBSCR":
        return stack[:-2] + (("item", stack[-2], stack[-1]),)
    if name == "BUILD_SLICE":
        return stack[:-arg] + (("slice", stack[-arg:]),)
    if name == "COPY":
        return stack + (stack[-arg],)
    if name == "SWAP":
        return stack[:-arg] + (stack[-1],) + stack[-arg + 1 : -1] + (stack[-arg],)
    if name == "CALL":
        return stack[: -arg - 2] + (("call", callee(stack, arg)),)
    if name == "CALL_FUNCTION_EX":
        count = 3 + (arg & 1)
        return stack[:-count] + (("call", stack[-count + 1]),)
    popped, pushed = _EFFECTS[name] if name in _EFFECTS else _EFFECTS_OF_ARGUMENT[name](arg)
    return stack[: len(stack) - popped] + (UNKNOWN,) * pushed


def callee(stack: Stack, arg_count: int) -> Expression:
    """What CALL with `arg_count` arguments calls."""
    below = stack[-arg_count - 2]
    return stack[-arg_count - 1] if below == NULL else below


def text(expression: Expression) -> str:
    """The expression as a base: `x`, `base.attr`, `base[key]`, `base(…)` or `…`."""
    kind = expression[0]
    if kind == "name":
        return expression[2]
    if kind in ("attr", "method"):
        return f"{text(expression[1])}.{expression[2]}"
    if kind == "item":
        return f"{text(expression[1])}[{key_text(expression[2])}]"
    if kind == "call":
        function = text(expression[1])
        return "…" if function == "…" else f"{function}(…)"
    return "…"


def key_text(expression: Expression) -> str:
    """The expression as the key of a base."""
    return repr(expression[1]) if expression[0] == "const" else text(expression)


def final_key_text(expression: Expression, key: Any) -> str:
    """The key of an item event: its value where that is a small scalar, else as written."""
    kind = type(key)
    if key is None or kind is bool or kind is float or kind is int and -(2**63) <= key < 2**63:
        return values.text(key)
    if kind is str and len(key.encode("utf-8", "surrogatepass")) <= 64:
        return values.text(key)
    if kind is bytes and len(key) <= 64:
        return values.text(key)
    if expression[0] == "slice":
        return slice_text(expression)
    return key_text(expression)


def slice_text(expression: Expression) -> str:
    """`start:stop` or `start:stop:step`, empty where None."""
    return ":".join("" if part == ("const", None) else key_text(part) for part in expression[1])


def variable(expression: Expression) -> tuple[str, str] | None:
    """Scope and name of an expression whose object is mutated; None if it is no variable."""
    kind = expression[0]
    if kind == "name":
        return expression[1], expression[2]
    if kind in ("attr", "method"):
        return "attribute", text(expression)
    if kind == "item":
        return "item", text(expression)
    return None
