"""Checkers for the exercises of lesson 5: stages, receptive fields, budgets, fair comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from course_utils.checks.answers import Wrong, require_answers, require_function
from course_utils.checks.feedback import (
    Feedback,
    checker,
    correct,
    is_blank,
    kind_of,
    reject,
    unfilled_value,
)
from course_utils.i18n import _, number
from course_utils.models import count_macs, count_parameters
from course_utils.models.design import Composed, compose
from course_utils.models.receptive_field import receptive_field
from course_utils.models.stages import StageSpec
from course_utils.plots import pareto_front

__all__ = [
    "check_fair",
    "check_field_by_hand",
    "check_mended",
    "check_pareto_front",
    "check_small",
]

SHAPE = (3, 24, 24)
Layers = Sequence[tuple[int, int]]
"""A kernel and a stride for each layer, from input to output."""


def _require_design(answer: object, name: str) -> list[StageSpec]:
    """The answer as a list of stages, or the end of the check."""
    if is_blank(answer):
        unfilled_value(name)
    if isinstance(answer, nn.Module):
        reject(
            _("`{name}` is a network already built; the check builds its own.").format(name=name),
            _("Give the list of stages, without `compose`."),
        )
    if isinstance(answer, StageSpec | str) or callable(answer) or not isinstance(answer, Iterable):
        reject(
            _("`{name}` should be a list of stages, not a value of type `{kind}`.").format(
                name=name, kind=kind_of(answer)
            ),
            _("A design is a list: `[conv(16), …, gap_head()]`."),
        )
    stages = list(answer)
    if is_blank(stages):
        unfilled_value(name)
    return stages


def _require_network(design: Sequence[StageSpec], name: str) -> Composed:
    """The network of the design for 24×24 colour images, or what stands in its way."""
    try:
        return compose(design, in_channels=SHAPE[0], image_shape=SHAPE)
    except (ValueError, TypeError) as error:
        reject(
            _("`{name}` cannot be built: {reason}").format(name=name, reason=error),
            _("The sentence names the stage: how many maps, and how large, reach it?"),
        )


# --- 1. mend a stage --------------------------------------------------------------------------


@checker
def check_mended(mended: object, broken: Sequence[StageSpec]) -> Feedback:
    """Check that ``mended`` can be built and differs from ``broken`` in one stage.

    >>> from course_utils.models.stages import conv, gap_head, projection
    >>> broken = [conv(16), projection(8, shortcut="A"), gap_head()]
    >>> print(check_mended([conv(16), projection(8), gap_head()], broken).verdict)
    Correct
    """
    stages, before = _require_design(mended, "mended"), list(broken)
    if len(stages) != len(before):
        reject(
            _("`mended` has {given} lines, and `broken` has {wanted}.").format(
                given=len(stages), wanted=len(before)
            ),
            _("Change the numbers or the options of one stage; add and remove none."),
        )
    if stages == before:
        reject(
            _("`mended` is still the broken design, line for line."),
            _("`compose(broken)` names the stage that cannot be built."),
        )
    _require_network(stages, "mended")
    places = [
        place
        for place, pair in enumerate(zip(stages, before, strict=True), 1)
        if pair[0] != pair[1]
    ]
    if len(places) > 1:
        reject(
            _("It can be built, but {number} stages differ ({places}); one is enough.").format(
                number=len(places), places=", ".join(map(str, places))
            ),
            _("Mend the stage that `compose(broken)` names, and put the others back."),
        )
    if stages[places[0] - 1].kind != before[places[0] - 1].kind:
        reject(
            _("It can be built, but stage {place} has become another kind of stage.").format(
                place=places[0]
            ),
            _("Keep its kind: its number of maps, or its option, can be mended."),
        )
    return correct(
        _("stage {place} is mended, {stage}, and the others are as they were.").format(
            place=places[0], stage=f"`{stages[places[0] - 1]!r}`"
        )
    )


# --- 2. the receptive field by hand -----------------------------------------------------------


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
    ]

    def field(
        layers: Sequence[tuple[int, int]],
        *,
        start: int = 1,
        own_stride: bool = False,
        less: int = 1,
    ) -> int:
        seen, cell = start, 1
        for kernel, stride in layers:
            if own_stride:
                cell *= stride
            seen += (kernel - less) * cell
            if not own_stride:
                cell *= stride
        return seen

    rule = _(
        "A layer adds (kernel − 1) cells of its input, each worth the product of the strides "
        "before it."
    )
    require_answers(
        function,
        "field_by_hand",
        cases,
        field,
        [
            Wrong(
                lambda layers: field(layers, own_stride=True),
                _("a layer's own stride widens its field here; it counts only for those after it."),
                _("Widen first, then multiply the size of a cell."),
            ),
            Wrong(
                lambda layers: field([(kernel, 1) for kernel, _stride in layers]),
                _("the strides are left out: after a stride of 2 a cell is worth two pixels."),
                rule,
            ),
            Wrong(
                lambda layers: field(layers, start=0),
                _("the position itself is missing: without any layer, the field is 1 pixel."),
            ),
            Wrong(
                lambda layers: field(layers, less=0),
                _("a kernel k widens the field by k − 1 cells, not by k."),
                _("A 1×1 convolution widens nothing."),
            ),
            Wrong(
                lambda layers: field(list(reversed(layers))),
                _("the layers are read from the output to the input."),
                _("The first pair of the list is the layer next to the image."),
            ),
            Wrong(
                lambda layers: sum(kernel for kernel, _stride in layers),
                _("this is the sum of the kernels."),
                rule,
            ),
            Wrong(
                lambda layers: _product(stride for _kernel, stride in layers),
                _("this is the step between two positions in pixels, not what one of them sees."),
                rule,
            ),
        ],
        rule,
    )
    return correct(_("it counts the field of any stack, strides and 1×1 included."))


def _product(values: Iterable[int]) -> int:
    result = 1
    for value in values:
        result *= value
    return result


# --- 3. a small network -----------------------------------------------------------------------


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

    >>> from course_utils.models.stages import conv, gap_head
    >>> small = [conv(12, stride=2), conv(24, stride=2), conv(24, times=2), gap_head()]
    >>> print(check_small(small).verdict)
    Correct
    """
    net = _require_network(_require_design(small, "small"), "small")
    used_parameters, used_macs = count_parameters(net), count_macs(net, SHAPE)
    with torch.no_grad():
        side = min(net.eval().stages(torch.zeros(1, *SHAPE)).shape[2:])
    if used_parameters > parameters:
        reject(
            _("`small` has {used} parameters, {over} more than the {most} allowed.").format(
                used=number(used_parameters, 9),
                over=number(used_parameters - parameters, 9),
                most=number(parameters, 9),
            ),
            _("A 3×3 convolution has 9 × maps before × maps after: where are the maps many?"),
        )
    if used_macs > macs:
        reject(
            _("`small` needs {used} multiply-adds, {over} more than the {most} allowed.").format(
                used=number(used_macs, 9), over=number(used_macs - macs, 9), most=number(macs, 9)
            ),
            _("They are paid at each position: which stage works on large maps? Stride earlier."),
        )
    if side < cells:
        reject(
            _("The last maps have {given}×{given} cells; {wanted}×{wanted} are asked for.").format(
                given=side, wanted=cells
            ),
            _("Each stride of 2, and each transition, halves the maps: there is one too many."),
        )
    seen = min(receptive_field(net.stages, SHAPE))
    if seen < field:
        reject(
            _("A position of the last maps sees {given} pixels; {wanted} are asked for.").format(
                given=seen, wanted=field
            ),
            _("A 3×3 after the strides widens the field most: its cells are worth most pixels."),
        )
    return correct(
        _(
            "{parameters} parameters, {macs} multiply-adds; a position sees {seen} pixels, and "
            "{side}×{side} cells are left."
        ).format(
            parameters=number(used_parameters, 9),
            macs=number(used_macs, 9),
            seen=seen,
            side=side,
        )
    )


