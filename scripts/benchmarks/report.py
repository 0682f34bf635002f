"""The result as a table for people."""

from __future__ import annotations

from typing import Any

MIB = 1024 * 1024
_FUNCTIONS_SHOWN = 20
FLAT = 1.10  # what counts as flat, as everywhere in the figures

# Where growth is expected, and why. What grows without a reason here is a defect.
EXPLANATIONS = {
    "last of the locals": "a prefix above 256 locals; 3.12+: an int made of each offset above 256",
    "list mutated": "a mutation compares up to 64 items before and after: bounded, not flat below",
    "code objects": "plans that don't fit into 6 MiB (up to 3.11: 4) are made anew at each call; "
    "below that, the caches: code, plan and definitions of each call are other memory",
    "threads": "threads hand the GIL over, and each hand-over touches other memory",
    "breakpoints elsewhere": "each is looked at when code is first seen, then none",
}


def _grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """Columns as wide as they must be, the first one to the left."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return lines


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _ratio(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "ratio" not in row:
        return "-"
    ratio = row["ratio"]
    spread = f"({_number(ratio['q1'])}..{_number(ratio['q3'])})"
    return f"{_number(ratio['median'])} {spread} {_number(row['best_ratio'])}"


def _unique(rows: list[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))


def _crossing(
    title: str, rows: list[dict[str, Any]], down: str, across: str, note: str = ""
) -> list[str]:
    """A table of ratios, and below it why cells are empty."""
    if not rows:
        return []
    columns = _unique(rows, across)
    by_place = {(row[down], row[across]): row for row in rows}
    grid = [
        [name, *(_ratio(by_place.get((name, column))) for column in columns)]
        for name in _unique(rows, down)
    ]
    lines = ["", title, ""] + _grid(["", *columns], grid)
    why = dict.fromkeys(
        f"  {row[down]}, {row[across]}: {row['why']}" for row in rows if row.get("why")
    )
    return lines + list(why) + ([f"  {note}"] if note else [])


def _programs(result: dict[str, Any]) -> list[str]:
    loops = [row for row in result["programs"] if row["program"] == "loops"]
    loops.sort(key=lambda row: not row["mode"].startswith("floor"))
    lines = _crossing(
        "Tight loops, as a multiple of the untraced run: median (quartiles) fastest",
        loops,
        "mode",
        "interpreter",
    )
    for version in _unique(result["programs"], "interpreter"):
        rows = [
            row
            for row in result["programs"]
            if row["interpreter"] == version and row["program"] != "loops"
        ]
        lines += _crossing(f"Programs, CPython {version}", rows, "program", "mode")
    return lines


def _peers(result: dict[str, Any]) -> list[str]:
    lines = []
    for version in _unique(result["peers"], "interpreter"):
        rows = [row for row in result["peers"] if row["interpreter"] == version]
        lines += _crossing(
            f"Others, on the same programs with small data, CPython {version}",
            rows,
            "peer",
            "program",
        )
    return lines


def flatness(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one series on one interpreter: is it flat, by its fastest runs, and if not why?"""
    costs = [row["best_ns_per_event"] for row in rows if "best_ns_per_event" in row]
    if len(costs) < 2 or min(costs) <= 0:
        return {"growth": None, "flat": None, "explanation": ""}
    growth = max(costs) / min(costs)
    flat = growth <= FLAT
    explanation = "" if flat else EXPLANATIONS.get(rows[0]["series"], "")
    return {"growth": growth, "flat": flat, "explanation": explanation}


def _growth(result: dict[str, Any]) -> list[str]:
    if not result["growth"]:
        return []
    lines = ["", "Growth: nanoseconds per event, full recording: median (quartiles) fastest", ""]
    for version in _unique(result["growth"], "interpreter"):
        of_version = [row for row in result["growth"] if row["interpreter"] == version]
        for series in _unique(of_version, "series"):
            rows = [row for row in of_version if row["series"] == series]
            points = []
            for row in rows:
                if "ns_per_event" not in row:
                    points.append(f"{row['x']}: {row['why']}")
                    continue
                cost = row["ns_per_event"]
                spread = f"{cost['median']:.0f} ({cost['q1']:.0f}..{cost['q3']:.0f})"
                points.append(f"{row['x']:,}: {spread} {row['best_ns_per_event']:.0f}")
            verdict = flatness(rows)
            if verdict["growth"] is not None:
                points.append("flat" if verdict["flat"] else f"{verdict['growth']:.2f} x")
            lines.append(f"  {version:8} {series}, by {rows[0]['unit']}: " + "; ".join(points))
            if verdict["explanation"]:
                lines.append(f"           ({verdict['explanation']})")
    return lines


