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
    ("saved", slot)             what an inlined comprehension borrows a variable from
    ("unknown",)

Instructions of all versions stand in the same tables: a name means the same wherever it
exists, but for what `_execute` and `_after` tell apart. Up to 3.10 blocks take the place of
the exception table; there (and only there) paths may meet with a different depth, in the
`finally` of 3.8, and what matters is counted from the top.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

import frames
import values

UNKNOWN = ("unknown",)
NULL = ("null",)
Expression = tuple
Stack = tuple

_VARIABLES = {
    "LOAD_FAST": "local",
    "LOAD_FAST_CHECK": "local",
    "LOAD_FAST_BORROW": "local",
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
    "NOT_TAKEN": (0, 0),
    "POP_BLOCK": (0, 0),
    "GEN_START": (1, 0),
    "END_FOR": (1, 0) if frames.VERSION >= (3, 13) else (2, 0),
    # 3.15: an index stands beside each iterator.
    "POP_ITER": (1, 0) if frames.VERSION < (3, 15) else (2, 0),
    "END_SEND": (2, 1) if frames.VERSION < (3, 15) else (3, 1),
    "CLEANUP_THROW": (3, 2) if frames.VERSION < (3, 15) else (4, 3),
    "EXIT_INIT_CHECK": (1, 0),
    "TO_BOOL": (1, 1),
    "CALL_INTRINSIC_1": (1, 1),
    "CALL_INTRINSIC_2": (2, 1),
    "CONVERT_VALUE": (1, 1),
    "FORMAT_SIMPLE": (1, 1),
    "FORMAT_WITH_SPEC": (2, 1),
    "SET_FUNCTION_ATTRIBUTE": (2, 1),
    "LOAD_LOCALS": (0, 1),
    "LOAD_SPECIAL": (1, 2),
    "LOAD_COMMON_CONSTANT": (0, 1),
    "BUILD_TEMPLATE": (2, 1),
    "STORE_SLICE": (4, 0),
    "YIELD_FROM": (2, 1),
    "BEGIN_FINALLY": (0, 1),
    "END_FINALLY": (1, 0),
    "POP_FINALLY": (1, 0),
    "WITH_CLEANUP_START": (0, 2),
    "WITH_CLEANUP_FINISH": (2, 0),
    "COPY_DICT_WITHOUT_KEYS": (1, 1),
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
    "POP_EXCEPT": (1, 0) if frames.VERSION >= (3, 11) else (3, 0),
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

    "COMPARE_OP": (2, 1),
    "IS_OP": (2, 1),
    "CONTAINS_OP": (2, 1),
    "GET_ITER": (1, 1) if frames.VERSION < (3, 15) else (1, 2),
    "GET_YIELD_FROM_ITER": (1, 1),
    "GET_AITER": (1, 1),
    "GET_ANEXT": (0, 1),
    "GET_AWAITABLE": (1, 1),
    "GET_LEN": (0, 1),
    "BEFORE_WITH": (1, 2),
    "BEFORE_ASYNC_WITH": (1, 2),
    "END_ASYNC_FOR": (2, 0) if frames.VERSION >= (3, 11) else (7, 0),
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
    "MATCH_KEYS": (0, 1) if frames.VERSION >= (3, 11) else (0, 2),
    "MATCH_CLASS": (3, 1) if frames.VERSION >= (3, 11) else (3, 2),
    "LOAD_CLOSURE": (0, 1),
    "LOAD_BUILD_CLASS": (0, 1),
    "LOAD_ASSERTION_ERROR": (0, 1),
}
_MADE_OF = 1 if frames.VERSION >= (3, 11) else 2  # code, and its qualified name
_EFFECTS_OF_ARGUMENT = {
    "BUILD_TUPLE": lambda arg: (arg, 1),
    "BUILD_LIST": lambda arg: (arg, 1),
    "BUILD_SET": lambda arg: (arg, 1),
    "BUILD_STRING": lambda arg: (arg, 1),
    "BUILD_MAP": lambda arg: (2 * arg, 1),
    "BUILD_CONST_KEY_MAP": lambda arg: (arg + 1, 1),
    "BUILD_TUPLE_UNPACK": lambda arg: (arg, 1),
    "BUILD_TUPLE_UNPACK_WITH_CALL": lambda arg: (arg, 1),
    "BUILD_LIST_UNPACK": lambda arg: (arg, 1),
    "BUILD_SET_UNPACK": lambda arg: (arg, 1),
    "BUILD_MAP_UNPACK": lambda arg: (arg, 1),
    "BUILD_MAP_UNPACK_WITH_CALL": lambda arg: (arg, 1),
    "BUILD_INTERPOLATION": lambda arg: (2 + (arg & 1), 1),
    "UNPACK_SEQUENCE": lambda arg: (1, arg),
    "UNPACK_EX": lambda arg: (1, (arg & 0xFF) + (arg >> 8) + 1),
    "FORMAT_VALUE": lambda arg: (2 if arg & 4 else 1, 1),
    "MAKE_FUNCTION": lambda arg: (_MADE_OF + bin((arg or 0) & 15).count("1"), 1),
    "RAISE_VARARGS": lambda arg: (arg, 0),
}
_ENDS = {"RETURN_VALUE", "RETURN_CONST", "INTERPRETER_EXIT", "RERAISE", "RAISE_VARARGS"}
_ALWAYS_JUMPS = {
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
    "JUMP_ABSOLUTE",
}
# Up to 3.10, blocks: (popped before the block, pushed before it, pushed for the body)
_BLOCKS = {"SETUP_FINALLY": (0, 0, 0), "SETUP_WITH": (1, 1, 1), "SETUP_ASYNC_WITH": (1, 0, 1)}
_EXCEPTION = 6  # what an exception then puts on the stack
_PADDING = 8  # items below what is known of the stack

