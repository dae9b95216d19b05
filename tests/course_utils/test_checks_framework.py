"""Under every exercise checker: it judges, explains, never raises and leaves no trace."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from course_utils.checks import Feedback, checker
from course_utils.checks.equivalence import is_equal, randomise, require_equal, trace
from course_utils.checks.feedback import Stop, build, correct, reject, unfilled


@checker
def check_double(function: Callable[[float], object]) -> Feedback:
    """An exercise about as small as they come."""
    answer = function(2.0)
    if answer is None:
        unfilled("double")
    if answer != 4.0:
        reject("`double(2)` should be 4.", "Twice, that is `2 * x`?")
    return correct("Right.")


def test_feedback_is_true_only_when_the_exercise_is_solved() -> None:
    assert Feedback(True, "yes")
    assert not Feedback(False, "no")
    assert not Feedback(None, "blank")


def test_a_verdict_passes_through_with_its_message_and_hint() -> None:
    assert check_double(lambda x: 2 * x) == Feedback(True, "Right.")
    wrong = check_double(lambda x: x)
    assert wrong == Feedback(False, "`double(2)` should be 4.", "Twice, that is `2 * x`?")
    assert check_double(lambda x: None).passed is None


@pytest.mark.parametrize(
    ("passed", "word"), [(True, "Correct"), (False, "Not yet"), (None, "Not filled in yet")]
)
def test_every_form_says_the_verdict_in_words_and_not_by_colour_alone(
    passed: bool | None, word: str
) -> None:
    feedback = Feedback(passed, "what was seen", "where to look")
    forms = str(feedback), feedback._repr_html_(), feedback._repr_markdown_()
    for form in forms:
        assert word in form
        assert "what was seen" in form
        assert "where to look" in form
    icons = {Feedback(p, "m")._repr_markdown_()[2] for p in (True, False, None)}
    assert len(icons) == 3


def test_html_escapes_what_the_reader_wrote_and_shows_backticks_as_code() -> None:
    page = Feedback(False, "`a < b` & <script>")._repr_html_()
    assert "<code>a &lt; b</code> &amp; &lt;script&gt;" in page
    assert "<script>" not in page


def test_the_verdict_is_worded_when_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    feedback = Feedback(True, "message")
    french = {"Correct": "Juste", "{verdict}: {message}": "{verdict} : {message}"}
    monkeypatch.setattr("course_utils.checks.feedback._", french.__getitem__)
    assert str(feedback) == "Juste : message"


def test_an_exception_becomes_feedback_with_its_name_and_the_readers_line() -> None:
    def double(x: float) -> float:
        return undefined_name * x  # noqa: F821

    feedback = check_double(double)
    assert feedback.passed is False
    assert "NameError" in feedback.message
    assert "return undefined_name * x" in feedback.message
    assert str(double.__code__.co_firstlineno + 1) in feedback.message
    assert feedback.hint is not None
    assert "cell" in feedback.hint


def test_the_line_is_the_readers_and_not_that_of_the_library_it_called() -> None:
    def double(x: float) -> Tensor:
        return torch.zeros(2, 3) @ torch.zeros(2, 3)

    feedback = check_double(double)
    assert "torch.zeros(2, 3) @ torch.zeros(2, 3)" in feedback.message
    assert feedback.hint is not None
    assert "features" in feedback.hint


def test_a_wrong_signature_is_said_to_be_one() -> None:
    feedback = check_double(lambda: 4)
    assert feedback.passed is False
    assert feedback.hint is not None
    assert "arguments" in feedback.hint


@pytest.mark.parametrize("absurd", [3, "text", 2.5, [], {}, object(), torch.ones(2)])
def test_an_answer_of_an_absurd_type_never_raises(absurd: object) -> None:
    assert check_double(absurd).passed is False


def test_stubs_are_not_filled_in_yet() -> None:
    def raises(x: float) -> float:
        raise NotImplementedError

    def half_way(x: float) -> object:
        y: object = ...
        return y + x

    for stub in (raises, half_way, lambda x: nn.Sequential(...)):
        assert check_double(stub).passed is None


def test_a_not_implemented_error_of_torch_itself_is_a_mistake_and_no_stub() -> None:
    def double(x: float) -> Tensor:
        return torch.ops.aten.nonzero(torch.empty(2, device="meta"))

    assert check_double(double).passed is False


def test_exceptions_that_cannot_be_printed_and_exits_are_survived() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError

    def broken(x: float) -> float:
        raise Broken

    def leaves(x: float) -> float:
        raise SystemExit(3)

    def endless(x: float) -> float:
        return endless(x)

    for function, name in ((broken, "Broken"), (leaves, "SystemExit"), (endless, "Recursion")):
        feedback = check_double(function)
        assert feedback.passed is False
        assert name in feedback.message


def test_stopping_the_kernel_by_hand_still_works() -> None:
    def interrupted(x: float) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_double(interrupted)


def test_random_states_dtype_and_gradient_mode_are_left_as_they_were() -> None:
    @checker
    def check(function: Callable[[], object]) -> Feedback:
        function()
        return correct("Right.")

    def meddler() -> None:
        torch.manual_seed(1)
        torch.rand(3)
        random.random()
        np.random.seed(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    torch.manual_seed(7)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert check(meddler)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    assert torch.get_default_dtype() is torch.float32
    assert torch.is_grad_enabled()


def test_every_call_meets_the_same_random_numbers() -> None:
    seen: list[float] = []

    @checker
    def check(answer: object) -> Feedback:
        seen.append(float(torch.rand(())))
        return correct("Right.")

    check(1)
    torch.rand(5)
    check(1)
    assert seen[0] == seen[1]


def test_a_module_handed_over_keeps_its_mode_weights_and_gradients() -> None:
    @checker
    def check(module: nn.Module) -> Feedback:
        module.eval().double()
        module(torch.ones(1, 2).double()).sum().backward()
        with torch.no_grad():
            for weight in module.parameters():
                weight.zero_()
        return correct("Right.")

    module = nn.Linear(2, 2).train()
    weight = module.weight.clone()
    assert check(module)
    assert module.training
    assert module.weight.dtype is torch.float32
    assert torch.equal(module.weight, weight)
    assert module.weight.grad is None


def _stopped(call: Callable[[], object]) -> Feedback:
    with pytest.raises(Stop) as caught:
        call()
    return caught.value.feedback


def test_build_says_what_is_wrong_with_what_is_no_module() -> None:
    class NoSuper(nn.Module):
        def __init__(self) -> None:
            pass

        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    assert "already made" in _stopped(lambda: build(nn.ReLU(), "f")).message
    assert "type `int`" in _stopped(lambda: build(3, "f")).message
    assert "gives back a `int`" in _stopped(lambda: build(lambda: 3, "f")).message
    assert "parentheses" in str(_stopped(lambda: build(lambda: nn.ReLU, "f")))
    assert "super().__init__()" in _stopped(lambda: build(NoSuper, "f")).message


def test_build_sees_blank_classes() -> None:
    class Empty(nn.Module): ...

    class Blank(nn.Module):
        def __init__(self) -> None: ...

        def forward(self, x: Tensor) -> Tensor: ...

    for blank in (None, ..., Empty, Blank, lambda: None):
        assert _stopped(lambda blank=blank: build(blank, "f")).passed is None


class _TwoConvolutions(nn.Module):
    """Declares its layers in the order asked for, runs them in one order."""

    def __init__(self, declared: str) -> None:
        super().__init__()
        for letter in declared:
            layer: nn.Module = (
                nn.Conv2d(4, 4, 3, padding=1, bias=False) if letter in "ab" else nn.BatchNorm2d(4)
            )
            self.add_module(letter, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.d(self.b(torch.relu(self.c(self.a(x)))))


@pytest.mark.parametrize("declared", ["abcd", "dcba", "bdac"])
def test_equality_does_not_depend_on_the_order_of_declaration(declared: str) -> None:
    x = torch.randn(3, 4, 6, 6).double()
    reference = randomise(_TwoConvolutions("acbd").double())
    assert is_equal(reference, _TwoConvolutions(declared).double(), x, "block")


def test_layers_are_paired_by_what_feeds_them_when_there_are_too_many_to_try() -> None:
    class Branches(nn.Module):
        """Five branches: 120 orders of the norms times 120 of the convolutions."""

        def __init__(self, norms_first: bool) -> None:
            super().__init__()
            self.norms_first = norms_first
            self.convs = nn.ModuleList(nn.Conv2d(4, 4, 1, bias=False) for _n in range(5))
            self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _n in range(5))

        def forward(self, x: Tensor) -> Tensor:
            pairs = list(zip(self.convs, self.norms, strict=True))
            if self.norms_first:
                maps = [norm(conv(x)) for conv, norm in pairs]
            else:  # the norms run in the reverse order of their convolutions
                raw = [conv(x) for conv, _norm in pairs]
                maps = [pairs[n][1](raw[n]) for n in reversed(range(5))][::-1]
            return sum((n + 1.0) * m.relu() for n, m in enumerate(maps))

    x = torch.randn(3, 4, 5, 5).double()
    assert is_equal(randomise(Branches(True).double()), Branches(False).double(), x, "net")


def test_a_difference_in_training_mode_alone_is_seen() -> None:
    one = nn.Sequential(nn.BatchNorm2d(4, momentum=0.1)).double()
    other = nn.Sequential(nn.BatchNorm2d(4, momentum=0.5)).double()
    x = torch.randn(3, 4, 5, 5).double()
    assert not is_equal(randomise(one), other, x, "norm")
    message = _stopped(lambda: require_equal(other, one, x, "norm")).message
    assert "momentum 0.5; 0.1 is expected" in message


def test_a_module_that_cannot_learn_is_refused_although_it_computes_the_same() -> None:
    class Detached(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return self[1](self[0](x).detach())

    layers = nn.Linear(3, 3), nn.Linear(3, 2)
    message = _stopped(
        lambda: require_equal(
            Detached(*layers).double(),
            nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)),
            torch.randn(4, 3).double(),
            "net",
        )
    ).message
    assert "no gradient reaches" in message


def test_a_trace_leaves_no_hook_behind() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    calls = trace(net, torch.ones(1, 2), "net").calls
    assert [call.layer for call in calls] == [net[0], net[2]]
    assert not any(module._forward_hooks for module in net.modules())
