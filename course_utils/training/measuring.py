"""How a model does on a split, and what it is measured with: its batch-normalisation statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.arguments import described, whole_number
from course_utils.datasets import Split
from course_utils.i18n import _
from course_utils.inference import evaluating
from course_utils.training.hardware import (
    Precision,
    autocast,
    deterministic_kernels,
    resolved,
    weight_type,
)

__all__ = [
    "Metrics",
    "batches",
    "checked_logits",
    "evaluate",
    "reestimate_batch_norm",
    "wrong_answers",
]


@dataclass(frozen=True)
class Metrics:
    """How a model does on a split.

    Attributes:
        error: share of the images whose largest logit is not their label's, in [0, 1]; an
            image whose logits are not all finite counts as wrong.
        loss: mean cross-entropy in nats.
        images: number of images measured.
    """

    error: float
    loss: float
    images: int

    @property
    def accuracy(self) -> float:
        """``1 - error``."""
        return 1 - self.error


def batches(
    model: nn.Module, split: Split, batch_size: int, device: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """The split, ``batch_size`` images at a time, as ``model`` takes it: images and labels."""
    kind = weight_type(model)
    for start in range(0, len(split), batch_size):
        images, labels = (x[start : start + batch_size] for x in (split.images, split.labels))
        yield split.normalised(images.to(device)).to(kind), labels.to(device)


def checked_logits(logits: object, images: int, classes: int) -> Tensor:
    """``logits`` if they are ``(images, K)`` with K of ``classes`` at least, in float32.

    Raises:
        ValueError: the net answered something else.
    """
    if (
        not isinstance(logits, Tensor)
        or logits.ndim != 2
        or logits.shape[0] != images
        or logits.shape[1] < classes
    ):
        raise ValueError(
            _(
                "For {images} images of {classes} classes, the network must return logits of shape "
                "({images}, {classes}), and it returned {found}: its last layer needs one "
                "output per class."
            ).format(images=images, classes=classes, found=described(logits))
        )
    return logits.float()


def wrong_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Which images are not given their label, ``(B,)``; logits that are not numbers are wrong."""
    return (logits.argmax(1) != labels) | ~logits.isfinite().all(1)


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 512,
    device: str | None = None,
    precision: Precision = "fp32",
) -> Metrics:
    """Error and loss of ``model`` on a whole split, in eval mode.

    Args:
        model: from ``(B, C, H, W)`` normalised images, in the type of its weights, to
            ``(B, num_classes)`` logits. Moved to the device; each of its modules' modes is left as
            it was.
        split: images and labels; normalised here with the split's own mean and deviation.
        batch_size: images at a time.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``; the fastest by default.
        precision: ``"fp32"``, ``"bf16"`` or ``"auto"``.

    Raises:
        ValueError: a batch size below 1, an unknown device or precision, or a model that does not
            return a logit for each class.

    >>> from course_utils.datasets import load
    >>> evaluate(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), load("digits").test).images
    360
    """
    batch_size = whole_number("batch_size", batch_size, at_least=1)
    device, precision = resolved(device, precision)
    model.to(device)
    classes = int(split.labels.max()) + 1
    wrong, loss = 0, 0.0
    with evaluating(model), deterministic_kernels(), autocast(device, precision):
        for images, labels in batches(model, split, batch_size, device):
            logits = checked_logits(model(images), len(labels), classes)
            wrong += int(wrong_answers(logits, labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return Metrics(error=wrong / len(split), loss=loss / len(split), images=len(split))


@torch.no_grad()
def reestimate_batch_norm(
    model: nn.Module,
    split: Split,
    *,
    batch_size: int = 128,
    device: str | None = None,
    precision: Precision = "fp32",
) -> None:
    """Take the means and variances of batch normalisation anew, over a whole split.

    While a net learns, each layer keeps a moving average of batches seen by weights that have
    changed since. Here the weights stay as they are, and the batches all count the same. He et
    al. measured their ResNets so: https://github.com/KaimingHe/deep-residual-networks, "known
    issues".

    Args:
        model: changed in place, nothing but its running statistics, and those only if all goes
            well; each of its modules' modes and momenta is left as it was.
        split: its images, without augmentation, in one random order.
        batch_size: images at a time; what is left over is not used.
        device, precision: as for :func:`evaluate`.

    Raises:
        ValueError: a batch size below 2, an unknown device or precision.

    >>> from course_utils.datasets import load
    >>> net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64))
    >>> reestimate_batch_norm(net, load("digits").train)
    >>> int(net[1].num_batches_tracked)  # of 128 of the 1,437 images
    11
    """
    batch_size = min(whole_number("batch_size", batch_size, at_least=2), len(split))
    device, precision = resolved(device, precision)
    model.to(device)
    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    statistics = [buffer for layer in layers for buffer in layer.buffers()]
    before = [buffer.clone() for buffer in statistics]
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    shuffled = split.subset(order[: len(split) // batch_size * batch_size])
    try:
        with evaluating(model), deterministic_kernels(), autocast(device, precision):
            for layer in layers:
                layer.training = True
                layer.reset_running_stats()
                layer.momentum = None  # a mean over all batches
            for images, _labels in batches(model, shuffled, batch_size, device):
                model(images)
    except BaseException:
        for buffer, old in zip(statistics, before, strict=True):
            buffer.copy_(old)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
