"""Dense layers as convolutions: the same answers on one window, and as a sliding window beyond."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import alexnet, vgg11

from course_utils.models import (
    ConvBNReLU,
    convolutionalise,
    digit_classifier,
    linear_to_conv,
    sliding_window,
)


def classifier(*head: nn.Module) -> nn.Sequential:
    """Maps of 4 × 5 × 6 for images of 2 × 7 × 8, then ``head``."""
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), *head)


def dense_head(channels: int = 4, height: int = 5, width: int = 6) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 7),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(7, 3, bias=False),
        nn.LogSoftmax(1),
    )


def agree(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


# --- one linear layer -------------------------------------------------------------------------


def test_a_convolution_holds_the_matrix_in_the_order_of_flattening() -> None:
    linear = nn.Linear(2 * 3 * 4, 5)
    kernel = linear_to_conv(linear, 2, 3, 4).weight
    for channel, row, column in ((0, 0, 0), (0, 1, 2), (1, 2, 3)):
        place = channel * 12 + row * 4 + column
        assert torch.equal(kernel[:, channel, row, column], linear.weight[:, place])


def test_a_convolution_made_of_a_linear_layer_answers_like_it() -> None:
    linear, maps = nn.Linear(24, 5).double(), torch.randn(6, 2, 3, 4, dtype=torch.float64)
    agree(linear_to_conv(linear, 2, 3, 4)(maps).flatten(1), linear(maps.flatten(1)))


def test_a_convolution_keeps_type_bias_gradients_and_mode() -> None:
    linear = nn.Linear(8, 2, bias=False, dtype=torch.bfloat16).eval().requires_grad_(False)
    conv = linear_to_conv(linear, 2, 2, 2)
    assert (conv.bias, conv.weight.dtype, conv.training) == (None, torch.bfloat16, False)
    assert not conv.weight.requires_grad


def test_converting_draws_no_random_number_and_shares_no_memory() -> None:
    net = classifier(*dense_head())
    state = torch.get_rng_state()
    before = copy.deepcopy(net.state_dict())
    converted = convolutionalise(net, (2, 7, 8))
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        for value in converted.parameters():
            value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_maps_of_another_size_are_refused_with_both_counts() -> None:
    with pytest.raises(ValueError, match=r"takes 24 features, and maps of 2×3×5 hold 30"):
        linear_to_conv(nn.Linear(24, 5), 2, 3, 5)


# --- a whole classifier -----------------------------------------------------------------------


def test_a_converted_classifier_answers_the_same_on_its_own_size() -> None:
    net = classifier(*dense_head()).double().eval()
    images = torch.randn(5, 2, 7, 8, dtype=torch.float64)
    answer = convolutionalise(net, (2, 7, 8))(images)
    assert answer.shape == (5, 3, 1, 1)
    agree(answer.flatten(1), net(images))


def test_the_first_dense_layer_becomes_a_kernel_of_the_maps_size_and_the_next_ones_1x1() -> None:
    converted = convolutionalise(classifier(dense_head()), (2, 7, 8))
    kernels = [layer.kernel_size for layer in converted if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3), (5, 6), (1, 1)]


def test_no_parameter_is_gained_or_lost() -> None:
    net = classifier(dense_head())
    count = [
        sum(p.numel() for p in one.parameters()) for one in (net, convolutionalise(net, (2, 7, 8)))
    ]
    assert count[0] == count[1]


def test_modes_are_kept_layer_by_layer() -> None:
    net = classifier(*dense_head()).train()
    net[2:].eval()
    converted = convolutionalise(net, (2, 7, 8))
    assert converted.training
    assert [layer.training for layer in converted] == [True] * 2 + [False] * 5
    assert net.training and net[0].training


@pytest.mark.parametrize("build", [alexnet, vgg11])
def test_torchvisions_dense_heads_become_convolutions(build: object) -> None:
    with torch.device("meta"):
        whole = build(num_classes=10)  # type: ignore[operator]
        net = nn.Sequential(whole.features, whole.avgpool, nn.Flatten(), whole.classifier)
        converted = convolutionalise(net, (3, 224, 224))
        larger = converted(torch.zeros(1, 3, 224 + 32, 224 + 64))
    # A map of 7×7 (or 6×6) pixels, one larger for each 32 pixels more of the image.
    assert larger.shape == (1, 10, 2, 3)


def test_blocks_of_ones_own_pass_through() -> None:
    net = nn.Sequential(ConvBNReLU(1, 4), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    images = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(
        convolutionalise(net, (1, 6, 6))(images).flatten(1), net(images), rtol=1e-4, atol=1e-5
    )


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Wide(nn.Module):
    """A block that looks at the whole map, deep inside."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "no sequence": (Own(), "layers of Own have no known order"),
    "global pooling": (
        classifier(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        r"layer 2 \(AdaptiveAvgPool2d\).*looks at the whole map",
    ),
    "a norm over the whole map": (
        classifier(nn.GroupNorm(2, 4), dense_head()),
        r"layer 2 \(GroupNorm\)",
    ),
    "hidden in a block": (
        classifier(Wide(), dense_head()),
        r"layer 2 \(Wide\).*AdaptiveAvgPool2d looks",
    ),
    "no flatten": (classifier(nn.Linear(6, 3)), r"layer 2 \(Linear\).*before any nn.Flatten"),
    "flatten of a part": (
        classifier(nn.Flatten(2), nn.Linear(30, 3)),
        r"layer 2 \(Flatten\).*one row of numbers",
    ),
    "flattened by a block": (
        classifier(Own(), nn.Flatten(), nn.Linear(120, 3)),
        r"layer 2 \(Own\).*it outputs \(1, 120\)",
    ),
    "norm after the flattening": (
        classifier(nn.Flatten(), nn.Linear(120, 8), nn.LayerNorm(8)),
        r"layer 4 \(LayerNorm\).*act on each number",
    ),
    "softmax over another dimension": (
        classifier(nn.Flatten(), nn.Linear(120, 8), nn.Softmax(-1)),
        r"layer 4 \(Softmax\)",
    ),
    "another size": (
        classifier(nn.Flatten(), nn.Linear(99, 3)),
        r"layer 3 \(Linear\) cannot take what reaches it, of shape \(120,\)",
    ),
    "nothing dense": (classifier(nn.Flatten()), "no fully connected layer to convert"),
    "already convolutional": (classifier(), "no fully connected layer to convert"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_refused_by_name(case: str) -> None:
    net, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        convolutionalise(net, (2, 7, 8))


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="The model is of type list"):
        convolutionalise([nn.Flatten()], (2, 7, 8))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 0), (2.0, 7, 8)])
