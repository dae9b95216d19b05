"""Lesson 5's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from checking import ABSURD, ABSURD_ANSWERS, BLANKS, Check, refused, told_where_it_broke

from course_utils.checks import Feedback
from course_utils.checks import your_network as checks
from course_utils.models import compose
from course_utils.models.stages import conv, dense, gap_head, identity, projection, transition

Layers = Sequence[tuple[int, int]]

BROKEN = [
    conv(16, stride=2),
    dense(3, growth_rate=8),
    transition(),
    projection(16, shortcut="A"),
    gap_head(),
]


def check_mended(answer: Any) -> Feedback:
    return checks.check_mended(answer, BROKEN)


FUNCTIONS: dict[str, Check] = {
    "field_by_hand": checks.check_field_by_hand,
    "pareto_front": checks.check_pareto_front,
}
VALUES: dict[str, Check] = {
    "mended": check_mended,
    "small": checks.check_small,
    "fair": checks.check_fair,
}
ALL = FUNCTIONS | VALUES


# --- what holds for all of them ---------------------------------------------------------------


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("blank", [None, ...], ids=repr)
def test_a_value_left_blank_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_function_left_blank_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("absurd", [*ABSURD, *ABSURD_ANSWERS, [3, 4]], ids=repr)
def test_an_absurd_answer_is_refused_without_an_exception(check: Check, absurd: object) -> None:
    assert check(absurd).passed is False


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=FUNCTIONS)
def test_code_that_raises_is_told_where(check: Check) -> None:
    told_where_it_broke(check)


@pytest.mark.parametrize("name", ["mended", "small"])
def test_a_design_with_a_line_left_blank_is_not_filled_in_yet(name: str) -> None:
    assert VALUES[name]([conv(16), ..., gap_head()]).passed is None


@pytest.mark.parametrize("name", ["mended", "small"])
def test_a_network_already_built_is_told_from_a_design(name: str) -> None:
    refused(VALUES[name], compose([conv(4), gap_head()]), "already built")


# --- 1. mend a stage --------------------------------------------------------------------------


def test_the_broken_design_is_broken() -> None:
    with pytest.raises(ValueError, match="Stage 4"):
        compose(BROKEN)


@pytest.mark.parametrize(
    "stage",
    [
        projection(16),
        projection(16, shortcut="B"),
        projection(20, shortcut="A"),
        projection(32, shortcut="A", stride=1),
    ],
    ids=repr,
)
def test_each_way_to_mend_the_stage_is_accepted(stage: Any) -> None:
    feedback = check_mended([*BROKEN[:3], stage, BROKEN[4]])
    assert feedback.passed, str(feedback)
    assert "stage 4" in feedback.message
    assert check_mended((*BROKEN[:3], stage, BROKEN[4]))


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (BROKEN, "line for line"),
        ([*BROKEN[:3], projection(19, shortcut="A"), gap_head()], "Stage 4"),
        ([*BROKEN[:3], gap_head()], "4 lines"),
        ([*BROKEN[:4], identity(), gap_head()], "6 lines"),
        ([conv(8, stride=2), *BROKEN[1:3], projection(16), gap_head()], "2 stages differ (1, 4)"),
        ([*BROKEN[:3], identity(), gap_head()], "another kind"),
        ([*BROKEN[:3], projection(16), projection(16)], "gap_head()"),
    ],
)
def test_a_wrong_mending_is_told(design: Any, words: str) -> None:
    refused(check_mended, design, words)


def test_another_stage_may_be_mended_if_one_is_enough() -> None:
    # 16 + 3·5 = 31 maps, 15 after the transition: option A can hold them in 16.
    assert check_mended([BROKEN[0], dense(3, growth_rate=5), *BROKEN[2:]])


# --- 2. the receptive field by hand -----------------------------------------------------------


def field(layers: Layers) -> int:
    return 1 + sum(
        (kernel - 1) * math.prod(stride for _k, stride in layers[:place])
        for place, (kernel, _stride) in enumerate(layers)
    )


def from_the_output(layers: Layers) -> int:
    """The other way to count: from one pixel of the output back to the image."""
    seen = 1
    for kernel, stride in reversed(layers):
        seen = (seen - 1) * stride + kernel
    return seen


@pytest.mark.parametrize("solution", [field, from_the_output])
def test_each_way_to_count_the_field_is_accepted(solution: Callable[[Layers], int]) -> None:
    assert checks.check_field_by_hand(solution)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda layers: field([(k, 1) for k, s in layers]), "strides are left out"),
        (lambda layers: field(layers) - 1, "position itself"),
        (lambda layers: field(list(reversed(layers))), "from the output to the input"),
        (lambda layers: sum(k for k, s in layers), "sum of the kernels"),
        (lambda layers: math.prod(s for k, s in layers), "step between two positions"),
        (
            lambda layers: (
                1
                + sum(
                    (k - 1) * math.prod(s for _k, s in layers[: i + 1])
                    for i, (k, s) in enumerate(layers)
                )
            ),
            "own stride",
        ),
        (
            lambda layers: (
                1 + sum(k * math.prod(s for _k, s in layers[:i]) for i, (k, s) in enumerate(layers))
            ),
            "not by k",
        ),
        (lambda layers: field(layers) + 4, "right shape, but not the right values"),
        (lambda layers: (field(layers), field(layers)), "of shape"),
    ],
)
def test_a_wrong_field_is_told(answer: Callable[[Layers], object], words: str) -> None:
    refused(checks.check_field_by_hand, answer, words)


# --- 3. a small network -----------------------------------------------------------------------

SMALL = [conv(12, stride=2), conv(24, stride=2), conv(24, times=2), gap_head()]


@pytest.mark.parametrize(
    "design",
    [
        SMALL,
        [conv(8, stride=2), projection(16), identity(), gap_head()],
        [conv(8, stride=2), conv(16, kernel_size=5, stride=2), conv(16), gap_head()],
    ],
    ids=["plain", "residual", "5×5"],
)
def test_each_small_network_is_accepted(design: Any) -> None:
    feedback = checks.check_small(design)
    assert feedback.passed, str(feedback)


def test_the_numbers_told_are_those_of_the_network() -> None:
    # 9·3·12 + 9·12·24 + 2·9·24·24 weights, two numbers a map of BN, and the linear layer
    weights = 9 * 3 * 12 + 9 * 12 * 24 + 2 * 9 * 24 * 24 + 2 * (12 + 3 * 24) + 24 * 10 + 10
    macs = 9 * 3 * 12 * 144 + 9 * 12 * 24 * 36 + 2 * 9 * 24 * 24 * 36 + 240
    message = checks.check_small(SMALL).message
    assert f"{weights:,} parameters" in message and f"{macs:,} multiply-adds" in message
    # 3, then 2 pixels a cell, then 4, twice: 3 + 2·2 + 2·(2·4)
    assert "sees 23 pixels" in message and "6×6" in message


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ([conv(12, stride=2), conv(48, stride=2), conv(48, times=2), gap_head()], "parameters"),
        ([conv(12), conv(24, times=2), gap_head()], "multiply-adds"),
        ([conv(8, stride=2), conv(8, stride=2), conv(8, stride=2), gap_head()], "3×3 cells"),
        ([conv(8, stride=2), conv(8, stride=2), gap_head()], "sees 7 pixels"),
        ([conv(8, stride=2), conv(8), conv(8, kernel_size=1), gap_head()], "sees 7 pixels"),
        ([conv(8), projection(4, shortcut="A"), gap_head()], "Stage 2"),
        ([conv(8)], "head"),
        ([conv, gap_head()], "parentheses"),
    ],
)
def test_a_network_that_misses_a_condition_is_told_which(design: Any, words: str) -> None:
    refused(checks.check_small, design, words)


# --- 4. the Pareto front ----------------------------------------------------------------------


def by_sweeping(costs: list[float], errors: list[float]) -> list[int]:
    """In the order of the costs, keep what is better than all that is cheaper."""
    front: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], errors[i])):
        level = front and (costs[i], errors[i]) == (costs[front[-1]], errors[front[-1]])
        if not front or errors[i] < errors[front[-1]] or level:
            front.append(i)
    return front


def by_definition(costs: list[float], errors: list[float], strictly: bool = True) -> list[int]:
    def dominates(j: int, i: int) -> bool:
        no_worse = costs[j] <= costs[i] and errors[j] <= errors[i]
        better = costs[j] < costs[i] or errors[j] < errors[i]
        return no_worse and (better if strictly else j != i)

    everyone = range(len(costs))
    kept = [i for i in everyone if not any(dominates(j, i) for j in everyone)]
    return sorted(kept, key=lambda i: costs[i])


@pytest.mark.parametrize("solution", [by_sweeping, by_definition])
def test_each_way_to_find_the_front_is_accepted(solution: Callable[..., Any]) -> None:
    assert checks.check_pareto_front(solution)
    assert checks.check_pareto_front(lambda c, e: torch.tensor(solution(c, e)))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda c, e: by_definition(c, e, strictly=False), "throw each other out"),
        (
            lambda c, e: sorted(
                (
                    i
                    for i in range(len(c))
                    if not any(c[j] < c[i] and e[j] < e[i] for j in range(len(c)))
                ),
                key=lambda i: (c[i], e[i]),
            ),
            "level in the other",
        ),
        (lambda c, e: [e.index(min(e))], "smallest error alone"),
        (lambda c, e: sorted(by_definition(c, e)), "not from the cheapest"),
        (lambda c, e: by_definition(c, e)[::-1], "from the dearest"),
        (lambda c, e: [c[i] for i in by_definition(c, e)], "these are costs"),
        (lambda c, e: [e[i] for i in by_definition(c, e)], "these are errors"),
        (lambda c, e: set(by_definition(c, e)), "no order"),
        (lambda c, e: [i in by_definition(c, e) for i in range(len(c))], "true and false"),
        (lambda c, e: sorted(range(len(c)), key=lambda i: c[i]), "every network is kept"),
        (lambda c, e: len(by_definition(c, e)), "of shape"),
    ],
)
def test_a_wrong_front_is_told(answer: Callable[..., object], words: str) -> None:
    refused(checks.check_pareto_front, answer, words)


# --- 5. fair comparisons ----------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["bf", "fb", "BF", "b, f", ["b", "f"], {"b", "f"}], ids=repr)
def test_the_fair_comparisons_are_accepted_in_any_order(answer: object) -> None:
    assert checks.check_fair(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("abf", "one seed"),
        ("bcf", "varies most"),
        ("bdf", "judge it"),
        ("bef", "computing"),
        ("b", "one more"),
        ("f", "one more"),
        ("z", "no comparison z"),
        ("12", "no comparison"),
        (["b", 3], "hold letters"),
    ],
)
def test_a_wrong_sorting_is_told(answer: object, words: str) -> None:
    refused(checks.check_fair, answer, words)
