"""scripts/check_arrows.py sees arrows that point the wrong way; scripts/count_results.py counts
what CI relies on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


arrows = load("check_arrows")
results = load("count_results")


def c_problems(directory: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (directory / name.replace("_h", ".h").replace("_c", ".c")).write_text(text)
    return list(arrows.check_c(arrows.c_modules(directory)))


def python_problems(directory: Path, files: dict[str, str]) -> list[str]:
    package = directory / "memtrace"
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return list(arrows.check_python(arrows.python_modules(package)))


def test_includes_that_run_down_are_fine(tmp_path: Path) -> None:
    assert not c_problems(
        tmp_path,
        engine_h="#include <Python.h>\n",
        engine_c='#include "engine.h"\n#include "plan.h"\n#include "ring.h"\n',
        plan_h='#include <Python.h>\n#include "memtrace.h"\n',
        ring_h='#include "memtrace.h"\n',
        memtrace_h="",
    )


def test_include_of_a_room_above_is_reported(tmp_path: Path) -> None:
    problems = c_problems(tmp_path, ring_c='# include "engine.h"\n', engine_h="")
    assert problems == ["helper/ring: must not include engine.h, which is above or beside it"]


def test_reader_must_not_include_the_engine_nor_the_engine_the_reader(tmp_path: Path) -> None:
    problems = c_problems(
        tmp_path,
        reader_c='#include "ring.h"\n',
        ring_h="",
        engine_c='#include "value_text.h"\n',
        value_text_h="",
    )
    assert len(problems) == 2


def test_circle_of_includes_is_reported(tmp_path: Path) -> None:
    problems = c_problems(tmp_path, plan_h='#include "value.h"\n', value_c='#include "plan.h"\n')
    assert problems == ["helper: includes run in a circle: plan → value → plan"]


def test_python_header_is_found_by_a_detour(tmp_path: Path) -> None:
    problems = c_problems(
        tmp_path, ring_c='#include "frame.h"\n', frame_h="#include <internal/pycore_frame.h>\n"
    )
    assert problems == ["helper/ring: must not see Python.h: ring → frame → Python.h"]


def test_module_without_a_place_is_reported(tmp_path: Path) -> None:
    assert "helper/novel: has no place yet" in c_problems(tmp_path, novel_c="")[0]


def test_import_of_gdb_is_found_by_a_detour(tmp_path: Path) -> None:
    problems = python_problems(
        tmp_path,
        {
            "render.py": "def show():\n    from . import target\n",
            "target.py": "import gdb\n",
        },
    )
    assert problems == [
        "gdbplugin/memtrace/render: must not see gdb: render → target → gdb",
    ]


def test_import_of_a_command_from_below_is_reported(tmp_path: Path) -> None:
    files = {"target.py": "from .commands import log\n", "commands/log.py": "import gdb\n"}
    assert python_problems(tmp_path, files) == [
        "gdbplugin/memtrace/target: must not import commands.log, which is above it"
    ]


def test_imports_for_types_alone_point_nowhere(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gdb\n"
    assert not python_problems(tmp_path, {"render.py": text})


def test_results_of_pytest_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    path.write_text(
        '<testsuites><testsuite><testcase name="a"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><error/></testcase><testcase name="d"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    assert results.count(path) == (1, 2, 1)


CTEST_LOG = """\
1: [==========] Running 4 test(s).
1: [  PASSED  ] 2 test(s).
1: [  SKIPPED ] 1 test(s), listed below:
1: [  SKIPPED ] test_skip
1: [  FAILED  ] 1 test(s), listed below:
1: [  FAILED  ] test_bad
1/2 Test #1: test_a ...........................***Failed    0.00 sec
2: [==========] Running 3 test(s).
2/2 Test #2: test_b ...........................Subprocess aborted***Exception:   0.00 sec
"""


def test_results_of_ctest_are_counted_with_programs_that_crash(tmp_path: Path) -> None:
    path = tmp_path / "ctest.log"
    path.write_text(CTEST_LOG)
    assert results.count(path) == (2, 2, 1)


@pytest.mark.parametrize("name", ["absent.xml", "broken.xml", "empty.log"])
def test_results_that_nobody_wrote_are_a_failure(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.xml").write_text("<testsuites>")
    (tmp_path / "empty.log").write_text("")
    assert results.count(tmp_path / name) == (0, 1, 0)
