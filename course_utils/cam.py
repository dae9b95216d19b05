"""Class activation maps: where a network that ends in average pooling and a linear layer looks.

For features ``f`` before the pooling, weights ``W`` and bias ``b`` of the linear layer, the map of
class ``c`` is ``M_c = sum_k W[c, k] f[k] + b[c]``: the linear layer applied at every position, as a
1x1 convolution. Its mean over the positions *is* the logit of class ``c``, and that is checked on
every call. The way from the features to the logits is followed while the network runs, so the maps
come from the tensor that was really pooled, whatever the layers before it are called.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.arguments import checked_images, checked_module, checked_size, one_of
from course_utils.head import Head, run_to_head
from course_utils.i18n import _, number
from course_utils.inference import evaluating, kept_random_state
from course_utils.models.receptive_field import Centres, cell_centres

__all__ = ["CAM", "GEOMETRIES", "Source", "check_images", "class_activation_maps", "class_index"]

# A map of at most this many cells (3x3) locates nothing finer than a third of the image.
COARSE_CELLS = 9

# Largest difference allowed between a map's mean and its logit, over the largest logit.
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
# Where products are rounded to fewer bits than the tensors hold, and where sums cancel, errors are
# counted in unit roundoffs instead: of the largest logit first, then of the sums' own terms.
ROUNDOFFS = 8
TF32_ROUNDOFF = 2.0**-11
BF16_ROUNDOFF = 2.0**-9
INT8_ROUNDOFF = 2.0**-8  # of the largest; one bit of eight may be kept in reserve


GEOMETRIES = ("stretched", "true")

# ------------------------------------------------------------------------------------ the answer


@dataclass(frozen=True, eq=False)
class Source:
    """What the maps were made from, for where their cells are: found when first asked for."""

    model: nn.Module
    layer: str | None  # after which the features were there; "" where they are the images
    shape: tuple[int, ...]  # of an image, (C, H, W)
    cells: tuple[int, int]  # rows and columns of the maps

    @cached_property
    def centres(self) -> Centres:
        """On which pixels the cells are centred."""
        if self.layer == "":
            return (0.0, 1.0), (0.0, 1.0)
        if self.layer is None:
            raise ValueError(
                _("No module of the model outputs the features, so their positions are not known.")
            )
        return cell_centres(self.model, self.shape, self.layer, self.cells)


@dataclass(frozen=True, eq=False)
class CAM:
    """Class activation maps, what they were made from, and the steps that prepare them for the eye.

    Every step returns a new ``CAM``, and does one thing only, so that none happens unasked:
    ``cam.select(3).positive().resized(64).normalized().maps``.

    Attributes:
        maps: ``(B, C, h, w)``, raw and signed as they leave ``class_activation_maps``; after
            ``select``, ``(B, h, w)`` for one class per image or ``(B, n, h, w)`` for ``n``.
        logits: ``(B, C)``, the model's own answer; after ``select``, those of the classes chosen.
        feature_layer: name of the module whose output was pooled.
        linear_layer: name of the linear layer.
        bias: whether the bias is in the maps.
        error: largest difference between a map's mean (bias included) and its logit, over the
            largest logit, as measured on this call.
        classes: the classes chosen by ``select``, ``(B,)`` or ``(B, n)``; ``None`` before.
        source: model and images' shape, for :attr:`centres`; ``None`` if they are not known.
        method: how they were made: ``"CAM"`` for exact maps; what ``gradient_maps`` makes is an
            approximation, and has another name here.
    """

    maps: Tensor
    logits: Tensor
    feature_layer: str
    linear_layer: str
    bias: bool = True
    error: float = 0.0
    classes: Tensor | None = None
    source: Source | None = field(default=None, repr=False)
    method: str = "CAM"

    @property
    def centres(self) -> Centres:
        """On which pixels of the images the cells of the maps are centred.

        ``((offset, jump), (offset, jump))`` of rows and columns, found by running the model, see
        :func:`course_utils.models.receptive_field.cell_centres`.

        Raises:
            ValueError: the maps are resized already, or their cells have no places to be found.
        """
        if self.source is None or self.maps.shape[-2:] != self.source.cells:
            raise ValueError(
                _(
                    "The positions of the cells of these maps are not known: ask the maps that "
                    "class_activation_maps returns, before resizing them."
                )
            )
        return self.source.centres

    @property
    def flat(self) -> Tensor:
        """Which maps show nothing: no positive value, or no more variation than rounding; bool."""
        return _is_flat(self.maps)

    def select(self, classes: Any = None) -> CAM:
        """The map of one class (or of ``n`` classes) per image.

        Args:
            classes: an integer (that class for every image); a list, array or tensor of ``B``
                integers (one for each image) or an array or tensor ``(B, n)``; ``None`` for the
                class each image is predicted to be.

        Returns:
            A ``CAM`` with maps ``(B, h, w)`` and logits ``(B,)``, or ``(B, n, h, w)`` and
            ``(B, n)``.

        Raises:
            TypeError: a class is not an integer (``True`` is not one).
            ValueError: a class is out of range, there is not one for each image, or the classes
                were already chosen.

        >>> cam = CAM(torch.arange(8.0).view(2, 4, 1, 1), torch.eye(2, 4), "features", "fc")
        >>> cam.select().maps.flatten().tolist()
        [0.0, 5.0]
        >>> cam.select([3, 2]).maps.flatten().tolist()
        [3.0, 6.0]
        """
        if self.classes is not None:
            raise ValueError(
                _(
                    "These maps are of classes that are already chosen: call select on the maps "
                    "of all the classes, as class_activation_maps returns them."
                )
            )
        chosen = class_index(classes, self.logits).to(self.maps.device)
        index = chosen.reshape(len(chosen), -1)  # (B, n)
        rows = torch.arange(len(chosen), device=index.device)[:, None]  # (B, 1)
        return replace(
            self,
            maps=self.maps[rows, index].reshape(*chosen.shape, *self.maps.shape[2:]),
            logits=self.logits[rows, index].reshape(chosen.shape),
            classes=chosen,
        )

    def positive(self) -> CAM:
        """The evidence for the class alone: negative values become zero.

        >>> cam = CAM(torch.tensor([[[[-1.0, 2.0]]]]), torch.tensor([[0.5]]), "features", "fc")
        >>> cam.positive().maps.tolist()
        [[[[0.0, 2.0]]]]
        """
        return replace(self, maps=self.maps.clamp(min=0))

    def resized(self, size: int | Sequence[int], *, geometry: str = "stretched") -> CAM:
        """The maps at another size, by bilinear interpolation between the centres of the cells.

        It draws the map over the image; it adds no resolution. Published maps are stretched to the
        borders of the image, as if the cells were tiles of it. Where the cells really are depends
        on paddings and strides: ``geometry="true"`` asks the model (see :attr:`centres`).

        Args:
            size: height and width in pixels, or one number for both.
            geometry: ``"stretched"``, or ``"true"`` to put each cell on the centre of the pixels
                that it reads; beyond the outermost centres, their values go on.

        Raises:
            TypeError: the size is not made of integers.
            ValueError: the size is not one or two positive integers, the geometry is unknown, or
                it is ``"true"`` and the cells have no places to be found.

        >>> cam = CAM(torch.tensor([[[[0.0, 4.0]]]]), torch.tensor([[2.0]]), "features", "fc")
        >>> cam.resized((1, 4)).maps.tolist()
        [[[[0.0, 1.0, 3.0, 4.0]]]]
        """
        sides = checked_size(size)
        one_of("geometry", geometry, GEOMETRIES)
        h, w = self.maps.shape[-2:]
        if geometry == "stretched":
            larger = F.interpolate(
                self.maps.reshape(1, -1, h, w), sides, mode="bilinear", align_corners=False
            )
            larger = larger.reshape(*self.maps.shape[:-2], *sides)
        else:
            rows, columns = self._shares(0, sides[0]), self._shares(1, sides[1])  # (H, h), (W, w)
            larger = rows @ self.maps @ columns.T
        return replace(self, maps=larger)

    def _shares(self, side: int, length: int) -> Tensor:
        """The share of each cell in ``length`` pixels along the rows (0) or columns (1)."""
        offset, jump = self.centres[side]
        cells, pixels = self.maps.shape[side - 2], self.source.shape[side + 1]  # type: ignore[union-attr]
        numbers = torch.arange(max(cells, length), device=self.maps.device, dtype=self.maps.dtype)
        place = ((numbers[:length] + 0.5) * pixels / length - 0.5 - offset) / jump  # in cells
        place = place.clamp(0, cells - 1)[:, None]
        return (1 - (place - numbers[:cells]).abs()).clamp(min=0)

    def normalized(self, shared: bool = False) -> CAM:
        """The maps brought to [0, 1], each by its own minimum and maximum, or all by one scale.

        A map that is flat or has no positive value becomes zeros, and ``flat`` says so. With
        ``shared=True`` every map of this ``CAM`` is read on one scale, from the smallest value to
        the largest of them all: maps remain comparable, and none is set to zero by itself.

        Args:
            shared: one scale for all the maps, instead of one for each.

        >>> cam = CAM(torch.tensor([[[[1.0, 3.0]], [[-2.0, -1.0]]]]), torch.zeros(1, 2), "f", "fc")
        >>> cam.normalized().maps.tolist(), cam.normalized().flat.tolist()
        ([[[[0.0, 1.0]], [[0.0, 0.0]]]], [[False, True]])
        >>> cam.normalized(shared=True).maps.tolist()
        [[[[0.6000000238418579, 1.0]], [[0.0, 0.20000000298023224]]]]
        """
        maps = self.maps.reshape(1, 1, -1) if shared else self.maps  # one, as far as scales go
        low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
        silent = _is_flat(maps)[..., None, None]
        scaled = (maps - low) / torch.where(silent, torch.ones_like(high), high - low)
        scaled = torch.where(silent, torch.zeros_like(maps), scaled)
        return replace(self, maps=scaled.reshape(self.maps.shape))


def _is_flat(maps: Tensor) -> Tensor:
    """Which maps have no positive value, or vary by no more than rounding does."""
    low, high = maps.amin((-2, -1)), maps.amax((-2, -1))
    rounding = 16 * torch.finfo(maps.dtype).eps * torch.maximum(low.abs(), high.abs())
    return (high <= 0) | (high - low <= rounding)


def class_index(classes: Any, logits: Tensor) -> Tensor:
    """``classes`` as int64 ``(B,)`` or ``(B, n)``, checked against logits ``(B, C)``."""
    batch, count = logits.shape
    if classes is None:
        return logits.argmax(1)
    expected = _(
        "give an integer from 0 to {last}, or {batch} of them (one per image), or None for the "
        "predicted class"
    ).format(last=count - 1, batch=batch)
    try:
        index = torch.as_tensor(classes if isinstance(classes, Tensor) else np.asarray(classes))
    except (TypeError, ValueError):  # words, or lists that differ in length
        index = torch.tensor(math.nan)
    if index.numel() and (index.dtype == torch.bool or index.dtype.is_floating_point):
        what = index.dtype if isinstance(classes, Tensor | np.ndarray) else repr(classes)
        raise TypeError(
            _("{value} is not a class: {expected}.").format(value=what, expected=expected)
        )
    if index.dim() == 0:
        index = index.expand(batch)
    if index.dim() > 2 or len(index) != batch or index.numel() == 0:
        raise ValueError(
            _("Classes of shape {shape} cannot be used: {expected}.").format(
                shape=tuple(index.shape), expected=expected
            )
        )
    index = index.to(torch.int64)
    outside = index[(index < 0) | (index >= count)]
    if len(outside):
        raise ValueError(
            _("Class {value} does not exist: {expected}.").format(
                value=int(outside[0]), expected=expected
            )
        )
    return index


# ------------------------------------------------------------------------------- the public door


def class_activation_maps(
    model: nn.Module,
    images: Tensor,
    *,
    bias: bool = True,
    entry: str | int | None = None,
    grid: Sequence[int] | None = None,
) -> CAM:
    """The class activation maps of every class, from one forward pass.

    The model runs in evaluation mode, without gradients, and is left exactly as it was: no hook,
    every module's own training flag, gradients, running statistics and random state.

    Args:
        model: a network whose head is global average pooling, then one linear layer (dropout and
            reshaping between them are allowed), and that returns its logits.
        images: ``(B, C_in, H, W)``, prepared as the model takes them.
        bias: whether the linear layer's bias is in the maps; with it, ``maps.mean((2, 3))`` equals
            the logits.
        entry: where the logits are in what the model answers, if that is not a tensor: a key of a
            dictionary, or a position in a tuple.
        grid: rows and columns of the maps, where what is averaged is a row of tokens: they are
            taken to lie row by row, by default on a grid of the images' own proportions.

    Returns:
        A ``CAM`` with maps ``(B, C, h, w)``, raw and signed, and logits ``(B, C)``. Maps are in
        float32, or in float64 where the model is.

    Raises:
        TypeError: the model is not a module, or the images are not a tensor of the model's type.
        ValueError: the images have the wrong shape, are empty or not finite, or the model's head
            is not global average pooling then linear (a ``HeadError``); the sentence says what it
            is instead.

    Warns:
        UserWarning: the maps are 3x3 or smaller.

    Source: Zhou et al. 2016, "Learning Deep Features for Discriminative Localization",
    arXiv 1512.04150, equations 1 and 2.

    >>> net = nn.Sequential(
    ...     nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ... )
    >>> cam = class_activation_maps(net, torch.rand(2, 1, 8, 8))
    >>> cam.maps.shape, cam.feature_layer, cam.linear_layer
    (torch.Size([2, 3, 6, 6]), '0', '3')
    >>> torch.allclose(cam.maps.mean((2, 3)), cam.logits, atol=1e-6)
    True
    """
    checked_module(model)
    check_images(images, model)
    cells = None if grid is None else checked_size(grid)
    model = getattr(model, "_orig_mod", model)  # of a compiled one
    with torch.no_grad():
        with evaluating(model), kept_random_state(images.device):
            try:
                output, head = run_to_head(model, images, entry, cells)
            except RuntimeError as failure:
                _explain_mismatch(model, images, failure)
                raise
        logits = output.reshape(len(images), -1)  # (B, C)
        maps = _apply_everywhere(head, bias=bias)  # (B, C, h, w)
        error = _checked_error(maps, logits, head, bias=bias)
    h, w = maps.shape[2:]
    if h * w <= COARSE_CELLS:
        warnings.warn(
            _(
                "The maps have only {h}×{w} cells, too few to show where an object is: use "
                "larger images, or a network that keeps more resolution."
            ).format(h=h, w=w),
            stacklevel=2,
        )
    layer = head.layer if head.is_in_place else None
    source = Source(model, layer, tuple(images.shape[1:]), (h, w))
    return CAM(maps, logits, head.feature_layer, head.linear_layer, bias, error, source=source)


def check_images(images: Tensor, model: nn.Module) -> None:
    """Refuse images that no model could take, and what is made of shapes alone."""
    checked_images(images)
    if images.numel() == 0:
        raise ValueError(
            _("The images have shape {shape}: give at least one image and one pixel.").format(
                shape=tuple(images.shape)
            )
        )
    if any(tensor.is_meta for tensor in (images, *model.parameters(), *model.buffers())):
        raise ValueError(
            _(
                "The meta device has shapes but no numbers, and so no maps: load the images and "
                "the model's weights on the CPU or on an accelerator."
            )
        )
    # The sum meets every NaN and infinity in one pass; it may also overflow by itself, so only a
    # sum that is not finite pays for the full test.
    if not math.isfinite(images.sum().item().real) and not torch.isfinite(images).all():
        raise ValueError(
            _("The images hold NaN or infinite values: check how they were loaded and normalised.")
        )


def _explain_mismatch(model: nn.Module, images: Tensor, error: RuntimeError) -> None:
    """Raise one clear sentence if ``error`` comes from images that are not what the model takes."""
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    if first is None:
        return
    if first.device != images.device:
        raise ValueError(
            _(
                "The images are on {images} and the model is on {model}: move one of them, for "
                "instance with images.to('{model}')."
            ).format(images=str(images.device), model=str(first.device))
        ) from error
    if first.dtype != images.dtype and not torch.is_autocast_enabled(images.device.type):
        raise TypeError(
            _(
                "The images are of type {images} and the model's weights of type {model}: "
                "convert the images with images.to({model})."
            ).format(images=images.dtype, model=first.dtype)
        ) from error
    stem = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if stem is not None and stem.in_channels != images.shape[1]:
        raise ValueError(
            _(
                "The images have shape {shape}, and the model's first convolution takes (B, "
                "{channels}, H, W)."
            ).format(shape=tuple(images.shape), channels=stem.in_channels)
        ) from error


# ----------------------------------------------------------------------------- maps and their check


def _apply_everywhere(head: Head, *, bias: bool) -> Tensor:
    """The linear layer at every position, as a 1x1 convolution: ``(B, C, h, w)``."""
    wide = torch.float64 in (head.features.dtype, head.weight.dtype)
    dtype = torch.float64 if wide else torch.float32
    features, weight = head.features.to(dtype), head.weight.to(dtype)
    offset = head.bias.to(dtype) if bias and head.bias is not None else None
    with torch.autocast(features.device.type, enabled=False):
        if features.device.type == "cpu":
            return F.conv2d(features, weight[:, :, None, None], offset)
        # Convolutions on CUDA round to TF32 by default, linear layers do not.
        return F.linear(features.movedim(1, -1), weight, offset).movedim(-1, 1)


def _checked_error(maps: Tensor, logits: Tensor, head: Head, *, bias: bool) -> float:
    """The largest difference between maps' means and logits, over the largest logit.

    ``ValueError`` if it is more than rounding explains.
    """
    offset = 0 if head.bias is None else head.bias.to(maps.dtype)
    means = maps.mean((2, 3))  # (B, C)
    if not bias:
        means = means + offset
    difference = (means - logits.to(maps.dtype)).abs().max().item()
    largest = logits.abs().max().item()
    if not math.isfinite(difference):
        raise ValueError(
            _(
                "The model's features or logits are NaN or infinite although the images are "
                "finite: check the model's weights."
            )
        )
    error = difference / largest if largest > 0 else math.inf if difference > 0 else 0.0
    reduced = _reduced_roundoff(head, logits)
    tolerance = TOLERANCES[maps.dtype] if reduced is None else ROUNDOFFS * reduced
    if error <= tolerance:
        return error
    # Large terms that cancel leave a small logit, next to which honest rounding looks large.
    terms = head.weight.to(maps.dtype).abs() @ head.features.to(maps.dtype).abs().mean((2, 3)).T
    size = (terms.T + (offset.abs() if isinstance(offset, Tensor) else 0)).max().item()
    numbers = torch.finfo(maps.dtype)
    roundoff = numbers.eps / 2 if reduced is None else reduced
    if difference <= ROUNDOFFS * max(roundoff * size, numbers.tiny):
        return error
    raise ValueError(
        _(
            "The means of the maps and the logits differ by {error} times the largest logit, "
            "where {tolerance} is the most allowed: something changes the features or the "
            "logits out of sight, such as a hook or an in-place operation after the pooling."
        ).format(error=number(error, 2), tolerance=number(tolerance, 2))
    )


def _reduced_roundoff(head: Head, logits: Tensor) -> float | None:
    """The unit roundoff of the head's products, where it is coarser than float32; else ``None``."""
    dtypes = {head.features.dtype, head.weight.dtype, head.dtype, logits.dtype}
    if head.is_quantized:
        return INT8_ROUNDOFF
    if torch.bfloat16 in dtypes:
        return BF16_ROUNDOFF
    if torch.float16 in dtypes:
        return TF32_ROUNDOFF  # the same eleven bits
    device = head.features.device.type
    if torch.float64 in dtypes:
        return None
    if device == "cuda":
        precision = torch.backends.cuda.matmul.fp32_precision
    elif device == "cpu":
        precision = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    else:
        precision = "tf32"  # an accelerator that cannot be asked
    return {"tf32": TF32_ROUNDOFF, "bf16": BF16_ROUNDOFF}.get(precision)
