"""CIFAR-10 and Fashion-MNIST: whole and as published, or refused in a sentence."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import shutil
import socket
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from torchvision.datasets import CIFAR10, FashionMNIST

from course_utils import cli, datasets
from course_utils.datasets import downloads

CLASSES = ("airplane", "automobile", "bird", "cat")
PER_BATCH = 3


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A root with a tiny set in CIFAR-10's own format: 15 training images, 3 test images."""
    folder = tmp_path / "cifar" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for k, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        batch = {"data": pixels(k, PER_BATCH, 3072), "labels": [k % 4, 1, 2]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASSES)}))
    return folder.parent


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """A root with a tiny set in Fashion-MNIST's own format: 6 training images, 2 test images."""
    folder = tmp_path / "fashion" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for side, n in (("train", 6), ("t10k", 2)):
        images = struct.pack(">4I", 0x803, n, 28, 28) + pixels(n, n, 28, 28).tobytes()
        labels = struct.pack(">2I", 0x801, n) + bytes(range(n))
        (folder / f"{side}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{side}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder.parents[1]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server on this machine alone: its address and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            """Nothing: requests are no news."""

    monkeypatch.setenv("no_proxy", "*")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/", folder
    http.shutdown()
    thread.join()
    http.server_close()


def publish_cifar(root: Path, address: str, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tiny set the one that torchvision knows the address and the sums of."""
    archive, folder = served / CIFAR10.filename, root / CIFAR10.base_folder
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "url", address + CIFAR10.filename)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    for which in ("train_list", "test_list"):
        sums = [[name, md5(folder / name)] for name, _sum in getattr(CIFAR10, which)]
        monkeypatch.setattr(CIFAR10, which, sums)
    monkeypatch.setattr(
        CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(folder / CIFAR10.meta["filename"])}
    )


