"""What a net costs: its parameters, and its multiply-adds for one image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_utils.arguments import checked_shape
from course_utils.inference import evaluating

__all__ = [
    "COUNTED_LAYERS",
    "count_macs",
    "count_parameters",
    "layer_macs",
]

COUNTED_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
"""The layers whose multiply-adds are counted."""


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Number of parameters, each counted once even if shared.

    Args:
        model: any module.
        trainable_only: leave out the frozen ones.

    >>> count_parameters(nn.Linear(10, 5))
    55
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def layer_macs(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    """Multiply-adds of one call of one of the ``COUNTED_LAYERS``."""
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    kernel = layer.weight[0].numel()  # channels of a group × k × k
    # A convolution has a whole kernel for each pixel out, a transposed one for each pixel in.
    return kernel * (output if isinstance(layer, nn.Conv2d) else inputs[0]).numel()


def count_macs(model: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of the convolutions and linear layers for one image of ``(C, H, W)``.

    The model is run once on zeros, in eval mode, where its parameters are; on the ``meta``
    device nothing is computed, so that a large net costs no time and no memory. Additions of a
    bias, normalisations, activations and pooling are left out, as the ResNet paper does.

    Args:
        model: a module that takes ``(B, C, H, W)``.
        shape: ``(C, H, W)``.

    Raises:
        ValueError: ``shape`` is not three positive numbers.

    >>> count_macs(nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32)) == 32 * 32 * 16 * 3 * 9
    True
    """
    sides = checked_shape(shape)
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += layer_macs(module, inputs, output)

    hooks = [m.register_forward_hook(add) for m in model.modules() if isinstance(m, COUNTED_LAYERS)]
    reference = next(model.parameters(), torch.zeros(()))
    try:
        with evaluating(model):
            model(torch.zeros(1, *sides, device=reference.device, dtype=reference.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return total
