"""Compare what a reader's function answers with a reference, and recognise plausible mistakes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.checks.feedback import is_blank, kind_of, reject, shown, unfilled
from course_utils.i18n import _, listed

__all__ = [
    "Mistake",
    "operators_of",
    "reject_changing",
    "require_answers",
    "require_differentiable",
    "require_function",
    "require_kept",
    "wrong_answers",
]

# Room for float32, in which the lessons compute, and far below any real difference.
_TOLERANCE = 1e-5
_LONGEST_CALL = 100  # characters

Case = tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer, and what to say to who gave it.

    Args:
        answer: the wrong function, to be called with the same arguments; or the wrong module.
        message: what is wrong, in the reader's language.
        hint: where to look; that of the exercise by default.
    """

    answer: Any
    message: str
    hint: str | None = None


def wrong_answers(*parts: Any) -> list[Mistake]:
    """Mistakes, in a row: each wrong answer, what is wrong with it and, perhaps, where to look.

    >>> one, other = wrong_answers(min, "the least.", max, "the most.", "Look at `sum`.")
    >>> one.message, one.hint, other.hint
    ('the least.', None, 'Look at `sum`.')
    """
    rows: list[list[Any]] = []
    for part in parts:
        if isinstance(part, str):
            rows[-1].append(part)
        else:
            rows.append([part])
    return [Mistake(*row) for row in rows]


def _rounding(wanted: Tensor) -> Tensor:
    """How far from expected values rounding may take an answer: nowhere from whole numbers."""
    exact = torch.zeros(wanted.shape)
    return _TOLERANCE * (1 + wanted.abs()) if wanted.is_floating_point() else exact


def require_answers(
    function: object,
    name: str,
    cases: Sequence[Case],
    reference: Callable[..., Any],
    mistakes: Sequence[Mistake],
    hint: str,
    *,
    room: Callable[[Tensor], Tensor] = _rounding,
    tidy: Callable[..., Any] = lambda answer, *case: answer,
) -> None:
    """End the check unless ``function`` answers as ``reference`` in every case.

    A wrong answer is explained by the first mistake that gives the same in every case, else by
    the first case in which it differs. Whole numbers are compared exactly.

    Args:
        function: what the reader wrote.
        name: what the exercise calls it.
        cases: arguments to call it with; tensors and lists among them must stay as they are. Code
            that breaks is judged by the cases before, so those that it is likely to survive come
            first.
        reference: the right function.
        mistakes: wrong ones to recognise, the likeliest first.
        hint: where to look when none of them is recognised.
        room: how far from each expected value an answer may be; by default, what rounding needs.
        tidy: brings answers that are equally right to one form; takes the answer, then the case.

    Raises:
        Stop: an answer is blank, wrong, no number, or another one when asked again.
    """
    function = require_function(function, name)
    wanted = [reference(*deepcopy(case)) for case in cases]

    def alike(answer: object, wanted: object, case: Case) -> bool:
        return _alike(tidy(answer, *case), tidy(wanted, *case), room)

    def made_by(mistake: Mistake, answer: object, case: Case) -> bool:
        try:
            return alike(answer, mistake.answer(*deepcopy(case)), case)
        except (RuntimeError, ValueError, ArithmeticError, LookupError):
            return False  # the mistake makes no sense here

    answers: list[object] = []
    wrong = None  # the number of the first wrong answer
    for number, case in enumerate(cases):
        try:
            answers.append(_answer_of(function, name, case))
        except Exception:
            if wrong is None:
                raise
            break
        if wrong is None and not alike(answers[number], wanted[number], case):
            wrong = number
    if wrong is not None:
        for mistake in mistakes:
            if all(made_by(mistake, *pair) for pair in zip(answers, cases, strict=False)):
                reject(f"`{name}` – {mistake.message}", mistake.hint or hint)
        _explain(name, cases[wrong], answers[wrong], wanted[wrong], hint)
    for expected, case in reversed(list(zip(wanted, cases, strict=True))):
        if not alike(_answer_of(function, name, case), expected, case):
            reject_changing(name)


def reject_changing(label: str) -> NoReturn:
    """End the check: the same input has been given two answers."""
    reject(
        _("`{label}` returns something else when it is called again.").format(label=label),
        _("Does it contain something random, or something kept from one call to the next?"),
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
            _("Pass `{name}` itself to the checker, without calling it.").format(name=name),
        )
    return answer


def require_kept(before: object, after: object, label: str) -> None:
    """End the check if what was given has been changed in place: ``after`` is not ``before``."""
    if not _same(before, after):
        lists = isinstance(before, tuple) and any(isinstance(value, list) for value in before)
        reject(
            _("`{label}` changes its own input, which the caller still needs.").format(label=label),
            _("`sort`, `reverse`, `pop` change the list itself; `sorted(…)` and `[…]` copy it.")
            if lists
            else _(
                "An in-place operation (`inplace=True`, `relu_`, `+=`) was applied to the input "
                "itself."
            ),
        )


