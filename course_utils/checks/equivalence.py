"""Decide whether a reader's module computes what a reference does, and if not, say what differs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_utils.checks.feedback import is_blank, kind_of, reject, unfilled
from course_utils.i18n import _

__all__ = [
    "Call",
    "Mistake",
    "Trace",
    "Wired",
    "describe",
    "is_equal",
    "randomise",
    "require_differentiable",
    "require_equal",
    "require_input_kept",
    "require_logits",
    "require_same_shape",
    "run",
    "trace",
]

# A block has a handful of layers of one shape, and all pairings are tried. A whole net has too
# many, and its layers are paired by the order they run in.
_MOST_PAIRINGS = 48
_ARRANGEMENT = ("stride", "padding", "dilation", "groups", "padding_mode", "eps", "momentum")
# float64 leaves about 1e-13 after a few dozen layers; a real difference is far above this.
_TOLERANCE = 1e-7
# Eval mode, training mode, then eval mode with the running statistics that training left.
_MODES = (False, True, False)

Signature = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]
Pairing = list[tuple[nn.Module, nn.Module]]


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer, as a module that makes it, and what to say to who made it.

    Args:
        make: builds the wrong module, from the same arguments as the reference.
        message: what is wrong, in the reader's language.
        hint: where to look.
    """

    make: Callable[[], nn.Module]
    message: str
    hint: str | None = None


