"""What the tests of the exercises' checkers share: absurd answers, blanks, and what is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from course_utils.checks import Feedback

Check = Callable[[Any], Feedback]
Table = Mapping[Check, Mapping[str, object]]

ABSURD: list[object] = [
    *(3, -1.5, "text", [], {}, object(), torch.ones(2), [3, 4]),
    *(nn.ReLU(), nn.ReLU, int, len, math.sqrt),
    lambda *args, **options: "text",
    lambda *args, **options: {},
    lambda *args, **options: [],
    lambda *args, **options: object(),
    lambda *args, **options: [torch.ones(2), torch.ones(3)],
    lambda *args, **options: (torch.ones(2), "text"),
    lambda *args, **options: math.nan,
    lambda *args, **options: nn.ReLU(),
    lambda *args, **options: nn.ReLU,
]
"""What no exercise asks for."""


def unwritten(*args: object, **options: object) -> object:
    raise NotImplementedError


BLANKS: list[object] = [
    *(None, ...),
    *(unwritten, lambda *args, **options: None, lambda *args, **options: ...),
]
"""Exercises left as they are, values first."""


class Each(list[object]):
    """Several answers of which the same is said."""


def _answers(table: Table) -> list[Any]:
    """Parameters of a test, (checker, key, answer), from answers by checker and by key."""
    return [
        pytest.param(check, key, answer, id=f"{check.__name__[6:]}-{key}")
        for check, group in table.items()
        for key, found in group.items()
        for answer in (found if isinstance(found, Each) else [found])
    ]


def accepted(check: Check, answer: object) -> Feedback:
    """The answer is right."""
    feedback = check(answer)
    assert feedback.passed is True, str(feedback)
    return feedback


def refused(check: Check, answer: object, words: str) -> Feedback:
    """The answer is wrong and the feedback holds ``words``, all of them if a bar parts them."""
    feedback = check(answer)
    assert feedback.passed is False, str(feedback)
    for word in words.split(" | "):
        assert word in str(feedback), str(feedback)
    return feedback


def each_refused(wrong: Table) -> Callable[..., None]:
    """A test that tells each wrong answer what is wrong with it, in words that are its key."""

    @pytest.mark.parametrize(("check", "words", "answer"), _answers(wrong))
    def test(check: Check, words: str, answer: object) -> None:
        refused(check, answer, words)

    return test


def each_accepted(right: Table) -> Callable[..., None]:
    """A test that accepts each right answer, whatever its style, which is its key."""

    @pytest.mark.parametrize(("check", "style", "answer"), _answers(right))
    def test(check: Check, style: str, answer: object) -> None:
        accepted(check, answer)

    return test


def conv(i: int, o: int, k: int = 3, s: int = 1, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the size and has no bias, unless told otherwise."""
    return nn.Conv2d(i, o, k, s, **{"padding": k // 2, "bias": False, **options})


def bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)
