"""Values as text, the oracle's own reading of helper/value_text.h.

The same forms as the reader makes, without its budget: programs compared with the oracle
keep their values small enough to be captured whole. An address is written ADDR, because no
two processes agree on one. Runs no code of the program: only exact builtin types are
looked into, everything else shows its type.
"""

from __future__ import annotations

import collections
import re
import types
from collections.abc import Iterable

SCALARS = (int, float, bool, complex, str, bytes)
CONTAINERS = (list, dict, set, bytearray, collections.deque)

_BRACKETS = {
    list: ("[", "]"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    collections.deque: ("deque([", "])"),
}
_EMPTY = {set: "set()", frozenset: "frozenset()", collections.deque: "deque([])"}
_BUILTIN_PARTS = (
    int,
    float,
    complex,
    str,
    bytes,
    list,
    tuple,
    set,
    frozenset,
    dict,
    bytearray,
    collections.deque,
)
_type_name = type.__dict__["__name__"].__get__
_type_mro = type.__dict__["__mro__"].__get__
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")


def mro(kind: type) -> tuple[type, ...]:
    """The bases of a type in order, whatever its metaclass says."""
    return _type_mro(kind)


def type_name(value: object) -> str:
    """Name of a value's type, as `old_type` and `new_type` show it."""
    return _type_name(type(value))


def is_one_of(kind: type, kinds: Iterable[type]) -> bool:
    """`kind in kinds`, without the __eq__ that a metaclass may have."""
    return any(kind is other for other in kinds)


def is_scalar(value: object) -> bool:
    """Is it one of the types whose equal objects are no change?"""
    return value is None or is_one_of(type(value), SCALARS)


def same_scalar(old: object, new: object) -> bool:
    """Are both equal scalars of the same type, as far as 64 KiB tell?"""
    if type(old) is not type(new) or not is_scalar(old):
        return False
    if isinstance(old, (str, bytes)) and len(old) > 64 * 1024:
        return False
    return old == new


def without_addresses(text: str) -> str:
    """`text` with every address replaced by ADDR."""
    return _ADDRESS.sub("at ADDR", text)


def text(value: object) -> str:
    """The value as the reader would show it."""
    kind = type(value)
    if is_scalar(value) or kind is bytearray:
        return repr(value)
    if kind is types.FunctionType:
        return _named(value, value.__qualname__)
    if kind is types.BuiltinFunctionType:
        return _named(value, value.__name__)
    if kind is types.MethodType and type(value.__func__) is types.FunctionType:
        return _named(value, value.__func__.__qualname__)
    if kind is types.ModuleType:
        return _named(value, value.__dict__.get("__name__", "?"))
    if issubclass(kind, type):
        return _named(value, _type_name(value))
    if kind is range or kind is slice:
        return repr(value)
    builtin = _as_builtin(value, kind)
    if builtin is not None:
        return builtin
    for base in _BUILTIN_PARTS:
        if is_one_of(base, mro(kind)):
            return f"<{type_name(value)} {_as_builtin_part(value, base)} at ADDR>"
    return _plain(value)


def _plain(value: object) -> str:
    return f"<{type_name(value)} at ADDR>"


def _named(value: object, name: str) -> str:
    return f"<{type_name(value)} {name} at ADDR>"


def _as_builtin_part(value: object, base: type) -> str:
    """The builtin's part of an instance of a subclass."""
    if base in (int, float, complex, str, bytes, bytearray):
        return base.__repr__(value)
    return _as_builtin(value, base) or "?"


def _as_builtin(value: object, kind: type) -> str | None:
    """Text of a builtin container, read with the builtin's own methods."""
    if kind is dict:
        pairs = [f"{text(key)}: {text(item)}" for key, item in dict.items(value)]
        return "{" + ", ".join(pairs) + "}"
    if kind is tuple:
        items = [text(item) for item in tuple.__iter__(value)]
        return "(" + ", ".join(items) + (",)" if len(items) == 1 else ")")
    if is_one_of(kind, _BRACKETS):
        items = [text(item) for item in kind.__iter__(value)]
        if not items and kind in _EMPTY:
            return _EMPTY[kind]
        start, end = _BRACKETS[kind]
        return start + ", ".join(items) + end
    return None
