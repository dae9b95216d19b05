"""Find the average pooling and the linear layer that end a network, by following a run.

What counts is what the network computes from the reader's own input, not how it is written: every
operation that torch carries out during one forward pass is seen, those of functions and of traced
or exported networks too. From the moment a feature map is averaged, its means are followed to the
logits, for as long as nothing but a linear layer is made of them.
"""

from __future__ import annotations

import math
import re
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from operator import mul, truediv
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from course_utils.i18n import _
from course_utils.inference import OperationWatcher

__all__ = ["Head", "HeadError", "logits_of", "run_to_head"]


class HeadError(ValueError):
    """A network whose head is not global average pooling and then one linear layer."""


@dataclass(frozen=True, eq=False)
class Head:
    """Global average pooling of ``features``, then one linear layer."""

    features: Tensor  # (B, K, h, w)
    weight: Tensor  # (C, K)
    bias: Tensor | None  # (C,)
    feature_layer: str
    linear_layer: str
    dtype: torch.dtype  # in which the linear layer answered
    is_quantized: bool  # whether it multiplied integers of 8 bits
    layer: str | None = None  # the module that had run last; "" where the features are the images
    is_in_place: bool = True  # whether they lie where that module's answer does


_BEGINS: weakref.WeakKeyDictionary[nn.Module, tuple[Any, ...]] = weakref.WeakKeyDictionary()
"""After which module a network's features were there, and the shapes of images and features.

It says where to begin to watch, and no more: what is found is followed anew each time.
"""


def run_to_head(
    model: nn.Module,
    images: Tensor,
    entry: str | int | None = None,
    grid: tuple[int, int] | None = None,
) -> tuple[Tensor, Head]:
    """Run ``model``, anew if it has changed, and say what was pooled and by what it was read.

    The arguments are those of :func:`course_utils.cam.class_activation_maps`.

    Returns:
        The logits, ``B * C`` values, and the model's head.

    Raises:
        HeadError: the head is not global average pooling then one linear layer (dropout that is
            off, reshaping and a constant factor may stand between); the sentence says what it is
            instead.
        ValueError: it is not said where the logits are, or they are not one row an image.

    >>> net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Linear(3, 2))
    >>> run_to_head(net, torch.rand(1, 3, 4, 4))
    Traceback (most recent call last):
        ...
    course_utils.head.HeadError: The activation `relu` stands between the pooling and `3`: ...
    """
    modules = dict(model.named_modules())
    names = {module: name.replace("_orig_mod.", "") for name, module in modules.items() if name}

    def traced(after: nn.Module | None = None) -> tuple[Tensor, Head, bool]:
        tracer = _HeadTracer(model, len(images))
        with warnings.catch_warnings(), tracer.watching(after):
            warnings.filterwarnings("ignore", "Using `torch.compile")  # hooks may be called twice
            with torch.compiler.set_stance("force_eager"):  # compiled code is one opaque piece
                logits = logits_of(model(images), entry)
        head = _find_head(tracer.ways.get(logits), logits, images, names, grid)
        return logits, head, tracer.is_certain

    layer, *shapes = _BEGINS.pop(model, (None,))
    is_certain = False
    if layer in modules and shapes[0] == images.shape:
        with suppress(ValueError):  # then all of the run is watched, which says why
            logits, head, is_certain = traced(modules[layer])
            is_certain &= head.features.shape == shapes[1]
    if not is_certain:
        logits, head, is_certain = traced()
    if is_certain and head.layer:
        _BEGINS[model] = head.layer, images.shape, head.features.shape
    return logits, head


def logits_of(answer: Any, entry: str | int | None) -> Tensor:
    """The tensor of logits in what a model answers; ``ValueError`` if it is not said where."""
    if entry is None and isinstance(answer, Tensor):
        return answer
    entries: dict[Any, Any] = {}
    if isinstance(answer, Mapping):
        entries = dict(answer)
    elif isinstance(answer, Sequence):
        entries = dict(enumerate(answer))
    logits = entries.get(entry)
    if not isinstance(logits, Tensor):
        raise ValueError(
            _(
                "The model returns a {type}, not a tensor of logits: say where they are with "
                "entry=…, one of {entries}."
            ).format(type=type(answer).__name__, entries=", ".join(map(repr, entries)) or "–")
        )
    return logits


