"""The blocks do what their equations say, whatever way they are written."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.models import blocks
from course_utils.models.blocks import (
    BottleneckBlock,
    ConvBNReLU,
    PadShortcut,
    ResidualBlock,
    identity_block,
    initialise,
    projection_block,
    stage,
)


def lived_in(module: nn.Module) -> nn.Module:
    """The module in float64 and eval mode, its batch normalisations as after some training."""
    torch.manual_seed(0)
    module.double().eval()
    for inner in module.modules():
        if isinstance(inner, nn.BatchNorm2d):
            assert inner.running_mean is not None and inner.running_var is not None
            nn.init.normal_(inner.running_mean)
            nn.init.uniform_(inner.running_var, 0.5, 2)
            nn.init.uniform_(inner.weight, 0.5, 2)
            nn.init.normal_(inner.bias)
    return module


def conv_bn(state: dict[str, Tensor], name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution ``name.0`` and batch normalisation ``name.1``, from their definitions."""
    weight = state[f"{name}.0.weight"]
    y = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    mean, variance, gamma, beta = (
        state[f"{name}.1.{part}"].view(-1, 1, 1)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (y - mean) / torch.sqrt(variance + 1e-5) * gamma + beta


def images(channels: int, side: int = 7) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, channels, side, side, dtype=torch.float64)


def test_conv_bn_relu_is_a_convolution_without_bias_then_bn_then_relu() -> None:
    brick, x = lived_in(ConvBNReLU(3, 5, stride=2)), images(3)
    state = {f"brick.{name}": tensor for name, tensor in brick.state_dict().items()}
    assert "brick.0.bias" not in state
    torch.testing.assert_close(brick(x), conv_bn(state, "brick", x, stride=2).clamp(min=0))


@pytest.mark.parametrize("side", [1, 7, 8])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_a_brick_keeps_the_size_and_divides_it_by_the_stride_rounded_up(
    side: int, kernel_size: int
) -> None:
    for stride in (1, 2, 3):
        brick = ConvBNReLU(2, 4, kernel_size, stride).eval()
        expected = math.ceil(side / stride)
        assert brick(torch.rand(1, 2, side, side)).shape == (1, 4, expected, expected)


def test_option_a_keeps_one_pixel_out_of_stride_and_adds_empty_channels() -> None:
    x = images(3, side=5)
    y = PadShortcut(3, 7, stride=2)(x)
    assert y.shape == (2, 7, 3, 3)
    for row in range(3):
        for column in range(3):
            assert torch.equal(y[:, :3, row, column], x[:, :, 2 * row, 2 * column])
    assert not y[:, 3:].any()
    assert not list(PadShortcut(3, 7, stride=2).parameters())


def test_a_plain_block_is_two_convolutions_and_nothing_around_them() -> None:
    block, x = lived_in(ResidualBlock(3, 4, stride=2, shortcut=None)), images(3)
    state = block.state_dict()
    inner = conv_bn(state, "body.0", x, stride=2).relu()
    torch.testing.assert_close(block(x), conv_bn(state, "body.1", inner).relu())


def test_an_identity_block_adds_its_input_before_the_last_relu() -> None:
    block, x = lived_in(identity_block(3)), images(3)
    state = block.state_dict()
    inner = conv_bn(state, "body.0", x).relu()
    torch.testing.assert_close(block(x), (conv_bn(state, "body.1", inner) + x).relu())


def test_where_the_shape_changes_option_a_adds_the_strided_and_padded_input() -> None:
    block, x = lived_in(ResidualBlock(3, 5, stride=2, shortcut="A")), images(3)
    state = block.state_dict()
    inner = conv_bn(state, "body.0", x, stride=2).relu()
    padded = torch.cat((x[:, :, ::2, ::2], torch.zeros(2, 2, 4, 4)), dim=1)
    torch.testing.assert_close(block(x), (conv_bn(state, "body.1", inner) + padded).relu())


