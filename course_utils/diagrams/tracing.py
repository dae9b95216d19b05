"""What a module does, seen by running it: its operators, their shapes, who reads from whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_utils.i18n import _
from course_utils.inference import evaluating
from course_utils.models.counting import count_parameters

__all__ = ["Graph", "Operator", "describe_module", "first_of", "image_for", "trace"]

Kind = TypeVar("Kind", bound=nn.Module)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# What changes a tensor's place or type but none of its numbers is no operator of the drawing.
SILENT = {"contiguous", "detach", "clone", "to", "float", "requires_grad_", "alias"}


@dataclass
class Operator:
    """One box of a drawing.

    Attributes:
        role: one of ``style.ROLES``.
        lines: what is written in the box.
        shape: of what comes out, without the batch.
        parameters: number of them that the operator holds.
        reads: places in the graph of the operators whose answers it reads.
    """

    role: str
    lines: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int = 0
    reads: list[int] = field(default_factory=list)


Graph = list[Operator]
"""Operators in the order in which they ran; the inputs come first, the output is last."""


def _functions() -> dict[str, tuple[str, str]]:
    """Role of each of torch's functions, and what is written in its box."""
    return {
        "add": ("addition", "+"),
        "iadd": ("addition", "+"),
        "radd": ("addition", "+"),
        "cat": ("concatenation", "concat"),
        "concat": ("concatenation", "concat"),
        "concatenate": ("concatenation", "concat"),
        "relu": ("activation", "ReLU"),
        "gelu": ("activation", "GELU"),
        "silu": ("activation", "SiLU"),
        "sigmoid": ("activation", _("sigmoid")),
        "tanh": ("activation", "tanh"),
        "softmax": ("activation", "softmax"),
        "leaky_relu": ("activation", "leaky ReLU"),
        "batch_norm": ("normalisation", "BN"),
        "conv2d": ("convolution", "conv"),
        "linear": ("linear", _("linear")),
        "avg_pool2d": ("pooling", _("avg pool")),
        "max_pool2d": ("pooling", _("max pool")),
        "boolean_dispatch": ("pooling", _("max pool")),
        "adaptive_avg_pool2d": ("pooling", _("avg pool")),
        "mean": ("pooling", _("mean")),
        "amax": ("pooling", "max"),
        "mul": ("other", "×"),
        "sub": ("other", "−"),
        "flatten": ("other", _("flatten")),
        "view": ("other", _("reshape")),
        "reshape": ("other", _("reshape")),
        "pad": ("other", _("pad 0")),
        "getitem": ("other", _("slice")),
    }


def describe_module(module: nn.Module) -> tuple[str, tuple[str, ...]]:
    """Role and lines of one of torch's modules.

    >>> describe_module(nn.Conv2d(16, 32, 3, stride=2, padding=1))
    ('convolution', ('conv 3×3', 'stride 2'))
    """
    name = type(module).__name__
    pool = _("avg pool") if "Avg" in name else _("max pool")
    match module:
        case nn.Conv2d():
            return "convolution", tuple(_lines_of(module))
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return "normalisation", ("BN",)
        case nn.GroupNorm() | nn.LayerNorm() | nn.InstanceNorm2d():
            return "normalisation", (name.removesuffix("2d"),)
        case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
            return "pooling", ("GAP",)
        case nn.AdaptiveMaxPool2d(output_size=1 | (1, 1)):
            return "pooling", ("GMP",)
        case nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d():
            return "pooling", (pool,)
        case nn.AvgPool2d() | nn.MaxPool2d():
            return "pooling", (f"{pool} {_times(module.kernel_size)}",)
        case nn.Linear():
            return "linear", (_("linear"),)
        case nn.Flatten():
            return "other", (_("flatten"),)
        case nn.Dropout() | nn.Dropout2d():
            return "other", (name.lower(),)
    is_activation = type(module).__module__ == "torch.nn.modules.activation"
    return "activation" if is_activation else "other", (name,)


def _times(sides: int | tuple[int, ...]) -> str:
    return "×".join(map(str, (sides, sides) if isinstance(sides, int) else sides))


def _lines_of(conv: nn.Conv2d) -> Iterator[str]:
    yield f"conv {_times(conv.kernel_size)}"
    for sides, text in ((conv.stride, _("stride {n}")), (conv.dilation, _("dilation {n}"))):
        if set(sides) != {1}:
            yield text.format(n=sides[0] if len(set(sides)) == 1 else _times(sides))
    if conv.groups > 1:
        yield _("groups {n}").format(n=conv.groups)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)


