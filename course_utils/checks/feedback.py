"""Tell a reader whether an exercise is solved, in their language, without ever raising."""

from __future__ import annotations

import functools
import html
import inspect
import random
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.i18n import _

__all__ = [
    "Feedback",
    "Stop",
    "build",
    "checker",
    "correct",
    "is_blank",
    "kind_of",
    "reject",
    "unfilled",
    "unfilled_value",
]

# One of Okabe and Ito's colour-blind-safe hues each; the icon and the word say the same.
_CORRECT, _WRONG, _BLANK = "#009E73", "#D55E00", "#0072B2"
_SEED = 20151210  # any number does, as long as every reader meets the same inputs
_LONGEST_ERROR = 300  # characters of an exception's text; torch's can run over a screen


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
        return text if self.hint is None else text + "\n" + _("Hint: {hint}").format(hint=self.hint)

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
    """``text`` as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


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
            _("`{name}` gives nothing back so far.").format(name=name),
            _("If you have already written it, a `return` may be missing."),
        )
    )


def unfilled_value(name: str) -> NoReturn:
    """End the check here: the value called ``name`` is still the blank of the exercise."""
    raise Stop(Feedback(None, _("`{name}` has not been filled in yet.").format(name=name)))


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


def checker(check: Callable[..., Feedback]) -> Callable[..., Feedback]:
    """Make ``check`` safe to call on anything a reader may have written.

    The function that comes back never raises: an exception becomes a :class:`Feedback` that names
    it and the reader's own line it came from, and a stub (``...``, ``NotImplementedError``, an
    answer of ``None``) becomes ``passed=None``. It leaves no trace either: modules and tensors
    handed to it are copied first, the random states of Python, NumPy and torch, the default dtype
    and the gradient mode are put back, and every call meets the same random numbers.

    >>> @checker
    ... def check_half(function):
    ...     if function(4) != 2:
    ...         reject("`half(4)` should be 2.")
    ...     return correct("Right.")
    >>> print(check_half(lambda x: x / 2))
    Correct: Right.
    >>> check_half(lambda x: x / 0).passed
    False
    """

    @functools.wraps(check)
    def safe(*args: object, **kwargs: object) -> Feedback:
        try:
            with _own_surroundings():
                copies = [_copied(value) for value in args]
                return check(*copies, **{key: _copied(value) for key, value in kwargs.items()})
        except Stop as stop:
            return stop.feedback
        except (Exception, SystemExit) as error:  # a reader's exit() must not end the kernel
            return _feedback_on(error)

    return safe


@contextmanager
def _own_surroundings() -> Iterator[None]:
    """Random states, default dtype and device, and gradient mode of the check's own."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    dtype = torch.get_default_dtype()
    # Without CUDA in use there is no state to save, and asking for it would start CUDA.
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = list(range(torch.cuda.device_count())) if in_use else []
    try:
        with torch.random.fork_rng(devices=gpus), torch.device("cpu"), torch.enable_grad():
            random.seed(_SEED)
            np.random.seed(_SEED)
            torch.default_generator.manual_seed(_SEED)
            torch.set_default_dtype(torch.float32)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_default_dtype(dtype)


def _copied(value: object) -> object:
    """A copy of a module or tensor, so that the reader's own keeps its mode, weights and grad."""
    if isinstance(value, nn.Module):
        return deepcopy(value)
    if isinstance(value, Tensor):
        return value.detach().clone()
    return value


def build(answer: object, name: str, *args: object, **kwargs: object) -> nn.Module:
    """Call what the reader wrote to make a module, and copy the module to float64 on the CPU.

    Args:
        answer: the class or function.
        name: what the exercise calls it.
        args, kwargs: what to call it with.

    Raises:
        Stop: the answer is blank, or does not make a module; the feedback says why.

    >>> build(nn.ReLU, "activation")
    ReLU()
    """
    if is_blank(answer) or _lacks_forward(answer):
        unfilled(name)
    if isinstance(answer, nn.Module):
        reject(
            _("This is a module already made; the check makes its own."),
            _("Give the checker `{name}` itself, without calling it.").format(name=name),
        )
    if not callable(answer):
        reject(
            _("A function or a class is expected, not a value of type `{kind}`.").format(
                kind=kind_of(answer)
            ),
            _("Give the checker `{name}` itself, without calling it.").format(name=name),
        )
    module = answer(*args, **kwargs)
    if is_blank(module):
        unfilled(name)
    if inspect.isclass(module):
        reject(
            _("`{name}` gives back the class `{kind}`, not a module made with it.").format(
                name=name, kind=module.__name__
            ),
            _("A class makes a module when it is called, with parentheses."),
        )
    if not isinstance(module, nn.Module):
        reject(
            _("`{name}` gives back a `{kind}`; an `nn.Module` is expected.").format(
                name=name, kind=kind_of(module)
            ),
            _("A class must derive from `nn.Module`; a function must `return` a module."),
        )
    if "_modules" not in vars(module):
        if is_blank(type(module).forward(module, torch.zeros(1))):
            unfilled(name)
        reject(
            _("`{name}` never calls `super().__init__()`.").format(name=name),
            _("It comes first in `__init__`: without it, torch cannot keep track of the layers."),
        )
    for inner in module.modules():
        _require_registered(inner, name)
    # MPS has no float64: to the CPU first.
    return deepcopy(module).cpu().double()


