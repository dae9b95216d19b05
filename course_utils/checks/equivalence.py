"""Pair the layers of two modules, and decide whether they then compute the same."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils.checks.building import run
from course_utils.checks.feedback import kind_of

__all__ = [
    "Pairing",
    "Signature",
    "Trace",
    "Wired",
    "close",
    "describe",
    "gradients",
    "layers_of",
    "paired",
    "randomise",
    "same_answers",
    "signature",
    "trace",
]

# float64 leaves about 1e-13 after a few dozen layers, float32 1e-5; a real difference is far above.
_TOLERANCES = {torch.float64: 1e-7, torch.float32: 1e-3}
# Eval mode, training mode, then eval mode with the running statistics that training left.
_MODES = (False, True, False)

Signature = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]
Pairing = list[tuple[nn.Module, nn.Module]]
"""Layers of the reference, each with the one of the reader's module that has its part."""


class Wired(nn.Module):
    """The layers of ``inner``, put together by another ``forward``: a mistake to recognise."""

    def __init__(self, inner: nn.Module, forward: Callable[..., Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.wiring = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.wiring(self.inner, x)


@dataclass(frozen=True)
class Trace:
    """What a module answered, and the weight layers that ran for it, in order.

    ``runs`` counts how often each ran; ``sources`` has, for a normalisation, the layer whose output
    it normalised, if there is one.
    """

    output: Tensor
    runs: Counter[nn.Module]
    sources: dict[nn.Module, nn.Module | None]


def _own_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers that belong to the module itself, not to its children."""
    return dict(
        itertools.chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
    )


def layers_of(module: nn.Module) -> dict[str, nn.Module]:
    """The modules that hold weights, by name, each once."""
    return {name: inner for name, inner in module.named_modules() if _own_state(inner)}


def _kind(layer: nn.Module) -> str:
    for known in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):  # a reader may subclass them
        if isinstance(layer, known):
            return known.__name__
    return str(getattr(layer, "original_name", kind_of(layer)))  # of a compiled layer


def signature(layer: nn.Module) -> Signature:
    """What two layers must share for the weights of one to fit the other."""
    shapes = tuple((name, tuple(value.shape)) for name, value in _own_state(layer).items())
    return _kind(layer), shapes


def describe(layer: nn.Module) -> str:
    """A layer in a few characters, for a message.

    >>> describe(nn.Conv2d(3, 8, 1)), describe(nn.BatchNorm2d(8)), describe(nn.Linear(8, 10))
    ('Conv2d 3→8, 1×1', 'BatchNorm2d(8)', 'Linear 8→10')
    >>> describe(nn.BatchNorm2d(8, affine=False))
    'BatchNorm2d(8, affine=False)'
    >>> describe(nn.GroupNorm(2, 8))
    'GroupNorm(weight, bias)'
    """
    if isinstance(layer, nn.Conv2d):
        height, width = layer.kernel_size
        return f"Conv2d {layer.in_channels}→{layer.out_channels}, {height}×{width}"
    if isinstance(layer, nn.BatchNorm2d):
        options = ("affine", "track_running_stats")
        without = "".join(f", {option}=False" for option in options if not getattr(layer, option))
        return f"BatchNorm2d({layer.num_features}{without})"
    if isinstance(layer, nn.Linear):
        without = ", bias=False" if layer.bias is None else ""
        return f"Linear {layer.in_features}→{layer.out_features}{without}"
    return f"{kind_of(layer)}({', '.join(_own_state(layer))})"


@torch.no_grad()
def trace(module: nn.Module, x: Tensor, label: str) -> Trace:
    """Run ``module`` on ``x`` and note every weight layer that runs.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    >>> seen = trace(net, torch.rand(2, 3, 5, 5), "net")
    >>> list(seen.runs) == list(net), seen.sources[net[1]] is net[0]
    (True, True)
    """
    layers = layers_of(module).values()
    if isinstance(module, torch.jit.ScriptModule):  # which takes no hook
        return Trace(run(module, x, label), Counter(layers), dict.fromkeys(layers))
    runs: Counter[nn.Module] = Counter()
    sources: dict[nn.Module, nn.Module | None] = {}
    givers: list[tuple[Tensor, nn.Module]] = []

    def note(layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        source = None
        if isinstance(layer, nn.BatchNorm2d) and inputs and isinstance(inputs[0], Tensor):
            read = inputs[0]
            source = next((giver for given, giver in givers if given is read), None) or next(
                (giver for given, giver in givers if torch.equal(given, read)), None
            )
        if isinstance(output, Tensor):
            givers.append((output, layer))
            runs[layer] += 1
            sources.setdefault(layer, source)

    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        return Trace(run(module, x, label), runs, sources)
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def randomise(module: nn.Module) -> nn.Module:
    """Give every weight and running statistic a random value, so that no mistake stays hidden.

    A fresh batch normalisation is close to the identity; one left out would go unnoticed.

    >>> bool((randomise(nn.BatchNorm2d(4)).running_var > 0).all())
    True
    """
    for layer in layers_of(module).values():
        if isinstance(layer, nn.BatchNorm2d):
            for value, low, high in (
                (layer.weight, 0.5, 1.5),
                (layer.bias, -0.5, 0.5),
                (layer.running_mean, -0.3, 0.3),
                (layer.running_var, 0.5, 2.0),
            ):
                if value is not None:
                    value.uniform_(low, high)
        else:
            for value in _own_state(layer).values():
                if value.is_floating_point():
                    fan_in = max(1, value[0].numel() if value.dim() > 1 else value.numel())
                    value.normal_(std=(2 / fan_in) ** 0.5)
    return module


def _pairing_by_source(reference: Trace, candidate: Trace) -> Pairing | None:
    """Pair layers that run in the same order; a normalisation with the one after the same layer.

    The shortcut may run before the main path or after it, so the order among normalisations of
    one size says nothing, but the layer that each one follows does.
    """
    groups: dict[Signature, list[nn.Module]] = {}
    following: dict[tuple[Signature, nn.Module], nn.Module] = {}
    for layer, source in candidate.sources.items():
        if source is not None:
            following[signature(layer), source] = layer
        else:
            groups.setdefault(signature(layer), []).append(layer)
    partner: dict[nn.Module, nn.Module] = {}
    for layer, source in reference.sources.items():
        if source is not None:
            found = following.pop((signature(layer), partner[source]), None)
        else:
            group = groups.get(signature(layer), [])
            found = group.pop(0) if group else None
        if found is None:
            return None
        partner[layer] = found
    return list(partner.items())


def _pairings(reference: Trace, candidate: Trace) -> Iterator[Pairing]:
    """The ways to put the reference's weights into the candidate, the likeliest first."""
    kinds = Counter(map(signature, reference.runs))
    if kinds != Counter(map(signature, candidate.runs)):
        return
    by_source = _pairing_by_source(reference, candidate)
    if by_source is not None:
        yield by_source
    # What a normalisation reads may have been changed on the way: the order alone, then.
    for_kind = {
        kind: [layer for layer in candidate.runs if signature(layer) == kind] for kind in kinds
    }
    yield [(layer, for_kind[signature(layer)].pop(0)) for layer in reference.runs]


@torch.no_grad()
def _responses(module: nn.Module, x: Tensor, label: str, training: Sequence[bool]) -> list[Tensor]:
    return [run(module.train(mode), x.clone(), label) for mode in training]


def _copied_state(module: nn.Module) -> dict[nn.Module, dict[str, Tensor]]:
    return {
        layer: {name: value.detach().clone() for name, value in _own_state(layer).items()}
        for layer in layers_of(module).values()
    }


@torch.no_grad()
def _give_state(pairing: Pairing, state: dict[nn.Module, dict[str, Tensor]]) -> None:
    for ours, theirs in pairing:
        values = _own_state(theirs)
        for name, value in state[ours].items():
            values[name].copy_(value)


def paired(
    reference: nn.Module,
    candidate: nn.Module,
    x: Tensor,
    label: str,
    training: Sequence[bool] = _MODES,
) -> Pairing | None:
    """The way to pair their layers that makes both answer alike, in training and in eval mode.

    Args:
        reference: the module to equal, with random weights (see :func:`randomise`).
        candidate: the module to judge, of the same type; its weights are overwritten.
        x: the input.
        label: what to call the candidate in feedback.
        training: the modes to compare in, one after the other.

    Returns:
        The pairs of layers, or ``None`` if there is no such way.

    >>> one = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).double()
    >>> two = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).double()
    >>> len(paired(one, two, torch.rand(4, 3).double(), "two"))
    2
    >>> paired(one, nn.Sequential(*two, nn.ReLU()), torch.randn(4, 3).double(), "three")
    """
    ours, theirs = trace(reference.eval(), x.clone(), label), trace(candidate.eval(), x, label)
    for pairing in _pairings(ours, theirs):
        if same_answers(reference, candidate, pairing, x, label, training):
            return pairing
    return None


def same_answers(
    reference: nn.Module,
    candidate: nn.Module,
    pairing: Pairing,
    x: Tensor,
    label: str,
    training: Sequence[bool] = _MODES,
) -> bool:
    """Whether both answer ``x`` alike, once the candidate has the reference's weights."""
    state = _copied_state(reference)
    _give_state(pairing, state)
    try:
        wanted = _responses(reference, x, label, training)
        return all(map(close, _responses(candidate, x, label, training), wanted))
    finally:
        _give_state([(layer, layer) for layer in state], state)


def close(one: Tensor, other: Tensor) -> bool:
    """Whether ``one`` is ``other`` up to rounding."""
    room = _TOLERANCES.get(other.dtype, 1e-3)
    return one.shape == other.shape and torch.allclose(one.to(other), other, rtol=room, atol=room)


def gradients(
    module: nn.Module, x: Tensor, layers: Sequence[nn.Module], weights: Tensor
) -> list[Tensor | None]:
    """Of the sum of what a module gives in training mode, times ``weights``, the gradients.

    First that of the input, then those of the parameters of ``layers``; ``None`` where none
    arrives.
    """
    x = x.clone().requires_grad_()
    values = [x, *(value for layer in layers for value in layer.parameters(recurse=False))]
    output = module.train()(x)
    reached = [value for value in values if value.requires_grad and output.requires_grad]
    if not reached:
        return [None] * len(values)
    found = torch.autograd.grad((output * weights).sum(), reached, allow_unused=True)
    by_value = dict(zip(reached, found, strict=True))
    return [by_value.get(value) for value in values]
