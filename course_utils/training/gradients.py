"""What may be done to the gradients between the backward pass and the update."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from course_utils.i18n import _

__all__ = ["limited"]


def limited(gradient_clip: float | None, lars: float | None) -> Callable[[nn.Module], None]:
    """What changes the gradients of a model in place, as :func:`~course_utils.training.fit` asks.

    Args:
        gradient_clip: the longest norm of all gradients together; None for any.
        lars: the norm of each convolution's gradient, as a share of that of its weights; None
            to leave it.

    Raises:
        ValueError: a number that is not above zero, or not finite.

    >>> layer = nn.Conv2d(1, 1, 1, bias=False)
    >>> layer.weight.grad = torch.full_like(layer.weight, 7.0)
    >>> limited(2.0, None)(layer)
    >>> round(float(layer.weight.grad), 4)
    2.0
    """
    for name, value in (("gradient_clip", gradient_clip), ("lars", lars)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(
                _("{name} must be a finite number above 0, or None, and is {value!r}.").format(
                    name=name, value=value
                )
            )

    def change(model: nn.Module) -> None:
        if lars is not None:
            _rescale_layers(model, lars)
        if gradient_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), gradient_clip)

    return change


@torch.no_grad()
def _rescale_layers(model: nn.Module, share: float) -> None:
    """Layer-wise adaptive rates, as You et al. 2017 have them (arXiv 1708.03888, equation 6)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.grad is not None:
            gradient, weights = module.weight.grad.norm(), module.weight.norm()
            module.weight.grad.mul_(share * weights / gradient.clamp_min(1e-20))
