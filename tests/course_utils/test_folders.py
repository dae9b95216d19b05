"""Images of the reader's own become a data set, or a sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from making_records import tiny
from PIL import Image

from course_utils.datasets import load
from course_utils.degradation import run

COLOURS = {"cat": (200, 10, 0), "dog": (0, 40, 200)}


def fill(folder: Path, number: int = 5, size: tuple[int, int] = (12, 8)) -> Path:
    """A folder of plain images, one colour a class."""
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(number):
            Image.new("RGB", size, colour).save(folder / name / f"{index}.png")
    return folder


def test_each_folder_is_a_class_and_a_fifth_of_each_is_for_testing(tmp_path: Path) -> None:
    data = load("folder", path=fill(tmp_path), size=8)
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.test)) == (8, 2)
    assert data.image_shape == (3, 8, 8)
    for split in (data.train, data.test):
        for image, label in zip(split.images, split.labels, strict=True):
            colour = torch.tensor(list(COLOURS.values())[label])
            assert torch.equal(image, colour[:, None, None].expand_as(image).to(torch.uint8))
    # Half red, half blue, of the training images: red is on average at half of 200.
    assert data.train.mean.flatten().tolist() == pytest.approx([100 / 255, 25 / 255, 100 / 255])


def test_the_split_is_always_the_same_and_shares_no_image(tmp_path: Path) -> None:
    fill(tmp_path)
    for index in range(5):  # told apart by their colour
        Image.new("RGB", (8, 8), (index, 0, 100)).save(tmp_path / "cat" / f"{index}.png")
        Image.new("RGB", (8, 8), (0, index + 1, 0)).save(tmp_path / "dog" / f"{index}.png")
    first, again = (load("folder", path=str(tmp_path), size=8) for _time in range(2))
    assert torch.equal(first.train.images, again.train.images)
    seen = {tuple(image[:, 0, 0].tolist()) for image in first.train.images}
    assert not seen & {tuple(image[:, 0, 0].tolist()) for image in first.test.images}


def test_folders_called_train_and_test_are_the_splits(tmp_path: Path) -> None:
    fill(tmp_path / "train", 3)
    fill(tmp_path / "test", 1)
    data = load("folder", path=tmp_path)
    assert (len(data.train), len(data.test)) == (6, 2)
    (tmp_path / "test" / "bird").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "test" / "bird" / "0.png")
    with pytest.raises(ValueError, match="only one of them has bird"):
        load("folder", path=tmp_path)


def test_an_experiment_trains_on_them(tmp_path: Path) -> None:
    options = {"path": str(fill(tmp_path)), "size": 8}
    record = run(tiny(dataset="folder", dataset_options=options, batch_size=4))
    assert record.test_error in (0.0, 0.5, 1.0)  # of two images
    assert record.spec.dataset_options == tuple(options.items())


def test_what_is_no_image_by_its_name_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("a cat")
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".git").mkdir()
    assert len(load("folder", path=tmp_path, size=8).train) == 8


def test_images_of_several_sizes_ask_for_one(tmp_path: Path) -> None:
    fill(tmp_path)
    Image.new("RGB", (20, 30)).save(tmp_path / "cat" / "tall.png")
    with pytest.raises(ValueError, match=r"2 different sizes, most often 8×12: size=64"):
        load("folder", path=tmp_path)
    assert load("folder", path=tmp_path, size=16).image_shape == (3, 16, 16)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "dog" / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"^1 image cannot be read: .*3\.png\. Repair it"):
        load("folder", path=tmp_path, size=8)


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "bird").mkdir()
    with pytest.raises(ValueError, match=r"class .*bird has 0 images, and needs at least 2"):
        load("folder", path=tmp_path, size=8)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one folder per class, at least two, and has 0"):
        load("folder", path=tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        load("folder", path=tmp_path / "nowhere")
