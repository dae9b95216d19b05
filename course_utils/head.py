"""Find the global average pooling and the linear layer that end a network, by following a run.

What counts is what the network does with the reader's own input, not what its layers are called:
every torch function called during one forward pass is seen, and from the moment a feature map is
pooled, what becomes of it is followed to the logits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

from course_utils.i18n import _

__all__ = ["Head", "run_to_head"]

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Head:
    """Global average pooling of ``features``, then one linear layer."""

    features: Tensor  # (B, K, h, w)
    weight: Tensor  # (C, K)
    bias: Tensor | None  # (C,)
    feature_layer: str
    linear_layer: str
    dtype: torch.dtype  # in which the linear layer answered


def run_to_head(model: nn.Module, images: Tensor) -> tuple[Tensor, Head]:
    """Run ``model`` once and say what was pooled, and by which linear layer it was read.

    Args:
        model: a classifier, in evaluation mode.
        images: ``(B, C_in, H, W)``.

    Returns:
        The model's output, ``B * C`` values, and its head.

    Raises:
        ValueError: the head is not global average pooling then one linear layer (dropout that is
            off and reshaping may stand between); the sentence says what it is instead.

    >>> net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Linear(3, 2))
    >>> run_to_head(net, torch.rand(1, 3, 4, 4))
    Traceback (most recent call last):
        ...
    ValueError: The activation `relu` stands between the pooling and `3`: class activation maps ...
    """
    tracer = _HeadTracer()
    with tracer.watching_modules(), tracer:
        output = model(images)
    names = {module: name for name, module in model.named_modules() if name}
    return output, _find_head(tracer, output, images, names)


@dataclass(eq=False, slots=True)
class _Step:
    """One step on the way from a feature map to the logits.

    ``kind`` is ``"average"`` (global average pooling), ``"part"`` (an average over only a part of
    the map), ``"maximum"`` (global max pooling), ``"spread"`` (a map reshaped or partly averaged,
    still to be averaged), ``"flattened"`` (a whole map laid out as a vector), ``"linear"`` or
    ``"other"``.
    """

    kind: str
    name: str
    parent: _Step | None = None
    features: Tensor | None = None  # (B, K, h, w), for all but "linear" and "other"
    layer: nn.Module | None = None  # the module that had run last when the features were pooled
    is_output: bool = False  # whether that module returned the features themselves
    rectified: bool = False  # whether the features came straight out of an activation
    weight: Tensor | None = None  # (C, K), for "linear"
    bias: Tensor | None = None  # (C,), for "linear"
    dtype: torch.dtype | None = None  # of the answer, for "linear"


_ACTIVATIONS = {
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu",
    "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh", "threshold",
}  # fmt: skip
_AVERAGES = {F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d, F.avg_pool2d}
_MEANS = {torch.mean, Tensor.mean}
_MAXIMA = {
    F.adaptive_max_pool2d, F.max_pool2d, torch.amax, Tensor.amax, torch.max, Tensor.max,
}  # fmt: skip
_RESHAPES = {torch.flatten, Tensor.flatten, torch.reshape, Tensor.reshape, Tensor.view}
_DROPOUTS = {
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    torch.dropout,
}  # fmt: skip
# What changes neither the values (casts round them) nor the order they are stored in.
_UNCHANGED = _RESHAPES | {
    torch.squeeze, Tensor.squeeze, torch.unsqueeze, Tensor.unsqueeze, Tensor.view_as,
    Tensor.reshape_as, Tensor.contiguous, torch.clone, Tensor.clone, torch.detach, Tensor.detach,
    Tensor.to, Tensor.float, Tensor.double, Tensor.half, Tensor.bfloat16, Tensor.type,
    Tensor.type_as, Tensor.cpu, Tensor.cuda,
}  # fmt: skip
_RECTIFIERS = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
# Where a way worth following can begin; all other functions are let through untouched.
_BEGINNINGS = _AVERAGES | _MEANS | _MAXIMA | _RESHAPES | {F.linear}


class _ByTensor(Generic[Value]):
    """Values kept with tensors, by identity, and forgotten when the tensors are."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[weakref.ref[Tensor], Value]] = {}

    def get(self, key: Any) -> Value | None:
        entry = self.entries.get(id(key))
        return entry[1] if entry is not None and entry[0]() is key else None

    def set(self, key: Tensor, value: Value | None) -> None:
        """Keep ``value`` with ``key``; ``None`` forgets what was kept."""
        entries, number = self.entries, id(key)
        if value is None:
            entries.pop(number, None)
        else:
            entries[number] = (weakref.ref(key, lambda _gone: entries.pop(number, None)), value)