def _require_registered(module: nn.Module, name: str) -> None:
    """Layers in a plain list would have no weights in ``parameters()``, and never learn."""
    known = set(module.modules())
    for attribute in vars(module).keys() - vars(nn.Module()).keys():
        value = getattr(module, attribute)
        items = value.values() if isinstance(value, dict) else value
        if isinstance(value, list | tuple | dict) and any(
            isinstance(item, nn.Module) and item not in known for item in items
        ):
            reject(
                _(
                    "`{name}` keeps layers in a Python {kind}, `{attribute}`, where torch does not "
                    "see them: their weights would never be trained."
                ).format(name=name, kind=kind_of(value), attribute=attribute),
                _("torch has containers for layers: `nn.Sequential`, `nn.ModuleList`."),
            )


def _lacks_forward(answer: object) -> bool:
    return (
        inspect.isclass(answer)
        and issubclass(answer, nn.Module)
        and answer.forward is nn.Module.forward
    )


def _feedback_on(error: BaseException) -> Feedback:
    """What to say about an exception that the reader's answer raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_readers(frame.filename)]
    if _comes_from_a_stub(error, bool(own) and own[-1] is frames[-1]):
        return Feedback(
            None,
            _("Part of the answer is still to be written."),
            _("Replace each `...` or `raise NotImplementedError` by your own code."),
        )
    what = f"{type(error).__name__}: {_text_of(error)}".rstrip(": ")
    if not own:
        message = _("Your code could not be run ({error}).").format(error=what)
    else:
        message = _(
            "Your code raised an exception ({error}) at line {number} of its cell or file: `{line}`"
        ).format(error=what, number=own[-1].lineno, line=own[-1].line or "…")
    return Feedback(False, message, _advice(what))


def _text_of(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception as unprintable:  # a reader's own exception class may be broken too
        return type(unprintable).__name__
    return text if len(text) <= _LONGEST_ERROR else text[:_LONGEST_ERROR] + "…"


def _comes_from_a_stub(error: BaseException, raised_by_reader: bool) -> bool:
    # torch too raises NotImplementedError (an operation missing on a device): not a stub.
    if isinstance(error, NotImplementedError):
        return raised_by_reader or "forward" in _text_of(error)
    # ``y = ...`` then ``y + x``, or ``nn.Sequential(...)``.
    return isinstance(error, TypeError) and "ellipsis" in _text_of(error)


@functools.lru_cache
def _library_folders() -> tuple[Path, ...]:
    """Where code lives that no reader wrote: this package, the standard library, the installed."""
    installed = (sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    packages = (Path(module.__file__ or "").parent for module in (torch, np))
    return (
        Path(__file__).resolve().parents[1],
        *(Path(folder).resolve() for folder in installed),
        *(package.resolve() for package in packages),
    )


def _is_readers(filename: str) -> bool:
    if filename.startswith("<"):  # no file: a cell of older kernels, or code made by a library
        return filename.startswith(("<ipython-input", "<stdin", "<doctest"))
    path = Path(filename).resolve()
    return not any(path.is_relative_to(folder) for folder in _library_folders())


def _advice(error: str) -> str:
    """Where to look, from the words of an exception; torch's are often about the symptom."""
    known = {
        r"before Module\.__init__": _(
            "`super().__init__()` must come before the first layer is assigned to `self`."
        ),
        r"size of tensor a|must match the existing size|Sizes of tensors must match": _(
            "Two tensors that meet have different shapes. Print both: a 3×3 convolution keeps the "
            "map's size only with `padding=1`, and the stride and the number of channels must "
            "agree in the two branches."
        ),
        r"to have \d+ channels|running_mean should contain|channels in input": _(
            "The channels that a layer receives are not those it was made for: follow their number "
            "from layer to layer."
        ),
        r"mat1 and mat2": _(
            "The linear layer receives another number of features than it was made for: what is "
            "the shape after the pooling?"
        ),
        r"scalar type|should be the same": _(
            "The check computes in float64: is a type fixed on the way (`.float()`, `dtype=...`)?"
        ),
        r"cannot be interpreted as an integer": _(
            "A number of layers or channels must be whole: `/` gives a float, `//` an int."
        ),
        r"leaf Variable that requires grad": _(
            "Weights are written by hand under `torch.no_grad()`, or with the functions of "
            "`nn.init`."
        ),
        r"modified by an inplace operation": _(
            "An in-place operation has overwritten values that the gradient needs."
        ),
        r"positional argument|keyword argument|required argument|unexpected keyword": _(
            "Compare the names and number of the arguments with those in the exercise."
        ),
        r"^NameError|^ImportError|^ModuleNotFoundError": _(
            "Has the cell that defines or imports this name been run?"
        ),
        r"^AttributeError": _("Is the attribute spelt the same in `__init__` and in `forward`?"),
        r"^RecursionError": _("A function or module calls itself without end."),
    }
    for pattern, advice in known.items():
        if re.search(pattern, error):
            return advice
    return _("Run your code by itself in a cell, on a small input, and read the last lines.")
