"""Receptive fields found by running a net are those computed by hand, and the net is left alone."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.models import (
    DenseBlock,
    cifar_net,
    compose,
    convolutionalise,
    deepen,
    densenet,
    digit_classifier,
    gap_net,
    identity_block,
    nin,
    projection_block,
    receptive_field,
)
from course_utils.models.receptive_field import cell_centres, receptive_fields
from course_utils.models.stages import conv, gap_head

WHOLE = (math.inf, math.inf)


def layer(
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | str | tuple[int, int] = 0,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    return nn.Conv2d(4, 4, kernel, stride, padding, dilation, groups)


def by_hand(*layers: tuple[int, int]) -> int:
    """Of layers ``(kernel, stride)`` in a row: each adds (kernel − 1) × the strides before it."""
    field, step = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


# --- layers in a row -------------------------------------------------------------------------

ROWS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "1×1": (lambda: layer(1), 1),
    "3×3": (lambda: layer(3, padding=1), 3),
    "even kernel": (lambda: layer(4, padding=1), 4),
    "even kernel, same": (lambda: layer(4, padding="same"), 4),
    "valid": (lambda: layer(3, padding="valid"), 3),
    "dilated": (lambda: layer(3, padding=12, dilation=12), 25),
    "dilated even": (lambda: layer(2, padding=1, dilation=2), 3),
    "depthwise": (lambda: layer(3, padding=1, groups=4), 3),
    "circular": (lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), 3),
    "1×1 with stride": (lambda: nn.Sequential(layer(1, 2), layer(1, 2)), 1),
    "1×1 with stride, then 3×3": (lambda: nn.Sequential(layer(1, 2), layer(3, padding=1)), 5),
    "three 3×3 with stride": (
        lambda: nn.Sequential(layer(3, 2, 1), layer(3, 2, 1), layer(3, padding=1)),
        by_hand((3, 2), (3, 2), (3, 1)),
    ),
    "stem of ImageNet": (
        lambda: nn.Sequential(layer(7, 2, 3), nn.MaxPool2d(3, 2, 1)),
        by_hand((7, 2), (3, 2)),
    ),
    "max pooling": (lambda: nn.MaxPool2d(2), 2),
    "max pooling, dilated": (lambda: nn.MaxPool2d(3, 1, 2, dilation=2), 5),
    "max pooling, ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), 3),
    "average pooling": (lambda: nn.Sequential(nn.AvgPool2d(2), layer(3)), by_hand((2, 2), (3, 1))),
    "Lp pooling": (lambda: nn.LPPool2d(2, 3), 3),
    "upsampling": (lambda: nn.Sequential(nn.Upsample(scale_factor=2), layer(3)), 2),
    "padding apart": (lambda: nn.Sequential(nn.ReflectionPad2d(2), layer(5)), 5),
    "activations": (
        lambda: nn.Sequential(
            layer(3), nn.ReLU(inplace=True), nn.ReLU6(), nn.SiLU(inplace=True), nn.GELU(),
            nn.Tanh(), nn.PReLU(), nn.LeakyReLU(0.1, inplace=True), nn.Softmax(1), layer(3),
        ),
        5,
    ),
    "normalisations": (
        lambda: nn.Sequential(
            layer(3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4),
            nn.LocalResponseNorm(2), nn.Dropout(), layer(3),
        ),
        5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("size", [(6, 6), (13, 8), (64, 64)])
@pytest.mark.parametrize("name", ROWS)
def test_layers_in_a_row_see_what_the_formula_says_whatever_the_images(
    name: str, size: tuple[int, int]
) -> None:
    build, expected = ROWS[name]
    assert receptive_field(build(), (4, *size)) == (expected, expected)


@pytest.mark.parametrize("seed", range(25))
def test_any_layers_in_a_row_see_what_the_formula_says(seed: int) -> None:
    draw = random.Random(seed)
    layers: list[nn.Module] = []
    fields, steps = [1, 1], [1, 1]
    for _layer in range(draw.randint(1, 5)):
        kernel = (draw.choice([1, 2, 3, 4, 5]), draw.choice([1, 2, 3, 5]))
        stride = (draw.choice([1, 1, 2, 3]), draw.choice([1, 2]))
        half = (kernel[0] // 2, kernel[1] // 2)
        dilation = draw.choice([1, 1, 2, 3])
        if draw.random() < 0.5:
            around, groups = (dilation * half[0], dilation * half[1]), draw.choice([1, 2, 4])
            layers.append(nn.Conv2d(4, 4, kernel, stride, around, dilation, groups))
        else:
            dilation = 1
            layers.append(nn.MaxPool2d(kernel, stride, half, ceil_mode=draw.random() < 0.5))
        for axis in range(2):
            fields[axis] += (kernel[axis] - 1) * dilation * steps[axis]
            steps[axis] *= stride[axis]
    assert receptive_field(nn.Sequential(*layers), (4, 40, 33)) == tuple(fields)


@pytest.mark.parametrize("number", [1, 2, 7])
def test_3x3_layers_add_two_pixels_each_and_a_padded_map_of_one_pixel_is_enough(
    number: int,
) -> None:
    net = nn.Sequential(*(layer(3, padding=1) for _layer in range(number)))
    assert receptive_field(net, (4, 1, 1)) == (1 + 2 * number, 1 + 2 * number)


# --- nets with branches ----------------------------------------------------------------------


def test_the_longest_path_counts() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.short, self.long = layer(3, padding=1), layer((7, 5), padding=(3, 2))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.short(x), self.long(x)], 1)

    assert receptive_field(Branches(), (4, 8, 8)) == (7, 5)


def test_a_residual_block_sees_what_its_body_sees() -> None:
    assert receptive_field(identity_block(4), (4, 8, 8)) == (5, 5)
    assert receptive_field(projection_block(4, 8), (4, 8, 8)) == (by_hand((3, 2), (3, 1)),) * 2


def test_a_dense_block_sees_what_its_chain_of_layers_sees() -> None:
    assert receptive_field(DenseBlock(5, 4, growth_rate=3), (4, 4, 4)) == (11, 11)


@pytest.mark.parametrize("shortcut", [None, "A", "B"])
def test_a_residual_net_sees_what_the_plain_one_sees(shortcut: None) -> None:
    # A stem, 2n layers at full size, 2n at half (the first reads full size), 2n at a quarter.
    n = 3
    expected = [
        by_hand(*[(3, 1)] * (1 + 2 * n)),
        by_hand(*[(3, 1)] * (1 + 2 * n), (3, 2), *[(3, 1)] * (2 * n - 1)),
        by_hand(
            *[(3, 1)] * (1 + 2 * n),
            *[(3, 2), *[(3, 1)] * (2 * n - 1)] * 2,
        ),
    ]
    fields = receptive_fields(
        cifar_net(20, shortcut), (3, 32, 32), [f"stages.{i}" for i in range(3)]
    )
    assert list(fields.values()) == [(side, side) for side in expected]


def test_depth_takes_neither_gradients_nor_values_out_of_range() -> None:
    """Of 110 layers, a product of 3×3 averages would be 3⁻¹¹⁰ at the corners."""
    n = 18
    expected = by_hand(*[(3, 1)] * (1 + 2 * n), *[(3, 2), *[(3, 1)] * (2 * n - 1)] * 2)
    net = cifar_net(110, "A", width=2)
    assert receptive_fields(net, (3, 32, 32), ["stages.2"]) == {"stages.2": (expected, expected)}


def test_a_densenet_sees_its_layers_and_its_pooling() -> None:
    # n = 3 dense layers of 3×3 a block, the average over 2×2 in a transition.
    layers = [(3, 1)] * (1 + 3) + [(2, 2)] + [(3, 1)] * 3 + [(2, 2)] + [(3, 1)] * 3
    fields = receptive_fields(densenet(22, growth_rate=2), (3, 8, 8), ["stages.4", "pool"])
    assert fields == {"stages.4": (by_hand(*layers),) * 2, "pool": WHOLE}


def test_the_nets_of_the_course_see_what_their_layers_add_up_to() -> None:
    gap = by_hand((3, 2), (3, 2), *[(3, 1)] * 4)
    assert receptive_field(gap_net().features, (3, 64, 64)) == (gap, gap)
    digits = by_hand((5, 1), (2, 2), (3, 1))
    assert receptive_field(digit_classifier().features, (1, 20, 20)) == (digits, digits)
    blocks = nin()[:5]  # 5×5, pooling, 3×3, pooling, 3×3
    side = by_hand((5, 1), (2, 2), (3, 1), (2, 2), (3, 1))
    assert receptive_field(blocks, (1, 16, 16)) == (side, side)


def test_torchvisions_nets_see_what_is_published() -> None:
    """Araujo, Norris and Sim 2019, table: ResNet-18 is not in it, AlexNet and VGG-16 are."""
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):  # nothing is drawn
        alexnet, vgg = models.alexnet().features, models.vgg16().features
        resnet = models.resnet18()
    assert receptive_field(alexnet, (3, 224, 224)) == (195, 195)
    assert receptive_field(vgg, (3, 64, 64)) == (212, 212)
    # 7×7 and pooling with stride 2, then four stages of four 3×3, three of which begin by halving.
    expected = by_hand((7, 2), (3, 2), *[(3, 1)] * 4, *[(3, 2), (3, 1), (3, 1), (3, 1)] * 3)
    fields = receptive_fields(resnet, (3, 64, 64), ["layer4", "fc"])
    assert fields == {"layer4": (expected, expected), "fc": WHOLE}


# --- the centres of the cells ----------------------------------------------------------------


def centre_by_hand(*layers: tuple[int, int, float]) -> tuple[float, float]:
    """Of layers ``(kernel, stride, padding before)``: each moves by (kernel − 1) / 2 − padding."""
    offset, jump = 0.0, 1.0
    for kernel, stride, before in layers:
        offset += ((kernel - 1) / 2 - before) * jump
        jump *= stride
    return offset, jump


class SamePadding(nn.Module):
    """A convolution padded as TensorFlow pads: ceil(n / stride) cells, the odd zero at the end."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride, self.conv = kernel, stride, layer(kernel, stride)

    def zeros(self, length: int) -> tuple[int, int]:
        missing = (math.ceil(length / self.stride) - 1) * self.stride + self.kernel - length
        missing = max(missing, 0)
        return missing // 2, missing - missing // 2

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, [*self.zeros(x.shape[3]), *self.zeros(x.shape[2])]))


