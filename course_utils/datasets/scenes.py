"""Scenes made of real handwritten digits among clutter, with the box and the mask of each digit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_utils.arguments import whole_number
from course_utils.datasets.containers import Dataset, Split, statistics
from course_utils.datasets.digits import CLASSES, NATIVE_SIZE, native_digits, parted_digits
from course_utils.i18n import _, number

__all__ = ["digit_scenes"]

# Scenes are drawn this many at a time, each batch from a seed of its own: the first scenes stay
# the same however many are asked for, and what is drawn stays within a processor's cache.
BATCH = 64
TRAIN, TEST, VALIDATION = 0, 1, 2

FRAGMENT_CELLS = 4  # a quarter of a digit's 8 x 8 cells: a stroke or a bend, not a digit
FRAGMENT_INK = 0.25  # the least mean ink of a fragment: blank paper would be no clutter
PLACING_ATTEMPTS = 50

# Ink below the first level is paper, above the second it covers the background entirely.
INK_LEVELS = (0.35, 0.7)

# How light colours are, from 0 to 1: any hue, but always light ink on a dark background. With dark
# ink on a light one in half of the scenes, networks of the course's size did not learn in its time.
BACKGROUND_LIGHTNESS = (0.05, 0.3)
CONTRAST = (0.4, 0.65)
UNEVENNESS = 0.08  # of the background, around its colour
LIGHTNESS_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])  # of R, G and B: ITU-R BT.709

Floats = NDArray[np.floating[Any]]  # float32 or float64; torch gets float32
Flags = NDArray[np.bool_]


def digit_scenes(
    n_digits: int = 1,
    clutter: int = 6,
    size: int = 64,
    digit_scale: tuple[float, float] = (0.4, 0.5),
    seed: int = 0,
    n_train: int = 4000,
    n_test: int = 1000,
    n_validation: int = 0,
) -> Dataset:
    """Coloured scenes with digits at random places, and fragments of other digits around them.

    Training scenes are made of training digits only, fragments included, and test scenes of test
    digits only. Where there are validation scenes, a fifth of the training digits is left to them
    alone. The same seed gives the same scenes; asking for more scenes leaves the first ones
    as they are, and ``clutter`` leaves the digits and the background as they are.

    Args:
        n_digits: D, digits a scene, of D different classes; the first is the one the scene is
            labelled by. No two overlap.
        clutter: fragments a scene, below the digits.
        size: side of the scenes in pixels.
        digit_scale: smallest and largest side of the square that a digit stands in, as a share of
            the scene's side. What a reader would call the digit takes eight ninths of its height.
        seed: of everything random here.
        n_train: number of training scenes.
        n_test: number of test scenes.
        n_validation: number of validation scenes; with 0, the data set has none.

    Returns:
        Images ``(N, 3, size, size)`` uint8 with ``boxes`` ``(N, D, 4)`` tight around ``masks``
        ``(N, D, size, size)``, and ``box_labels`` ``(N, D)``. All splits carry the mean and
        standard deviation of each channel of the training scenes, ``(3, 1, 1)``.

    Raises:
        TypeError: an option of the wrong type.
        ValueError: an option out of range, digits of less than 9 pixels a side, or more digits
            than fit without overlap.

    Example:
        >>> data = digit_scenes(n_digits=2, n_train=10, n_test=5)
        >>> tuple(data.train.images.shape), tuple(data.train.boxes.shape)
        ((10, 3, 64, 64), (10, 2, 4))
    """
    n_digits = whole_number("n_digits", n_digits, at_least=1)
    clutter = whole_number("clutter", clutter, at_least=0)
    size = whole_number("size", size, at_least=1)
    seed = whole_number("seed", seed, at_least=0)
    n_train = whole_number("n_train", n_train, at_least=1)
    n_test = whole_number("n_test", n_test, at_least=1)
    n_validation = whole_number("n_validation", n_validation, at_least=0)
    sides = _sides(digit_scale, size)
    _check_room(n_digits, sides, size)

    train_digits, test_digits = native_digits()
    wanted = {TRAIN: (train_digits, n_train), TEST: (test_digits, n_test)}
    source = (
        f"scenes made of scikit-learn's digits: n_digits={n_digits}, clutter={clutter}, "
        f"size={size}, digit_scale={tuple(digit_scale)}, seed={seed}"
    )
    if n_validation:
        train_digits, validation_digits = parted_digits()
        wanted[TRAIN] = train_digits, n_train
        wanted[VALIDATION] = validation_digits, n_validation
        source += ", a fifth of the training digits for validation"
    drawn = {
        subset: _scenes(*digits, n, n_digits, clutter, size, sides, (seed, subset))
        for subset, (digits, n) in wanted.items()
    }
    mean, std = statistics(drawn[TRAIN][0])
    splits = {
        subset: Split(images, box_labels[:, 0].clone(), mean, std, boxes, box_labels, masks)
        for subset, (images, boxes, box_labels, masks) in drawn.items()
    }
    return Dataset(
        train=splits[TRAIN],
        test=splits[TEST],
        validation=splits.get(VALIDATION),
        classes=CLASSES,
        source=source,
        name="digit_scenes",
    )


def _sides(digit_scale: object, size: int) -> tuple[float, float]:
    """The smallest and the largest side of a digit's square, in pixels."""
    try:
        low, high = (float(share) for share in digit_scale)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise TypeError(
            _("digit_scale must be two numbers, as in (0.4, 0.5), and is {value!r}.").format(
                value=digit_scale
            )
        ) from None
    if not 0 < low <= high <= 1:
        raise ValueError(
            _(
                "digit_scale must be the smallest and the largest share of the scene's side, "
                "with 0 < smallest <= largest <= 1. Here the smallest is {low} and the largest "
                "is {high}."
            ).format(low=number(low, 6), high=number(high, 6))
        )
    cells = NATIVE_SIZE + 1
    if low * size < cells:
        raise ValueError(
            _(
                "A digit of {side} pixels is not legible. With a digit_scale of {low}, a digit "
                "gets the {cells} pixels that it needs from size={least} upwards: increase "
                "size, which is {size} now, or digit_scale."
            ).format(
                side=number(low * size, 3),
                low=number(low, 6),
                cells=cells,
                least=math.ceil(cells / low),
                size=size,
            )
        )
    return low * size, high * size


