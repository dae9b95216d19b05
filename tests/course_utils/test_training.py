"""Training says what it did: seeded throughout, measured in eval mode, divergence reported."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.datasets import Dataset, Split, load, statistics
from course_utils.models import cifar_net
from course_utils.training import (
    History,
    Metrics,
    best_device,
    best_precision,
    evaluate,
    fit,
    learning_rate_at,
    random_crop,
    random_flip,
    reestimate_batch_norm,
    stream_seed,
)

CLASSES = ("a", "b", "c")


def noise(n: int = 10, side: int = 8, seed: int = 0) -> Split:
    """Images of noise, uint8 values in float, with labels that repeat."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, 1, side, side), generator=generator)
    images = pixels.float() / 255
    return Split(images, torch.arange(n) % len(CLASSES), *statistics(images))


def dataset(n: int = 10) -> Dataset:
    # The test split has statistics of its own, so that taking the others' is seen.
    return Dataset(noise(n), noise(6, seed=1), CLASSES)


def numbered(n: int) -> Dataset:
    """Image number i is i/n everywhere: its centre says which it is, wherever it is shifted."""
    images = (torch.arange(n) / n).view(-1, 1, 1, 1).expand(n, 1, 8, 8).clone()
    split = Split(images, torch.arange(n) % len(CLASSES), torch.zeros(1), torch.ones(1))
    return Dataset(split, split, CLASSES)