# ------------------------------------------------------------------------- what is made of a map


@dataclass(frozen=True, eq=False)
class _Linear:
    """One linear layer on the way."""

    weight: Tensor  # (C, K)
    bias: Tensor | None  # (C,)
    address: int  # of the weights that the model holds
    module: nn.Module  # the innermost that was running
    dtype: torch.dtype
    is_quantized: bool


@dataclass(frozen=True, eq=False)
class _Way:
    """How a tensor came from a feature map.

    Its values are, in order, ``scale`` times averages of ``features`` over positions, ``left`` of
    them for each image and channel: 1 once all positions are averaged. Then came the ``steps``,
    each a linear layer or the name of another operation.
    """

    features: Tensor | None  # (B, K, h, w), or (B, K, N) of tokens; None if it is not known
    left: int = 1
    layer: nn.Module | None = None  # the module that had run last when the features were there
    is_output: bool = False  # whether that module returned the features themselves
    is_rectified: bool = False  # whether the features came straight out of a ReLU
    is_in_place: bool = True  # whether they lie where that module's answer does
    pooling: str = "average"  # "maximum", "flattened", or "part": positions do not count alike
    scale: float = 1.0
    steps: tuple[_Linear | str, ...] = ()

    @property
    def is_average(self) -> bool:
        """Whether nothing but averages was made of the map so far."""
        return self.pooling == "average" and not self.steps


