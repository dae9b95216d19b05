"""How near a run is to the ResNet paper's: where it departs, and what the paper leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course_utils.experiments.record import Record
from course_utils.experiments.spec import Spec
from course_utils.i18n import _, number, percent
from course_utils.training import WARM_UNTIL, WARM_WINDOW

__all__ = ["PAPER", "departure", "fidelity_notes"]

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

STEPS = 64_000
WARM_DEPTHS = (110,)


def departure() -> str:
    """What a note on a departure begins with."""
    return _("Departure: ")


def fidelity_notes(record: Record) -> tuple[str, ...]:
    """Departures of a run from He et al. 2015, section 4.2, then choices that it leaves open.

    Args:
        record: of the run.

    Returns:
        Sentences; none for a family that the paper does not have.

    >>> from course_utils.experiments import run
    >>> record = run(Spec("plain", 8, seed=0, steps=2, family_options={"width": 4}))
    >>> "Departure: batch_size is 64; the paper has 128." in fidelity_notes(record)
    True
    """
    if record.spec.family not in ("plain", "residual"):
        return ()
    choice = _("Choice: ")
    departures = (f"{departure()}{note}." for note in _departures(record))
    return (*departures, *(f"{choice}{note}." for note in _choices(record.spec)))


def _departures(record: Record) -> Iterator[str]:
    spec = record.spec
    if spec.dataset != "cifar10":
        yield _("the data are {data}; the paper has CIFAR-10").format(data=spec.dataset)
    elif "not verified" in record.data:
        yield _("the data are {data}").format(data=record.data)
    if spec.dataset == "cifar10" and dict(spec.dataset_options).get("mean") != "pixel":
        yield _(
            "the images are normalised by the mean and standard deviation of each channel; the "
            "paper subtracts the mean of each pixel"
        )
    if record.steps != STEPS:
        yield _("the run has {steps} steps; the paper has {others}").format(
            steps=number(record.steps, 9), others=number(STEPS, 9)
        )
    for name, value in PAPER.items():
        if (own := getattr(spec, name)) != value:
            yield _("{name} is {own}; the paper has {value}").format(
                name=name, own=_written(own), value=_written(value)
            )
    options = dict(spec.family_options)
    if (width := options.get("width", 16)) != 16:
        yield _("the first stage has {width} maps; the paper has 16").format(width=width)
    if spec.family == "residual" and (shortcut := options.get("shortcut", "A")) != "A":
        yield _("the shortcuts are of option {option}; the paper has option A on CIFAR-10").format(
            option=shortcut
        )
    if spec.family == "residual" and spec.warm_start != (spec.depth in WARM_DEPTHS):
        said = (
            _("there is a warm start; the paper has none at depth {depth}")
            if spec.warm_start
            else _("there is no warm start; the paper has one at depth {depth}")
        )
        yield said.format(depth=spec.depth)


def _written(value: object) -> str:
    return number(value, 6) if isinstance(value, float) else str(value)


def _choices(spec: Spec) -> Iterator[str]:
    if spec.augmentation != "none":
        yield _(
            "images are padded after the mean is subtracted, so the border has the mean colour; "
            "the paper does not say which comes first"
        )
    yield _(
        "an epoch is a fresh random order cut into whole batches; what is left over is not used "
        "in that epoch"
    )
    yield _(
        "convolutions start from N(0, 2/fan_out), and the linear layer from N(0, 1/fan_in); the "
        "paper refers to He initialisation, which has two forms, and does not mention the linear "
        "layer"
    )
    yield _("weight decay applies to every parameter, including biases and batch normalisation")
    yield _("pixels are in [0, 1] before the mean is subtracted")
    arithmetic = (
        _("the arithmetic is {precision} on {device}, with layers fused by torch.compile")
        if spec.compiled
        else _("the arithmetic is {precision} on {device}")
    )
    yield arithmetic.format(precision=spec.precision, device=spec.device.split(":")[0])
    yield (
        _(
            "batch normalisation is evaluated with statistics taken anew after training, over the "
            "training images without augmentation"
        )
        if spec.reestimate_bn
        else _("batch normalisation is evaluated with its moving averages (a tenth per batch)")
    )
    yield _(
        "the errors are those after the last step, on the whole splits without augmentation, and "
        "nothing was chosen by them"
    )
    if spec.warm_start:
        yield _(
            "the warm start ends when the error over {window} batches, measured during training "
            "and looked at every {window} steps, is below {share}; its steps count among those of "
            "the schedule"
        ).format(window=WARM_WINDOW, share=percent(WARM_UNTIL, 0))
        if spec.family == "plain":
            yield _(
                "the plain network has the warm start that the paper describes for its residual "
                "network"
            )
