"""Frames, objects and expressions, read from real processes of every CPython at hand."""

from __future__ import annotations

import collections
import random
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from interpreter import Target, with_headers  # noqa: E402
from memtrace import expression, objects  # noqa: E402
from memtrace.errors import MemtraceError  # noqa: E402

PROGRAM = """\
import collections, threading

class Base:
    kind = "base"
    def method(self):
        return 1
    @property
    def computed(self):
        raise SystemExit("a property ran")

class Account(Base):
    def __init__(self, balance):
        self.balance = balance
        self.owner = "Zoë"
    def __bool__(self):
        raise SystemExit("__bool__ ran")

class Slotted:
    __slots__ = ("x", "y")
    def __init__(self):
        self.x = 7

class Money(int):
    pass

class Row(list):
    pass

class Rude(dict):
    def __len__(self):
        raise SystemExit("__len__ ran")

limit = 100
grown = Account(1)
for number in range(40):
    setattr(grown, "field%d" % number, number)

def inner(values, account, *rest, **named):
    cell = 5
    integers = [0, 1, -1, 2**30, -2**31, 2**64 + 1, -10**40]
    scalars = (None, True, False, 1.5, float("inf"), 2 - 3j, "", "abc", "na\\u00efve",
               "\\u20ac", "\\U0001f600", b"", b"a\\0b", ...)
    containers = [[1, [2]], (1,), (), {1, 2}, set(), frozenset({"x"}), bytearray(b"xy"),
                  collections.deque(range(200)), range(1, 10, 2), slice(1, None)]
    removed = {key: str(key) for key in range(20)}
    del removed[3]
    few = {1, 2, 3}
    few.discard(2)
    rotated = collections.deque(range(70))
    rotated.rotate(-65)
    mixed = {"a": 1, 2: "b", (1, 2): None}
    big = list(range(200000))
    cycle = [1]
    cycle.append(cycle)
    slotted = Slotted()
    money = Money(3)
    row = Row([1, 2, 3])
    rude = Rude(a=1)
    other = Account(account.balance)
    aged = Account(2)
    vars(aged)
    extended = grown
    unbound = 1
    del unbound
    def nested():
        return cell
    (lambda argument:
        ready())(3)
    return nested

class Outer:
    def run(self):
        return inner([1, 2], Account(-20),
                       "rest", key="named")

threading.Thread(target=Outer().run).start()
"""


@pytest.fixture(scope="module", params=with_headers() or [None], ids=str)
def target(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Target]:
    if request.param is None:
        pytest.skip("no CPython 3.8 to 3.15 with its headers (install python3-dev)")
    target = Target(request.param, PROGRAM, tmp_path_factory.mktemp("target"))
    yield target
    target.close()


def value(target: Target, text: str) -> Any:
    return expression.evaluate(text, target.objects(), target.frames()[1])


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(PROGRAM.splitlines(), 1) if text in line)


def test_frames_have_function_file_and_line(target: Target) -> None:
    frames = target.frames()
    names = [frame.function for frame in frames[:3]]
    if target.hex >= 0x030B0000:
        assert names == ["inner.<locals>.<lambda>", "inner", "Outer.run"]
    else:
        assert names == ["<lambda>", "inner", "run"]
    assert {frame.file for frame in frames[:3]} == {"target.py"}
    lines = [frame.line for frame in frames[:3]]
    assert lines[0] == line_of("        ready())(3)")
    # 3.8 and later name the line where the call begins.
    assert lines[1] == line_of("(lambda argument:")
    assert lines[2] == line_of("return inner(")


def test_variables_of_a_frame_are_its_bound_ones(target: Target) -> None:
    names = {name for name, _ in target.objects().variables(target.frames()[1])}
    assert {"values", "account", "rest", "named", "cell", "nested"} <= names
    assert "unbound" not in names


def test_module_frame_shows_its_namespace(target: Target, tmp_path: Path) -> None:
    module = Target(target.interpreter, "counter = 3\nready()\n", tmp_path)
    try:
        frame = module.frames()[0]
        assert (frame.function, frame.line, frame.optimized) == ("<module>", 2, False)
        assert expression.evaluate("counter + 1", module.objects(), frame) == 4
        assert "counter" in {name for name, _ in module.objects().variables(frame)}
    finally:
        module.close()


def test_scalars_are_converted_exactly(target: Target) -> None:
    assert value(target, "integers") == [0, 1, -1, 2**30, -(2**31), 2**64 + 1, -(10**40)]
    expected = (None, True, False, 1.5, float("inf"), 2 - 3j)
    expected += ("", "abc", "na\u00efve", "\u20ac", "\U0001f600", b"", b"a\0b", ...)
    seen = value(target, "scalars")
    assert seen == expected
    assert [type(item) for item in seen] == [type(item) for item in expected]


def test_containers_are_converted_exactly(target: Target) -> None:
    expected = [[1, [2]], (1,), (), {1, 2}, set(), frozenset({"x"}), bytearray(b"xy")]
    expected += [collections.deque(range(200)), range(1, 10, 2), slice(1, None)]
    seen = value(target, "containers")
    assert seen == expected
    assert [type(item) for item in seen] == [type(item) for item in expected]


def test_removed_entries_are_not_shown(target: Target) -> None:
    assert value(target, "removed") == {key: str(key) for key in range(20) if key != 3}
    assert value(target, "few") == {1, 3}
    rotated = collections.deque(range(70))
    rotated.rotate(-65)
    assert value(target, "rotated") == rotated
    assert value(target, "mixed") == {"a": 1, 2: "b", (1, 2): None}


