"""Costs counted by running a net: equal to formulas on nets small enough to count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from course_utils.inference import evaluating
from course_utils.models import count_macs, count_parameters


def test_a_convolution_costs_its_output_pixels_times_its_kernel() -> None:
    # 7×9 pixels, stride 2 and no padding with a 3×5 kernel: 3×3 pixels out.
    layer = nn.Conv2d(4, 6, (3, 5), stride=2)
    assert count_macs(layer, (4, 7, 9)) == 3 * 3 * 6 * 4 * 3 * 5
    assert count_parameters(layer) == 6 * 4 * 3 * 5 + 6


def test_grouped_and_dilated_convolutions_see_their_own_channels_alone() -> None:
    assert count_macs(nn.Conv2d(8, 4, 3, padding=1, groups=4), (8, 5, 5)) == 25 * 4 * 2 * 9
    assert count_macs(nn.Conv2d(8, 8, 3, groups=8, dilation=2), (8, 5, 5)) == 1 * 8 * 1 * 9


def test_a_transposed_convolution_costs_its_input_pixels_times_its_kernel() -> None:
    # Every input pixel is multiplied with a whole kernel, for each of the maps of its group.
    assert count_macs(nn.ConvTranspose2d(6, 4, 3, stride=2), (6, 5, 5)) == 25 * 6 * 4 * 9
    assert count_macs(nn.ConvTranspose2d(6, 4, 3, groups=2), (6, 5, 5)) == 25 * 6 * 2 * 9


def test_a_linear_layer_costs_its_weights_once_for_each_position() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7))
    assert count_macs(net, (3, 4, 5)) == 60 * 7
    assert count_macs(nn.Linear(5, 2), (3, 4, 5)) == 3 * 4 * 5 * 2


def test_normalisation_activations_and_pooling_are_left_out() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2))
    assert count_macs(net, (3, 8, 8)) == 0
    assert count_parameters(net) == 6


def test_a_layer_used_twice_costs_twice_and_is_counted_once_in_the_parameters() -> None:
    layer = nn.Conv2d(2, 2, 1, bias=False)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert count_macs(net, (2, 3, 3)) == 2 * (9 * 2 * 2)
    assert count_parameters(net) == 4


def test_frozen_parameters_are_counted_unless_left_out() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    assert count_parameters(net) == 8 + 3
    assert count_parameters(net, trainable_only=True) == 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_net_is_counted_in_its_own_precision(dtype: torch.dtype) -> None:
    assert count_macs(nn.Conv2d(1, 1, 1).to(dtype), (1, 2, 2)) == 4


def test_the_counts_are_those_of_torchvisions_own_table() -> None:
    """torchvision's ``_ops`` (GMACs) of ResNet-18 and parameters, published with its weights."""
    models = pytest.importorskip("torchvision.models")
    meta = models.ResNet18_Weights.IMAGENET1K_V1.meta
    with torch.device("meta"):
        net = models.resnet18()
    assert count_parameters(net) == meta["num_params"]
    assert count_macs(net, (3, 224, 224)) / 1e9 == pytest.approx(meta["_ops"], abs=5e-4)


@pytest.mark.parametrize("shape", [(32, 32), (1, 3, 32, 32), (3, 0, 32), (3, 32, 1.5), 32, None])
def test_a_shape_that_is_not_channels_height_width_is_refused(shape: object) -> None:
    with pytest.raises(ValueError, match=r"is \(channels, height, width\), not"):
        count_macs(nn.Conv2d(3, 1, 1), shape)  # type: ignore[arg-type]


class Fails(nn.Module):
    """Raises once its input is there."""

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of order")


def mixed_modes(last: nn.Module) -> nn.Sequential:
    """A net whose modules are not all in one mode, as when a part is frozen."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(), last)
    net.train()
    net[1].eval()
    return net


@pytest.mark.parametrize("fails", [False, True])
def test_counting_leaves_modes_hooks_and_statistics_as_they_were(fails: bool) -> None:
    net = mixed_modes(Fails() if fails else nn.Identity())
    net[1].train()
    net[2].eval()
    modes = [module.training for module in net.modules()]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    if fails:
        with pytest.raises(RuntimeError, match="out of order"):
            count_macs(net, (1, 2, 2))
    else:
        assert count_macs(net, (1, 2, 2)) == 4 * 2
    assert [module.training for module in net.modules()] == modes
    assert all(not module._forward_hooks for module in net.modules())
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert all(p.grad is None for p in net.parameters())


def test_evaluating_is_eval_mode_without_gradient_and_each_module_gets_its_own_mode_back() -> None:
    net = mixed_modes(nn.Identity())
    modes = [module.training for module in net.modules()]
    with evaluating(net):
        assert not any(module.training for module in net.modules())
        assert not net(torch.rand(1, 1, 2, 2)).requires_grad
    assert [module.training for module in net.modules()] == modes
    assert torch.is_grad_enabled()


def test_evaluating_restores_the_modes_after_an_error_too() -> None:
    net = mixed_modes(nn.Identity())
    modes = [module.training for module in net.modules()]
    with pytest.raises(KeyError), evaluating(net):
        raise KeyError
    assert [module.training for module in net.modules()] == modes
    assert torch.is_grad_enabled()
