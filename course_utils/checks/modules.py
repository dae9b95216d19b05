"""Require that a reader's module equals the course's, and say how it differs if it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.checks.answers import Mistake, reject_changing, require_kept, wrong_answers
from course_utils.checks.building import build, double_copy, label_of, run
from course_utils.checks.equivalence import (
    Pairing,
    Signature,
    Trace,
    close,
    describe,
    gradients,
    layers_of,
    paired,
    randomise,
    same_answers,
    signature,
    trace,
)
from course_utils.checks.feedback import kind_of, reject
from course_utils.checks.running import text_of
from course_utils.i18n import _, listed, number

__all__ = [
    "head_mistakes",
    "left_out",
    "require_equal",
    "require_layers",
    "require_modules",
    "require_same_shape",
]

_ARRANGEMENT = ("stride", "padding", "dilation", "groups", "padding_mode", "eps", "momentum")
_SCALE = 40.0  # of the inputs: activations go above what ReLU6 and its like let through
_MOST_KINDS = 4  # of layers, that are named one by one
_OTHER = 1, 13, 9  # a single image, odd and not square: number, height, width


def require_modules(
    answer: object,
    name: str,
    cases: Sequence[tuple[Any, ...]],
    reference: Callable[..., nn.Module],
    mistakes: Callable[..., Sequence[Mistake]],
    *,
    images: tuple[int, int, int] = (4, 8, 8),
    hint: str | None = None,
) -> None:
    """End the check unless the reader's code makes, in every case, a module equal to the course's.

    Args:
        answer: the reader's class or function.
        name: what the exercise calls it.
        cases: arguments to call it with; those by name in a dictionary, the last.
        reference: makes the course's module from the same arguments.
        mistakes: lists wrong modules to recognise, the likeliest first, for the same arguments.
        images: number, height and width of the inputs that differences are explained with.
        hint: where to look when the layers are not those expected.

    Raises:
        Stop: some module differs, in what it gives, in its gradients, at another size or when it
            is called again; or two of them share their weights.
    """
    for case in cases:
        args = tuple(value for value in case if not isinstance(value, dict))
        kwargs = case[-1] if len(args) < len(case) else {}
        label = label_of(name, *args, **kwargs)
        module, again = (build(answer, name, *args, **kwargs) for _twice in range(2))
        wanted = reference(*args, **kwargs)
        first = next(iter(layers_of(wanted).values()))
        maps = first.in_channels if isinstance(first, nn.Conv2d) else first.num_features
        x = _SCALE * torch.randn(images[0], maps, *images[1:], dtype=torch.float64)  # type: ignore[arg-type]
        known = partial(mistakes, *args, **kwargs)
        require_equal(double_copy(module, x), wanted, x, label, known, hint)
        if not set(map(id, module.parameters())).isdisjoint(map(id, again.parameters())):
            reject(
                _("`{label}` gives the same weights to every module that it builds.").format(
                    label=label
                ),
                _(
                    "Build the layers inside `__init__`, or inside the function itself, so that "
                    "each call makes new ones."
                ),
            )


def require_equal(
    candidate: nn.Module,
    reference: nn.Module,
    x: Tensor,
    label: str,
    mistakes: Callable[[], Sequence[Mistake]] = lambda: (),
    hint: str | None = None,
) -> None:
    """End the check with the likeliest explanation unless ``candidate`` equals ``reference``.

    Args:
        candidate: the reader's module, float64.
        reference: the course's module for the same arguments; its weights are drawn anew.
        x: a batch that both take, float64.
        label: how the reader's module was made, as in ``IdentityBlock(8)``.
        mistakes: wrong modules to recognise, the likeliest first; made when they are needed.
        hint: where to look when the layers are not those expected.

    Raises:
        Stop: they differ, or the reader's module does something it should not.
    """
    x = x.to(_precision(candidate.eval(), x))
    reference = randomise(_adopting(reference, candidate).to(x.dtype))
    pair = _Pair(candidate, reference, x, label)
    try:
        seen = trace(candidate, given := x.clone(), label)
    except (RuntimeError, ValueError):
        # The layers often explain better than torch does why they don't fit together.
        pair.explain_breaking(mistakes(), hint)
        raise
    require_kept(x, given, label)
    if not close(run(candidate, x.clone(), label), seen.output):
        reject_changing(label)
    _require_biases(candidate, reference, label)
    pair.require_each_layer_runs_once(seen)
    pairing = paired(reference, candidate, x.clone(), label)
    if pairing is None:
        pair.explain(seen, mistakes(), hint)
    else:
        pair.require_other_size(pairing)
        pair.require_gradients(pairing)
        pair.require_float32()


def left_out(unit: nn.Sequential) -> list[Mistake]:
    """A convolution with its batch normalisation and ReLU, without the one, the other or both."""

    def without(*kinds: type[nn.Module]) -> nn.Module:
        return nn.Sequential(*(layer for layer in unit.children() if not isinstance(layer, kinds)))

    return wrong_answers(
        without(nn.ReLU),
        _("the ReLU is missing."),
        without(nn.BatchNorm2d),
        _("the batch normalisation is missing."),
        without(nn.ReLU, nn.BatchNorm2d),
        _("the batch normalisation and the ReLU are missing."),
    )


def head_mistakes(net: nn.Module) -> list[Mistake]:
    """A net of which something wrong is done to the scores that it ends with."""
    softmax = _("the network ends with a softmax, and should return the scores before it (logits).")
    applied = _("torch's cross-entropy applies the softmax itself.")
    return wrong_answers(
        nn.Sequential(net, nn.Softmax(1)),
        softmax,
        applied,
        nn.Sequential(net, nn.LogSoftmax(1)),
        softmax,
        applied,
        nn.Sequential(net, nn.ReLU()),
        _("a ReLU follows the last linear layer, but a score may be negative."),
    )


def _precision(candidate: nn.Module, x: Tensor) -> torch.dtype:
    """float64, but float32 where the reader's code runs in that alone, which is the lessons'."""
    try:
        candidate(x.clone())
    except Exception:
        try:
            candidate.float()(x.float())
            return torch.float32
        except Exception:
            candidate.double()
    return torch.float64


def _adopting(reference: nn.Module, candidate: nn.Module) -> nn.Module:
    """The reference with the candidate's momentum and ε, where these are reasonable and one."""
    norms = [layer for layer in candidate.modules() if hasattr(layer, "running_mean")]
    for what, most in (("momentum", 0.9), ("eps", 1e-3)):
        values = {getattr(norm, what) for norm in norms}
        if len(values) == 1 and ((value := values.pop()) is None or 0 < value <= most):
            for layer in reference.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    setattr(layer, what, value)
    return reference