def publish_fashion(
    root: Path, address: str, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "FashionMNIST" / "raw"
    shutil.copytree(folder, served, dirs_exist_ok=True)
    sums = [(name, md5(folder / name)) for name, _sum in FashionMNIST.resources]
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    monkeypatch.setattr(FashionMNIST, "resources", sums)


def forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(downloads, "download_url", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


# What is read


def test_a_folder_of_ones_own_in_cifars_format_is_read_as_it_was_written(cifar: Path) -> None:
    data = datasets.load("cifar10", root=cifar, verify=False)
    expected = np.concatenate([pixels(k, PER_BATCH, 3072) for k in range(5)])
    np.testing.assert_array_equal(data.train.images, expected.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(data.test.images, pixels(5, 3, 3072).reshape(-1, 3, 32, 32))
    assert data.train.labels.tolist() == [0, 1, 2, 1, 1, 2, 2, 1, 2, 3, 1, 2, 0, 1, 2]
    assert data.test.labels.tolist() == [1, 1, 2]
    assert data.classes == CLASSES


def test_cifars_channel_statistics_are_those_of_numpy(cifar: Path) -> None:
    data = datasets.load("cifar10", root=str(cifar), verify=False)
    levels = data.train.images.numpy() / 255.0
    for split in (data.train, data.test):
        np.testing.assert_allclose(split.mean.flatten(), levels.mean(axis=(0, 2, 3)), rtol=1e-6)
        np.testing.assert_allclose(split.std.flatten(), levels.std(axis=(0, 2, 3)), rtol=1e-6)


def test_cifars_pixel_mean_is_the_mean_image_and_divides_by_nothing(cifar: Path) -> None:
    data = datasets.load("cifar10", root=cifar, verify=False, mean="pixel")
    levels = data.train.images.numpy() / 255.0
    for split in (data.train, data.test):
        assert split.mean.shape == (3, 32, 32)
        np.testing.assert_allclose(split.mean, levels.mean(axis=0), atol=1e-6)
        assert torch.equal(split.std, torch.ones(3, 1, 1))


def test_the_first_images_of_each_file_are_the_same_for_everybody(cifar: Path) -> None:
    data = datasets.load("cifar10", root=cifar, verify=False, first=2)
    expected = np.concatenate([pixels(k, PER_BATCH, 3072)[:2] for k in range(5)])
    np.testing.assert_array_equal(data.train.images, expected.reshape(-1, 3, 32, 32))
    assert data.train.labels.tolist() == [0, 1, 1, 1, 2, 1, 3, 1, 0, 1]
    np.testing.assert_array_equal(data.test.images, pixels(5, 3, 3072)[:2].reshape(-1, 3, 32, 32))
    assert data.source.endswith(", the first 2 of each file")


def test_images_of_half_the_side_are_means_of_four_pixels(cifar: Path) -> None:
    data = datasets.load("cifar10", root=cifar, verify=False, size=16)
    whole = pixels(0, PER_BATCH, 3072).reshape(-1, 3, 16, 2, 16, 2)
    np.testing.assert_array_equal(data.train.images[:PER_BATCH], whole.mean(axis=(3, 5)).round())
    assert data.train.images.dtype == torch.uint8 and data.train.mean.shape == (3, 1, 1)


def test_more_images_than_a_file_holds_are_refused(cifar: Path) -> None:
    with pytest.raises(ValueError, match="holds 3 images, and first=4 asks for more"):
        datasets.load("cifar10", root=cifar, verify=False, first=4)


def test_a_folder_in_fashion_mnists_format_is_read_as_it_was_written(fashion: Path) -> None:
    data = datasets.load("fashion_mnist", root=fashion, verify=False)
    np.testing.assert_array_equal(data.train.images[:, 0], pixels(6, 6, 28, 28))
    np.testing.assert_array_equal(data.test.images[:, 0], pixels(2, 2, 28, 28))
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.classes == tuple(FashionMNIST.classes)
    levels = pixels(6, 6, 28, 28) / 255.0
    assert float(data.test.mean) == pytest.approx(levels.mean(), rel=1e-6)
    assert float(data.test.std) == pytest.approx(levels.std(), rel=1e-6)


def test_unpacked_files_will_do_where_no_sum_is_asked_for(fashion: Path) -> None:
    packed = datasets.load("fashion_mnist", root=fashion, verify=False)
    for path in (fashion / "FashionMNIST" / "raw").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    unpacked = datasets.load("fashion_mnist", root=fashion, verify=False)
    assert torch.equal(unpacked.train.images, packed.train.images)
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz"):
        datasets.load("fashion_mnist", root=fashion)


def test_the_source_says_whether_the_files_were_verified(
    cifar: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not verified" in datasets.load("cifar10", root=cifar, verify=False).source
    publish_cifar(cifar, *server, monkeypatch)
    assert datasets.load("cifar10", root=cifar).source.endswith("MD5 verified")


# What is refused


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_a_missing_set_is_answered_with_what_to_do_and_no_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_network(monkeypatch)
    with pytest.raises(FileNotFoundError, match=rf"-m course_utils data {name}`.*MB") as caught:
        datasets.load(name, root=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_files_other_than_the_published_ones_are_refused_unless_asked_for(
    name: str, cifar: Path, fashion: Path
) -> None:
    root = cifar if name == "cifar10" else fashion
    first = {"cifar10": "data_batch_1", "fashion_mnist": "train-images-idx3-ubyte.gz"}[name]
    with pytest.raises(ValueError, match=rf"{first}.*MD5.*verify=False"):
        datasets.load(name, root=root)


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_truncated_file_is_named(
    file: str, cifar: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_cifar(cifar, *server, monkeypatch)
    path = cifar / CIFAR10.base_folder / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{file}.*{md5(path)}"):
        datasets.load("cifar10", root=cifar)


@pytest.mark.parametrize("file", ["data_batch_5", "batches.meta"])
@pytest.mark.parametrize("verify", [True, False])
def test_a_file_that_an_interrupted_unpacking_left_out_is_named(
    file: str,
    verify: bool,
    cifar: Path,
    server: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_cifar(cifar, *server, monkeypatch)
    (cifar / CIFAR10.base_folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=file):
        datasets.load("cifar10", root=cifar, verify=verify)


def test_an_unverified_file_that_is_no_pickle_is_refused_in_a_sentence(cifar: Path) -> None:
    path = cifar / CIFAR10.base_folder / "data_batch_2"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cifar-10-batches-py.*CIFAR-10.*format"):
        datasets.load("cifar10", root=cifar, verify=False)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03", gzip.compress(b"\0\0\x0d\x01")[:-4]])
def test_an_unverified_file_that_is_no_idx_is_refused_in_a_sentence(
    content: bytes, fashion: Path
) -> None:
    (fashion / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"raw.*Fashion-MNIST.*format"):
        datasets.load("fashion_mnist", root=fashion, verify=False)


def test_what_torchvision_would_take_for_fashion_mnist_without_a_look_is_not_read(
    fashion: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_fashion(fashion, *server, monkeypatch)
    raw = fashion / "FashionMNIST" / "raw"
    (raw / "train-images-idx3-ubyte").write_bytes(b"half an unpacking")
    data = datasets.load("fashion_mnist", root=fashion)
    np.testing.assert_array_equal(data.train.images[:, 0], pixels(6, 6, 28, 28))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"mean": "image"}, ValueError, r"mean.*'channel', 'pixel'.*'image'"),
        ({"download": "yes"}, TypeError, r"download.*'yes'"),
        ({"verify": 0}, TypeError, r"verify.*0"),
        ({"size": 24}, ValueError, r"32 or 16 pixels, not 24"),
        ({"first": 0}, ValueError, r"first must be at least 1, and is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        datasets.load("cifar10", **options)


# What is fetched


def test_a_download_arrives_whole_and_leaves_nothing_else(
    cifar: Path, server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_cifar(cifar, *server, monkeypatch)
    root = tmp_path / "new" / "data"
    data = datasets.load("cifar10", root=root, download=True)
    assert len(data.train) == 5 * PER_BATCH
    assert [path.name for path in root.iterdir()] == [CIFAR10.base_folder]


def test_a_command_fetches_what_a_missing_set_says_that_it_does(
    cifar: Path,
    server: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address, served = server
    publish_cifar(cifar, address, served, monkeypatch)
    root = tmp_path / "mine"
    assert cli.main(["data", "cifar10", "--root", str(root)]) == 0
    assert "CIFAR-10" in capsys.readouterr().out
    forbid_network(monkeypatch)
    assert len(datasets.load("cifar10", root=root).test) == PER_BATCH


def test_fashion_mnist_is_fetched_the_same_way(
    fashion: Path, server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_fashion(fashion, *server, monkeypatch)
    root = tmp_path / "data"
    assert len(datasets.load("fashion_mnist", root=root, download=True).train) == 6
    assert [path.name for path in root.iterdir()] == ["FashionMNIST"]


def test_what_is_there_is_not_fetched_again(
    cifar: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_cifar(cifar, *server, monkeypatch)
    forbid_network(monkeypatch)
    assert len(datasets.load("cifar10", root=cifar, download=True).test) == PER_BATCH


def test_a_damaged_file_is_put_right_by_a_download(
    cifar: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_cifar(cifar, *server, monkeypatch)
    (cifar / CIFAR10.base_folder / "data_batch_4").write_bytes(b"half")
    with pytest.raises(ValueError, match="data_batch_4"):
        datasets.load("cifar10", root=cifar)
    datasets.load("cifar10", root=cifar, download=True)
    assert len(datasets.load("cifar10", root=cifar).train) == 5 * PER_BATCH


def test_half_an_archive_is_refused_and_leaves_nothing(
    cifar: Path, server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_cifar(cifar, *server, monkeypatch)
    archive = server[1] / CIFAR10.filename
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    root = tmp_path / "data"
    with pytest.raises(ConnectionError, match=r"cifar-10-python\.tar\.gz.*data/README\.md"):
        datasets.load("cifar10", root=root, download=True)
    assert list(root.iterdir()) == []


def test_one_file_of_four_is_not_taken_for_fashion_mnist(
    fashion: Path, server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_fashion(fashion, *server, monkeypatch)
    (server[1] / "t10k-labels-idx1-ubyte.gz").unlink()
    root = tmp_path / "data"
    with pytest.raises(ConnectionError, match=r"t10k-labels-idx1-ubyte\.gz.*404"):
        datasets.load("fashion_mnist", root=root, download=True)
    assert list(root.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_url: str, root: str, filename: str, md5: str) -> None:
        Path(root, filename).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "download_url", half)
    with pytest.raises(KeyboardInterrupt):
        datasets.load("cifar10", root=tmp_path, download=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist"])
def test_without_a_network_one_sentence_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # an address where nobody listens any more
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(CIFAR10, "url", address + CIFAR10.filename)
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    patience = socket.getdefaulttimeout()
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1.*data/README\.md") as caught:
        datasets.load(name, root=tmp_path, download=True)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() == patience


def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(OSError, match=r"file.*root="):
        datasets.load("cifar10", root=tmp_path / "file" / "data", download=True)


# Where it is put


def test_data_go_to_the_courses_folder_or_else_to_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, elsewhere = tmp_path / "repository", tmp_path / "elsewhere"
    for folder in (repository / "data", elsewhere):
        folder.mkdir(parents=True)
    (repository / "pyproject.toml").touch()
    monkeypatch.chdir(elsewhere)
    inside = repository / "course_utils" / "datasets" / "downloads.py"
    monkeypatch.setattr(downloads, "__file__", str(inside))
    assert downloads.data_folder() == repository / "data"
    installed = tmp_path / "site-packages" / "course_utils" / "datasets" / "downloads.py"
    monkeypatch.setattr(downloads, "__file__", str(installed))
    assert downloads.data_folder() == elsewhere / "data"
    assert downloads.data_folder("~/sets") == Path.home() / "sets"


# What the page beside the data says


def test_the_page_gives_the_sums_that_files_are_checked_by() -> None:
    page = Path(__file__).parents[2].joinpath("data", "README.md").read_text(encoding="utf-8")
    published = [*CIFAR10.train_list, *CIFAR10.test_list, *FashionMNIST.resources]
    published += [(CIFAR10.filename, CIFAR10.tgz_md5)]
    published += [(CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    photographs = map(Path, sklearn.datasets.load_sample_images().filenames)
    published += [(photograph.name, md5(photograph)) for photograph in photographs]
    for name, md5_sum in published:
        assert any(name in line and md5_sum in line for line in page.splitlines()), name
