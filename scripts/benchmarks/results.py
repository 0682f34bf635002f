"""From measurements to numbers: medians, quartiles, ratios."""

from __future__ import annotations

import statistics
from typing import Any, List

Pair = List[float]  # seconds untraced, seconds observed, events


def spread(values: list[float]) -> dict[str, float]:
    """Median, quartiles, extremes and number of the values."""
    ordered = sorted(values)
    quartiles = (
        statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    )
    return {
        "median": statistics.median(ordered),
        "q1": quartiles[0],
        "q3": quartiles[2],
        "min": ordered[0],
        "max": ordered[-1],
        "n": len(ordered),
    }


def of_pairs(pairs: list[Pair]) -> dict[str, Any]:
    """What a table and a chart need to know of a mode's pairs."""
    events = int(statistics.median(pair[2] for pair in pairs))
    # What disturbs a run makes it slower: the fastest of each say what it costs by itself.
    fastest_untraced = min(pair[0] for pair in pairs)
    fastest_observed = min(pair[1] for pair in pairs)
    found: dict[str, Any] = {
        "ratio": spread([observed / untraced for untraced, observed, _ in pairs]),
        "best_ratio": fastest_observed / fastest_untraced,
        "untraced_s": statistics.median(pair[0] for pair in pairs),
        "observed_s": statistics.median(pair[1] for pair in pairs),
        "events": events,
    }
    if events:
        found["ns_per_event"] = spread(
            [(observed - untraced) / count * 1e9 for untraced, observed, count in pairs if count]
        )
        found["best_ns_per_event"] = (fastest_observed - fastest_untraced) / events * 1e9
    return found
