"""Scenes of digits: what is drawn is what the labels, the boxes and the masks say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn import functional

from course_utils import datasets
from course_utils.datasets import Dataset, Split, scenes
from course_utils.datasets.digits import native_digits


def load(n_train: int = 70, n_test: int = 70, **options: object) -> Dataset:
    return datasets.load("digit_scenes", n_train=n_train, n_test=n_test, **options)


def known(split: Split) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, box labels and masks, which every scene has."""
    assert split.boxes is not None
    assert split.box_labels is not None
    assert split.masks is not None
    return split.boxes, split.box_labels, split.masks


def lightness(images: Tensor) -> Tensor:
    red, green, blue = (images.float() / 255).unbind(1)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_scenes_have_the_shapes_and_types_that_the_design_names() -> None:
    data = load(n_train=5, n_test=3, n_digits=2, size=72)
    boxes, box_labels, masks = known(data.test)
    assert data.train.images.shape == (5, 3, 72, 72)
    assert data.train.images.dtype == torch.uint8
    assert boxes.shape == (3, 2, 4)
    assert box_labels.shape == (3, 2)
    assert masks.shape == (3, 2, 72, 72)
    assert data.classes == tuple("0123456789")


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others() -> None:
    first, again, other = load(seed=3), load(seed=3), load(seed=4)
    assert torch.equal(first.train.images, again.train.images)
    assert torch.equal(first.test.images, again.test.images)
    assert not torch.equal(first.train.images, other.train.images)


def test_training_and_test_scenes_are_drawn_apart() -> None:
    data = load()
    assert not torch.equal(known(data.train)[0], known(data.test)[0])


def test_asking_for_more_scenes_leaves_the_first_ones_as_they_are() -> None:
    few, many = load(n_train=10, n_test=100), load(n_train=150, n_test=10)
    assert torch.equal(few.train.images, many.train.images[:10])
    assert torch.equal(few.test.images[:10], many.test.images)


def test_clutter_changes_neither_the_digits_nor_what_lies_beside_the_fragments() -> None:
    clear, cluttered = load(clutter=0), load(clutter=3)
    for one, other in zip(known(clear.train), known(cluttered.train), strict=True):
        assert torch.equal(one, other)
    changed = (clear.train.images != cluttered.train.images).any(dim=1)
    assert 0 < changed.float().mean() < 0.3
    assert changed.flatten(1).any(dim=1).all()


@pytest.mark.parametrize("changed", ["train", "test"])
def test_scenes_of_a_split_are_made_of_its_own_digits_only(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = dict(zip(("train", "test"), native_digits(), strict=True))
    before = load()
    images, labels = digits[changed]
    digits[changed] = (1 - images, labels)
    monkeypatch.setattr(scenes, "native_digits", lambda: tuple(digits.values()))
    after = load()
    for name in digits:
        same = torch.equal(getattr(before, name).images, getattr(after, name).images)
        assert same == (name != changed)


def test_validation_scenes_are_made_of_digits_that_neither_other_split_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[set[bytes]] = []
    drawn = scenes._scenes

    def noting(digits: Tensor, *rest: object) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        used.append({digit.numpy().tobytes() for digit in digits})
        return drawn(digits, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scenes, "_scenes", noting)
    data = load(n_validation=20)
    assert data.validation is not None and len(data.validation) == 20
    assert len(used) == 3
    assert sum(map(len, used)) == len(set.union(*used))  # no digit is in two of them
    digits = native_digits()
    assert sum(map(len, used)) == len({d.numpy().tobytes() for s in digits for d in s[0]})


def test_validation_scenes_leave_the_test_scenes_as_they_are() -> None:
    without, some = load(), load(n_validation=20)
    assert without.validation is None
    assert torch.equal(some.test.images, without.test.images)
    assert without.source in some.source and without.source != some.source


def test_a_box_is_the_smallest_one_around_its_mask() -> None:
    boxes, _labels, masks = known(load(n_digits=3).train)
    for box, mask in zip(boxes.flatten(0, 1), masks.flatten(0, 1), strict=True):
        rows, columns = np.nonzero(mask.numpy())
        assert box.tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]


@pytest.mark.parametrize(
    ("n_digits", "options"),
    [(2, {}), (4, {}), (10, {"digit_scale": (0.15, 0.25)})],
    ids=["two", "as many as fit", "every class"],
)
def test_digits_of_a_scene_differ_in_class_and_do_not_overlap(
    n_digits: int, options: dict[str, object]
) -> None:
    _boxes, box_labels, masks = known(load(n_digits=n_digits, **options).train)
    assert masks.sum(dim=1).max() == 1
    assert all(len(set(row)) == n_digits for row in box_labels.tolist())


def test_the_first_digit_is_the_one_a_scene_is_labelled_by() -> None:
    data = load(n_digits=2)
    assert torch.equal(known(data.test)[1][:, 0], data.test.labels)