class Probe(nn.Module):
    """A linear model that remembers the batches it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, len(CLASSES))
        nn.init.normal_(self.linear.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.linear.bias)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append(x.detach().clone())
        logits: Tensor = self.linear(x.flatten(1))
        return logits


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return cifar_net(8, "A", width=3, in_channels=1, num_classes=len(CLASSES))


def train(model: nn.Module, data: Dataset | None = None, **options: Any) -> History:
    """A short training on the CPU, changed by ``options``."""
    defaults = {"batch_size": 4, "device": "cpu", "precision": "fp32", "progress": False}
    if "epochs" not in options:
        defaults["steps"] = 5
    return fit(model, data or dataset(), **{**defaults, **options})


def timeless(history: History) -> History:
    return dataclasses.replace(history, seconds=0, images_per_second=0)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([tensor.double().flatten() for tensor in model.state_dict().values()])


# --- the learning rate ---------------------------------------------------------------------


def test_the_papers_schedule_divides_by_ten_at_32k_and_48k_of_64k() -> None:
    rates = {
        step: learning_rate_at(step, 64_000, 0.1, "step")
        for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)
    }
    expected = {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 63_999: 0.001}
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 99, 1000])
def test_the_linear_schedule_rises_to_its_peak_then_falls_and_stays_positive(steps: int) -> None:
    rates = [learning_rate_at(step, steps, 0.3) for step in range(steps)]
    top = rates.index(max(rates))
    assert rates[top] == 0.3
    assert rates[: top + 1] == sorted(set(rates[: top + 1]))
    assert rates[top:] == sorted(set(rates[top:]), reverse=True)
    assert min(rates) > 0


def test_the_linear_schedule_warms_up_for_a_tenth_and_changes_by_equal_steps() -> None:
    rates = [learning_rate_at(step, 100, 1.0) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    # From 1 at step 9 to 1/91 at step 99: 90 equal steps, and the next one would be 0.
    assert rates[9:] == pytest.approx([1 - i / 91 for i in range(91)])


def test_each_step_has_the_rate_of_its_schedule() -> None:
    history = train(Probe(), steps=8, learning_rate=0.4, schedule="step")  # 2 steps an epoch
    assert history.learning_rate == pytest.approx((0.4, 0.4, 0.04, 0.004))


# --- augmentation --------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "padding"), [(8, 8, 1), (6, 9, 2), (5, 4, 0)])
def test_every_crop_is_a_shift_of_the_image_padded_with_zeros(
    height: int, width: int, padding: int
) -> None:
    images = torch.rand(200, 2, height, width, generator=torch.Generator().manual_seed(0)) + 0.1
    cropped = random_crop(images, torch.Generator().manual_seed(1), padding)
    assert cropped.shape == images.shape
    padded = torch.zeros(200, 2, height + 2 * padding, width + 2 * padding)
    padded[:, :, padding : padding + height, padding : padding + width] = images
    shifts = list(itertools.product(range(2 * padding + 1), repeat=2))
    matches = torch.stack(
        [
            (cropped == padded[:, :, top : top + height, left : left + width]).flatten(1).all(1)
            for top, left in shifts
        ]
    )  # (shifts, images)
    assert (matches.sum(0) == 1).all()  # each image, one shift
    assert (matches.sum(1) > 0).all()  # each shift happens


def test_the_default_crop_reaches_an_eighth_of_the_height_as_4_of_32() -> None:
    images = torch.ones(300, 1, 32, 32)
    cropped = random_crop(images, torch.Generator().manual_seed(0))
    empty_rows = (cropped.sum(3) == 0).sum(2)  # of padding that came into view
    assert empty_rows.max() == 4


def test_a_flip_mirrors_left_to_right_and_takes_about_half_of_the_images() -> None:
    images = torch.rand(1000, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    flipped = random_flip(images, torch.Generator().manual_seed(1))
    mirrored = (flipped == images[..., [3, 2, 1, 0]]).flatten(1).all(1)
    kept = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert abs(int(mirrored.sum()) - 500) < 80  # five standard deviations of 1000 fair coins


@pytest.mark.parametrize("change", [random_crop, random_flip])
def test_the_same_generator_gives_the_same_changes(
    change: Callable[[Tensor, torch.Generator], Tensor],
) -> None:
    images = torch.rand(50, 1, 16, 16)

    def changed(seed: int) -> Tensor:
        return change(images, torch.Generator().manual_seed(seed))

    assert torch.equal(changed(0), changed(0))
    assert not torch.equal(changed(0), changed(1))


def test_crop_flip_trains_on_shifted_and_mirrored_images_and_crop_on_shifted_ones() -> None:
    ramp = torch.arange(1, 9) / 9  # brighter to the right
    images = ramp.expand(40, 1, 8, 8).clone()
    split = Split(images, torch.zeros(40, dtype=torch.long), torch.zeros(1), torch.ones(1))
    data = Dataset(split, split, CLASSES)

    def brighter_to_the_left(augmentation: str) -> int:
        probe = Probe()
        train(probe, data, steps=1, batch_size=40, augmentation=augmentation)
        assert not torch.equal(probe.seen[0], images)
        return int((probe.seen[0][:, 0, 4, 3] > probe.seen[0][:, 0, 4, 4]).sum())

    assert brighter_to_the_left("crop") == 0
    assert 5 < brighter_to_the_left("crop_flip") < 35


# --- seeds ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_the_same_history() -> None:
    first, second = net(), net()
    options: dict[str, Any] = {"epochs": 2, "evaluate": "epoch", "augmentation": "crop_flip"}
    histories = [train(model, **options) for model in (first, second)]
    assert timeless(histories[0]) == timeless(histories[1])
    assert torch.equal(weights(first), weights(second))


def test_another_seed_gives_another_order() -> None:
    def order(seed: int) -> list[float]:
        probe = Probe()
        train(probe, numbered(40), epochs=1, seed=seed)
        return torch.cat(probe.seen)[:, 0, 4, 4].tolist()

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1))


def test_augmentation_leaves_the_order_as_it_is() -> None:
    def order(augmentation: str) -> Tensor:
        probe = Probe()
        train(probe, numbered(40), epochs=2, augmentation=augmentation)
        return torch.cat(probe.seen)[:, 0, 4, 4]

    assert torch.equal(order("none"), order("crop"))
    assert torch.equal(order("none"), order("crop_flip"))


def test_each_epoch_is_a_new_order_of_whole_batches() -> None:
    probe = Probe()
    history = train(probe, numbered(10), epochs=3, batch_size=4)
    assert history.steps == 6 and len(history.loss) == 3
    epochs = torch.stack(probe.seen)[:, :, 0, 4, 4].view(3, 8)
    for epoch in epochs.tolist():
        assert len(set(epoch)) == 8  # nothing twice, two images wait for the next order
    assert epochs[0].tolist() != epochs[1].tolist()


class Dropping(nn.Sequential):
    """A model that draws random numbers itself, at every training step."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, len(CLASSES)))
        nn.init.zeros_(self.get_parameter("2.weight"))
        nn.init.zeros_(self.get_parameter("2.bias"))


