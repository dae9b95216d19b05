"""Run a check on whatever a reader wrote: it never raises, leaves no trace, and ends in time."""

from __future__ import annotations

import ctypes
import functools
import random
import re
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.answers import verdicts
from course_utils.checks.feedback import Feedback, Stop
from course_utils.i18n import _, number

__all__ = ["checker", "text_of"]

_SEED = 20151210  # any number does, as long as every reader meets the same inputs
_LONGEST_ERROR = 300  # characters of an exception's text; torch's can run over a screen
_SECONDS = 20.0  # a check takes one or less on an idle machine
_AGAIN = 0.5  # seconds, where the reader's code has caught what should have stopped it


def checker(check: Callable[..., Feedback]) -> Callable[..., Feedback]:
    """Make ``check`` safe to call on anything a reader may have written.

    The function that comes back never raises: an exception becomes a :class:`Feedback` that names
    it and the reader's own line it came from, a stub (``...``, ``NotImplementedError``, an answer
    of ``None``) becomes ``passed=None``, and a loop without end is stopped after twenty seconds. It
    leaves no trace either: modules and tensors handed to it are copied first, the random states of
    Python, NumPy and torch, the default dtype and the gradient mode are put back, and every call
    meets the same random numbers.

    >>> from course_utils.checks.feedback import correct, reject
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
        def run() -> Feedback:
            copies = [_copied(value) for value in args]
            return check(*copies, **{key: _copied(value) for key, value in kwargs.items()})

        try:
            with _own_surroundings():
                feedback = _in_time(run)
        except Stop as stop:
            feedback = stop.feedback
        except (Exception, SystemExit, _TimeUp) as error:  # exit() must not end the kernel
            feedback = _feedback_on(error)
        verdicts[check.__name__] = feedback.passed
        return feedback

    return safe


def _copied(value: object) -> object:
    """A copy of a module or tensor, so that the reader's own keeps its mode, weights and grad."""
    if isinstance(value, nn.Module):
        return deepcopy(value)
    if isinstance(value, Tensor):
        return value.detach().clone()
    return value


@contextmanager
def _own_surroundings() -> Iterator[None]:
    """Random states, default dtype and device, gradient mode and thread of the check's own."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    # Without CUDA in use there is no state to save, and asking for it would start CUDA.
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = list(range(torch.cuda.device_count())) if in_use else []
    try:
        with torch.random.fork_rng(devices=gpus), torch.device("cpu"), torch.enable_grad():
            random.seed(_SEED)
            np.random.seed(_SEED)
            torch.default_generator.manual_seed(_SEED)
            torch.set_default_dtype(torch.float32)
            torch.set_num_threads(1)  # faster for tensors this small
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


# --- the time ---------------------------------------------------------------------------------


class _TimeUp(BaseException):
    """Raised in the reader's code when it has run too long; ``except Exception`` lets it pass."""


class _Clock:
    """A thread that raises :class:`_TimeUp` in the one that made it, at its next line of Python.

    So it works on all systems and in any thread, which a signal does not; what a single call of a
    compiled function does without end, nothing in the same process can stop.
    """

    def __init__(self) -> None:
        self._watched = ctypes.c_ulong(threading.get_ident())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        wait = _SECONDS
        while not self._over.wait(wait):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._watched, ctypes.py_object(_TimeUp))
            wait = _AGAIN

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        for _line in range(100):  # what is still to be raised is raised here
            pass


def _in_time(run: Callable[[], Feedback]) -> Feedback:
    """What ``run`` gives, or :class:`_TimeUp`."""
    clock = _Clock()
    try:
        try:
            clock.start()
            return run()
        finally:
            clock.stop()
    except _TimeUp:
        clock.stop()  # the one above may have been cut short
        raise


# --- exceptions -------------------------------------------------------------------------------


def _feedback_on(error: BaseException) -> Feedback:
    """What to say about an exception that the reader's answer raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_readers(frame.filename)]
    place, line = (own[-1].lineno, own[-1].line or "…") if own else ("?", "…")
    if isinstance(error, _TimeUp):
        message = _(
            "Your code was still running after {seconds} seconds and was stopped at line {number} "
            "of its cell or file: `{line}`"
        ).format(seconds=number(_SECONDS, 3), number=place, line=line)
        hint = _("Is there a loop that never ends? Look at what should make its condition false.")
        return Feedback(False, message, hint)
    if _comes_from_a_stub(error, bool(own) and own[-1] is frames[-1]):
        return Feedback(
            None,
            _("Part of the answer is still to be written."),
            _("Replace each `...` or `raise NotImplementedError` with your own code."),
        )
    what = text_of(error)
    if not own:
        message = _("Your code could not be run ({error}).").format(error=what)
    else:
        message = _(
            "Your code raised an exception ({error}) at line {number} of its cell or file: `{line}`"
        ).format(error=what, number=place, line=line)
    return Feedback(False, message, _advice(what))


def text_of(error: BaseException) -> str:
    """The name of an exception and what it says, in a line that is not too long."""
    try:
        text = " ".join(str(error).split())
    except Exception as unprintable:  # a reader's own exception class may be broken too
        text = type(unprintable).__name__
    if len(text) > _LONGEST_ERROR:
        text = text[:_LONGEST_ERROR] + "…"
    return f"{type(error).__name__}: {text}".rstrip(": ")


def _comes_from_a_stub(error: BaseException, raised_by_reader: bool) -> bool:
    # torch too raises NotImplementedError (an operation missing on a device): not a stub.
    if isinstance(error, NotImplementedError):
        return raised_by_reader or "forward" in text_of(error)
    # ``y = ...`` then ``y + x``, or ``nn.Sequential(...)``.
    return isinstance(error, TypeError) and "ellipsis" in text_of(error)


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
            "Two tensors that meet have different shapes: print both shapes just before this line."
        ),
        r"to have \d+ channels|running_mean should contain|channels in input": _(
            "A layer does not receive the number of channels that it was built for: follow this "
            "number from layer to layer."
        ),
        r"mat1 and mat2": _(
            "The number of features that come in is not the one that the weights were made for: "
            "print both shapes."
        ),
        r"scalar type|should be the same|same dtype": _(
            "Two types meet: is one of them set along the way (`.float()`, `.double()`, "
            "`dtype=...`)?"
        ),
        r"cannot be interpreted as an integer": _(
            "A number of layers or channels must be an integer: `/` returns a float, `//` an int."
        ),
        r"leaf Variable that requires grad": _(
            "Set weights by hand under `torch.no_grad()`, or with the functions of `nn.init`."
        ),
        r"modified by an inplace operation": _(
            "An in-place operation has overwritten values that the gradient needs."
        ),
        r"positional argument|keyword argument|required argument|unexpected keyword": _(
            "Compare the number and the names of the arguments with those of the exercise."
        ),
        r"^NameError|^ImportError|^ModuleNotFoundError": _(
            "Did you run the cell that defines or imports this name?"
        ),
        r"^AttributeError": _(
            "Is the attribute spelt the same way in `__init__` and in `forward`?"
        ),
        r"^RecursionError": _("A function or a module calls itself endlessly."),
    }
    for pattern, advice in known.items():
        if re.search(pattern, error):
            return advice
    return _(
        "Run your code by itself in a cell, on a small input, and read the last lines of the error."
    )
