"""The precision of this processor is measured once, remembered, and leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from course_utils.training import best_precision, calibration, hardware
from course_utils.training.calibration import bf16_gain


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[float]]:
    """What measurements will give, in turn, on a processor that has bfloat16."""
    gains = [1.5, 0.5]
    monkeypatch.setattr(calibration, "_measured", lambda: gains.pop(0))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bf16_gain.cache_clear()
    yield gains
    bf16_gain.cache_clear()


def test_a_gain_is_measured_once_a_machine(answers: list[float], tmp_path: Path) -> None:
    assert [bf16_gain(), bf16_gain()] == [1.5, 1.5]
    (path,) = (tmp_path / "course_utils").iterdir()  # and no temporary file
    bf16_gain.cache_clear()  # as in another process
    assert bf16_gain() == 1.5 and answers == [0.5]
    assert json.loads(path.read_text("utf-8"))["torch"] == torch.__version__


def test_another_processor_or_torch_is_measured_anew(
    answers: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bf16_gain() == 1.5
    bf16_gain.cache_clear()
    monkeypatch.setattr(calibration, "processor", lambda: "another one")
    assert bf16_gain() == 0.5


@pytest.mark.parametrize("text", ["", "[1.2]", '{"gain": null}', '{"torch": "2"}'])
def test_what_is_remembered_and_damaged_is_measured_anew(
    answers: list[float], tmp_path: Path, text: str
) -> None:
    bf16_gain()
    (path,) = (tmp_path / "course_utils").iterdir()
    path.write_text(text, encoding="utf-8")
    bf16_gain.cache_clear()
    assert bf16_gain() == 0.5 == json.loads(path.read_text("utf-8"))["gain"]


def test_a_user_without_a_folder_to_write_to_has_a_precision_too(
    answers: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [bf16_gain(), bf16_gain()] == [1.5, 1.5]  # the same as long as the process lasts

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    bf16_gain.cache_clear()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert bf16_gain() == 0.5


def test_a_processor_without_bfloat16_is_not_measured(
    answers: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert bf16_gain() == 0 and best_precision("cpu") == "fp32" and len(answers) == 2


@pytest.mark.parametrize(("gain", "chosen"), [(0.7, "fp32"), (1.1, "fp32"), (1.3, "bf16")])
def test_bf16_is_chosen_where_it_is_faster_by_a_good_margin(
    monkeypatch: pytest.MonkeyPatch, gain: float, chosen: str
) -> None:
    monkeypatch.setattr(hardware, "bf16_gain", lambda: gain)
    assert best_precision("cpu") == chosen


def test_measuring_leaves_threads_random_numbers_and_gradients_as_they_were() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with torch.inference_mode():
        assert calibration._measured() > 0
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
