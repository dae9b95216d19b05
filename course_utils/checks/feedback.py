"""What a checker answers: a verdict, a sentence in the reader's language, sometimes a hint."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import NoReturn, Protocol

import numpy as np
from torch import Tensor

from course_utils.i18n import _, listed, number

__all__ = [
    "Feedback",
    "Stop",
    "correct",
    "is_blank",
    "kind_of",
    "reject",
    "shown",
    "unfilled",
    "unfilled_value",
]

# One of Okabe and Ito's colour-blind-safe hues each; the icon and the word say the same.
_CORRECT, _WRONG, _BLANK = "#009E73", "#D55E00", "#0072B2"
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])")
_MOST_NUMBERS = 12  # that are quoted one by one


@dataclass(frozen=True)
class Feedback:
    """What a checker answers: a verdict, a sentence about it, sometimes a hint.

    Args:
        passed: ``True`` (solved), ``False`` (not yet) or ``None`` (not filled in yet).
        message: what was seen.
        hint: where to look next; never the solution.

    A notebook shows it as a box; ``print`` shows the same words; ``if feedback:`` asks whether
    the exercise is solved.

    >>> print(Feedback(False, "The output has 4 channels, 8 expected.", hint="Look at `stride`."))
    Not yet: The output has 4 channels, 8 expected.
    Hint: Look at `stride`.
    >>> bool(Feedback(True, "Equal.")), bool(Feedback(None, "No answer."))
    (True, False)
    """

    passed: bool | None
    message: str
    hint: str | None = None

    @property
    def verdict(self) -> str:
        """The verdict as a word or two, in the reader's language."""
        if self.passed is None:
            return _("Not filled in yet")
        return _("Correct") if self.passed else _("Not yet")

    def __bool__(self) -> bool:
        return self.passed is True

    def __str__(self) -> str:
        text = _("{verdict}: {message}").format(verdict=self.verdict, message=self.message)
        hint = "" if self.hint is None else "\n" + _("Hint: {hint}").format(hint=self.hint)
        return _plain(text + hint)

    def _icon_and_colour(self) -> tuple[str, str]:
        if self.passed is None:
            return "✎", _BLANK
        return ("✔", _CORRECT) if self.passed else ("✘", _WRONG)

    def _repr_html_(self) -> str:
        icon, colour = self._icon_and_colour()
        hint = ""
        if self.hint is not None:
            title = _("Hint")
            hint = (
                f"<details style='margin-top: 0.4em'><summary>{_escape(title)}</summary>"
                f"{_escape(self.hint)}</details>"
            )
        # The text keeps the theme's own colour, so that it is readable in dark and light.
        return (
            f"<div role='note' style='border: 1px solid {colour}; "
            f"border-left: 0.5em solid {colour}; padding: 0.5em 0.8em; margin: 0.3em 0'>"
            f"<span aria-hidden='true'>{icon}</span> <strong>{_escape(self.verdict)}</strong> – "
            f"{_escape(self.message)}{hint}</div>"
        )

    def _repr_pretty_(self, printer: _Printer, cycle: bool) -> None:
        printer.text(str(self))  # in a console, the words and not the fields

    def _repr_markdown_(self) -> str:
        icon, _colour = self._icon_and_colour()
        lines = [f"> {icon} **{self.verdict}** – {self.message}"]
        if self.hint is not None:
            lines += [">", "> " + _("*Hint:* {hint}").format(hint=self.hint)]
        return "\n".join(lines)


class _Printer(Protocol):
    """The part of IPython's pretty printer used here."""

    def text(self, text: str) -> object: ...


def _escape(text: str) -> str:
    """``text`` as HTML: what stands between backticks as code, between asterisks emphasised.

    >>> _escape("what it *reads*: `a * b * c`, and f*")
    'what it <em>reads</em>: <code>a * b * c</code>, and f*'
    """
    parts = re.split(r"`([^`]+)`", html.escape(text))
    parts[::2] = [_EMPHASIS.sub(r"<em>\1</em>", part) for part in parts[::2]]
    parts[1::2] = [f"<code>{part}</code>" for part in parts[1::2]]
    return "".join(parts)


def _plain(text: str) -> str:
    """``text`` as a terminal shows it, which has no emphasis.

    >>> _plain("what it *reads*: `a * b * c`")
    'what it reads: `a * b * c`'
    """
    parts = re.split(r"(`[^`]+`)", text)
    parts[::2] = [_EMPHASIS.sub(r"\1", part) for part in parts[::2]]
    return "".join(parts)


class Stop(Exception):
    """Ends a check at once with the feedback it carries; :func:`checker` hands that back."""

    def __init__(self, feedback: Feedback) -> None:
        super().__init__(feedback.message)
        self.feedback = feedback


def correct(message: str, hint: str | None = None) -> Feedback:
    """The feedback for a solved exercise; ``hint`` may carry a remark."""
    return Feedback(True, message, hint)


def reject(message: str, hint: str | None = None) -> NoReturn:
    """End the check here: the answer is wrong, and ``message`` says how."""
    raise Stop(Feedback(False, message, hint))


def unfilled(name: str) -> NoReturn:
    """End the check here: what is called ``name`` has not been written yet."""
    raise Stop(
        Feedback(
            None,
            _("`{name}` does not return anything yet.").format(name=name),
            _("If you have written it already, a `return` may be missing."),
        )
    )


def unfilled_value(name: str) -> NoReturn:
    """End the check here: the value called ``name`` is still the blank of the exercise."""
    raise Stop(Feedback(None, _("`{name}` is not filled in yet.").format(name=name)))


def is_blank(value: object) -> bool:
    """Whether a value is what an exercise left blank gives: ``None``, ``...``, or some in a tuple.

    >>> is_blank(...), is_blank((0.5, ..., ...)), is_blank(0.0)
    (True, True, False)
    """
    if isinstance(value, tuple | list):
        return any(is_blank(item) for item in value)
    return value is None or value is Ellipsis


def kind_of(value: object) -> str:
    """The name of a value's type, as feedback quotes it."""
    return type(value).__name__


def shown(value: object, digits: int = 4, most: int = _MOST_NUMBERS) -> str:
    """A value as feedback quotes it: numbers as the reader's language does, tensors by their shape.

    ``digits`` are the significant ones of a float, whose whole part is quoted in full; of a tensor,
    ``most`` numbers are quoted.

    >>> shown(123642856), shown((1, 1 / 6)), shown(np.ones((2, 3))), shown("text")
    ('123,642,856', '(1; 0.1667)', 'an array of shape (2, 3)', 'a value of type `str`')
    """
    if isinstance(value, Tensor | np.ndarray):
        shape = tuple(value.shape)
        if len(shape) > 1 or (shape and shape[0] > most):
            kind = _("a tensor of shape {shape}"), _("an array of shape {shape}")
            return kind[not isinstance(value, Tensor)].format(shape=shape)
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple) and len(value) == 1:
        return _("{item} in a `{kind}`").format(item=shown(value[0], digits), kind=kind_of(value))
    if isinstance(value, list | tuple) and len(value) <= _MOST_NUMBERS:
        return f"({listed(shown(item, digits, most=0) for item in value)})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _("a value of type `{kind}`").format(kind=kind_of(value))
    whole = len(str(abs(round(value)))) if math.isfinite(value) else 0
    return number(value, whole if isinstance(value, int) else max(whole, digits))