class _HeadTracer(TorchFunctionMode):
    """Follows what becomes of pooled feature maps while a model runs.

    A feature map is held only as long as something pooled from it is alive, so that memory stays
    that of a plain forward pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps: _ByTensor[_Step] = _ByTensor()
        self._makers: _ByTensor[nn.Module] = _ByTensor()
        self._rectified: weakref.ref[Tensor] | None = None
        self._last_layer: nn.Module | None = None

    @contextmanager
    def watching_modules(self) -> Iterator[None]:
        """Remember which module returned which tensor, the outermost one when several did."""

        def remember(module: nn.Module, _args: Any, output: Any) -> None:
            self._last_layer = module
            if isinstance(output, Tensor):
                self._makers.set(output, module)

        handle = register_module_forward_hook(remember)
        try:
            yield
        finally:
            handle.remove()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if func in _RECTIFIERS:
            self._rectified = weakref.ref(output)
        if self.steps.entries or func in _BEGINNINGS:
            made = args[0] if func is Tensor.__setitem__ else output
            tensors = made if isinstance(made, tuple | list) else (made,)
            if tensors and isinstance(tensors[0], Tensor):
                step = self._next_step(func, args, kwargs, tensors[0])
                for tensor in tensors:
                    self.steps.set(tensor, step)
        return output

    def _next_step(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor
    ) -> _Step | None:
        """The step that made ``out``; ``None`` if it is nothing to follow."""
        source = args[0] if args else kwargs.get("input")
        step = self.steps.get(source)
        if isinstance(source, Tensor):
            begun = self._begin(func, args, kwargs, source, step, out)
            if begun is not None:
                return begun
        origin: Any = next(filter(self.steps.get, _inputs(args, kwargs)), None)
        parent = self.steps.get(origin)
        if parent is not None and parent.kind == "spread":
            parent = None  # a map put to other uses
        if func is F.linear and (parent is not None or out.dim() <= 2):
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            offset = args[2] if len(args) > 2 else kwargs.get("bias")
            return _Step("linear", "linear", parent, weight=weight, bias=offset, dtype=out.dtype)
        if parent is None or _grew_back(out, origin):
            return None
        if origin is source and _leaves_values(func, args, kwargs, source, out):
            return parent
        return _Step("other", _name_of(func), parent)

    def _begin(
        self,
        func: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        source: Tensor,
        step: _Step | None,
        out: Tensor,
    ) -> _Step | None:
        """The step with which a feature map is pooled or laid out, if this is one."""
        if step is not None and step.kind == "average" and out.shape[2:].numel() == 1:
            pooled_again = func in _AVERAGES or (func in _MEANS and out.numel() == source.numel())
            if pooled_again:
                return step  # the average of one value
        spread = step if step is not None and step.kind == "spread" else None
        if func in _MEANS:
            return self._begin_mean(args, kwargs, source, spread, out)
        if source.dim() == 4 and not _has_extent(out) and out.dim() == 4:
            if func in _AVERAGES:
                kind = "average" if _covers(func, args, kwargs, source) else "part"
                return self._pooled(kind, source)
            if func in _MAXIMA:
                return self._pooled("maximum", source)
        features = source if spread is None else spread.features
        if features is None or features.dim() != 4:
            return None
        if func in _MAXIMA and out.shape == features.shape[:2]:
            return self._pooled("maximum", features)
        if func in _RESHAPES and features.shape[2:].numel() > 1:
            if out.dim() == 3 and out.shape[:2] == features.shape[:2]:
                return spread or self._pooled("spread", features)  # (B, K, h * w)
            if out.dim() <= 2 and out.numel() == features.numel():
                return self._pooled("flattened", features)
        return None

    def _begin_mean(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        source: Tensor,
        spread: _Step | None,
        out: Tensor,
    ) -> _Step | None:
        """A mean over positions, whole or one dimension at a time."""
        dim = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
        if dim is None or not (source.dim() == 4 or spread is not None):
            return None
        dims = {d % source.dim() for d in ((dim,) if isinstance(dim, int) else dim)}
        if dims == {1, 2} and source.dim() == 4 and spread is None:
            return self._pooled("average", source.movedim(-1, 1), made_by=source)  # (B, h, w, K)
        if not dims or min(dims) < 2:
            return None
        features = source if spread is None else spread.features
        assert features is not None  # a spread step always holds its map
        if out.shape[2:].numel() == 1:
            return (
                self._pooled("average", features)
                if spread is None
                else replace(spread, kind="average")
            )
        return spread or self._pooled("spread", features)

    def _pooled(self, kind: str, features: Tensor, made_by: Tensor | None = None) -> _Step:
        """A first step, from ``features`` ``(B, K, h, w)``."""
        original = features if made_by is None else made_by
        maker = self._makers.get(original)
        return _Step(
            kind,
            "pooling",
            features=features,
            layer=self._last_layer if maker is None else maker,
            is_output=maker is not None,
            rectified=self._rectified is not None and self._rectified() is original,
        )


def _inputs(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """The arguments of a call, lists of tensors unpacked."""
    for value in (*args, *kwargs.values()):
        yield from value if isinstance(value, list | tuple) else (value,)


def _grew_back(out: Tensor, origin: Tensor) -> bool:
    """Whether pooled values have been spread over a map, as a gate on channels does."""
    return _has_extent(out) and out.numel() > origin.numel()


def _has_extent(out: Tensor) -> bool:
    """Whether the tensor is still a map: more than one value a channel."""
    return out.dim() >= 4 and out.shape[2:].numel() != 1


def _argument(
    args: Sequence[Any], kwargs: Mapping[str, Any], position: int, name: str, default: Any
) -> Any:
    """An argument that may have been given by position or by name."""
    return args[position] if len(args) > position else kwargs.get(name, default)


def _covers(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], source: Tensor
) -> bool:
    """Whether an average pooling to one value counts every position once."""
    if func is not F.avg_pool2d:
        return True  # adaptive
    kernel = _argument(args, kwargs, 1, "kernel_size", None)
    padding = _argument(args, kwargs, 3, "padding", 0)
    divisor = _argument(args, kwargs, 6, "divisor_override", None)
    sides = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
    return sides * (2 // len(sides)) == source.shape[2:] and padding in (0, (0, 0)) and not divisor


def _leaves_values(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    source: Any,
    out: Tensor,
) -> bool:
    """Whether ``out`` holds the values of ``source`` in the same order."""
    if out.numel() != source.numel():
        return False
    if func in _DROPOUTS:
        name = "train" if func is torch.dropout else "training"
        return not _argument(args, kwargs, 2, name, True)
    if func is Tensor.__getitem__:
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return all(i is None or i is ... or isinstance(i, int | slice) for i in index)
    return func in _UNCHANGED


def _name_of(func: Callable[..., Any]) -> str:
    """What a reader calls the operation."""
    return str(getattr(func, "__name__", func)).strip("_")


def _find_head(
    tracer: _HeadTracer, output: Any, images: Tensor, names: Mapping[nn.Module, str]
) -> Head:
    """The features and the linear layer that made ``output``; ``ValueError`` says why not."""
    last = tracer.steps.get(output)
    if last is None or last.kind != "linear" or last.parent is None:
        raise ValueError(_why_not(output, last, names))
    pooling, weight = last.parent, last.weight
    if pooling.kind != "average" or pooling.features is None or weight is None:
        raise ValueError(_why_not(output, last, names))
    features = pooling.features
    if (
        features.shape[:2] != (len(images), weight.shape[1])
        or output.numel() != len(images) * weight.shape[0]
    ):
        raise ValueError(
            _(
                "The model pools features of shape {features} and answers {output} for {images} "
                "images: expected one row of pooled features and one row of logits for each image."
            ).format(features=tuple(features.shape), output=tuple(output.shape), images=len(images))
        )
    if features is images:
        feature_layer = "images"
    elif pooling.layer is None or pooling.layer not in names:
        feature_layer = _("a function")
    elif pooling.is_output:
        feature_layer = names[pooling.layer]
    else:
        feature_layer = _("after {layer}").format(layer=names[pooling.layer])
    linear_layer = _linear_name(last, names)
    dtype = last.dtype or features.dtype
    return Head(features, weight, last.bias, feature_layer, linear_layer, dtype)


def _linear_name(step: _Step, names: Mapping[nn.Module, str]) -> str:
    """The name of the linear layer that holds the weights of ``step``."""
    alike = []
    shape = None if step.weight is None else tuple(step.weight.shape)
    for module, name in names.items():
        # Parametrised weights are computed anew at each access: those are told by their shape.
        if step.weight is not None and module._parameters.get("weight") is step.weight:
            return name
        if isinstance(module, nn.Linear) and (module.out_features, module.in_features) == shape:
            alike.append(name)
    return alike[0] if len(alike) == 1 else "linear"


def _why_not(output: Any, last: _Step | None, names: Mapping[nn.Module, str]) -> str:
    """One sentence that says why the model's head is not average pooling then linear."""
    needed = _("class activation maps need global average pooling and then one linear layer")
    if not isinstance(output, Tensor):
        return _("The model answers a {type}, not a tensor of logits: {needed}.").format(
            type=type(output).__name__, needed=needed
        )
    way = []  # from the output back to where it began
    step = last
    while step is not None:
        way.append(step)
        step = step.parent
    linears = [step for step in way if step.kind == "linear"]
    if not way or not linears:
        return _why_no_linear(way, needed)
    if way[0].kind != "linear":
        return _(
            "The operation `{operation}` follows the linear layer `{linear}`, so the model does "
            "not return logits: {needed}, with nothing after it."
        ).format(operation=way[0].name, linear=_linear_name(linears[0], names), needed=needed)
    return _why_wrong_head(linears, way[1:], names, needed)


