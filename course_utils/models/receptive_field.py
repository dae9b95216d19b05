"""The receptive field of any net: which pixels an output depends on, found by running it.

A copy of the net runs on ones, with every function that mixes pixels replaced by one that only
remembers which it mixes: the weights are all ones, maxima are sums, normalisations and activations
do nothing. The gradient of an output in the centre is then non-zero at the pixels that it depends
on, whatever the net has learnt. One axis is measured at a time, on images that grow along it until
the output reads nothing beyond their border. Where the pixels that two cells read are known, so is
the centre of every cell of the map.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from course_utils.arguments import checked_shape
from course_utils.i18n import _

__all__ = ["Centres", "Field", "cell_centres", "receptive_field", "receptive_fields"]

Field = tuple[float, float]
"""Height and width in pixels; ``math.inf`` where the whole image is seen, whatever its size."""

Centres = tuple[tuple[float, float], tuple[float, float]]
"""``(offset, jump)`` of the rows and of the columns of a map: cell i is centred on pixel
``offset + jump * i``, where the first pixel has its centre at 0."""

LARGEST = 2**14
"""Pixels to which images grow: a field that is not complete then counts as the whole image."""
MOST_VALUES = 2**25
"""Values of one tensor at which images stop growing, as they do at once where all pixels meet."""


def receptive_field(model: nn.Module, shape: Sequence[int]) -> Field:
    """Height and width of what one output pixel depends on, in pixels of the image.

    Paths of several lengths count with the longest. Normalisations are taken with the statistics
    that are stored, as in evaluation, so that they read no neighbour; what the net has learnt, and
    weights that happen to be zero, play no part.

    Args:
        model: a net or a part of one, from images ``(B, C, H, W)``; it is left as it was.
        shape: ``(C, H, W)`` of an image that it takes. The answer does not depend on H and W.

    Returns:
        ``(height, width)`` of the field of an output in the centre of the map, padding included.
        Behind a global pooling or a linear layer an output sees the whole image, whatever its
        size: then, ``math.inf``.

    Raises:
        ValueError: ``shape`` is not the shape of an image.

    Source: for nets without branches, the closed form of Araujo, Norris and Sim 2019, "Computing
    Receptive Fields of Convolutional Neural Networks", Distill, doi 10.23915/distill.00021.

    >>> receptive_field(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)), (3, 8, 8))
    (5, 5)
    >>> receptive_field(nn.AdaptiveAvgPool2d(1), (3, 8, 8))
    (inf, inf)
    """
    return receptive_fields(model, shape, [""])[""]


def receptive_fields(
    model: nn.Module, shape: Sequence[int], names: Iterable[str]
) -> dict[str, Field]:
    """The receptive field of each of the modules called ``names``, at their last call."""
    sides = checked_shape(shape)
    names = list(names)
    with torch.inference_mode(False), torch.enable_grad():
        traced = _blank_copy(model)
        heights, widths = (_along(axis, traced, sides, names) for axis in (2, 3))
    return {name: (heights[name], widths[name]) for name in names}


def cell_centres(
    model: nn.Module,
    shape: Sequence[int],
    name: str = "",
    cells: tuple[int, int] | None = None,
) -> Centres:
    """On which pixels the cells of a map are centred: in the middle of their receptive fields.

    Paddings that differ from side to side and even kernels shift the centres, and a padding may
    depend on the size of the image, as TensorFlow's does: the answer is for images of ``shape``. It
    is found on larger ones, on which every layer pads as on those. What reads a whole map at once,
    as the gates of squeeze and excitation do, has no place and moves no centre.

    Args:
        model: a net or a part of one, from images ``(B, C, H, W)``; it is left as it was.
        shape: ``(C, H, W)`` of the images.
        name: of the module whose output is the map; that of the net itself by default.
        cells: rows and columns that the map must have on such images, if it is known.

    Returns:
        ``((offset, jump), (offset, jump))`` of the rows and of the columns, in pixels.

    Raises:
        ValueError: ``shape`` is not the shape of an image, or the map has no cells with places of
            their own.

    >>> cell_centres(nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 32, 32))
    ((0.0, 2.0), (0.0, 2.0))
    >>> cell_centres(nn.Conv2d(3, 8, 4, stride=4), (3, 32, 32))
    ((1.5, 4.0), (1.5, 4.0))
    """
    sides = checked_shape(shape)
    with torch.inference_mode(False), torch.enable_grad():
        traced = _blank_copy(model)
        rows, columns = (
            _line(axis, traced, sides, name, cells and cells[axis - 2]) for axis in (2, 3)
        )
    return rows, columns


def _line(
    axis: int, model: nn.Module, shape: tuple[int, int, int], name: str, cells: int | None
) -> tuple[float, float]:
    """Offset and jump of the centres of a map's cells along one axis."""
    size = [1, *shape]
    size[5 - axis] = 1  # enough for what happens along the axis, where the net takes it
    while size[axis] <= LARGEST:
        added = size[axis] - shape[axis - 1]
        try:
            outputs, leaves = _run(axis, model, torch.ones(size), [name], added > 0, has_place=True)
        except Exception:  # the net is the reader's: anything may go wrong in it
            if size[5 - axis] < shape[4 - axis]:
                size = [1, *shape]
                continue
            if not added:
                raise
            break
        output = outputs.get(name)
        if not isinstance(output, Tensor) or output.dim() != 4:
            break
        if not added and cells not in (None, output.shape[axis]):
            break
        line = _offset_and_jump(axis, output, leaves)
        if line is None:
            size[axis] *= 2
        elif added % line[1]:  # strides may meet other pixels first than on images of the shape
            size[axis] += math.ceil(line[1] - added % line[1])
        else:
            return line
    raise ValueError(
        _(
            "The cells of the map cannot be located: on no image did two of them each read some "
            "of the pixels without reading all."
        )
    )


