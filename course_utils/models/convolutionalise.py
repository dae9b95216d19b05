"""Turn a classifier's dense layers into convolutions, so that it slides over any larger image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from course_utils.arguments import checked_images, checked_module, checked_shape, whole_number
from course_utils.i18n import _
from course_utils.inference import evaluating
from course_utils.models.counting import black_images

__all__ = ["convolutionalise", "linear_to_conv", "sliding_window"]

# After the flattening these treat every number alike, and so act on maps as they are.
_ELEMENTWISE = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardswish,
    nn.Dropout,
    nn.Identity,
)
_ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
# What these give at one pixel depends on the whole map, and so on the size of the image.
_WHOLE_MAP = (*_ADAPTIVE, nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d)


@torch.no_grad()
def linear_to_conv(linear: nn.Linear, channels: int, height: int, width: int) -> nn.Conv2d:
    """The convolution that does on maps what ``linear`` does on the same maps flattened.

    Flattening puts the numbers of ``(C, H, W)`` maps in the order of a kernel's own weights, so
    that the matrix ``(out, C·H·W)`` only has to be seen as ``(out, C, H, W)``.

    Args:
        linear: takes ``C·H·W`` features.
        channels, height, width: C, H and W of the maps that are flattened before it.

    Returns:
        A convolution with a kernel of H by W pixels and copies of the weights: ``(B, C, H, W)``
        to ``(B, out, 1, 1)``, and a larger map to one answer for each place of the kernel.

    Raises:
        ValueError: the layer takes another number of features.

    Source: Long, Shelhamer and Darrell 2015, arXiv 1411.4038, section 3.1.

    >>> linear_to_conv(nn.Linear(32 * 6 * 6, 64), 32, 6, 6)
    Conv2d(32, 64, kernel_size=(6, 6), stride=(1, 1))
    """
    if linear.in_features != channels * height * width:
        raise ValueError(
            _(
                "The linear layer takes {features} features, and maps of "
                "{channels}×{height}×{width} hold {found}: give the shape of the maps that are "
                "flattened before it."
            ).format(
                features=linear.in_features,
                channels=channels,
                height=height,
                width=width,
                found=channels * height * width,
            )
        )
    # No random numbers are drawn: the weights are copied.
    conv = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d,
        channels,
        linear.out_features,
        (height, width),
        bias=linear.bias is not None,
        device=linear.weight.device,
        dtype=linear.weight.dtype,
    )
    assert isinstance(conv, nn.Conv2d)
    conv.weight.copy_(linear.weight.view_as(conv.weight))
    conv.weight.requires_grad_(linear.weight.requires_grad)
    if linear.bias is not None:
        assert conv.bias is not None
        conv.bias.copy_(linear.bias)
        conv.bias.requires_grad_(linear.bias.requires_grad)
    return conv.train(linear.training)


def convolutionalise(model: nn.Module, shape: Sequence[int]) -> nn.Sequential:
    """The same classifier without a dense layer: weight for weight, and free of the image's size.

    The flattening goes. The first linear layer after maps of H by W pixels becomes a convolution
    with a kernel of H by W, those that follow become 1×1 convolutions, and all other layers are
    copied. On an image of ``shape`` the answer is the same; on a larger image it is a map of such
    answers, one per position.

    Args:
        model: the layers in the order they run in, as an ``nn.Sequential`` (others may stand
            inside it). It is left as it is: the answer shares no memory with it.
        shape: ``(C, H, W)`` of the images that the model was made for.

    Returns:
        A model from ``(B, C, H', W')`` to ``(B, num_classes, h, w)``, with h = w = 1 for images
        of ``shape``; in the model's modes, on its device.

    Raises:
        TypeError: ``model`` is no module.
        ValueError: a layer cannot be converted, or does not fit the shape; the sentence names it.

    Source: Sermanet et al. 2013, arXiv 1312.6229, section 3.5 (dense evaluation); Long, Shelhamer
    and Darrell 2015, arXiv 1411.4038, section 3.1.

    >>> head = [nn.Flatten(), nn.Linear(8 * 6 * 6, 10)]
    >>> net = convolutionalise(nn.Sequential(nn.Conv2d(1, 8, 3), *head), (1, 8, 8))
    >>> net(torch.rand(2, 1, 8, 8)).shape, net(torch.rand(2, 1, 20, 30)).shape
    (torch.Size([2, 10, 1, 1]), torch.Size([2, 10, 13, 23]))
    """
    checked_module(model)
    if not isinstance(model, nn.Sequential):
        raise ValueError(
            _(
                "The layers of {type} have no known order: give them in an nn.Sequential, for "
                "instance nn.Sequential(model.features, nn.Flatten(), model.classifier)."
            ).format(type=type(model).__name__)
        )
    net = nn.Sequential()
    for layer, maps in _kept(model, checked_shape(shape)):
        if isinstance(layer, nn.Linear) and maps is not None:
            net.append(linear_to_conv(layer, *maps))
        else:
            net.append(deepcopy(layer))
    net.training = model.training
    return net


Maps = tuple[int, int, int]
"""Channels, height and width of the maps that a dense layer takes, before they are flattened."""


def _kept(model: nn.Sequential, shape: Sequence[int]) -> list[tuple[nn.Module, Maps | None]]:
    """The layers that stay, each dense one with the maps that it takes; or a refusal."""
    x = black_images(model, shape)
    kept: list[tuple[nn.Module, Maps | None]] = []
    maps: Maps | None = None  # what the next dense layer takes, once all is flat
    with evaluating(model):
        for name, layer in _in_order(model):
            given, x = x, _run(name, layer, x)
            if isinstance(layer, nn.Flatten):
                maps = maps or _flattened(name, layer, given, x)
            elif isinstance(layer, nn.Linear):
                if maps is None:
                    _refuse(
                        name,
                        layer,
                        _("it comes before any nn.Flatten, and acts on one row of a map at a time"),
                    )
                kept.append((layer, maps))
                maps = (layer.out_features, 1, 1)
            elif maps is not None:
                _require_elementwise(name, layer)
                kept.append((layer, None))
            elif not _is_idle(layer, given, x):
                _require_sliding(name, layer, x)
                kept.append((layer, None))
    if all(maps is None for _layer, maps in kept):
        raise ValueError(
            _(
                "There is no fully connected layer to convert: the model has no nn.Linear after "
                "an nn.Flatten, so it already takes larger images."
            )
        )
    return kept


def _in_order(model: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers, those of inner ``nn.Sequential`` too, each with its name."""
    for name, layer in model.named_children():
        if isinstance(layer, nn.Sequential):
            yield from _in_order(layer, f"{prefix}{name}.")
        else:
            yield prefix + name, layer


