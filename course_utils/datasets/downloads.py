"""CIFAR-10 and Fashion-MNIST as torchvision reads them, each file checked before it is used."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import pickle
import socket
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import CIFAR10, FashionMNIST
from torchvision.datasets.utils import calculate_md5, download_url

from course_utils.arguments import flag, one_of, whole_number
from course_utils.datasets.containers import Dataset, Split, statistics
from course_utils.i18n import _, listed, number

__all__ = ["cifar10", "data_folder", "fashion_mnist"]

DOWNLOAD_TIMEOUT = 30  # seconds without a byte before the network is said to be missing


def cifar10(
    root: str | Path | None = None,
    download: bool = False,
    mean: str = "channel",
    verify: bool = True,
    first: int | None = None,
    size: int = 32,
) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test photographs of 10 classes, 32 by 32 pixels.

    Args:
        root: folder that holds ``cifar-10-batches-py``; the course's ``data`` by default.
        download: fetch what is missing or damaged (170 MB, about 180 MB unpacked) into ``root``.
        mean: what normalises the images. ``"channel"``: mean and standard deviation of each
            channel, ``(3, 1, 1)``. ``"pixel"``: the mean image ``(3, 32, 32)`` and a standard
            deviation of one, since He et al. (2015, section 4.2) subtract the one and do not
            divide; batch normalisation makes up for the scale.
        verify: compare every file with its published MD5 sum. With ``verify=False`` any folder
            in CIFAR's own format is read and ``source`` says so; reading it runs what its pickles
            say, so this is for folders that you made yourself.
        first: take this many images, the first ones, from each of the five training files and
            from the test file: the same pixels for everybody. All of them by default.
        size: side of the images: 32, or 16 for the mean of each square of four pixels, rounded.

    Returns:
        Images ``(N, 3, size, size)`` uint8; both splits carry the statistics of the training
        images.

    Raises:
        FileNotFoundError: a file is missing; the sentence says which, and what to do.
        ValueError: a file is not the published one, or cannot be read.
        ConnectionError: the download failed; nothing of it is left in ``root``.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    download, verify = flag("download", download), flag("verify", verify)
    mean = one_of("mean", mean, ("channel", "pixel"))
    if whole_number("size", size, at_least=1) not in (32, 16):
        raise ValueError(
            _("The images of CIFAR-10 come with a side of 32 or 16 pixels, not {size}.").format(
                size=size
            )
        )
    first = None if first is None else whole_number("first", first, at_least=1)
    base, published = data_folder(root), _published_cifar10()
    folder = base / CIFAR10.base_folder

    if download and not _whole(folder, published, verify):
        archive = {CIFAR10.filename: CIFAR10.tgz_md5}
        with _fetched(archive, published, base) as scratch:
            with tarfile.open(scratch / CIFAR10.filename) as packed:
                packed.extractall(scratch, filter="data")
            _check_files(scratch / CIFAR10.base_folder, published, verify=True)
            _move(scratch / CIFAR10.base_folder, folder, published)
    _check_files(folder, published, verify)

    with _readable(published, folder):
        sides = {side: _CheckedCIFAR10(base, train=side == "train") for side in ("train", "test")}
        files = {"train": len(CIFAR10.train_list), "test": len(CIFAR10.test_list)}
        images, labels = {}, {}
        for side, read in sides.items():
            pixels = torch.from_numpy(read.data).permute(0, 3, 1, 2)  # (N, 3, 32, 32)
            pixels = _first(pixels, first, files[side])
            images[side] = _halved(pixels) if size == 16 else pixels.contiguous()
            labels[side] = _first(torch.tensor(read.targets), first, files[side])
        classes = tuple(sides["train"].classes)
    centre, spread = statistics(images["train"])
    if mean == "pixel":
        centre = images["train"].sum(dim=0) / (255 * len(images["train"]))  # (3, size, size)
        spread = torch.ones(3, 1, 1)
    return Dataset(
        train=Split(images["train"], labels["train"], centre, spread),
        test=Split(images["test"], labels["test"], centre, spread),
        classes=classes,
        source=_described(published.source(verify), first, size),
        name="cifar10",
    )


def _described(source: str, first: int | None, size: int) -> str:
    """The source of the images, and which of them these are."""
    if first is not None:
        source += _(", the first {number} of each file").format(number=number(first, 9))
    return source if size == 32 else source + f", {size}×{size}"


def _first(rows: Tensor, count: int | None, files: int) -> Tensor:
    """The first rows of each of several files of one length, which follow one another, or all."""
    if count is None:
        return rows
    each = len(rows) // files
    if count > each or len(rows) % files:
        raise ValueError(
            _(
                "Each file of CIFAR-10 holds {each} images, and first={number} asks for more."
            ).format(each=each, number=count)
        )
    return torch.cat([rows[start : start + count] for start in range(0, len(rows), each)])


def _halved(images: Tensor) -> Tensor:
    """``(N, 3, 32, 32)`` uint8 to ``(N, 3, 16, 16)``: the mean of each square of four pixels."""
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def fashion_mnist(
    root: str | Path | None = None, download: bool = False, verify: bool = True
) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes, 28 by 28 pixels, grey.

    Args:
        root: folder that holds ``FashionMNIST/raw``; the course's ``data`` by default.
        download: fetch what is missing or damaged (31 MB) into ``root``.
        verify: compare every ``.gz`` file with its published MD5 sum. With ``verify=False`` any
            files in the same format are read, compressed or not, and ``source`` says so.

    Returns:
        Images ``(N, 1, 28, 28)`` uint8; both splits carry the mean and standard deviation of the
        training images, ``(1, 1, 1)``.

    Raises:
        FileNotFoundError: a file is missing; the sentence says which, and what to do.
        ValueError: a file is not the published one, or cannot be read.
        ConnectionError: the download failed; nothing of it is left in ``root``.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv 1708.07747.
    """
    download, verify = flag("download", download), flag("verify", verify)
    base, published = data_folder(root), _published_fashion_mnist()
    folder = base / FashionMNIST.__name__ / "raw"

    if download and not _whole(folder, published, verify):
        with _fetched(published.sums, published, base) as scratch:
            _move(scratch, folder, published)
    # torchvision takes any unpacked file for the data set; the packed one is what has a sum.
    _check_files(folder, published, verify)

    with _readable(published, folder):
        read = {name: torch.from_numpy(_read_idx(folder / name)) for name in published.sums}
    train_images, test_images = (
        read[f"{side}-images-idx3-ubyte.gz"][:, None] for side in ("train", "t10k")
    )  # (N, 1, 28, 28)
    train_labels, test_labels = (
        read[f"{side}-labels-idx1-ubyte.gz"].long() for side in ("train", "t10k")
    )
    centre, spread = statistics(train_images)
    return Dataset(
        train=Split(train_images, train_labels, centre, spread),
        test=Split(test_images, test_labels, centre, spread),
        classes=tuple(FashionMNIST.classes),
        source=published.source(verify),
        name="fashion_mnist",
    )


