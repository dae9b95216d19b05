"""A run gives the same numbers everywhere, and its record says what they were obtained with."""

from __future__ import annotations

import math
import platform
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from making_records import tiny

from course_utils import i18n
from course_utils.datasets import load
from course_utils.experiments import (
    Record,
    Spec,
    Store,
    SweepError,
    build,
    run,
    sweep,
    sweeping,
    train,
)
from course_utils.experiments.running import check_device


def test_plain_and_residual_runs_of_one_seed_start_from_the_same_weights() -> None:
    data = load("digits", size=8)
    plain = build(tiny("plain", seed=4), data).state_dict()
    residual = build(tiny("residual", seed=4), data).state_dict()
    other = build(tiny("plain", seed=5), data).state_dict()
    assert all(torch.equal(plain[name], residual[name]) for name in plain)
    assert not torch.equal(plain["linear.weight"], other["linear.weight"])
    assert plain["stem.0.weight"].shape == (2, 1, 3, 3)  # width 2, grey images
    assert plain["linear.weight"].shape == (10, 8)


def test_a_run_leaves_torchs_generator_and_threads_as_they_were() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    before = torch.get_num_threads()
    run(tiny(threads=before + 1))
    assert torch.get_num_threads() == before
    assert torch.equal(torch.rand(2), expected)
    with pytest.raises(TypeError, match="no option"):  # of the data set: known when it is loaded
        run(tiny(threads=before + 1, dataset_options={"sise": 8}))
    assert torch.get_num_threads() == before


def test_a_record_says_what_was_measured_and_what_it_cost() -> None:
    spec = tiny(steps=None, epochs=3, evaluate_every=2, batch_size=512)  # 2 steps an epoch
    found = run(spec)
    assert found.spec == spec
    assert found.epochs == (2, 3)
    assert found.steps == 6 and not found.diverged
    assert len(found.losses) == len(found.learning_rates) == len(found.running_errors) == 3
    assert found.train_error == found.train_errors[-1]
    assert found.test_error == found.test_errors[-1]
    # Errors are counts of 1,437 and 360 images.
    assert found.train_error * 1437 == pytest.approx(round(found.train_error * 1437))
    assert found.test_error * 360 == pytest.approx(round(found.test_error * 360))
    # Width 2, one block a stage, 8×8, 4×4 and 2×2 pixels; each BN has two parameters a map.
    pairs = [2 + 4 + 4, 8 + 16, 32 + 64]  # maps in × maps out, stem and stage by stage
    maps = 2 + 2 * 2 + 4 * 2 + 8 * 2
    assert found.parameters == 9 * sum(pairs) + 2 * maps + 8 * 10 + 10
    assert found.macs == 9 * (64 * pairs[0] + 16 * pairs[1] + 4 * pairs[2]) + 8 * 10


def test_a_run_that_diverges_is_a_record_and_not_a_crash() -> None:
    found = run(tiny(steps=None, epochs=2, batch_size=512, learning_rate=1e20))
    assert found.diverged
    assert found.steps < 4 or not math.isfinite(found.losses[-1])
    assert found.train_error == 1
    assert Record.from_json(found.to_json()).science() == found.science()


def test_a_record_names_the_machine_but_neither_the_host_nor_the_user() -> None:
    found = run(tiny())
    said = {str(value) for value in found.machine.values()}
    assert not said & {platform.node(), str(Path.home()), Path.home().name}
    assert found.machine["torch"] == torch.__version__
    assert found.machine["precision"] == "fp32"
    assert found.machine["memory_format"] == "channels_last"


# --- devices -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "gpus", "cuda", "says"),
    [
        ("cuda", 0, None, rf"{re.escape(torch.__version__)}, is built without CUDA: install one"),
        ("cuda", 0, "13.0", r"torch .* finds no device cuda on this machine"),
        ("cuda:2", 2, "13.0", r"torch .* finds no device cuda:2 on this machine"),
        ("mps", 0, None, r"torch .* finds no device mps on this machine"),
    ],
)
def test_a_device_that_is_not_here_is_refused_with_the_build_of_torch(
    device: str, gpus: int, cuda: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(ValueError, match=says):
        check_device(device)
    if gpus:
        check_device("cuda:1")


# --- the same numbers everywhere -----------------------------------------------------------


OWN = """
import os

from course_utils.i18n import current_language
from course_utils.models import cifar_net


def build(depth, in_channels, num_classes):
    if depth == 2:  # only to hear from the worker
        raise RuntimeError(f"{current_language()} in {os.getcwd()}")
    return cifar_net(depth, "B", 2, in_channels, num_classes)
"""


@pytest.mark.slow
def test_a_spec_gives_the_same_numbers_here_in_threads_and_in_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a notebook: the reader has changed folder, and imports from the one they are in.
    folder = tmp_path / "lesson"
    folder.mkdir()
    (folder / "own_in_worker.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend("")
    monkeypatch.setattr(i18n, "_chosen", "fr")
    monkeypatch.setattr(sweeping, "_cores", lambda: 1)
    options: dict[str, Any] = {"steps": 5, "augmentation": "crop_flip", "family_options": {}}
    plain = tiny(steps=5, augmentation="crop_flip")
    own = tiny("own_in_worker:build", **options)
    speaks = tiny("own_in_worker:build", 2, **options)

    with pytest.raises(SweepError) as failure:
        sweep([plain, own, speaks], tmp_path / "store", progress=False)
    assert f"RuntimeError: fr in {Path.cwd()}" in str(failure.value)

    in_worker = [one.science() for one in Store(tmp_path / "store").records()]
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert [run(spec).science() for spec in (own, plain)] == in_worker
    finally:
        torch.set_num_threads(before)

    with ThreadPoolExecutor(4) as pool:
        threaded = sweep([own, plain], tmp_path / "threads", pool, progress=False)
    assert [one.science() for one in threaded] == in_worker


def test_choices_are_made_by_the_validation_scenes_where_there_are_some() -> None:
    options = {"size": 23, "n_train": 70, "n_test": 30, "n_validation": 40}
    net = {"family": "plain", "depth": 8, "family_options": {"width": 2}, "steps": 2}
    model, found = train(Spec(seed=0, dataset="digit_scenes", dataset_options=options, **net))
    held_out = load("digit_scenes", **options).validation
    assert held_out is not None
    with torch.no_grad():
        wrong = model(held_out.normalised()).argmax(1) != held_out.labels
    assert found.validation_error == float(wrong.float().mean())
    assert Record.from_json(found.to_json()) == found
    assert run(Spec(seed=0, **net)).validation_error is None
