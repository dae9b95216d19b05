"""The explorables: pages in step in both languages, and networks that are the lessons' own."""

import re
from pathlib import Path

import pytest
import torch

from course.site import sources
from course.site.explorables import after_cell, stored_data, stored_network
from course.site.sources import EXPLORABLES
from course_utils.datasets import load
from course_utils.models import cifar_net, convolutionalise
from course_utils.models.convolutionalise import sliding_window
from course_utils.models.digit_classifier import WINDOW

PAGES = Path(sources.__file__).parent / "templates" / "explorables"
SCRIPTS = Path(sources.__file__).parent / "static" / "explorables"


@pytest.mark.parametrize("name", EXPLORABLES)
def test_both_languages_have_the_same_parts_and_the_script_asks_for_no_other(name: str) -> None:
    pages = [(PAGES / f"{name}.{each}.md").read_text(encoding="utf-8") for each in ("fr", "en")]
    tags = [re.findall(r"<(\w+)", page) for page in pages]
    assert tags[0] == tags[1]
    said = [
        {
            which: sorted(re.findall(r"\{\w+\}", text))
            for which, text in re.findall(r'data-(\w+)="([^"]*)"', page)
            if which != "part"
        }
        for page in pages
    ]
    assert said[0] == said[1]
    parts = [re.findall(r'data-part="([\w-]+)"', page) for page in pages]
    assert parts[0] == parts[1]
    script = (SCRIPTS / f"{name}.js").read_text(encoding="utf-8")
    asked = set(re.findall(r'\bpart\("([\w-]+)"\)', script))
    assert asked and asked <= set(parts[0])


@pytest.mark.slow
def test_the_stored_network_of_the_maps_reads_scenes_that_it_never_saw() -> None:
    scenes = load("digit_scenes", seed=0, n_train=4000, n_test=600)
    stored = stored_data("class_maps")
    for name, exact in {"mean": scenes.train.mean, "std": scenes.train.std}.items():
        torch.testing.assert_close(torch.tensor(stored[name]), exact.flatten())
    with torch.no_grad():
        maps = stored_network("class_maps")(scenes.test.normalised())
    error = (maps.mean((2, 3)).argmax(1) != scenes.test.labels).double().mean()
    # 600 of the 1,500 scenes that the stored error is of: within four standard deviations.
    share = stored["error"]
    assert abs(error - share) < 4 * (share * (1 - share) / 600) ** 0.5
    assert share < 0.05


@pytest.mark.slow
def test_the_cell_of_the_lesson_gives_the_stored_classifier() -> None:
    lesson = after_cell(1, "classifier")
    test = lesson["windows"].test
    again = convolutionalise(lesson["classifier"], (1, WINDOW, WINDOW))
    net = stored_network("sliding_window")
    # Another number of threads leaves a correlation of 0.998; a rate less by a five-hundredth, an
    # epoch less, another order of the images or bf16 leave 0.94 or less.
    weights = [torch.cat([each.flatten() for each in one.parameters()]) for one in (net, again)]
    assert torch.corrcoef(torch.stack(weights).detach())[0, 1] > 0.98
    with torch.no_grad():
        answers = net(test.images)[:, :, 0, 0]
    error = (answers.argmax(1) != test.labels).double().mean().item()
    assert error == pytest.approx(stored_data("sliding_window")["error"], abs=1 / len(test))
    # Asked about every window at once, it gives what it gives for each of them.
    sheet = torch.zeros(1, 1, 40, 30)
    sheet[0, 0, 8:28, 4:24] = test.images[0, 0]
    with torch.no_grad():
        each = sliding_window(torch.nn.Sequential(net, torch.nn.Flatten()), sheet, 20, 2)
        torch.testing.assert_close(net(sheet), each, rtol=1e-4, atol=1e-4)


def test_the_stored_gradients_are_those_of_the_lessons_network() -> None:
    data = stored_data("signal")
    batch = load("digits").train.subset(torch.arange(256))
    firsts = []
    for seed in range(data["seeds"]):
        torch.manual_seed(seed)
        net = cifar_net(8, in_channels=1).train()
        torch.nn.functional.cross_entropy(net(batch.normalised()), batch.labels).backward()
        firsts.append(next(net.parameters()).grad.norm().item())
    _sizes, gradients = data["travelled"]["8 plain 0"]
    assert gradients[0] == pytest.approx(sorted(firsts)[1], rel=0.02)
    assert len(gradients) == 7  # a stem and three stages of two: what is left of 8 is linear


def test_the_training_errors_are_of_runs_that_differ_in_nothing_else() -> None:
    errors = stored_data("signal")["errors"]
    # Ten seeds of lesson 3's depths, five of its slopes: clipped or slowed runs are not among them.
    assert {len(runs) for name, runs in errors.items() if name.endswith(" 0")} == {10}
    assert {len(runs) for name, runs in errors.items() if not name.endswith(" 0")} <= {4, 5}
    assert set(errors) <= set(stored_data("signal")["travelled"])
