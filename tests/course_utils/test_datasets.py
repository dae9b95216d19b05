"""The door to the data sets, and the shape of what comes through it."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from course_utils import datasets
from course_utils.datasets import Dataset, Split


def split(n: int = 4, objects: int = 2, **changes: object) -> Split:
    """A small, valid split of uint8 scenes, with some of its tensors replaced."""
    labels = torch.arange(n)
    tensors: dict[str, object] = {
        "images": torch.zeros(n, 3, 6, 5, dtype=torch.uint8),
        "labels": labels,
        "mean": torch.zeros(3, 1, 1),
        "std": torch.ones(3, 1, 1),
        "boxes": torch.tensor([0, 0, 4, 5]).expand(n, objects, 4),
        "box_labels": labels[:, None].expand(n, objects),
        "masks": torch.zeros(n, objects, 6, 5, dtype=torch.bool),
    }
    return Split(**{**tensors, **changes})  # type: ignore[arg-type]


def test_an_unknown_name_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"'mnist'.*digits, digit_scenes, cifar10, fashion_mnist"):
        datasets.load("mnist")


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("digits", "size"),
        ("digit_scenes", "n_digits, clutter, size, digit_scale, seed, n_train, n_test"),
        ("cifar10", "root, download, mean, verify"),
        ("fashion_mnist", "root, download, verify"),
    ],
)
def test_an_unknown_option_is_answered_with_the_valid_ones(name: str, valid: str) -> None:
    with pytest.raises(TypeError, match=f"'siez'.*{valid}"):
        datasets.load(name, siez=16)


@pytest.mark.parametrize(
    ("tensor", "wrong", "says"),
    [
        ("images", torch.zeros(4, 6, 5), r"images.*float32 \(4, 6, 5\)"),
        ("images", torch.zeros(4, 3, 6, 5, dtype=torch.float64), "images.*float64"),
        ("images", torch.full((4, 3, 6, 5), 255.0), r"images.*\[255, 255\]"),
        ("images", torch.full((4, 3, 6, 5), -0.1), r"images.*\[−0.1, −0.1\]"),
        ("images", torch.full((4, 3, 6, 5), math.nan), "images.*nan"),
        ("images", torch.zeros(0, 3, 6, 5), "images.* 0"),
        ("images", np.zeros((4, 3, 6, 5), dtype=np.uint8), "images.*ndarray"),
        ("labels", torch.arange(3), r"labels.*int64 \(4,\).*int64 \(3,\)"),
        ("labels", torch.arange(4).float(), "labels.*float32"),
        ("labels", torch.arange(4) - 1, "labels.* -1"),
        ("mean", torch.zeros(2, 1, 1), r"mean.*\(3, 6, 5\).*\(2, 1, 1\)"),
        ("mean", torch.zeros(4, 3, 6, 5), r"mean.*\(3, 6, 5\)"),
        ("mean", 0.5, "mean.*float"),
        ("std", torch.zeros(3, 1, 1), "std.* 0"),
        ("std", torch.full((1,), math.nan), "std.*NaN"),
        ("boxes", torch.tensor([0, 0, 5, 5]).expand(4, 2, 4), r"boxes.*\[0, 0, 5, 5\]"),
        ("boxes", torch.tensor([0, 0, 4, 6]).expand(4, 2, 4), r"boxes.*\[0, 0, 4, 6\]"),
        ("boxes", torch.tensor([3, 0, 2, 5]).expand(4, 2, 4), r"boxes.*\[3, 0, 2, 5\]"),
        ("boxes", torch.zeros(4, 4, dtype=torch.int64), r"boxes.*\(4, D, 4\).*\(4, 4\)"),
        ("boxes", torch.zeros(4, 2, 4), "boxes.*float32"),
        ("box_labels", torch.zeros(4, 3, dtype=torch.int64), r"box_labels.*\(4, 2\).*\(4, 3\)"),
        (
            "box_labels",
            torch.zeros(4, 2, dtype=torch.int64),
            r"box_labels\[1, 0\].*labels\[1\] = 1",
        ),
        ("masks", torch.zeros(4, 2, 5, 6, dtype=torch.bool), r"masks.*\(4, 2, 6, 5\)"),
        ("masks", torch.zeros(4, 2, 6, 5), "masks.*float32"),
    ],
)
def test_a_wrong_tensor_is_named_with_what_was_expected(
    tensor: str, wrong: object, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        split(**{tensor: wrong})


def test_a_split_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        split().labels = torch.zeros(4)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("which", "labels"),
    [
        (3, [0, 1, 2]),  # the first ones
        ([4, 0], [4, 0]),
        (torch.tensor([4, 0]), [4, 0]),
        (np.array([4, 0]), [4, 0]),
        ([-1, 0], [4, 0]),
        (torch.arange(5) > 2, [3, 4]),
    ],
    ids=str,
)
def test_a_subset_takes_a_number_of_images_or_those_named(which: object, labels: list[int]) -> None:
    assert split(5).subset(which).labels.tolist() == labels  # type: ignore[arg-type]


def test_a_subset_takes_everything_known_of_its_images() -> None:
    masks = torch.rand(4, 2, 6, 5) > 0.5
    part = split(masks=masks).subset([2, 3])
    assert part.boxes is not None
    assert part.box_labels is not None
    assert part.masks is not None
    assert part.boxes.shape == (2, 2, 4)
    assert part.box_labels[:, 0].tolist() == [2, 3]
    assert torch.equal(part.masks, masks[2:])
    assert torch.equal(part.mean, split().mean)


@pytest.mark.parametrize("which", [0, 5, -1, True, [4], [], [0.5], [True, False]])
def test_a_subset_that_is_not_there_is_refused(which: object) -> None:
    with pytest.raises(ValueError, match=r"subset|images"):
        split(4).subset(which)  # type: ignore[arg-type]


def test_a_dataset_of_ones_own_is_made_from_two_splits() -> None:
    own = Dataset(split(), split(2), ["a", "b", "c", "d"])  # type: ignore[arg-type]
    assert own.classes == ("a", "b", "c", "d")
    assert own.image_shape == (3, 6, 5)


def test_a_dataset_needs_a_class_for_every_label() -> None:
    with pytest.raises(ValueError, match=r"train.labels.*3"):
        Dataset(split(4), split(2), ("a", "b", "c"))


def test_a_dataset_needs_a_class_for_the_labels_of_boxes_too() -> None:
    labels = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 9]])
    with pytest.raises(ValueError, match=r"train.labels.*9"):
        Dataset(split(4, box_labels=labels), split(2), tuple("abcd"))


def test_a_dataset_needs_images_of_one_shape() -> None:
    other = Split(torch.zeros(2, 3, 8, 8), torch.arange(2), torch.zeros(1), torch.ones(1))
    with pytest.raises(ValueError, match=r"\(3, 6, 5\).*\(3, 8, 8\)"):
        Dataset(split(), other, tuple("abcd"))


def test_a_validation_split_is_held_to_what_the_others_are() -> None:
    own = Dataset(split(), split(2), tuple("abcd"), validation=split(3))
    assert [len(each) for each in own.splits.values()] == [4, 2, 3]
    with pytest.raises(ValueError, match=r"validation.labels.*2"):
        Dataset(split(2), split(2), ("a", "b"), validation=split(4))
    with pytest.raises(TypeError, match=r"validation.*Split.*int"):
        Dataset(split(), split(), tuple("abcd"), validation=3)  # type: ignore[arg-type]


def test_a_dataset_refuses_what_is_not_a_split() -> None:
    with pytest.raises(TypeError, match=r"test.*Split.*Tensor"):
        Dataset(split(), torch.zeros(2), tuple("abcd"))  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", ["abcd", (0, 1, 2, 3)])
def test_a_dataset_refuses_classes_that_are_not_names(classes: object) -> None:
    with pytest.raises(TypeError, match="classes"):
        Dataset(split(), split(), classes)  # type: ignore[arg-type]


def test_a_dataset_crosses_to_another_process() -> None:
    own = Dataset(split(), split(2), tuple("abcd"), source="here")
    twin = pickle.loads(pickle.dumps(own))
    assert torch.equal(twin.train.labels, own.train.labels)
    assert twin.source == "here"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_statistics_are_those_of_numpy_for_each_channel(dtype: torch.dtype) -> None:
    levels = torch.randint(256, (9, 3, 6, 5), generator=torch.Generator().manual_seed(1))
    pixels = (levels / 255).numpy().astype(np.float64)
    images = levels.to(torch.uint8) if dtype == torch.uint8 else (levels / 255)
    mean, std = datasets.statistics(images)
    assert mean.shape == std.shape == (3, 1, 1)
    np.testing.assert_allclose(mean.flatten(), pixels.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.flatten(), pixels.std(axis=(0, 2, 3)), rtol=1e-6)


def test_a_split_without_boxes_may_still_have_masks() -> None:
    bare = replace(split(), boxes=None, box_labels=None)
    assert bare.masks is not None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_normalised_images_are_pixels_less_the_mean_over_the_deviation(dtype: torch.dtype) -> None:
    levels = torch.randint(256, (4, 3, 6, 5), generator=torch.Generator().manual_seed(0))
    images = levels.to(dtype) if dtype == torch.uint8 else levels.to(dtype) / 255
    mean, std = torch.rand(3, 6, 5), torch.rand(3, 1, 1) + 0.5
    own = split(mean=mean, std=std)
    expected = (levels.double() / 255 - mean) / std
    torch.testing.assert_close(own.normalised(images).double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(own.normalised(images[2]), own.normalised(images)[2])
    if dtype != torch.float64:
        whole = split(images=images, mean=mean, std=std)
        assert torch.equal(whole.normalised(), own.normalised(images))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(2, 3, 6, 5, dtype=torch.int64), "float or uint8 .* is int64"),
        (np.zeros((2, 3, 6, 5)), "float or uint8 .* is ndarray"),
        (torch.zeros(2, 1, 6, 5), r"statistics \(3, 1, 1\).* is float32 \(2, 1, 6, 5\)"),
        (torch.zeros(6, 5), r"statistics.* is float32 \(6, 5\)"),
    ],
)
def test_images_that_a_splits_statistics_do_not_fit_are_refused(images: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        split().normalised(images)  # type: ignore[arg-type]


def test_the_credit_is_short_and_a_set_of_ones_own_has_its_source() -> None:
    data = datasets.load("digits", size=8)
    assert data.credit == "scikit-learn's handwritten digits (UCI)"
    assert replace(data, name="own", source="my camera").credit == "my camera"