@pytest.mark.parametrize(
    ("net", "layers"),
    [
        (nn.Sequential(layer(3, 2, 1), layer(3, 2, 1), layer(3, 1, 1)), [(3, 2, 1)] * 2),
        (nn.Sequential(layer(3), layer(3)), [(3, 1, 0)] * 2),
        (nn.Sequential(layer(4, 4), layer(2, 2)), [(4, 4, 0), (2, 2, 0)]),
        (layer(4, 2, 1), [(4, 2, 1)]),
        (layer(4, padding="same"), [(4, 1, 1)]),  # torch puts the odd zero at the end
        (nn.Sequential(nn.ZeroPad2d((2, 0, 2, 0)), layer(3, 2)), [(3, 2, 2)]),
        (nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), layer(3, 2)), [(3, 2, 0)]),
        (layer(3, 2, 2, dilation=2), [(5, 2, 2)]),
        (nn.Sequential(layer(7, 2, 3), nn.MaxPool2d(3, 2, ceil_mode=True)), [(7, 2, 3), (3, 2, 0)]),
        (nn.Sequential(layer(3, 2, 1), nn.AvgPool2d(2)), [(3, 2, 1), (2, 2, 0)]),
    ],
)
@pytest.mark.parametrize("size", [(20, 20), (33, 18)])
def test_cells_are_centred_where_kernels_strides_and_paddings_put_them(
    net: nn.Module, layers: list[tuple[int, int, float]], size: tuple[int, int]
) -> None:
    assert cell_centres(net, (4, *size)) == (centre_by_hand(*layers),) * 2


