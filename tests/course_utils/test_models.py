"""What every net of the course promises: weights of its seed, any images, checked sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from course_utils.cam import class_activation_maps
from course_utils.models import cifar_net, compose, densenet, gap_net, nin
from course_utils.models.stages import conv, dense, gap_head, identity, plain, transition

NETS: dict[str, Callable[..., nn.Module]] = {
    "plain": lambda **options: cifar_net(8, width=4, **options),
    "option A": lambda **options: cifar_net(14, "A", width=4, **options),
    "option B": lambda **options: cifar_net(8, "B", width=4, **options),
    "dense": lambda **options: densenet(10, 3, memory_efficient=True, **options),
    "average": lambda **options: gap_net(width=6, **options),
    "maximum": lambda **options: gap_net("max", width=6, **options),
    "composed": lambda **options: compose([conv(4), identity(), gap_head()], **options),
    "nin": lambda **options: nin(width=4, **{"in_channels": 3, **options}),
}
every_net = pytest.mark.parametrize("build", NETS.values(), ids=NETS)


def built(build: Callable[..., nn.Module], seed: int, **options: int) -> nn.Module:
    torch.manual_seed(seed)
    return build(**options)


@every_net
def test_initial_weights_depend_on_the_seed_alone(build: Callable[..., nn.Module]) -> None:
    first = built(build, 3).state_dict()
    torch.testing.assert_close(built(build, 3).state_dict(), first, rtol=0, atol=0)
    second = build().state_dict()  # the seed goes on
    assert any(not torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_building_a_net_advances_torchs_generator_the_same_whatever_the_net(device: str) -> None:
    def drawn_after(build: Callable[..., nn.Module]) -> float:
        with torch.device(device):
            built(build, 0)
        return float(torch.rand((), device="cpu"))

    drawn = {drawn_after(build) for build in NETS.values()}
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: cifar_net(20, width=4), lambda: cifar_net(20, "A", width=4)),
        (lambda: cifar_net(20, width=4), lambda: cifar_net(20, "B", width=4)),
        (lambda: gap_net("average"), lambda: gap_net("max")),
        (lambda: nin(last_relu=False), lambda: nin(last_relu=True)),
        (
            lambda: compose([conv(4), plain(4, times=2), gap_head()]),
            lambda: compose([conv(4), identity(times=2), gap_head()]),
        ),
    ],
    ids=["A", "B", "poolings", "last ReLU", "composed"],
)
def test_for_one_seed_nets_share_the_weights_of_the_layers_that_they_share(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module]
) -> None:
    weights, others = built(one, 3).state_dict(), built(other, 3).state_dict()
    own = {name for name in others if "shortcut" in name}
    assert set(weights) == set(others) - own
    assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


@pytest.mark.parametrize("sides", [(4, 4), (7, 5), (16, 33)])
@every_net
def test_any_size_of_image_from_4_on_gives_one_logit_a_class(
    build: Callable[..., nn.Module], sides: tuple[int, int]
) -> None:
    net = build(in_channels=2, num_classes=7).eval()
    assert net(torch.rand(3, 2, *sides)).shape == (3, 7)


@every_net
def test_a_net_can_be_built_and_run_where_nothing_is_computed(
    build: Callable[..., nn.Module],
) -> None:
    with torch.device("meta"):
        answer = build()(torch.rand(2, 3, 32, 32))
    assert answer.shape == (2, 10) and answer.device.type == "meta"


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (NETS["option A"], "stages"),
        (NETS["dense"], "relu"),
        (NETS["average"], "features"),
        (NETS["composed"], "stages.1"),
        (lambda: compose([conv(6), dense(2, growth_rate=4), gap_head()]), "norm"),
        (lambda: compose([conv(6), transition(), gap_head()]), "norm"),
    ],
    ids=["option A", "dense", "average", "composed", "ends dense", "ends in a transition"],
)
def test_class_activation_maps_find_the_head(build: Callable[[], nn.Module], layer: str) -> None:
    net, images = build(), torch.rand(3, 3, 20, 24)
    cam = class_activation_maps(net, images)
    torch.testing.assert_close(cam.logits, net.eval()(images))
    torch.testing.assert_close(cam.maps.mean((2, 3)), cam.logits, rtol=1e-4, atol=1e-5)
    assert (cam.feature_layer, cam.linear_layer) == (layer, "linear")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (NETS["maximum"], "The head reads the global maximum"),
        (lambda: compose([conv(6), gap_head(pool="max")]), "The head reads the global maximum"),
        (NETS["nin"], "class maps already"),
    ],
    ids=["maximum", "composed", "nin"],
)
def test_heads_without_an_average_or_without_weights_have_no_class_activation_maps(
    build: Callable[[], nn.Module], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        class_activation_maps(build(), torch.rand(1, 3, 16, 16))


@pytest.mark.parametrize(
    ("build", "name", "least"),
    [
        *((NETS[net], name, 1) for net in NETS for name in ("in_channels", "num_classes")
          if net != "nin"),
        (lambda **options: cifar_net(8, **options), "width", 1),
        (gap_net, "width", 3),
        (lambda **options: densenet(10, **options), "growth_rate", 1),
    ],
)  # fmt: skip
def test_sizes_are_whole_numbers(build: Callable[..., nn.Module], name: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least {least}, and is 0"):
        build(**{name: 0})
    wrong: Any
    for wrong in (1.5, True, None):
        with pytest.raises(TypeError, match=f"{name} must be a whole number of at least {least}"):
            build(**{name: wrong})


@pytest.mark.parametrize("build", [cifar_net, lambda depth: densenet(depth, 12)])
@pytest.mark.parametrize("depth", [20.0, "20", True, None])
def test_a_depth_that_is_not_a_whole_number_is_a_type_error(
    build: Callable[[Any], nn.Module], depth: object
) -> None:
    with pytest.raises(TypeError, match="depth must be a whole number"):
        build(depth)