class Wired(nn.Module):
    """The layers of ``inner``, put together by another ``forward``: a mistake to recognise."""

    def __init__(self, inner: nn.Module, forward: Callable[..., Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.wiring = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.wiring(self.inner, x)


@dataclass(frozen=True)
class Call:
    """One run of a layer with weights: the layer, the size of the map that it gave, its source.

    ``source`` is known for a normalisation only: the layer whose output it normalises, if any.
    """

    layer: nn.Module
    shape: tuple[int, ...]
    source: nn.Module | None


@dataclass(frozen=True)
class Trace:
    """What a module answered, and the layers that ran for it, in order."""

    output: Tensor
    calls: list[Call]


def _own_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers that belong to the module itself, not to its children."""
    return dict(
        itertools.chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
    )


def _layers(module: nn.Module) -> dict[str, nn.Module]:
    """The modules that hold weights, by name, each once."""
    return {name: inner for name, inner in module.named_modules() if _own_state(inner)}


def _kind(layer: nn.Module) -> str:
    for known in (nn.Conv2d, nn.BatchNorm2d, nn.Linear):  # a reader may subclass them
        if isinstance(layer, known):
            return known.__name__
    return kind_of(layer)


def _signature(layer: nn.Module) -> Signature:
    """What two layers must share for the weights of one to fit the other."""
    shapes = tuple((name, tuple(value.shape)) for name, value in _own_state(layer).items())
    return _kind(layer), shapes


def describe(layer: nn.Module) -> str:
    """A layer in a few characters, for a message.

    >>> describe(nn.Conv2d(3, 8, 1)), describe(nn.BatchNorm2d(8)), describe(nn.Linear(8, 10))
    ('Conv2d 3→8, 1×1', 'BatchNorm2d(8)', 'Linear 8→10')
    >>> describe(nn.GroupNorm(2, 8))
    'GroupNorm(weight, bias)'
    """
    if isinstance(layer, nn.Conv2d):
        height, width = layer.kernel_size
        return f"Conv2d {layer.in_channels}→{layer.out_channels}, {height}×{width}"
    if isinstance(layer, nn.BatchNorm2d):
        return f"BatchNorm2d({layer.num_features})"
    if isinstance(layer, nn.Linear):
        return f"Linear {layer.in_features}→{layer.out_features}"
    return f"{kind_of(layer)}({', '.join(_own_state(layer))})"


def run(module: Callable[[Tensor], object], x: Tensor, label: str) -> Tensor:
    """What a module or function answers to ``x``; ends the check if it is blank or no tensor.

    >>> run(nn.ReLU(), torch.tensor([-1.0, 2.0]), "relu")
    tensor([0., 2.])
    """
    output = module(x)
    if is_blank(output):
        unfilled(label)
    if not isinstance(output, Tensor):
        reject(
            _("`{label}` answers with a `{kind}`; a tensor is expected.").format(
                label=label, kind=kind_of(output)
            ),
            _("Look at what your code returns."),
        )
    return output


@torch.no_grad()
def trace(module: nn.Module, x: Tensor, label: str) -> Trace:
    """Run ``module`` on ``x`` and note every layer with weights that runs.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    >>> calls = trace(net, torch.rand(2, 3, 5, 5), "net").calls
    >>> [call.shape for call in calls], calls[1].source is net[0]
    ([(2, 8, 3, 3), (2, 8, 3, 3)], True)
    """
    calls: list[Call] = []
    givers: list[tuple[Tensor, nn.Module]] = []  # holds the tensors, so that none is recycled

    def note(layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        source = None
        if isinstance(layer, nn.BatchNorm2d) and inputs:
            source = next((giver for given, giver in givers if given is inputs[0]), None)
        if isinstance(output, Tensor):
            givers.append((output, layer))
            calls.append(Call(layer, tuple(output.shape), source))

    hooks = [layer.register_forward_hook(note) for layer in _layers(module).values()]
    try:
        return Trace(run(module, x, label), calls)
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
    for layer in _layers(module).values():
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


def _first_calls(calls: Sequence[Call]) -> list[Call]:
    first: dict[nn.Module, Call] = {}
    for call in calls:
        first.setdefault(call.layer, call)
    return list(first.values())


def _pairing_by_run(reference: Trace, candidate: Trace) -> Pairing | None:
    """Pair layers that run in the same order; a normalisation with the one after the same layer.

    The shortcut may run before the main path or after it, so the order among normalisations of
    one size says nothing, but the layer that each one follows does.
    """
    groups: dict[Signature, list[nn.Module]] = {}
    following: dict[tuple[Signature, nn.Module], nn.Module] = {}
    for call in _first_calls(candidate.calls):
        signature = _signature(call.layer)
        if call.source is not None:
            following[signature, call.source] = call.layer
        else:
            groups.setdefault(signature, []).append(call.layer)
    partner: dict[nn.Module, nn.Module] = {}
    for call in _first_calls(reference.calls):
        signature = _signature(call.layer)
        if call.source is not None:
            source = partner.get(call.source)
            found = None if source is None else following.pop((signature, source), None)
        else:
            group = groups.get(signature, [])
            found = group.pop(0) if group else None
        if found is None:
            return None
        partner[call.layer] = found
    return list(partner.items())


def _pairings(reference: Trace, candidate: Trace) -> Iterator[Pairing]:
    """The ways to put the reference's weights into the candidate, the likeliest first."""
    wanted = [call.layer for call in _first_calls(reference.calls)]
    given = [call.layer for call in _first_calls(candidate.calls)]
    if Counter(map(_signature, wanted)) != Counter(map(_signature, given)):
        return
    by_run = _pairing_by_run(reference, candidate)
    if by_run is not None:
        yield by_run
    groups = [
        (
            [layer for layer in wanted if _signature(layer) == signature],
            [layer for layer in given if _signature(layer) == signature],
        )
        for signature in dict.fromkeys(map(_signature, wanted))
    ]
    if math.prod(math.factorial(len(ours)) for ours, _theirs in groups) > _MOST_PAIRINGS:
        # A normalisation of a concatenation of one tensor follows no layer, or one: the order of
        # the runs alone is the last try.
        yield [pair for ours, theirs in groups for pair in zip(ours, theirs, strict=True)]
        return
    for order in itertools.product(*(itertools.permutations(theirs) for _ours, theirs in groups)):
        yield [
            pair
            for (ours, _theirs), theirs in zip(groups, order, strict=True)
            for pair in zip(ours, theirs, strict=True)
        ]


@torch.no_grad()
def _responses(module: nn.Module, x: Tensor, label: str, training: Sequence[bool]) -> list[Tensor]:
    return [run(module.train(mode), x.clone(), label) for mode in training]


@torch.no_grad()
def _give_state(pairing: Pairing, state: dict[nn.Module, dict[str, Tensor]]) -> None:
    for ours, theirs in pairing:
        values = _own_state(theirs)
        for name, value in state[ours].items():
            values[name].copy_(value)


def is_equal(
    reference: nn.Module,
    candidate: nn.Module,
    x: Tensor,
    label: str,
    training: Sequence[bool] = _MODES,
) -> bool:
    """Whether some way to pair their layers makes both answer alike, in training and eval mode.

    Args:
        reference: the module to equal, with random weights (see :func:`randomise`).
        candidate: the module to judge; its weights are overwritten.
        x: the input, float64.
        label: what to call the candidate in feedback.
        training: the modes to compare in, one after the other.

    >>> one = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).double()
    >>> two = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).double()
    >>> is_equal(one, two, torch.rand(4, 3).double(), "two")
    True
    >>> is_equal(one, nn.Sequential(*two, nn.ReLU()), torch.randn(4, 3).double(), "three")
    False
    """
    ours, theirs = trace(reference.eval(), x.clone(), label), trace(candidate.eval(), x, label)
    state = {
        call.layer: {name: value.clone() for name, value in _own_state(call.layer).items()}
        for call in ours.calls
    }
    expected = _responses(reference, x, label, training)
    try:
        for pairing in _pairings(ours, theirs):
            _give_state(pairing, state)
            answers = _responses(candidate, x, label, training)
            if all(map(_close, answers, expected)):
                return True
        return False
    finally:
        _give_state([(layer, layer) for layer in state], state)


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one.to(other), other, rtol=_TOLERANCE, atol=_TOLERANCE
    )


def require_equal(
    candidate: nn.Module,
    reference: nn.Module,
    x: Tensor,
    label: str,
    mistakes: Sequence[Mistake] = (),
) -> None:
    """End the check with the likeliest explanation unless ``candidate`` equals ``reference``.

    Args:
        candidate: the reader's module, float64.
        reference: the course's module for the same arguments; its weights are drawn anew.
        x: a batch that both take, float64.
        label: how the reader's module was made, as in ``IdentityBlock(8)``.
        mistakes: wrong answers to recognise, the likeliest first.

    Raises:
        Stop: they differ, or the reader's module does something it should not.
    """
    reference = randomise(reference.double())
    candidate.eval()
    untouched = x.clone()
    try:
        seen = trace(candidate, x, label)
    except (RuntimeError, ValueError):
        # The layers often explain better than torch does why they don't fit together.
        _require_arrangement(
            list(_layers(candidate).items()), list(_layers(reference).values()), label
        )
        raise
    require_input_kept(untouched, x, label)
    _require_no_bias(candidate, reference, label)
    _require_each_layer_runs_once(candidate, seen, label)
    if is_equal(reference, candidate, untouched, label):
        _require_gradients(candidate, untouched, label)
        return
    for mistake in mistakes:
        if is_equal(randomise(mistake.make().double()), candidate, untouched, label):
            reject(f"`{label}` – {mistake.message}", mistake.hint)
    wanted = trace(reference, untouched, label)
    names = {layer: name for name, layer in _layers(candidate).items()}
    _require_same_layers(candidate, reference, label)
    _require_arrangement(
        [(names[call.layer], call.layer) for call in _first_calls(seen.calls)],
        [call.layer for call in _first_calls(wanted.calls)],
        label,
    )
    require_same_shape(seen.output, wanted.output, label)
    if bool((seen.output < 0).any()) and not bool((wanted.output < 0).any()):
        reject(
            _("`{label}` gives negative values; a ReLU at the end leaves none.").format(label=label)
        )
    if is_equal(reference, candidate, untouched, label, training=[False]):
        reject(
            _("`{label}` is right in eval mode, but not in training mode.").format(label=label),
            _("Look for dropout, or for something that sets the mode (`eval`, `train`)."),
        )
    reject(
        _(
            "`{label}` has the right layers and the right shape, but does not compute the same."
        ).format(label=label),
        _("Draw the path from the input to the output, and compare it with your `forward`."),
    )


def require_input_kept(before: Tensor, after: Tensor, label: str) -> None:
    """End the check if what was given has been written over: ``after`` differs from ``before``."""
    if not torch.equal(before, after):
        reject(
            _(
                "`{label}` changes its own input, which the shortcut or the caller still needs."
            ).format(label=label),
            _(
                "An in-place operation (`inplace=True`, `relu_`, `+=`) has been applied to the "
                "input itself."
            ),
        )


def _require_no_bias(candidate: nn.Module, reference: nn.Module, label: str) -> None:
    convolutions = [layer for layer in reference.modules() if isinstance(layer, nn.Conv2d)]
    if any(layer.bias is not None for layer in convolutions):
        return
    for name, layer in candidate.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            reject(
                _("`{label}` – the convolution `{name}` has a bias.").format(
                    label=label, name=name
                ),
                _(
                    "What does the batch normalisation that follows do to a constant added to "
                    "every value of a map?"
                ),
            )


def _require_each_layer_runs_once(candidate: nn.Module, seen: Trace, label: str) -> None:
    runs = Counter(call.layer for call in seen.calls)
    for name, layer in _layers(candidate).items():
        if runs[layer] > 1:
            reject(
                _("`{label}` – one layer, `{name}` ({layer}), runs {times} times.").format(
                    label=label, name=name, layer=describe(layer), times=runs[layer]
                ),
                _("Layers with weights are not shared here: every place has a layer of its own."),
            )
    for name, layer in _layers(candidate).items():
        if runs[layer] == 0:
            reject(
                _("`{label}` – the layer `{name}` ({layer}) is made but never runs.").format(
                    label=label, name=name, layer=describe(layer)
                ),
                _("Either `forward` forgets it, or it is one layer too many."),
            )


def _require_same_layers(candidate: nn.Module, reference: nn.Module, label: str) -> None:
    ours = Counter(map(describe, _layers(reference).values()))
    theirs = Counter(map(describe, _layers(candidate).values()))
    missing, extra = ours - theirs, theirs - ours
    if missing or extra:

        def listed(layers: Counter[str]) -> str:
            return "; ".join(f"{n} × {what}" for what, n in layers.items()) or _("none")

        reject(
            _(
                "`{label}` does not have the layers expected. Missing: {missing}. "
                "Not expected: {extra}."
            ).format(label=label, missing=listed(missing), extra=listed(extra)),
            _("Print the module and count its layers against the picture of the block."),
        )


def _require_arrangement(
    candidate: Sequence[tuple[str, nn.Module]], reference: Sequence[nn.Module], label: str
) -> None:
    """Compare strides, paddings and the like, layer by layer, where the layers themselves agree."""
    theirs = sorted(candidate, key=lambda named: _signature(named[1]))
    ours = sorted(reference, key=_signature)
    if [_signature(layer) for _name, layer in theirs] != [_signature(layer) for layer in ours]:
        return
    partner = {name: wanted for (name, _layer), wanted in zip(theirs, ours, strict=True)}
    for name, layer in candidate:
        wanted = partner[name]
        for what in _ARRANGEMENT:
            given, expected = getattr(layer, what, None), getattr(wanted, what, None)
            if given != expected and not _same_padding(layer, wanted, what):
                reject(
                    _(
                        "`{label}` – the layer `{name}` ({layer}) has {what} {given}; "
                        "{expected} is expected."
                    ).format(
                        label=label,
                        name=name,
                        layer=describe(layer),
                        what=what,
                        given=given,
                        expected=expected,
                    ),
                    _("What size does the map have after each layer?")
                    if isinstance(layer, nn.Conv2d)
                    else None,
                )


def _same_padding(layer: nn.Module, wanted: nn.Module, what: str) -> bool:
    """Whether a padding given by name ("same", "valid") is the one wanted, given as a number."""
    if what != "padding" or not isinstance(wanted, nn.Conv2d):
        return False
    as_numbers = {"same": tuple(side // 2 for side in wanted.kernel_size), "valid": (0, 0)}
    given = getattr(layer, "padding", None)
    return isinstance(given, str) and as_numbers.get(given) == wanted.padding


def require_same_shape(given: Tensor, wanted: Tensor, label: str) -> None:
    """End the check if ``given`` has not the shape of ``wanted``."""
    if given.shape == wanted.shape:
        return
    channels_doubled = given.dim() == 4 and given.shape[1] == 2 * wanted.shape[1]
    reject(
        _("`{label}` gives a tensor of shape {given}; {wanted} is expected.").format(
            label=label, given=tuple(given.shape), wanted=tuple(wanted.shape)
        ),
        _("Twice the channels: have two tensors been concatenated rather than added?")
        if channels_doubled
        else _("Print the shape after every layer, and look at the strides and the paddings."),
    )


def require_logits(output: Tensor, images: int, label: str, hint: str) -> None:
    """End the check unless ``output`` is ten scores for each of ``images``, and no softmax's.

    Args:
        output: what the reader's net gave.
        images: how many it was given.
        label: what to call the net in feedback.
        hint: what comes after the last block.
    """
    if output.shape != (images, 10):
        reject(
            _(
                "`{label}` gives a tensor of shape {given} for {images} images; {wanted} is "
                "expected."
            ).format(label=label, given=tuple(output.shape), images=images, wanted=(images, 10)),
            hint,
        )
    sums = [output.sum(1), output.exp().sum(1)]
    if any(torch.allclose(total, torch.ones_like(total), atol=1e-6) for total in sums):
        reject(
            _("`{label}` ends in a softmax; the scores before it (logits) are expected.").format(
                label=label
            ),
            _("The cross-entropy of torch applies the softmax itself."),
        )


def require_differentiable(answer: object, label: str) -> None:
    """End the check unless a gradient goes back from ``answer`` to the ``x`` that it came from."""
    if not isinstance(answer, Tensor) or not answer.requires_grad:
        reject(
            _("`{label}`: no gradient goes back through it to `x`.").format(label=label),
            _("Look for `detach`, `.data`, `no_grad` or a detour through NumPy."),
        )


def _require_gradients(candidate: nn.Module, x: Tensor, label: str) -> None:
    """Every weight, and the input, must receive a gradient: otherwise the module cannot learn."""
    x = x.clone().requires_grad_()
    output = candidate.train()(x)
    reached = output.requires_grad
    if reached:
        # Random weights on the sum: batch normalisation makes a plain sum's gradient vanish.
        (output * torch.randn_like(output)).sum().backward()
    for name, value in [*candidate.named_parameters(), (_("the input"), x)]:
        if not reached or value.grad is None:
            reject(
                _(
                    "`{label}` answers as it should, but no gradient reaches `{name}`: it could "
                    "not learn."
                ).format(label=label, name=name),
                _("Look for `detach`, `.data`, `no_grad` or `requires_grad=False`."),
            )