def data_folder(root: str | Path | None = None) -> Path:
    """Where downloaded data sets live: ``root``, else the course's ``data``, else ``./data``."""
    if root is not None:
        return Path(root).expanduser()
    repository = Path(__file__).resolve().parents[2]
    inside = (repository / "pyproject.toml").is_file() and (repository / "data").is_dir()
    return repository / "data" if inside else Path.cwd() / "data"


@dataclass(frozen=True)
class _Published:
    """What its publisher says of a data set.

    Args:
        name: as ``load`` knows it.
        title: as people do.
        addresses: the file itself, or the folders (ending in ``/``) to try in turn.
        sums: MD5 sum of each file that the data set is read from.
        megabytes: size of the download.
    """

    name: str
    title: str
    addresses: tuple[str, ...]
    sums: dict[str, str]
    megabytes: int

    def source(self, verify: bool) -> str:
        """Where the files come from, for ``Dataset.source``."""
        if verify:
            return f"{self.title}, {self.addresses[0]}, MD5 verified"
        return f"files in {self.title}'s format, not verified"


class _CheckedCIFAR10(CIFAR10):  # type: ignore[misc]
    """torchvision's reader, for files whose sums were compared already, or need not be."""

    train_list: ClassVar = [(name, None) for name, _md5 in CIFAR10.train_list]
    test_list: ClassVar = [(name, None) for name, _md5 in CIFAR10.test_list]
    meta: ClassVar = {**CIFAR10.meta, "md5": None}


def _published_cifar10() -> _Published:
    sums = dict([*CIFAR10.train_list, *CIFAR10.test_list])
    sums[CIFAR10.meta["filename"]] = CIFAR10.meta["md5"]
    return _Published("cifar10", "CIFAR-10", (CIFAR10.url,), sums, megabytes=170)


def _published_fashion_mnist() -> _Published:
    addresses = tuple(FashionMNIST.mirrors)
    sums = dict(FashionMNIST.resources)
    return _Published("fashion_mnist", "Fashion-MNIST", addresses, sums, megabytes=31)


