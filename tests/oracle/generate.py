"""Random programs: random statements over random variables, sure to end.

`program(seed)` always gives the same text, in one version of Python. Loops run over a few
items, functions call only functions defined before them and never from a loop, generators are
consumed a bounded number of times, and a budget stops the nesting. What goes into a container
is a scalar, so that no container contains itself, and loops cut what grows: captured values are
never shortened.
Statements raise as they like; at module level each is caught.
"""

from __future__ import annotations

import random
import sys

SCALARS = ("a", "b", "c")
LISTS = ("xs", "ys", "n.extra", "rows[0]", "rows[a]")
KEYS = ("'k'", "'m'", "1", "2", "None", "True", "(1, 'k')", "b'k'", "1.5", "a", "small(b)")

PRELUDE = """\
import collections


class Node:
    __slots__ = ("left", "right", "__dict__")
    shared = 0

    def __init__(self, left):
        self.left = left
        self.extra = [left]

    @property
    def half(self):
        return self.left

    @half.setter
    def half(self, value):
        self.right = value

    def __enter__(self):
        self.entered = 1
        return self.extra

    def __exit__(self, *details):
        self.entered = 0
        return self.left == 2


class Guarded:
    def __setattr__(self, name, value):
        seen = name
        object.__setattr__(self, name, value)

    def __setitem__(self, key, value):
        self.last = 1

    def __delitem__(self, key):
        raise KeyError(key)


class Farewell:
    def __del__(self):
        log.append('gone')


class Pause:
    def __init__(self, rounds):
        self.rounds = rounds

    def __await__(self):
        got = yield self.rounds
        return got

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.rounds -= 1
        if self.rounds < 0:
            raise StopAsyncIteration
        return await self

    async def __aenter__(self):
        self.entered = await self
        return [self.rounds]

    async def __aexit__(self, *details):
        self.entered = details[0]
        return self.rounds == 2


def drive(coroutine):
    sent = None
    for step in range(9):
        try:
            coroutine.send(sent)
        except StopIteration as stop:
            return stop.value
        sent = step
    coroutine.close()


def small(value):
    return value % 1000 if type(value) is int else 7


def failing(count):
    for index in range(count):
        yield index
    raise ValueError(count)


log = []
n, g, q = Node(2), Guarded(), collections.deque([1], 8)
a, b, c, u = 1, 2, 3, None
xs, ys, d, e = [1, 2, 3], [], {'k': 1}, {}
rows, s, ba = [[1], [2]], {1, 2}, bytearray(b'ab')
"""

RESET = [
    "a, b, c = 0, 1, 300",
    "xs, ys, n.extra = [1, 2, 3], [], [1]",
    "d, e, s = {'k': 1}, {}, {1, 2}",
    "rows, ba = [[1], [2]], bytearray(b'ab')",
    "n.left = 2",
]
LOCALS = [
    "a, b, c, u = 1, 2, 3, None",
    "xs, ys, rows = [1, 2], [], [[1], [2]]",
    "d, e, s = {'k': 1}, {}, {1}",
    "q, ba = collections.deque([1], 8), bytearray(b'f')",
]
CUT = [
    "del xs[8:], n.extra[8:], ba[8:]",
    "if len(d) + len(e) > 12 or len(rows[0]) > 8:",
    "    d, e, rows = {'k': 1}, {}, [[1], [2]]",
]


def file_name(seed: int | str) -> str:
    """Name of the file that a generated program claims to come from."""
    return f"generated-{seed}.py"


# How deep blocks are nested: CPython's CO_MAXBLOCKS is 20.
DEEPEST = 7


def program(seed: int, version: tuple[int, ...] = sys.version_info[:2]) -> str:
    """The program of `seed`, in the language of a version of Python."""
    return _Generator(random.Random(seed), version).program()


def _indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


