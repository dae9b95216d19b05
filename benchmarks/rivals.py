"""Train the competitors of lesson 5: what its reference keeps, planned by the lesson's own cells.

    python benchmarks/rivals.py build/rivals
    python benchmarks/reference.py build/rivals --name scenes_rivals --data digit_scenes

What is in the store is not done again. ``--seeds`` says for how many seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from course.files import REPOSITORY
from course_utils.degradation import Spec, sweep

LESSON = REPOSITORY / "notebooks" / "en" / "05_your_network.ipynb"
CELLS = ("parameters", "setup", "baselines", "cost-tools", "stored", "variants", "depths")
RATES = (0.1, 1.0)  # beside the lesson's own
DEEP_RATES = (0.03, 0.1, 0.3)


def lesson() -> dict[str, Any]:
    """What the cells of the lesson define."""
    names: dict[str, Any] = {}
    for cell in nbformat.read(LESSON, as_version=4).cells:
        if cell.id in CELLS:
            exec(cell.source, names)
    return names


def planned(names: dict[str, Any], seeds: int) -> Iterator[Spec]:
    """The runs, the variants first: the others are worth nothing where another one was better."""
    run_of, rivals = names["run_of"], list(names["baselines"].values())
    for design in [*rivals, *names["set_aside"].values()]:
        yield run_of(design, names["chosen_by"])
    for seed in range(seeds):
        yield from (run_of(design, seed) for design in rivals)
        yield run_of(names["baselines"]["GAP"], seed, learning_rate=1.0)  # as good there
    for seed in range(min(7, seeds)):
        yield from (run_of(design, seed, epochs=2 * names["epochs"]) for design in rivals)
    for seed in range(min(3, seeds)):
        for design in rivals:
            yield from (run_of(design, seed, learning_rate=rate) for rate in RATES)
    nets = [design for nets in names["by_depth"].values() for design in nets.values()]
    for rate in DEEP_RATES[1:]:
        for seed in range(min(2, seeds)):
            yield from (run_of(design, seed, learning_rate=rate) for design in nets)
    without, with_them = names["by_depth"][34].values()
    for rate in DEEP_RATES:
        for seed in range(min(4, seeds) if rate == names["recipe"]["learning_rate"] else seeds):
            yield from (run_of(net, seed, learning_rate=rate) for net in (without, with_them))


def main() -> None:
    """Do the runs that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    specs = list(planned(lesson(), arguments.seeds))
    print(f"{len(sweep(specs, arguments.store))} runs in {arguments.store}")


if __name__ == "__main__":
    main()
