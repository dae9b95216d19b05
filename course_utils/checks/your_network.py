"""Checkers for the exercises of lesson 5: stages, receptive fields, budgets, fair comparisons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from numbers import Integral

import torch
from torch import Tensor, nn

from course_utils.checks.answers import require_answers, require_function, wrong_answers
from course_utils.checks.feedback import (
    Feedback,
    correct,
    is_blank,
    kind_of,
    reject,
    unfilled_value,
)
from course_utils.checks.running import checker
from course_utils.i18n import _, named, ngettext, number
from course_utils.models.counting import count_macs, count_parameters
from course_utils.models.design import Composed, compose
from course_utils.models.receptive_field import receptive_field
from course_utils.models.stages import StageSpec, conv, dense, gap_head, projection, transition
from course_utils.plots import pareto_front

__all__ = [
    "check_fair",
    "check_field_by_hand",
    "check_mended",
    "check_pareto_front",
    "check_small",
]

SHAPE = (3, 24, 24)
BROKEN = (
    conv(16, stride=2),
    dense(3, growth_rate=8),
    transition(),
    projection(16, shortcut="A"),
    gap_head(),
)
"""The lesson's broken design, for who mends it under another name: ``mended = broken``."""

Layers = Sequence[tuple[int, int]]
"""A kernel and a stride for each layer, from input to output."""


def _require_design(answer: object, name: str) -> list[StageSpec]:
    """The answer as a list of stages, or the end of the check."""
    if is_blank(answer):
        unfilled_value(name)
    if isinstance(answer, nn.Module):
        reject(
            _("`{name}` is already built, and the checker builds its own network.").format(
                name=name
            ),
            _("Give the list of stages, without `compose`."),
        )
    if not isinstance(answer, list | tuple):
        reject(
            _("`{name}` should be a list of stages, not a value of type `{kind}`.").format(
                name=name, kind=kind_of(answer)
            ),
            _("A design is a list: `[conv(16), …, gap_head()]`."),
        )
    return list(answer)


def _require_network(design: Sequence[StageSpec], name: str) -> Composed:
    """The network of the design for 24×24 colour images, or what stands in its way."""
    try:
        return compose(design, in_channels=SHAPE[0], image_shape=SHAPE)
    except (ValueError, TypeError) as error:
        reject(
            _("`{name}` cannot be built: {reason}").format(name=name, reason=error),
            _("The sentence names the stage: how many maps reach it, and how large are they?"),
        )


@checker
def check_mended(mended: object, broken: Sequence[StageSpec]) -> Feedback:
    """Check that ``mended`` can be built and differs from ``broken`` in one stage.

    Where both are one list, changed in place, ``mended`` is compared with the lesson's own.

    >>> broken = [conv(16), projection(8, shortcut="A"), gap_head()]
    >>> print(check_mended([conv(16), projection(8), gap_head()], broken).verdict)
    Correct
    """
    stages = _require_design(mended, "mended")
    before = list(BROKEN if mended is broken else broken)
    if len(stages) != len(before):
        reject(
            _("`mended` should have as many lines as `broken`."),
            _("Change the numbers or the options of one stage, without adding or removing any."),
        )
    places = [n for n, pair in enumerate(zip(stages, before, strict=True), 1) if pair[0] != pair[1]]
    if not places:
        reject(
            _("`mended` is still the broken design, unchanged."),
            _("`compose(broken)` names the stage that cannot be built."),
        )
    _require_network(stages, "mended")
    if len(places) > 1:
        reject(
            _(
                "It can be built, but {number} stages differ from the original ({places}), and "
                "one is enough."
            ).format(number=len(places), places=", ".join(map(str, places))),
            _(
                "Repair the stage that `compose(broken)` names, and put the others back as they "
                "were."
            ),
        )
    return correct(
        _("stage {place}, {stage}, is repaired, and the others are unchanged.").format(
            place=places[0], stage=f"`{stages[places[0] - 1]!r}`"
        )
    )


