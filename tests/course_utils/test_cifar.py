"""The plain and residual nets: the paper's sizes, and the deeper net within."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from course_utils.datasets import load
from course_utils.models import cifar_net, count_macs, count_parameters, deepen
from course_utils.models.blocks import ResidualBlock, Shortcut
from course_utils.training import fit

# He et al. 2015, section 4.2, counted layer by layer: depth, parameters of plain and option A,
# of option B, and millions of multiply-adds of option A for one 32×32 image.
COSTS = [
    (20, 269_722, 272_474, 40.55),
    (32, 464_154, 466_906, 68.86),
    (44, 658_586, 661_338, 97.17),
    (56, 853_018, 855_770, 125.49),
    (110, 1_727_962, 1_730_714, 252.89),
    (1202, 19_421_274, 19_424_026, 2829),
]


def multiply_adds(depth: int, shortcut: Shortcut) -> int:
    """Output pixels × kernel × channels in × channels out, layer by layer."""
    n = (depth - 2) // 6
    stem = 32 * 32 * 9 * 3 * 16
    first = 2 * n * 32 * 32 * 9 * 16 * 16
    second = 16 * 16 * 9 * (16 * 32 + (2 * n - 1) * 32 * 32)
    third = 8 * 8 * 9 * (32 * 64 + (2 * n - 1) * 64 * 64)
    projections = 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64 if shortcut == "B" else 0
    return stem + first + second + third + projections + 64 * 10


@pytest.mark.parametrize(
    ("depth", "narrow", "projected", "millions", "shortcut"),
    [
        pytest.param(*costs, shortcut, marks=[pytest.mark.slow] * (costs[0] == 1202))
        for costs in COSTS
        for shortcut in (None, "A", "B")
        if (costs[0], shortcut) != (1202, None)  # nothing new, and the longest to build
    ],
)
def test_a_net_costs_what_the_paper_counts(
    depth: int, narrow: int, projected: int, millions: float, shortcut: Shortcut
) -> None:
    with torch.device("meta"):
        net = cifar_net(depth, shortcut)
    assert count_parameters(net) == (projected if shortcut == "B" else narrow)
    macs = count_macs(net, (3, 32, 32))
    assert macs == multiply_adds(depth, shortcut)
    if shortcut != "B":
        digits = 0 if depth == 1202 else 2
        assert round(macs / 1e6, digits) == millions


@pytest.mark.parametrize("shortcut", [None, "A", "B"])
@pytest.mark.parametrize("depth", [8, 20])
def test_the_depth_is_the_number_of_layers_with_weights_on_the_main_path(
    depth: int, shortcut: Shortcut
) -> None:
    layers = [
        name
        for name, module in cifar_net(depth, shortcut, width=4).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(layers) == depth


@pytest.mark.parametrize(
    ("depth", "lower", "upper"), [(21, 20, 26), (19, 14, 20), (7, 8, 14), (2, 8, 14)]
)
def test_a_depth_that_is_not_of_the_form_6n_plus_2_is_answered_with_the_nearest(
    depth: int, lower: int, upper: int
) -> None:
    with pytest.raises(ValueError, match=rf"depth {depth}:.*6n\+2.*are {lower} and {upper}\."):
        cifar_net(depth)


def test_a_trained_plain_net_made_deeper_with_identity_layers_answers_the_same() -> None:
    data = load("digits", size=8)
    torch.manual_seed(0)
    shallow = cifar_net(8, in_channels=1, width=4)
    before = {name: tensor.clone() for name, tensor in shallow.state_dict().items()}
    fit(shallow, data, steps=30, evaluate="never", device="cpu", progress=False)
    trained = {name: tensor.clone() for name, tensor in shallow.state_dict().items()}
    assert not torch.equal(before["linear.weight"], trained["linear.weight"])

    deep = deepen(shallow, 26)
    assert deep.depth == 26
    assert not deep.training  # as the net that it comes from
    images = data.test.images
    with torch.no_grad():
        answers, deeper_answers = shallow(images), deep(images)
        torch.testing.assert_close(deeper_answers, answers, atol=1e-4, rtol=1e-4)
        # Deeper, and not the same layers by another name.
        nn.init.zeros_(deep.get_parameter("stages.0.3.body.0.0.weight"))
        assert not torch.allclose(deep(images), answers, atol=1e-2)
    for name, tensor in shallow.state_dict().items():
        assert torch.equal(tensor, trained[name]), name


def test_the_layers_added_give_back_their_input_exactly_in_float64() -> None:
    shallow = cifar_net(8, in_channels=1, width=3, num_classes=4).double().eval()
    deep = deepen(shallow, 14)
    added = deep.get_submodule("stages.2.1")
    assert isinstance(added, ResidualBlock) and added.shortcut is None
    x = torch.rand(2, 12, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(added(x), x, atol=1e-12, rtol=1e-12)


def test_deepening_to_the_same_depth_is_a_copy() -> None:
    shallow = cifar_net(14, width=3)
    copy = deepen(shallow, 14)
    assert copy is not shallow and copy.training
    for name, tensor in shallow.state_dict().items():
        assert torch.equal(tensor, copy.state_dict()[name])


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_only_plain_nets_are_deepened(shortcut: Shortcut) -> None:
    with pytest.raises(ValueError, match="Only a plain network"):
        deepen(cifar_net(8, shortcut, width=3), 14)


def test_a_net_cannot_be_deepened_to_a_smaller_or_impossible_depth() -> None:
    net = cifar_net(20, width=3)
    with pytest.raises(
        ValueError, match="depth 20 cannot be deepened to 14: ask for a depth of 20"
    ):
        deepen(net, 14)
    with pytest.raises(ValueError, match="There is no network of depth 21"):
        deepen(net, 21)


# --- what an experiment bends ----------------------------------------------------------------


def seeded(depth: int, *arguments: Shortcut, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return cifar_net(depth, *arguments, width=4, in_channels=1, **options).eval()  # type: ignore[arg-type]


IMAGES = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) - 0.5


def test_a_net_whose_activations_have_slope_one_is_affine_in_eval_mode() -> None:
    with torch.no_grad():
        net = seeded(14, slope=1.0)
        at_zero = net(torch.zeros_like(IMAGES))
        torch.testing.assert_close(net(-2 * IMAGES) - at_zero, -2 * (net(IMAGES) - at_zero))
        relu = seeded(14)
        bent = relu(-2 * IMAGES) - relu(0 * IMAGES) + 2 * (relu(IMAGES) - relu(0 * IMAGES))
        assert bent.abs().max() > 0.01


def test_padded_around_a_net_does_not_see_where_an_image_begins() -> None:
    shifted = IMAGES.roll((4, 8), dims=(2, 3))  # by whole cells of the last stage
    with torch.no_grad():
        net = seeded(14, padding_mode="circular")
        torch.testing.assert_close(net(shifted), net(IMAGES))
        assert not torch.allclose(seeded(14)(shifted), seeded(14)(IMAGES), rtol=0.1)


def test_a_deepened_start_answers_as_the_net_of_eight_layers() -> None:
    with torch.no_grad():
        torch.testing.assert_close(seeded(26, start="deepened")(IMAGES), seeded(8)(IMAGES))


def test_a_dirac_start_is_half_the_noise_and_a_copy() -> None:
    he, dirac = (seeded(8, start=start).state_dict() for start in ("he", "dirac"))
    for name, weight in he.items():
        if name.startswith("stages") and weight.dim() == 4:
            copy = nn.init.dirac_(torch.empty_like(weight))
            torch.testing.assert_close(dirac[name], 0.5 * weight + copy)
        else:
            torch.testing.assert_close(dirac[name], weight)


def test_a_residual_that_starts_at_zero_leaves_the_shortcut() -> None:
    net = seeded(14, "A", start="zero_residual").train()
    block = next(module for module in net.modules() if isinstance(module, ResidualBlock))
    maps = torch.rand(2, 4, 8, 8)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize(
    ("shortcut", "options", "says"),
    [
        (None, {"start": "zero_residual"}, "give the network shortcuts"),
        ("A", {"start": "deepened"}, "Only a plain network"),
        (None, {"start": "deepened", "slope": 0.1}, "Only a plain network .* with ReLUs"),
        (None, {"start": "xavier"}, "start must be one of 'he'"),
    ],
)
def test_a_start_that_a_net_cannot_have_is_refused(
    shortcut: Shortcut, options: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        seeded(8, shortcut, **options)
