"""How near a run is to the ResNet paper's: where it departs, and what the paper leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.training import WARM_UNTIL, WARM_WINDOW

__all__ = ["DEPARTURE", "PAPER", "fidelity_notes"]

PAPER: dict[str, Any] = {
    "batch_size": 128,
    "learning_rate": 0.1,
    "schedule": "step",
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "augmentation": "crop_flip",
}
"""The recipe of He et al. 2015, section 4.2, as fields of a spec."""

DEPARTURE = "Departure: "
STEPS = 64_000
WARM_DEPTHS = (110,)


def fidelity_notes(record: Record) -> tuple[str, ...]:
    """Departures of a run from He et al. 2015, section 4.2, then choices that it leaves open.

    Args:
        record: of the run.

    Returns:
        Sentences in English, whatever the language; none for a family that the paper does not have.

    >>> from course_utils.experiments import run
    >>> record = run(Spec("plain", 8, seed=0, steps=2, family_options={"width": 4}))
    >>> "Departure: batch_size is 64; the paper has 128." in fidelity_notes(record)
    True
    """
    if record.spec.family not in ("plain", "residual"):
        return ()
    departures = (f"{DEPARTURE}{note}." for note in _departures(record))
    return (*departures, *(f"Choice: {note}." for note in _choices(record.spec)))


def _departures(record: Record) -> Iterator[str]:
    spec = record.spec
    if spec.dataset != "cifar10":
        yield f"the data are {spec.dataset}; the paper has CIFAR-10"
    elif "not verified" in record.data:
        yield f"the data are {record.data}"
    if spec.dataset == "cifar10" and dict(spec.dataset_options).get("mean") != "pixel":
        yield (
            "mean and deviation of each channel normalise the images; the paper subtracts the "
            "mean of each pixel"
        )
    if record.steps != STEPS:
        yield f"the run has {record.steps:,} iterations; the paper has {STEPS:,}"
    for name, value in PAPER.items():
        if (own := getattr(spec, name)) != value:
            yield f"{name} is {own}; the paper has {value}"
    options = dict(spec.family_options)
    if (width := options.get("width", 16)) != 16:
        yield f"the first stage has {width} maps; the paper has 16"
    if spec.family == "residual" and (shortcut := options.get("shortcut", "A")) != "A":
        yield f"shortcuts are of option {shortcut}; the paper has option A on CIFAR-10"
    if spec.family == "residual" and spec.warm_start != (spec.depth in WARM_DEPTHS):
        has, had = ("a", "none") if spec.warm_start else ("no", "one")
        yield f"there is {has} warm start; the paper has {had} at depth {spec.depth}"


def _choices(spec: Spec) -> Iterator[str]:
    if spec.augmentation != "none":
        yield (
            "images are padded after the mean is subtracted, so the border has the mean colour; "
            "the paper does not say which comes first"
        )
    yield (
        "an epoch is an order drawn anew and cut into whole batches; what is left over of it is "
        "not learnt in that epoch"
    )
    yield (
        "convolutions start from N(0, 2/fan_out), the linear layer from N(0, 1/fan_in); the paper "
        "refers to He initialisation, which has two forms, and does not speak of the linear layer"
    )
    yield "weight decay is on every parameter, biases and batch normalisation included"
    yield "pixels are in [0, 1] before the mean is subtracted"
    fused = ", its layers fused by torch.compile" if spec.compiled else ""
    yield f"the arithmetic is {spec.precision} on {spec.device.split(':')[0]}{fused}"
    yield (
        "batch normalisation is measured with its statistics taken anew after training, over the "
        "training images without augmentation"
        if spec.reestimate_bn
        else "batch normalisation is measured with its moving averages (a tenth of each batch)"
    )
    yield (
        "the errors are those after the last iteration, of the whole splits without augmentation, "
        "and nothing was chosen by them"
    )
    if spec.warm_start:
        yield (
            f"the warm start ends when the error of {WARM_WINDOW} batches as they were learnt, "
            f"looked at every {WARM_WINDOW} iterations, is below {WARM_UNTIL:.0%}; its iterations "
            "are among those of the schedule"
        )
        if spec.family == "plain":
            yield "the plain net has the warm start that the paper tells of its residual net"