def test_dropout_follows_the_seed_and_not_torchs_own_generator() -> None:
    def trained(state: int, seed: int) -> Tensor:
        torch.manual_seed(state)
        model = Dropping()
        train(model, seed=seed, batch_size=10)  # the whole split: the order changes nothing
        return weights(model)

    assert torch.equal(trained(1, seed=0), trained(2, seed=0))
    assert not torch.allclose(trained(1, seed=0), trained(1, seed=1), atol=1e-4)


def test_training_leaves_torchs_own_generator_as_it_was() -> None:
    model = Dropping()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(model, augmentation="crop_flip")
    assert torch.equal(torch.rand(3), expected)


def test_each_purpose_and_each_seed_have_a_stream_of_their_own() -> None:
    purposes = ("initialisation", "order", "augmentation", "noise")
    seeds = {stream_seed(seed, purpose) for seed in range(50) for purpose in purposes}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)  # what torch.manual_seed takes


# --- what is learnt ------------------------------------------------------------------------


def test_batches_are_normalised_with_the_splits_own_mean_and_deviation() -> None:
    split = dataclasses.replace(
        noise(4), mean=torch.full((1, 8, 8), 0.25), std=torch.full((1, 1, 1), 0.5)
    )
    probe = Probe()
    train(probe, Dataset(split, noise(4, seed=1), CLASSES), steps=1, seed=3)
    seen = {round(float(image.double().sum()), 3) for image in probe.seen[0]}
    expected = {round(float(image.double().sum()), 3) for image in (split.images - 0.25) / 0.5}
    assert seen == expected


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_step_is_sgd_with_momentum_and_weight_decay_on_the_mean_loss(nesterov: bool) -> None:
    probe = Probe()
    before = probe.linear.weight.detach().clone()
    gradients: list[Tensor] = []

    def keep(step: int, model: nn.Module) -> None:
        assert step == len(gradients) and model is probe
        assert probe.linear.weight.grad is not None
        gradients.append(probe.linear.weight.grad.clone())
        if step == 0:
            assert torch.equal(probe.linear.weight, before)  # called before the update

    options = {"momentum": 0.5, "weight_decay": 0.1, "nesterov": nesterov, "schedule": "step"}
    data = dataset(4)
    train(probe, data, steps=1, learning_rate=0.2, on_step=keep, **options)

    copy = before.clone().requires_grad_()
    batch = (data.train.images - data.train.mean) / data.train.std
    loss = F.cross_entropy(batch.flatten(1) @ copy.T, data.train.labels)  # any order: all four
    (by_hand,) = torch.autograd.grad(loss, copy)
    torch.testing.assert_close(gradients[0], by_hand)
    step = by_hand + 0.1 * before
    expected = before - 0.2 * (1.5 if nesterov else 1.0) * step  # Nesterov looks ahead by 0.5
    torch.testing.assert_close(probe.linear.weight.detach(), expected)


def test_stopping_early_gives_the_first_steps_of_the_longer_run() -> None:
    seen: dict[str, list[Tensor]] = {"whole": [], "start": []}
    for name, options in (("whole", {}), ("start", {"stop_after": 7})):
        torch.manual_seed(0)
        probe = Probe()

        def keep(step: int, model: nn.Module, name: str = name, probe: Probe = probe) -> None:
            seen[name].append(probe.linear.weight.detach().clone())

        history = train(probe, dataset(16), epochs=3, on_step=keep, **options)
        assert history.steps == len(seen[name]) == (12 if name == "whole" else 7)
    assert all(torch.equal(a, b) for a, b in zip(seen["whole"], seen["start"], strict=False))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        train(Probe(), epochs=1, stop_after=0)


