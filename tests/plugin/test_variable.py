"""TARGET of a variable breakpoint."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "gdbplugin"))

from memtrace.errors import MemtraceError  # noqa: E402
from memtrace.variable import Watched, parse  # noqa: E402


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("balance", Watched("balance")),
        ("transfer:balance", Watched("balance", "transfer")),
        ("bank.py:transfer:balance", Watched("balance", "transfer", "bank.py")),
        ("bank.py:balance", Watched("balance", "", "bank.py")),
        ("/srv/bank.py:balance", Watched("balance", "", "/srv/bank.py")),
        ("transfer:self.balance", Watched("self.balance", "transfer")),
        ("flags[4]", Watched("flags[4]")),
        ("f:table['a:b']", Watched("table['a:b']", "f")),
        ("f:x.y[0].z", Watched("x.y[0].z", "f")),
        ("outer.<locals>.inner:x", Watched("x", "outer.<locals>.inner")),
        ("transfer:balance if new < 0", Watched("balance", "transfer", "", "new < 0")),
        ("d['x if y'] if 'if' in old", Watched("d['x if y']", "", "", "'if' in old")),
        ("größe  if  new", Watched("größe", "", "", "new")),
    ],
)
def test_target_forms(text: str, expected: Watched) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "if x", "a:b:c:d", ":x", "f:", "1x", "x y", "x[", "x.", "f(x)", "x if", "x if new <"],
)
def test_bad_targets_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(MemtraceError) as caught:
        parse(text)
    assert caught.value.remedy


def test_description_reads_as_a_sentence() -> None:
    assert str(parse("transfer:balance if new < 0")) == "balance in transfer, if new < 0"
    assert str(parse("bank.py:transfer:balance")) == "balance in transfer of bank.py"


def test_an_owner_may_be_a_function_or_a_module() -> None:
    lines = list(parse("config:limit if new > 1").request_lines(3))
    assert lines[:2] == ["break=3", "break-function=config"]
    assert lines[2:4] == ["break-target=limit", "break-if=new > 1"]
    assert "break-module=config" in lines
    assert {line for line in lines if line.startswith("break=")} == {"break=3"}
    lines = list(parse("pkg.config:limit").request_lines(3))
    assert "break-module=*/pkg/config.py" in lines


def test_with_a_file_the_owner_is_a_function() -> None:
    assert list(parse("a.py:f:x").request_lines(1)) == [
        "break=1",
        "break-file=a.py",
        "break-function=f",
        "break-target=x",
    ]


def test_request_values_are_escaped() -> None:
    assert "break-if=new %25 5 == 0" in parse("x if new % 5 == 0").request_lines(1)