@pytest.mark.parametrize("size", range(16, 26))
def test_a_padding_that_depends_on_the_image_is_that_of_the_image(size: int) -> None:
    net = nn.Sequential(*(SamePadding(3, 2) for _layer in range(3)), SamePadding(4, 1))
    length, layers = size, []
    for one in net:
        assert isinstance(one, SamePadding)
        layers.append((one.kernel, one.stride, float(one.zeros(length)[0])))
        length = math.ceil(length / one.stride)
    rows, columns = cell_centres(net, (4, size, 32), cells=(length, 4))
    assert rows == centre_by_hand(*layers)
    assert columns == centre_by_hand((3, 2, 0), (3, 2, 0), (3, 2, 0), (4, 1, 1))


def test_of_paths_that_are_centred_apart_the_middle_of_all_that_is_read_counts() -> None:
    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.short, self.long = layer(1, 2), layer(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.short(x)[..., :-2, :-2], self.long(x)], 1)

    assert cell_centres(Apart(), (4, 20, 20)) == ((2.0, 2.0), (2.0, 2.0))  # of pixels 0 to 4


def test_a_gate_that_reads_the_whole_map_moves_no_centre() -> None:
    net = nn.Sequential(layer(3, 2, 1), Gated(), layer(2, 2), nn.AdaptiveAvgPool2d(1))
    assert cell_centres(net, (4, 20, 20), "2") == (centre_by_hand((3, 2, 1), (2, 2, 0)),) * 2


