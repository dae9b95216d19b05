"""Do one run: build the net, train it, measure it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch

from course_utils.datasets import Dataset, load
from course_utils.degradation.families import family
from course_utils.degradation.record import Record, describe_machine
from course_utils.degradation.spec import Options, Spec
from course_utils.models.counting import count_macs, count_parameters
from course_utils.training import fit, stream_seed

__all__ = ["build", "run"]


# torch's generator and its number of threads belong to the process: where an executor runs
# threads, as a worker of dask does, the runs of one process take turns.
_RUNNING = threading.Lock()


@lru_cache(maxsize=2)
def _load(name: str, options: Options) -> Dataset:
    return load(name, **dict(options))


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def build(spec: Spec, dataset: Dataset) -> torch.nn.Module:
    """The net of ``spec`` with its initial weights; torch's own generator is left untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(spec.seed, "initialisation"))
        return family(spec.family).build(
            spec.depth,
            in_channels=dataset.train.images.shape[1],
            num_classes=len(dataset.classes),
            **dict(spec.family_options),
        )


def run(spec: Spec, *, progress: bool = False) -> Record:
    """Train the net of ``spec`` and measure it; the same spec gives the same numbers.

    Args:
        spec: the run.
        progress: show a bar.

    Raises:
        ValueError, TypeError: options that the data set or the family refuse.
        FileNotFoundError: a data set that has to be downloaded first.

    >>> spec = Spec(family="plain", depth=8, seed=0, steps=2, family_options={"width": 4})
    >>> record = run(spec)
    >>> record.steps, 0 <= record.train_error <= 1
    (2, True)
    """
    with _RUNNING, _threads(spec.threads):
        dataset = _load(spec.dataset, spec.dataset_options)
        model = build(spec, dataset)
        shape = tuple(dataset.train.images.shape[1:])
        history = fit(
            model,
            dataset,
            epochs=spec.epochs,
            steps=spec.steps,
            batch_size=spec.batch_size,
            seed=spec.seed,
            evaluate="epoch",
            evaluate_every=spec.evaluate_every,
            learning_rate=spec.learning_rate,
            schedule=spec.schedule,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            weight_decay=spec.weight_decay,
            augmentation=spec.augmentation,
            device=spec.device,
            precision=spec.precision,
            progress=progress,
        )
        return Record(
            spec=spec,
            train_error=history.train_errors[-1],
            test_error=history.test_errors[-1],
            epochs=history.evaluated_at,
            train_errors=history.train_errors,
            test_errors=history.test_errors,
            running_errors=history.running_errors,
            losses=history.loss,
            learning_rates=history.learning_rate,
            parameters=count_parameters(model),
            macs=count_macs(model, shape),
            steps=history.steps,
            diverged=history.diverged,
            seconds=history.seconds,
            images_per_second=history.images_per_second,
            machine=describe_machine(spec.device)
            | {"precision": history.precision, "memory_format": history.memory_format},
        )