def _field(layers: Layers, *, start: int = 1, own_stride: bool = False, less: int = 1) -> int:
    seen, cell = start, 1
    for kernel, stride in layers:
        seen += (kernel - less) * (cell * stride if own_stride else cell)
        cell *= stride
    return seen


@checker
def check_field_by_hand(function: object) -> Feedback:
    """Check ``field_by_hand(layers)``: pixels seen by a position after layers (kernel, stride).

    >>> def field_by_hand(layers):
    ...     field, cell = 1, 1
    ...     for kernel, stride in layers:
    ...         field += (kernel - 1) * cell
    ...         cell *= stride
    ...     return field
    >>> print(check_field_by_hand(field_by_hand).verdict)
    Correct
    """
    cases: list[tuple[Layers]] = [
        ([(3, 1)],),
        ([(3, 2), (3, 1)],),
        ([(5, 1), (3, 2), (3, 2), (1, 1)],),
        ([(1, 2), (7, 2), (3, 1), (3, 3), (5, 1)],),
        ([(3, 1), (3, 1), (3, 1)],),
        ([(2, 2), (4, 1), (6, 3), (2, 1)],),
        ([],),
    ]
    rule = _(
        "A layer adds (kernel − 1) cells of its input, each as wide as the product of the "
        "strides before it."
    )
    mistakes = wrong_answers(
        lambda layers: _field(layers, own_stride=True),
        _(
            "the stride of a layer widens its own field here, but it only counts for the layers "
            "after it."
        ),
        _("Widen the window first, then multiply the size of a cell."),
        lambda layers: _field([(kernel, 1) for kernel, _stride in layers]),
        _("you left out the strides: after a stride of 2, a cell covers two pixels."),
        lambda layers: _field(layers, start=0),
        _("you forgot the position itself: without any layer, the field is 1 pixel."),
        lambda layers: _field(layers, less=0),
        _("a kernel k widens the field by k − 1 cells, not by k."),
        _("A 1×1 convolution does not widen the field."),
        lambda layers: _field(layers[::-1]),
        _("you read the layers from the output to the input."),
        _("The first pair of the list is the layer next to the image."),
        lambda layers: sum(kernel for kernel, _stride in layers),
        _("this is the sum of the kernels."),
        lambda layers: math.prod(stride for _kernel, stride in layers),
        _("this is the step between two positions in pixels, not what one of them sees."),
    )
    require_answers(function, "field_by_hand", cases, _field, mistakes, rule)
    return correct(
        _("your function computes the field of any stack, strides and 1×1 convolutions included.")
    )


@checker
def check_small(
    small: object,
    *,
    parameters: int = 20_000,
    macs: int = 1_500_000,
    field: int = 15,
    cells: int = 6,
) -> Feedback:
    """Check that the design ``small`` keeps to its budget, sees a digit and can say where.

    Args:
        small: a list of stages, for images ``(3, 24, 24)``.
        parameters, macs: the most allowed.
        field: the least number of pixels that a position of the last maps must see.
        cells: the least side of the last maps.

    >>> small = [conv(12, stride=2), conv(24, stride=2), conv(24, times=2), gap_head()]
    >>> print(check_small(small).verdict)
    Correct
    """
    net = _require_network(_require_design(small, "small"), "small")
    used_parameters, used_macs = count_parameters(net), count_macs(net, SHAPE)
    if used_parameters > parameters:
        reject(
            _("`small` has {used} parameters, {over} more than the {most} allowed.").format(
                **_budget(used_parameters, parameters)
            ),
            _("A 3×3 convolution has 9 × maps in × maps out weights: where are there many maps?"),
        )
    if used_macs > macs:
        reject(
            _("`small` needs {used} multiply-adds, {over} more than the {most} allowed.").format(
                **_budget(used_macs, macs)
            ),
            _(
                "Multiply-adds are paid for at each position: which stage works on large maps? "
                "Put a stride earlier."
            ),
        )
    with torch.no_grad():
        side = min(net.eval().stages(torch.zeros(1, *SHAPE)).shape[2:])
    if side < cells:
        reject(
            _("The last maps have {given}×{given} cells instead of {wanted}×{wanted}.").format(
                given=side, wanted=cells
            ),
            _(
                "Each stride of 2 and each transition halves the side of the maps: one of them "
                "is too many."
            ),
        )
    seen = min(receptive_field(net.stages, SHAPE))
    if seen < field:
        reject(
            ngettext(
                "A position of the last maps sees {given} pixel, and {wanted} are needed.",
                "A position of the last maps sees {given} pixels, and {wanted} are needed.",
                int(seen),
            ).format(given=seen, wanted=field),
            _(
                "A 3×3 convolution widens the field most after the strides, where each cell "
                "covers the most pixels."
            ),
        )
    return correct(
        _(
            "`small` has {parameters} parameters and {macs} multiply-adds; a position sees "
            "{seen} pixels, and {side}×{side} cells are left."
        ).format(
            parameters=number(used_parameters, 9), macs=number(used_macs, 9), seen=seen, side=side
        )
    )


