"""Maps by gradients: equal to the exact ones where there are any, labelled where there are not."""

from __future__ import annotations

import pytest
import torch
import torchvision
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.cam import class_activation_maps
from course_utils.gradient_maps import gradient_maps
from course_utils.models import gap_net


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def flattening(classes: int = 5) -> nn.Sequential:
    """A network that reads its 6×6 maps with a hidden layer, as VGG does."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 9, 16),
        nn.ReLU(),
        nn.Linear(16, classes),
    )


class Attending(nn.Module):
    """Patches as tokens, one more token for the class, attention, and that token read."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.norm = nn.LayerNorm(12)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.last = nn.LayerNorm(12)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).movedim(1, -1)  # (B, N, 12)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        normed = self.norm(x)
        x = self.last(x + self.attention(normed, normed, normed, need_weights=False)[0])
        return self.fc(x[:, 0])


def test_where_the_head_is_linear_they_are_the_exact_maps_without_bias() -> None:
    net, images = gap_net(width=12).eval(), torch.randn(2, 3, 32, 32)
    exact = class_activation_maps(net, images, bias=False).select([3, 7])
    approximate = gradient_maps(net, images, [3, 7], method="Grad-CAM")
    torch.testing.assert_close(approximate.maps, exact.maps, rtol=1e-4, atol=1e-5)
    assert approximate.feature_layer == exact.feature_layer == "features"
    assert (approximate.method, exact.method) == ("Grad-CAM", "CAM")


def test_grad_cam_is_captums_up_to_the_number_of_positions() -> None:
    net, images = flattening().eval(), torch.randn(2, 3, 8, 8)
    ours = gradient_maps(net, images, 2, layer="1", method="Grad-CAM")
    theirs = LayerGradCam(net, net[1]).attribute(images, 2).detach()[:, 0]
    torch.testing.assert_close(ours.maps, 36 * theirs, rtol=1e-4, atol=1e-5)


def test_layercam_weights_each_value_by_its_own_positive_gradient() -> None:
    net, images = flattening().eval(), torch.randn(2, 3, 8, 8)
    features = net[:2](images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(net[2:](features)[:, 3].sum(), features)
    expected = 36 * (slopes.clamp(min=0) * features).sum(1).detach()
    cam = gradient_maps(net, images, 3, method="LayerCAM")
    torch.testing.assert_close(cam.maps, expected, rtol=1e-4, atol=1e-5)


def test_by_default_the_method_is_the_one_that_located_better_with_such_a_head() -> None:
    pooled = (nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    normed = nn.Sequential(*pooled, nn.LayerNorm(8), nn.Linear(8, 5))
    images = torch.randn(2, 3, 8, 8)
    assert gradient_maps(normed, images).method == "LayerCAM"
    assert gradient_maps(flattening(), images).method == "Grad-CAM"


def test_the_error_is_how_far_the_means_are_from_the_logits() -> None:
    net, images = flattening().eval(), torch.randn(2, 3, 8, 8)
    cam = gradient_maps(net, images, torch.tensor([[0, 1], [2, 3]]))
    logits = net(images).detach()
    chosen = torch.stack([logits[0, [0, 1]], logits[1, [2, 3]]])
    expected = (cam.maps.mean((2, 3)) - chosen).abs().max() / logits.abs().max()
    assert cam.error == pytest.approx(float(expected), rel=1e-4)
    torch.testing.assert_close(cam.logits, chosen)


def test_the_last_layer_with_positions_is_taken_but_for_poolings() -> None:
    cam = gradient_maps(flattening(), torch.randn(1, 3, 8, 8))
    assert (cam.feature_layer, tuple(cam.maps.shape)) == ("1", (1, 6, 6))


def test_tokens_on_a_grid_are_positions_and_the_classs_own_token_is_none() -> None:
    net, images = Attending(), torch.randn(2, 3, 16, 24)
    cam = gradient_maps(net, images, 1, method="Grad-CAM")
    # After the attention only the class's token is read: the last tokens that count lie before.
    assert cam.feature_layer == "norm"
    assert tuple(cam.maps.shape) == (2, 4, 6)
    answers = {}
    net.norm.register_forward_hook(lambda _net, _args, out: answers.update(x=out))
    score = net(images)[:, 1].sum()
    slopes = torch.autograd.grad(score, answers["x"])[0][:, 1:]
    by_hand = (answers["x"][:, 1:] * slopes.sum(1, keepdim=True)).sum(-1).detach()
    torch.testing.assert_close(cam.maps, by_hand.unflatten(1, (4, 6)), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "cells"),
    [
        ("vgg11", "features.19", (4, 4)),
        ("squeezenet1_1", "classifier.2", (3, 3)),
        ("convnext_tiny", "features", (2, 2)),
        ("mobilenet_v3_small", "features", (2, 2)),
    ],
)
def test_networks_that_have_no_exact_maps_have_these(
    name: str, layer: str, cells: tuple[int, int]
) -> None:
    net, images = getattr(torchvision.models, name)(num_classes=7), torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"course_utils\.gradient_maps approximates them"):
        class_activation_maps(net, images)
    cam = gradient_maps(net, images, 4)
    assert (cam.feature_layer, tuple(cam.maps.shape[1:])) == (layer, cells)
    assert float(cam.maps.abs().max()) > 0


