"""What the tests of every lesson's checkers share: absurd answers, blanks, and what is asked."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from course_utils.checks import Feedback

Check = Callable[[Any], Feedback]

ABSURD: list[object] = [
    *(3, -1.5, "text", [], {}, object(), torch.ones(2)),
    *(nn.ReLU(), nn.ReLU, int, len, math.sqrt),
]
"""What no exercise asks for."""

ABSURD_ANSWERS: list[Callable[..., object]] = [
    lambda *args, **options: "text",
    lambda *args, **options: {},
    lambda *args, **options: [],
    lambda *args, **options: object(),
    lambda *args, **options: [torch.ones(2), torch.ones(3)],
    lambda *args, **options: math.nan,
]
"""Functions that answer what no exercise asks for."""


def unwritten(*args: object, **options: object) -> object:
    raise NotImplementedError


BLANKS: list[object] = [
    *(None, ...),
    *(unwritten, lambda *args, **options: None, lambda *args, **options: ...),
]
"""Exercises left as they are, values first."""


def broken(*args: object, **options: object) -> float:
    return 1 / 0


def accepted(check: Check, answer: object) -> Feedback:
    """The answer is right."""
    feedback = check(answer)
    assert feedback.passed is True, str(feedback)
    return feedback


def refused(check: Check, answer: object, *words: str) -> Feedback:
    """The answer is wrong and the feedback holds ``words``, in its message or its hint."""
    feedback = check(answer)
    assert feedback.passed is False, str(feedback)
    for word in words:
        assert word in str(feedback), str(feedback)
    return feedback


def told_where_it_broke(check: Check) -> None:
    """Code that raises is refused: which exception, at which line, and what stands there."""
    line = str(broken.__code__.co_firstlineno + 1)
    refused(check, broken, "ZeroDivisionError", "return 1 / 0", line)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """What runs within leaves the random states of torch, Python and NumPy as they were."""

    def states() -> tuple[object, ...]:
        numpy_state = np.random.get_state(legacy=False)["state"]
        return (
            torch.get_rng_state().tolist(),
            random.getstate(),
            numpy_state["key"].tolist(),
            numpy_state["pos"],
        )

    torch.manual_seed(3)
    before = states()
    yield
    assert states() == before