def test_a_nearest_neighbour_reads_the_label_from_the_mask() -> None:
    """Boxes, masks and labels belong together, and masks have the shape of digits."""

    def shape(mask: Tensor) -> np.ndarray:
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        tight = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        small = functional.interpolate(tight[None, None].float(), (12, 12), mode="area")
        return np.append(small.flatten().numpy(), 6 * tight.shape[1] / tight.shape[0])

    (images, labels), _test = native_digits()
    large = functional.interpolate(images, (27, 27), mode="bilinear")[:, 0] > 0.5
    reader = KNeighborsClassifier(n_neighbors=3).fit([shape(mask) for mask in large], labels)
    data = load(n_train=1, n_test=200, n_digits=2)
    _boxes, box_labels, masks = known(data.test)
    shapes = [shape(mask) for mask in masks.flatten(0, 1)]
    assert reader.score(shapes, box_labels.flatten()) > 0.9


def test_every_digit_is_lighter_than_its_background() -> None:
    data = load(n_train=200, clutter=0)
    masks = known(data.train)[2][:, 0]
    near = functional.max_pool2d(masks[:, None].float(), 7, stride=1, padding=3)[:, 0].bool()
    light = lightness(data.train.images)
    for scene, mask, around in zip(light, masks, near, strict=True):
        assert scene[mask].mean() - scene[around & ~mask].median() > 0.2


def test_colour_tells_nothing_of_the_class() -> None:
    data = load(n_train=600, n_test=600, clutter=0)

    def colours(split: Split) -> np.ndarray:
        ink = known(split)[2][:, 0, None]  # (N, 1, H, W)
        pixels = split.images.float()
        digit = (pixels * ink).sum((2, 3)) / ink.sum((2, 3))
        paper = (pixels * ~ink).sum((2, 3)) / (~ink).sum((2, 3))
        return torch.cat([digit, paper], dim=1).numpy()

    guesser = KNeighborsClassifier().fit(colours(data.train), data.train.labels)
    assert guesser.score(colours(data.test), data.test.labels) < 0.15  # chance: 0.1 +- 0.012


def test_digits_take_about_a_tenth_of_the_scene_wherever_they_stand() -> None:
    boxes = known(load(n_train=500).train)[0][:, 0]
    x0, y0, x1, y1 = boxes.unbind(1)
    area = (x1 - x0 + 1) * (y1 - y0 + 1) / 64**2
    assert 0.07 < area.mean() < 0.13
    quarter = ((y0 + y1) > 63).long() * 2 + ((x0 + x1) > 63).long()
    assert quarter.bincount(minlength=4).min() > 80  # of 500, 125 expected in each


def test_a_larger_scene_has_the_same_digits_at_the_same_places() -> None:
    small, large = known(load(size=48).train)[0], known(load(size=96).train)[0]
    off = (large.float() / 2 - small).abs()
    assert (off <= 1).float().mean() > 0.95  # a faint tail may show in one and not in the other


def test_a_ring_or_blank_paper_is_no_fragment() -> None:
    ring = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]).float()
    hook = ring.clone()
    hook[1, 3] = hook[2, 3] = 0
    cells = torch.zeros(2, 8, 8)
    cells[0, :4, :4], cells[1, :4, :4] = ring, hook
    windows = scenes._fragment_windows(cells)
    assert not windows[0, 0]  # the window at the top left holds the whole ring
    assert windows[1, 0]
    assert not windows[:, -1].any()  # the window at the bottom right holds nothing


def test_every_split_carries_the_statistics_of_the_training_scenes() -> None:
    data = load(n_validation=10)
    mean, std = datasets.statistics(data.train.images)
    for split in data.splits.values():
        assert torch.equal(split.mean, mean)
        assert torch.equal(split.std, std)


def test_the_source_tells_how_the_scenes_were_made() -> None:
    assert "n_digits=2, clutter=1, size=64, digit_scale=(0.4, 0.5), seed=9" in (
        load(n_digits=2, clutter=1, seed=9).source
    )


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"n_digits": 0}, ValueError, "n_digits.*1"),
        ({"n_digits": 11, "digit_scale": (0.15, 0.2)}, ValueError, "n_digits is 11.*at most 10"),
        ({"n_digits": 5}, ValueError, "5.*0.5.*4"),
        ({"n_digits": 2, "digit_scale": (0.4, 0.6)}, ValueError, "2.*0.6.*1"),
        ({"clutter": -1}, ValueError, "clutter.*0.*-1"),
        ({"clutter": 1.5}, TypeError, "clutter.*1.5"),
        ({"size": 20}, ValueError, "8 pixels.*size=23.*20"),
        ({"size": "64"}, TypeError, "size.*'64'"),
        ({"seed": -1}, ValueError, "seed.*-1"),
        ({"n_train": 0}, ValueError, "n_train.*0"),
        ({"n_test": True}, TypeError, "n_test.*True"),
        ({"n_validation": -1}, ValueError, "n_validation.*-1"),
        ({"digit_scale": 0.4}, TypeError, "digit_scale.*0.4"),
        (
            {"digit_scale": (0.5, 0.4)},
            ValueError,
            "digit_scale.*smallest is 0.5 and the largest is 0.4",
        ),
        (
            {"digit_scale": (0.5, 1.2)},
            ValueError,
            "digit_scale.*smallest is 0.5 and the largest is 1.2",
        ),
    ],
)
def test_options_that_cannot_be_are_refused_with_what_can(
    options: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        datasets.load("digit_scenes", **options)


def test_the_smallest_size_named_in_the_refusal_is_accepted() -> None:
    assert load(n_train=2, n_test=2, size=23).image_shape == (3, 23, 23)
