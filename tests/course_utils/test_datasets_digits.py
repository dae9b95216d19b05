"""The handwritten digits: the real ones, enlarged faithfully, split once and for all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from course_utils import datasets


def both(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    data = datasets.load("digits", size=size)
    images = torch.cat([data.train.images, data.test.images])
    return images, torch.cat([data.train.labels, data.test.labels])


def test_the_two_splits_hold_every_digit_of_scikit_learn_once() -> None:
    images, labels = both(8)
    bundled = load_digits()
    ours = np.column_stack([images.flatten(1).numpy() * 16, labels.numpy()])
    theirs = np.column_stack([bundled.data, bundled.target])
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


def test_no_digit_is_in_both_splits() -> None:
    data = datasets.load("digits", size=8)
    train = {image.numpy().tobytes() for image in data.train.images}
    assert not any(image.numpy().tobytes() in train for image in data.test.images)


def test_a_fifth_of_each_class_is_for_testing() -> None:
    data = datasets.load("digits")
    test, train = data.test.labels.bincount(), data.train.labels.bincount()
    assert ((test - (test + train) * 0.2).abs() < 1).all()


def test_the_images_are_float_between_0_and_1_of_the_size_asked_for() -> None:
    data = datasets.load("digits")
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert data.train.images.dtype == torch.float32
    assert data.classes == tuple("0123456789")
    assert data.name == "digits"
    assert datasets.load("digits", size=np.int64(9)).image_shape == (1, 9, 9)


@pytest.mark.parametrize("size", [11, 16, 32])
def test_digits_are_enlarged_as_pillow_does(size: int) -> None:
    native, enlarged = datasets.load("digits", size=8), datasets.load("digits", size=size)
    for small, large in zip(native.test.images[:20], enlarged.test.images[:20], strict=True):
        pillow = Image.fromarray(small[0].numpy()).resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(large[0], np.asarray(pillow), atol=1e-6)


def test_the_split_does_not_depend_on_the_size() -> None:
    native, triple = datasets.load("digits", size=8), datasets.load("digits", size=24)
    # The middle pixel of each 3 by 3 block stands where the native pixel stood.
    torch.testing.assert_close(triple.train.images[:, :, 1::3, 1::3], native.train.images)
    torch.testing.assert_close(triple.test.images[:, :, 1::3, 1::3], native.test.images)


def test_both_splits_carry_the_statistics_of_the_training_images() -> None:
    data = datasets.load("digits")
    pixels = data.train.images.numpy().astype(np.float64)
    for split in (data.train, data.test):
        assert split.mean.shape == split.std.shape == (1, 1, 1)
        assert float(split.mean) == pytest.approx(pixels.mean(), rel=1e-6)
        assert float(split.std) == pytest.approx(pixels.std(), rel=1e-6)


@pytest.mark.parametrize("size", [8, 16])
def test_writing_into_one_copy_leaves_the_next_one_alone(size: int) -> None:
    spoilt = datasets.load("digits", size=size)
    spoilt.train.images.zero_()
    spoilt.test.labels.zero_()
    fresh = datasets.load("digits", size=size)
    assert fresh.train.images.any()
    assert fresh.test.labels.any()


@pytest.mark.parametrize(("size", "error"), [(7, ValueError), (16.0, TypeError), (True, TypeError)])
def test_a_size_that_cannot_be_is_refused(size: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"size.*8"):
        datasets.load("digits", size=size)