def test_centres_are_found_where_no_cell_stays_within_the_image() -> None:
    net = nn.Sequential(*(layer(3, 2, 1) for _layer in range(5)))  # a field of 63 pixels
    assert cell_centres(net, (4, 32, 40)) == ((0.0, 32.0), (0.0, 32.0))


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(layer(3, padding=1), nn.AdaptiveAvgPool2d((2, 2))),
        nn.Sequential(layer(3), nn.AdaptiveAvgPool2d(1)),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 3)),
    ],
)
def test_a_map_without_places_is_refused(net: nn.Module) -> None:
    with pytest.raises(ValueError, match="cannot be located"):
        cell_centres(net, (4, 8, 8))


def test_a_map_of_other_rows_than_expected_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be located"):
        cell_centres(layer(3, 2, 1), (4, 8, 8), cells=(8, 4))


# --- the whole image -------------------------------------------------------------------------


class Gated(nn.Module):
    """A 3×3 convolution whose maps are weighted by what the whole image holds."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


class Attention(nn.Module):
    """Every position reads every other, without any pooling that could be recognised."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)  # (B, C, h · w)
        mixed = tokens @ (tokens.transpose(1, 2) @ tokens).softmax(-1)
        return mixed.view(x.shape)


@pytest.mark.parametrize(
    "net",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(1),
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.Sequential(layer(3, padding=1), nn.AdaptiveAvgPool2d(1)),
        nn.Sequential(layer(3, padding=1), Gated(), layer(3, padding=1)),
        Attention(),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 3)),
    ],
)
def test_what_reads_the_whole_image_says_so_and_invents_no_number(net: nn.Module) -> None:
    assert receptive_field(net, (4, 8, 8)) == WHOLE


def test_images_stop_growing_where_pairs_of_pixels_are_soon_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The function hides the module of its name.
    monkeypatch.setitem(receptive_fields.__globals__, "MOST_VALUES", 2**16)
    net = nn.Sequential(layer(3, padding=1), Attention())
    assert receptive_fields(net, (4, 8, 8), ["0", "1"]) == {"0": (3, 3), "1": WHOLE}


