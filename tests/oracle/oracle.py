"""The oracle: derives the events of docs/events.md slowly and plainly.

A trace function is called before every instruction of the traced files. Before a store it
looks at what is bound and at what is about to be bound; at the next thing that happens it
knows whether the store raised. Everything about an event is decided here, in Python, from
the page alone; helper/ is written from the same page, and the two must agree.

The oracle keeps no reference to an object of the program beyond the instruction that it
watches (a container while an operator or method works on it excepted), so that lifetimes
are as without it. It expects that threads switch only where they block: the harness sets
the switch interval so.
"""

from __future__ import annotations

import _thread
import collections
import functools
import os
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import frames
import names
import values
from frames import UNBOUND

NEW, MODIFIED, MUTATED, REBOUND, DELETED = "NEW", "MODIFIED", "MUTATED", "REBOUND", "DELETED"
COMPARED_ITEMS, COMPARED_PAIRS = 64, 32

METHODS = {
    list: "append extend insert remove pop clear sort reverse __setitem__ __delitem__ "
    "__iadd__ __imul__",
    dict: "update setdefault pop popitem clear __setitem__ __delitem__ __ior__",
    set: "add discard remove pop clear update intersection_update difference_update "
    "symmetric_difference_update __ior__ __iand__ __isub__ __ixor__",
    bytearray: "append extend insert remove pop clear reverse __setitem__ __delitem__ "
    "__iadd__ __imul__",
    collections.deque: "append appendleft extend extendleft insert remove pop popleft clear "
    "rotate reverse __setitem__ __delitem__ __iadd__ __imul__",
}
METHODS = {kind: frozenset(text.split()) for kind, text in METHODS.items()}
ALL_METHODS = frozenset().union(*METHODS.values())

# Types that name object's own attribute setter in their own dict.
GENERIC_SETTERS = (
    object,
    BaseException,
    types.ModuleType,
    types.SimpleNamespace,
    functools.partial,
)


# ---- what is bound ---------------------------------------------------------------------


@dataclass
class Look:
    """What a target held at one moment, without a reference to it unless it is a scalar."""

    found: str = "absent"  # absent, bound or unreadable
    identity: int = 0
    text: str | None = None
    type: str | None = None
    scalar: Any = UNBOUND


ABSENT = Look()
UNREADABLE = Look("unreadable", 0, "?", "?")


def look(value: Any) -> Look:
    if value is UNBOUND:
        return ABSENT
    return Look(
        "bound",
        id(value),
        values.text(value),
        values.type_name(value),
        value if values.is_scalar(value) else UNBOUND,
    )


def equal(old: Look, new: Look) -> bool:
    """The same object, or an equal scalar of the same type."""
    if old.identity == new.identity:
        return True
    return (
        old.scalar is not UNBOUND
        and new.scalar is not UNBOUND
        and values.same_scalar(old.scalar, new.scalar)
    )


def bound_attribute(owner: Any, name: str) -> Look:
    """What `owner.name` holds, by docs/events.md "What is bound in an attribute or item"."""
    kind = type(owner)
    if kind is type:
        found = look(type.__dict__["__dict__"].__get__(owner).get(name, UNBOUND))
        stored_elsewhere = found.found == "absent" and _is_data_descriptor(_in_mro(type, name))
        return UNREADABLE if stored_elsewhere else found
    if issubclass(kind, type) or not _sets_generically(kind):
        return UNREADABLE
    descriptor = _in_mro(kind, name)
    if type(descriptor) is types.MemberDescriptorType:
        try:
            return look(descriptor.__get__(owner, kind))
        except AttributeError:
            return ABSENT
    if _is_data_descriptor(descriptor):
        return UNREADABLE
    try:
        return look(object.__getattribute__(owner, "__dict__").get(name, UNBOUND))
    except AttributeError:
        return ABSENT


def _is_data_descriptor(value: Any) -> bool:
    return value is not UNBOUND and any(
        _in_mro(type(value), name) is not UNBOUND for name in ("__set__", "__delete__")
    )


def _in_mro(kind: type, name: str) -> Any:
    for base in values.mro(kind):
        found = type.__dict__["__dict__"].__get__(base)
        if name in found:
            return found[name]
    return UNBOUND


