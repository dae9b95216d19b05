"""The net of lesson 2: its resolution, its poolings and its costs."""

from __future__ import annotations

import pytest
import torch

from course_utils.models import count_macs, count_parameters, gap_net


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 48), (33, 57), (1, 1)])
def test_the_last_maps_have_a_quarter_of_the_image_s_side(height: int, width: int) -> None:
    net = gap_net().eval()
    features = net.features(torch.rand(2, 3, height, width))
    assert features.shape == (2, 48, -(-height // 4), -(-width // 4))
    assert net(torch.rand(2, 3, height, width)).shape == (2, 10)


def test_the_answer_is_the_linear_layer_on_the_pooled_maps() -> None:
    x = torch.rand(2, 3, 16, 16)
    for pool, statistic in (("average", torch.mean), ("max", torch.amax)):
        net = gap_net(pool).eval()  # type: ignore[arg-type]
        pooled = statistic(net.features(x), (2, 3))
        expected = pooled @ net.linear.weight.T + net.linear.bias
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)


def test_parameters_and_multiply_adds_are_those_counted_by_hand() -> None:
    # (in, out, side of the output at 64 pixels) of each 3x3 convolution.
    layers = [(3, 16, 32), (16, 32, 16), (32, 48, 16), *[(48, 48, 16)] * 3]
    weights = sum(9 * i * o for i, o, _side in layers)
    norms = sum(2 * o for _i, o, _side in layers)
    assert count_parameters(gap_net()) == weights + norms + 48 * 10 + 10
    macs = sum(9 * i * o * side**2 for i, o, side in layers) + 48 * 10
    assert count_macs(gap_net(), (3, 64, 64)) == macs


def test_an_unknown_pooling_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="pool must be one of 'average', 'max'"):
        gap_net("min")  # type: ignore[arg-type]