@dataclass(frozen=True)
class _Pair:
    """A reader's module and the one that it should equal, with an input for both."""

    candidate: nn.Module
    reference: nn.Module
    x: Tensor
    label: str

    def require_other_size(self, pairing: Pairing) -> None:
        number, *sides = _OTHER
        other = _SCALE * torch.randn(number, self.x.shape[1], *sides, dtype=self.x.dtype)
        values = {
            "label": self.label,
            "first": tuple(self.x.shape),
            "other": tuple(other.shape),
        }
        hint = _("Is a size or a number of images hard-coded? Does a `squeeze` remove a dimension?")
        try:
            equal = same_answers(self.reference, self.candidate, pairing, other, self.label)
        except Exception as error:
            message = _(
                "`{label}` takes an input of shape {first}, but not one of shape {other} ({error})."
            )
            reject(message.format(error=text_of(error), **values), hint)
        if not equal:
            message = _(
                "`{label}` is right for an input of shape {first}, but not for one of shape "
                "{other}."
            )
            reject(message.format(**values), hint)

    def require_gradients(self, pairing: Pairing) -> None:
        """The input and every weight must receive the gradient that the whole path gives."""
        weights = torch.randn_like(self.reference(self.x))
        ours, theirs = zip(*pairing, strict=True)
        wanted = gradients(self.reference, self.x, ours, weights)
        given = gradients(self.candidate, self.x, theirs, weights)
        called = {id(value): name for name, value in self.candidate.named_parameters()}
        parameters = [value for layer in theirs for value in layer.parameters(recurse=False)]
        names = [_("the input"), *(f"`{called[id(value)]}`" for value in parameters)]
        scale = max(float(value.abs().max()) for value in wanted if value is not None)
        unreached, cut = [], []
        for name, one, other in zip(names, given, wanted, strict=True):
            if one is None and other is not None:
                unreached.append(name)
            elif one is not None and other is not None and not close(one / scale, other / scale):
                cut.append(name)
        if unreached:
            message = _(
                "`{label}` computes the right output, but no gradient reaches {name}: it could "
                "not learn."
            )
        else:
            message = _(
                "`{label}` computes the right output, but part of the gradient of {name} is "
                "missing: it would not learn well."
            )
        if unreached or cut:
            reject(
                message.format(label=self.label, name=(unreached or cut)[0]),
                _("Look for `detach`, `.data`, `no_grad` or `requires_grad=False`."),
            )

    def require_float32(self) -> None:
        try:
            run(self.candidate.float(), self.x.float(), self.label)
        except Exception as error:
            reject(
                _(
                    "`{label}` works in float64, but not in float32, the type of the lesson's "
                    "images ({error})."
                ).format(label=self.label, error=text_of(error)),
                _("Is a type set along the way (`.double()`, `dtype=...`)?"),
            )

    def require_each_layer_runs_once(self, seen: Trace) -> None:
        for name, layer in layers_of(self.candidate).items():
            values = {"label": self.label, "name": name, "layer": describe(layer)}
            if seen.runs[layer] > 1:
                reject(
                    _("`{label}` runs one layer, `{name}` ({layer}), {times} times.").format(
                        times=seen.runs[layer], **values
                    ),
                    _(
                        "Every place needs a layer of its own: `[block] * n` repeats one layer "
                        "and copies none."
                    ),
                )
            if seen.runs[layer] == 0:
                if self._reads_the_weights_of(layer):
                    reject(
                        _(
                            "`{label}` reads the weights of the layer `{name}` ({layer}) without "
                            "calling it."
                        ).format(**values),
                        _(
                            "Call the layer itself: it applies its own stride, padding and bias, "
                            "which `F.conv2d` does not."
                        ),
                    )
                reject(
                    _("`{label}` builds the layer `{name}` ({layer}), but never calls it.").format(
                        **values
                    ),
                    _(
                        "Either `forward` forgets this layer (a `return` inside a loop ends it "
                        "at once), or it is one layer too many."
                    ),
                )

    def _reads_the_weights_of(self, layer: nn.Module) -> bool:
        """Whether the output depends on them all the same, as through ``F.conv2d``."""
        weights = [weight for weight in layer.parameters() if weight.requires_grad]
        output = run(self.candidate, self.x, self.label)
        if not weights or not output.requires_grad:
            return False
        gradients = torch.autograd.grad(output.sum(), weights, allow_unused=True)
        return any(gradient is not None for gradient in gradients)

    def explain_breaking(self, mistakes: Sequence[Mistake], hint: str | None) -> None:
        """End the check if the layers explain why the reader's module breaks when it runs."""

        def kinds(module: nn.Module) -> Counter[Signature]:
            return Counter(map(signature, layers_of(module).values()))

        every = [layer for _name, layer in self.candidate.named_modules(remove_duplicate=False)]
        if len(set(every)) < len(every):
            reject(
                _(
                    "`{label}` uses one and the same layer in several places, with a single set "
                    "of weights."
                ).format(label=self.label),
                _(
                    "Every place needs a layer of its own: `[block] * n` repeats one layer and "
                    "copies none."
                ),
            )
        made, wanted = kinds(self.candidate), kinds(self.reference)
        for mistake in mistakes:
            if made == kinds(mistake.answer) != wanted and self._breaks(mistake.answer):
                reject(f"`{self.label}` – {mistake.message}", mistake.hint)
        require_layers(self.candidate, self.reference, self.label, hint)

    def _breaks(self, module: nn.Module) -> bool:
        try:
            module.to(self.x.dtype)(self.x.clone())
        except (RuntimeError, ValueError):
            return True
        return False

    def explain(self, seen: Trace, mistakes: Sequence[Mistake], hint: str | None) -> None:
        """End the check with what is wrong in a module that runs, but does not equal the other."""
        for mistake in mistakes:
            if self._equals(randomise(_adopting(mistake.answer, self.candidate))):
                reject(f"`{self.label}` – {mistake.message}", mistake.hint)
        wanted = trace(self.reference.eval(), self.x.clone(), self.label)
        names = {layer: name for name, layer in layers_of(self.candidate).items()}
        made = [(names[layer], layer) for layer in seen.runs]
        _require_arrangement(made, wanted.runs, self.label)
        require_layers(self.candidate, self.reference, self.label, hint)
        require_same_shape(seen.output, wanted.output, self.label)
        if bool((seen.output < 0).any()) and not bool((wanted.output < 0).any()):
            reject(
                _(
                    "`{label}` returns negative values, and a ReLU at the end would leave none."
                ).format(label=self.label)
            )
        if self._equals(self.reference, training=[False]):
            reject(
                _("`{label}` is right in eval mode, but not in training mode.").format(
                    label=self.label
                ),
                _("Look for dropout, or for something that sets the mode (`eval`, `train`)."),
            )
        reject(
            _(
                "`{label}` has the right layers and the right shape, but computes something else."
            ).format(label=self.label),
            _("Draw the path from the input to the output, and compare it with your `forward`."),
        )

    def _equals(self, other: nn.Module, **options: Any) -> bool:
        if self._breaks(other):  # a mistake that cannot be made here
            return False
        return paired(other, self.candidate, self.x.clone(), self.label, **options) is not None