def test_training_learns_and_ends_in_eval_mode() -> None:
    torch.manual_seed(0)
    model = cifar_net(8, "A", width=4, in_channels=1)
    data = load("digits", size=8)
    history = fit(model, data, epochs=2, device="cpu", precision="fp32", progress=False)
    assert history.loss[1] < history.loss[0]
    assert history.train_error is not None and history.train_error < 0.3  # chance is 0.9
    assert not any(module.training for module in model.modules())
    assert history.steps == 2 * (1437 // 64)
    assert history.device == "cpu" and history.precision == "fp32"
    assert history.images_per_second > 0 and history.seconds > 0


@pytest.mark.slow
def test_compiled_steps_are_asked_for_with_one_shape_and_train_the_same_net(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def compiler(model: nn.Module, **options: Any) -> nn.Module:  # the real one takes a minute
        asked.append(options)
        return model

    monkeypatch.setattr(torch, "compile", compiler)
    eager, compiled = net(), net()
    histories = [train(eager), train(compiled, compiled=True)]
    assert asked == [{"dynamic": False, "mode": None}]
    assert timeless(histories[0]) == timeless(histories[1])
    assert torch.equal(weights(eager), weights(compiled))


# --- how long, and when it is measured -----------------------------------------------------


def test_a_batch_larger_than_the_split_is_the_whole_split() -> None:
    probe = Probe()
    assert train(probe, numbered(5), epochs=2, batch_size=64).steps == 2
    assert [len(batch) for batch in probe.seen] == [5, 5]


def test_training_may_stop_within_an_epoch() -> None:
    probe = Probe()
    history = train(probe, dataset(10), steps=5, batch_size=4, evaluate="epoch")
    assert history.steps == len(probe.seen) == 5
    assert len(history.loss) == len(history.running_errors) == 3
    assert history.evaluated_at == (1, 2, 3)


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"evaluate": "never"}, ()),
        ({"evaluate": "end"}, (5,)),
        ({"evaluate": "epoch"}, (1, 2, 3, 4, 5)),
        ({"evaluate": "epoch", "evaluate_every": 2}, (2, 4, 5)),
        ({"evaluate": "epoch", "evaluate_every": 9}, (5,)),
    ],
)
def test_the_splits_are_measured_when_asked(
    options: dict[str, Any], epochs: tuple[int, ...]
) -> None:
    history = train(Probe(), epochs=5, **options)
    assert history.evaluated_at == epochs
    assert len(history.train_errors) == len(history.test_errors) == len(epochs)
    assert (history.train_error is None) == (not epochs)
    assert (history.test_error is None) == (not epochs)


def test_measuring_does_not_change_what_is_learnt() -> None:
    never, often = net(), net()
    train(never, epochs=3, evaluate="never")
    train(often, epochs=3, evaluate="epoch")
    assert torch.equal(weights(never), weights(often))


def test_the_errors_reported_are_of_the_whole_splits_in_eval_mode_after_the_last_epoch() -> None:
    model, data = net(), dataset(50)
    history = train(model, data, epochs=2, evaluate="epoch")
    errors = []
    for split in (data.train, data.test):
        with torch.no_grad():
            answers = model.eval()((split.images - split.mean) / split.std).argmax(1)
        errors.append(float((answers != split.labels).double().mean()))
    assert [history.train_error, history.test_error] == errors


def test_the_running_error_is_of_the_batches_as_they_were_learnt() -> None:
    probe = Probe()
    data = numbered(8)  # an image says which it is, so its label is known: its number modulo 3
    history = train(probe, data, epochs=1, batch_size=8)
    start = Probe().linear
    with torch.no_grad():
        answers = start(probe.seen[0].flatten(1)).argmax(1)
    labels = (probe.seen[0][:, 0, 0, 0] * 8).round().long() % 3
    assert history.running_errors == pytest.approx([float((answers != labels).float().mean())])


