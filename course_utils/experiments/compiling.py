"""A sweep of long runs is compiled, where a trial shows that it is then faster."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

from course_utils.experiments.estimating import Estimate, estimate
from course_utils.experiments.spec import Spec
from course_utils.experiments.store import Store

__all__ = ["as_begun", "compiled", "compiled_if_faster"]

LONG = 600.0  # seconds of a run: torch.compile takes a minute for a net that it has not seen
GAIN = 0.95  # of the time of the eager runs: what the compiled ones may take


def compiled(specs: Sequence[Spec]) -> list[Spec]:
    """The same runs, compiled: all of them, since a verdict compares runs that differ in nothing
    but what it speaks of.
    """
    return [dataclasses.replace(spec, compiled=True) for spec in specs]


def as_begun(specs: Sequence[Spec], store: Store) -> list[Spec]:
    """The runs as they were asked for, or compiled, if the store has some of them only so.

    An interrupted sweep goes on as it began, whatever a new trial would say.
    """

    def has_some(runs: Sequence[Spec]) -> bool:
        return any(store.path_of(spec).exists() for spec in runs)

    others = compiled(specs)
    return others if has_some(others) and not has_some(specs) else list(specs)


def compiled_if_faster(costs: Mapping[Spec, Estimate], executor: Executor) -> dict[Spec, Estimate]:
    """What the runs cost compiled, if that is a twentieth less in all; or else nothing.

    Where a run lasts ten minutes or more, a few compiled steps of each net are timed, where the
    runs will be. What the trial compiled stays in torch's own cache of that machine, and the runs
    find it there; a net that cannot be compiled, for want of a C++ compiler perhaps, has no
    estimate, and then nothing is compiled.

    Args:
        costs: of the runs as they are, from :func:`.estimating.estimate`.
        executor: where the runs will be.
    """
    if max((cost.seconds for cost in costs.values()), default=0.0) < LONG:
        return {}
    found = estimate(compiled(list(costs)), (), executor, progress=True)
    eager, fused = (sum(cost.seconds for cost in each.values()) for each in (costs, found))
    return found if len(found) == len(costs) and fused < GAIN * eager else {}