def _require_biases(candidate: nn.Module, reference: nn.Module, label: str) -> None:
    """Convolutions have a bias where no batch normalisation follows, and only there."""
    convolutions = [layer for layer in reference.modules() if isinstance(layer, nn.Conv2d)]
    wanted = {layer.bias is not None for layer in convolutions}
    for name, layer in candidate.named_modules():
        if isinstance(layer, nn.Conv2d) and (layer.bias is not None) not in wanted:
            values = {"label": label, "name": name or kind_of(layer)}
            if layer.bias is None:
                reject(
                    _("In `{label}`, the convolution `{name}` has no bias.").format(**values),
                    _("No batch normalisation follows here, so the bias is useful."),
                )
            reject(
                _("In `{label}`, the convolution `{name}` has a bias.").format(**values),
                _(
                    "What does the batch normalisation that follows do to a constant added to "
                    "every value of a map?"
                ),
            )


def require_layers(
    candidate: nn.Module, reference: nn.Module, label: str, hint: str | None = None
) -> None:
    """End the check if ``candidate`` has not the layers of ``reference``, or sets them otherwise.

    Args:
        candidate: the reader's module.
        reference: the course's.
        label: how the reader's module was made.
        hint: where to look when other layers are expected.
    """
    _require_biases(candidate, reference, label)
    ours, theirs = (Counter(map(describe, layers_of(m).values())) for m in (reference, candidate))
    missing, extra = ours - theirs, theirs - ours
    hint = hint or _("Print the module, and check its layers against the picture of the block.")
    given, wanted = (
        sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in m.modules())
        for m in (candidate, reference)
    )
    if len(missing) + len(extra) > _MOST_KINDS and given != wanted:
        reject(
            _(
                "`{label}` has the wrong number of convolutions and linear layers: {given} "
                "instead of {wanted}."
            ).format(label=label, given=given, wanted=wanted),
            hint,
        )

    def counted(layers: Counter[str]) -> str:
        kinds = [f"{n} × {what}" for what, n in layers.items()]
        more = ["…"] * (len(kinds) > _MOST_KINDS)
        return listed([*kinds[:_MOST_KINDS], *more]) or _("no layer")

    if missing or extra:
        reject(
            _(
                "`{label}` does not have the right layers: it lacks {missing}, and has {extra} "
                "too many."
            ).format(label=label, missing=counted(missing), extra=counted(extra)),
            hint,
        )
    _require_arrangement(layers_of(candidate).items(), layers_of(reference).values(), label)