# --- 4. the Pareto front ----------------------------------------------------------------------


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

    def kept(
        dominates: Callable[[float, float, float, float], bool],
    ) -> Callable[[list[float], list[float]], list[int]]:
        def front(costs: list[float], errors: list[float]) -> list[int]:
            points = list(zip(costs, errors, strict=True))
            left = [
                i
                for i, (c, e) in enumerate(points)
                if not any(dominates(d, f, c, e) for j, (d, f) in enumerate(points) if j != i)
            ]
            return sorted(left, key=lambda i: points[i])

        return front

    def in_given_order(costs: list[float], errors: list[float]) -> list[int]:
        return sorted(pareto_front(costs, errors))

    def dearest_first(costs: list[float], errors: list[float]) -> list[int]:
        return pareto_front(costs, errors)[::-1]

    def dominated(costs: list[float], errors: list[float]) -> list[int]:
        front = pareto_front(costs, errors)
        return sorted(set(range(len(costs))) - set(front), key=lambda i: (costs[i], errors[i]))

    def numbers_of(values: int) -> Callable[[list[float], list[float]], list[float]]:
        def read(costs: list[float], errors: list[float]) -> list[float]:
            return [(costs, errors)[values][i] for i in pareto_front(costs, errors)]

        return read

    _require_sequence(function, *cases[0])
    rule = _(
        "Dominated: another one is no dearer and no worse, and strictly better in one of the two."
    )
    require_answers(
        function,
        "pareto_front",
        cases,
        pareto_front,
        [
            Wrong(
                kept(lambda d, f, c, e: d < c and f < e),
                _("a network beaten in one of the two and level in the other is kept."),
                rule,
            ),
            Wrong(
                kept(lambda d, f, c, e: d <= c and f <= e),
                _("two networks exactly level throw each other out."),
                rule,
            ),
            Wrong(
                lambda costs, errors: [min(range(len(costs)), key=lambda i: errors[i])],
                _("this is the smallest error alone; a cheaper network may be on the front too."),
                rule,
            ),
            Wrong(in_given_order, _("the right ones, but not from the cheapest to the dearest.")),
            Wrong(dearest_first, _("the right ones, but from the dearest to the cheapest.")),
            Wrong(dominated, _("these are the dominated ones; the others are asked for.")),
            Wrong(numbers_of(0), _("these are costs; the indices of the networks are asked for.")),
            Wrong(numbers_of(1), _("these are errors; the indices of the networks are asked for.")),
            Wrong(
                lambda costs, errors: sorted(range(len(costs)), key=lambda i: costs[i]),
                _("every network is kept; some are dominated."),
                rule,
            ),
        ],
        rule,
    )
    return correct(_("what nothing dominates, in the order of the costs, ties included."))