def test_big_and_cyclic_containers_are_read_as_they_are_used(target: Target) -> None:
    assert value(target, "len(big)") == 200000
    assert value(target, "big[199999]") == 199999
    assert value(target, "sum(1 for _ in big)") == 200000
    assert value(target, "cycle[1][1][0]") == 1
    assert "2 items" in expression.show(value(target, "cycle"))


def test_cells_and_arguments(target: Target) -> None:
    assert value(target, "cell + len(values)") == 7
    assert value(target, "rest, named") == (("rest",), {"key": "named"})
    assert value(target, "[v for v in values if v < limit]") == [1, 2]


def test_attributes_of_instances_classes_and_modules(target: Target) -> None:
    assert value(target, "account.balance") == -20
    assert value(target, "account.owner") == "Zoë"
    assert value(target, "other.balance, aged.balance, account.kind") == (-20, 2, "base")
    assert value(target, "extended.field39") == 39
    assert value(target, "slotted.x") == 7
    assert value(target, "Account.kind") == "base"
    assert value(target, "threading.__name__") == "threading"
    assert value(target, "account is account and account is not other") is True


def test_what_is_kept_in_the_object_s_own_structure(target: Target) -> None:
    assert value(target, "account.__dict__") == {"balance": -20, "owner": "Zoë"}
    assert value(target, "Account.__name__, account.__init__.__name__") == ("Account", "__init__")
    assert value(target, "nested.__name__") == "nested"


def test_missing_attributes_are_said(target: Target) -> None:
    with pytest.raises(MemtraceError, match="AttributeError: <Account at .* 'nothing'"):
        value(target, "account.nothing")
    with pytest.raises(MemtraceError, match="no attribute 'y'"):
        value(target, "slotted.y")


def test_code_of_the_process_does_not_run(target: Target) -> None:
    for text in ("account.computed", "bool(account)", "len(rude)", "account.method()"):
        with pytest.raises(MemtraceError, match="code of the process"):
            value(target, text)


def test_proxies_are_shown_like_values_of_events(target: Target) -> None:
    def shown(text: str) -> str:
        return expression.show(value(target, text))

    assert shown("account").startswith("<Account at 0x")
    assert shown("money").startswith("<Money 3 at 0x")
    assert shown("nested").startswith("<function inner.<locals>.nested at 0x")
    assert shown("Account").startswith("<type Account at 0x")
    assert shown("threading").startswith("<module threading at 0x")
    assert value(target, "row[1], len(row), list(row)") == (2, 3, [1, 2, 3])


def test_unknown_variable_names_near_ones(target: Target) -> None:
    with pytest.raises(MemtraceError, match="no variable acount in inner") as caught:
        value(target, "acount.balance")
    assert "account" in caught.value.remedy


def test_syntax_error_is_said(target: Target) -> None:
    with pytest.raises(MemtraceError, match="a b"):
        value(target, "a b")


def test_nothing_is_changed(target: Target) -> None:
    with pytest.raises(MemtraceError, match="changes nothing"):
        value(target, "account.__setattr__('balance', 1)")
    assert value(target, "values.append(3)") is None
    assert value(target, "values") == [1, 2]


def test_damaged_memory_is_an_error_not_a_crash(target: Target) -> None:
    reader = target.objects()
    for address in (0, 1, 8, 1 << 46, (1 << 64) - 8, target.facts["runtime"]):
        with pytest.raises(MemtraceError):
            reader.value(address)


def test_long_values_are_cut() -> None:
    assert expression.show("x" * 9999).endswith("… (10001 characters)")
    assert expression.show(10**5000).startswith(("0x", "1000"))


def test_line_tables_give_no_line_where_there_is_none() -> None:
    # 3.11: two units of line +1 (form 11), one unit without a line (15).
    table = bytes([128 | 11 << 3 | 1, 0, 0, 128 | 15 << 3])
    assert [objects.location_line(table, 10, offset) for offset in (0, 2, 4, 6)] == [11, 11, 0, 0]
    # 3.10: 4 bytes of line +1, 2 bytes without, 2 bytes of line -1.
    table = bytes([4, 1, 2, 128, 2, 255])
    assert [objects.line_table_line(table, 10, at) for at in (0, 4, 6, 8)] == [11, 0, 10, 0]
    # 3.9: from address 4 on line 12, from 6 on line 11.
    table = bytes([4, 2, 2, 255])
    assert [objects.lnotab_line(table, 10, at) for at in (0, 2, 4, 6)] == [10, 10, 12, 11]


class DamagedMemory:
    """Memory in which some of the bytes read are wrong, the same ones each time."""

    def __init__(self, memory: Any, seed: int) -> None:
        self.memory = memory
        self.seed = seed

    def read(self, address: int, size: int) -> bytes:
        data = bytearray(self.memory.read(address, size))
        chance = random.Random(self.seed ^ address)
        if data and chance.random() < 0.03:
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)


@pytest.mark.parametrize("seed", range(15))
def test_any_damage_ends_in_a_message(target: Target, seed: int) -> None:
    frame = target.frames()[1]
    reader = objects.Objects(DamagedMemory(target.memory, seed), target.layout, target.hex)
    for attempt in (
        lambda: list(reader.threads(target.facts["runtime"])),
        lambda: reader.frame(frame.address),
        lambda: list(reader.variables(frame)),
        lambda: expression.evaluate("account.balance, slotted.x, extended.field3", reader, frame),
        lambda: expression.evaluate("limit", reader, frame),
    ):
        try:
            attempt()
        except MemtraceError:
            pass
    try:
        for _, address in reader.variables(frame):
            try:
                expression.show(reader.value(address))
            except MemtraceError:
                pass
    except MemtraceError:
        pass
