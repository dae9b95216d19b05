"""Compare what a reader's function answers with a reference, and recognise plausible mistakes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.equivalence import require_input_kept
from course_utils.checks.feedback import is_blank, kind_of, reject, unfilled
from course_utils.i18n import _

__all__ = ["Wrong", "require_answers", "require_function"]

# Room for a detour through float32, far below any real difference.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer, and what to say to who gave it.

    Args:
        answer: what the wrong function gives for the same arguments.
        message: what is wrong, in the reader's language.
        hint: where to look.
    """

    answer: Callable[..., Any]
    message: str
    hint: str | None = None


def require_answers(
    function: object,
    name: str,
    cases: Sequence[tuple[Any, ...]],
    reference: Callable[..., Any],
    mistakes: Sequence[Wrong],
    hint: str,
) -> None:
    """End the check unless ``function`` answers as ``reference`` in every case.

    A wrong answer is explained by the first mistake that gives the same in every case, else by
    its shape, else by the first value that differs.

    Args:
        function: what the reader wrote.
        name: what the exercise calls it.
        cases: arguments to call it with; tensors among them must stay as they are.
        reference: the right function.
        mistakes: wrong ones to recognise, the likeliest first.
        hint: where to look when none of them is recognised.

    Raises:
        Stop: an answer is blank, wrong, or no number.
    """
    answers = [_answer_of(require_function(function, name), name, case) for case in cases]
    wanted = [_as_tensor(reference(*case)) for case in cases]
    if all(map(_alike, answers, wanted)):
        return
    for mistake in mistakes:
        if all(
            _alike(answer, _as_tensor(mistake.answer(*case)))
            for answer, case in zip(answers, cases, strict=True)
        ):
            reject(f"`{name}` – {mistake.message}", mistake.hint)
    for answer, expected in zip(answers, wanted, strict=True):
        if answer.shape != expected.shape:
            reject(
                _("`{name}` gives an answer of shape {given}; {wanted} is expected.").format(
                    name=name, given=tuple(answer.shape), wanted=tuple(expected.shape)
                ),
                hint,
            )
    answer, expected = next(pair for pair in zip(answers, wanted, strict=True) if not _alike(*pair))
    place = int((answer - expected).abs().nan_to_num(torch.inf).argmax())
    reject(
        _(
            "`{name}` has the right shape, but not the right values: {given:.4g} where {wanted:.4g}"
            " is expected."
        ).format(
            name=name,
            given=float(answer.flatten()[place]),
            wanted=float(expected.flatten()[place]),
        ),
        hint,
    )


def require_function(answer: object, name: str) -> Callable[..., object]:
    """The answer, if it is a function that has been written; else the end of the check."""
    if is_blank(answer):
        unfilled(name)
    if inspect.isclass(answer) or isinstance(answer, nn.Module) or not callable(answer):
        reject(
            _("`{name}` should be a function, not a value of type `{kind}`.").format(
                name=name, kind=kind_of(answer)
            ),
            _("Give the checker `{name}` itself, without calling it.").format(name=name),
        )
    return answer


def _answer_of(function: Callable[..., object], name: str, case: tuple[Any, ...]) -> Tensor:
    """What the reader's function answers, as a tensor; its arguments must stay as they were."""
    given = [value.clone() if isinstance(value, Tensor) else value for value in case]
    answer = function(*given)
    if is_blank(answer):
        unfilled(name)
    for before, after in zip(case, given, strict=True):
        if isinstance(before, Tensor):
            require_input_kept(before, after, name)
    try:
        return _as_tensor(answer)
    except (TypeError, ValueError, RuntimeError):
        reject(
            _("`{name}` answers with a `{kind}`; numbers or a tensor are expected.").format(
                name=name, kind=kind_of(answer)
            ),
            _("Look at what your code returns."),
        )


def _as_tensor(answer: object) -> Tensor:
    """A number, a sequence of numbers, an array or a tensor, as a float64 tensor."""
    if isinstance(answer, list | tuple):
        return torch.stack([_as_tensor(item) for item in answer])
    if isinstance(answer, Tensor):
        return answer.detach().cpu().double()
    array = np.asarray(answer, dtype=np.float64)
    return torch.from_numpy(np.array(array))


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=False
    )