def test_a_reduction_of_one_side_sees_all_of_that_side() -> None:
    class Column(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(3, keepdim=True)

    assert receptive_field(nn.Sequential(layer(3), Column()), (4, 9, 9)) == (3, math.inf)


def test_dense_layers_turned_into_convolutions_have_a_window() -> None:
    """The classifier of 20×20 pixels, slid over any image."""
    net = digit_classifier()
    assert receptive_field(net, (1, 20, 20)) == WHOLE
    assert receptive_field(convolutionalise(net, (1, 20, 20)), (1, 20, 20)) == (20, 20)


def test_a_net_for_one_size_of_image_is_measured_as_far_as_it_runs() -> None:
    class OneSize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.rest = layer(2, 2), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[2:] == (8, 8)
            return self.rest(self.patches(x).mean((2, 3)))

    fields = receptive_fields(OneSize(), (4, 8, 8), ["patches", "rest"])
    assert fields == {"patches": (2, 2), "rest": WHOLE}


def test_an_output_that_depends_on_nothing_sees_nothing() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(x.shape)

    assert receptive_field(Constant(), (4, 8, 8)) == (0, 0)


# --- what must not matter, and what must not change ------------------------------------------


@torch.no_grad()
def test_weights_that_are_zero_do_not_matter() -> None:
    net = cifar_net(8, "A", width=2)
    expected = receptive_fields(net, (3, 8, 8), ["stages"])
    for block in net.stages.modules():
        if isinstance(block, nn.BatchNorm2d):
            block.weight.zero_()  # the block adds nothing
    assert receptive_fields(net, (3, 8, 8), ["stages"]) == expected
    for parameter in net.parameters():
        parameter.zero_()
    assert receptive_fields(net, (3, 8, 8), ["stages"]) == expected
    shallow = cifar_net(8, width=2)  # Dirac kernels: the pixel in the centre alone
    assert receptive_fields(deepen(shallow, 20), (3, 8, 8), ["stages"]) == receptive_fields(
        cifar_net(20, width=2), (3, 8, 8), ["stages"]
    )


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_field_is_measured_where_gradients_are_off(mode: Callable[[], Any]) -> None:
    with mode():
        assert receptive_field(layer(3), (4, 8, 8)) == (3, 3)


def test_branches_that_cancel_are_seen_nevertheless() -> None:
    class Difference(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = F.avg_pool2d(x, 3, 1, 1)
            y -= x
            return x - F.max_pool2d(x, 5, 1, 2) - y

    assert receptive_field(Difference(), (4, 8, 8)) == (5, 5)


def test_a_layer_scale_of_zero_hides_nothing() -> None:
    class ReZero(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.scale = layer(3, padding=1), nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.scale * self.body(x)

    assert receptive_field(ReZero(), (4, 8, 8)) == (3, 3)


def exactly(model: nn.Module) -> tuple[object, ...]:
    """All that a measurement could leave changed."""
    return (
        [module.training for module in model.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        [(p.requires_grad, p.device, p.dtype, p.data_ptr()) for p in model.parameters()],
        [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        [tensor.tolist() for tensor in copy.deepcopy(model).state_dict().values()],
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_net_is_left_exactly_as_it_was_in_any_type(dtype: torch.dtype) -> None:
    net = nn.Sequential(layer(3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout())
    net.to(dtype)[1].eval()
    net[0].requires_grad_(False)
    net(torch.rand(2, 4, 8, 8, dtype=dtype)).sum().backward()
    before, state = exactly(net), torch.get_rng_state()
    assert receptive_field(net, (4, 8, 8)) == (3, 3)
    assert exactly(net) == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("device", ["meta", "cuda", "mps"])
def test_a_net_is_measured_wherever_it_is(device: str) -> None:
    there = {"meta": True, "cuda": torch.cuda.is_available()}
    if not there.get(device, torch.backends.mps.is_available()):
        pytest.skip(f"no {device} here")
    net = cifar_net(8, "B", width=2).to(device)
    fields = receptive_fields(net, (3, 8, 8), ["stages.0"])
    assert fields == {"stages.0": (7, 7)}
    assert {parameter.device.type for parameter in net.parameters()} == {device}


def test_a_shape_that_is_no_image_and_a_net_that_fails_are_answered_as_they_are() -> None:
    with pytest.raises(ValueError, match=r"is \(channels, height, width\), not"):
        receptive_field(layer(3), (8, 8))
    net = compose([conv(4, stride=2), gap_head()])
    with pytest.raises(RuntimeError):
        receptive_field(nn.Sequential(nn.Unflatten(1, (2, 5)), net), (4, 8, 8))