def _sets_generically(kind: type) -> bool:
    for name in ("__setattr__", "__delattr__"):
        for base in values.mro(kind):
            if name in type.__dict__["__dict__"].__get__(base):
                if not values.is_one_of(base, GENERIC_SETTERS):
                    return False
                break
    return True


def bound_item(container: Any, key: Any) -> Look:
    kind = type(container)
    if values.is_one_of(kind, (list, bytearray, collections.deque)) and values.is_one_of(
        type(key), (int, bool)
    ):
        try:
            return look(container[key])
        except IndexError:
            return ABSENT
    if kind is dict and _is_plain_key(key):
        return look(container.get(key, UNBOUND))
    return UNREADABLE


def _is_plain_key(key: Any) -> bool:
    scalars = (str, int, bool, type(None), float, bytes)
    if type(key) is tuple:
        return all(values.is_one_of(type(part), scalars) for part in key)
    return values.is_one_of(type(key), scalars)


def bound_name(namespace: Any, name: str) -> Look:
    return look(namespace.get(name, UNBOUND)) if type(namespace) is dict else UNREADABLE


# ---- contents of containers --------------------------------------------------------------


class Contents:
    """A container before a statement that may change it.

    Two items are the same when they are one object or equal scalars of one type."""

    def __init__(self, container: Any, by_length: bool = False) -> None:
        self.container = container
        self._by_length = by_length
        self.text = values.text(container)
        self._before = self._parts()

    def _parts(self) -> tuple[int, list]:
        kind = type(self.container)
        if kind is bytearray:
            return len(self.container), [bytes(self.container)]
        if kind is dict:
            items: Iterable = (part for pair in self.container.items() for part in pair)
        else:
            items = iter(self.container)
        return len(self.container), [
            (type(item), item) if values.is_scalar(item) else id(item) for item in items
        ]

    def changed(self) -> bool:
        """Did the contents change? Undecided counts as changed."""
        length, parts = self._parts()
        old_length, old_parts = self._before
        if length != old_length:
            return True
        kind = type(self.container)
        if kind is dict or length <= COMPARED_ITEMS or self._by_length:
            return parts != old_parts
        return True  # either seen in the part that is compared, or not decided


def length_tells(kind: type, method: str, first: Any) -> bool:
    """Can the call change the contents only together with the length?"""
    is_key = type(first) is str or type(first) is int or type(first) is bytes
    if kind is list:
        if method == "extend":
            return type(first) is list or type(first) is tuple
        return (
            method == "append"
            or (method == "pop" and (first is UNBOUND or type(first) is int))
            or (method == "insert" and type(first) is int)
        )
    return kind is set and is_key and method in ("add", "discard", "remove")


# ---- what the instructions of a code object do ---------------------------------------------


@dataclass
class Site:
    """An instruction at which something may change."""

    action: str  # store, delete, inplace, call or sum
    target: str  # STORE_* and DELETE_* suffix
    line: int
    name: str = ""  # variable, attribute, or base of an item
    slot: int = 0
    base: names.Expression = names.UNKNOWN
    key: names.Expression = names.UNKNOWN
    arg_count: int = 0  # of a call: operands above function and self
    store: "Site | None" = None  # of an in-place operator: the store of its result
    height: int = 0  # variables and items on the stack by the code
    first: "Site | None" = None  # the store before it in the same instruction
    pair: bool = True  # of a call: function and self, not the function alone
    takes: bool = False  # an operator that takes a str out of the variable stored to next


_TARGETS = {
    "FAST": "local",
    "DEREF": "cell",
    "GLOBAL": "global",
    "NAME": "name",
    "ATTR": "attribute",
    "SUBSCR": "item",
    "SLICE": "item",
}