def test_where_the_shape_changes_option_b_adds_a_projection_with_bn() -> None:
    block, x = lived_in(projection_block(3, 5)), images(3)
    state = block.state_dict()
    assert state["shortcut.0.weight"].shape == (5, 3, 1, 1)
    inner = conv_bn(state, "body.0", x, stride=2).relu()
    shortcut = conv_bn(state, "shortcut", x, stride=2)
    torch.testing.assert_close(block(x), (conv_bn(state, "body.1", inner) + shortcut).relu())


@pytest.mark.parametrize("option", ["A", "B"])
def test_where_the_shape_stays_both_options_are_the_identity(option: blocks.Shortcut) -> None:
    assert isinstance(ResidualBlock(4, 4, shortcut=option).shortcut, nn.Identity)


def test_a_bottleneck_narrows_works_and_widens_then_adds() -> None:
    block, x = lived_in(BottleneckBlock(6, 2, 8, stride=2)), images(6)
    state = block.state_dict()
    narrow = conv_bn(state, "body.0", x).relu()
    worked = conv_bn(state, "body.1", narrow, stride=2).relu()
    wide = conv_bn(state, "body.2", worked)
    torch.testing.assert_close(block(x), (wide + conv_bn(state, "shortcut", x, stride=2)).relu())
    assert [state[f"body.{i}.0.weight"].shape[-1] for i in range(3)] == [1, 3, 1]


def test_only_the_first_block_of_a_stage_changes_the_shape() -> None:
    built = stage(3, 4, 8, stride=2, shortcut="A")
    assert len(built) == 3
    x = torch.rand(1, 4, 9, 9)
    shapes = []
    for block in built:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 5, 5)] * 3


@pytest.mark.parametrize("option", ["C", "a", "", 0, False])
def test_an_unknown_shortcut_is_answered_with_the_valid_ones(option: object) -> None:
    with pytest.raises(ValueError, match=r'choose None \(plain\), "A" \(empty maps\) or "B"'):
        ResidualBlock(4, 4, shortcut=option)  # type: ignore[arg-type]


def test_option_a_cannot_drop_channels_and_says_what_can() -> None:
    with pytest.raises(ValueError, match=r"4 maps cannot hold 8\. Use option B"):
        ResidualBlock(8, 4, shortcut="A")
    assert ResidualBlock(8, 4, shortcut="B")(torch.rand(1, 8, 3, 3)).shape == (1, 4, 3, 3)


@pytest.mark.parametrize("number", [0, -1])
def test_a_stage_without_blocks_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"at least one block, not {number}"):
        stage(number, 4, 4, stride=1, shortcut=None)


def test_initial_weights_have_the_variance_that_keeps_the_gradient_alive() -> None:
    """He et al. 2015 (arXiv 1502.01852), equation 14: 2 / (k² · maps after)."""
    convolution = nn.Conv2d(64, 128, 3)
    grouped = nn.Conv2d(128, 128, 5, groups=4)  # each input reaches 128/4 maps
    norm, linear = nn.BatchNorm2d(128), nn.Linear(500, 400)
    nn.init.normal_(norm.weight)
    initialise(nn.Sequential(convolution, grouped, norm, linear), seed=0)
    expected: list[tuple[nn.Conv2d | nn.Linear, float]] = [
        (convolution, 2 / (9 * 128)),
        (grouped, 2 / (25 * 32)),
        (linear, 1 / 500),
    ]
    for layer, variance in expected:
        # The sample variance of n normal draws has a relative deviation of sqrt(2/n) < 0.6%.
        assert float(layer.weight.detach().var()) == pytest.approx(variance, rel=0.03)
        assert layer.bias is not None and not layer.bias.any()
    assert torch.equal(norm.weight, torch.ones(128))


def test_initialising_again_with_the_same_seed_gives_the_same_weights() -> None:
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    initialise(first, seed=5)
    initialise(second, seed=5)
    assert torch.equal(first.weight, second.weight)
    initialise(second, seed=6)
    assert not torch.equal(first.weight, second.weight)