# (popped when it jumps, popped when it goes on, pushed when it goes on)
_BRANCHES = {
    # From 3.12 on the end of a loop is there to be jumped to with what FOR_ITER would push.
    "FOR_ITER": (1, 0, 1) if frames.VERSION < (3, 12) else (-1, 0, 1),
    "SEND": (1, 0, 0) if frames.VERSION < (3, 12) else (0, 0, 0),
    "JUMP_IF_NOT_EXC_MATCH": (2, 2, 0),
    "JUMP_IF_TRUE_OR_POP": (0, 1, 0),
    "JUMP_IF_FALSE_OR_POP": (0, 1, 0),
}


def stacks(code: types.CodeType) -> dict[int, Stack]:
    """The operand stack, as expressions, before each instruction that can be reached."""
    items = frames.instructions(code)
    at = {item.offset: item for item in items}
    starts = {item.first_offset: item.offset for item in items}
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
            # 3.15: a range may go on behind where its items are; nothing raises there.
            if start <= offset < end and kept <= len(stack):
                waiting.append((target, stack[:kept] + (UNKNOWN,) * pushed))
    return found


def _merge(one: Stack, other: Stack) -> Stack:
    if len(one) != len(other):
        if frames.VERSION >= (3, 11):
            raise AssertionError(f"paths meet with {len(one)} and {len(other)} items")
        shorter = min(len(one), len(other))
        one, other = one[len(one) - shorter :], other[len(other) - shorter :]
    return tuple(
        a if a == b and type(a[-1]) is type(b[-1]) else UNKNOWN for a, b in zip(one, other)
    )


def _after(item: frames.Instruction, stack: Stack) -> list[tuple[int, Stack]]:
    """Where the instruction leads, with the stack there."""
    if frames.VERSION < (3, 11):
        stack = (UNKNOWN,) * (_PADDING - len(stack)) + stack
    if item.name in _ENDS:
        return []
    if item.name in _BLOCKS:
        popped, pushed, entered = _BLOCKS[item.name]
        level = stack[: len(stack) - popped] + (UNKNOWN,) * pushed
        return [
            (item.value, level + (UNKNOWN,) * _EXCEPTION),
            (item.next_offset, level + (UNKNOWN,) * entered),
        ]
    if item.name == "CALL_FINALLY":
        return [(item.value, stack + (UNKNOWN,)), (item.next_offset, stack)]
    if item.name in _ALWAYS_JUMPS:
        return [(item.value, stack)]
    if item.name.startswith("POP_JUMP_"):
        return [(item.value, stack[:-1]), (item.next_offset, stack[:-1])]
    if item.name in _BRANCHES:
        jump_pops, next_pops, next_pushes = _BRANCHES[item.name]
        if jump_pops < 0:
            jumped = stack + (UNKNOWN,) * -jump_pops
        else:
            jumped = stack[: len(stack) - jump_pops]
        return [
            (item.value, jumped),
            (item.next_offset, stack[: len(stack) - next_pops] + (UNKNOWN,) * next_pushes),
        ]
    return [(item.next_offset, _execute(item, stack))]