def _check_room(n_digits: int, sides: tuple[float, float], size: int) -> None:
    if n_digits > len(CLASSES):
        raise ValueError(
            _(
                "n_digits is {n_digits}, and may be at most {most}, since the digits of a scene "
                "are of different classes."
            ).format(most=len(CLASSES), n_digits=n_digits)
        )
    most = int(size // sides[1]) ** 2
    if n_digits > most:
        raise ValueError(
            _(
                "{n_digits} digits whose side can be {share} of the scene's do not fit without "
                "overlap: ask for at most {most}, or for a smaller digit_scale."
            ).format(n_digits=n_digits, share=number(sides[1] / size, 6), most=most)
        )


def _scenes(
    digits: Tensor,
    labels: Tensor,
    n: int,
    n_digits: int,
    clutter: int,
    size: int,
    sides: tuple[float, float],
    entropy: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``n`` scenes made of ``digits`` ``(M, 1, 8, 8)``: images, boxes, box labels and masks."""
    cells = digits[:, 0]  # (M, 8, 8)
    by_class = [(labels == c).nonzero().flatten().numpy() for c in range(len(CLASSES))]
    windows = _fragment_windows(cells)  # (M, 25)
    seed, subset = entropy
    batches = []
    for batch in range(math.ceil(n / BATCH)):
        streams = np.random.SeedSequence(seed, spawn_key=(subset, batch)).spawn(3)
        placing, painting, cluttering = (np.random.default_rng(stream) for stream in streams)

        which, box_labels = _chosen_digits(placing, by_class, n_digits)  # (B, D) each
        squares = _places(placing, n_digits, sides, size)
        alphas = _drawn(cells[which], *squares, size)  # (B, D, H, W)
        lightness = painting.uniform(*BACKGROUND_LIGHTNESS, BATCH)
        background = _background(painting, lightness, size)  # (B, 3, H, W)
        colours = _inks(painting, lightness, n_digits)  # (B, D, 3)

        fragments = _fragments(cluttering, cells, windows, which, squares, clutter, sides, size)
        scraps = _inks(cluttering, lightness, clutter)
        images = _composed(
            background, torch.cat([fragments, alphas], dim=1), torch.cat([scraps, colours], dim=1)
        )
        masks = alphas >= 0.5  # where there is more digit than background
        batches.append((images, _tight_boxes(masks), torch.from_numpy(box_labels), masks))
    images, boxes, classes, masks = (torch.cat(parts)[:n] for parts in zip(*batches, strict=True))
    return images, boxes, classes, masks


def _chosen_digits(
    rng: np.random.Generator, by_class: list[NDArray[np.int64]], n_digits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Digits of different classes for each scene: their indices and classes, ``(B, D)`` each."""
    classes = rng.random((BATCH, len(by_class))).argsort(axis=1)[:, :n_digits]
    count = np.array([len(members) for members in by_class])
    nth = (rng.random((BATCH, n_digits)) * count[classes]).astype(np.int64)
    members = np.full((len(by_class), count.max()), -1)
    for row, indices in zip(members, by_class, strict=True):
        row[: len(indices)] = indices
    return members[classes, nth], classes


def _places(
    rng: np.random.Generator, n_digits: int, sides: tuple[float, float], size: int
) -> tuple[Floats, Floats, Floats]:
    """Squares that do not overlap: top, left and side in pixels, ``(B, D)`` each."""
    side = rng.uniform(*sides, (BATCH, n_digits))
    room = size - side
    top, left = rng.random(side.shape) * room, rng.random(side.shape) * room
    for _attempt in range(PLACING_ATTEMPTS):
        again = _crowded(top, left, side)
        if not again.any():
            break
        top[again] = rng.random((again.sum(), n_digits)) * room[again]
        left[again] = rng.random((again.sum(), n_digits)) * room[again]
    else:  # so many digits that chance seldom parts them: one in each cell of a grid
        again = _crowded(top, left, side)
        per_row = int(size // sides[1])
        cell = rng.random((again.sum(), per_row**2)).argsort(axis=1)[:, :n_digits]
        slack = size / per_row - side[again]
        top[again] = cell // per_row * (size / per_row) + rng.random(cell.shape) * slack
        left[again] = cell % per_row * (size / per_row) + rng.random(cell.shape) * slack
    return top, left, side


def _crowded(top: Floats, left: Floats, side: Floats) -> Flags:
    """Which scenes have two squares that overlap, ``(B,)``."""
    above = (top + side)[:, :, None] <= top[:, None, :]  # (B, D, D): i ends above j
    before = (left + side)[:, :, None] <= left[:, None, :]
    apart = above | before
    apart |= apart.transpose(0, 2, 1)
    apart |= np.eye(side.shape[1], dtype=bool)
    return np.logical_not(apart.all(axis=(1, 2)))


def _drawn(cells: Tensor, top: Floats, left: Floats, side: Floats, size: int) -> Tensor:
    """Ink enlarged by bilinear interpolation and put in its place.

    Interpolation is linear in the ink and separable, so that it is a matrix product from the left
    for the rows and one from the right for the columns.

    Args:
        cells: ``(B, K, n, n)``, the ink of each cell in [0, 1].
        top, left, side: ``(B, K)``, the square, in pixels, that takes the n cells and half a cell
            around them, where ink fades to nothing.
        size: side of the scene in pixels.

    Returns:
        How much of the background the ink covers, ``(B, K, size, size)`` in [0, 1].
    """
    n = cells.shape[-1]
    rows = _interpolation(top, side, n, size)  # (B, K, H, n)
    columns = _interpolation(left, side, n, size)  # (B, K, W, n)
    ink = rows @ cells @ columns.mT  # (B, K, H, W)
    paper, full = INK_LEVELS
    return ink.sub_(paper).div_(full - paper).clamp_(0, 1)


def _interpolation(start: Floats, side: Floats, n: int, size: int) -> Tensor:
    """The share of each of ``n`` cells in each of ``size`` pixels, ``(B, K, size, n)``."""
    pixels = torch.arange(size) + 0.5
    begin, extent = (torch.from_numpy(values).float()[..., None] for values in (start, side))
    position = (pixels - begin) / extent * (n + 1) - 1  # in cells; cell k is centred at k
    return (1 - (position[..., None] - torch.arange(n)).abs()).clamp_(min=0)


def _fragment_windows(cells: Tensor) -> Flags:
    """Which windows of each digit make a fragment, neither blank nor a ring: ``(M, windows)``."""
    windows = cells.unfold(1, FRAGMENT_CELLS, 1).unfold(2, FRAGMENT_CELLS, 1)  # (M, 5, 5, 4, 4)
    inked = windows.mean((3, 4)) >= FRAGMENT_INK
    # A cell of paper with ink above, below, left and right is in a ring, to be read as a zero.
    ink = windows >= 0.5
    around = [ink.flip(dim).cumsum(dim).flip(dim) for dim in (3, 4)]
    around += [ink.cumsum(dim) for dim in (3, 4)]
    ringed = ~ink & torch.stack(around).all(0)
    return (inked & ~ringed.any(dim=(3, 4))).flatten(1).numpy()


def _fragments(
    rng: np.random.Generator,
    cells: Tensor,
    windows: Flags,
    which: NDArray[np.int64],
    squares: tuple[Floats, Floats, Floats],
    clutter: int,
    sides: tuple[float, float],
    size: int,
) -> Tensor:
    """Pieces of digits other than the scene's own, turned and scattered: ``(B, K, H, W)``."""
    if clutter == 0:
        return torch.zeros(BATCH, 0, size, size)
    origin = rng.integers(len(cells), size=(BATCH, clutter))
    while (own := (origin[:, :, None] == which[:, None, :]).any(axis=2)).any():
        origin[own] = rng.integers(len(cells), size=own.sum())

    # A window of each, at random among the suitable ones.
    draw = rng.random((BATCH, clutter, windows.shape[1])) * windows[origin]
    row, column = np.divmod(draw.argmax(axis=2), NATIVE_SIZE - FRAGMENT_CELLS + 1)
    span = np.arange(FRAGMENT_CELLS)
    rows, columns = row[..., None] + span, column[..., None] + span  # (B, K, 4)
    pieces = cells.numpy()[origin[..., None, None], rows[..., :, None], columns[..., None, :]]

    # A quarter turn and a mirror, or not: half a digit would still be told by the way it stands.
    turned = np.where(rng.random((BATCH, clutter, 1, 1)) < 0.5, pieces.swapaxes(2, 3), pieces)
    mirrored = np.where(rng.random((BATCH, clutter, 1, 1)) < 0.5, turned[..., ::-1], turned)

    # Strokes as thick as the digits', and places all over the scene, its border included; but a
    # fragment centred on a digit would make another digit of it.
    cell = rng.uniform(*sides, (BATCH, clutter)) / (NATIVE_SIZE + 1)
    side = cell * (FRAGMENT_CELLS + 1)
    centre = rng.random((BATCH, clutter, 2)) * size  # y, x
    for _attempt in range(PLACING_ATTEMPTS):
        hidden = _within(centre, squares)
        if not hidden.any():
            break
        centre[hidden] = rng.random((hidden.sum(), 2)) * size
    top, left = centre[..., 0] - side / 2, centre[..., 1] - side / 2
    return _drawn(torch.from_numpy(mirrored), top, left, side, size)


def _within(points: Floats, squares: tuple[Floats, Floats, Floats]) -> Flags:
    """Which points ``(B, K, 2)``, y and x, lie in one of the squares ``(B, D)``: ``(B, K)``."""
    top, left, side = (values[:, None, :] for values in squares)  # (B, 1, D)
    y, x = points[..., :1], points[..., 1:]  # (B, K, 1)
    within = (top <= y) & (y < top + side) & (left <= x) & (x < left + side)
    return np.logical_or.reduce(within, axis=2)


def _background(rng: np.random.Generator, lightness: Floats, size: int) -> Tensor:
    """One colour a scene, a little uneven: ``(B, 3, size, size)`` in [0, 1], give or take."""
    colour = _lightened(rng.random((BATCH, 3)), lightness)
    waves = torch.from_numpy(rng.uniform(-1, 1, (BATCH, 3, 3, 3))).float()
    # The three levels stand at the first, the middle and the last pixel of a row or a column.
    position = torch.linspace(0, 2, size)
    share = (1 - (position[:, None] - torch.arange(3)).abs()).clamp_(min=0)  # (size, 3)
    uneven = share @ waves @ share.T  # (B, 3, size, size)
    return uneven.mul_(UNEVENNESS).add_(colour[:, :, None, None])


def _inks(rng: np.random.Generator, lightness: Floats, count: int) -> Tensor:
    """Vivid colours that stand out from the background, ``(B, count, 3)`` in [0, 1]."""
    hue = rng.random((BATCH, count, 3))
    low, high = hue.min(axis=2, keepdims=True), hue.max(axis=2, keepdims=True)
    vivid = (hue - low) / np.maximum(high - low, np.finfo(hue.dtype).eps)
    return _lightened(vivid, lightness[:, None] + rng.uniform(*CONTRAST, (BATCH, count)))


def _lightened(colours: Floats, lightness: Floats) -> Tensor:
    """``colours`` ``(..., 3)`` mixed with white or black until they are as light as wanted."""
    wanted, now = lightness[..., None], (colours @ LIGHTNESS_WEIGHTS)[..., None]
    to_white = colours + (1 - colours) * (wanted - now) / np.maximum(1 - now, 1e-6)
    to_black = colours * wanted / np.maximum(now, 1e-6)
    return torch.from_numpy(np.where(now < wanted, to_white, to_black)).float()


def _composed(background: Tensor, alphas: Tensor, colours: Tensor) -> Tensor:
    """Layers painted over the background, the last on top: ``(B, 3, H, W)`` uint8.

    Args:
        background: ``(B, 3, H, W)``.
        alphas: ``(B, K, H, W)``, what each layer covers of those below it.
        colours: ``(B, K, 3)``.
    """
    seen = torch.ones_like(alphas[:, 0])  # (B, H, W), what the layers above let through
    shares = torch.empty_like(alphas)
    for layer in reversed(range(alphas.shape[1])):
        seen -= torch.mul(alphas[:, layer], seen, out=shares[:, layer])
    ink = colours.mT @ shares.flatten(2)  # (B, 3, K) @ (B, K, H*W)
    image = (background * seen[:, None]).add_(ink.view_as(background))
    return image.mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def _tight_boxes(masks: Tensor) -> Tensor:
    """First and last column and row of each mask: ``(B, D, H, W)`` to ``(B, D, 4)`` x0 y0 x1 y1."""
    in_column, in_row = masks.any(dim=2).byte(), masks.any(dim=3).byte()  # (B, D, W), (B, D, H)
    height, width = masks.shape[2:]
    return torch.stack(
        [
            in_column.argmax(dim=2),
            in_row.argmax(dim=2),
            width - 1 - in_column.flip(2).argmax(dim=2),
            height - 1 - in_row.flip(2).argmax(dim=2),
        ],
        dim=2,
    )