def _budget(used: int, most: int) -> dict[str, str]:
    counts = {"used": used, "over": used - most, "most": most}
    return {name: number(count, 9) for name, count in counts.items()}


def _front(
    costs: list[float],
    errors: list[float],
    dominates: Callable[[float, float, float, float], bool],
) -> list[int]:
    """Indices of what is not dominated, where ``dominates`` has a meaning of its own."""
    points = list(zip(costs, errors, strict=True))
    everyone = range(len(points))
    kept = [
        i
        for i in everyone
        if not any(dominates(*points[j], *points[i]) for j in everyone if j != i)
    ]
    return sorted(kept, key=lambda i: points[i])


def _in_order(answer: object, costs: list[float], errors: list[float]) -> object:
    """An answer in which networks exactly level stand in the order of their indices."""
    indices = answer.tolist() if isinstance(answer, Tensor) else answer
    if not isinstance(indices, list | tuple) or not all(
        isinstance(i, Integral) and i < len(costs) for i in indices
    ):
        return answer
    groups = itertools.groupby(indices, key=lambda i: (costs[i], errors[i]))
    return [i for _point, group in groups for i in sorted(group)]


@checker
def check_pareto_front(function: object) -> Feedback:
    """Check ``pareto_front(costs, errors)``: indices of what nothing dominates, cheapest first.

    >>> print(check_pareto_front(pareto_front).verdict)
    Correct
    """
    cases: list[tuple[list[float], list[float]]] = [
        ([4.0, 1.0, 2.0, 3.0], [0.10, 0.40, 0.20, 0.30]),
        ([5.0, 3.0, 8.0, 1.0, 6.0], [0.20, 0.25, 0.10, 0.60, 0.22]),
        ([2.0, 1.0, 2.0, 3.0], [0.30, 0.50, 0.20, 0.20]),  # ties in cost, then in error
        ([7.0], [0.90]),
        ([3.0, 1.0, 2.0], [0.10, 0.10, 0.10]),  # one error: the cheapest alone
        ([2.0, 2.0, 1.0], [0.30, 0.30, 0.50]),  # two exactly level
    ]
    given = require_function(function, "pareto_front")(*map(list, cases[0]))
    if isinstance(given, set | frozenset):
        reject(
            _("`pareto_front` returns a set, which has no order."),
            _("`sorted(indices, key=lambda i: costs[i])` lists them in order of cost."),
        )
    if isinstance(given, list | tuple) and given and all(isinstance(item, bool) for item in given):
        reject(
            _("`pareto_front` returns booleans, and indices are needed."),
            _("`[i for i, kept in enumerate(flags) if kept]` turns booleans into indices."),
        )
    rule = _(
        "A network is dominated when another is neither more expensive nor worse, and strictly "
        "better on one of the two counts."
    )
    mistakes = wrong_answers(
        lambda costs, errors: _front(costs, errors, lambda d, f, c, e: d < c and f < e),
        _("you keep a network that is beaten on one count and level on the other."),
        lambda costs, errors: _front(costs, errors, lambda d, f, c, e: d <= c and f <= e),
        _("two networks that are exactly level eliminate each other."),
        lambda costs, errors: [errors.index(min(errors))],
        _("this is only the smallest error, but a cheaper network may be on the front too."),
        lambda costs, errors: sorted(pareto_front(costs, errors)),
        _("these are the right ones, but not from the cheapest to the most expensive."),
        lambda costs, errors: pareto_front(costs, errors)[::-1],
        _("these are the right ones, but from the most expensive to the cheapest."),
        lambda costs, errors: [
            i
            for i in sorted(range(len(costs)), key=lambda i: (costs[i], errors[i]))
            if i not in pareto_front(costs, errors)
        ],
        _("these are the dominated networks instead of the others."),
        lambda costs, errors: [costs[i] for i in pareto_front(costs, errors)],
        _("these are costs instead of the indices of the networks."),
        lambda costs, errors: [errors[i] for i in pareto_front(costs, errors)],
        _("these are errors instead of the indices of the networks."),
        lambda costs, errors: sorted(range(len(costs)), key=lambda i: costs[i]),
        _("you keep every network, but some are dominated."),
    )
    require_answers(function, "pareto_front", cases, pareto_front, mistakes, rule, tidy=_in_order)
    return correct(_("you keep what nothing dominates, in order of cost, ties included."))


