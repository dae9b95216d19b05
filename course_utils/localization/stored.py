"""What the maps find of nets that lesson 2 has no time to train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = [
    "STORED",
    "stored_runs",
]

STORED = Path(__file__).with_name("runs.json")


def stored_runs() -> list[dict[str, Any]]:
    """What the maps find of nets that lesson 2 has no time to train, one row for each map.

    ``benchmarks/localisation.py`` makes them. Each names its ``case``, its ``seed``, the ``error``
    of its net on scenes never seen, and the pixels from one cell to the next (``jump``); then come
    the measures, shares in [0, 1], and the median ``width`` and ``height`` of the box found over
    those of the true one. Those that end in ``stretched`` are of maps stretched to the image.

    >>> sorted({run["seed"] for run in stored_runs()})
    [0, 1, 2, 3]
    """
    runs: list[dict[str, Any]] = json.loads(STORED.read_text(encoding="utf-8"))["runs"]
    return runs
