"""The result as one chart (SVG): modes and peers on the tight loops, programs, growth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of what draws)

COLOURS = pyplot.get_cmap("tab10").colors


def _unique(rows: list[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _bars(
    axes: Any, rows: list[dict[str, Any]], down: str, title: str, colours: dict[str, Any]
) -> None:
    """Horizontal bars on a logarithmic scale, one colour an interpreter."""
    rows = [row for row in rows if "ratio" in row]
    names = _unique(rows, down)[::-1]
    versions = _unique(rows, "interpreter")
    height = 0.8 / max(1, len(versions))
    for index, version in enumerate(versions):
        chosen = [row for row in rows if row["interpreter"] == version]
        where = [names.index(row[down]) + 0.4 - height * (index + 0.5) for row in chosen]
        medians = [row["ratio"]["median"] for row in chosen]
        low = [row["ratio"]["median"] - row["ratio"]["q1"] for row in chosen]
        high = [row["ratio"]["q3"] - row["ratio"]["median"] for row in chosen]
        axes.barh(
            where,
            [median - 1 for median in medians],
            height,
            left=1,
            xerr=[low, high],
            error_kw={"elinewidth": 0.6},
            color=colours[version],
            label=version,
        )
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names, fontsize=7)
    axes.set_xlabel("multiple of the untraced run", fontsize=7)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", which="both", linewidth=0.3)
    axes.set_title(title, fontsize=9)
    if rows:
        axes.legend(fontsize=6)


def _line(axes: Any, rows: list[dict[str, Any]], series: str, colours: dict[str, Any]) -> None:
    """Cost of an event over what grows, one line an interpreter."""
    rows = [row for row in rows if row["series"] == series]
    for version in _unique(rows, "interpreter"):
        chosen = [row for row in rows if row["interpreter"] == version and "ns_per_event" in row]
        costs = [row["ns_per_event"] for row in chosen]
        axes.errorbar(
            [row["x"] for row in chosen],
            [cost["median"] for cost in costs],
            yerr=[
                [cost["median"] - cost["q1"] for cost in costs],
                [cost["q3"] - cost["median"] for cost in costs],
            ],
            marker="o",
            markersize=3,
            linewidth=1,
            color=colours[version],
            label=version,
        )
    axes.set_xscale("symlog")
    axes.set_ylim(bottom=0)
    axes.set_title(series, fontsize=8)
    axes.set_xlabel(rows[0]["unit"], fontsize=6)
    axes.set_ylabel("ns per event", fontsize=6)
    axes.tick_params(labelsize=6)
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=6)


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the chart."""
    series = _unique(result["growth"], "series")
    columns = 3
    rows_of_lines = -(-len(series) // columns)
    figure = pyplot.figure(figsize=(11, 12 + 2.6 * rows_of_lines))
    grid = figure.add_gridspec(2 + rows_of_lines, 6, height_ratios=[6, 6] + [2.4] * rows_of_lines)
    versions = [interpreter["version"] for interpreter in result["interpreters"]]
    colours = {version: COLOURS[i % len(COLOURS)] for i, version in enumerate(versions)}
    loops = [row for row in result["programs"] if row["program"] == "loops"]
    loops.sort(key=lambda row: not row["mode"].startswith("floor"))
    _bars(figure.add_subplot(grid[0, 0:3]), loops, "mode", "Tight loops", colours)
    peers = [row for row in result["peers"] if row["program"] == "loops"]
    title = "Others, tight loops, small data"
    _bars(figure.add_subplot(grid[0, 3:6]), peers, "peer", title, colours)
    full = [row for row in result["programs"] if row["mode"] == "full"]
    _bars(figure.add_subplot(grid[1, 0:3]), full, "program", "Programs, full", colours)
    narrow = [row for row in result["programs"] if row["mode"] == "--only nothing"]
    title = "Programs, --only nothing"
    _bars(figure.add_subplot(grid[1, 3:6]), narrow, "program", title, colours)
    for index, name in enumerate(series):
        down, across = divmod(index, columns)
        axes = figure.add_subplot(grid[2 + down, 2 * across : 2 * across + 2])
        _line(axes, result["growth"], name, colours)
    figure.suptitle(f"memtrace {result['memtrace']}, {result['machine']['cpu']}", fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 0.985))
    figure.savefig(path)
    pyplot.close(figure)