def test_a_shape_that_is_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape of an image is"):
        convolutionalise(classifier(dense_head()), shape)


# --- against the sliding window ---------------------------------------------------------------


def test_the_windows_are_those_cut_out_by_hand() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(2 * 16, 3)).double()
    images = torch.randn(2, 2, 9, 7, dtype=torch.float64)
    answers = sliding_window(net, images, side=4, step=2, batch_size=5)
    assert answers.shape == (2, 3, 3, 2)
    for row in range(3):
        for column in range(2):
            window = images[:, :, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4]
            agree(answers[:, :, row, column], net(window))


def test_the_map_equals_the_sliding_window_without_padding() -> None:
    net = digit_classifier().double().eval()
    images = torch.rand(2, 1, 34, 46, dtype=torch.float64)
    maps = convolutionalise(net, (1, 20, 20))(images)
    agree(maps, sliding_window(net, images, side=20, step=2))
    # A step of twice the strides' product: every second position; half of it: they fall between.
    agree(maps[:, :, ::2, ::2], sliding_window(net, images, side=20, step=4))
    agree(maps, sliding_window(net, images, side=20, step=1)[:, :, ::2, ::2])


def test_padding_breaks_the_equality() -> None:
    net = digit_classifier(padding=True).double().eval()
    images = torch.rand(1, 1, 34, 46, dtype=torch.float64)
    maps = convolutionalise(net, (1, 20, 20))(images)
    windows = sliding_window(net, images, side=20, step=2)
    assert maps.shape == windows.shape
    assert not torch.allclose(maps, windows, atol=1e-3)


def test_a_sliding_window_leaves_the_models_modes() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 3)).train()
    one = sliding_window(net, torch.ones(1, 1, 8, 8), side=4, step=4)
    agree(one, one[:, :, :1, :1].expand_as(one))  # no dropout: equal windows, equal answers
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        (torch.zeros(1, 8, 8), {}, r"shape \(1, 8, 8\)"),
        (torch.zeros(1, 1, 8, 3), {}, "a side of 4 pixels does not fit into images of 8×3"),
        (torch.zeros(1, 1, 8, 8), {"step": 0}, "step must be at least 1, and is 0"),
    ],
)
def test_images_that_do_not_fit_are_refused(
    images: Tensor, options: dict[str, int], words: str
) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(ValueError, match=words):
        sliding_window(net, images, **{"side": 4, "step": 2, **options})


def test_a_model_that_gives_maps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"and it returns \(3, 2, 2\)"):
        sliding_window(nn.Conv2d(1, 3, 3), torch.zeros(1, 1, 8, 8), side=4, step=2)
