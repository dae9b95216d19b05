"""The package's own settings of the experiment are those of lesson 3 and of its profiles."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from course_utils.degradation.profiles import parameters, specs_of
from course_utils.experiments import Spec, grid

ROOT = Path(__file__).parents[2]
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.toml"))


def lesson_3(language: str) -> dict[str, Any]:
    """What the cell of parameters sets."""
    text = (ROOT / "notebooks" / language / "03_degradation.ipynb").read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    (cell,) = (each for each in cells if "parameters" in each["metadata"].get("tags", ()))
    lines = ast.parse("".join(cell["source"])).body
    return {ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in lines}  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_the_command_sweeps_what_lesson_3_sweeps(profile: str | None, language: str) -> None:
    own = lesson_3(language)
    if profile is not None:
        text = (ROOT / "profiles" / f"{profile}.toml").read_text(encoding="utf-8")
        own |= tomllib.loads(text)["03_degradation"]
    del own["store"]
    assert parameters(profile) == own
    recipe = own.pop("recipe")
    assert specs_of(profile) == grid(families=["plain", "residual"], **{**own, **recipe})


def test_the_command_has_the_profiles_of_the_lessons_and_no_other() -> None:
    with pytest.raises(ValueError, match="profile must be one of") as refusal:
        parameters("papre")
    assert sorted(re.findall(r"'(\w+)'", str(refusal.value))) == sorted([*PROFILES, "papre"])


def test_what_the_reader_says_comes_before_the_profile() -> None:
    (spec,) = specs_of(
        "paper",
        families=["residual"],
        depths=[8],
        seeds=[7],
        epochs=2,
        device="cpu",
        settings={"batch_size": 32},
        dataset_options={"root": "here"},
        family_options={"width": 4},
    )
    assert spec == Spec(
        "residual",
        8,
        7,
        dataset="cifar10",
        dataset_options={"mean": "pixel", "root": "here"},  # type: ignore[arg-type]
        family_options={"width": 4},  # type: ignore[arg-type]
        epochs=2,
        batch_size=32,
        schedule="step",
        augmentation="crop_flip",
        evaluate_every=10,
        reestimate_bn=True,
    )
    (steps,) = specs_of("cpu", families=["plain"], depths=[8], seeds=[0], steps=5)
    assert (steps.epochs, steps.steps) == (None, 5)
    (said,) = specs_of("paper", families=["plain"], depths=[8], seeds=[0], settings={"epochs": 3})
    assert (said.epochs, said.steps) == (3, None)
    # Options of CIFAR-10 are none of the digits'.
    (digits,) = specs_of("paper", families=["plain"], dataset="digits", depths=[8], seeds=[0])
    assert digits.dataset_options == ()
