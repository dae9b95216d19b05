"""Under every exercise checker: it judges, explains, never raises and leaves no trace."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checking import conv
from torch import Tensor, nn

from course_utils.checks import Feedback, checker, running
from course_utils.checks.answers import require_answers, require_kept, wrong_answers
from course_utils.checks.building import build
from course_utils.checks.equivalence import paired, randomise, trace
from course_utils.checks.feedback import Stop, correct, reject, shown, unfilled
from course_utils.checks.modules import require_equal
from course_utils.i18n import speaking


@checker
def check_double(function: Callable[[float], object]) -> Feedback:
    """An exercise about as small as they come."""
    answer = function(2.0)
    if answer is None:
        unfilled("double")
    if answer != 4.0:
        reject("`double(2)` should be 4.", "Twice, that is `2 * x`?")
    return correct("Right.")


def stopped(call: Callable[[], object]) -> Feedback:
    with pytest.raises(Stop) as caught:
        call()
    return caught.value.feedback


# --- feedback ---------------------------------------------------------------------------------


def test_feedback_is_true_only_when_the_exercise_is_solved() -> None:
    assert Feedback(True, "yes")
    assert not Feedback(False, "no")
    assert not Feedback(None, "blank")


@pytest.mark.parametrize(
    ("passed", "word"), [(True, "Correct"), (False, "Not yet"), (None, "Not filled in yet")]
)
def test_every_form_says_the_verdict_in_words_and_not_by_colour_alone(
    passed: bool | None, word: str
) -> None:
    feedback = Feedback(passed, "what was seen", "where to look")
    for form in (str(feedback), feedback._repr_html_(), feedback._repr_markdown_()):
        assert all(part in form for part in (word, "what was seen", "where to look"))
    icons = {Feedback(p, "m")._repr_markdown_()[2] for p in (True, False, None)}
    assert len(icons) == 3


def test_html_escapes_what_the_reader_wrote_and_shows_backticks_as_code() -> None:
    page = Feedback(False, "`a < b` & <script>")._repr_html_()
    assert "<code>a &lt; b</code> &amp; &lt;script&gt;" in page
    assert "<script>" not in page


def test_what_is_emphasised_shows_no_asterisk_and_code_keeps_its_own() -> None:
    feedback = Feedback(False, "It *reads* `a * b * c`, not f*.", "The *mean*, `*layers`.")
    html = feedback._repr_html_()
    assert "It <em>reads</em> <code>a * b * c</code>, not f*." in html
    assert "The <em>mean</em>, <code>*layers</code>." in html
    assert "It reads `a * b * c`, not f*.\n" in str(feedback)


def test_the_verdict_is_worded_when_it_is_shown() -> None:
    feedback = Feedback(True, "message")
    with speaking("fr"):
        assert str(feedback) == "Juste\N{NO-BREAK SPACE}: message"


def test_numbers_are_quoted_as_the_readers_language_writes_them() -> None:
    with speaking("fr"):
        assert shown(769162) == "769\u202f162"
        assert "0,1667" in shown((1, 1 / 6))


def test_the_whole_part_of_a_number_is_quoted_as_it_is() -> None:
    assert shown(123_642_979.6) == "123,642,980" and shown(-12_345.678) == "−12,346"
    assert shown(1.23456e-7) == "1.235\u202f×\u202f10⁻⁷" and shown(float("inf")) == "inf"


# --- a check is safe --------------------------------------------------------------------------


def test_a_verdict_passes_through_with_its_message_and_hint() -> None:
    assert check_double(lambda x: 2 * x) == Feedback(True, "Right.")
    wrong = check_double(lambda x: x)
    assert wrong == Feedback(False, "`double(2)` should be 4.", "Twice, that is `2 * x`?")
    assert check_double(lambda x: None).passed is None


def test_the_line_is_the_readers_and_not_that_of_the_library_it_called() -> None:
    def double(x: float) -> Tensor:
        return torch.zeros(2, 3) @ torch.zeros(2, 3)

    feedback = check_double(double)
    assert "torch.zeros(2, 3) @ torch.zeros(2, 3)" in feedback.message
    assert str(double.__code__.co_firstlineno + 1) in feedback.message
    assert feedback.hint is not None
    assert "features" in feedback.hint


@pytest.mark.parametrize(
    ("function", "name", "advice"),
    [
        (lambda: 4, "TypeError", "arguments"),
        (lambda x: undefined_name * x, "NameError", "cell"),  # noqa: F821
        (lambda x: torch.ones(2) + torch.ones(3), "RuntimeError", "different shapes"),
    ],
)
def test_an_exception_is_named_and_followed_by_advice(
    function: Any, name: str, advice: str
) -> None:
    feedback = check_double(function)
    assert feedback.passed is False
    assert name in feedback.message
    assert feedback.hint is not None
    assert advice in feedback.hint


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

    def deep(x: float) -> float:
        return deep(x)

    for function, name in ((broken, "Broken"), (leaves, "SystemExit"), (deep, "Recursion")):
        feedback = check_double(function)
        assert feedback.passed is False
        assert name in feedback.message


def test_stopping_the_kernel_by_hand_still_works() -> None:
    def interrupted(x: float) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_double(interrupted)


def counting(x: float) -> float:
    while x != 0.1:
        x += 1
    return x


def catching(x: float) -> float:
    while True:
        try:
            x += 1
        except BaseException:
            x = 0


def generating(x: float) -> float:
    return sum(1 for _one in iter(int, 1))


def sleeping(x: float) -> float:
    while True:
        time.sleep(0.01)


@pytest.mark.parametrize("endless", [counting, catching, generating, sleeping])
def test_a_loop_without_end_is_stopped_in_the_time_told(
    endless: Callable[[float], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_SECONDS", 0.1)
    monkeypatch.setattr(running, "_AGAIN", 0.05)
    feedback = check_double(endless)
    assert feedback.passed is False
    assert "still running after 0.1 seconds" in feedback.message
    first = endless.__code__.co_firstlineno
    assert any(f"line {first + after} of" in feedback.message for after in range(1, 6))


def test_a_clock_that_goes_off_when_the_check_has_just_ended_stops_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "_SECONDS", 0.002)

    def about_as_long(x: float) -> float:
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass
        return 2 * x

    for _again in range(100):
        feedback = check_double(about_as_long)
        assert feedback.passed or "still running" in feedback.message
    for _line in range(10_000):
        pass


def test_random_states_dtype_threads_and_gradient_mode_are_left_as_they_were() -> None:
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
    threads = torch.get_num_threads()
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert check(meddler)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_num_threads() == threads
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


# --- functions --------------------------------------------------------------------------------


def told(function: Any, reference: Any = sum, *cases: Any, **options: Any) -> str:
    """What is said of a function that should add the numbers of a list."""
    given = [(case,) for case in cases or ([3, 1, 2], [5], [4, 4])]
    mistakes = wrong_answers(max, "this is the largest.", "Look at `sum`.", len, "a count.")
    return str(
        stopped(
            lambda: require_answers(function, "add", given, reference, mistakes, "Add.", **options)
        )
    )


def test_a_mistake_is_recognised_where_it_explains_every_answer() -> None:
    assert "`add` – this is the largest." in told(max)
    assert "Look at `sum`." in told(max)
    assert "a count." in told(len)
    assert "Hint: Add." in told(len)
    # The largest of the first list, but not of the last.
    assert "`add([3, 1, 2])` returns 3, and should return 6." in told(
        lambda n: max(n) + (n == [4, 4])
    )


def test_code_that_breaks_is_judged_by_what_it_answered_before() -> None:
    assert "this is the largest." in told(lambda numbers: max(numbers[0], *numbers[1:]))
    assert "ZeroDivisionError" not in told(lambda numbers: len(numbers) // (len(numbers) - 1))


def test_whole_numbers_are_compared_exactly_and_others_up_to_rounding() -> None:
    large = [10**9, 1]
    assert "1,000,000,002, and should return 1,000,000,001" in told(
        lambda n: sum(n) + 1, sum, large
    )
    mean = lambda numbers: sum(numbers) / len(numbers)  # noqa: E731
    require_answers(lambda n: mean(n) * (1 + 1e-7), "mean", [(large,)], mean, [], "")
    assert "0.333, and should return 0.3333" in told(lambda numbers: 0.333, mean, [0, 0, 1])
    assert "0.33331, and should return 0.333333" in told(lambda numbers: 0.33331, mean, [0, 0, 1])


def test_what_is_given_must_be_left_as_it_was() -> None:
    for change in (list.sort, list.reverse, list.pop):
        assert "changes its own input" in told(lambda n, change=change: (sum(n), change(n))[0])
    before, after = {"a": [1, np.ones(2)]}, {"a": [1, np.ones(2)]}
    require_kept(before, after, "f")
    after["a"][1][0] = 2
    assert "changes its own input" in str(stopped(lambda: require_kept(before, after, "f")))


def test_an_answer_must_be_the_same_when_it_is_asked_for_again() -> None:
    calls: list[object] = []

    def forgetful(numbers: list[int]) -> int:
        calls.append(numbers)
        return sum(numbers) + (len(calls) > 3)

    assert "something else when it is called again" in told(forgetful)


def test_answers_that_are_equally_right_are_told_by_tidying_or_by_room() -> None:
    def backwards(numbers: list[int]) -> list[int]:
        return numbers[::-1]

    cases = [([1, 2],)]
    sort = lambda answer, numbers: sorted(answer)  # noqa: E731
    require_answers(backwards, "f", cases, list, [], "", tidy=sort)
    require_answers(backwards, "f", cases, list, [], "", room=torch.ones_like)
    assert "returns (2; 1), and should return (1; 2)" in told(backwards, list, [1, 2])


# --- modules ----------------------------------------------------------------------------------


class NoSuper(nn.Module):
    def __init__(self) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x + 1


class NoForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()


class Empty(nn.Module): ...


class Blank(nn.Module):
    def __init__(self) -> None: ...

    def forward(self, x: Tensor) -> Tensor: ...


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (nn.ReLU(), "already built"),
        (3, "type `int`"),
        (lambda: 3, "of type `int`"),
        (lambda: nn.ReLU, "parentheses"),
        (NoSuper, "super().__init__()"),
        (NoForward, "has no `forward` method"),
        (lambda: (nn.ReLU(), nn.ReLU()), "returns its layers in a `tuple`"),
    ],
)
def test_what_is_no_module_is_told(answer: object, words: str) -> None:
    assert words in str(stopped(lambda: build(answer, "f")))


def test_build_sees_blank_classes() -> None:
    for blank in (None, ..., Empty, Blank, lambda: None):
        assert stopped(lambda blank=blank: build(blank, "f")).passed is None


class TwoConvolutions(nn.Module):
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
    reference = randomise(TwoConvolutions("acbd").double())
    assert paired(reference, TwoConvolutions(declared).double(), x, "block")


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
    assert paired(randomise(Branches(True).double()), Branches(False).double(), x, "net")


def test_a_difference_in_training_mode_alone_is_seen() -> None:
    class Frozen(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            self.eval()
            return super().forward(x)

    x = torch.randn(3, 4, 5, 5).double()
    one, other = nn.BatchNorm2d(4).double(), Frozen(4).double()
    assert "not in training mode" in stopped(lambda: require_equal(other, one, x, "norm")).message


@pytest.mark.parametrize("cut", ["whole", "part"])
def test_a_module_that_cannot_learn_is_refused_although_it_computes_the_same(cut: str) -> None:
    class Cut(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            y = self[0](x)
            return self[1](y.detach() if cut == "whole" else (y + y.detach()) / 2)

    cut_net, net = (kind(conv(3, 3, 1), conv(3, 2, 1)).double() for kind in (Cut, nn.Sequential))
    x = torch.randn(4, 3, 2, 2).double()
    message = stopped(lambda: require_equal(cut_net, net, x, "net")).message
    assert ("no gradient reaches" if cut == "whole" else "part of the gradient") in message


def test_a_trace_leaves_no_hook_behind() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    assert list(trace(net, torch.ones(1, 2), "net").runs) == [net[0], net[2]]
    assert not any(module._forward_hooks for module in net.modules())