class Plan:
    """The sites of one code object, by the offset that the opcode event shows."""

    def __init__(self, code: types.CodeType) -> None:
        self.code = code  # keeps its id from being used again
        self.function = frames.qualname(code)
        self.slots = frames.slot_names(code)
        self.sites: dict[int, list[Site]] = {}
        self._lines = frames.lines(code)
        stacks = names.stacks(code)
        items = [item for item in frames.instructions(code) if item.offset in stacks]
        for index, item in enumerate(items):
            sites = self._sites(item, stacks[item.offset])
            if not sites and frames.is_inplace(item):
                sites = self._inplace(items, index, stacks)
            if frames.takes_operand_out(items, index):
                sites = sites or [Site("sum", "", self._lines[item.offset])]
                sites[0].takes = True
            for site in sites:
                site.height = len(self.slots) + len(stacks[item.offset])
            if sites:
                self.sites[item.event_offset] = sites

    def _sites(self, item: frames.Instruction, stack: names.Stack) -> list[Site]:
        line = self._lines[item.offset]
        pairs = names.fast_stores(item)
        if pairs:
            found = [Site("store", "FAST", line, self.slots[slot], slot) for slot in pairs]
            found[-1].first = found[0] if len(found) > 1 else None
            # What an inlined comprehension borrowed comes back: that stores nothing.
            return [
                site
                for position, site in enumerate(found, 1)
                if stack[-position] != ("saved", site.slot)
            ]
        verb, _, target = item.name.partition("_")
        if verb in ("STORE", "DELETE") and target in _TARGETS:
            site = Site(verb.lower(), target, line, name=item.value or "")
            if target == "FAST":
                site.slot = item.arg
            elif target == "DEREF":
                site.slot = frames.deref_slot(self.code, item.arg)
            elif target == "ATTR":
                site.base = stack[-1]
                site.name = f"{names.text(site.base)}.{item.value}"
            elif target == "SUBSCR":
                site.base, site.key = stack[-2], stack[-1]
            elif target == "SLICE":
                site.base, site.key = stack[-3], ("slice", stack[-2:])
            return [site]
        call = names.call(item, stack)
        if call is None or call.function[0] not in ("attr", "method"):
            return []
        method = call.function[2]
        if method not in ALL_METHODS or names.variable(call.function[1]) is None:
            return []
        base = call.function[1]
        return [Site("call", "", line, method, base=base, arg_count=call.above, pair=call.pair)]

    def _inplace(self, items: list[frames.Instruction], index: int, stacks: dict) -> list[Site]:
        """The in-place operator at `index`, if its result goes to a store at once."""
        for item in items[index + 1 :]:
            if frames.moves(item):
                continue
            stores = self._sites(item, stacks[item.offset])
            if not stores or stores[0].action != "store":
                return []
            line = self._lines[items[index].offset]
            return [Site("inplace", stores[0].target, line, store=stores[0])]
        return []


# ---- frames and threads under way -----------------------------------------------------------


@dataclass
class Pending:
    """What will be an event once it is known whether the instruction raised."""

    event: dict | None  # None: only `contents` decides
    certain: bool = False  # it comes before code that the store sets off
    contents: Contents | None = None
    survives: bool = False  # an event even if the instruction raises


@dataclass
class Call:
    """One activation under way."""

    plan: Plan
    number: int = 0  # activation; 0 before its first event
    pending: Pending | None = None
    operand: Contents | None = None  # left operand of the in-place operator just executed
    kept: str | None = None  # left operand of the sum just executed: held, it stays bound


