"""The figures that memtrace is held to, each with what was measured.

Ratios are medians, with that of the fastest runs beside them: on a machine that does other
work the two differ, and the second is what memtrace costs by itself. Costs of an event, for
growth, are of the fastest runs: they are differences of two times, so noise counts double."""

from __future__ import annotations

from typing import Any, Dict, Iterable

from .attached import SWITCH_ON_TIMES

MIB = 1024 * 1024

Result = Dict[str, Any]  # the whole result, as __main__ builds it, or one row of it


def _figure(what: str, limit: str, measured: str, met: bool | None, why: str = "") -> Result:
    return {"figure": what, "limit": limit, "measured": measured, "met": met, "why": why}


def _not_measured(what: str, limit: str, why: str) -> Result:
    return _figure(what, limit, "not measured", None, why)


def _ratios(result: Result, mode: str, monitors: bool, best: bool = False) -> dict[str, float]:
    """The mode's multiple of untraced on the tight loops, by version."""
    wanted = {i["version"] for i in result["interpreters"] if i["monitors"] == monitors}
    return {
        row["interpreter"]: row["best_ratio"] if best else row["ratio"]["median"]
        for row in result["programs"]
        if row["program"] == "loops" and row["mode"] == mode and "ratio" in row
        if row["interpreter"] in wanted
    }


def _at_most(
    what: str,
    values: dict[str, float],
    limit: float,
    unit: str = "x",
    best: dict[str, float] | None = None,
) -> Result:
    if not values:
        return _not_measured(what, f"<= {limit:g} {unit}", "no interpreter of this kind")
    fastest = {name: f" (fastest {value:.2f})" for name, value in (best or {}).items()}
    measured = ", ".join(
        f"{name}: {value:.2f}{fastest.get(name, '')}" for name, value in values.items()
    )
    too_much = [name for name, value in values.items() if value > limit]
    return _figure(
        what,
        f"<= {limit:g} {unit}",
        measured,
        not too_much,
        f"too much on {', '.join(too_much)}" if too_much else "",
    )


def _against_floor(result: Result, best: bool) -> dict[str, float]:
    found = {}
    for monitors in (False, True):
        floor = "floor: C stores recorded" if monitors else "floor: C settrace, opcodes"
        floors = _ratios(result, floor, monitors, best)
        for version, full in _ratios(result, "full", monitors, best).items():
            if version in floors:
                found[version] = full / floors[version]
    return found


def _growth(result: Result, series: str, base: int, grown: int) -> dict[str, float]:
    """Cost of an event at `grown`, as a multiple of that at `base`, by version."""
    costs: dict[str, dict[int, float]] = {}
    for row in result["growth"]:
        if row["series"] == series and "best_ns_per_event" in row:
            costs.setdefault(row["interpreter"], {})[row["x"]] = row["best_ns_per_event"]
    return {
        version: by_x[grown] / by_x[base]
        for version, by_x in costs.items()
        if base in by_x and grown in by_x
    }


def _memory(result: Result) -> dict[str, float]:
    return {
        f"{row['interpreter']} {row['how']}": row["outside_buffer_bytes"] / MIB
        for row in result["memory"]
        if "error" not in row and row["how"] != "store floor"
    }


def _interpreters_own(result: Result) -> str:
    """What of it is not memtrace's: the floor, which stores into a buffer of its own and keeps
    a few bytes for each code object, has the interpreter keep as much for instrumented code."""
    found = [
        f"{row['interpreter']}: {row['outside_buffer_bytes'] / MIB:.1f} MiB"
        for row in result["memory"]
        if row["how"] == "store floor" and "error" not in row
    ]
    return f"the floor alone, on {', '.join(found)}" if found else ""


def _seconds(what: str, rows: Iterable[Result], name: str, limit: float) -> Result:
    values = {
        row["interpreter"]: row["seconds"][name] for row in rows if name in row.get("seconds", {})
    }
    if not values:
        errors = [row["error"] for row in rows if "error" in row]
        return _not_measured(what, f"<= {limit:g} s", errors[0] if errors else "no gdb run")
    return _at_most(what, values, limit, "s")


def table(result: Result) -> list[Result]:
    """A row for each figure."""

    def ratio(what: str, mode: str, monitors: bool, limit: float) -> Result:
        best = _ratios(result, mode, monitors, best=True)
        return _at_most(what, _ratios(result, mode, monitors), limit, "x", best)

    rows = [
        ratio("full recording, tight loops, 3.12 and later", "full", True, 3.0),
        ratio("full recording, tight loops, up to 3.11", "full", False, 6.0),
        _at_most(
            "full recording against the floor of the same run",
            _against_floor(result, best=False),
            1.25,
            "x",
            _against_floor(result, best=True),
        ),
        ratio(
            "breakpoint on a variable nobody writes, 3.12 and later",
            "break, never written",
            True,
            1.02,
        ),
        ratio("--only that matches nothing, up to 3.11", "--only nothing", False, 1.5),
        _not_measured(
            "hardware watch that doesn't hit", "<= 1.01 x", "memtrace has no hardware watch yet"
        ),
        _at_most("store with 300 locals against 3", _growth(result, "locals", 3, 300), 1.10),
        _at_most(
            "store beside a list of ten million against an empty one",
            _growth(result, "list beside", 0, 10**7),
            1.10,
        ),
    ]
    sizes = {
        row["interpreter"]: row["bytes"] / row["events"]
        for row in result["event_size"]
        if row.get("events")
    }
    rows.append(_at_most("scalar event in a recording, the widest values", sizes, 32, "bytes"))
    last = result["attached"]["last"]
    events = max((row.get("events", 0) for row in last), default=0)
    rows.append(_seconds(f"`memtrace last` over {events:,} events", last, "last", 1.0))
    rows.append(_seconds("the same, of a variable written once, first of all", last, "first", 1.0))
    rows.append(
        _seconds(
            f"`memtrace on` in an idle process, gdb attached, slowest of {SWITCH_ON_TIMES}",
            result["attached"]["on"],
            "on",
            0.3,
        )
    )
    memory = _memory(result)
    codes = max((row.get("codes", 0) for row in result["memory"]), default=0)
    events = max((row.get("events", 0) for row in result["memory"]), default=0)
    figure = _at_most(
        f"memory outside the buffer, {codes:,} code objects, {events:,} events", memory, 8, "MiB"
    )
    own = _interpreters_own(result)
    if figure["met"] is False and own:
        figure["why"] = f"{figure['why']}; {own}"
    rows.append(figure)
    return rows