def _start_and_memory(result: dict[str, Any]) -> list[str]:
    lines = []
    rows = [
        [
            f"{row['interpreter']}, {'all' if row['traced'] else 'none'} traced",
            f"{row['codes']:,}",
            f"{row['install_s'] * 1e3:.2f} ms",
            f"{row['first_sight_ns']:.0f} ns",
            f"{row['remove_s'] * 1e3:.1f} ms",
        ]
        for row in result["start"]
        if "error" not in row
    ]
    if rows:
        head = ["", "code objects", "install", "first sight of one", "remove"]
        lines += ["", "Start: with many code objects loaded", "", *_grid(head, rows)]
    rows = [
        [
            f"{row['interpreter']}, {row['how']}",
            f"{row['codes']:,}",
            f"{row['events']:,}",
            f"{row['growth_bytes'] / MIB:.1f} MiB",
            f"{row['outside_buffer_bytes'] / MIB:.1f} MiB",
            f"{row['outside_buffer_by_codes_bytes'] / MIB:.1f} MiB",
        ]
        for row in result["memory"]
        if "error" not in row
    ]
    if rows:
        head = ["", "code objects", "events", "growth (Pss)", "outside the buffer", "by codes"]
        lines += ["", "Memory of the process, above that before", "", *_grid(head, rows)]
    errors = [row for row in result["start"] + result["memory"] if "error" in row]
    lines += [f"  {row['interpreter']}: {row['error']}" for row in errors]
    return lines


def _instructions(result: dict[str, Any]) -> list[str]:
    lines = []
    for version in _unique(result.get("instructions", []), "interpreter"):
        rows = [row for row in result["instructions"] if row["interpreter"] == version]
        counted = {row["mode"]: row for row in rows if "functions" in row}
        stores = max((row["events"] for m, row in counted.items() if m == "full"), default=0)
        title = f"Machine instructions of the tight loops for each store, by function, {version}"
        lines += ["", title, ""]
        lines += [f"  {row['mode']}: {row['error']}" for row in rows if "error" in row]
        if not stores:
            continue
        names = {name for row in counted.values() for name in row["functions"]}
        most = {n: max(row["functions"].get(n, 0) for row in counted.values()) for n in names}
        shown = [n for n in sorted(names, key=lambda n: -most[n]) if most[n] / stores >= 1]
        grid = [["all", *(f"{row['instructions'] / stores:.0f}" for row in counted.values())]]
        for name in shown[:_FUNCTIONS_SHOWN]:
            cells = [row["functions"].get(name, 0) / stores for row in counted.values()]
            grid.append([name, *(f"{cell:.1f}" if cell >= 0.05 else "" for cell in cells)])
        lines += _grid(["", *counted], grid)
    return lines


def _figures(result: dict[str, Any]) -> list[str]:
    words = {True: "met", False: "NOT MET", None: "-"}
    if all(row["met"] is None for row in result["figures"]):
        return []  # nothing of this run is a figure's
    lines = ["", "Figures", ""]
    for row in result["figures"]:
        lines.append(f"  {words[row['met']]:8} {row['figure']}, {row['limit']}: {row['measured']}")
        if row["why"]:
            lines.append(f"           ({row['why']})")
    return lines


def text(result: dict[str, Any]) -> str:
    """The whole report."""
    machine = result["machine"]
    lines = [
        f"memtrace {result['memtrace']}, {result['started']}, {machine['cpu']}, "
        f"{machine['cores']} cores, load {machine['load']:.1f} before and "
        f"{machine['load_after']:.1f} after, {result['seconds']:.0f} s"
    ]
    lines += _programs(result) + _peers(result) + _growth(result) + _start_and_memory(result)
    lines += _instructions(result) + _figures(result)
    if result["left_out"]:
        lines += ["", "Left out", ""] + [f"  {reason}" for reason in result["left_out"]]
    if result["losses"]:
        lines += ["", "Lost events (the figures count only what was recorded)", ""]
        lines += [f"  {what}: {losses}" for what, losses in result["losses"].items()]
    return "\n".join(lines) + "\n"
