"""What holds for the checkers of all 32 exercises: nothing that a reader types makes them raise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from checking import ABSURD, BLANKS, Check, refused
from torch import Tensor, nn

from course_utils.checks import conv_1x1, degradation, densenet, gap_cam, running, your_network

LESSONS: tuple[ModuleType, ...] = (conv_1x1, gap_cam, degradation, densenet, your_network)
VALUES = ("check_mended", "check_small", "check_fair")
MODULES = (
    *("check_nin_block", "check_conv_bn_relu", "check_identity_layer", "check_identity_block"),
    *("check_projection_block", "check_bottleneck_block", "check_stage", "check_resnet"),
    *("check_dense_layer", "check_bottleneck_layer", "check_dense_block", "check_transition"),
    "check_densenet",
)


def check_mended(answer: Any) -> Any:
    return your_network.check_mended(answer, your_network.BROKEN)


ALL: dict[str, Check] = {
    name: check_mended if name == "check_mended" else getattr(lesson, name)
    for lesson in LESSONS
    for name in lesson.__all__
    if name.startswith("check_")
}
CALLED = {name: check for name, check in ALL.items() if name not in VALUES}


def test_every_exercise_has_its_checker() -> None:
    assert len(ALL) == 32


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("blank", [None, ...], ids=repr)
def test_a_value_left_blank_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("check", CALLED.values(), ids=CALLED)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_stub_is_not_filled_in_yet(check: Check, blank: object) -> None:
    assert check(blank).passed is None


@pytest.mark.parametrize("name", MODULES)
def test_a_class_left_as_it_is_in_the_notebook_is_not_filled_in_yet(name: str) -> None:
    class Stub(nn.Module):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor: ...

    assert ALL[name](Stub).passed is None
    assert ALL[name](lambda *args, **kwargs: Stub()).passed is None


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
@pytest.mark.parametrize("absurd", ABSURD, ids=repr)
def test_an_absurd_answer_is_refused_without_an_exception(check: Check, absurd: object) -> None:
    assert check(absurd).passed is False


@pytest.mark.parametrize("check", CALLED.values(), ids=CALLED)
def test_code_that_raises_is_told_where(check: Check) -> None:
    def broken(*args: object, **options: object) -> float:
        return 1 / 0

    line = str(broken.__code__.co_firstlineno + 1)
    refused(check, broken, f"ZeroDivisionError | return 1 / 0 | {line}")


@pytest.mark.parametrize("name", MODULES)
def test_a_forward_that_raises_is_told_where(name: str) -> None:
    class Broken(nn.Module):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return self.missing(x)

    refused(ALL[name], Broken, "self.missing(x) | spelt the same")


@pytest.mark.parametrize("check", CALLED.values(), ids=CALLED)
def test_a_loop_without_end_is_stopped(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*args: object, **options: object) -> object:
        while True:
            pass

    monkeypatch.setattr(running, "_SECONDS", 0.05)
    refused(check, endless, "still running after 0.05 seconds | never end")


def mistakes_of(lesson: ModuleType, check: Check) -> dict[str, Any]:
    """What a checker knows of wrong answers: for each sentence, one that makes the mistake."""
    known: dict[str, Any] = {}

    def functions(
        answer: Any, name: str, cases: Any, reference: Any, found: Any, *rest: Any
    ) -> None:
        known.update({mistake.message: mistake.answer for mistake in reversed(found)})

    def modules(answer: Any, name: str, cases: Any, reference: Any, found: Any, *rest: Any) -> None:
        def make(message: str) -> Any:
            def made(*args: Any, **kwargs: Any) -> nn.Module:
                wrong = [m.answer for m in found(*args, **kwargs) if m.message == message]
                return wrong[0] if wrong else reference(*args, **kwargs)

            return made

        for *args, last in cases:
            given = (args, last) if isinstance(last, dict) else ([*args, last], {})
            known.update({m.message: make(m.message) for m in found(*given[0], **given[1])})

    with pytest.MonkeyPatch.context() as patch:
        for name, record in (("require_answers", functions), ("require_modules", modules)):
            record = lambda *args, record=record, **options: record(*args)  # noqa: E731
            patch.setattr(lesson, name, record, raising=False)
        check(lambda *args, **kwargs: None)
    return known


@pytest.mark.parametrize(
    ("lesson", "name"), [(one, name) for one in LESSONS for name in one.__all__ if name in CALLED]
)
def test_every_mistake_that_a_checker_knows_is_told_from_the_others(
    lesson: ModuleType, name: str
) -> None:
    known = mistakes_of(lesson, CALLED[name])
    assert known or name in ("check_identity_layer", "check_linear_to_conv", "check_one_epoch")
    told = {
        message.replace("*", ""): str(CALLED[name](answer)).replace("*", "")
        for message, answer in known.items()
    }
    assert {message: text for message, text in told.items() if message not in text} == {}


@pytest.fixture(autouse=True)
def random_states_kept() -> Iterator[None]:
    """No check changes the random numbers of the reader."""

    def states() -> tuple[object, ...]:
        numpy_state = np.random.get_state(legacy=False)["state"]
        key = numpy_state["key"].tolist()
        return torch.get_rng_state().tolist(), random.getstate(), key, numpy_state["pos"]

    before = states()
    yield
    assert states() == before
