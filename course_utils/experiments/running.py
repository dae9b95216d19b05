"""Do one run: build the net, train it, measure it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch

from course_utils.datasets import Dataset, Split, load
from course_utils.experiments.families import family
from course_utils.experiments.record import Record, describe_machine, peak_megabytes
from course_utils.experiments.spec import Options, Spec
from course_utils.i18n import _
from course_utils.models.counting import count_macs, count_parameters
from course_utils.training import evaluate, fit, stream_seed

__all__ = ["build", "check_device", "prepared", "recipe_of", "run", "train"]

NOT_FOR_FIT = frozenset(
    ["family", "family_options", "depth", "dataset", "dataset_options", "threads"]
)
"""The fields of a spec that choose net, data and threads; ``fit`` is called with all others."""

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


def check_device(device: str) -> None:
    """Refuse a device that torch does not find on this machine.

    Raises:
        ValueError: it is not there; the sentence names the build of torch.

    >>> check_device("cpu")
    """
    kind, _colon, index = device.partition(":")
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if kind == "cpu" or int(index or 0) < there[kind]:
        return
    lacks_cuda = kind == "cuda" and torch.version.cuda is None and torch.version.hip is None
    sentence = (
        _(
            "The installed torch, {version}, is built without CUDA: install one for your GPU "
            "(https://pytorch.org/get-started/locally), or choose the device cpu."
        )
        if lacks_cuda
        else _("torch {version} finds no device {device} on this machine: choose the device cpu.")
    )
    raise ValueError(sentence.format(version=torch.__version__, device=device))


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


@contextmanager
def prepared(spec: Spec) -> Iterator[tuple[torch.nn.Module, Dataset]]:
    """The net of ``spec`` and its data, with torch's threads set for it while the block lasts."""
    with _RUNNING, _threads(spec.threads):
        dataset = _load(spec.dataset, spec.dataset_options)
        yield build(spec, dataset), dataset


def recipe_of(spec: Spec) -> dict[str, Any]:
    """What :func:`course_utils.training.fit` is called with for ``spec``.

    >>> recipe_of(Spec("plain", 8, seed=3, steps=10))["steps"]
    10
    """
    names = (field.name for field in dataclasses.fields(spec))
    return {name: getattr(spec, name) for name in names if name not in NOT_FOR_FIT}


def train(spec: Spec, *, progress: bool = False) -> tuple[torch.nn.Module, Record]:
    """Train the net of ``spec`` and measure it; the same spec gives the same numbers.

    Args:
        spec: the run.
        progress: show a bar.

    Returns:
        The trained net, in eval mode and on the device of the spec, and the record of the run.

    Raises:
        ValueError, TypeError: options that the data set or the family refuse.
        FileNotFoundError: a data set that has to be downloaded first.

    >>> model, record = train(Spec("plain", 8, seed=0, steps=2, family_options={"width": 4}))
    >>> model.training, record.steps, 0 <= record.train_error <= 1
    (False, 2, True)
    """
    with prepared(spec) as (model, dataset):
        shape = tuple(dataset.train.images.shape[1:])
        history = fit(model, dataset, **recipe_of(spec), evaluate="epoch", progress=progress)
        record = Record(
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
            | {
                "precision": history.precision,
                "memory_format": history.memory_format,
                "peak_megabytes": peak_megabytes(spec.device),
            },
            warm_start_steps=history.warm_start_steps,
            data=dataset.source,
            validation_error=_error(model, dataset.validation, spec),
        )
    return model, record


def _error(model: torch.nn.Module, split: Split | None, spec: Spec) -> float | None:
    """The error on a split that is only measured, once; None without one."""
    if split is None:
        return None
    return evaluate(model, split, device=spec.device, precision=spec.precision).error


def run(spec: Spec, *, progress: bool = False) -> Record:
    """The record of :func:`train`, without the net: what a sweep has its workers do.

    >>> run(Spec("plain", 8, seed=0, steps=2, family_options={"width": 4})).steps
    2
    """
    return train(spec, progress=progress)[1]