def _present(folder: Path, file: str, verify: bool) -> bool:
    """Whether a file is there; unpacked will do where no sum is asked for."""
    unpacked = folder / file.removesuffix(".gz")
    return (folder / file).is_file() or (not verify and unpacked.is_file())


def _whole(folder: Path, published: _Published, verify: bool) -> bool:
    return all(
        _present(folder, file, verify) and (not verify or calculate_md5(folder / file) == md5)
        for file, md5 in published.sums.items()
    )


def _check_files(folder: Path, published: _Published, verify: bool) -> None:
    """Refuse a folder in which a file is missing or is not the published one.

    Raises:
        FileNotFoundError, ValueError: a sentence that names the file.
    """
    for file, md5 in published.sums.items():
        if not _present(folder, file, verify):
            raise FileNotFoundError(
                _(
                    "{title} is not on this machine: there is no {file} in {folder}. Download "
                    "it with `python -m course_utils data {name}` (about {megabytes} MB), or "
                    'with `load("{name}", download=True)` in a notebook; or put its files in '
                    "that folder, or say where they are with root=."
                ).format(
                    title=published.title,
                    file=file,
                    folder=folder,
                    name=published.name,
                    megabytes=published.megabytes,
                )
            )
        if verify and (found := calculate_md5(folder / file)) != md5:
            raise ValueError(
                _(
                    "{path} is damaged: its MD5 sum is {found} instead of {md5}. Download it "
                    'again with datasets.load("{name}", download=True); if the folder is your '
                    "own and differs on purpose, pass verify=False."
                ).format(path=folder / file, found=found, md5=md5, name=published.name)
            )


@contextlib.contextmanager
def _fetched(sums: dict[str, str], published: _Published, base: Path) -> Iterator[Path]:
    """A folder beside the data with the files named, whole and verified; gone afterwards.

    Nothing is written where a data set is looked for until all of it has arrived, so that a
    download cut short by whatever means leaves no half of one.

    Args:
        sums: name and MD5 sum of each file to fetch.
        published: says from where.
        base: folder to write in.

    Raises:
        ConnectionError: no address gave a file whole.
        OSError: ``base`` cannot be written.
    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix="download-", dir=base)
    except OSError as error:
        raise type(error)(
            _("{folder} cannot be written ({reason}): choose another folder with root=.").format(
                folder=base, reason=error.strerror or error
            )
        ) from error
    with scratch as path:
        for file, md5 in sums.items():
            _fetch(file, md5, published.addresses, path)
        yield Path(path)


def _fetch(file: str, md5: str, addresses: tuple[str, ...], folder: str) -> None:
    reasons = []
    for address in addresses:
        url = address + file if address.endswith("/") else address
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # urllib, under torchvision, waits for ever
        try:
            download_url(url, folder, filename=file, md5=md5)
        # RuntimeError is torchvision's for a file whose sum is wrong.
        except (OSError, http.client.HTTPException, RuntimeError) as error:
            reasons.append(f"{url}: {error}")
        else:
            return
        finally:
            socket.setdefaulttimeout(patience)
    raise ConnectionError(
        _(
            "{file} could not be downloaded ({reasons}): check the network and try again, or put "
            "the files in place by hand as data/README.md says."
        ).format(file=file, reasons=listed(reasons))
    )


def _move(source: Path, target: Path, published: _Published) -> None:
    """Put verified files in their place, each at once."""
    target.mkdir(parents=True, exist_ok=True)
    for file in published.sums:
        (source / file).replace(target / file)


@contextlib.contextmanager
def _readable(published: _Published, folder: Path) -> Iterator[None]:
    """Turn what a malformed file makes the readers raise into one sentence."""
    malformed = (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, ValueError)
    try:
        yield
    except (*malformed, AttributeError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            _("{folder} does not hold {title} in its published format ({reason}).").format(
                folder=folder, title=published.title, reason=f"{type(error).__name__}: {error}"
            )
        ) from error


def _read_idx(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The array in an IDX file of unsigned bytes, packed or not.

    The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each
    dimension as four big-endian bytes, the values in row-major order.
    """
    if path.is_file():
        with gzip.open(path) as packed:
            content = packed.read()
    else:
        content = path.with_suffix("").read_bytes()
    header, dimensions = content[:3], content[3]
    if header != b"\x00\x00\x08":
        raise ValueError(f"{path.name}: not an IDX file of unsigned bytes")
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
    return values.reshape(shape).copy()  # a copy that torch may write to
