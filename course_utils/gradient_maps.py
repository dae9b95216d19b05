"""Maps for networks whose head is not average pooling and one linear layer: an approximation.

The gradient of a class's score says how much each value of a layer's feature maps matters near
this image. Grad-CAM sums it over the positions and weights each feature map by the sum: where the
head is average pooling and one linear layer, that *is* the class activation map without its bias.
LayerCAM weights each value by its own gradient, where that is positive. For other heads the mean of
the map is not the logit, and how far it is from it is measured.

Which of the two locates better depends on the head, as benchmarks/gradient_maps.py measures: behind
flattened maps and a hidden layer, as in VGG, or a global maximum, it is Grad-CAM by far; behind
averages that are normalised, as in ConvNeXt, LayerCAM; behind averages and a hidden layer, as in
MobileNetV3, they are close. Averages have the same gradient everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from course_utils.arguments import checked_module, one_of
from course_utils.cam import CAM, Source, check_images, class_index
from course_utils.head import logits_of
from course_utils.i18n import _
from course_utils.inference import evaluating, kept_random_state

__all__ = ["METHODS", "gradient_maps"]

METHODS = ("Grad-CAM", "LayerCAM")
_Answer = tuple[str, nn.Module, Tensor]  # of a module: its name, itself, what it answered

MOST_OTHER_TOKENS = 16
"""A row of tokens may begin with so many that are no positions: of the class, registers."""

_POOLING, _NOTHING, _ATTENTION = map(re.compile, ("Pool", "Drop|Identity", "Attention|Attn"))
"""Names of modules: those that blur positions, that do nothing, and that mix positions within."""


@dataclass(frozen=True, eq=False)
class _Features:
    """What a module answered, and how to see it as maps."""

    layer: str
    answer: Tensor
    axis: int  # of the channels: 1 as in (B, K, h, w), or -1 as in (B, h, w, K) and (B, N, K)
    grid: tuple[int, int]  # rows and columns

    def as_maps(self, values: Tensor) -> Tensor:
        """``(B, K, h, w)`` of values that are laid out as the answer is."""
        if self.axis == 1:
            return values
        rows, columns = self.grid
        if values.dim() == 3:
            values = values[:, values.shape[1] - rows * columns :]
            values = values.reshape(len(values), rows, columns, -1)
        return values.movedim(-1, 1)

    def slopes(self, scores: Tensor) -> Tensor:
        """The gradients ``(B, K, h, w)`` of scores ``(B,)``; zeros where there are none."""
        (gradient,) = torch.autograd.grad(
            scores.sum(), self.answer, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.as_maps(gradient).float()


def gradient_maps(
    model: nn.Module,
    images: Tensor,
    classes: Any = None,
    *,
    layer: str | None = None,
    method: str | None = None,
    entry: str | int | None = None,
) -> CAM:
    """Maps of chosen classes by gradients: an approximation, for heads that have no exact maps.

    The model runs once in evaluation mode, then backwards once for each class of an image, and is
    left as it was.

    Args:
        model: a network that returns its logits, differentiable.
        images: ``(B, C_in, H, W)``, prepared as the model takes them.
        classes: as :meth:`course_utils.cam.CAM.select` takes them; the predicted ones by default.
        layer: name of the module whose output to look at; by default, of the last one that keeps
            positions which the logits depend on, poolings apart. Tokens of a transformer that lie
            on a grid are positions.
        method: ``"Grad-CAM"`` or ``"LayerCAM"``; by default, LayerCAM where the gradient is the
            same at every position, as behind an average, and Grad-CAM elsewhere.
        entry: where the logits are in what the model answers, if that is not a tensor.

    Returns:
        A ``CAM`` whose classes are chosen, with maps ``(B, h, w)`` or ``(B, n, h, w)``, and the
        name of the method. The maps are on the scale of the logits, without bias; ``error`` is how
        far their means are from the logits, over the largest of these.

    Raises:
        TypeError: the model is not a module, the images are no tensor, or a class is no integer.
        ValueError: images or classes of the wrong shape or range, no such layer or method, or no
            layer that keeps positions which the answer depends on.

    Source: Selvaraju et al. 2017, "Grad-CAM", arXiv 1610.02391, equations 1 and 2, before the ReLU;
    Jiang et al. 2021, "LayerCAM", IEEE Transactions on Image Processing 30, equations 6 and 7.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    >>> cam = gradient_maps(net, torch.rand(2, 1, 8, 8), [0, 2])
    >>> cam.maps.shape, cam.feature_layer, cam.method
    (torch.Size([2, 6, 6]), '1', 'Grad-CAM')
    """
    checked_module(model)
    check_images(images, model)
    if method is not None:
        one_of("method", method, METHODS)
    model = getattr(model, "_orig_mod", model)  # of a compiled one
    answers, remember = _recorder(model, layer)
    with evaluating(model), kept_random_state(images.device), torch.inference_mode(False):
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"), _frozen(model):
            with register_module_forward_hook(remember):
                # A copy of a leaf, since layers may work in place.
                output = model(images.clone().requires_grad_().clone())
            logits = logits_of(output, entry).reshape(len(images), -1)  # (B, C)
        index = class_index(classes, logits.detach())
        chosen = index.reshape(len(index), -1)  # (B, n)
        scores = logits.gather(1, chosen.to(logits.device))
        features = _last_that_counts(answers, scores, images, layer)
        slopes = torch.stack([features.slopes(score) for score in scores.T])  # (n, B, K, h, w)
    if method is None:
        method = "LayerCAM" if _is_the_same_everywhere(slopes) else "Grad-CAM"
    maps = _weighted(features.as_maps(features.answer.detach()).float(), slopes, method)
    scores = scores.detach()
    difference = (maps.mean((2, 3)) - scores.to(maps.dtype)).abs().max().item()
    return CAM(
        maps.reshape(*index.shape, *maps.shape[2:]),
        scores.reshape(index.shape),
        features.layer,
        linear_layer="",
        bias=False,
        error=difference / max(logits.abs().max().item(), torch.finfo(maps.dtype).tiny),
        classes=index,
        source=Source(model, features.layer, tuple(images.shape[1:]), features.grid),
        method=method,
    )


def _recorder(model: nn.Module, layer: str | None) -> tuple[list[_Answer], Callable[..., None]]:
    """A list, and the hook that fills it with each module's name, itself and its answer.

    Raises:
        ValueError: the model has no such layer.
    """
    names = {module: name for name, module in model.named_modules() if name}
    if layer is not None and layer not in names.values():
        raise ValueError(
            _(
                "There is no layer {layer!r}: give a name from model.named_modules(), such as "
                "{some}."
            ).format(layer=layer, some=", ".join(map(repr, list(names.values())[-3:])))
        )
    answers: list[_Answer] = []

    def remember(module: nn.Module, _args: Any, output: Any) -> None:
        first = output[0] if isinstance(output, Sequence) and len(output) else output
        if isinstance(first, Tensor) and module in names:
            answers.append((names[module], module, first))

    return answers, remember


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Weights without gradients, so that what has one depends on the images."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        model.requires_grad_(False)
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def _last_that_counts(
    answers: list[_Answer],
    scores: Tensor,
    images: Tensor,
    layer: str | None,
) -> _Features:
    """The last answer with positions that the scores depend on; ``ValueError`` without one."""
    grids = _grids(answers, images)
    named = [(name, answer) for name, _module, answer in answers if name == layer]
    for name, answer in reversed(named if layer is not None else list(_layers(answers))):
        if not answer.requires_grad or not scores.requires_grad:
            continue
        features = _with_positions(name, answer, images, grids)
        if features is not None and features.slopes(scores).any():
            return features
    if layer is None:
        raise ValueError(
            _(
                "No layer of this network keeps positions that its output depends on through "
                "gradients, so there is nothing to map."
            )
        )
    raise ValueError(
        _(
            "The output of the layer {layer!r} has no positions, or the logits do not depend on "
            "them: choose another layer, or none to take the last suitable one."
        ).format(layer=layer)
    )


def _grids(answers: list[_Answer], images: Tensor) -> list[tuple[int, int]]:
    """Rows and columns that tokens may lie in: those of maps, and these merged two by two."""
    shapes = [tuple(answer.shape[2:]) for _name, _module, answer in answers if answer.dim() == 4]
    merged = [
        (math.ceil(rows / step), math.ceil(columns / step))
        for step in (8, 4, 2, 1)
        for rows, columns in shapes
    ]
    return [grid for grid in merged if _is_like(*grid, images)]


def _layers(answers: list[_Answer]) -> Iterator[tuple[str, Tensor]]:
    """The answers of what counts as a layer: no pooling, and nothing within an attention."""
    kinds = {name: type(module).__name__ for name, module, _answer in answers}
    pooled = {id(answer) for name, _module, answer in answers if _POOLING.search(kinds[name])}
    for name, _module, answer in answers:
        around = [name[: dot.start()] for dot in re.finditer(r"\.", name)]
        within = any(_ATTENTION.search(kinds.get(outer, "")) for outer in around)
        if id(answer) not in pooled and not within and not _NOTHING.search(kinds[name]):
            yield name, answer


def _with_positions(
    name: str, answer: Tensor, images: Tensor, grids: Sequence[tuple[int, int]]
) -> _Features | None:
    """The answer as maps, if there is more than one position to an image."""
    if len(answer) != len(images):
        return None
    if answer.dim() == 4:
        for axis, (rows, columns) in ((1, answer.shape[2:]), (-1, answer.shape[1:3])):
            if _is_like(rows, columns, images):
                return _Features(name, answer, axis, (rows, columns))
    if answer.dim() == 3:
        for rows, columns in reversed(grids):
            if 0 <= answer.shape[1] - rows * columns <= MOST_OTHER_TOKENS:
                return _Features(name, answer, -1, (rows, columns))
    return None


def _is_like(rows: int, columns: int, images: Tensor) -> bool:
    """Whether one step in pixels, the same down and across, may make such a grid of the image."""
    steps = [
        (length / (number + 2), length / max(number - 1, 0.5))
        for length, number in zip(images.shape[2:], (rows, columns), strict=True)
    ]
    return rows * columns > 1 and max(low for low, _high in steps) < min(
        high for _low, high in steps
    )


def _is_the_same_everywhere(slopes: Tensor) -> bool:
    """Whether gradients ``(n, B, K, h, w)`` differ between positions by no more than rounding."""
    spread = slopes.amax((3, 4)) - slopes.amin((3, 4))
    return bool(spread.max() <= 1e-4 * slopes.abs().max())


def _weighted(values: Tensor, slopes: Tensor, method: str) -> Tensor:
    """The maps ``(B, n, h, w)`` of features ``(B, K, h, w)`` and gradients ``(n, B, K, h, w)``."""
    if method == "Grad-CAM":
        weights = slopes.sum((3, 4), keepdim=True)
    else:
        weights = slopes.clamp(min=0) * values.shape[2:].numel()
    return (weights * values).sum(2).movedim(0, 1)
