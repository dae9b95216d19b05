"""What a net runs on: device, precision and memory layout, and torch's switches meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args

import torch
from torch import nn

from course_utils.arguments import one_of
from course_utils.training.calibration import bf16_gain

__all__ = [
    "Precision",
    "autocast",
    "best_device",
    "best_precision",
    "deterministic_kernels",
    "memory_format",
    "resolved",
    "weight_type",
]

Precision = Literal["auto", "fp32", "bf16"]
WORTH_IT = 1.15  # bf16 is to be so many times as fast as fp32, or the exacter arithmetic stays


def _devices() -> tuple[str, ...]:
    """The kinds of device that this machine has, the fastest first."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return tuple(kind for kind, is_there in there.items() if is_there)


def best_device() -> str:
    """``"cuda"``, else ``"mps"``, else ``"cpu"``: the fastest that this machine has."""
    return _devices()[0]


def best_precision(device: str) -> Literal["fp32", "bf16"]:
    """``"bf16"`` where that trains faster, else ``"fp32"``.

    That is: GPUs from NVIDIA's Ampere generation on, and processors on which it was measured to be
    faster by a good margin, once per machine and torch, see
    :func:`course_utils.training.calibration.bf16_gain`. Some have AMX tiles for it, some gain
    without, and others lose.
    """
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        with deterministic_kernels():
            return "bf16" if bf16_gain() >= WORTH_IT else "fp32"
    return "fp32"


def memory_format(device: str, precision: str) -> torch.memory_format:
    """The layout in which convolutions are faster: pixels first, but for fp32 off the CPU."""
    if device == "cpu" or precision == "bf16":
        return torch.channels_last
    return torch.contiguous_format


def resolved(device: str | None, precision: Precision) -> tuple[str, Literal["fp32", "bf16"]]:
    """The device and the precision asked for, by default the fastest; refused if not there.

    >>> resolved("cpu", "fp32")
    ('cpu', 'fp32')
    """
    one_of("precision", precision, get_args(Precision))
    chosen = best_device() if device is None else str(device)
    if chosen.split(":")[0] not in _devices():
        one_of("device", chosen, _devices())
    return chosen, best_precision(chosen) if precision == "auto" else precision


def autocast(device: str, precision: str) -> torch.autocast:
    """Matrix products and convolutions in bfloat16 within, where ``precision`` is ``"bf16"``."""
    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Kernels that add up in one order, in the backward pass too, and in true fp32.

    Every switch of torch's is then as it was. Those of the precision override one another, the
    particular the general, and are set in that order: where the general one does not reach, the
    particular has a value of its own, which it gets back.
    """
    backends = torch.backends
    general = (backends, backends.cudnn)
    particular = (
        *(backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul),  # type: ignore[attr-defined]
        *(backends.mkldnn.conv, backends.mkldnn.rnn, backends.mkldnn.matmul),  # type: ignore[attr-defined]
    )
    wanted = [
        (backends.cudnn, "enabled", True),
        (backends.cudnn, "benchmark", False),
        (backends.cudnn, "deterministic", True),
        *((place, "fp32_precision", "ieee") for place in (*general, *particular)),
    ]
    with ExitStack() as put_back:
        for place, switch, value in wanted:
            before = getattr(place, switch)
            if before != value:
                put_back.callback(setattr, place, switch, before)
                setattr(place, switch, value)
        yield


def weight_type(model: nn.Module) -> torch.dtype:
    """The floating type of the weights, which is what the net takes its images in.

    >>> weight_type(nn.Linear(2, 2).double()), weight_type(nn.Flatten())
    (torch.float64, torch.float32)
    """
    floating = (weight.dtype for weight in model.parameters() if weight.is_floating_point())
    return next(floating, torch.float32)
