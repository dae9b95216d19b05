"""Nets composed line by line: equal to the course's own, refused where they are impossible."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from course_utils.models import (
    as_options,
    cifar_net,
    compose,
    count_macs,
    count_parameters,
    densenet,
    design_depth,
    from_options,
    gap_net,
)
from course_utils.models.design import channel_trace
from course_utils.models.stages import (
    StageSpec,
    bottleneck,
    conv,
    dense,
    gap_head,
    identity,
    plain,
    projection,
    transition,
)

RESNET_A = [
    conv(16),
    identity(times=3),
    projection(32, times=3, shortcut="A"),
    projection(64, times=3, shortcut="A"),
    gap_head(),
]
RESNET_B = [
    conv(16),
    identity(times=3),
    projection(32, stride=2),
    identity(times=2),
    projection(64, stride=2),
    identity(times=2),
    gap_head(),
]
PLAIN = [
    conv(16),
    plain(16, times=3),
    plain(32, stride=2, times=3),
    plain(64, stride=2, times=3),
    gap_head(),
]
EVERY_KIND = [
    conv(8, kernel_size=5, stride=2, times=2),
    plain(8),
    identity(times=2),
    projection(12, stride=1),
    bottleneck(16, width=4, times=2),
    dense(2, growth_rate=4, bottleneck=False),
    transition(compression=0.25),
    gap_head(),
]


def dense_design(bc: bool) -> list[StageSpec]:
    """DenseNet of 40 layers, k=12, with or without BC."""
    block = dense(6 if bc else 12, growth_rate=12, bottleneck=bc)
    between = transition(0.5 if bc else 1)
    stem = conv(24 if bc else 16, bare=True)
    return [stem, block, between, block, between, block, gap_head()]


# --- the nets of the course, spelt -----------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "build"),
    [
        (PLAIN, lambda: cifar_net(20)),
        (RESNET_A, lambda: cifar_net(20, "A")),
        (RESNET_B, lambda: cifar_net(20, "B")),
        (dense_design(bc=True), lambda: densenet(40, 12)),
        (dense_design(bc=False), lambda: densenet(40, 12, bottleneck=False, compression=1)),
        (
            [conv(16, stride=2), conv(32, stride=2), conv(48, times=4), gap_head()],
            gap_net,
        ),
    ],
    ids=["plain", "A", "B", "BC", "dense", "gap"],
)
def test_a_design_that_spells_a_net_of_the_course_is_that_net(
    design: list[StageSpec], build: Callable[[], nn.Module]
) -> None:
    """The same numbers, weight for weight, answers and costs."""
    torch.manual_seed(3)
    own = build()
    torch.manual_seed(3)
    net = compose(design)
    ours, theirs = net.state_dict().values(), own.state_dict().values()
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert count_parameters(net) == count_parameters(own)
    assert count_macs(net, (3, 32, 32)) == count_macs(own, (3, 32, 32))
    assert net.depth == getattr(own, "depth", 7)  # six convolutions and a linear layer in gap_net
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net.eval()(images), own.eval()(images))


# --- shapes, depth, channels -----------------------------------------------------------------


def test_channels_are_inferred_and_sizes_follow_strides_and_transitions() -> None:
    net = compose(EVERY_KIND, in_channels=1, num_classes=7)
    x = torch.rand(2, 1, 20, 14)
    shapes = []
    for module in net.stages:
        x = module(x)
        shapes.append(tuple(x.shape[1:]))
    half = (10, 7)
    assert shapes == [
        *[(8, *half)] * 3,
        (12, *half),
        (16, *half),
        (16 + 2 * 4, *half),
        (6, 5, 3),
    ]
    assert net(torch.rand(2, 1, 20, 14)).shape == (2, 7)
    assert channel_trace(EVERY_KIND, 1) == [1, 8, 8, 8, 12, 16, 24, 6]


def test_the_depth_counts_the_layers_with_weights_on_the_longest_path() -> None:
    # 2 convolutions, then 2, 4, 2 in blocks of two, 6 in bottlenecks, 2 dense, 1 transition, 1.
    assert design_depth(EVERY_KIND) == 2 + 2 + 4 + 2 + 6 + 2 + 1 + 1
    assert compose(EVERY_KIND).depth == design_depth(EVERY_KIND)
    assert dense(6, growth_rate=12).depth == 12


def test_the_maps_that_a_head_reads_have_been_through_a_relu() -> None:
    for last in (dense(2, growth_rate=4), transition(), conv(8, bare=True)):
        net = compose([conv(8), last, gap_head()])
        assert [type(layer) for layer in net.norm] == [nn.BatchNorm2d, nn.ReLU]  # type: ignore[arg-type]
    for last in (conv(8), plain(8), identity(), projection(8), bottleneck(8, width=2)):
        assert compose([conv(4), conv(8), last, gap_head()]).norm is None


def test_a_bare_convolution_has_neither_normalisation_nor_relu() -> None:
    stage = compose([conv(8, times=2, bare=True), gap_head()]).stages[0]
    assert [type(layer) for layer in stage] == [nn.Conv2d, nn.Conv2d]


def test_a_head_alone_is_a_linear_layer_of_the_mean_colour() -> None:
    net = compose([gap_head()])
    images = torch.rand(2, 3, 5, 5)
    assert torch.allclose(net(images), net.linear(images.mean((2, 3))))
    assert net.depth == 1


def test_option_a_has_no_weights_and_option_b_a_projection_with_bn() -> None:
    padded = compose([conv(4), projection(8, shortcut="A"), gap_head()])
    projected = compose([conv(4), projection(8), gap_head()])
    assert count_parameters(projected) - count_parameters(padded) == 4 * 8 + 2 * 8


def test_recomputation_is_handed_to_the_dense_layers() -> None:
    net = compose([dense(3, growth_rate=2, memory_efficient=True), gap_head()])
    assert all(layer.memory_efficient for layer in net.stages[0].layers)  # type: ignore[union-attr]


# --- designs as plain data ---------------------------------------------------------------------


def test_a_design_survives_being_written_down() -> None:
    design = (*EVERY_KIND[:-1], gap_head(pool="max"))
    assert from_options(as_options(design)) == design
    assert as_options([conv(16, 3)]) == as_options([conv(channels=16)]) == ("conv(16)",)


def test_the_net_of_a_design_can_be_pickled() -> None:
    net = pickle.loads(pickle.dumps(compose(EVERY_KIND)))
    assert net.design == tuple(EVERY_KIND)


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "error", "sentence"),
    [
        ([], ValueError, "The design is empty"),
        ([conv(16)], ValueError, r"ends with stage 1, conv\(16\): add the head, gap_head\(\)"),
        (conv(16), ValueError, r"ends with stage 1, conv\(16\)"),
        (
            [conv(16), gap_head(), conv(32)],
            ValueError,
            r"Stage 2, gap_head\(\), is a head, and conv\(32\) comes after",
        ),
        (
            [conv(16), gap_head(), gap_head()],
            ValueError,
            "Stage 2.* a single head, on its last line",
        ),
        ([conv(16), 32, gap_head()], TypeError, "Stage 2 is 32, of type int.*conv, plain"),
        ([conv(16), [identity()], gap_head()], TypeError, "Stage 2 is .* of type list"),
        ([conv(16), nn.ReLU(), gap_head()], TypeError, "Stage 2 is ReLU.., of type ReLU"),
        ([conv(16), gap_head], TypeError, r"Stage 2 is gap_head without its parentheses"),
        (
            [conv, gap_head()],
            TypeError,
            r"Stage 1 is conv without its parentheses: write conv\(…\)",
        ),
        (
            [identity(), gap_head()],
            ValueError,
            r"Stage 1, identity\(\), would have no other maps than the 3 channel",
        ),
        (
            [conv(16), projection(16, stride=1), gap_head()],
            ValueError,
            r"projection\(16, stride=1\), reads 16 maps: the shape does not change.*identity\(\)",
        ),
        (
            [conv(16), conv(32), projection(8, shortcut="A"), gap_head()],
            ValueError,
            "Stage 3, projection.* reads 32 maps: option A can only add",
        ),
    ],
)
def test_an_impossible_stack_is_answered_with_the_stage_and_why(
    design: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as raised:
        compose(design)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "conv", "dropout(3)", "conv(16", "conv(x)", "conv(**{})", "a.conv(3)", 3]
)
def test_a_string_that_is_no_line_is_refused_and_never_executed(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a line of a design: write one of conv, plain"):
        from_options([text])


def test_identity_first_is_possible_on_maps() -> None:
    assert compose([identity(), gap_head()], in_channels=16)(torch.rand(1, 16, 4, 4)).shape == (
        1,
        10,
    )


def test_maps_too_small_for_a_transition_are_refused_with_the_stage_and_the_shape() -> None:
    design = [conv(8, stride=2), transition(), transition(), gap_head()]
    sentence = (
        r"Stage 3, transition\(\), halves the side of its maps, and the 4 maps .* have 1×2 pixels"
    )
    with pytest.raises(ValueError, match=sentence):
        compose(design, image_shape=(3, 4, 8))
    net = compose(design)
    with pytest.raises(ValueError, match=sentence):
        net(torch.rand(2, 3, 4, 8))
    assert compose(design, image_shape=(3, 8, 8)).training


def test_the_shape_of_the_images_must_be_one_that_the_net_reads() -> None:
    with pytest.raises(ValueError, match=r"have 1 channel.* the network reads 3"):
        compose([conv(8), gap_head()], image_shape=(1, 8, 8))
    with pytest.raises(ValueError, match=r"is \(channels, height, width\), not"):
        compose([conv(8), gap_head()], image_shape=(8, 8))