FAIR = "bf"
CHOICES = "abcdef"


def _reasons() -> dict[str, str]:
    """For each comparison, what to say when it is sorted wrong."""
    return {
        "a": _("with one seed, nothing tells the gap from noise."),
        "b": _(
            "it subtracts the same seeds one by one, and the interval leaves out zero: it is fair."
        ),
        "c": _("the best of ten runs rewards the network that varies most, not the better one."),
        "d": _("A was chosen on the very scenes that judge it, and B was not."),
        "e": _(
            "the gap may come from three times as much computation rather than from the design."
        ),
        "f": _(
            "this is the comparison of b, with a conclusion that says no more than it shows: it "
            "is fair."
        ),
    }


@checker
def check_fair(fair: object) -> Feedback:
    """Check the letters of the comparisons that allow one to say whether A is better than B.

    >>> print(check_fair("bf").verdict)
    Correct
    """
    if is_blank(fair) or fair == "":
        unfilled_value("fair")
    letters_in = _('Letters in a string, for instance `"xy"`.')
    if not isinstance(fair, str | list | tuple | set | frozenset):
        reject(
            _("`fair` should be a string of letters, not a value of type `{kind}`.").format(
                kind=kind_of(fair)
            ),
            letters_in,
        )
    if not all(isinstance(item, str) for item in fair):
        reject(_("`fair` should contain letters."), letters_in)
    letters = {letter for letter in "".join(fair).lower() if letter.isalpha()}
    unknown = sorted(letters - set(CHOICES))
    if unknown or not letters:
        reject(
            _("There is no comparison {letters}: the letters go from a to f.").format(
                letters=", ".join(unknown) or repr(fair)
            ),
            letters_in,
        )
    reasons = _reasons()
    too_many, missing = sorted(letters - set(FAIR)), sorted(set(FAIR) - letters)
    if too_many:
        reject(
            _("{letter} is not fair: {reason}").format(
                letter=f"`{too_many[0]}`", reason=reasons[too_many[0]]
            ),
            _("What could have favoured A, apart from its architecture?"),
        )
    if missing:
        reject(
            _("What you chose is fair, but one more comparison is too."),
            _(
                "“Not established” can be an honest conclusion, and so can “established”, given "
                "enough seeds."
            ),
        )
    return correct(" ".join(named(f"`{letter}`", reasons[letter]) for letter in CHOICES))
