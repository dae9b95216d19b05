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
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torchvision.datasets import CIFAR10, FashionMNIST
from torchvision.datasets.utils import calculate_md5, download_url

from course_utils.datasets.containers import Dataset, Split, statistics
from course_utils.datasets.options import flag, one_of
from course_utils.i18n import _

__all__ = ["cifar10", "data_folder", "fashion_mnist"]

DOWNLOAD_TIMEOUT = 30  # seconds without a byte before the network is said to be missing


def cifar10(
    root: str | Path | None = None,
    download: bool = False,
    mean: str = "channel",
    verify: bool = True,
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

    Returns:
        Images ``(N, 3, 32, 32)`` uint8; both splits carry the statistics of the training images.

    Raises:
        FileNotFoundError: a file is missing; the sentence says which, and what to do.
        ValueError: a file is not the published one, or cannot be read.
        ConnectionError: the download failed; nothing of it is left in ``root``.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    download, verify = flag("download", download), flag("verify", verify)
    mean = one_of("mean", mean, ("channel", "pixel"))
    base = data_folder(root)
    folder = base / CIFAR10.base_folder
    sums = dict([*CIFAR10.train_list, *CIFAR10.test_list])
    sums[CIFAR10.meta["filename"]] = CIFAR10.meta["md5"]

    if download and not _whole(folder, sums, verify):
        with _fetched({CIFAR10.filename: CIFAR10.tgz_md5}, [CIFAR10.url], base) as scratch:
            with tarfile.open(scratch / CIFAR10.filename) as archive:
                archive.extractall(scratch, filter="data")
            _check_files("cifar10", scratch / CIFAR10.base_folder, sums, verify=True)
            _move(scratch / CIFAR10.base_folder, folder, sums)
    _check_files("cifar10", folder, sums, verify)

    with _readable("cifar10", folder):
        sides = {side: _CheckedCIFAR10(base, train=side == "train") for side in ("train", "test")}
        images = {
            side: torch.from_numpy(read.data).permute(0, 3, 1, 2).contiguous()  # (N, 3, 32, 32)
            for side, read in sides.items()
        }
        labels = {side: torch.tensor(read.targets) for side, read in sides.items()}
        classes = tuple(sides["train"].classes)
    centre, spread = statistics(images["train"])
    if mean == "pixel":
        centre = images["train"].sum(dim=0) / (255 * len(images["train"]))  # (3, 32, 32)
        spread = torch.ones(3, 1, 1)
    return Dataset(
        train=Split(images["train"], labels["train"], centre, spread),
        test=Split(images["test"], labels["test"], centre, spread),
        classes=classes,
        source=_source("CIFAR-10", CIFAR10.url, verify),
        name="cifar10",
    )


def fashion_mnist(
    root: str | Path | None = None, download: bool = False, verify: bool = True
) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes, 28 by 28 pixels, grey.

    Args:
        root: folder that holds ``FashionMNIST/raw``; the course's ``data`` by default.
        download: fetch what is missing or damaged (about 30 MB) into ``root``.
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
    base = data_folder(root)
    folder = base / FashionMNIST.__name__ / "raw"
    sums = dict(FashionMNIST.resources)

    if download and not _whole(folder, sums, verify):
        with _fetched(sums, FashionMNIST.mirrors, base) as scratch:
            _move(scratch, folder, sums)
    # torchvision takes any unpacked file for the data set; the packed one is what has a sum.
    _check_files("fashion_mnist", folder, sums, verify)

    with _readable("fashion_mnist", folder):
        read = {name: torch.from_numpy(_read_idx(folder / name)) for name in sums}
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
        source=_source("Fashion-MNIST", FashionMNIST.mirrors[0], verify),
        name="fashion_mnist",
    )


def data_folder(root: str | Path | None = None) -> Path:
    """Where downloaded data sets live: ``root``, else the course's ``data``, else ``./data``."""
    if root is not None:
        return Path(root).expanduser()
    repository = Path(__file__).resolve().parents[2]
    inside = (repository / "pyproject.toml").is_file() and (repository / "data").is_dir()
    return repository / "data" if inside else Path.cwd() / "data"


class _CheckedCIFAR10(CIFAR10):  # type: ignore[misc]
    """torchvision's reader, for files whose sums were compared already, or need not be."""

    train_list: ClassVar = [(name, None) for name, _md5 in CIFAR10.train_list]
    test_list: ClassVar = [(name, None) for name, _md5 in CIFAR10.test_list]
    meta: ClassVar = {**CIFAR10.meta, "md5": None}


def _source(title: str, url: str, verify: bool) -> str:
    if verify:
        return f"{title}, {url}, MD5 verified"
    return f"files in {title}'s format, not verified"


def _present(folder: Path, name: str, verify: bool) -> bool:
    """Whether a file is there; unpacked will do where no sum is asked for."""
    unpacked = folder / name.removesuffix(".gz")
    return (folder / name).is_file() or (not verify and unpacked.is_file())


def _whole(folder: Path, sums: dict[str, str], verify: bool) -> bool:
    return all(
        _present(folder, name, verify) and (not verify or calculate_md5(folder / name) == md5)
        for name, md5 in sums.items()
    )


def _check_files(name: str, folder: Path, sums: dict[str, str], verify: bool) -> None:
    """Refuse a folder in which a file is missing or is not the published one.

    Raises:
        FileNotFoundError, ValueError: a sentence that names the file.
    """
    for file, md5 in sums.items():
        if not _present(folder, file, verify):
            raise FileNotFoundError(
                _(
                    'The data set "{name}" is not here: there is no {file} in {folder}; put the '
                    'folder there, or fetch it with datasets.load("{name}", download=True).'
                ).format(name=name, file=file, folder=folder)
            )
        if verify and (found := calculate_md5(folder / file)) != md5:
            raise ValueError(
                _(
                    "{path} is damaged: its MD5 sum is {found} and should be {md5}; fetch it again "
                    'with datasets.load("{name}", download=True), or, if the folder is your own '
                    "and meant to differ, pass verify=False."
                ).format(path=folder / file, found=found, md5=md5, name=name)
            )


@contextlib.contextmanager
def _fetched(sums: dict[str, str], addresses: list[str], base: Path) -> Iterator[Path]:
    """A folder beside the data with the files named, whole and verified; gone afterwards.

    Nothing is written where a data set is looked for until all of it has arrived, so that a
    download cut short by whatever means leaves no half of one.

    Args:
        sums: name and MD5 sum of each file.
        addresses: the file itself, or the folders (ending in ``/``) to try in turn.
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
            _fetch(file, md5, addresses, path)
        yield Path(path)


def _fetch(file: str, md5: str, addresses: list[str], folder: str) -> None:
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
        ).format(file=file, reasons="; ".join(reasons))
    )


def _move(source: Path, target: Path, names: dict[str, str]) -> None:
    """Put verified files in their place, each at once."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        (source / name).replace(target / name)


@contextlib.contextmanager
def _readable(name: str, folder: Path) -> Iterator[None]:
    """Turn what a malformed file makes the readers raise into one sentence."""
    malformed = (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, ValueError)
    try:
        yield
    except (*malformed, AttributeError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            _('{folder} does not hold "{name}" in its published format ({reason}).').format(
                folder=folder, name=name, reason=f"{type(error).__name__}: {error}"
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