def test_layers_that_do_nothing_or_lie_within_an_attention_are_passed_over() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Identity(), nn.Dropout(0.5))
    head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    images = torch.randn(1, 3, 8, 8)
    assert gradient_maps(nn.Sequential(*net, *head), images).feature_layer == "1"

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.inner(x)).mean((2, 3), keepdim=True)

    net = nn.Sequential(nn.Conv2d(3, 8, 3), Attention(), nn.Flatten(), nn.Linear(8, 5))
    assert gradient_maps(net, images).feature_layer == "0"


def test_tokens_that_are_merged_lie_on_a_coarser_grid() -> None:
    class Merging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.merge = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(24, 8)
            self.norm, self.fc = nn.LayerNorm(8), nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = F.unfold(self.patches(x), 2, stride=2).movedim(1, -1)  # (B, N / 4, 24)
            return self.fc(self.norm(self.merge(x)).amax(1))

    cam = gradient_maps(Merging(), torch.randn(2, 3, 32, 48))
    assert (cam.feature_layer, tuple(cam.maps.shape)) == ("norm", (2, 4, 6))


def test_a_layer_of_tokens_can_be_named() -> None:
    cam = gradient_maps(Attending(), torch.randn(2, 3, 16, 24), 1, layer="norm")
    assert cam.maps.shape == (2, 4, 6)


def test_the_network_is_left_as_it_was() -> None:
    net, images = flattening().train(), torch.randn(2, 3, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        gradient_maps(net.requires_grad_(False), images)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training and not any(module._forward_hooks for module in net.modules())
    assert all(value.grad is None and not value.requires_grad for value in net.parameters())


def test_the_logits_may_be_an_entry_of_what_the_network_answers() -> None:
    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = flattening()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"features": x, "logits": self.net(x)}

    net, images = Answering(), torch.randn(1, 3, 8, 8)
    named = gradient_maps(net, images, 1, entry="logits")
    torch.testing.assert_close(named.maps, gradient_maps(net.net, images, 1).maps)
    with pytest.raises(ValueError, match="'features', 'logits'"):
        gradient_maps(net, images, 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layer": "8"}, "no layer '8'.*'6'"),
        ({"layer": "5"}, "layer '5' has no positions"),
        ({"method": "CAM"}, "method must be one of 'Grad-CAM', 'LayerCAM'"),
        ({"classes": 5}, "Class 5 does not exist"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        gradient_maps(flattening(), torch.randn(1, 3, 8, 8), **options)  # type: ignore[arg-type]


def test_a_network_without_positions_is_refused() -> None:
    with pytest.raises(ValueError, match="No layer of this network keeps positions"):
        gradient_maps(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), torch.randn(1, 3, 4, 4))
