"""The paper's experiment: its schedule, step by step, and what a record says of its fidelity."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from making_records import record, tiny
from torch import Tensor, nn

from course_utils.datasets import Dataset, Split, load
from course_utils.degradation import fidelity_notes, verdict
from course_utils.degradation.profiles import specs_of
from course_utils.experiments import Record, Spec, run
from course_utils.experiments.running import recipe_of
from course_utils.training import (
    History,
    evaluate,
    fit,
    learning_rate_at,
    reestimate_batch_norm,
)
from course_utils.training.schedule import LearningRate

ROOT = Path(__file__).parents[2]
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.toml"))
SIZES = {"cifar10": 50_000, "digits": 1437}


def one_pixel(n: int) -> Dataset:
    """As many images as a data set has, of one pixel: what a rate depends on, and no more."""
    labels = torch.arange(n) % 10
    split = Split(torch.zeros(n, 1, 1, 1), labels, torch.zeros(1), torch.ones(1))
    return Dataset(split, split.subset(10), tuple("0123456789"))


class Logits(nn.Module):
    """Ten numbers, the same for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), 10)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rate that the optimiser has at each of its steps."""
    seen: list[float] = []

    class Noting(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            seen.append(self.param_groups[0]["lr"])

    monkeypatch.setattr(torch.optim, "SGD", Noting)
    # Nothing is learnt: only the rates count, of which there are 64,000.
    monkeypatch.setattr(torch.autograd, "backward", lambda _loss: None)
    return seen


def trained(spec: Spec) -> History:
    here = {"device": "cpu", "precision": "fp32", "augmentation": "none", "compiled": False}
    recipe = recipe_of(spec) | here
    data = one_pixel(SIZES[spec.dataset])
    return fit(Logits(), data, **recipe, evaluate="never", progress=False)


# --- the schedule --------------------------------------------------------------------------


def test_the_papers_deepest_net_starts_at_a_hundredth_until_it_learns() -> None:
    (spec,) = specs_of("paper", families=["residual"], depths=[110], seeds=[0])
    assert spec.steps is not None and spec.warm_start
    rate = LearningRate(spec.steps, spec.learning_rate, spec.schedule, spec.warm_start)
    rates = []
    for step in range(spec.steps):
        rates.append(rate.at(step))
        # The fourth hundred steps have a mean error of 0.82, the fifth one of 0.7.
        rate.note(0.9 if step < 360 else 0.7)
    assert rate.warm_steps == 500
    # Then the rate goes back to 0.1, and its drops are where they were.
    expected = [0.01] * 500 + [0.1] * 31_500 + [0.01] * 16_000 + [0.001] * 16_000
    assert rates == pytest.approx(expected, rel=1e-12)


def test_a_net_that_never_learns_stays_at_the_low_rate_and_the_record_says_so() -> None:
    found = run(tiny(steps=3, warm_start=True))
    assert found.warm_start_steps == 3
    assert found.learning_rates == pytest.approx(
        [0.1 * rate for rate in run(tiny(steps=3)).learning_rates]
    )
    assert Record.from_json(found.to_json()).warm_start_steps == 3


PAPER = [0.1] * 32_000 + [0.01] * 16_000 + [0.001] * 16_000


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_the_rates_of_its_schedule_step_by_step(profile: str) -> None:
    (spec,) = specs_of(profile, families=["residual"], depths=[56], seeds=[0])
    steps = spec.steps or (spec.epochs or 0) * (SIZES[spec.dataset] // spec.batch_size)
    if profile == "paper":
        expected = PAPER
    elif profile == "gpu":
        assert spec.epochs == 60  # of 390 steps each: 23,400
        expected = [0.1] * 11_700 + [0.01] * 5850 + [0.001] * 5850
    else:
        warm = round(steps / 10)
        left = steps - warm + 1  # equal steps down, to nothing after the last
        expected = [0.1 * (step + 1) / warm for step in range(warm)]
        expected += [0.1 * (left - 1 - step) / left for step in range(left - 1)]
    rates = [learning_rate_at(n, steps, spec.learning_rate, spec.schedule) for n in range(steps)]
    assert rates == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("changes", [{"steps": 200}, {"epochs": 2, "batch_size": 500}])
@pytest.mark.parametrize("profile", ["paper", "cpu"])
def test_the_optimiser_has_the_rates_of_the_schedule(
    profile: str, changes: dict[str, int], rates: list[float]
) -> None:
    (spec,) = specs_of(profile, families=["plain"], depths=[56], seeds=[0], settings=changes)
    history = trained(spec)
    steps = spec.steps or 2 * (SIZES[spec.dataset] // 500)
    assert history.steps == len(rates) == steps
    expected = [learning_rate_at(step, steps, 0.1, spec.schedule) for step in range(steps)]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert history.warm_start_steps is None


# --- fidelity ------------------------------------------------------------------------------


def notes_of(spec: Spec, data: str = "CIFAR-10, MD5 verified") -> tuple[str, ...]:
    """The notes on a run of ``spec`` that did all its steps on these data."""
    return fidelity_notes(record(spec, steps=spec.steps or 2, data=data))


def test_the_papers_profile_departs_from_the_paper_in_nothing() -> None:
    specs = specs_of("paper")
    assert {spec.depth for spec in specs} >= {20, 32, 44, 56, 110}
    assert all(spec.warm_start == (spec.depth == 110) for spec in specs)
    for spec in specs:
        notes = notes_of(spec)
        assert not [note for note in notes if note.startswith("Departure")], notes
        said = " ".join(notes)
        for choice in ("padded", "left over", "fp32 on cuda", "taken anew", "weight decay"):
            assert choice in said
        assert ("warm start ends" in said) == (spec.depth == 110)
        assert all(note.endswith(".") and "\n" not in note for note in notes)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"batch_size": 64}, "batch_size is 64; the paper has 128"),
        ({"steps": 32_000}, "the run has 32,000 steps; the paper has 64,000"),
        ({"learning_rate": 0.05}, "learning_rate is 0.05; the paper has 0.1"),
        ({"schedule": "linear"}, "schedule is linear; the paper has step"),
        ({"nesterov": True}, "nesterov is True; the paper has False"),
        ({"augmentation": "crop"}, "augmentation is crop; the paper has crop_flip"),
        ({"warm_start": True}, "there is a warm start; the paper has none at depth 20"),
        ({"depth": 110}, "there is no warm start; the paper has one at depth 110"),
        ({"family_options": {"shortcut": "B"}}, "shortcuts are of option B"),
        ({"family_options": {"width": 8}}, "the first stage has 8 maps; the paper has 16"),
        ({"dataset_options": {}}, "mean and standard deviation of each channel"),
    ],
)
def test_each_departure_is_noted(changes: dict[str, Any], note: str) -> None:
    (spec,) = specs_of("paper", families=["residual"], depths=[20], seeds=[0])
    notes = notes_of(dataclasses.replace(spec, **changes))
    departures = [found for found in notes if found.startswith("Departure")]
    assert len(departures) == 1 and note in departures[0]


@pytest.mark.parametrize(
    ("data", "is_noted"),
    [
        ("CIFAR-10, MD5 verified", False),
        ("files in CIFAR-10's format, not verified", True),
        ("", False),  # a record that is older than the field
    ],
)
def test_data_that_were_not_verified_are_a_departure(data: str, is_noted: bool) -> None:
    (spec,) = specs_of("paper", families=["plain"], depths=[20], seeds=[0])
    assert (f"Departure: the data are {data}." in notes_of(spec, data)) == is_noted


def test_what_was_chosen_is_what_is_noted() -> None:
    assert any("statistics taken anew" in note for note in notes_of(tiny(reestimate_bn=True)))
    assert any("bf16 on cpu" in note for note in notes_of(tiny(precision="bf16")))
    assert any("fused by torch.compile" in note for note in notes_of(tiny(compiled=True)))
    assert "Departure: the data are digits; the paper has CIFAR-10." in notes_of(tiny())
    assert notes_of(tiny("dense", depth=10, family_options={})) == ()


def test_records_older_than_a_field_are_read_and_warm_starts_do_not_part_what_is_compared() -> None:
    old = record(tiny())
    plain = old.to_dict()
    del plain["data"], plain["warm_start_steps"]
    assert Record.from_json(json.dumps(plain)) == old
    records = [
        record(tiny(depth=depth, seed=seed, warm_start=depth == 14, reestimate_bn=True))
        for depth in (8, 14)
        for seed in (0, 1)
    ]
    assert verdict(records).deep == 14


# --- batch normalisation -------------------------------------------------------------------


def test_statistics_taken_anew_are_those_of_the_whole_split() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, 2, 4, 4, generator=generator)
    split = Split(images, torch.arange(40) % 10, torch.zeros(1), torch.ones(1))
    layer = nn.BatchNorm2d(2)
    model = nn.Sequential(layer, nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 10)).eval()
    weights = [parameter.clone() for parameter in model.parameters()]
    reestimate_batch_norm(model, split, batch_size=10, device="cpu")
    by_map = images.transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer.running_mean, by_map.mean(1))
    # A mean of unbiased variances of four batches of 160 pixels.
    assert layer.running_var is not None
    torch.testing.assert_close(layer.running_var, by_map.var(1), rtol=0.02, atol=0)
    assert layer.momentum == 0.1 and not model.training and not layer.training
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert layer.num_batches_tracked == 4


def test_a_run_measures_with_the_statistics_taken_anew_when_asked() -> None:
    options: dict[str, Any] = {"steps": 30, "learning_rate": 0.2}
    moving, anew = run(tiny(**options)), run(tiny(**options, reestimate_bn=True))
    assert moving.losses == anew.losses  # the training is the same
    assert moving.train_errors != anew.train_errors

    data = load("digits", size=8)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    history = fit(
        model, data, steps=30, device="cpu", precision="fp32", reestimate_bn=True, progress=False
    )
    assert history.train_error == evaluate(model, data.train, device="cpu").error
    before = model.state_dict()["1.running_mean"].clone()
    reestimate_batch_norm(model, data.train, batch_size=64, device="cpu")
    assert torch.equal(before, model.state_dict()["1.running_mean"])
