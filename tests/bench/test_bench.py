"""scripts/bench measures, and writes a table, JSON and a chart that hold what they should.

Nothing here looks at a time or a ratio: those are the machine's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "gdbplugin")]

from benchmarks import figures, growth, report, results  # noqa: E402


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one quick run of one program wrote."""
    folder = tmp_path_factory.mktemp("bench")
    command = [str(ROOT / "scripts" / "bench"), "--quick", "--repeat", "1"]
    command += ["--seconds", "500"]  # of a busy machine
    command += ["--programs", "loops", "--pythons", PYTHON, "--out", str(folder)]
    # Without the peers: they come from PyPI, which a test must not need.
    command += ["--parts", "programs,start,memory,gdb,growth,instructions"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith((folder / "bench.txt").read_text())
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    return json.loads((out / "bench.json").read_text())


def test_every_mode_of_memtrace_is_measured_beside_the_floors(result: dict[str, Any]) -> None:
    rows = {row["mode"]: row for row in result["programs"]}
    assert {mode for mode, row in rows.items() if "why" in row} == set()
    floors = [mode for mode in rows if mode.startswith("floor: ")]
    assert len(floors) == 2
    some = ("full, mutations off", "full, --skip-var i", "full, max-overhead 2x", "full --all")
    for mode in ("full", *some, "--only one function"):
        assert rows[mode]["events"] > 0, mode
    for mode in ("--only nothing", "break, never written", "break, condition false"):
        assert rows[mode]["events"] == 0, mode
    assert rows["--only one function"]["events"] < rows["full"]["events"]
    assert rows["full, --skip-var i"]["events"] < rows["full"]["events"]
    for row in rows.values():
        assert row["ratio"]["n"] == 1
        assert row["untraced_s"] > 0 and row["observed_s"] > 0


def test_every_series_of_growth_has_a_point_for_each_value(result: dict[str, Any]) -> None:
    for name, (_, _, quick_values, _) in growth.SERIES.items():
        rows = [row for row in result["growth"] if row["series"] == name]
        assert [row["x"] for row in rows] == list(quick_values), name
        assert all(row["events"] >= 5000 for row in rows), name


def test_nothing_was_left_out_or_lost(result: dict[str, Any]) -> None:
    assert result["left_out"] == []
    assert result["losses"] == {}


def test_memory_and_start_are_of_as_many_code_objects_as_they_say(result: dict[str, Any]) -> None:
    assert {row["how"] for row in result["memory"]} >= {"full", "nothing"}
    assert all(row["codes"] == 10**5 for row in result["memory"] + result["start"])
    by_how = {row["how"]: row for row in result["memory"]}
    assert by_how["full"]["events"] >= 10**6
    assert by_how["nothing"]["events"] == 0


def test_a_widest_scalar_event_has_the_size_that_the_format_says(result: dict[str, Any]) -> None:
    (row,) = result["event_size"]
    assert 20 < row["bytes"] / row["events"] <= 32


def test_gdb_reads_every_event_of_ten_million(result: dict[str, Any]) -> None:
    (last,) = result["attached"]["last"]
    assert last.get("events", 0) >= 10**7, last
    assert set(last["seconds"]) == {"last", "first"}
    assert result["attached"]["on"]
    for on in result["attached"]["on"]:
        assert set(on["seconds"]) == {"on"}, on


def test_each_figure_is_met_or_not_or_says_why_it_is_not_known(result: dict[str, Any]) -> None:
    assert len(result["figures"]) == 13
    for row in result["figures"]:
        assert row["met"] in (True, False) or row["why"], row


def test_the_chart_is_a_picture_with_a_line_for_each_series(out: Path) -> None:
    root = xml.etree.ElementTree.parse(out / "bench.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    # matplotlib numbers the axes: four of bars, and one for each series.
    axes = [node for node in root.iter() if node.get("id", "").startswith("axes_")]
    assert len(axes) == 4 + len(growth.SERIES)


def test_an_unknown_program_is_refused_with_the_names_there_are() -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / "bench"), "--programs", "loops,nosuch"],
        capture_output=True,
        text=True,
        env={**os.environ, "MEMTRACE_LIB": str(ROOT)},
    )
    assert done.returncode == 2
    assert "no 'nosuch'; there are loops, " in done.stderr


def test_instructions_are_counted_by_function_in_each_mode(
    out: Path, result: dict[str, Any]
) -> None:
    rows = {row["mode"]: row for row in result["instructions"]}
    floor = "floor: C settrace, opcodes"
    assert list(rows) == ["untraced", floor, "full", "--only nothing"]
    assert rows["full"]["events"] > 1000
    ours = {mode for mode, row in rows.items() if any(f[:3] == "mt_" for f in row["functions"])}
    assert ours == {"full", "--only nothing"}
    for row in rows.values():
        assert row["instructions"] == pytest.approx(sum(row["functions"].values()))
        assert row["functions"]["_PyEval_EvalFrameDefault"] > 1000
    assert rows["full"]["instructions"] > rows["untraced"]["instructions"]
    assert "Machine instructions of the tight loops" in (out / "bench.txt").read_text()


def test_ratios_are_of_pairs_not_of_medians() -> None:
    found = results.of_pairs([[1.0, 2.0, 10], [10.0, 50.0, 10], [2.0, 6.0, 10]])
    assert found["ratio"]["median"] == 3.0
    assert (found["ratio"]["min"], found["ratio"]["max"]) == (2.0, 5.0)
    assert found["ns_per_event"]["median"] == pytest.approx(4e8)


def test_a_figure_that_is_missed_names_the_interpreter() -> None:
    row = figures._at_most("cost", {"3.11.2": 1.0, "3.12.1": 2.0}, 1.5)
    assert row["met"] is False
    assert "3.12.1" in row["why"] and "3.11.2" not in row["why"]


def test_memory_that_is_missed_says_what_the_interpreter_keeps() -> None:
    def row(how: str, mib: int) -> dict[str, Any]:
        counts = {"codes": 1, "events": 1, "outside_buffer_bytes": mib << 20}
        return {"interpreter": "3.13.0", "how": how, **counts}

    found: dict[str, Any] = {
        "interpreters": [],
        "programs": [],
        "growth": [],
        "event_size": [],
        "attached": {"on": [], "last": []},
        "memory": [row("full", 20), row("store floor", 13)],
    }
    figure = figures.table(found)[-1]
    assert figure["met"] is False
    assert figure["why"].endswith("the floor alone, on 3.13.0: 13.0 MiB")


def test_growth_is_flat_up_to_a_tenth() -> None:
    def rows(*costs: float) -> list[dict[str, Any]]:
        return [{"series": "locals", "best_ns_per_event": cost} for cost in costs]

    assert report.flatness(rows(100, 109))["flat"] is True
    assert report.flatness(rows(100, 120, 100))["flat"] is False
