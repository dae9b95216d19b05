"""Costs counted by running a net: equal to formulas on nets small enough to count by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from course_utils.models import cifar_net, count_macs, count_parameters


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
    models = torchvision.models
    meta = models.ResNet18_Weights.IMAGENET1K_V1.meta
    with torch.device("meta"):
        net = models.resnet18()
    assert count_parameters(net) == meta["num_params"]
    assert count_macs(net, (3, 224, 224)) / 1e9 == pytest.approx(meta["_ops"], abs=5e-4)


@pytest.mark.parametrize("shape", [(32, 32), (1, 3, 32, 32), (3, 0, 32), (3, 32, 1.5), 32, None])
def test_a_shape_that_is_not_channels_height_width_is_refused(shape: object) -> None:
    with pytest.raises(ValueError, match=r"is \(channels, height, width\), not"):
        count_macs(nn.Conv2d(3, 1, 1), shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("fails", [False, True])
def test_counting_leaves_modes_statistics_and_settings_as_they_were(fails: bool) -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if fails:
                raise RuntimeError("out of order")
            return x

    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout().eval(), Last())
    modes = [module.training for module in net.modules()]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    if fails:
        with pytest.raises(RuntimeError, match="out of order"):
            count_macs(net, (1, 2, 2))
    else:
        assert count_macs(net, (1, 2, 2)) == 4 * 2
    assert [module.training for module in net.modules()] == modes
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert all(p.grad is None for p in net.parameters())
    assert torch.backends.mha.get_fastpath_enabled()


# --- whatever way the net is written or run ---------------------------------------------------


class Functional(nn.Module):
    """A convolution, an einsum and a linear layer, none of them a module."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.rand(8, 3, 3, 3))
        self.mixing = nn.Parameter(torch.rand(8, 6))
        self.classes = nn.Parameter(torch.rand(10, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel, padding=1)
        x = torch.einsum("bchw,ck->bkhw", x, self.mixing)
        return F.linear(x.mean((2, 3)), self.classes)


def traced(net: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        return torch.jit.trace(net.eval(), torch.rand(1, 3, 4, 4))


class Transposed(nn.Module):
    """A linear layer along another dimension than the last, as MLP-Mixer mixes its positions."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2))


class Attention(nn.Module):
    """One encoder layer over 16 pixels of 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=12, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(2).transpose(1, 2))


ATTENTION = 16 * (8 * 3 * 8 + 8 * 8 + 2 * 8 * 12)  # queries, keys and values, output, two layers


@pytest.mark.parametrize(
    ("net", "shape", "macs"),
    [
        (Functional(), (3, 4, 4), 16 * (8 * 27 + 8 * 6) + 60),
        (Transposed(), (3, 4, 4), 3 * 16 * 5),
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 5)), (3, 2, 4), 4 * 4 * 3 * 5),
        (nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 2, 2)), (3, 4, 4), 2 * 9 * 2 * 8),
        (traced(Functional()), (3, 4, 4), 16 * (8 * 27 + 8 * 6) + 60),
        (parametrizations.weight_norm(nn.Linear(4, 3)), (1, 1, 4), 12),
    ],
    ids=["functions", "transposed", "Conv1d", "Conv3d", "traced", "weights computed"],
)
@pytest.mark.filterwarnings("error")
def test_layers_count_whatever_way_they_are_called(
    net: nn.Module, shape: tuple[int, ...], macs: int
) -> None:
    assert count_macs(net, shape) == macs
    with torch.inference_mode():
        assert count_macs(net, shape) == macs


@pytest.mark.slow
@pytest.mark.parametrize("part", [False, True])
def test_a_compiled_net_is_counted_as_it_was_written(part: bool) -> None:
    runs = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> Callable[..., Any]:
        def run(*args: Tensor) -> Any:
            runs.append(1)
            return graph(*args)

        return run

    net = cifar_net(8, width=4).eval()
    expected = count_macs(net, (3, 8, 8))
    if part:
        net.stages.compile(backend=backend)
    compiled = net if part else torch.compile(net, backend=backend)
    with torch.no_grad():
        compiled(torch.rand(1, 3, 8, 8))
    n_runs = len(runs)
    assert n_runs and count_macs(compiled, (3, 8, 8)) == expected
    assert len(runs) == n_runs


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_products_of_two_activations_are_left_out_and_named(device: str) -> None:
    with torch.device(device):
        net = Attention()
    with pytest.warns(
        UserWarning, match="leave out .*(1 × attention|2 × bmm).*: these are products of two"
    ):
        assert count_macs(net, (8, 4, 4)) == ATTENTION


def test_a_product_without_a_formula_is_named() -> None:
    net = nn.Sequential(nn.Flatten(2), nn.LSTM(4, 6, batch_first=True))
    with pytest.warns(UserWarning, match=r"1 × \w*(rnn|lstm)\w*: "):
        assert count_macs(net, (3, 2, 2)) == 0


@pytest.mark.parametrize(
    ("name", "macs"), [("vit_b_16", 16_848_500_736), ("swin_t", 4_350_425_088)]
)
@pytest.mark.filterwarnings("ignore:Not counted")
def test_the_counts_of_attention_nets_are_fvcores(name: str, macs: int) -> None:
    """Convolutions and linear layers in fvcore 0.1.5."""
    with torch.device("meta"):
        net = getattr(torchvision.models, name)()
    assert count_macs(net, (3, 224, 224)) == macs
