"""abi.py against the headers: a C program compiled from them prints what it sees."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "gdbplugin"))

from memtrace import abi  # noqa: E402


def _program() -> str:
    lines: List[str] = [
        "#include <stdio.h>",
        "#include <stddef.h>",
        '#include "reader.h"',
        '#define NUMBER(what, value) printf("%s %llu\\n", what, (unsigned long long)(value))',
        '#define FIELD(s, f) do { NUMBER(#s "." #f, offsetof(struct s, f)); \\',
        '    NUMBER(#s "." #f ":size", sizeof(((struct s *)0)->f)); } while (0)',
        "int main(void) {",
    ]
    for cls, struct in abi.STRUCTS.items():
        lines.append(f'NUMBER("{struct}", sizeof(struct {struct}));')
        lines += [f"FIELD({struct}, {field[0]});" for field in cls._fields_]
    for enum, prefix in abi.ENUMS.items():
        lines += [f'NUMBER("{prefix}{m.name}", {prefix}{m.name});' for m in enum]
    lines += [f'NUMBER("{c}", {c});' for c in abi.CONSTANTS.values()]
    lines += [
        'NUMBER("MT_KIND_COUNT", MT_KIND_COUNT);',
        'NUMBER("MT_SCOPE_COUNT", MT_SCOPE_COUNT);',
        'printf("magic %s\\nmemfd %s\\n", MT_MAGIC, MT_MEMFD_NAME);',
        "return 0; }",
    ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, str]:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on PATH (cc, gcc, clang)")
    directory = tmp_path_factory.mktemp("abi")
    source = directory / "abi.c"
    source.write_text(_program())
    program = directory / "abi"
    subprocess.run(
        [compiler, "-std=gnu11", "-I", str(ROOT / "helper"), str(source), "-o", str(program)],
        check=True,
    )
    output = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in output.splitlines())


@pytest.mark.parametrize("cls", list(abi.STRUCTS), ids=lambda cls: cls.__name__)
def test_struct_has_the_header_s_size_and_offsets(cls: type, seen: Dict[str, str]) -> None:
    struct = abi.STRUCTS[cls]
    for name, *_ in cls._fields_:
        field = getattr(cls, name)
        assert field.offset == int(seen[f"{struct}.{name}"]), name
        assert field.size == int(seen[f"{struct}.{name}:size"]), name
    assert ctypes.sizeof(cls) == int(seen[struct])


@pytest.mark.parametrize("enum", list(abi.ENUMS), ids=lambda enum: enum.__name__)
def test_enum_has_the_header_s_numbers(enum: type, seen: Dict[str, str]) -> None:
    for member in enum:
        assert member.value == int(seen[abi.ENUMS[enum] + member.name]), member


def test_enums_are_complete(seen: Dict[str, str]) -> None:
    assert len(abi.Kind) == int(seen["MT_KIND_COUNT"])
    assert len(abi.Scope) == int(seen["MT_SCOPE_COUNT"])


def test_constants_are_the_header_s(seen: Dict[str, str]) -> None:
    for name, macro in abi.CONSTANTS.items():
        assert getattr(abi, name) == int(seen[macro]), name
    assert abi.MAGIC.decode() == seen["magic"]
    assert abi.MEMFD_NAME == seen["memfd"]
