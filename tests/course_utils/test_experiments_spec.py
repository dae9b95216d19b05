"""A spec is one run: the same everywhere under one hash, and refused at the door when wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making_records import tiny

from course_utils.experiments import Spec, grid, run
from course_utils.experiments import spec as spec_module
from course_utils.models import cifar_net


def made(**changes: Any) -> Spec:
    fields: dict[str, Any] = {"family": "plain", "depth": 8, "seed": 0}
    return Spec(**{**fields, **changes})


# --- identity ------------------------------------------------------------------------------


def test_the_hash_is_the_sha256_of_the_fields_so_it_is_the_same_in_every_process() -> None:
    fields = {
        "recipe": spec_module.RECIPE,
        "family": "residual",
        "depth": 20,
        "seed": 3,
        "dataset": "digits",
        "dataset_options": {"size": 12},
        "family_options": {"shortcut": "B", "width": 8},
        "epochs": 4,
        "steps": None,
        "batch_size": 64,
        "learning_rate": 0.1,
        "schedule": "linear",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0001,
        "augmentation": "none",
        "evaluate_every": 3,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    }
    expected = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
    del fields["recipe"]
    assert Spec(**fields).hash == expected  # type: ignore[arg-type]


def test_the_order_of_fields_and_of_options_changes_nothing() -> None:
    first = Spec(family="residual", depth=8, seed=0, family_options={"width": 4, "shortcut": "B"})  # type: ignore[arg-type]
    second = Spec(seed=0, family_options={"shortcut": "B", "width": 4}, depth=8, family="residual")  # type: ignore[arg-type]
    pairs = Spec("residual", 8, 0, family_options=(("width", 4), ("shortcut", "B")))
    assert first == second == pairs
    assert first.hash == second.hash == pairs.hash


def test_every_field_changes_the_hash() -> None:
    changed: dict[str, Any] = {
        "family": "residual",
        "depth": 14,
        "seed": 1,
        "dataset": "digit_scenes",
        "dataset_options": {"size": 8},
        "family_options": {"width": 4},
        "epochs": 16,
        "steps": 15,
        "batch_size": 32,
        "learning_rate": 0.2,
        "schedule": "step",
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.0,
        "augmentation": "crop",
        "evaluate_every": 1,
        "device": "cuda",
        "precision": "bf16",
        "threads": 2,
        "warm_start": True,
        "reestimate_bn": True,
        "compiled": True,
        "gradient_clip": 1.0,
        "lars": 0.02,
    }
    assert set(changed) == {field.name for field in dataclasses.fields(Spec)}
    hashes = {made().hash, *(made(**{name: value}).hash for name, value in changed.items())}
    assert len(hashes) == 1 + len(changed)


def test_a_field_younger_than_the_first_records_leaves_their_hashes_as_they_were() -> None:
    assert not {"warm_start", "reestimate_bn", "lars"} & made().to_dict().keys()
    assert made(warm_start=True).to_dict()["warm_start"] is True
    assert made(warm_start=False).hash == made().hash


def test_another_recipe_is_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made().hash
    monkeypatch.setattr(spec_module, "RECIPE", spec_module.RECIPE + 1)
    assert made().hash != before


def test_equal_specs_have_equal_hashes_whatever_the_type_of_their_numbers() -> None:
    whole, real = made(learning_rate=1, depth=np.int64(8)), made(learning_rate=1.0)
    assert whole == real
    assert whole.hash == real.hash
    assert made(learning_rate=np.float32(0.5)).hash == made(learning_rate=0.5).hash


def test_a_spec_can_be_a_key_and_is_frozen() -> None:
    listed = made(dataset_options={"size": 8, "marks": [1, [2, 3]]})
    assert {listed: 1}[made(dataset_options={"marks": (1, (2, 3)), "size": 8})] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        listed.depth = 14  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"steps": 7, "learning_rate": 1e-3, "nesterov": True, "threads": 2},
        {"dataset_options": {"size": 8, "note": "é", "list": [1, 2.5, None, True]}},
    ],
)
def test_a_spec_survives_json(changes: dict[str, Any]) -> None:
    spec = made(**changes)
    again = Spec(**json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.hash == spec.hash


def test_a_spec_is_said_by_its_family_depth_and_seed() -> None:
    assert str(made(depth=56, seed=2)) == "plain-56, seed 2"


def test_neither_epochs_nor_steps_is_the_default_number_of_epochs() -> None:
    assert made().epochs == spec_module.DEFAULT_EPOCHS and made().steps is None
    assert made(steps=5).epochs is None


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"depth": 21}, ValueError, r"There is no network of depth 21.*nearest are 20 and 26"),
        ({"depth": "20"}, TypeError, "depth must be a whole number.*'20'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, and is -1"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number"),
        ({"batch_size": 1}, ValueError, "batch_size must be at least 2"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"epochs": 1, "steps": 1}, ValueError, "epochs=… or steps=…, not both"),
        ({"dataset": "cifra10"}, ValueError, "dataset must be one of 'digits'.*'cifra10'"),
        ({"dataset": None}, TypeError, "dataset must be a string and is None"),
        (
            {"family": "plane"},
            ValueError,
            "There is no family 'plane'.*'plain', 'residual'.*module",
        ),
        ({"family": 3}, TypeError, "family must be a string and is 3"),
        ({"schedule": "cosine"}, ValueError, "schedule must be one of 'linear', 'step'"),
        ({"precision": "auto"}, ValueError, "precision must be one of 'fp32', 'bf16'"),
        ({"device": "gpu"}, ValueError, "device must be one of 'cpu', 'cuda', 'mps'"),
        ({"nesterov": 1}, TypeError, "nesterov must be True or False"),
        ({"learning_rate": 0}, ValueError, "must be positive, and this one is 0"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be a finite number, 0 or more"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate must be a finite number"),
        ({"learning_rate": "1e-4"}, TypeError, "learning_rate must be a number and is '1e-4'"),
        ({"momentum": True}, TypeError, "momentum must be a number and is True"),
        ({"device": "cuda:x"}, ValueError, "device must be one of .*'cuda:x'"),
        ({"family_options": {"widht": 8}}, TypeError, "\"plain\" has no option 'widht': .* width"),
        ({"dataset_options": "size=8"}, TypeError, r"dictionary such as \{\"size\": 8\}"),
        ({"family_options": (1, 2)}, TypeError, "family_options must be a dictionary"),
        ({"family_options": {1: 2}}, TypeError, "family_options must be a dictionary"),
        ({"family_options": {"width": {8}}}, TypeError, "with numbers, strings and lists of them"),
        ({"family_options": {"net": {"width": 8}}}, TypeError, "with numbers, strings and lists"),
    ],
)
def test_a_wrong_field_is_answered_with_what_was_expected(
    changes: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as refusal:
        made(**changes)
    assert "\n" not in str(refusal.value)


# --- families of the reader's own ----------------------------------------------------------


OWN = """
from course_utils.models import cifar_net

