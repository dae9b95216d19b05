"""How long runs will take and how much memory, before they are started."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
from torch import nn
from tqdm.auto import tqdm

from course_utils.experiments.families import net_name
from course_utils.experiments.interrupting import PATIENCE, postponed
from course_utils.experiments.progress import news_of
from course_utils.experiments.record import Record, describe_machine, peak_megabytes
from course_utils.experiments.running import prepared, recipe_of
from course_utils.experiments.spec import Spec
from course_utils.i18n import _, duration, number
from course_utils.tables import Table
from course_utils.training import evaluate, fit

__all__ = ["Estimate", "estimate", "plan", "time_of_all"]

TRIAL_STEPS = 6  # the first two are slower: libraries choose their algorithms then
TRIAL_IMAGES = 512


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes:
        seconds: from its first step to its last measurement.
        megabytes: memory of its process at its peak, or of the accelerator; None where the
            system does not tell.
        source: ``"records"`` of other seeds in the store, or a few ``"steps"`` done for it.
    """

    seconds: float
    megabytes: float | None
    source: Literal["records", "steps"]


def trial(spec: Spec) -> Estimate:
    """Do a few steps of ``spec`` and a part of a measurement, and reckon from them."""
    moments = []

    def note(_step: int, _model: nn.Module) -> None:
        if spec.device.startswith("cuda"):
            torch.cuda.synchronize(spec.device)
        moments.append(time.perf_counter())

    with prepared(spec) as (model, dataset):
        train = dataset.train
        recipe = recipe_of(spec) | {"reestimate_bn": False}
        fit(
            model,
            dataset,
            **recipe,
            evaluate="never",
            stop_after=TRIAL_STEPS,
            on_step=note,
            progress=False,
        )
        part = train.subset(min(TRIAL_IMAGES, len(train)))
        for _time in range(2):
            started = time.perf_counter()
            evaluate(model, part, device=spec.device, precision=spec.precision)
        an_image = (time.perf_counter() - started) / len(part)
    steps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    a_step = median(steps[1:] or steps or [0.0])
    per_epoch = len(train) // min(spec.batch_size, len(train))
    number = spec.steps or (spec.epochs or 0) * per_epoch
    measurements = math.ceil(math.ceil(number / per_epoch) / spec.evaluate_every)
    images = len(train) + len(dataset.test)
    return Estimate(
        number * a_step + measurements * images * an_image, peak_megabytes(spec.device), "steps"
    )


def estimate(
    specs: Iterable[Spec],
    records: Iterable[Record],
    executor: Executor,
    *,
    progress: bool = False,
) -> dict[Spec, Estimate]:
    """What each run will cost, from records of other seeds on this machine or from a trial.

    Args:
        specs: the runs.
        records: those there are.
        executor: where the runs will be; one trial is done there for each net, all at once, so
            that they are in each other's way as the runs will be.
        progress: show a bar, or say what is being done where the output is no terminal.

    Returns:
        An estimate a spec, without the specs whose trial failed: their runs will say why.
    """
    here = describe_machine()["processor"]
    known: dict[Spec, list[Record]] = {}
    for record in records:
        if record.machine.get("processor") == here and not record.diverged:
            known.setdefault(_any_seed(record.spec), []).append(record)
    wanted = {spec: _any_seed(spec) for spec in specs}
    unknown = set(wanted.values()) - known.keys()
    # The shallowest first: the peak of a process that does several is then that of the last.
    in_turn = sorted(unknown, key=lambda spec: spec.depth)
    shown = progress and bool(in_turn)
    said = _("timing a few steps of each network")
    if shown and not sys.stderr.isatty():
        print(f"{said}…", file=sys.stderr, flush=True)
    with (
        postponed() as let_through,
        tqdm(
            total=len(in_turn),
            desc=said,
            leave=False,
            disable=not (shown and sys.stderr.isatty()),
        ) as bar,
    ):
        trials = {spec: executor.submit(trial, spec) for spec in in_turn}
        while (trying := wait(trials.values(), PATIENCE)).not_done:
            bar.n = len(trying.done)
            bar.refresh()  # the clock goes on
            if news := news_of(executor):
                bar.write(news, file=sys.stderr)
            let_through()
    answers = {spec: _from_records(runs) for spec, runs in known.items()}
    answers |= {spec: future.result() for spec, future in trials.items() if not future.exception()}
    return {spec: answers[net] for spec, net in wanted.items() if net in answers}


def _any_seed(spec: Spec) -> Spec:
    return dataclasses.replace(spec, seed=0)


def _from_records(records: list[Record]) -> Estimate:
    peaks = [found for r in records if (found := r.machine.get("peak_megabytes")) is not None]
    return Estimate(
        median(record.seconds for record in records), max(peaks, default=None), "records"
    )


def time_of_all(estimates: Mapping[Spec, Estimate], workers: int) -> float:
    """Seconds until the last run ends, the deepest begun first, each by the first worker free.

    >>> spec = Spec("plain", 8, seed=0)
    >>> runs = {dataclasses.replace(spec, seed=seed): Estimate(10.0, None, "steps")
    ...         for seed in range(3)}
    >>> time_of_all(runs, workers=2)
    20.0
    """
    free = [0.0] * max(1, workers)
    for spec in sorted(estimates, key=lambda spec: -spec.depth):
        heapq.heappush(free, heapq.heappop(free) + estimates[spec].seconds)
    return max(free)


def plan(
    specs: Sequence[Spec], found: Mapping[Spec, Record], estimates: Mapping[Spec, Estimate]
) -> Table:
    """One line a net: how many runs are there and to be done, and what one costs.

    Args:
        specs: every run asked for.
        found: the records there are.
        estimates: what a run costs, as far as is known.

    >>> len(plan([Spec("plain", 8, seed=seed) for seed in range(3)], {}, {}).rows)
    1
    """
    sources = {"records": _("stored records"), "steps": _("timing a few steps")}
    nets: dict[tuple[str, int], list[Spec]] = {}
    for spec in dict.fromkeys(specs):
        nets.setdefault((spec.family, spec.depth), []).append(spec)
    rows = []
    for (family, depth), runs in sorted(nets.items()):
        one = next((estimates[spec] for spec in runs if spec in estimates), None)
        cost = ["–", "–", "–"]
        if one is not None:
            memory = "–"
            if one.megabytes is not None:
                memory = _("{number} MB").format(number=number(round(one.megabytes), 6))
            cost = [duration(one.seconds), memory, sources[one.source]]
        done = sum(spec in found for spec in runs)
        rows.append([net_name(family, depth), done, len(runs) - done, *cost])
    return Table(
        [_("network"), _("stored"), _("to do"), _("a run"), _("memory"), _("estimated from")],
        rows,
    )
