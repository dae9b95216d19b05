"""The nets of lesson 1: no dense layer in network in network, no border in the digit classifier."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from course_utils.models import digit_classifier, mlpconv, nin


def kinds(net: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in net.modules() if not list(layer.children())]


def test_a_block_of_nin_is_a_convolution_and_1x1_convolutions() -> None:
    block = mlpconv(3, (8, 6, 5), 5)
    convs = [layer for layer in block if isinstance(layer, nn.Conv2d)]
    shapes = [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convs]
    assert shapes == [(3, 8, 5), (8, 6, 1), (6, 5, 1)]
    assert kinds(block) == ["Conv2d", "ReLU"] * 3
    assert kinds(mlpconv(3, (8, 6, 5), 5, last_relu=False)) == kinds(block)[:-1]
    normalised = mlpconv(3, (8, 6), 3, last_relu=False, batch_norm=True)
    assert kinds(normalised) == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]


def test_a_block_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one number of maps"):
        mlpconv(3, (), 3)


def test_nin_has_no_dense_layer_and_ends_in_the_mean_of_a_map_a_class() -> None:
    net = nin(num_classes=7)
    images = torch.randn(3, 1, 9, 12)
    assert "Linear" not in kinds(net)
    maps = net[:-2](images)
    torch.testing.assert_close(net(images), maps.mean((2, 3)))
    assert bool((maps < 0).any())  # no ReLU before the mean


@pytest.mark.parametrize(("padding", "around"), [(False, [0, 0]), (True, [2, 1])])
def test_the_digit_classifier_sees_no_border_unless_asked_to(
    padding: bool, around: list[int]
) -> None:
    net = digit_classifier(11, padding=padding)
    convs = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert [conv.padding for conv in convs] == [(pixels, pixels) for pixels in around]
    assert net(torch.rand(2, 1, 20, 20)).shape == (2, 11)