@dataclass(frozen=True, eq=False)
class _Call:
    """One operation on a tensor that is followed."""

    func: Any
    given: dict[str, Any]  # every argument by its name
    source: Tensor  # the argument that is followed
    out: Tensor
    batch: int  # number of images
    module: nn.Module  # the innermost that is running
    varies: Callable[[Any], bool]  # whether a value may be another on other images

    @property
    def operation(self) -> Any:
        """The operation, whatever the types of its arguments."""
        return self.func.overloadpacket

    @property
    def other(self) -> Any:
        """What a sum or a product has beside the tensor that is followed."""
        given = self.given
        return given["other"] if given["self"] is self.source else given["self"]

    def one_row(self, value: Any) -> Tensor | None:
        """What is added to each image's answer, ``(C,)``; ``None`` if it is not always the same."""
        value = torch.as_tensor(value, device=self.out.device)
        if self.varies(value) or value.numel() not in (1, self.out.numel() // self.batch):
            return None
        return value.expand_as(self.out).reshape(self.batch, -1)[0]


aten, quantized = torch.ops.aten, torch.ops.quantized
# What copies the values in their order (casts round them), or sees them in another shape in place.
_COPIES = (
    aten.clone, aten._to_copy, aten._unsafe_view, aten.lift_fresh, aten.dequantize,
    aten.as_strided_, aten.squeeze_, aten.unsqueeze_,
)  # fmt: skip


def _rearranged(call: _Call, way: _Way) -> _Way | None:
    """The same values in the same order, in another shape, type or place."""
    is_copy = call.operation in _COPIES
    is_view = call.func.is_view and _layout(call.out) == _layout(call.source)
    return way if call.out.numel() == call.source.numel() and (is_copy or is_view) else None


def _layout(tensor: Tensor) -> list[tuple[int, int]]:
    """In which order the values lie in memory, ``(number, step)``, whatever their shape."""
    merged: list[tuple[int, int]] = []
    for number, step in zip(tensor.shape, tensor.stride(), strict=True):
        if merged and merged[-1][1] == number * step:
            merged[-1] = (merged[-1][0] * number, step)
        elif number > 1:
            merged.append((number, step))
    return merged


def _averaged(call: _Call, way: _Way) -> _Way | None:
    """A mean or a sum over positions, whole or one dimension at a time."""
    source, features = call.source, way.features
    dims = sorted(dim % source.dim() for dim in call.given.get("dim") or ())
    if not dims or features is None:
        return None
    is_whole = source.numel() == features.numel() and source.shape[-1] == features.shape[-1]
    if is_whole and dims == list(range(1, source.dim() - 1)):  # (B, h, w, K), or (B, h * w, K)
        way = replace(way, features=features.movedim(-1, 1), left=features.shape[1:-1].numel())
    elif way.left % source.shape[dims[0] :].numel():
        return None
    number = math.prod(source.shape[dim] for dim in dims)
    scale = way.scale * (number if call.operation is aten.sum else 1)
    return replace(way, left=way.left // number, scale=scale)


def _pooled(call: _Call, way: _Way) -> _Way | None:
    """Average pooling to one value per channel."""
    height, width = call.source.shape[-2:]
    if call.out.shape[-2:].numel() != 1 or height * width != way.left:
        return None
    given = call.given
    if call.operation is aten._adaptive_avg_pool2d:
        return replace(way, left=1)
    kernel, padding = given["kernel_size"], given["padding"]
    covers = kernel[0] - padding[0] >= height and kernel[-1] - padding[-1] >= width
    ones = torch.ones(1, 1, height, width, dtype=torch.float64)
    weight = call.func(ones, *list(given.values())[1:]).item()  # 1, unless padding counts too
    pooling = "average" if covers else "part"
    return replace(way, left=1, scale=way.scale * weight, pooling=pooling)


def _maximum(call: _Call, way: _Way) -> _Way | None:
    """A maximum over all positions."""
    is_global = way.left > 1 and call.out.numel() * way.left == call.source.numel()
    return replace(way, left=1, pooling="maximum") if is_global else None


_PRODUCTS = {
    aten.addmm: ("mat1", "mat2", "self"),
    aten.mm: ("self", "mat2", ""),
    aten.mv: ("self", "vec", ""),
    aten.bmm: ("self", "mat2", ""),
    aten.baddbmm: ("batch1", "batch2", "self"),
    aten.convolution: ("input", "weight", "bias"),
    quantized.linear: ("X", "W_prepack", ""),
    quantized.linear_dynamic: ("X", "W_prepack", ""),
}
"""What computes a linear layer, with the names of what it reads, of weights and of bias."""


def _multiplied(call: _Call, way: _Way) -> _Way | None:
    """A linear layer, or an average written as a product with equal numbers."""
    reads, weights, added = _PRODUCTS[call.operation]
    given, out = call.given, call.out
    matrix, bias = given[weights], given.get(added)
    if given[reads] is not call.source or call.varies(matrix):
        return None
    is_quantized = not isinstance(matrix, Tensor)
    if is_quantized:
        weight, bias = matrix.unpack()
        matrix = weight.dequantize().T
    elif call.operation is aten.convolution and matrix.shape[2:].numel() == 1:
        matrix = matrix.flatten(1).T
        bias = None if bias is None else bias.view(-1, *(1 for _side in out.shape[2:]))
    elif call.operation is aten.mv:
        matrix = matrix[:, None]
    elif matrix.dim() == 3 and len(matrix) == 1:
        matrix = matrix[0]
    factors = {given.get(name, 1) for name in ("alpha", "beta", "groups")}
    if matrix.dim() != 2 or factors != {1} or (out.dim() > 3 and out.shape[2:].numel() > 1):
        return None
    if way.left > 1 and matrix.shape == (way.left, 1):
        pooling = "average" if (matrix == matrix[0]).all() else "part"
        return replace(way, left=1, scale=way.scale * matrix.sum().item(), pooling=pooling)
    offset = None if bias is None else call.one_row(bias)
    if call.source.numel() != call.batch * len(matrix) or (offset is None and bias is not None):
        return None
    weight = matrix.T if way.scale == 1 else matrix.T * way.scale
    address = matrix.untyped_storage().data_ptr()
    linear = _Linear(weight, offset, address, call.module, out.dtype, is_quantized)
    pooling = "flattened" if way.left > 1 else way.pooling
    return replace(way, left=1, pooling=pooling, steps=(*way.steps, linear))


def _scaled(call: _Call, way: _Way) -> _Way | None:
    """A product with, or a quotient by, one number for all the values."""
    is_quotient, factor = call.operation in (aten.div, aten.div_), call.other
    if isinstance(factor, Tensor) and (factor.numel() > 1 or call.varies(factor)):
        return None
    if is_quotient and (factor is call.given["self"] or call.given.get("rounding_mode")):
        return None
    scaled, number = truediv if is_quotient else mul, float(factor)
    if not way.steps:
        return replace(way, scale=scaled(way.scale, number))
    *before, last = way.steps
    if isinstance(last, str):
        return None
    bias = None if last.bias is None else scaled(last.bias, number)
    last = replace(last, weight=scaled(last.weight, number), bias=bias)
    return replace(way, steps=(*before, last))


def _shifted(call: _Call, way: _Way) -> _Way | None:
    """A bias: something added to a linear layer's answer, the same for all images."""
    *before, last = way.steps or ("",)
    offset = call.one_row(call.other)
    if isinstance(last, str) or offset is None or call.given["alpha"] != 1:
        return None
    last = replace(last, bias=offset if last.bias is None else last.bias + offset)
    return replace(way, steps=(*before, last))


_Handler = Callable[[_Call, _Way], "_Way | None"]
_BEGINNINGS: dict[Any, _Handler] = {
    aten.view: _rearranged,
    aten._unsafe_view: _rearranged,
    aten.permute: _rearranged,
    aten.unsqueeze: _rearranged,
    aten.mean: _averaged,
    aten.sum: _averaged,
    aten.avg_pool2d: _pooled,
    aten._adaptive_avg_pool2d: _pooled,
    aten.amax: _maximum,
    aten.max: _maximum,
    aten.max_pool2d_with_indices: _maximum,
    aten.adaptive_max_pool2d: _maximum,
    aten.addmm: _multiplied,
    aten.mm: _multiplied,
}
"""Where a way worth following can begin; all other operations are let through untouched."""
_AVERAGES = (aten.mean, aten.sum, aten.avg_pool2d, aten._adaptive_avg_pool2d)
_HANDLERS: dict[Any, _Handler] = {
    **_BEGINNINGS,
    **dict.fromkeys(_PRODUCTS, _multiplied),
    **dict.fromkeys((aten.mul, aten.mul_, aten.div, aten.div_), _scaled),
    **dict.fromkeys((aten.add, aten.add_), _shifted),
}
"""What leaves a linear function of the averages; of all else, views and copies alone do."""


class _HeadTracer(OperationWatcher):
    """Follows what becomes of feature maps that are averaged while a model runs.

    A feature map is held only as long as something made from it is alive, so that memory stays
    that of a plain forward pass.
    """

    def __init__(self, model: nn.Module, batch: int) -> None:
        super().__init__()
        self.ways = WeakTensorKeyDictionary()
        self.is_certain = True  # that what is no part of the model plays no part in the way
        self._model = model
        self._batch = batch
        self._makers = WeakTensorKeyDictionary()
        self._rectified: weakref.ref[Tensor] | None = None
        self._running: list[nn.Module] = [model]
        self._last_layer: nn.Module | None = None
        self._is_in_place = True  # whether values lie where the last layer answered them

    @contextmanager
    def watching(self, after: nn.Module | None) -> Iterator[None]:
        """Watch a run, or what follows the answer of a module.

        It is remembered which module returned which tensor, the outermost one when several did.
        """

        def enter(module: nn.Module, _args: Any) -> None:
            self._running.append(module)

        def leave(module: nn.Module, _args: Any, output: Any) -> None:
            if self._running[-1] is module is not self._model:
                self._running.pop()
            self._last_layer, self._is_in_place = module, True
            if isinstance(output, Tensor):
                self._makers[output] = module

        with ExitStack() as stack:

            def begin(*answered: Any) -> None:
                stack.enter_context(register_module_forward_pre_hook(enter))
                stack.enter_context(register_module_forward_hook(leave))
                stack.enter_context(self)
                if answered:
                    handle.remove()
                    leave(*answered)

            if after is None:
                begin()
            else:
                handle = stack.enter_context(after.register_forward_hook(begin))
            yield

    def watch(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        """Follow one operation, if it has to do with a way or could begin one."""
        operation = func.overloadpacket
        if operation in (aten.relu, aten.relu_):
            self._rectified = weakref.ref(output)
        if len(self.ways) or operation in _BEGINNINGS:
            outputs = [value for value in tree_leaves(output) if isinstance(value, Tensor)]
            way = self._next(func, args, kwargs, outputs[0]) if outputs else None
            for tensor in outputs:
                self.ways.pop(tensor, None)
                if way is not None:
                    self.ways[tensor] = way
        keeps = operation in _COPIES or torch.Tag.pointwise in func.tags
        self._is_in_place &= keeps or _HANDLERS.get(operation) is _rearranged

    def _next(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor
    ) -> _Way | None:
        """The way to ``out``; ``None`` if it is nothing to follow."""
        operation, arguments = func.overloadpacket, func._schema.arguments
        given = {one.name: kwargs.get(one.name, one.default_value) for one in arguments}
        given |= dict(zip(given, args, strict=False))
        first = given.get("mat1", given.get("self"))
        source = next(filter(self._is_followed, tree_leaves((args, kwargs))), first)
        if not isinstance(source, Tensor):
            return None
        before = self.ways.get(source)
        begun = self._begun(operation, source, before)
        way = before if begun is None else begun
        if way is None:
            return None
        running = self._running[-1]
        call = _Call(func, given, source, out, self._batch, running, self._varies)
        further = _HANDLERS.get(operation, _rearranged)(call, way)
        grew_back = _has_extent(out) and out.numel() > source.numel()
        if further is not None or begun is not None or way.left > 1 or grew_back:
            return further  # a map that is put to another use is not followed
        return replace(way, steps=(*way.steps, _name_of(operation)))

    def _is_followed(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value in self.ways

    def _varies(self, value: Any) -> bool:
        """Whether a value comes from the images, as far as that was seen."""
        if not isinstance(value, Tensor) or value in self.ways:
            return isinstance(value, Tensor)
        address = value.untyped_storage().data_ptr()
        self.is_certain &= any(
            _holds(module, address) for module in (self._running[-1], *self._model.modules())
        )
        return False

    def _begun(self, operation: Any, source: Tensor, before: _Way | None) -> _Way | None:
        """A way that begins at a feature map, or where a linear layer reads something else."""
        averages = operation in _AVERAGES
        if operation not in _BEGINNINGS or source.shape[:1] != (self._batch,):
            return None
        if before is not None and (not averages or before.is_average):
            return None
        if operation in (aten.addmm, aten.mm):
            return _Way(None)
        # Pooling in one dimension lays a row of tokens out in two; a single one has no place.
        is_row = source.dim() == 3 and min(source.shape[1:]) > 1
        is_row &= averages or operation is aten.unsqueeze
        if not is_row and (source.dim() != 4 or not (averages or _has_extent(source))):
            return None
        maker = self._makers.get(source)
        return _Way(
            source,
            source.shape[2:].numel(),
            layer=self._last_layer if maker is None else maker,
            is_output=maker is not None,
            is_rectified=self._rectified is not None and self._rectified() is source,
            is_in_place=maker is not None or self._is_in_place,
        )


def _has_extent(maps: Tensor) -> bool:
    """Whether there is more than one value per channel."""
    return maps.dim() >= 4 and maps.shape[2:].numel() > 1


def _name_of(operation: Any) -> str:
    """What a reader calls the operation."""
    return re.sub("native_|_legit.*|_with_.*|_forward|_kernel", "", operation.__name__).strip("_")


# ------------------------------------------------------------------------------------- the answer

_ACTIVATIONS = {
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log_sigmoid", "log_softmax", "mish", "prelu", "relu", "rrelu", "sigmoid",
    "silu", "softmax", "softplus", "softshrink", "tanh", "threshold",
}  # fmt: skip


def _find_head(
    way: _Way | None,
    logits: Tensor,
    images: Tensor,
    names: Mapping[nn.Module, str],
    grid: tuple[int, int] | None,
) -> Head:
    """The features and the linear layer that made the logits; ``HeadError`` says why not."""
    steps = way.steps if way is not None and way.pooling == "average" else ()
    linear = steps[0] if len(steps) == 1 else None
    if way is None or way.features is None or not isinstance(linear, _Linear):
        raise HeadError(
            _(
                "{reason}: class activation maps need global average pooling followed by a "
                "single linear layer, and course_utils.gradient_maps approximates them where a "
                "layer keeps positions."
            ).format(reason=_why_not(way, names))
        )
    features = way.features
    layer = None if way.layer is None else names.get(way.layer)
    if features.dim() == 3 or grid is not None:
        features = _on_a_grid(features.flatten(2), images, grid)
    if features is images:
        layer, feature_layer = "", "images"
    elif layer is None:
        feature_layer = _("a function")
    elif way.is_output:
        feature_layer = layer
    else:
        feature_layer = _("after {layer}").format(layer=layer)
    return Head(
        features.dequantize() if features.is_quantized else features,
        linear.weight,
        linear.bias,
        feature_layer,
        _linear_name(linear, names),
        linear.dtype,
        linear.is_quantized,
        layer,
        way.is_in_place,
    )


def _on_a_grid(tokens: Tensor, images: Tensor, grid: tuple[int, int] | None) -> Tensor:
    """Tokens ``(B, K, N)`` as maps: on the grid told, or on one of the images' proportions."""
    # The next larger grid of these has 3 cells more at the least: none takes in a class's token.
    number, (height, width) = tokens.shape[2], images.shape[2:]
    side = math.isqrt(number * height // width)
    rows, columns = grid or (side, side * width // height)
    if rows * columns != number:
        raise HeadError(
            _(
                "The head averages {number} positions, and a grid of {rows}×{columns} has "
                "{cells}: say how they are laid out with grid=(rows, columns), unless some are "
                "tokens without a position, such as the class token."
            ).format(number=number, rows=rows, columns=columns, cells=rows * columns)
        )
    return tokens.reshape(*tokens.shape[:2], rows, columns)


def _linear_name(linear: _Linear, names: Mapping[nn.Module, str]) -> str:
    """The name of the layer that holds the weights; of several, of the one that ran."""
    modules = (linear.module, *names)
    holder = next((module for module in modules if _holds(module, linear.address)), linear.module)
    return names.get(holder, "linear")


def _holds(module: nn.Module, address: int) -> bool:
    """Whether weights or buffers of a module itself are at an address."""
    held = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return any(one.untyped_storage().data_ptr() == address for one in held)


def _why_not(way: _Way | None, names: Mapping[nn.Module, str]) -> str:
    """What the model's head is instead of average pooling and then one linear layer."""
    if way is None or way.left > 1:
        return _("No linear layer was seen to turn the averages of feature maps into logits")
    linears = [step for step in way.steps if isinstance(step, _Linear)]
    operations = [step for step in way.steps if isinstance(step, str)]
    after = way.steps[way.steps.index(linears[-1]) + 1 :] if linears else operations
    telling = [each for each in operations if "norm" in each or each in _ACTIVATIONS]
    operation = next(iter((*after, *telling, *operations)), "")
    linear, hidden, *_rest = *(_linear_name(one, names) for one in linears[::-1]), "", ""
    if not linears:
        if operations:
            why = _("The operation `{operation}` follows the pooling")
        elif way.pooling == "maximum":
            why = _("The model ends with a global maximum, and no linear layer after it")
        elif way.is_rectified:
            why = _(
                "The model averages after a ReLU, with no linear layer to follow (as in "
                "SqueezeNet), so no weights tie the features to the logits"
            )
        else:
            why = _(
                "No linear layer follows the pooling (maps that are pooled straight into logits "
                "are class maps already)"
            )
    elif after:
        why = _("The operation `{operation}` follows the linear layer `{linear}`")
    elif way.pooling == "flattened" and way.features is not None:
        why = _("The head reads the flattened {shape} map (as VGG's does) instead of its average")
    elif way.pooling == "maximum":
        why = _("The head reads the global maximum instead of the average")
    elif way.pooling == "part":
        why = _(
            "The average pooling before `{linear}` does not give every position of the map the "
            "same weight"
        )
    elif hidden:
        why = _("The hidden layer `{hidden}` stands before the last linear layer `{linear}`")
    elif "norm" in operation:
        why = _("The normalisation `{operation}` stands between the pooling and `{linear}`")
    elif telling:
        why = _("The activation `{operation}` stands between the pooling and `{linear}`")
    elif operations:
        why = _("The operation `{operation}` stands before `{linear}`")
    else:
        why = _("What `{linear}` reads is not the global average of a feature map")
    shape = () if way.features is None else way.features.shape[1:]
    return why.format(
        operation=operation, linear=linear, hidden=hidden, shape="x".join(map(str, shape))
    )