def _execute(item: frames.Instruction, stack: Stack) -> Stack:
    name, arg = item.name, item.arg
    if name in _VARIABLES:
        return stack + _with_null(item, ("name", _VARIABLES[name], item.value))
    if name in ("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"):
        return stack + tuple(("name", "local", variable) for variable in item.value)
    if name == "STORE_FAST_LOAD_FAST":
        return stack[:-1] + (("name", "local", item.value[1]),)
    if name == "STORE_FAST_STORE_FAST":
        return stack[:-2]
    if name == "LOAD_FAST_AND_CLEAR":
        return stack + (("saved", arg),)
    if name in ("LOAD_FROM_DICT_OR_DEREF", "LOAD_FROM_DICT_OR_GLOBALS"):
        scope = "cell" if name.endswith("DEREF") else "name"
        return stack[:-1] + (("name", scope, item.value),)
    if type(item.value) is slice:  # 3.14: slices of constants are constants
        parts = (item.value.start, item.value.stop, item.value.step)
        parts = parts[:2] if parts[2] is None else parts
        return stack + (("slice", tuple(("const", part) for part in parts)),)
    if type(item.value) is tuple and any(type(part) is slice for part in item.value):
        return stack + (UNKNOWN,)  # likewise: as written it is no constant
    if name in ("LOAD_CONST", "LOAD_SMALL_INT"):
        return stack + (("const", item.value),)
    if name == "LOAD_COMMON_CONSTANT" and not callable(item.value):
        return stack + (("const", item.value),)
    if name == "PUSH_NULL":
        return stack + (NULL,)
    if name == "LOAD_METHOD" or (name == "LOAD_ATTR" and frames.loads_method(item)):
        return stack[:-1] + (("method", stack[-1], item.value), stack[-1])
    if name == "LOAD_ATTR":
        return stack[:-1] + (("attr", stack[-1], item.value),)
    if name == "LOAD_SUPER_ATTR":
        base = ("call", stack[-3])
        if arg & 1:
            return stack[:-3] + (("method", base, item.value), base)
        return stack[:-3] + (("attr", base, item.value),)
    if frames.is_subscript(item):
        return stack[:-2] + (("item", stack[-2], stack[-1]),)
    if name == "BINARY_SLICE":
        return stack[:-3] + (("item", stack[-3], ("slice", stack[-2:])),)
    if name == "BUILD_SLICE":
        return stack[:-arg] + (("slice", stack[-arg:]),)
    if name in ("COPY", "DUP_TOP"):
        return stack + (stack[-(arg or 1)],)
    if name == "DUP_TOP_TWO":
        return stack + stack[-2:]
    if name == "SWAP":
        return stack[:-arg] + (stack[-1],) + stack[-arg + 1 : -1] + (stack[-arg],)
    if name in _ROTATIONS:
        count = _ROTATIONS[name] or arg
        return stack[:-count] + (stack[-1],) + stack[-count:-1]
    called = call(item, stack)
    if called is not None:
        return stack[: -called.above - 1 - called.pair] + (("call", called.function),)
    if name.startswith(("BINARY_", "INPLACE_")):
        return stack[:-2] + (UNKNOWN,)
    popped, pushed = _EFFECTS[name] if name in _EFFECTS else _EFFECTS_OF_ARGUMENT[name](arg)
    return stack[: len(stack) - popped] + (UNKNOWN,) * pushed


_ROTATIONS = {"ROT_TWO": 2, "ROT_THREE": 3, "ROT_FOUR": 4, "ROT_N": 0}


def _with_null(item: frames.Instruction, variable: Expression) -> Stack:
    """The variable, with the NULL beside it that a call wants."""
    if item.name != "LOAD_GLOBAL" or frames.VERSION < (3, 11) or not item.arg & 1:
        return (variable,)
    return (NULL, variable) if frames.VERSION < (3, 13) else (variable, NULL)


def fast_stores(item: frames.Instruction) -> tuple[int, ...]:
    """Slots that the instruction stores to, the one that gets the top of the stack first."""
    if item.name == "STORE_FAST":
        return (item.arg,)
    if item.name == "STORE_FAST_LOAD_FAST":
        return (item.arg >> 4,)
    if item.name == "STORE_FAST_STORE_FAST":
        return (item.arg >> 4, item.arg & 15)
    return ()


@dataclass(frozen=True)
class Called:
    """What a call instruction finds on the stack."""

    function: Expression
    above: int  # operands above function and self
    pair: bool = True  # False: there is a function and nothing else


def call(item: frames.Instruction, stack: Stack) -> Called | None:
    """What the instruction calls; None: it calls nothing."""
    name, arg = item.name, item.arg
    if name in ("CALL", "CALL_METHOD"):
        above = arg
    elif name in ("CALL_KW", "CALL_FUNCTION_KW"):
        above = arg + 1
    elif name == "CALL_FUNCTION":
        above = arg
    elif name == "CALL_FUNCTION_EX":
        above = 2 if frames.VERSION >= (3, 14) else 1 + (arg & 1)
    else:
        return None
    if frames.VERSION < (3, 11) and name != "CALL_METHOD":
        return Called(stack[-above - 1], above, pair=False)
    below = stack[-above - 2]
    return Called(stack[-above - 1] if below == NULL else below, above)


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
