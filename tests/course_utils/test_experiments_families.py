"""The family "composed": a reader's design in the experiment room, in any process."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from course_utils.datasets import load
from course_utils.experiments import FAMILIES, Record, Spec, build, composed, run
from course_utils.experiments.families import family
from course_utils.models import as_options, cifar_net, count_macs, count_parameters
from course_utils.models.stages import (
    conv,
    dense,
    gap_head,
    identity,
    plain,
    projection,
    transition,
)

DESIGN = [conv(4), identity(), dense(2, growth_rate=4), transition(), gap_head()]
DEPTH = 1 + 2 + 4 + 1 + 1


def spec(design: Any = DESIGN, **options: Any) -> Spec:
    return Spec(seed=0, steps=2, dataset_options={"size": 8}, **composed(design), **options)  # type: ignore[arg-type]


def test_a_design_makes_the_fields_of_a_spec() -> None:
    assert composed(DESIGN) == {
        "family": "composed",
        "depth": DEPTH,
        "family_options": {"design": as_options(DESIGN)},
    }
    assert str(spec()) == f"composed-{DEPTH}, seed 0"
    assert "composed" in FAMILIES


def test_a_spec_of_a_design_survives_json_with_its_hash() -> None:
    back = Spec(**json.loads(json.dumps(spec().to_dict())))
    assert back == spec() and back.hash == spec().hash
    assert spec([conv(4, stride=1), gap_head()]).hash == spec([conv(4), gap_head()]).hash
    assert spec([conv(5), gap_head()]).hash != spec([conv(4), gap_head()]).hash


def test_the_net_is_the_designs_for_the_data_at_hand() -> None:
    digits = load("digits", size=8)
    net = build(spec(), digits)
    assert net(digits.train.images[:2].float()).shape == (2, 10)
    assert net.depth == DEPTH


def test_a_design_that_spells_a_net_of_the_course_trains_as_it_does() -> None:
    net = run(spec([conv(2), plain(2), plain(4, stride=2), plain(8, stride=2), gap_head()]))
    own = run(
        Spec("plain", 8, 0, steps=2, dataset_options={"size": 8}, family_options={"width": 2})  # type: ignore[arg-type]
    )
    for measured in ("losses", "running_errors", "train_errors", "test_errors"):
        assert getattr(net, measured) == getattr(own, measured)
    assert net.parameters == count_parameters(cifar_net(8, width=2, in_channels=1))
    assert net.macs == count_macs(cifar_net(8, width=2, in_channels=1), (1, 8, 8))


def test_a_run_gives_a_record_that_survives_being_written() -> None:
    record = run(spec())
    assert Record.from_json(record.to_json()) == record
    assert record.steps == 2


def test_asking_for_a_spec_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    spec()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("depth", "options", "sentence"),
    [
        (
            DEPTH + 1,
            {"design": as_options(DESIGN)},
            f"has {DEPTH} weight layers, but the depth asked for is {DEPTH + 1}",
        ),
        (2, {}, 'The family "composed" has one option'),
        (2, {"design": ()}, 'The family "composed" has one option'),
        (2, {"design": "conv(4)"}, 'The family "composed" has one option'),
        (2, {"design": as_options(DESIGN), "width": 3}, 'The family "composed" has one option'),
        (2, {"design": ["conv(4)"]}, r"The design ends with stage 1, conv\(4\)"),
        (2, {"design": ["convolution(4)"]}, r"'convolution\(4\)' is not a line of a design"),
        (2, {"design": ["conv(0)", "gap_head()"]}, r"conv\(channels=…\) must be at least 1"),
        (
            3,
            {"design": ["identity()", "gap_head()"]},
            r"Stage 1, identity\(\), would have no other map",
        ),
    ],
)
def test_a_design_that_cannot_be_built_is_refused_with_the_spec(
    depth: int, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Spec("composed", depth, 0, family_options=options)  # type: ignore[arg-type]


def test_a_shortcut_that_only_the_images_rule_out_is_refused_when_the_net_is_built() -> None:
    lines = as_options([projection(2, shortcut="A"), gap_head()])
    assert family("composed").build(3, design=lines, in_channels=1, num_classes=10).depth == 3
    with pytest.raises(ValueError, match=r"Stage 1, projection.* reads 3 maps: option A"):
        family("composed").build(3, design=lines, in_channels=3, num_classes=10)
