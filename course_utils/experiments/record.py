"""What one run gave: its numbers, and what they were obtained with."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course_utils.experiments.spec import RECIPE, Spec
from course_utils.i18n import _
from course_utils.training.calibration import processor

__all__ = ["Record", "describe_machine", "peak_megabytes"]

MEGABYTE = 1e6


@dataclass(frozen=True)
class Record:
    """The result of one run.

    Attributes:
        spec: the run.
        train_error, test_error: in eval mode on the whole splits after the last epoch, as
            fractions in [0, 1].
        epochs: the epochs, from 1, after which the splits were measured.
        train_errors, test_errors: the errors measured then.
        running_errors: error on the batches of each epoch as they were learnt, in training mode.
        losses, learning_rates: mean training loss (nats) and last learning rate of each epoch.
        parameters, macs: cost of the net; multiply-adds for one image.
        steps: steps done, fewer than asked for when the loss diverged.
        diverged: the loss stopped being a finite number.
        seconds, images_per_second: how long it took, and how fast training was.
        machine: where and with what; not part of what two records of a spec agree in.
        warm_start_steps: steps at the low rate of a warm start; None without one.
        data: what the images are and where they come from, in the words of the data set; empty in
            records older than this field.
        validation_error: as ``test_error``, on the images that choices are made by; None where the
            data set has none.

    Raises:
        ValueError: an error that is not in [0, 1].
    """

    spec: Spec
    train_error: float
    test_error: float
    epochs: tuple[int, ...]
    train_errors: tuple[float, ...]
    test_errors: tuple[float, ...]
    running_errors: tuple[float, ...]
    losses: tuple[float, ...]
    learning_rates: tuple[float, ...]
    parameters: int
    macs: int
    steps: int
    diverged: bool
    seconds: float
    images_per_second: float
    machine: dict[str, Any]
    warm_start_steps: int | None = None
    data: str = ""
    validation_error: float | None = None

    def __post_init__(self) -> None:
        measured = () if self.validation_error is None else ("validation_error",)
        for name in ("train_error", "test_error", *measured):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(
                    _("{name} must be a share between 0 and 1, and is {value!r}.").format(
                        name=name, value=value
                    )
                )

    @property
    def judged_error(self) -> float:
        """What a choice is made by: the validation error where there is one, or the test error."""
        return self.test_error if self.validation_error is None else self.validation_error

    def science(self) -> dict[str, Any]:
        """Everything but time and machine: what two runs of one spec agree in.

        A loss that is not a number is the same ``math.nan`` in each, so that ``==`` compares
        the answers of runs that diverged too.
        """
        plain = self.to_dict()
        for name in ("seconds", "images_per_second", "machine"):
            del plain[name]
        plain["losses"] = tuple(math.nan if math.isnan(loss) else loss for loss in self.losses)
        return plain

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data, for JSON."""
        plain = {name: getattr(self, name) for name in _FIELDS}
        return {**plain, "spec": self.spec.to_dict(), "recipe": RECIPE, "hash": self.spec.hash}

    def to_json(self) -> str:
        """The record as text; not-a-number is written as ``NaN``, as Python reads it."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Record:
        """The record that :meth:`to_dict` gave, of whatever recipe it was.

        Raises:
            KeyError, TypeError, ValueError: it is not the whole of one.
        """
        values = {name: plain[name] for name in _FIELDS if name not in _LATER or name in plain}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(spec=Spec(**plain["spec"]), **values)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """The record that :meth:`to_json` wrote.

        Raises:
            ValueError: the text is cut short, is not a record, or does not match its own hash.
        """
        try:
            plain = json.loads(text)
            record = cls.from_dict(plain)
            written = plain["hash"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                _("The record is incomplete ({kind}: {error}).").format(
                    kind=type(error).__name__, error=error
                )
            ) from error
        if written != record.spec.hash:
            raise ValueError(
                _("The record comes from another recipe, or was edited by hand: its hash differs.")
            )
        return record


_FIELDS = [field.name for field in dataclasses.fields(Record) if field.name != "spec"]
_LATER = ("warm_start_steps", "data", "validation_error")  # the first records do not have them


def peak_megabytes(device: str = "cpu") -> float | None:
    """Memory that this process has held at the most, on the device; None where nothing tells."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_reserved(device) / MEGABYTE
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    return None


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, system and versions, without the name of the host or of its user."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
