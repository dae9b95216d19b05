"""Images of the reader's own: one folder a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.functional import center_crop

from course_utils.arguments import whole_number
from course_utils.datasets.containers import Dataset, Split, statistics
from course_utils.datasets.photographs import read_photograph
from course_utils.i18n import _, ngettext

__all__ = ["image_folder"]

TEST_SHARE = 0.2
SPLIT_SEED = 0  # the split is part of the data set: it never follows a reader's seed
NAMED = 3  # unreadable files that a sentence names


def image_folder(path: str | Path, size: int | None = None) -> Dataset:
    """The images of a folder that has one folder a class.

    A fifth of each class, at least one image, is kept for testing, unless ``path`` has the folders
    ``train`` and ``test``, each with the same classes.

    Args:
        path: the folder; files that are no images by their names are passed over.
        size: side in pixels of the squares that the images are cut to, from the middle of their
            longer sides. Without it, they must all be of one size, and stay as they are.

    Returns:
        Images ``(N, 3, H, W)`` uint8, both splits with the mean and standard deviation of the
        training images, ``(3, 1, 1)``; the classes are the folders' names, in order.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: fewer than two classes, one with fewer than two images, images that cannot be
            read, or of several sizes where no ``size`` is given.
        TypeError: ``size`` is not a whole number.
    """
    path = Path(path)
    if size is not None:
        whole_number("size", size, at_least=1)
    if not path.is_dir():
        raise FileNotFoundError(_("There is no folder {path}.").format(path=path))
    parts = [path / "train", path / "test"]
    if all(part.is_dir() for part in parts):
        classes, found = zip(*(_files(part, at_least=1) for part in parts), strict=True)
        if classes[0] != classes[1]:
            raise ValueError(
                _(
                    "The folders train and test of {path} do not have the same classes: only "
                    "one of them has {names}."
                ).format(path=path, names=", ".join(sorted(set(classes[0]) ^ set(classes[1]))))
            )
        names, (train, test) = classes[0], found
    else:
        names, files = _files(path, at_least=2)
        test_size = max(round(TEST_SHARE * len(files)), len(names))
        train, test = train_test_split(
            files,
            test_size=test_size,
            stratify=[label for _file, label in files],
            random_state=SPLIT_SEED,
        )
    images = _read([file for file, _label in [*train, *test]], size)
    labels = torch.tensor([label for _file, label in [*train, *test]])
    mean, std = statistics(images[: len(train)])
    return Dataset(
        train=Split(images[: len(train)], labels[: len(train)], mean, std),
        test=Split(images[len(train) :], labels[len(train) :], mean, std),
        classes=names,
        source=f"{len(images)} images of the folder {path.name}",
        name="folder",
    )


def _files(path: Path, *, at_least: int) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """The classes of a folder, and each image in them with its label."""
    folders = sorted(one for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    files = {
        folder: sorted(
            file
            for file in folder.rglob("*")
            if file.suffix.lower() in IMG_EXTENSIONS and file.name[0] != "."
        )
        for folder in folders
    }
    if len(folders) < 2:
        raise ValueError(
            _("{path} must have one folder per class, at least two, and has {number}.").format(
                path=path, number=len(folders)
            )
        )
    for folder, images in files.items():
        if len(images) < at_least:
            raise ValueError(
                ngettext(
                    "The class {folder} has {number} image, and needs at least {least}.",
                    "The class {folder} has {number} images, and needs at least {least}.",
                    len(images),
                ).format(folder=folder, number=len(images), least=at_least)
            )
    pairs = [(file, label) for label, folder in enumerate(folders) for file in files[folder]]
    return tuple(folder.name for folder in folders), pairs


def _read(files: Iterable[Path], size: int | None) -> Tensor:
    """The images ``(N, 3, H, W)`` uint8, or a sentence that names those that cannot be read."""
    images, unreadable = [], []
    for file in files:
        try:
            pixels = read_photograph(file, size)
        except ValueError:
            unreadable.append(str(file))
        else:
            images.append(pixels if size is None else center_crop(pixels, [size, size]))
    if unreadable:
        raise ValueError(
            ngettext(
                "{number} image cannot be read: {names}. Repair it, or remove it.",
                "{number} images cannot be read, among them {names}. Repair them, or remove them.",
                len(unreadable),
            ).format(number=len(unreadable), names=", ".join(unreadable[:NAMED]))
        )
    sizes = Counter(tuple(image.shape[1:]) for image in images)
    if len(sizes) > 1:
        (height, width), _number = sizes.most_common(1)[0]
        raise ValueError(
            _(
                "The images have {number} different sizes, most often {height}×{width}: size=64, "
                "say, cuts each to a square and brings it to 64 pixels."
            ).format(number=len(sizes), height=height, width=width)
        )
    return torch.stack(images)