class Oracle:
    """Records the events of the code whose file `matches`."""

    def __init__(self, matches: Callable[[str], bool], rebound: bool = False) -> None:
        self.events: list[dict] = []
        self.failure: str | None = None
        self._matches = matches
        self._rebound = rebound
        self._plans: dict[int, Plan | None] = {}
        self._codes: list[types.CodeType] = []
        self._calls: dict[int, Call] = {}  # by id(frame), while it lives
        self._certain: dict[int, Call] = {}  # by thread: call with a certain store
        self._activations = 0
        self._tracer = frames.Tracer(self._traced)

    def start(self) -> None:
        """Trace this thread, and those started from now on, from their next call on."""
        self._tracer.start()

    def stop(self) -> None:
        self._tracer.stop()

    def _traced(self, frame: types.FrameType, what: str, offset: int) -> None:
        try:
            self._happened(frame, what, offset)
        except BaseException:
            if self.failure is None:
                self.failure = traceback.format_exc()

    def _happened(self, frame: types.FrameType, what: str, offset: int) -> None:
        thread = _thread.get_ident()
        call = self._calls.get(id(frame))
        waiting = self._certain.pop(thread, None)
        if waiting is not None and (waiting is not call or what != frames.EXCEPTION):
            self._resolve(waiting, raised=False)
        if what in (frames.BEGIN, frames.RESUME):
            self._begins(frame, call, what == frames.BEGIN)
        elif call is None:
            return
        elif what == frames.EXCEPTION:
            self._resolve(call, raised=True)
            call.operand = call.kept = None
        elif what == frames.INSTRUCTION:
            self._resolve(call, raised=False)
            self._executes(frame, call, thread, offset)
        elif what == frames.END:
            del self._calls[id(frame)]

    # -- calls

    def _begins(self, frame: types.FrameType, call: Call | None, begins: bool) -> None:
        code = frame.f_code
        if call is not None and not begins:
            return  # a generator goes on
        self._calls.pop(id(frame), None)
        plan = self._plan(code)
        self._tracer.watch(frame, plan is not None)
        if plan is None:
            return
        call = self._calls[id(frame)] = Call(plan)
        arguments = (
            code.co_argcount
            + code.co_kwonlyargcount
            + bool(code.co_flags & 0x04)
            + bool(code.co_flags & 0x08)
        )
        for name in code.co_varnames[:arguments]:
            value = self._variable(frame, plan, frames.argument_slot(code, name))
            if value is not UNBOUND and not name.startswith("."):
                self._emit(
                    call,
                    self._event(
                        call, code.co_firstlineno, NEW, "argument", name, ABSENT, look(value)
                    ),
                )

    def _plan(self, code: types.CodeType) -> Plan | None:
        if id(code) not in self._plans:
            self._codes.append(code)  # its id is not used again
            self._plans[id(code)] = Plan(code) if self._matches(code.co_filename) else None
        return self._plans[id(code)]

    def _variable(self, frame: types.FrameType, plan: Plan, slot: int) -> Any:
        value = frames.slot(frame, slot)
        name = plan.slots[slot]
        if name in plan.code.co_cellvars or name in plan.code.co_freevars:
            if type(value) is types.CellType:
                try:
                    return value.cell_contents
                except ValueError:
                    return UNBOUND
        return value

    # -- instructions

    def _executes(self, frame: types.FrameType, call: Call, thread: int, offset: int) -> None:
        for site in call.plan.sites.get(offset, ()):
            if call.pending is not None:  # the first store of two: it can't fail
                self._resolve(call, raised=False)
            self._execute(frame, call, site)
        if call.pending is not None and call.pending.certain:
            self._certain[thread] = call

    def _execute(self, frame: types.FrameType, call: Call, site: Site) -> None:
        if site.takes:
            left = frames.stack(frame, site.height, 2)
            call.kept = left if type(left) is str else None
        if site.action == "call":
            call.pending = self._method_call(frame, call, site)
        elif site.action == "inplace":
            call.pending = self._operator(frame, call, site)
        elif site.action != "sum":
            call.pending = self._store(frame, call, site)
            call.operand = call.kept = None

    def _store(self, frame: types.FrameType, call: Call, site: Site) -> Pending | None:
        position = {"ATTR": 2, "SUBSCR": 3, "SLICE": 4}.get(site.target, 2 if site.first else 1)
        deletes = site.action == "delete"
        new_value = UNBOUND if deletes else frames.stack(frame, site.height, position)
        if site.target == "SLICE":
            container = frames.stack(frame, site.height, 3)
            name = f"{names.text(site.base)}[{names.slice_text(site.key)}]"
            return self._slice_store(call, site, container, name, look(new_value))
        if site.target == "SUBSCR":
            container = frames.stack(frame, site.height, 2)
            key = frames.stack(frame, site.height, 1)
            name = f"{names.text(site.base)}[{names.final_key_text(site.key, key)}]"
            if type(key) is slice:
                return self._slice_store(call, site, container, name, look(new_value))
            old = bound_item(container, key)
        else:
            name = site.name
            if site.target == "ATTR":
                owner = frames.stack(frame, site.height, 1)
                old = bound_attribute(owner, name.rpartition(".")[2])
            elif site.target == "GLOBAL":
                old = bound_name(frame.f_globals, name)
            elif site.target == "NAME":
                old = bound_name(frames.namespace(frame), name)
            else:
                old = look(self._variable(frame, call.plan, site.slot))
                if site.first is not None and site.first.slot == site.slot:
                    old = look(frames.stack(frame, site.height, 1))
        return self._change(call, site, name, old, look(new_value))

    def _change(self, call: Call, site: Site, name: str, old: Look, new: Look) -> Pending | None:
        kind = MODIFIED
        operand = call.operand
        if new.found == "absent":
            kind = DELETED
        elif old.found == "absent":
            kind = NEW
        elif old.found == "bound" and equal(old, new):
            kind = REBOUND
            if (
                operand is not None
                and id(operand.container) == old.identity == new.identity
                and operand.changed()
            ):
                kind = MUTATED
                old = Look("bound", old.identity, operand.text, old.type)
        if kind == REBOUND and not self._rebound:
            return None
        event = self._event(call, site.line, kind, _TARGETS[site.target], name, old, new)
        return Pending(event, certain=old.found != "unreadable")

    def _slice_store(
        self, call: Call, site: Site, container: Any, name: str, new: Look
    ) -> Pending | None:
        if type(container) is list or type(container) is bytearray:
            variable = names.variable(site.base)
            if variable is None:
                return None
            return self._mutation(call, site.line, *variable, Contents(container))
        kind = DELETED if new.found == "absent" else MODIFIED
        return Pending(self._event(call, site.line, kind, "item", name, UNREADABLE, new))

    def _method_call(self, frame: types.FrameType, call: Call, site: Site) -> Pending | None:
        # Function and self, or the bound method and NULL, in the order of this version.
        high = frames.stack(frame, site.height, site.arg_count + 1)
        low = frames.stack(frame, site.height, site.arg_count + 2) if site.pair else UNBOUND
        if low is UNBOUND:
            container = _bound_to(high)
        elif high is UNBOUND:
            container = _bound_to(low)
        else:
            container = high
        kind = type(container)
        if not values.is_one_of(kind, METHODS) or site.name not in METHODS[kind]:
            return None
        plain = low is not UNBOUND and high is not UNBOUND and site.arg_count
        first = frames.stack(frame, site.height, site.arg_count) if plain else UNBOUND
        contents = Contents(container, length_tells(kind, site.name, first))
        return self._mutation(call, site.line, *names.variable(site.base), contents)

    def _mutation(
        self, call: Call, line: int, scope: str, name: str, contents: Contents
    ) -> Pending:
        value = look(contents.container)
        event = self._event(call, line, MUTATED, scope, name, value, value)
        return Pending(event, contents=contents, survives=True)

    def _operator(self, frame: types.FrameType, call: Call, site: Site) -> Pending | None:
        operand = frames.stack(frame, site.height, 2)
        if not values.is_one_of(type(operand), values.CONTAINERS):
            return None
        store = site.store
        name = store.name
        if store.target == "SLICE":
            return None
        if store.target == "SUBSCR":
            key = frames.stack(frame, site.height, 3)
            if type(key) is slice:
                return None  # the slice's own copy
            name = f"{names.text(store.base)}[{names.final_key_text(store.key, key)}]"
        right = frames.stack(frame, site.height, 1)
        call.operand = Contents(operand, length_tells(type(operand), "extend", right))
        pending = self._mutation(call, site.line, _TARGETS[store.target], name, call.operand)
        pending.survives = False
        return pending

    # -- events

    def _resolve(self, call: Call, raised: bool) -> None:
        """The instruction that was pending in `call` is over."""
        pending, call.pending = call.pending, None
        if pending is None:
            return
        contents = pending.contents
        if contents is None:
            if not raised:
                self._emit(call, pending.event)
        elif (raised or pending.survives) and contents.changed():
            pending.event["old"] = contents.text
            pending.event["new"] = values.text(contents.container)
            self._emit(call, pending.event)

    def _event(
        self, call: Call, line: int, kind: str, scope: str, name: str, old: Look, new: Look
    ) -> dict:
        return {
            "function": call.plan.function,
            "file": call.plan.code.co_filename,
            "line": line,
            "kind": kind,
            "scope": scope,
            "name": name,
            "old": old.text,
            "new": new.text,
            "old_type": old.type,
            "new_type": new.type,
        }

    def _emit(self, call: Call, event: dict) -> None:
        if not call.number:
            self._activations += 1
            call.number = self._activations
        head = {
            "seq": len(self.events) + 1,
            "time_ns": time.monotonic_ns(),
            "pid": os.getpid(),
            "thread": threading.get_native_id(),
            "activation": call.number,
        }
        self.events.append({**head, **event})


def _bound_to(function: Any) -> Any:
    """The container that a bound method of a builtin belongs to."""
    if values.is_one_of(type(function), (types.BuiltinMethodType, types.MethodWrapperType)):
        return function.__self__
    return UNBOUND