@pytest.mark.parametrize("length", [{}, {"epochs": 1, "steps": 1}])
def test_training_is_as_long_as_epochs_or_steps_say_one_of_the_two(length: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"epochs=… or with steps=…"):
        fit(Probe(), dataset(), device="cpu", progress=False, **length)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1"),
        ({"epochs": -1}, ValueError, "epochs must be at least 1"),
        ({"steps": 1e3}, TypeError, "steps must be a whole number"),
        ({"steps": True}, TypeError, "steps must be a whole number"),
        ({"batch_size": 1}, ValueError, "A batch needs at least two images"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be a whole number"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every must be at least 1"),
        ({"evaluate": "always"}, ValueError, "evaluate must be one of 'end', 'epoch', 'never'"),
        ({"augmentation": "flip"}, ValueError, "one of 'none', 'crop', 'crop_flip'"),
        ({"schedule": "cosine"}, ValueError, "schedule must be one of 'linear', 'step'"),
        ({"precision": "fp16"}, ValueError, "one of 'auto', 'fp32', 'bf16'"),
        ({"device": "gpu"}, ValueError, "device must be one of .*'cpu', and is 'gpu'"),
    ],
)
def test_a_bad_argument_is_answered_with_a_sentence(
    options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        train(Probe(), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"device must be one of .*'cpu', and is 'cuda'"):
        train(Probe(), device="cuda")


def test_one_image_makes_no_batch() -> None:
    with pytest.raises(ValueError, match="A batch needs at least two images"):
        train(Probe(), Dataset(noise(1), noise(1), CLASSES))


# --- divergence ----------------------------------------------------------------------------


def test_a_loss_that_explodes_is_reported_and_ends_the_training() -> None:
    history = train(net(), epochs=10, learning_rate=1e20)
    assert history.diverged
    assert history.steps < 20
    assert not math.isfinite(history.loss[-1])
    assert history.train_error == 1  # logits that are not numbers answer nothing


def test_a_model_of_nans_is_wrong_everywhere_on_class_0_too() -> None:
    """argmax takes a NaN for the largest logit, so that it would be right on class 0."""
    probe = Probe()
    nn.init.constant_(probe.linear.bias, math.nan)
    history = train(probe, evaluate="epoch", epochs=3)
    assert history.diverged and history.steps == 2  # the first epoch
    assert history.train_errors == history.test_errors == history.running_errors == (1.0,)
    assert math.isnan(evaluate(probe, noise(), device="cpu").loss)


# --- evaluating ----------------------------------------------------------------------------


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_buffer("logits").expand(len(x), -1)


def test_error_and_loss_are_those_computed_by_hand() -> None:
    split = noise(5)  # labels 0 1 2 0 1
    metrics = evaluate(Constant(0.0, math.log(2), 0.0), split, device="cpu")
    assert metrics.error == 3 / 5  # it answers 1 for all
    assert metrics.accuracy == pytest.approx(2 / 5)
    # Probabilities 1/4, 1/2, 1/4: log 4 for three images, log 2 for two.
    assert metrics.loss == pytest.approx((3 * math.log(4) + 2 * math.log(2)) / 5)
    assert metrics.images == 5


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_an_image_with_a_logit_that_is_not_finite_counts_as_wrong(broken: float) -> None:
    metrics = evaluate(Constant(2.0, broken, 1.0), noise(6), device="cpu")
    assert metrics.error == 1


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_the_batch_size_of_a_measurement_changes_nothing(batch_size: int) -> None:
    whole = evaluate(net(), noise(5), device="cpu")
    parts = evaluate(net(), noise(5), batch_size=batch_size, device="cpu")
    assert parts.error == whole.error
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_size_below_one_is_refused(batch_size: int) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        evaluate(net(), noise(), batch_size=batch_size, device="cpu")


def test_evaluating_leaves_the_model_as_it_was_after_an_error_too() -> None:
    model = net().train()
    model.get_submodule("stem").eval()
    modes = [module.training for module in model.modules()]
    before = weights(model)
    assert isinstance(evaluate(model, noise(), device="cpu"), Metrics)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(weights(model), before)
    colour = noise().images.expand(-1, 3, -1, -1)
    with pytest.raises(RuntimeError):
        evaluate(model, dataclasses.replace(noise(), images=colour), device="cpu")
    assert [module.training for module in model.modules()] == modes


def test_a_net_in_double_precision_is_measured_and_trained_in_it() -> None:
    model, data = net().double(), dataset()
    assert evaluate(model, data.test, device="cpu").loss == pytest.approx(
        evaluate(net(), data.test, device="cpu").loss, rel=1e-5
    )
    assert train(model, data).loss == pytest.approx(train(net(), data).loss, rel=1e-3)
    assert {weight.dtype for weight in model.parameters()} == {torch.float64}


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), r"float32 \(\d, 2\)"),
        (nn.Conv2d(1, 3, 8), r"float32 \(\d, 3, 1, 1\)"),
        (nn.Sequential(nn.Flatten(1, 2), nn.GRU(8, 8)), "tuple"),
    ],
)
def test_a_net_that_returns_no_logit_a_class_is_told_so(model: nn.Module, found: str) -> None:
    says = (
        rf"For \d images of 3 classes, the network must return logits .*, and it returned {found}"
    )
    split = noise(4)
    with pytest.raises(ValueError, match=says):
        evaluate(model, split, device="cpu")
    with pytest.raises(ValueError, match=says):
        train(model, Dataset(split, split, CLASSES))