def _why_no_linear(way: Sequence[_Step], needed: str) -> str:
    """The sentence for an output that no linear layer made."""
    start = way[-1] if way else None
    if start is not None and start.kind == "maximum":
        return _(
            "The model ends in global max pooling without a linear layer after it: {needed}."
        ).format(needed=needed)
    if start is not None and start.kind in ("average", "part") and start.rectified:
        return _(
            "The model pools after a ReLU and no linear layer follows (as SqueezeNet does), so no "
            "weights tie the features to the logits: {needed}."
        ).format(needed=needed)
    if start is not None and start.kind in ("average", "part"):
        return _(
            "No linear layer follows the pooling: {needed} (maps that are pooled straight into "
            "logits are class maps already)."
        ).format(needed=needed)
    return _("The model's output does not come from a linear layer: {needed}.").format(
        needed=needed
    )


def _why_wrong_head(
    linears: Sequence[_Step], before: Sequence[_Step], names: Mapping[nn.Module, str], needed: str
) -> str:
    """The sentence for an output that a linear layer made, but not from pooled features alone."""
    values = {"linear": _linear_name(linears[0], names), "needed": needed}
    start = before[-1] if before else None
    if start is not None and start.kind == "flattened" and start.features is not None:
        return _(
            "The head reads the flattened {shape} map (as VGG's does) instead of its average: "
            "{needed}."
        ).format(shape="x".join(map(str, start.features.shape[1:])), **values)
    if start is not None and start.kind == "maximum":
        return _("The head reads global max pooling instead of the average: {needed}.").format(
            **values
        )
    if start is not None and start.kind == "part":
        return _(
            "The average pooling before `{linear}` does not count every position of the map once: "
            "{needed}."
        ).format(**values)
    if len(linears) > 1:
        return _(
            "The hidden layer `{hidden}` stands before the last linear layer `{linear}`: {needed}, "
            "with no other layer between."
        ).format(hidden=_linear_name(linears[1], names), **values)
    operations = [step.name for step in before if step.kind == "other"]
    for operation in operations:
        if "norm" in operation:
            return _(
                "The normalisation `{operation}` stands between the pooling and `{linear}`: "
                "{needed}, with nothing between."
            ).format(operation=operation, **values)
    for operation in operations:
        if operation in _ACTIVATIONS:
            return _(
                "The activation `{operation}` stands between the pooling and `{linear}`: {needed}, "
                "with nothing between."
            ).format(operation=operation, **values)
    if operations:
        return _(
            "The operation `{operation}` stands before `{linear}`: {needed}, with nothing between."
        ).format(operation=operations[-1], **values)
    return _("What `{linear}` reads is not the global average of a feature map: {needed}.").format(
        **values
    )