def _require_arrangement(
    candidate: Iterable[tuple[str, nn.Module]], reference: Iterable[nn.Module], label: str
) -> None:
    """Compare strides, paddings and the like, layer by layer, where the layers themselves agree."""
    partners: dict[Signature, list[nn.Module]] = {}
    for layer in reference:
        partners.setdefault(signature(layer), []).append(layer)
    for name, layer in candidate:
        if not (left := partners.get(signature(layer))):
            return
        partner = left.pop(0)
        for what in _ARRANGEMENT:
            given, expected = _arranged(layer, what), _arranged(partner, what)
            if given != expected:
                sizes = _("What size does the map have after each layer?")
                reject(
                    _(
                        "In `{label}`, the layer `{name}` ({layer}) has {what} {given} instead "
                        "of {expected}."
                    ).format(
                        label=label,
                        name=name or kind_of(layer),
                        layer=describe(layer),
                        what=what,
                        given=_quoted(given),
                        expected=_quoted(expected),
                    ),
                    sizes if what in ("stride", "padding") else None,
                )


def _quoted(value: object) -> object:
    return number(value, 4) if isinstance(value, float) else value


def _arranged(layer: nn.Module, what: str) -> object:
    """An attribute of a layer; a padding given by name ("same") as the number it stands for."""
    value = getattr(layer, what, None)
    if value == "same" and isinstance(layer, nn.Conv2d):
        return tuple(side // 2 for side in layer.kernel_size)
    return (0, 0) if value == "valid" else value


def require_same_shape(given: Tensor, wanted: Tensor, label: str) -> None:
    """End the check if ``given`` has not the shape of ``wanted``."""
    if given.shape == wanted.shape:
        return
    channels_doubled = given.dim() == 4 and given.shape[1] == 2 * wanted.shape[1]
    reject(
        _("`{label}` returns a tensor of shape {given}, and should return {wanted}.").format(
            label=label, given=tuple(given.shape), wanted=tuple(wanted.shape)
        ),
        _("Twice the channels: have two tensors been concatenated rather than added?")
        if channels_doubled
        else _("Print the shape after every layer, and look at the strides and the padding."),
    )