class _Generator:
    """Writes one program. A statement is a list of lines."""

    def __init__(self, rng: random.Random, version: tuple[int, ...]) -> None:
        self._version = tuple(version[:2])
        self._rng = rng
        self._budget = rng.randint(10, 30)
        self._functions: list[tuple[str, int]] = []  # name, number of arguments
        self._generators: list[str] = []
        self._names = 0
        self._loops = 0
        self._depth = 0                   # of blocks in each other
        self._function_kind = ""  # "", function or generator
        self._statements = [
            (8, self._assign),
            (6, self._augment),
            (3, self._tuple_assign),
            (2, self._chained),
            (5, self._mutate),
            (2, self._slice),
            (2, self._delete),
            (3, self._branch),
            (3, self._for),
            (2, self._while),
            (3, self._try),
            (2, self._with),
            (3, self._comprehension),
            (2, self._walrus),
            (3, self._call),
            (2, self._consume),
            (1, self._match),
            (1, self._class_body),
            (1, self._lambda),
            (1, self._escape),
            (1, self._farewell),
            (1, self._coroutine),
        ]

    def program(self) -> str:
        lines = PRELUDE.splitlines()
        for _ in range(self._rng.randint(1, 3)):
            lines += self._definition()
        statements = [self._block(self._rng.randint(1, 3)) for _ in range(self._rng.randint(3, 6))]
        statements += [
            [f"u = {name}({', '.join('abc'[:count])})"] for name, count in self._functions
        ]
        statements += [[f"u = list({name}(a))"] for name in self._generators]
        for statement in statements:
            lines += [
                "try:",
                *_indent(statement),
                f"except {self._pick('Exception', 'Exception as error')}:",
                *_indent(self._rng.sample(RESET, 3)),
            ]
        return "\n".join(lines) + "\n"

    # -- building blocks

    def _pick(self, *choices: str) -> str:
        return self._rng.choice(choices)

    def _fresh(self, stem: str) -> str:
        self._names += 1
        return f"{stem}{self._names}"

    def _scalar(self) -> str:
        """An expression whose value may go into a container."""
        return self._pick(
            str(self._rng.randint(-3, 9)),
            *SCALARS,
            "300",
            "10 ** 20",
            "'text'",
            "None",
            "True",
            "1.5",
            "-0.0",
            "b'raw'",
            "len(xs)",
            "str(a)[:6]",
            "a < b",
            "not a",
            f"small({self._pick('n.left', 'xs[0]', 'xs[-1]', *SCALARS)})",
            "small(d['k'])",
            f"small({self._pick(*SCALARS)}) {self._pick('+', '-', '*', '^', '|', '&')} "
            f"small({self._pick(*SCALARS)})",
        )

    def _list(self) -> str:
        return self._pick(
            f"[{self._scalar()}, {self._scalar()}]",
            "list(ys)[:4]",
            "n.extra",
            "[]",
            "xs[1:]",
            "xs",
            f"[{self._scalar()}] * 3",
        )

    def _any(self) -> str:
        scalar = self._scalar
        return self._pick(
            scalar(),
            self._list(),
            f"({scalar()},)",
            f"{{'k': {scalar()}}}",
            "()",
            f"{{{self._rng.randint(0, 5)}}}",
            "d",
            "rows",
            "q",
            "range(3)",
            "1 + 2j",
            "small",
            "Node",
            "n",
            "{**d}",
            "[[1], [a]]",
        )

    def _scalar_target(self) -> str:
        return self._pick(
            *SCALARS,
            *SCALARS,
            "n.left",
            "n.right",
            "Node.shared",
            "n.half",
            "g.one",
            "g[a]",
            f"xs[{self._rng.randint(-2, 3)}]",
            f"xs[{self._pick(*SCALARS)}]",
            "q[0]",
            f"d[{self._pick(*KEYS)}]",
            "e[small(a)]",
            "ba[0]",
            "d['k'].x",
            "n.extra[0]",
            "Node(1).left",
            "[n][0].right",
            "rows[0][0]",
            "small.note",
            "missing.x",
        )

    def _assignment(self) -> tuple[str, str]:
        """A target and an expression that it may hold."""
        kind = self._rng.randrange(4)
        if kind == 0:
            return self._pick("u", "n.other", "g.two", "small.other"), self._any()
        if kind == 1:
            return self._pick("xs", "ys", "n.extra", "rows[0]"), self._list()
        return self._scalar_target(), self._scalar()

    def _block(self, count: int) -> list[str]:
        weights, makers = zip(*self._statements)
        lines: list[str] = []
        for maker in self._rng.choices(makers, weights, k=count):
            lines += maker()
        return lines

    def _nested(self) -> list[str]:
        # The compiler takes 20 blocks in each other at the most; some statements are two.
        if self._depth >= DEEPEST:
            return _indent(["pass"])
        self._depth += 1
        lines = self._nested_statements()
        self._depth -= 1
        return lines

    def _nested_statements(self) -> list[str]:
        self._budget -= 1
        count = self._rng.randint(1, 3)
        return _indent(self._block(count) if self._budget > 0 else self._assign())

    def _loop(self) -> list[str]:
        self._loops += 1
        lines = _indent(CUT) + self._nested()
        self._loops -= 1
        return lines

    # -- statements

    def _assign(self) -> list[str]:
        return ["{} = {}".format(*self._assignment())]

    def _augment(self) -> list[str]:
        scalar = self._scalar()
        return self._rng.choice(
            [
                [
                    f"{self._pick(*SCALARS)} {self._pick('+', '-', '^', '|', '&')}= "
                    f"{self._rng.randint(0, 9)}"
                ],
                [f"{self._pick(*LISTS)} += [{scalar}]"],
                [f"{self._pick(*LISTS)} += failing(2)"],
                [f"{self._pick(*LISTS)} += ()"],
                ["ys = [1]", "ys *= 2"],
                ["d['k'] += 1"],
                ["n.left += 1"],
                ["g.one += 1"],
                ["n.half += 1"],
                ["Node.shared += 1"],
                [f"d |= {{{self._pick(*KEYS)}: {scalar}}}"],
                ["s |= {5}"],
                ["s &= {1, 5}"],
                ["s -= {9}"],
                ["s ^= {1}"],
                ["ba += b'x'"],
                ["q += [3]"],
                [f"a += {scalar}"],
                [f"xs[{self._rng.randint(-1, 3)}] += 1"],
                ["n.extra[0] -= 1"],
                ["g.items = [1]", "g.items += [2]"],
            ]
        )

    def _tuple_assign(self) -> list[str]:
        one, two = self._scalar_target(), self._scalar_target()
        return [
            self._pick(
                f"{one}, {two} = {self._scalar()}, {self._scalar()}",
                "a, b = b, a",
                f"{one}, *ys = xs",
                f"*ys, {one} = xs",
                f"[{one}, ({two}, c)] = 1, (2, 3)",
                "xs[0], xs[1] = xs[1], xs[0]",
                f"{one}, {two} = xs",
                f"{one}, {two}, *u = 'abcd'",
            )
        ]

    def _chained(self) -> list[str]:
        target, value = self._assignment()
        return [
            f"u = {target} = {value}"
            if self._rng.random() < 0.5
            else f"{target} = n.other = {value}"
        ]

    def _mutate(self) -> list[str]:
        scalar = self._scalar
        xs = self._pick(*LISTS, "[xs][0]", "n.other", "g.two", "u")
        return [
            self._pick(
                f"{xs}.append({scalar()})",
                f"{xs}.extend([{scalar()}, 2])",
                f"{xs}.pop()",
                f"{xs}.insert(0, {scalar()})",
                f"{xs}.remove(1)",
                f"{xs}.reverse()",
                f"{xs}.clear()",
                f"{xs}.sort(key=small)",
                f"{xs}.extend(*[[4]])",
                f"{xs}.extend(failing(1))",
                f"{xs}.append(a if b else c)",
                f"{xs}.__setitem__(0, {scalar()})",
                "xs.copy()",
                f"d.update(k={scalar()})",
                f"d.setdefault({self._pick(*KEYS)}, 1)",
                "d.pop('k')",
                "d.pop('none', 0)",
                "d.popitem()",
                "e.update(d)",
                "d.clear()",
                "d.update(**e)",
                f"s.add({self._rng.randint(0, 9)})",
                "s.discard(1)",
                "s.remove(2)",
                "s.update([3])",
                "s.difference_update({1})",
                "ba.append(65)",
                "ba.extend(b'yz')",
                "ba.pop()",
                "q.append(2)",
                "q.appendleft(0)",
                "q.rotate(1)",
                "q.popleft()",
                "q.extend([1, 2])",
                "d.get('k')",
                "xs.index(1)",
            )
        ]

    def _slice(self) -> list[str]:
        container = self._pick("xs", "n.extra", "ba", "q", "g", "rows[0]")
        value = "b'z'" if container == "ba" else f"[{self._scalar()}]"
        start, stop = self._pick("", "0", "1", "a"), self._pick("", "2", "b", "small(c)")
        return [
            self._pick(
                f"{container}[{start}:{stop}] = {value}",
                f"del {container}[{start}:{stop}]",
                f"{container}[::2] = {value}",
                f"{container}[1:] += {value}",
            )
        ]

    def _delete(self) -> list[str]:
        target = self._pick(
            "n.left",
            "n.other",
            "n.half",
            "d['k']",
            "d[a]",
            "xs[0]",
            "xs[-1]",
            "xs[9]",
            "g[0]",
            "g.one",
            "e",
            "Node.shared",
            "q[0]",
            "c",
            "(a, b)",
            "rows[0][0]",
            "small.note",
        )
        return [f"del {target}"]

    def _branch(self) -> list[str]:
        condition = self._pick(
            "a", "a == b", "not c", "xs", "d", "a == b or c", "(t := b)", "u is None and a"
        )
        return [f"if {condition}:", *self._nested(), "else:", *self._nested()]

    def _for(self) -> list[str]:
        if self._loops == 2:
            return self._assign()
        target = self._pick(
            *SCALARS, "n.left", "d['k']", "xs[0]", "n.right", "i, j", "n.left, c", "(t, *ys)"
        )
        if target in ("i, j", "n.left, c", "(t, *ys)"):
            source = self._pick("[(1, 2), (3, 4)]", "zip([1, 2], [3, 4])", "d.items()")
        else:
            source = self._pick("range(3)", "[4, 4]", "failing(2)", "'ab'", "list(xs)[:3]")
        if source == "d.items()":
            source = "list(d.items())[:3]"
        lines = [f"for {target} in {source}:", *self._loop()]
        return lines + (["else:", *self._nested()] if self._rng.random() < 0.3 else [])

    def _while(self) -> list[str]:
        if self._loops == 2:
            return self._assign()
        name = self._fresh("w")
        return [
            f"{name} = {self._rng.randint(1, 3)}",
            f"while {name} > 0:",
            f"    {name} -= 1",
            *self._loop(),
        ]

    def _try(self) -> list[str]:
        lines = ["try:", *self._nested()]
        if self._rng.random() < 0.5:
            lines.append(
                "    "
                + self._pick(
                    "1 / 0", "raise KeyError(1)", "xs[99] = 1", "undefined", "raise Exception"
                )
            )
        kind = self._rng.randrange(3)
        if kind != 0:
            lines += [
                f"except {self._pick('Exception as x', 'KeyError', 'ArithmeticError as x')}:",
                *self._nested(),
            ]
            if self._rng.random() < 0.3:
                lines += ["else:", *self._nested()]
        if kind != 1:
            lines += ["finally:", *_indent(self._assign())]
        return lines

    def _with(self) -> list[str]:
        return [
            self._pick(
                "with n:",
                "with n as xs:",
                "with n as (a, *ys):",
                "with n as n.other:",
                "with n as u, Node(3) as ys:",
                "with Node(2) as g.two:",
            ),
            *self._nested(),
        ]

    def _comprehension(self) -> list[str]:
        target, value = self._pick("u", "n.other", "g.two"), self._scalar()
        return [
            f"{target} = "
            + self._pick(
                f"[v + 1 for v in range(3) if v != {self._rng.randint(0, 3)}]",
                "{v: w for v, w in zip('ab', [1, 2])}",
                "{v for v in (1, 2)}",
                "[[v, w] for v in (1, 2) for w in (3,)]",
                "sum(v for v in [1, 2])",
                "[(y := v) for v in range(2)]",
                f"[[{value} for v in (1,)] for w in range(2)]",
                "list(v for v in failing(1))",
                "[v for v in xs if (a := v)]",
            )
        ]

    def _walrus(self) -> list[str]:
        return [f"u = [{self._scalar()}, ({self._pick(*SCALARS)} := {self._scalar()})]"]

    def _call(self) -> list[str]:
        if not self._functions or self._loops:
            return self._assign()
        name, count = self._rng.choice(self._functions)
        arguments = ", ".join(self._any() for _ in range(count))
        return [self._pick("", "u = ", "n.other, u = ", "u, *g.two = ") + f"{name}({arguments})"]

    def _consume(self) -> list[str]:
        if not self._generators or self._loops:
            return self._assign()
        it = self._fresh("it")
        use = self._rng.randrange(6)
        lines = [f"{it} = {self._rng.choice(self._generators)}({self._scalar()})"]
        if use == 0:
            return lines + [f"for {self._pick(*SCALARS)} in {it}:", *self._loop()]
        return (
            lines
            + [
                [],
                [f"a = next({it})", f"b = {it}.send({self._scalar()})", f"{it}.close()"],
                [f"xs = list({it})[:4]"],
                [f"next({it})", f"{it}.throw(KeyError(1))"],
                [f"next({it})", f"del {it}"],
                [f"b, *ys = {it}"],
            ][use]
        )

    def _match(self) -> list[str]:
        if self._version < (3, 10):
            return self._assign()
        lines = [f"match {self._pick('xs', 'd', 'a', 'n', '(1, [2, 3])')}:"]
        for pattern in (
            "[1, p, *ys]",
            "{'k': p, **rest}",
            "Node(left=p) if p",
            "int(p) | str(p)",
            "[p, [t, _]] as u",
            "other",
        ):
            lines += _indent([f"case {pattern}:", *self._nested()])
        return lines

    def _class_body(self) -> list[str]:
        name = self._fresh("Class")
        return [
            f"class {name}:",
            "    field = 1",
            "    field += 1",
            f"    items = [v for v in range({self._rng.randint(0, 3)})]",
            f"    {self._pick('del field', 'items.append(field)', 'field = items')}",
            f"u = {name}.items",
        ]

    def _lambda(self) -> list[str]:
        return [f"u = (lambda v, *r, k=1, **o: v)({self._scalar()}, 2, z=3)"]

    def _farewell(self) -> list[str]:
        return [self._pick("u = Farewell()", "n.other = Farewell()"), "u = n.other = None"]

    def _coroutine(self) -> list[str]:
        """A coroutine of its own, driven by hand."""
        if self._loops:
            return self._assign()
        name = self._fresh("co")
        kind, self._function_kind = self._function_kind, "function"
        body = list(self._rng.choice([LOCALS, ["b, c, t = 1, 2, 3", "xs = [1]"]]))
        body += self._block(1)
        for _ in range(self._rng.randint(1, 2)):
            body += self._rng.choice(
                [
                    [f"b = await Pause({self._scalar()})"],
                    ["async with Pause(2) as ys:", *self._nested()],
                    ["async with Pause(1) as (c,), Pause(2):", *self._nested()],
                    [
                        f"async for {self._pick('b', 'n.left', 'xs[0]')} in Pause(2):",
                        *_indent(self._assign()),
                    ],
                    ["u = [v async for v in Pause(2)]"],
                    ["try:", "    c = await Pause(1)", "finally:", "    c = 5"],
                ]
            )
        self._function_kind = kind
        return [f"async def {name}():", *_indent(body), f"u = drive({name}())"]

    def _escape(self) -> list[str]:
        """Leave the loop or the function."""
        condition = self._pick("if a:", "if not b:", "if xs:")
        if self._loops:
            return [condition, "    " + self._pick("break", "continue")]
        if self._function_kind == "function":
            return [condition, f"    return {self._scalar()}, 2"]
        return ["pass"]

    # -- definitions

    def _definition(self) -> list[str]:
        kind = self._function_kind = self._pick("function", "function", "generator")
        name = self._fresh("gen" if kind == "generator" else "fun")
        count = 1 if kind == "generator" else self._rng.randint(0, 3)
        body = list(
            self._rng.choice(
                [
                    ["global a, b, c, u, xs, ys, rows, d, e, s, q, ba"],
                    ["global xs, ys, d"],
                    LOCALS,
                    LOCALS,
                ]
            )
        )
        if self._rng.random() < 0.4:
            inner = self._fresh("inner")
            body += [
                f"v = {self._scalar()}",
                f"def {inner}(more=1):",
                "    nonlocal v",
                "    v = small(v)",
                "    v += more",
                "    w = [v]",
                "    return w",
                f"t = {inner}()",
            ]
        body += self._block(self._rng.randint(2, 5))
        if kind == "generator":
            body += [
                f"got = yield {self._scalar()}",
                "try:",
                f"    t = yield {self._scalar()}",
                "finally:",
                "    t = 0",
                self._pick("yield from list(xs)[:2]", "yield t", "return 5"),
            ]
            self._generators.append(name)
        else:
            body.append(f"return {self._pick(self._any(), '1, 2')}")
            self._functions.append((name, count))
        self._function_kind = ""
        parameters = ", ".join(f"p{index}" for index in range(count))
        return ["", "", f"def {name}({parameters}):", *_indent(body), "", ""]