@pytest.mark.parametrize("model", [Probe().requires_grad_(False), Constant(1.0, 2.0, 3.0)])
def test_a_net_that_has_nothing_to_learn_is_told_so(model: nn.Module) -> None:
    with pytest.raises(ValueError, match="No weight of this network can learn"):
        train(model)


@pytest.mark.parametrize("without_gradients", [torch.no_grad, torch.inference_mode])
def test_training_where_there_are_no_gradients_is_refused(
    without_gradients: Callable[[], Any],
) -> None:
    with without_gradients(), pytest.raises(ValueError, match="Training needs gradients"):
        train(Probe())


def test_frozen_layers_stay_as_they_are() -> None:
    model = net()
    stem = model.get_submodule("stem").requires_grad_(False)
    before = [weight.clone() for weight in stem.parameters()]
    train(model)
    assert all(map(torch.equal, before, stem.parameters()))


# --- a re-estimation of batch normalisation that does not end ------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_reestimation_that_is_interrupted_leaves_the_net_as_it_was(
    error: type[BaseException],
) -> None:
    model, data = net().train(), dataset()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    calls = iter(range(10))

    def stop(*_call: object) -> None:
        if next(calls) == 2:
            raise error

    hook = model.get_submodule("stem").register_forward_pre_hook(stop)
    with pytest.raises(error):
        reestimate_batch_norm(model, data.train, batch_size=2, device="cpu")
    hook.remove()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    layers = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(layer.momentum, layer.training) for layer in layers} == {(0.1, True)}


# --- the net is lent -----------------------------------------------------------------------


