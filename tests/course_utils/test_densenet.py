"""DenseNet: the paper's sizes, torchvision's function, and recomputation that changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.densenet import _DenseBlock, _DenseLayer, _Transition

from course_utils.datasets import load
from course_utils.degradation import Spec, run
from course_utils.experiments import build
from course_utils.models import (
    DenseBlock,
    DenseLayer,
    DenseNet,
    Transition,
    count_macs,
    count_parameters,
    densenet,
)
from course_utils.models.densenet import layers_per_block

# Huang et al. 2016, table 2, counted exactly for 10 classes: depth, growth rate, BC, parameters.
COUNTS = [
    (40, 12, False, 1_019_722),
    (100, 12, False, 6_979_642),
    (100, 24, False, 27_249_082),
    (100, 12, True, 769_162),
    pytest.param(250, 24, True, 15_324_406, marks=pytest.mark.slow),
    pytest.param(190, 40, True, 25_624_430, marks=pytest.mark.slow),
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def of_the_paper(depth: int, growth_rate: int, bc: bool, **options: Any) -> DenseNet:
    """DenseNet-BC, or DenseNet without either."""
    compression = 0.5 if bc else 1
    return densenet(depth, growth_rate, bottleneck=bc, compression=compression, **options)


def multiply_adds(depth: int, k: int, bc: bool) -> int:
    """Output pixels × kernel × channels in × channels out, layer by layer, at 32×32."""
    n = (depth - 4) // (6 if bc else 3)
    channels = 2 * k if bc else 16
    total = 32 * 32 * 9 * 3 * channels
    for side in (32, 16, 8):
        for _layer in range(n):
            total += side**2 * (channels * 4 * k + 9 * 4 * k * k if bc else 9 * channels * k)
            channels += k
        if side > 8:  # the transition's convolution comes before its pooling
            mixed = channels // 2 if bc else channels
            total += side**2 * channels * mixed
            channels = mixed
    return total + channels * 10


def wake_up(model: nn.Module) -> None:
    """Numbers of its own in every parameter and statistic of the normalisations."""
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                assert norm.running_mean is not None and norm.running_var is not None
                for tensor in (norm.weight, norm.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (norm.bias, norm.running_mean):
                    tensor.normal_()


def copied(source: nn.Module, target: nn.Module) -> None:
    """The same tensors in the same order, under other names."""
    tensors = source.state_dict().values()
    target.load_state_dict(dict(zip(target.state_dict(), tensors, strict=True)))


# --- the paper's nets ------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "growth_rate", "bc", "parameters"), COUNTS)
def test_a_net_costs_what_the_paper_counts(
    depth: int, growth_rate: int, bc: bool, parameters: int
) -> None:
    with torch.device("meta"):
        net = of_the_paper(depth, growth_rate, bc)
    assert count_parameters(net) == parameters
    assert count_macs(net, (3, 32, 32)) == multiply_adds(depth, growth_rate, bc)


@pytest.mark.parametrize(("depth", "bc"), [(10, True), (40, True), (7, False), (40, False)])
def test_the_depth_is_the_number_of_layers_with_weights(depth: int, bc: bool) -> None:
    net = of_the_paper(depth, 2, bc)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == depth


def test_the_channels_grow_by_k_a_layer_and_are_halved_by_a_transition() -> None:
    net = densenet(22, growth_rate=4)  # n = 3, 2k = 8
    read = [m.body[0].num_features for m in net.modules() if isinstance(m, DenseLayer)]
    # 8, 12, 16 → 20, halved; 10, 14, 18 → 22, halved; 11, 15, 19 → 23.
    assert read == [8, 12, 16, 10, 14, 18, 11, 15, 19]
    assert net.linear.in_features == 23


@pytest.mark.parametrize(
    ("bottleneck", "compression", "stem", "last"),
    [
        (True, 0.5, 8, 16),  # 8+8=16, 8+8=16, 8+8
        (True, 1, 16, 40),  # 16+8=24, +8, +8
        (False, 0.5, 16, 32),  # 16+16=32, 16+16=32, 16+16
        (False, 1, 16, 64),  # 16+16=32, +16, +16
    ],
)
def test_the_stem_has_2k_maps_only_with_bottleneck_and_compression(
    bottleneck: bool, compression: float, stem: int, last: int
) -> None:
    net = densenet(16, 4, bottleneck, compression)  # blocks of 2 layers, or 4 without bottleneck
    assert net.stem.out_channels == stem
    assert net.linear.in_features == last


def test_the_initial_weights_are_hes() -> None:
    torch.manual_seed(3)
    net = densenet(40, 12)
    bottleneck = net.get_parameter("stages.0.layers.0.body.2.weight")  # (48, 24, 1, 1)
    widest = net.get_parameter("stages.4.layers.5.body.5.weight")  # (12, 48, 3, 3)
    assert bottleneck.std().item() == pytest.approx((2 / 48) ** 0.5, rel=0.1)
    assert widest.std().item() == pytest.approx((2 / (12 * 9)) ** 0.5, rel=0.1)
    assert not net.linear.bias.any()


# --- against torchvision ---------------------------------------------------------------------


def test_a_layer_with_a_bottleneck_is_torchvisions() -> None:
    theirs = _DenseLayer(10, growth_rate=3, bn_size=4, drop_rate=0).eval()
    ours = DenseLayer(10, growth_rate=3).eval()
    wake_up(theirs)
    copied(theirs, ours)
    maps = [torch.randn(2, 4, 6, 6), torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 6)]
    torch.testing.assert_close(ours(maps), theirs(maps))
    torch.testing.assert_close(ours(torch.cat(maps, 1)), theirs(maps))


def test_a_block_and_a_transition_are_torchvisions() -> None:
    block, transition = DenseBlock(3, 5, growth_rate=2).eval(), Transition(11, 4).eval()
    their_block = _DenseBlock(3, 5, bn_size=4, growth_rate=2, drop_rate=0).eval()
    their_transition = _Transition(11, 4).eval()
    for ours, theirs in ((block, their_block), (transition, their_transition)):
        wake_up(ours)
        copied(ours, theirs)
    x = torch.randn(2, 5, 7, 6)
    maps = block(x)
    assert maps.shape == (2, block.out_channels, 7, 6)
    torch.testing.assert_close(maps, their_block(x))
    torch.testing.assert_close(maps[:, :5], x)  # the input stays in front
    torch.testing.assert_close(transition(maps), their_transition(maps))


def test_a_net_is_torchvisions_with_a_stem_for_small_images_gradients_included() -> None:
    n, k = 3, 4
    ours = densenet(6 * n + 4, k)
    theirs = torchvision.models.DenseNet(k, (n, n, n), 2 * k, num_classes=10)
    theirs.features.conv0 = nn.Conv2d(3, 2 * k, 3, padding=1, bias=False)
    theirs.features.norm0 = theirs.features.relu0 = theirs.features.pool0 = nn.Identity()
    wake_up(ours)
    copied(ours, theirs)
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))

    for net in (ours, theirs):
        F.cross_entropy(net.train()(x), torch.tensor([0, 3, 3, 9])).backward()
    for mine, yours in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, yours.grad)


def test_a_layer_without_a_bottleneck_is_bn_relu_and_a_3x3_convolution() -> None:
    layer = DenseLayer(3, growth_rate=2, bottleneck=False).eval()
    wake_up(layer)
    norm, _relu, convolution = layer.body
    assert isinstance(norm, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d)
    assert norm.running_mean is not None and norm.running_var is not None
    x = torch.randn(2, 3, 5, 5)
    column = (1, 3, 1, 1)
    scale = norm.weight / (norm.running_var + 1e-5).sqrt()
    shift = norm.bias - norm.running_mean * scale
    rectified = (x * scale.view(column) + shift.view(column)).clamp(min=0)
    expected = F.conv2d(rectified, convolution.weight, padding=1)
    torch.testing.assert_close(layer(x), expected)


# --- recomputation ---------------------------------------------------------------------------

BC = pytest.mark.parametrize("bc", [True, False], ids=["BC", "without BC"])


def twins(depth: int, bc: bool) -> tuple[DenseNet, DenseNet]:
    """One net that keeps its maps and one that recomputes them, with the same weights."""
    naive = of_the_paper(depth, 4, bc)
    efficient = of_the_paper(depth, 4, bc, memory_efficient=True)
    efficient.load_state_dict(naive.state_dict())
    return naive, efficient


def step(net: nn.Module, x: Tensor, backwards: int = 1) -> Tensor:
    """One forward pass and some backward passes through it; the logits."""
    logits = net(x)
    loss = F.cross_entropy(logits, torch.arange(len(x)))
    for number in range(backwards):
        loss.backward(retain_graph=number + 1 < backwards)
    return logits.detach()


def assert_same(one: nn.Module, other: nn.Module) -> None:
    """The same parameters, running statistics and gradients, to 1e-6 of the largest."""
    for (name, tensor), same in zip(
        one.state_dict().items(), other.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(tensor, same, rtol=1e-6, atol=1e-6, msg=name)
    for (name, p), same in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, same.grad, rtol=1e-6, atol=1e-6, msg=name)


def batches_counted(net: nn.Module) -> set[int]:
    return {int(b) for name, b in net.named_buffers() if name.endswith("num_batches_tracked")}


@BC
@pytest.mark.parametrize("backwards", [1, 2])
def test_recomputation_changes_neither_outputs_nor_gradients_nor_statistics(
    bc: bool, backwards: int
) -> None:
    naive, efficient = twins(16, bc)
    for count in (1, 2):
        x = torch.randn(6, 3, 8, 8)
        torch.testing.assert_close(
            step(efficient, x, backwards), step(naive, x, backwards), rtol=1e-6, atol=1e-6
        )
        assert_same(efficient, naive)
        assert batches_counted(efficient) == batches_counted(naive) == {count}
    means = [b for name, b in efficient.named_buffers() if name.endswith("running_mean")]
    assert all(mean.any() for mean in means)  # counted once is not counted never


def test_two_forward_passes_before_one_backward_pass_count_two_batches() -> None:
    naive, efficient = twins(10, True)
    first, second = torch.randn(2, 6, 3, 8, 8)
    for net in (naive, efficient):
        (net(first).square().sum() + net(second).sum()).backward()
    assert_same(efficient, naive)
    assert batches_counted(efficient) == {2}


def test_statistics_are_updated_in_the_tensors_that_the_net_had() -> None:
    net = densenet(10, 4, memory_efficient=True)
    before = dict(net.named_buffers())
    step(net, torch.randn(4, 3, 8, 8))
    after = dict(net.named_buffers())
    assert before.keys() == after.keys()
    assert all(after[name] is buffer for name, buffer in before.items())


def test_frozen_statistics_stay_frozen() -> None:
    naive, efficient = twins(10, True)
    for net in (naive, efficient):
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        step(net, torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert_same(efficient, naive)
    assert batches_counted(efficient) == {0}


@BC
@pytest.mark.parametrize(
    ("training", "with_gradient", "runs"),
    [(True, True, 2), (True, False, 1), (False, True, 1), (False, False, 1)],
)
def test_a_whole_layer_runs_again_in_training_and_never_otherwise(
    bc: bool, training: bool, with_gradient: bool, runs: int
) -> None:
    layer = DenseLayer(5, 2, bottleneck=bc, memory_efficient=True).train(training)
    counts = dict.fromkeys(layer.body, 0)

    def count(module: nn.Module, _inputs: object) -> None:
        counts[module] += 1

    for module in layer.body:
        module.register_forward_pre_hook(count)
    with torch.set_grad_enabled(with_gradient):
        new = layer([torch.randn(3, 3, 4, 4), torch.randn(3, 2, 4, 4)])
    if with_gradient:
        new.square().sum().backward()
    assert set(counts.values()) == {runs}


def test_random_numbers_drawn_within_a_layer_are_the_same_in_both_runs() -> None:
    naive, efficient = twins(10, True)
    x = torch.randn(4, 3, 8, 8)
    drawn_after = []
    for net in (naive, efficient):
        for module in net.modules():
            if isinstance(module, DenseLayer):
                module.body.append(nn.Dropout(0.5))
        torch.manual_seed(5)
        step(net, x)
        drawn_after.append(torch.rand(()))
    assert_same(efficient, naive)
    assert drawn_after[0] == drawn_after[1]


@BC
def test_recomputation_is_the_same_in_bf16_autocast_and_channels_last(bc: bool) -> None:
    naive, efficient = twins(10, bc)
    x = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    for net in (naive, efficient):
        net.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(net(x), torch.arange(4))
        loss.backward()
    assert_same(efficient, naive)


def test_a_net_that_recomputes_can_be_copied_after_a_step() -> None:
    net = densenet(10, 3, memory_efficient=True)
    x = torch.randn(4, 3, 8, 8)
    step(net, x)
    twin = copy.deepcopy(net).eval()
    torch.testing.assert_close(twin(x), net.eval()(x))


# --- with the rest of the course -------------------------------------------------------------


def test_the_experiment_room_trains_the_family_dense() -> None:
    options = {"growth_rate": 4, "memory_efficient": True}
    spec = Spec("dense", 10, seed=0, steps=2, dataset_options={"size": 8}, family_options=options)  # type: ignore[arg-type]
    record = run(spec)
    # 1 channel: stem 72; blocks of one layer of 8, 6 and 5 maps in, 12, 10 and 9 out, halved
    # between: BN 2c, 1×1 16c, BN 32, 3×3 576; transitions 2c + c·c/2; BN 18; linear 100.
    layers = sum(2 * c + 16 * c + 32 + 576 for c in (8, 6, 5))
    transitions = sum(2 * c + c * (c // 2) for c in (12, 10))
    assert record.parameters == 72 + layers + transitions + 18 + 100
    assert record.steps == 2 and not record.diverged


def test_the_family_dense_is_bc_with_a_growth_rate_of_12_unless_told_otherwise() -> None:
    digits = load("digits", size=8)
    default = build(Spec("dense", 16, seed=0), digits)
    assert count_parameters(default) == count_parameters(densenet(16, 12, in_channels=1))
    options = {"bottleneck": False, "compression": 1, "growth_rate": 3}
    other = build(Spec("dense", 13, seed=0, family_options=options), digits)  # type: ignore[arg-type]
    expected = densenet(13, 3, bottleneck=False, compression=1, in_channels=1)
    assert count_parameters(other) == count_parameters(expected)


def test_a_spec_refuses_a_depth_that_its_dense_net_cannot_have() -> None:
    with pytest.raises(ValueError, match=r"depth 13 with bottlenecks.*are 10 and 16\."):
        Spec("dense", 13, seed=0)
    with pytest.raises(ValueError, match=r"depth 14 without bottlenecks.*are 13 and 16\."):
        Spec("dense", 14, seed=0, family_options={"bottleneck": False})  # type: ignore[arg-type]


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "bottleneck", "lower", "upper"),
    [
        (38, True, 34, 40),
        (13, True, 10, 16),
        (4, True, 10, 16),
        (1, True, 10, 16),
        (38, False, 37, 40),
        (6, False, 7, 10),
        (4, False, 7, 10),
    ],
)
def test_an_impossible_depth_is_answered_with_the_nearest(
    depth: int, bottleneck: bool, lower: int, upper: int
) -> None:
    kind = r"with bottlenecks: its depth is 6n\+4" if bottleneck else r"without.*is 3n\+4"
    with pytest.raises(ValueError, match=rf"depth {depth} {kind}.*are {lower} and {upper}\."):
        densenet(depth, 12, bottleneck=bottleneck)
    assert layers_per_block(lower, bottleneck) + 1 == layers_per_block(upper, bottleneck)


@pytest.mark.parametrize("name", ["bottleneck", "memory_efficient"])
def test_switches_are_true_or_false(name: str) -> None:
    broken: dict[str, Any] = {name: 1}
    with pytest.raises(TypeError, match=f"{name} must be True or False, and is 1"):
        densenet(10, 4, **broken)


@pytest.mark.parametrize("compression", [0, -0.5, 1.5, float("nan")])
def test_a_compression_is_above_0_and_up_to_1(compression: float) -> None:
    with pytest.raises(ValueError, match=r"compression is the share.*above 0 and at most 1"):
        densenet(10, 4, compression=compression)


@pytest.mark.parametrize("compression", [True, "0.5", None])
def test_a_compression_is_a_number(compression: object) -> None:
    with pytest.raises(TypeError, match="compression is the share"):
        densenet(10, 4, compression=compression)  # type: ignore[arg-type]


def test_a_strong_compression_leaves_one_map() -> None:
    net = densenet(10, 4, compression=0.01)
    assert [m[2].out_channels for m in net.modules() if isinstance(m, Transition)] == [1, 1]


def test_a_block_has_one_layer_or_more() -> None:
    with pytest.raises(ValueError, match="n_layers must be at least 1, and is 0"):
        DenseBlock(0, 8, 4)


def test_images_too_small_for_the_transitions_are_refused_in_a_sentence() -> None:
    with pytest.raises(
        ValueError, match=r"halves the side of its maps, and these have only 1×2 pixels: .*larger"
    ):
        densenet(10, 4)(torch.rand(2, 3, 3, 4))