def _offset_and_jump(
    axis: int, output: Tensor, leaves: tuple[Tensor, ...]
) -> tuple[float, float] | None:
    """Of a map with two cells that stay clear of the image's border; otherwise ``None``."""
    cells = output.shape[axis]
    apart = 1 << max(0, (cells // 8).bit_length() - 1)
    first = (cells - apart) // 2
    if cells <= apart or not output.requires_grad:
        return None
    fields = [_read_by(axis, output, cell, leaves) for cell in (first, first + apart)]
    last = leaves[0].shape[axis] - 1
    for low, high, is_complete, is_whole in fields:
        if low == 0 or high in (-1, last) or not is_complete or is_whole:
            return None
    middle, next_middle = ((low + high) / 2 for low, high, *_rest in fields)
    jump = (next_middle - middle) / apart
    return (middle - jump * first, jump) if jump > 0 else None


def _blank_copy(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode, on the CPU, with ones for parameters."""
    blank = copy.deepcopy(getattr(model, "_orig_mod", model))  # of a compiled net, the net itself
    tensors = [*blank.parameters(), *blank.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        blank.to_empty(device="cpu")
        for buffer in blank.buffers():
            buffer.zero_()
    blank.to("cpu", torch.float32).eval().requires_grad_(False)
    for parameter in blank.parameters():
        parameter.fill_(1)
    return blank


def _along(
    axis: int, model: nn.Module, shape: tuple[int, int, int], names: Sequence[str]
) -> dict[str, float]:
    """The extent of each field along one axis, 2 for the height and 3 for the width."""
    answers: dict[str, float] = {}
    before: dict[str, int] = {}  # complete already, but perhaps of the whole image
    size = [1, *shape]
    while len(answers) < len(names) and size[axis] <= LARGEST:
        try:
            is_grown = size[axis] > shape[axis - 1]
            outputs, leaves = _run(axis, model, torch.ones(size), names, is_grown)
        except Exception:  # the net is the reader's: anything may go wrong in it
            if not is_grown:
                raise
            break  # it takes no images of this size, so that no more can be told
        for name in names:
            if name in answers:
                continue
            extent, is_complete, is_whole = _seen(axis, outputs.get(name), leaves)
            if is_whole or (name in before and extent != before[name]):
                answers[name] = math.inf
            elif is_complete and (name in before or 2 * extent <= size[axis]):
                answers[name] = extent
            elif is_complete:
                before[name] = extent
        size[axis] *= 2
    return {name: answers.get(name, before.get(name, math.inf)) for name in names}


def _run(
    axis: int,
    model: nn.Module,
    image: Tensor,
    names: Sequence[str],
    is_grown: bool,
    *,
    has_place: bool = False,
) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
    """The outputs of the modules, and what they may depend on: image, border, everything."""
    modules = dict(model.named_modules())
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _module, _inputs, output: outputs.update({name: output})

    hooks = [modules[name].register_forward_hook(keep(name)) for name in names]
    image.requires_grad_()
    links = _Links(axis, MOST_VALUES if is_grown else math.inf, has_place)
    try:
        with links:
            model(image.clone())  # the net may work in place
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, (image, links.border, links.everything)


def _seen(axis: int, output: Any, leaves: tuple[Tensor, ...]) -> tuple[int, bool, bool]:
    """Extent of what the centre of the map sees, whether that is all, whether it is everything."""
    if not isinstance(output, Tensor) or output.dim() != 4:
        return 0, False, True  # an output without a place reads the whole image
    if not output.requires_grad:
        return 0, True, False
    low, high, is_complete, is_whole = _read_by(axis, output, output.shape[axis] // 2, leaves)
    return high - low + 1, is_complete, is_whole


def _read_by(
    axis: int, output: Tensor, cell: int, leaves: tuple[Tensor, ...]
) -> tuple[int, int, bool, bool]:
    """First and last pixel that a cell reads, whether that is all, whether it is everything."""
    seen, border, everything = torch.autograd.grad(
        output.select(axis, cell).sum(), leaves, retain_graph=True, materialize_grads=True
    )
    places = seen.abs().sum([dim for dim in range(4) if dim != axis]).nonzero()
    low, high = (int(places.min()), int(places.max())) if len(places) else (0, -1)
    return low, high, not border.any(), bool(everything.any())


# --- functions replaced by what they depend on -----------------------------------------------


class _Link(torch.autograd.Function):
    """Ones that depend on what they are given: a gradient of ones where there is one at all.

    Without it, values and gradients would leave the range of floats within some dozen layers.
    """

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return torch.ones(x.shape)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return (gradients[0] != 0).to(gradients[0].dtype)


def _link(x: Tensor) -> Tensor:
    linked: Tensor = _Link.apply(x)
    return linked


def _functions(*names: str) -> set[Any]:
    """Every torch function of these names, as a function, as a method and in place."""
    return {
        getattr(owner, name + ending)
        for owner in (F, torch, Tensor)
        for name in names
        for ending in ("", "_")
        if hasattr(owner, name + ending)
    }


_KEEPING = _functions(
    "alpha_dropout", "batch_norm", "celu", "clamp", "clamp_max", "clamp_min", "clip", "dropout",
    "dropout1d", "dropout2d", "dropout3d", "elu", "feature_alpha_dropout", "gelu", "group_norm",
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "layer_norm",
    "leaky_relu", "local_response_norm", "logsigmoid", "mish", "neg", "normalize", "prelu",
    "relu", "relu6", "rms_norm", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink",
    "softsign", "tanh", "tanhshrink", "threshold",
)  # fmt: skip
"""What answers each value from that value (normalisations, with the statistics that are stored)."""
_DIFFERENCES = _functions("sub", "subtract", "__sub__", "__rsub__", "rsub") | {Tensor.__isub__}
_SOFTMAX = _functions("softmax", "log_softmax")
_REDUCTIONS = _functions("mean", "sum", "amax", "amin")
_ADAPTIVE = {F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d, F.adaptive_max_pool2d}
_TRANSPOSED = {F.conv_transpose2d}


class _Links(TorchFunctionMode):
    """Calls functions that mix pixels as sums along one axis, and others as they are."""

    def __init__(self, axis: int, most_values: float = math.inf, has_place: bool = False) -> None:
        super().__init__()
        self.axis = axis
        self.most_values = most_values
        self.has_place = has_place  # what is read by a global pooling is then left out
        self.border = torch.zeros((), requires_grad=True)  # what stands beyond the image
        self.everything = torch.zeros((), requires_grad=True)  # what is read by a global pooling

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in self._replaced:
            return self._replaced[func](self, *args, **kwargs)
        if func in _KEEPING:
            return _kept(func, *args, **kwargs)
        if func in _DIFFERENCES:  # a difference might cancel, a sum does not
            in_place = func in (Tensor.sub_, Tensor.__isub__)
            return args[0].add_(args[1]) if in_place else torch.add(args[1], args[0])
        if func in _TRANSPOSED:
            x, weight, _bias, *rest = args
            return _link(func(x, torch.ones_like(weight), None, *rest, **kwargs))
        if func in _REDUCTIONS:
            return self._reduced(func, *args, **kwargs)
        if func in _ADAPTIVE:
            return self._pooled(F.adaptive_avg_pool2d(*args[:2]))
        if func in _SOFTMAX:
            dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
            return _link(args[0].sum(dim, keepdim=True).expand_as(args[0]))
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.numel() > self.most_values:
            raise MemoryError  # the next size would not fit
        return out

    def _reduced(self, func: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = func(x, *args, **kwargs)
        is_global = x.dim() == 4 and x.shape[self.axis] > 1 and out.shape[2:].numel() == 1
        return self._pooled(out) if is_global else _link(out)

    def _pooled(self, out: Tensor) -> Tensor:
        """The answer of a pooling whose windows are as large as the image asks for."""
        if self.has_place and (out.dim() < 4 or out.shape[self.axis] == 1):
            return torch.ones(out.shape)
        return _link(out + self.everything)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return _link(x.sum(-1, keepdim=True).expand(*x.shape[:-1], len(weight)))

    def _conv(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        out_channels, _channels, *kernel = weight.shape
        dilation = _pair(dilation)
        if padding == "valid":
            padding = 0
        if padding == "same":
            both = [step * (side - 1) for side, step in zip(kernel, dilation, strict=True)]
            around = [(total // 2, total - total // 2) for total in both]
        else:
            around = [(side, side) for side in _pair(padding)]
        out = self._windows(x, kernel, _pair(stride), around, dilation, groups)
        return _link(out.repeat_interleave(out_channels // groups, 1))

    def _pool(
        self,
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        kernel, padded = _pair(kernel_size), _pair(padding)
        steps = _pair(stride or kernel)
        around = [(side, side) for side in padded]
        if ceil_mode:
            for n in range(2):
                span = x.shape[2 + n] + 2 * padded[n] - (_pair(dilation)[n] * (kernel[n] - 1) + 1)
                missing = -span % steps[n]
                # A window may begin in the image or before it, not in what is added for it.
                begins = span + missing
                if begins < x.shape[2 + n] + padded[n]:
                    around[n] = (padded[n], padded[n] + missing)
        return _link(self._windows(x, kernel, steps, around, _pair(dilation), x.shape[1]))

    def _average(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, *_others: Any, **_more: Any,
    ) -> Tensor:  # fmt: skip
        return self._pool(x, kernel_size, stride, padding, ceil_mode=ceil_mode)

    def _windows(
        self,
        x: Tensor,
        kernel: Sequence[int],
        stride: Sequence[int],
        around: Sequence[tuple[int, int]],
        dilation: Sequence[int],
        groups: int,
    ) -> Tensor:
        """Sums over windows along the axis, over all of the other and the group's channels."""
        measured, other = self.axis - 2, 3 - self.axis
        batch = x.shape[0]
        signal = x.sum(5 - self.axis).reshape(batch, groups, -1, x.shape[self.axis]).sum(2)
        before, after = (self.border.expand(batch, groups, n) for n in around[measured])
        padded = torch.cat([before, signal, after], 2)  # (B, groups, n)
        reach = [step * (side - 1) + 1 for side, step in zip(kernel, dilation, strict=True)]
        windows = padded.unfold(2, reach[measured], stride[measured])
        sums = windows[..., :: dilation[measured]].sum(-1)  # (B, groups, places)
        across = x.shape[2 + other] + sum(around[other]) - reach[other]
        places = max(across // stride[other] + 1, 1)
        return sums.unsqueeze(5 - self.axis).expand(
            *(-1 if dim != 5 - self.axis else places for dim in range(4))
        )

    def _pad(
        self, x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
    ) -> Tensor:
        marks = torch.zeros(x.shape[2:])
        for dim in range(min(2, len(pad) // 2)):  # the width first
            sides = [0] * (2 * dim) + list(pad[2 * dim : 2 * dim + 2])
            marks = F.pad(marks, sides, value=float(dim == 3 - self.axis))
        return F.pad(x, list(pad)) + marks * self.border

    _replaced: Mapping[Any, Callable[..., Tensor]] = {
        F.linear: _linear,
        F.conv2d: _conv,
        F.max_pool2d: _pool,
        torch.max_pool2d: _pool,
        F.avg_pool2d: _average,
        F.pad: _pad,
    }


def _kept(func: Any, x: Tensor, *_args: Any, inplace: bool = False, **_kwargs: Any) -> Tensor:
    """The values as they are: in a new tensor, unless the function works in place."""
    in_place = inplace or getattr(func, "__name__", "").endswith("_")
    return x if in_place else x.clone()


def _pair(value: Any) -> tuple[int, int]:
    """One number for height and width, or one for each."""
    if isinstance(value, int):
        return value, value
    numbers = [int(number) for number in value]
    return numbers[0], numbers[-1]
