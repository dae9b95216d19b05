"""The command ``cam``: draws photographs from any folder, or says in a sentence why not."""

from __future__ import annotations

from email.message import Message
from http.client import IncompleteRead
from pathlib import Path
from socket import gaierror
from urllib.error import HTTPError, URLError

import pytest
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.models import WeightsEnum

from course_utils import cli
from course_utils.datasets import read_photograph

PHOTOGRAPH = Path(get_sample_data("grace_hopper.jpg", asfileobj=False))
FAMILY = """
from torch import nn

def grey(num_classes=3, width=4):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, num_classes),
    )

def flattening(in_channels, num_classes):
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, num_classes),
    )
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in; a module of the reader's own may be written there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def own(folder: Path) -> Path:
    """The same with the module, the checkpoints of its two networks and a small photograph."""
    (folder / "mine.py").write_text(FAMILY)
    namespace: dict[str, object] = {}
    exec(FAMILY, namespace)
    torch.manual_seed(0)
    torch.save(namespace["grey"](5, width=6).state_dict(), folder / "grey.pt")  # type: ignore[operator]
    torch.save(namespace["flattening"](3, 5).state_dict(), folder / "flat.pt")  # type: ignore[operator]
    Image.new("RGB", (48, 40), (200, 90, 10)).save(folder / "small.png")
    return folder


def run(*words: str) -> int:
    return cli.main(["cam", *words, "--language", "en"])


def own_network(kind: str, *words: str) -> tuple[str, ...]:
    file = {"grey": "grey.pt", "flattening": "flat.pt"}[kind]
    return ("small.png", "--checkpoint", file, "--family", f"mine:{kind}", "--size", "40", *words)


@pytest.mark.slow
def test_a_photograph_is_drawn_from_an_empty_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(PHOTOGRAPH)) == 0
    lines = capsys.readouterr().out.splitlines()
    rank, number, *name, chance, logit, mean = lines[2].split()
    assert (rank, number, " ".join(name)) == ("1", "652", "military uniform")
    assert float(chance.rstrip("%")) > 15
    assert float(logit) == float(mean)
    assert "of 9×7 cells, are exact" in lines[-2]
    assert [file.name for file in folder.iterdir()] == ["grace_hopper-cam.png"]
    with Image.open("grace_hopper-cam.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_classes_are_named_or_numbered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (str(PHOTOGRAPH), "--size", "64", "--output", "a.png", "--classes")
    assert run(*words, "Bow Tie", "652") == 0
    rows = capsys.readouterr().out.splitlines()[2:4]
    assert ["457" in rows[0], "652" in rows[1]] == [True, True]
    for wrong, sentence in (
        ("bowtie", "no class 'bowtie'; the nearest are 'bow tie'"),
        ("1000", "Class 1000 does not exist"),
    ):
        assert run(*words, wrong) == 2
        assert sentence in capsys.readouterr().err


def test_a_network_of_ones_own_takes_its_sizes_from_the_checkpoint(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "names.txt").write_text("a\nb\nc\nd\ne\n")
    more = ("--family-option", "width=6", "--mean", "0.5", "--std", "0.25", "--names", "names.txt")
    assert run(*own_network("grey", "--classes", "d", "--output", "d.png", *more)) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    # The logit by hand, of the photograph in grey by Pillow's formula.
    pixels = read_photograph(own / "small.png", 40)[None] / 255
    weights = torch.load(own / "grey.pt", weights_only=True)
    grey = (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    maps = nn.functional.conv2d((grey - 0.5) / 0.25, weights["0.weight"], weights["0.bias"], 2)
    logit = weights["4.weight"][3] @ maps.relu().mean((0, 2, 3)) + weights["4.bias"][3]
    assert row[2] == "d"
    assert float(row[4]) == float(row[5]) == pytest.approx(float(logit), rel=0.01)


def test_a_name_that_several_classes_have_is_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "names.txt").write_text("a\nb\na\nc\nd\n")
    more = ("--family-option", "width=6", "--names", "names.txt", "--classes", "a")
    assert run(*own_network("grey", *more)) == 2
    assert "classes 0, 2 are all called 'a': give a number" in capsys.readouterr().err


def test_weights_may_be_wrapped(own: Path) -> None:
    weights = torch.load(own / "flat.pt", weights_only=True)
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": x for name, x in weights.items()}}
    torch.save(wrapped, own / "flat.pt")
    assert run(*own_network("flattening", "--gradients")) == 0


def test_a_head_without_exact_maps_is_refused_and_approximated_when_asked(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*own_network("flattening")) == 2
    refused = capsys.readouterr()
    assert "The head reads" in refused.err or "hidden layer" in refused.err
    assert "Here, --gradients does that." in refused.err
    assert not list(own.glob("*-cam.png"))
    assert run(*own_network("flattening", "--gradients")) == 0
    assert "Grad-CAM is an approximation: its maps of" in capsys.readouterr().out


def test_what_cannot_be_read_is_named_and_the_others_are_drawn(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "other").mkdir()
    Image.new("L", (40, 40), 90).save(own / "other" / "small.png")
    (own / "text.jpg").write_text("no image")
    words = own_network("flattening", "--gradients", "--output", "drawn")
    assert run("text.jpg", "other/small.png", *words) == 1
    assert "text.jpg cannot be read as an image" in capsys.readouterr().err
    drawn = sorted(file.name for file in (own / "drawn").iterdir())
    assert drawn == ["small-cam-2.png", "small-cam.png"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "resnt50"), "no network 'resnt50'; the nearest are 'resnet50'"),
        (("--model", "resnet18"), "resnet18 needs its weights: give --weights FILE"),
        (
            ("--model", "resnet18", "--weights", "V9"),
            "V9 is neither a file nor a set of weights of resnet18",
        ),
        (("--model", "resnet18", "--weights", "flat.pt"), "weights in flat.pt belong to another"),
        (("--weights", "flat.pt"), "EfficientNet-Lite0 comes with its weights"),
        (("--checkpoint", "flat.pt"), "--checkpoint and --family go together"),
        (("--checkpoint", "no.pt", "--family", "mine:grey"), "no file no.pt"),
        (
            ("--checkpoint", "small.png", "--family", "mine:grey"),
            "small.png is not a file of weights",
        ),
        (
            ("--checkpoint", "flat.pt", "--family", "mine:grey"),
            "weights in flat.pt belong to another",
        ),
        (("--checkpoint", "flat.pt", "--family", "plain"), "plain cannot be called with"),
        (("--checkpoint", "flat.pt", "--family", "mine:nothing"), "'mine:nothing' cannot be"),
        (("--top", "0"), "--top must be at least 1"),
        (("--size", "0"), "--size must be at least 1"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_met_is_refused_in_a_sentence(
    own: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("small.png", *words) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (URLError(gaierror(-2, "Name or service not known")), "(Name or service not known)"),
        (HTTPError("https://x.org", 403, "Forbidden", Message(), None), "(Forbidden)"),
        (IncompleteRead(b"", 9), "(IncompleteRead(0 bytes read, 9 more expected))"),
        (RuntimeError('invalid hash value (expected "a", got "b")'), "(invalid hash value"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weights_that_cannot_be_fetched_are_asked_for_as_a_file(
    own: Path,
    error: Exception,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    assert run("small.png", "--model", "resnet18", "--weights", "DEFAULT") == 2
    told = capsys.readouterr().err
    assert f"The weights of resnet18 could not be downloaded {cause}" in told
    assert told.rstrip().endswith("): --weights FILE takes them from a file.")


def test_weights_of_torchvisions_network_may_be_a_file(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": models.resnet18().state_dict()}, own / "resnet18.pt")
    words = ("--model", "resnet18", "--weights", "resnet18.pt", "--size", "40", "--classes", "652")
    assert run("small.png", *words) == 0
    assert "military uniform" in capsys.readouterr().out


def test_a_picture_is_written_as_png_alone(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*own_network("flattening", "--gradients", "--output", "a.jpg")) == 2
    assert "a.jpg should end in .png" in capsys.readouterr().err