class Viewing(nn.Module):
    """A net of a reader's, written for maps that lie in memory channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(2, 6, 3, padding=1)
        self.linear = nn.Linear(6 * 16, len(CLASSES))
        self.register_buffer("filter", torch.rand(4, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.first(x), 2)
        x = x.view(x.size(0), 2, 2, 4, 4).amax(2)
        logits: Tensor = self.linear(self.second(x).view(x.size(0), -1))
        return logits


def strides(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tensor.stride() for name, tensor in model.state_dict().items()}


def test_a_net_that_views_its_maps_is_trained_and_works_afterwards() -> None:
    model, images = Viewing(), torch.rand(2, 1, 8, 8)
    before = strides(model)
    history = train(model, evaluate="epoch", reestimate_bn=True)
    assert history.steps == 5 and history.memory_format == "contiguous_format"
    assert model(images).shape == (2, 3)
    assert strides(model) == before


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("failing", [False, True])
def test_a_net_lies_in_memory_as_it_did_however_the_training_ends(
    layout: torch.memory_format, failing: bool
) -> None:
    model = net().to(memory_format=layout)
    before, seen = strides(model), []

    def note(step: int, model: nn.Module) -> None:
        seen.append(strides(model))
        if failing and step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if failing else contextlib.nullcontext():
        train(model, on_step=note)
    assert seen[0] == strides(net().to(memory_format=torch.channels_last))
    assert strides(model) == before
    assert not any(module.training for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())


PRECISIONS = [
    "backends",
    "backends.cudnn",
    *(f"backends.cudnn.{op}" for op in ("conv", "rnn")),
    *(f"backends.mkldnn.{op}" for op in ("conv", "matmul", "rnn")),
    "backends.cuda.matmul",
]


def precisions() -> dict[str, str]:
    return {place: attrgetter(place)(torch).fp32_precision for place in PRECISIONS}


@pytest.fixture
def torchs_own_switches() -> Iterator[None]:
    yield
    for place in ("cudnn", "mkldnn.matmul"):
        attrgetter(place)(torch.backends).fp32_precision = "none"
    torch.backends.fp32_precision = "none"
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("torchs_own_switches")
@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"backends": "ieee"},
        {"backends": "tf32"},
        {"backends.cudnn": "ieee"},
        {"backends.cudnn.conv": "ieee"},
        {"backends.cudnn": "tf32", "backends.cudnn.conv": "ieee"},
        {"backends": "tf32", "backends.cuda.matmul": "tf32"},
        {"backends.mkldnn.matmul": "bf16"},
        {"backends": "ieee", "set_float32_matmul_precision": "high"},
    ],
    ids=str,
)
def test_training_is_in_true_fp32_whatever_torchs_switches_say_and_they_stay(
    switches: dict[str, str],
) -> None:
    for place, value in switches.items():
        if place == "set_float32_matmul_precision":
            torch.set_float32_matmul_precision(value)
        else:
            attrgetter(place)(torch).fp32_precision = value
    before = precisions()
    torch.backends.cudnn.benchmark = True
    within: list[object] = []

    def note(_step: int, _model: nn.Module) -> None:
        cudnn = torch.backends.cudnn
        within.append(({*precisions().values()}, cudnn.benchmark, cudnn.deterministic))

    try:
        train(net(), steps=1, on_step=note)
        assert evaluate(net(), noise(), device="cpu").images == 10
        assert within == [({"ieee"}, False, True)]
        assert precisions() == before
        assert torch.backends.cudnn.benchmark and not torch.backends.cudnn.deterministic
    finally:
        torch.backends.cudnn.benchmark = False


# --- precision, layout, progress -----------------------------------------------------------


def test_bf16_runs_on_the_cpu_and_keeps_the_weights_in_fp32() -> None:
    model = net()
    history = train(model, precision="bf16", epochs=2)
    assert history.precision == "bf16" and history.memory_format == "channels_last"
    assert not history.diverged
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    exact = net()
    in_fp32 = train(exact, precision="fp32", epochs=2)
    assert not torch.equal(weights(model), weights(exact))  # so it was used
    assert history.loss == pytest.approx(in_fp32.loss, rel=0.1)  # 8 bits of a mantissa


def test_what_is_not_said_is_the_fastest_of_this_machine() -> None:
    history = fit(Probe(), dataset(), steps=1, progress=False, evaluate="never")
    assert history.device == best_device()
    assert history.precision == best_precision(best_device())
    assert best_precision("mps") == "fp32"


def test_no_progress_prints_nothing_and_progress_prints_a_bar(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(Probe())
    assert capsys.readouterr() == ("", "")
    train(Probe(), progress=True)
    assert "step" in capsys.readouterr().err


# --- gradients between the backward pass and the update ---------------------------------------


def first_update(**options: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights before the first step, and by how much it changes them, with a rate of 1."""
    torch.manual_seed(0)
    net = cifar_net(8, in_channels=1, width=2)
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    fit(
        net,
        dataset(8),
        steps=1,
        learning_rate=1.0,
        momentum=0.0,
        weight_decay=0.0,
        progress=False,
        **{"device": "cpu", "precision": "fp32", "evaluate": "never", **options},
    )
    return {
        name: (before[name], weight.detach() - before[name])
        for name, weight in net.named_parameters()
    }


def length(update: dict[str, tuple[Tensor, Tensor]]) -> float:
    return math.sqrt(sum(float(change.square().sum()) for _before, change in update.values()))


def test_gradients_are_clipped_all_together_and_only_where_they_are_longer() -> None:
    free = length(first_update())
    assert length(first_update(gradient_clip=free / 5)) == pytest.approx(free / 5, rel=1e-4)
    assert length(first_update(gradient_clip=5 * free)) == pytest.approx(free, rel=1e-6)


def test_lars_gives_each_convolution_a_step_in_proportion_to_its_weights() -> None:
    free, scaled = first_update(), first_update(lars=0.02)
    for name, (before, change) in scaled.items():
        if before.dim() == 4:
            assert float(change.norm() / before.norm()) == pytest.approx(0.02, rel=1e-4)
            torch.testing.assert_close(
                change / change.norm(), free[name][1] / free[name][1].norm(), rtol=1e-3, atol=1e-4
            )
        else:
            torch.testing.assert_close(change, free[name][1])


@pytest.mark.parametrize("name", ["gradient_clip", "lars"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_limit_of_gradients_is_a_positive_number(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a finite number above 0"):
        first_update(**{name: value})