NOT_A_FUNCTION = 3

def small(depth, in_channels, num_classes, width=2):
    return cifar_net(depth, "A", width, in_channels, num_classes)
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a notebook, where modules are found."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_function_beside_the_notebook_is_a_family(beside: Path) -> None:
    (beside / "own_nets.py").write_text(OWN, encoding="utf-8")
    spec = tiny("own_nets:small", depth=14, family_options={"width": 3})
    assert run(spec).parameters == sum(
        p.numel() for p in cifar_net(14, "A", 3, in_channels=1).parameters()
    )


def test_a_module_written_a_moment_ago_is_found(beside: Path) -> None:
    with pytest.raises(ValueError, match="cannot be imported"):
        made(family="own_later:small")  # the import system has now looked into the folder
    (beside / "own_later.py").write_text(OWN, encoding="utf-8")
    assert made(family="own_later:small").family == "own_later:small"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("own_absent:build", None, r"ModuleNotFoundError.*own_absent\.py beside the notebook"),
        ("own_a:big", OWN, "AttributeError: .*'big'"),
        ("own_b:NOT_A_FUNCTION", OWN, "TypeError: it is not a function"),
        ("own_c:build", "def build(:\n", "SyntaxError"),
        ("own_d:build", "1 / 0\n", "ZeroDivisionError"),
        ("own_e:build", "from torch import no_such_thing\n", "ImportError"),
        ("own-f:build", OWN, "There is no family 'own-f:build'.*module:function"),
        ("own_g:", OWN, "There is no family 'own_g:'"),
        ("__main__:build", None, r"There is no family '__main__:build'.*a file module\.py beside"),
    ],
)
def test_a_family_that_cannot_be_imported_is_answered_with_why_and_where_to_write_it(
    beside: Path, name: str, text: str | None, says: str
) -> None:
    if text is not None:
        (beside / f"{name.split(':')[0]}.py").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        made(family=name)


# --- grids ---------------------------------------------------------------------------------


def test_a_grid_is_every_combination_with_one_budget() -> None:
    specs = grid(depths=(8, 20), seeds=range(3), epochs=2, dataset_options={"size": 8})
    assert [(s.family, s.depth, s.seed) for s in specs] == [
        (family, depth, seed)
        for family in ("plain", "residual")
        for depth in (8, 20)
        for seed in (0, 1, 2)
    ]
    assert {(s.epochs, s.steps, s.dataset, s.dataset_options) for s in specs} == {
        (2, None, "digits", (("size", 8),))
    }


def test_auto_precision_is_decided_once_and_written_in_the_specs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spec_module, "best_precision", lambda device: "bf16")
    specs = grid(depths=[8], seeds=[0], precision="auto")
    assert {spec.precision for spec in specs} == {"bf16"}


def test_steps_take_the_place_of_epochs_and_warm_starts_go_with_some_depths() -> None:
    specs = grid(
        families="plain", depths=[8, 14], seeds=[0], epochs=3, steps=64_000, warm_start=[14]
    )
    assert {(spec.epochs, spec.steps) for spec in specs} == {(None, 64_000)}
    assert [(spec.depth, spec.warm_start) for spec in specs] == [(8, False), (14, True)]
    assert all(spec.warm_start for spec in grid(depths=[8], seeds=[0], warm_start=True))
    with pytest.raises(TypeError, match="warm_start must be True, False or a list of depths"):
        grid(depths=[8], seeds=[0], warm_start=14)


@pytest.mark.parametrize("empty", ["families", "depths", "seeds"])
def test_nothing_to_combine_is_refused(empty: str) -> None:
    values: dict[str, Any] = {"families": ["plain"], "depths": [8], "seeds": [0], empty: []}
    with pytest.raises(ValueError, match="at least one family, depth and seed"):
        grid(**values)


def test_a_misspelled_option_is_answered_with_the_valid_ones() -> None:
    for wrong in ("epoch", "depth"):  # the depths have a parameter of their own
        with pytest.raises(
            TypeError, match=rf"no option {wrong}\. Its options are families, depths.*epo"
        ):
            grid(depths=[8], seeds=[0], **{wrong: 3})
