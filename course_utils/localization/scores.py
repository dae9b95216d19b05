"""What the measures answer: a value that ``float()`` takes, and its details."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

__all__ = [
    "BoxAccuracy",
    "BoxAccuracyV2",
    "CenterBaseline",
    "Game",
    "PixelPrecision",
]


class _Score:
    """What has a value that ``float()`` and format strings take."""

    value: float

    def __float__(self) -> float:
        return self.value

    def __format__(self, specification: str) -> str:
        return format(self.value, specification) if specification else str(self)


@dataclass(frozen=True, eq=False)
class BoxAccuracy(_Score):
    """Share of images whose box is found, at the best of the thresholds.

    Attributes:
        value: the accuracy, at ``threshold``.
        threshold: the best threshold, one for the whole data set; the lowest if several are.
        thresholds: those tried, ``(T,)``.
        curve: the accuracy at each, ``(T,)``.
        delta: the IoU from which a box is found.
        convention: ``"standard"`` or ``"published"``.
        chance: share of images found, on average, by a box of the true size at a random place.
        best_iou: IoU of the best match of each image at ``threshold``, ``(N,)``.
    """

    value: float
    threshold: float
    thresholds: Tensor = field(repr=False)
    curve: Tensor = field(repr=False)
    delta: float
    convention: str
    chance: float
    best_iou: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class BoxAccuracyV2(_Score):
    """Mean of the box accuracies at several IoUs, the best threshold being chosen for each.

    Attributes:
        value: the mean.
        at: the ``BoxAccuracy`` for each IoU ``delta``.
        convention: ``"standard"``, the largest component, or ``"published"``, any of them.
        chance: the mean of theirs.
    """

    value: float
    at: dict[float, BoxAccuracy] = field(repr=False)
    convention: str
    chance: float


@dataclass(frozen=True, eq=False)
class PixelPrecision(_Score):
    """Area under the precision-recall curve of the pixels, pooled over the data set.

    Attributes:
        value: the area.
        thresholds: from the highest to the lowest, ``(T,)``.
        precision, recall: at each threshold, ``(T,)``.
        convention: ``"standard"`` or ``"published"``.
        chance: share of the pixels that are foreground, the area for maps that say nothing.
    """

    value: float
    thresholds: Tensor = field(repr=False)
    precision: Tensor = field(repr=False)
    recall: Tensor = field(repr=False)
    convention: str
    chance: float


@dataclass(frozen=True, eq=False)
class Game(_Score):
    """Mean over the images of a score in [0, 1] each.

    Attributes:
        value: the mean.
        scores: each image's own, ``(N,)``.
        chance: mean share of the image that its boxes cover: the score of a pixel at random, and
            of energy spread evenly.
        center: the same score for maps that show the image's centre and nothing else.
        flat: images whose map cannot answer (the same value everywhere, or no energy), ``(N,)``.
    """

    value: float
    scores: Tensor = field(repr=False)
    chance: float
    center: float
    flat: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class CenterBaseline(_Score):
    """What the best box at the centre of every image finds, without looking at any.

    Attributes:
        value: share of images found; with several IoUs, the mean over them.
        at: that share for each IoU ``delta``.
        sizes: height and width of the best box for each IoU ``delta``, in pixels.
        chance: as ``value``, of a box of the true size at a random place instead.
    """

    value: float
    at: dict[float, float]
    sizes: dict[float, tuple[int, int]]
    chance: float