def _require_sequence(function: object, costs: list[float], errors: list[float]) -> None:
    """Flags instead of indices, a set, a generator: said before numbers are compared."""
    given = require_function(function, "pareto_front")(list(costs), list(errors))
    if isinstance(given, set | frozenset):
        reject(
            _("`pareto_front` gives back a set, which has no order."),
            _("`sorted(indices, key=lambda i: costs[i])` makes a list in the order of the costs."),
        )
    if isinstance(given, Sequence) and given and all(isinstance(item, bool) for item in given):
        reject(
            _("`pareto_front` gives back true and false; the indices are asked for."),
            _("`[i for i, kept in enumerate(flags) if kept]` turns flags into indices."),
        )


# --- 5. fair comparisons ----------------------------------------------------------------------

FAIR = "bf"
CHOICES = "abcdef"


def _reasons() -> dict[str, str]:
    """For each comparison, what to say when it is sorted wrong."""
    return {
        "a": _("with one seed nothing tells the gap from the noise."),
        "b": _("the same seeds, subtracted one by one, and an interval without zero: it is fair."),
        "c": _("the best of ten rewards the network that varies most, not the better one."),
        "d": _("A was chosen on the very scenes that judge it; B was not."),
        "e": _("the gap may come from three times the computing, and not from the design."),
        "f": _("the comparison of b, and a conclusion that says no more than it shows: fair."),
    }


@checker
def check_fair(fair: object) -> Feedback:
    """Check the letters of the comparisons that allow one to say whether A is better than B.

    >>> print(check_fair("bf").verdict)
    Correct
    """
    if is_blank(fair) or fair == "":
        unfilled_value("fair")
    if isinstance(fair, Iterable) and not isinstance(fair, str):
        items: list[Any] = list(fair)
        if not all(isinstance(item, str) for item in items):
            reject(_("`fair` should hold letters."), _('Letters in a string, for instance `"xy"`.'))
        fair = "".join(items)
    if not isinstance(fair, str):
        reject(
            _("`fair` should be a string of letters, not a value of type `{kind}`.").format(
                kind=kind_of(fair)
            ),
            _('Letters in a string, for instance `"xy"`.'),
        )
    letters = {letter for letter in fair.lower() if letter.isalpha()}
    unknown = sorted(letters - set(CHOICES))
    if unknown or not letters:
        reject(
            _("There is no comparison {letters}: they go from a to f.").format(
                letters=", ".join(unknown) or repr(fair)
            ),
            _('Letters in a string, for instance `"xy"`.'),
        )
    reasons = _reasons()
    too_many, missing = sorted(letters - set(FAIR)), sorted(set(FAIR) - letters)
    if too_many:
        reject(
            _("{letter} is not fair: {reason}").format(
                letter=f"`{too_many[0]}`", reason=reasons[too_many[0]]
            ),
            _("What could have favoured A without its architecture having anything to do with it?"),
        )
    if missing:
        reject(
            _("What you have chosen is fair, but one more comparison is."),
            _("“Not shown” can be an honest conclusion, and so can “shown”, with enough seeds."),
        )
    return correct(" ".join(f"`{letter}`: {reasons[letter]}" for letter in CHOICES))
