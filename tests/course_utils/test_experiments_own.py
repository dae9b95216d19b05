"""A network written in a notebook travels as source, and is never taken for the course's."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from course_utils.datasets import load
from course_utils.experiments import Spec, grid, own, own_or, run
from course_utils.experiments.running import build

Notebook = Callable[..., ModuleType]

IMPORTS = """
import torch
from torch import nn
from torch.nn import functional as F
from course_utils.models import identity_block
"""

BLOCKS = """
class Projection(nn.Module):
    def __init__(self, in_channels, out_channels, stride=2):
        super().__init__()
        self.around = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.body = nn.Sequential(
            conv_bn_relu(in_channels, out_channels, stride),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x):
        return F.relu(self.around(x) + self.body(x))
"""

BRICK = """
def conv_bn_relu(in_channels, out_channels, stride=1):
    x = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(x, nn.BatchNorm2d(out_channels), nn.ReLU())
"""

RESNET = """
def resnet(depth, in_channels=3):
    n = (depth - 2) // 6
    stages = [*(identity_block(WIDTH) for _ in range(n))]
    for maps in (WIDTH, 2 * WIDTH):
        stages += [Projection(maps, 2 * maps), *(identity_block(2 * maps) for _ in range(n - 1))]
    return nn.Sequential(
        conv_bn_relu(in_channels, WIDTH),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * WIDTH, 10),
    )
"""


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """A module filled cell by cell, as IPython does: files that are nowhere but in linecache."""

    def filled(*cells: str, **values: Any) -> ModuleType:
        module = ModuleType("a_notebook")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        vars(module).update(values)
        for number, cell in enumerate((IMPORTS, *cells)):
            name = f"<cell-{number}>"
            lines = cell.splitlines(keepends=True)
            monkeypatch.setitem(linecache.cache, name, (len(cell), None, lines, name))
            exec(compile(cell, name, "exec"), vars(module))
        return module

    return filled


def tiny(fields: dict[str, Any]) -> Spec:
    (spec,) = grid(depths=[8], seeds=[3], steps=2, dataset_options={"size": 8}, **fields)
    return spec


def test_a_net_that_equals_the_courses_gives_its_numbers(notebook: Notebook) -> None:
    cells = notebook("WIDTH = 16", RESNET, BRICK, BLOCKS)
    mine = run(tiny(own(cells.resnet)))
    ours = run(tiny({"families": ["residual"], "family_options": {"shortcut": "B"}}))
    assert (mine.losses, mine.train_errors) == (ours.losses, ours.train_errors)
    assert mine.parameters == ours.parameters
    assert mine.spec.hash != ours.spec.hash


def test_a_record_belongs_to_the_text_that_it_was_made_from(notebook: Notebook) -> None:
    hashes = {
        tiny(own(notebook(f"WIDTH = {width}", BRICK, BLOCKS, RESNET).resnet)).hash
        for width in (4, 8)
    }
    assert len(hashes) == 2
    again = [
        tiny(own(notebook("WIDTH = 4", BRICK, BLOCKS, RESNET).resnet)).hash for _twice in range(2)
    ]
    assert again[0] == again[1] and again[0] in hashes


def test_names_within_a_function_are_not_the_notebooks(notebook: Notebook) -> None:
    # `x` is a tensor of the notebook too, which no source could hold.
    cells = notebook("WIDTH = 4", BRICK, BLOCKS, RESNET, x=torch.rand(3))
    assert "x" not in own(cells.resnet)["family_options"]["source"].splitlines()


def test_the_last_of_two_definitions_is_the_one(notebook: Notebook) -> None:
    cells = notebook("WIDTH = 4", BRICK + BRICK.replace("nn.ReLU", "nn.ELU"), BLOCKS, RESNET)
    net = build(tiny(own(cells.resnet)), load("digits", size=8))
    assert any(isinstance(module, torch.nn.ELU) for module in net.modules())


@pytest.mark.parametrize(
    "cell",
    ["relu = torch.relu", "from math import sqrt as relu", "relu = F.relu", "relu = nn.ReLU"],
)
def test_what_was_imported_is_imported_again(notebook: Notebook, cell: str) -> None:
    cells = notebook(cell, "def net(depth):\n    relu\n    return nn.Flatten()")
    assert isinstance(build(tiny(own(cells.net)), load("digits", size=8)), torch.nn.Flatten)


WIDE = """
def net(depth, width, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.Flatten(), nn.Linear(64 * width, 10))
"""


def test_a_net_is_called_with_the_arguments_that_go_along(notebook: Notebook) -> None:
    cells = notebook(WIDE)
    specs = [tiny(own(cells.net, width=width)) for width in (2, 5)]
    nets = [build(spec, load("digits", size=8)) for spec in specs]
    assert [len(next(net.parameters())) for net in nets] == [2, 5]
    assert specs[0].hash != specs[1].hash and specs[0].choices["width"] == 2


def test_what_cannot_be_written_down_is_named(notebook: Notebook) -> None:
    cells = notebook("def net(depth):\n    return nn.Linear(*SIZES.shape)", SIZES=torch.rand(2, 2))
    with pytest.raises(ValueError, match="uses SIZES, of type Tensor, which cannot be copied"):
        own(cells.net)


def test_a_function_within_a_function_has_no_source_of_its_own(notebook: Notebook) -> None:
    cells = notebook("def make():\n    def net(depth): return nn.Flatten()\n    return net")
    with pytest.raises(ValueError, match="source of net cannot be found: define it in a cell"):
        own(cells.make())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "write grid"),
        ("def net(depth:", "is not Python"),
        ("def other(depth): ...", "does not define net"),
    ],
)
def test_a_source_is_checked_before_it_is_run(source: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Spec("own", 8, seed=0, family_options={"builder": "net", "source": source})


# --- in the place of the course's ----------------------------------------------------------

COURSE = {"families": ["residual"], "family_options": {"shortcut": "B"}}


def chosen(builder: Any, **arguments: Any) -> dict[str, Any]:
    images = torch.rand(2, 1, 8, 8)
    return own_or(builder, COURSE, depth=8, images=images, num_classes=10, **arguments)


def test_a_net_that_answers_is_trained_even_if_it_is_wrong(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = notebook("def net(depth):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))")
    assert chosen(cells.net)["families"] == ["own"]
    assert capsys.readouterr().out == "Your net is the network that is trained.\n"


def test_arguments_that_the_net_does_not_take_leave_it_aside(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = notebook(WIDE)
    assert chosen(cells.net, width=3)["family_options"]["width"] == 3
    assert chosen(cells.net, widht=3) == COURSE
    assert "unexpected keyword argument 'widht'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("def net(depth):\n    return ...", "(it does not return anything yet)"),
        ("def net(depth):\n    return depth", "returns 8"),
        ("def net(depth):\n    return nn.Flatten()", "does not return 10 logits per image"),
        ("def net(depth):\n    return nn.Linear(3, 10)", "shapes cannot be multiplied"),
        ("def net(depth):\n    return nn.LazyLinear(10)", "net has lazy layers"),
        ("def net(depth):\n    raise KeyError('stage')", "stage"),
    ],
)
def test_a_net_that_does_not_answer_leaves_its_place_and_says_why(
    notebook: Notebook, cell: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen(notebook(cell).net) == COURSE
    said = capsys.readouterr().out
    assert said.startswith("net cannot be trained yet (") and reason in said
    assert said.endswith("the course's network takes its place.\n")