def require_differentiable(answer: object, label: str) -> None:
    """End the check unless a gradient goes back from ``answer`` to the ``x`` that it came from."""
    if not isinstance(answer, Tensor) or not answer.requires_grad:
        reject(
            _("`{label}` lets no gradient flow back to `x`.").format(label=label),
            _("Look for `detach`, `.data`, `no_grad` or a detour through NumPy."),
        )


def operators_of(call: Callable[[], object]) -> set[str]:
    """The names of torch's own operators that run in ``call()``, whatever they are called by.

    >>> sorted(operators_of(lambda: torch.ones(2).relu()))
    ['aten::ones', 'aten::relu']
    """

    names: set[str] = set()

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(
            self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            names.add(operator.name())
            return operator(*args, **(kwargs or {}))

    with Noting():  # type: ignore[no-untyped-call]
        call()
    return names


# --- comparing --------------------------------------------------------------------------------


def _answer_of(function: Callable[..., object], name: str, case: Case) -> object:
    """What the reader's function answers to a copy of the case, which must stay as it was."""
    given = deepcopy(case)
    answer = function(*given)
    if is_blank(answer):
        unfilled(name)
    require_kept(case, given, name)
    try:
        _parts(answer)
    except (TypeError, ValueError, RuntimeError):
        reject(
            _("`{name}` returns {what}, and should return numbers or a tensor.").format(
                name=name, what=_named(answer)
            ),
            _("Look at what your code really returns."),
        )
    return answer


def _named(answer: object) -> str:
    """What an answer that is no number is, as feedback says it."""
    if not isinstance(answer, list | tuple):
        return _("a `{kind}`").format(kind=kind_of(answer))
    if not answer:
        return _("an empty `{kind}`").format(kind=kind_of(answer))
    kinds = dict.fromkeys(f"`{kind_of(item)}`" for item in answer)
    return _("a `{kind}` of {kinds}").format(kind=kind_of(answer), kinds=listed(kinds))


def _same(one: object, other: object) -> bool:
    """Whether two arguments are equal to the last bit, in whatever they are made of."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return _same([*one, *one.values()], [*other, *other.values()])
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return np.array_equal(np.asarray(one), np.asarray(other))


def _parts(answer: object) -> list[Tensor]:
    """An answer as tensors: one of all its numbers, or one for each tensor of a tuple."""
    if isinstance(answer, list | tuple) and any(
        isinstance(item, Tensor | np.ndarray) and item.ndim for item in answer
    ):
        return [_tensor(item) for item in answer]
    return [_tensor(answer)]


def _tensor(answer: object) -> Tensor:
    """A number, a sequence of numbers, an array or a tensor, as a tensor on the CPU."""
    if isinstance(answer, list | tuple):
        return torch.stack([_tensor(item) for item in answer])
    if isinstance(answer, Tensor):
        return answer.detach().cpu()
    return torch.from_numpy(np.array(answer))


def _alike(answer: object, wanted: object, room: Callable[[Tensor], Tensor]) -> bool:
    given, expected = _parts(answer), _parts(wanted)
    return len(given) == len(expected) and all(
        one.shape == other.shape
        and bool(((one.double() - other.double()).abs() <= room(other)).all())
        for one, other in zip(given, expected, strict=True)
    )


# --- telling ----------------------------------------------------------------------------------


def _explain(name: str, case: Case, answer: object, wanted: object, hint: str) -> NoReturn:
    """Say what was answered to a case and what is expected; in large tensors, where they differ."""
    given, expected = _parts(answer), _parts(wanted)
    large = (isinstance(wanted, Tensor) and wanted.ndim > 0) or len(expected) > 1
    if large and [part.shape for part in given] == [part.shape for part in expected]:
        one, other = (torch.cat([part.flatten() for part in parts]) for parts in (given, expected))
        place = int((one - other).abs().nan_to_num(torch.inf).argmax())
        pair = _told_apart(float(one[place]), float(other[place]))
        sentence = _(
            "`{call}` has the right shape but not the right values: it has {given} where it "
            "should have {wanted}."
        )
    else:
        pair = (
            (shown(answer, most=0), shown(wanted, most=0)) if large else _told_apart(answer, wanted)
        )
        sentence = _("`{call}` returns {given}, and should return {wanted}.")
    reject(sentence.format(call=_call(name, case), given=pair[0], wanted=pair[1]), hint)


def _told_apart(given: object, wanted: object) -> tuple[str, str]:
    """Both as feedback quotes them, with as many digits as it takes to see the difference."""
    for digits in (4, 6, 9, 17):
        pair = shown(given, digits), shown(wanted, digits)
        if pair[0] != pair[1]:
            break
    return pair


def _call(name: str, case: Case) -> str:
    """The call as one types it, where its arguments can be typed."""
    text = f"{name}({', '.join(map(repr, case))})"
    typed = not any(isinstance(value, Tensor) for value in case) and len(text) <= _LONGEST_CALL
    return text if typed else name
