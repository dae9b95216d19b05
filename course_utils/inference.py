"""Use a model without leaving a trace: its modes and torch's random numbers stay as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["evaluating", "kept_random_state"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradient within; then every module's own mode is as before.

    The modes are set one by one: ``train()`` and ``eval()`` may be overridden and do more.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _mode in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """Leave torch's generators as they were, even if the model draws random numbers."""
    mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)