def _refuse(name: str, layer: nn.Module, reason: str) -> NoReturn:
    raise ValueError(
        _("The layer {name} ({layer}) cannot be converted: {reason}.").format(
            name=name, layer=type(layer).__name__, reason=reason
        )
    )


def _run(name: str, layer: nn.Module, x: Tensor) -> Tensor:
    try:
        output: Tensor = layer(x)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            _(
                "The layer {name} ({layer}) cannot take what reaches it, of shape {shape}: give "
                "the shape of the images that the model was made for."
            ).format(name=name, layer=type(layer).__name__, shape=tuple(x.shape[1:]))
        ) from error
    return output


def _flattened(name: str, layer: nn.Flatten, given: Tensor, output: Tensor) -> Maps:
    if given.dim() != 4 or output.shape != (1, given[0].numel()):
        _refuse(name, layer, _("it must turn the maps of each image into one row of numbers"))
    channels, height, width = given.shape[1:]
    return channels, height, width


def _require_elementwise(name: str, layer: nn.Module) -> None:
    over_classes = isinstance(layer, nn.Softmax | nn.LogSoftmax) and layer.dim == 1
    if not (over_classes or isinstance(layer, _ELEMENTWISE)):
        _refuse(
            name,
            layer,
            _(
                "after the flattening, only nn.Linear, a softmax over dim=1 and layers that act "
                "on each number separately can be"
            ),
        )


def _is_idle(layer: nn.Module, given: Tensor, output: Tensor) -> bool:
    """Whether an adaptive pooling has nothing to do for this size, as VGG's for 224 pixels."""
    return isinstance(layer, _ADAPTIVE) and given.shape == output.shape


def _require_sliding(name: str, layer: nn.Module, output: Tensor) -> None:
    if output.dim() != 4:
        _refuse(
            name,
            layer,
            _(
                "before the flattening, there must be maps (B, C, h, w), and it outputs {shape}"
            ).format(shape=tuple(output.shape)),
        )
    for inner in layer.modules():
        if isinstance(inner, _WHOLE_MAP):
            _refuse(
                name,
                layer,
                _(
                    "{inner} looks at the whole map, so on a larger image it would not give "
                    "what it gives on each window"
                ).format(inner=type(inner).__name__),
            )


def sliding_window(
    model: nn.Module, images: Tensor, side: int, step: int, batch_size: int = 4096
) -> Tensor:
    """Cut out every window of larger images, ask the classifier about each, put the answers back.

    Args:
        model: a classifier from ``(N, C, side, side)`` to ``(N, num_classes)``; run in eval mode,
            without gradient.
        images: ``(B, C, H, W)``, as the model takes them.
        side: of the square windows, in pixels.
        step: from one window to the next, in pixels.
        batch_size: windows at a time.

    Returns:
        ``(B, num_classes, rows, columns)``: at ``[..., i, j]`` the answer to the window whose
        first pixel is ``(i·step, j·step)``. Windows that would not fit are left out.

    Raises:
        ValueError: images of another number of dimensions or smaller than a window, a step or a
            batch below 1, a model that does not answer with one row per window.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    >>> sliding_window(net, torch.rand(2, 1, 10, 8), side=4, step=2).shape
    torch.Size([2, 3, 4, 3])
    """
    side = whole_number("side", side, at_least=1)
    step = whole_number("step", step, at_least=1)
    batch_size = whole_number("batch_size", batch_size, at_least=1)
    checked_images(images)
    if min(images.shape[2:]) < side:
        raise ValueError(
            _(
                "A window with a side of {side} pixels does not fit into images of "
                "{height}×{width}."
            ).format(side=side, height=images.shape[2], width=images.shape[3])
        )
    windows = images.unfold(2, side, step).unfold(3, side, step)  # (B, C, rows, cols, side, side)
    windows = windows.permute(0, 2, 3, 1, 4, 5)  # (B, rows, cols, C, side, side)
    batches = torch.split(windows.flatten(0, 2), batch_size)
    with evaluating(model):
        answers = torch.cat([model(batch) for batch in batches])  # (B·rows·cols, num_classes)
    if answers.dim() != 2:
        raise ValueError(
            _(
                "The model must return one row of numbers per window, and it returns {shape}."
            ).format(shape=tuple(answers.shape[1:]))
        )
    return answers.view(*windows.shape[:3], -1).permute(0, 3, 1, 2)
