"""What a net costs: its parameters, and its multiply-adds for one image."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from course_utils.arguments import checked_shape
from course_utils.i18n import _
from course_utils.inference import OperationWatcher, evaluating, kept_random_state

__all__ = ["MultiplyAdds", "black_images", "count_macs", "count_parameters", "run_counted"]


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Number of parameters, each counted once even if shared.

    Args:
        model: any module.
        trainable_only: leave out the frozen ones.

    >>> count_parameters(nn.Linear(10, 5))
    55
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def count_macs(model: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of the convolutions and linear layers for one image of ``(C, H, W)``.

    The model is run once on zeros, in eval mode, where its parameters are; on the ``meta``
    device nothing is computed, so that a large net costs no time and no memory. Layers count
    whether they are called as modules or as functions; a compiled net is counted as it was
    written. Additions of a bias, normalisations, activations and pooling are left out, as the
    ResNet paper does.

    Args:
        model: a module that takes ``(B, C, H, W)``.
        shape: ``(C, H, W)``.

    Raises:
        ValueError: ``shape`` is not three positive numbers.

    Warns:
        UserWarning: the net has products that are not counted, which the sentence names: those
            of two activations, as in attention, and those that torch has no formula for.

    >>> count_macs(nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32)) == 32 * 32 * 16 * 3 * 9
    True
    """
    counted = run_counted(getattr(model, "_orig_mod", model), checked_shape(shape))
    if counted.left_out:
        warnings.warn(counted.left_out, stacklevel=2)
    return counted.macs.total()


def black_images(model: nn.Module, shape: Sequence[int], batch_size: int = 1) -> Tensor:
    """Zeros ``(batch_size, C, H, W)`` where the model's parameters are, in their type."""
    reference = next(model.parameters(), torch.zeros(()))
    return torch.zeros(batch_size, *shape, device=reference.device, dtype=reference.dtype)


def run_counted(
    model: nn.Module, shape: Sequence[int], place: Callable[[], str] = lambda: ""
) -> MultiplyAdds:
    """Run a net once on a black image, and count; ``place`` says for which part at each moment."""
    images = black_images(model, shape)
    counted = MultiplyAdds(images, place)
    with evaluating(model), kept_random_state(images.device), _every_layer_seen(), counted:
        model(images)
    return counted


@contextmanager
def _every_layer_seen() -> Iterator[None]:
    """Nothing runs as one opaque piece: neither compiled code nor attention's fast path."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


PRODUCTS = re.compile(r"attention|rnn|trilinear|(^|_)(conv|linear|mv|dot)")
"""What operations without a formula are called that multiply as layers do."""


class MultiplyAdds(OperationWatcher):
    """Counts the multiply-adds of products with weights while a net runs.

    A product counts when one factor at most comes from the images; attention's have two.

    Args:
        images: what the net is run on.
        place: called at each product, answers where it is to be counted.

    Attributes:
        macs: multiply-adds by place.
        uncounted: names of the products that do not count, with the number of each.
    """

    def __init__(self, images: Tensor, place: Callable[[], str] = lambda: "") -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self.uncounted: Counter[str] = Counter()
        self._place = place
        self._from_images = WeakTensorKeyDictionary({images: True})

    def watch(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        """Count one operation, if it is a product."""
        operation = func.overloadpacket
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        from_images = sum(tensor in self._from_images for tensor in tensors)
        if from_images:
            outputs = [value for value in tree_leaves(output) if isinstance(value, Tensor)]
            self._from_images.update(dict.fromkeys(outputs, True))
        name = operation.__name__
        is_counted = from_images < 2 or "conv" in name  # weights may come from the images too
        if operation in flop_registry and is_counted and "attention" not in name:
            flops = flop_registry[operation](*args, **kwargs, out_val=output)
            self.macs[self._place()] += flops // 2  # a multiplication and an addition
        elif operation in flop_registry or PRODUCTS.search(name):
            self.uncounted["attention" if "attention" in name else name] += 1

    @property
    def left_out(self) -> str:
        """One sentence that names the products that do not count; empty without any."""
        if not self.uncounted:
            return ""
        return _(
            "The multiply-adds leave out {operations}: these are products of two activations, "
            "as in attention, or have no known formula."
        ).format(operations=", ".join(f"{n} × {name}" for name, n in self.uncounted.items()))