class _Recorder(TorchFunctionMode):
    """Notes every call that makes a tensor out of tensors already seen."""

    def __init__(self, whole: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self.whole = whole
        self.graph: Graph = []
        self.makers: dict[int, int] = {}  # id of a tensor: place of the operator that made it
        self.kept: list[Tensor] = []  # an id stays the tensor's own while the tensor lives
        self.within = 0  # modules drawn as one box that are running now

    def note(
        self, role: str, lines: tuple[str, ...], inputs: Any, output: Tensor, parameters: int = 0
    ) -> None:
        reads = [self.makers[id(one)] for one in _tensors(inputs) if id(one) in self.makers]
        if self.graph and not reads:
            return  # made of weights alone
        self.add(Operator(role, lines, tuple(output.shape[1:]), parameters, reads), output)

    def add(self, operator: Operator, output: Tensor) -> None:
        self.graph.append(operator)
        self.kept.append(output)
        self.makers[id(output)] = len(self.graph) - 1

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self.within or not isinstance(output, Tensor):
            return output
        name = getattr(func, "__name__", "").strip("_").removesuffix("_")
        inputs = (args, kwargs or {})
        known = [one for one in _tensors(inputs) if id(one) in self.makers]
        if name in SILENT and known:
            self.kept.append(output)
            self.makers[id(output)] = self.makers[id(known[0])]
        elif name != "get" and known:
            role, text = _functions().get(name, ("other", name.replace("_", " ")))
            if role == "addition" and len(known) < 2:
                role = "other"  # of a constant: nothing meets
            self.note(role, (text,), inputs, output)
        return output

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        self.within += self.whole(module)

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not self.whole(module):
            return
        self.within -= 1
        # An identity is no operator: whoever reads its answer reads what it was given.
        if not self.within and isinstance(output, Tensor) and not isinstance(module, nn.Identity):
            role, lines = describe_module(module)
            self.note(role, lines, inputs, output, count_parameters(module))


def trace(
    module: nn.Module, *inputs: Any, whole: Callable[[nn.Module], bool] | None = None
) -> Graph:
    """Run ``module`` once, in eval mode, and note each operator on the way.

    Args:
        module: any module that answers with one tensor.
        inputs: what it takes: tensors ``(B, …)``, or lists of tensors.
        whole: which modules become one operator; torch's own by default.

    Returns:
        The inputs (role ``"data"``), then the operators that the answer depends on.

    Raises:
        TypeError: ``module`` is no module, or no input is a tensor.
        ValueError: the answer is not one tensor, or does not depend on the inputs.

    >>> import torch
    >>> block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> [operator.lines[0] for operator in trace(block, torch.zeros(1, 3, 8, 8))]
    ['$x$', 'conv 3×3', 'ReLU']
    """
    if not isinstance(module, nn.Module):
        raise TypeError(
            _(
                "Only a module that has been built can be drawn, such as MyBlock(16); this is "
                "{kind}."
            ).format(kind=type(module).__name__)
        )
    given = list(_tensors(inputs))
    if not given:
        raise TypeError(
            _(
                "A module is run in order to be drawn: give it an input as well, such as "
                "torch.zeros(1, 16, 8, 8)."
            )
        )
    recorder = _Recorder(whole or _is_torchs)
    for place, tensor in enumerate(given):
        name = "$x$" if len(given) == 1 else f"$x_{{{place}}}$"
        recorder.add(Operator("data", (name,), tuple(tensor.shape[1:])), tensor)
    inner = [one for one in module.modules() if one is not module or recorder.whole(one)]
    hooks = [one.register_forward_pre_hook(recorder.enter) for one in inner]
    hooks += [one.register_forward_hook(recorder.leave) for one in inner]
    try:
        with evaluating(module), recorder:
            output = module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(output, Tensor):
        raise ValueError(
            _(
                "Only a module that returns one tensor can be drawn, and this one returns {kind}."
            ).format(kind=type(output).__name__)
        )
    if recorder.makers.get(id(output), 0) < len(given):
        raise ValueError(
            _(
                "There is nothing to draw: the output of this module is its input, or does not "
                "depend on it."
            )
        )
    return _needed(recorder.graph, recorder.makers[id(output)], len(given))


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn") and not isinstance(module, CONTAINERS)


def first_of(kind: type[Kind], module: nn.Module) -> Kind:
    """The first part of ``module`` of this kind, or itself."""
    return next(one for one in module.modules() if isinstance(one, kind))


def image_for(module: nn.Module, side: int) -> Tensor:
    """An input for ``module``, with as many maps as its first convolution reads."""
    return torch.zeros(1, first_of(nn.Conv2d, module).in_channels, side, side)


def _needed(graph: Graph, last: int, n_inputs: int) -> Graph:
    """The part of ``graph`` that ``last`` depends on, and the inputs, in order."""
    wanted, todo = set(range(n_inputs)), [last]
    while todo:
        place = todo.pop()
        if place not in wanted:
            wanted.add(place)
            todo += graph[place].reads
    order = sorted(wanted)
    where = {old: new for new, old in enumerate(order)}
    kept = [graph[old] for old in order]
    for operator in kept:
        operator.reads = [where[old] for old in operator.reads]
    return kept
