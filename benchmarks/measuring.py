"""What the benchmarks share: whose turn it is, what is told of repetitions, where it is written."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def alternate(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every contestant in every round, in an order drawn anew for each."""
    order = list(contestants)
    shuffle = random.Random(0).shuffle
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for warm_up in (True, True, *[False] * rounds):
        shuffle(order)
        for name in order:
            start = time.perf_counter()
            contestants[name]()
            elapsed = time.perf_counter() - start
            if not warm_up:
                seconds[name].append(elapsed)
    return seconds


def quartiles(values: list[float]) -> dict[str, float]:
    """First quartile, median and third quartile."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"q1": low, "median": middle, "q3": high}


def extremes(values: list[float]) -> dict[str, float]:
    """The median, the least and the most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratio(above: list[float], below: list[float]) -> list[float]:
    """How many times as long as the second the first took, round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def write(report: dict[str, Any], output: Path) -> None:
    """Write what was measured, for ``report.py`` to put on the page."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
