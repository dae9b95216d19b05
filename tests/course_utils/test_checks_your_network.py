"""Lesson 5's checkers: they accept what is right however written, and say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from checking import Check, Each, each_accepted, each_refused

from course_utils.checks import Feedback
from course_utils.checks import your_network as checks
from course_utils.models import compose
from course_utils.models.stages import conv, dense, gap_head, identity, projection

Layers = Sequence[tuple[int, int]]

BROKEN = list(checks.BROKEN)


def check_mended(answer: Any) -> Feedback:
    return checks.check_mended(answer, BROKEN)


def mended(*last: Any) -> list[Any]:
    return [*BROKEN[:3], *last]


MENDED: dict[str, object] = {
    "still the broken design": BROKEN,
    "Stage 4": mended(projection(19, shortcut="A"), gap_head()),
    "as many lines as `broken`": Each([mended(gap_head()), mended(identity(), gap_head(), 1)]),
    "2 stages differ from the original (1, 4)": [conv(8), *BROKEN[1:3], projection(16), gap_head()],
    "gap_head()": mended(projection(16), projection(16)),
    "already built": compose([conv(4), gap_head()]),
    "not a value of type `generator`": (stage for stage in BROKEN),
}
RIGHTLY_MENDED: dict[str, object] = {
    "option B": mended(projection(16), gap_head()),
    "a tuple": tuple(mended(projection(16, shortcut="B"), gap_head())),
    "20 maps": mended(projection(20, shortcut="A"), gap_head()),
    "more maps": mended(projection(32, shortcut="A", stride=1), gap_head()),
    "another kind of stage": mended(identity(), gap_head()),
    # 16 + 3·5 = 31 maps, 15 after the transition: option A can hold them in 16.
    "another stage": [BROKEN[0], dense(3, growth_rate=5), *BROKEN[2:]],
}


def test_the_broken_design_is_broken() -> None:
    with pytest.raises(ValueError, match="Stage 4"):
        compose(BROKEN)


def test_a_design_mended_in_place_is_compared_with_the_lessons_own() -> None:
    broken = list(checks.BROKEN)
    assert "still the broken design" in checks.check_mended(broken, broken).message
    broken[3] = projection(16)
    feedback = checks.check_mended(broken, broken)
    assert feedback.passed and "stage 4" in feedback.message
    broken[0] = conv(8, stride=2)
    assert "2 stages differ" in checks.check_mended(broken, broken).message


def test_a_design_with_a_line_left_blank_is_not_filled_in_yet() -> None:
    for check in (check_mended, checks.check_small):
        assert check([conv(16), ..., gap_head()]).passed is None


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


def changing(change: Callable[[Any], object]) -> Callable[..., int]:
    def answer(layers: Layers) -> int:
        seen = field(layers)
        change(layers)
        return seen

    return answer


FIELD: dict[str, object] = {
    "field_by_hand([(3, 1)])` returns 7, and should return 3": lambda layers: field(layers) + 4,
    "returns (3; 3), and should return 3": lambda layers: (field(layers), field(layers)),
    "returns 35, and should return 24": lambda layers: field(
        [(k // 2 * 2 + 1, s) for k, s in layers]
    ),
    "changes its own input | `reverse`": Each(
        [
            changing(lambda layers: layers.reverse()),
            changing(lambda layers: layers.sort()),
            changing(lambda layers: layers and layers.pop()),
        ]
    ),
}

SMALL = [conv(12, stride=2), conv(24, stride=2), conv(24, times=2), gap_head()]
TOO_LARGE: dict[str, object] = {
    "parameters": [conv(12, stride=2), conv(48, stride=2), conv(48, times=2), gap_head()],
    "multiply-adds": [conv(12), conv(24, times=2), gap_head()],
    "3×3 cells": [*[conv(8, stride=2)] * 3, gap_head()],
    "sees 1 pixel, and 15": [gap_head()],
    "sees 7 pixels": Each(
        [
            [conv(8, stride=2), conv(8, stride=2), gap_head()],
            [conv(8, stride=2), conv(8), conv(8, kernel_size=1), gap_head()],
        ]
    ),
    "Stage 2": [conv(8), projection(4, shortcut="A"), gap_head()],
    "head": [conv(8)],
    "parentheses": [conv, gap_head()],
    "already built": compose([conv(4), gap_head()]),
}


def test_the_numbers_told_are_those_of_the_network() -> None:
    # 9·3·12 + 9·12·24 + 2·9·24·24 weights, two numbers a map of BN, and the linear layer
    weights = 9 * 3 * 12 + 9 * 12 * 24 + 2 * 9 * 24 * 24 + 2 * (12 + 3 * 24) + 24 * 10 + 10
    macs = 9 * 3 * 12 * 144 + 9 * 12 * 24 * 36 + 2 * 9 * 24 * 24 * 36 + 240
    message = checks.check_small(SMALL).message
    assert f"{weights:,} parameters" in message and f"{macs:,} multiply-adds" in message
    # 3, then 2 pixels a cell, then 4, twice: 3 + 2·2 + 2·(2·4)
    assert "sees 23 pixels" in message and "6×6" in message


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


def twins_backwards(costs: list[float], errors: list[float]) -> list[int]:
    return sorted(by_definition(costs, errors), key=lambda i: (costs[i], -i))


def beaten_in_both(c: list[float], e: list[float]) -> list[int]:
    everyone = range(len(c))
    kept = [i for i in everyone if not any(c[j] < c[i] and e[j] < e[i] for j in everyone)]
    return sorted(kept, key=lambda i: (c[i], e[i]))


def sorting(costs: list[float], errors: list[float]) -> list[int]:
    front = by_definition(costs, errors)
    costs.sort()
    return front


FRONT: dict[str, object] = {
    "level on the other": beaten_in_both,
    "no order": lambda c, e: set(by_definition(c, e)),
    "returns booleans": lambda c, e: [i in by_definition(c, e) for i in range(len(c))],
    "returns 3, and should return (1; 2; 0)": lambda c, e: len(by_definition(c, e)),
    "returns 1 in a `list`, and should return (1; 2; 0)": lambda c, e: by_definition(c, e)[:1],
    "returns an empty `list`, and should return numbers": lambda c, e: [],
    "returns a `list` of `str`, and should return numbers": lambda c, e: list(
        map(str, by_definition(c, e))
    ),
    "changes its own input | `sort`": sorting,
}

FAIR: dict[str, object] = {
    "one seed": "abf",
    "varies most": "bcf",
    "judge it": "bdf",
    "computation": "bef",
    "one more": Each(["b", "f"]),
    "no comparison z": "z",
    "no comparison": "12",
    "contain letters": Each([["b", 3], [3, 4]]),
    "not a value of type `dict`": {"b": "f"},
}

WRONG: dict[Check, dict[str, object]] = {
    check_mended: MENDED,
    checks.check_field_by_hand: FIELD,
    checks.check_small: TOO_LARGE,
    checks.check_pareto_front: FRONT,
    checks.check_fair: FAIR,
}
RIGHT: dict[Check, dict[str, object]] = {
    check_mended: RIGHTLY_MENDED,
    checks.check_field_by_hand: {"from the image": field, "from the output": from_the_output},
    checks.check_small: {
        "plain": SMALL,
        "residual": [conv(8, stride=2), projection(16), identity(), gap_head()],
        "5×5": [conv(8, stride=2), conv(16, kernel_size=5, stride=2), conv(16), gap_head()],
    },
    checks.check_pareto_front: {
        "sweeping": by_sweeping,
        "definition": by_definition,
        "twins the other way": twins_backwards,
        "tensor": lambda c, e: torch.tensor(by_sweeping(c, e)),
    },
    checks.check_fair: {
        **{repr(answer): answer for answer in ("bf", "fb", "BF", "b, f")},
        "list": ["b", "f"],
        "set": {"b", "f"},
    },
}


test_a_wrong_answer_is_told_what_is_wrong = each_refused(WRONG)
test_a_right_answer_is_accepted_in_whatever_style = each_accepted(RIGHT)
