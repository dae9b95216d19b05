"""Pictures come from modules that are run: they say what the modules say, in both languages."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from course_utils import diagrams, i18n
from course_utils.diagrams import dense, maps, residual
from course_utils.diagrams.sketch import Sketch
from course_utils.diagrams.tracing import trace
from course_utils.models import (
    ConvBNReLU,
    DenseBlock,
    ResidualBlock,
    cifar_net,
    densenet,
    identity_block,
    projection_block,
    stage,
)


def texts(sketch: Sketch) -> list[str]:
    return [word.text for word in sketch.words]


@pytest.mark.slow
def test_drawing_twice_gives_the_same_bytes_in_another_process_too() -> None:
    code = (
        "import sys; from course_utils import diagrams; d = diagrams.picture('proj_block');"
        "sys.stdout.buffer.write(d.svg() + d.png())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    here = diagrams.picture("proj_block")
    assert answers == {here.svg() + here.png()}


@pytest.mark.parametrize("name", diagrams.PICTURES)
def test_only_the_words_of_a_picture_change_with_the_language(name: str) -> None:
    english = diagrams.picture(name)
    i18n.set_language("fr")
    french = diagrams.picture(name)
    assert [box.role for box in french.sketch.boxes] == [box.role for box in english.sketch.boxes]
    assert len(french.sketch.lines) == len(english.sketch.lines)
    said = [" ".join(texts(one.sketch)) for one in (english, french)]
    formulas_and_shapes = [re.findall(r"\$[^$]+\$|\d+×[\d×]+", text) for text in said]
    assert formulas_and_shapes[0] == formulas_and_shapes[1]
    assert french.description != english.description


def test_a_french_picture_says_no_english_word() -> None:
    english = set[str]()
    for name in diagrams.PICTURES:
        english |= {text for text in texts(diagrams.picture(name).sketch) if "$" not in text}
    i18n.set_language("fr")
    french = set[str]()
    for name in diagrams.PICTURES:
        french |= {text for text in texts(diagrams.picture(name).sketch) if "$" not in text}
    same = {word for text in english & french for word in re.findall(r"[A-Za-z]+", text)}
    assert same == {"conv", "concat", "BN", "ReLU", "GAP"}  # short for words of both languages
    assert {"linéaire", "à plat", "2\u202f304 param."} <= french
    assert {"linear", "flatten", "2,304 params"} <= english


def test_drawing_leaves_the_random_numbers_of_the_reader_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    diagrams.picture("conv1")
    assert torch.equal(torch.rand(3), expected)


def test_a_readers_style_of_matplotlib_changes_no_picture() -> None:
    expected = diagrams.picture("id_block").svg()
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "text.usetex": False}):
        assert diagrams.picture("id_block").svg() == expected


# What the pictures say, against numbers worked out by hand.


def test_the_blocks_show_shapes_and_parameters_of_their_convolutions() -> None:
    # 3·3·16·16 weights and 2·16 of a BN, twice; nothing on the shortcut.
    assert texts(residual.identity(identity_block(16))).count("2,304 params") == 2
    assert "4,672" in residual.identity(identity_block(16)).description
    wider = texts(residual.projection(projection_block(8, 24)))
    assert {"1,728 params", "5,184 params", "192 params", "24×16×16"} <= set(wider)


def test_another_block_gives_another_formula() -> None:
    said = texts(residual.identity_math(identity_block(4), side=8))
    assert r"$y = \mathrm{ReLU}(\,F(x) + x\,)$" in said
    assert r"$\mathrm{BN}_2(W_2 * \mathrm{ReLU}(\mathrm{BN}_1(W_1 * x)))$" in said
    assert "4×8×8" in said
    projected = texts(residual.projection_math(projection_block(4, 8), side=8))
    assert r"$y = \mathrm{ReLU}(\,F(x) + \mathrm{BN}_s(W_s * x)\,)$" in projected
    assert "1×1, stride 2 · 8×4×4" in projected


def test_the_brick_shows_the_kernel_that_it_has() -> None:
    assert "conv 5×5" in texts(residual.conv_bn_relu(ConvBNReLU(3, 8, kernel_size=5)))


def test_the_stage_and_the_net_follow_their_width() -> None:
    # 3·3·(4·8 + 8·8) + 4·8 weights and three BN of 2·8: 944.
    narrow = texts(residual.resnet_stage(stage(2, 4, 8, 2, "B"), side=8))
    assert {"4 → 8, stride 2", "944 params", "8×4×4"} <= set(narrow)
    for width in (4, 8):
        said = texts(residual.resnet(cifar_net(14, "B", width=width)))
        assert f"{4 * width}×8×8" in said
        assert str(4 * width * 10 + 10) in said  # the linear layer


def test_plain_and_residual_stages_have_the_same_parameters() -> None:
    said = texts(residual.plain_and_residual(2, channels=8))
    assert said.count("1,184 params") == 4  # 2·(3·3·8·8 + 2·8), a block


def test_the_pile_grows_by_the_growth_rate() -> None:
    for growth in (2, 5):
        block = DenseBlock(3, 6, growth_rate=growth, bottleneck=False)
        sketch = dense.densenet_growth(block)
        assert {str(6 + growth * layer) for layer in range(4)} <= set(texts(sketch))
        bars = [box for box in sketch.boxes if box.area.height == dense.BAR]
        assert len(bars) == sum(6 + growth * layer for layer in range(4))


def test_the_dense_block_has_an_arrow_for_each_connection() -> None:
    sketch = dense.dense_block(DenseBlock(3, 10, growth_rate=5))
    assert {"10 → 5", "15 → 5", "20 → 5", "25×32×32"} <= set(texts(sketch))
    # Of layers 1 + 2 + 3 and of the end 4, those between neighbours are on the road.
    assert sum(line.stroke > 2 for line in sketch.lines) == 1 + 2 + 3 + 4 - 4


def test_the_transition_and_the_whole_densenet_follow_the_growth_rate() -> None:
    # Of 2k + 3·k maps, half are kept.
    assert r"$\theta = 7 / 15$" in texts(dense.transition(densenet(22, 3).stages[1]))
    for growth in (4, 6):
        # DenseNet-BC of depth 16, two layers a block: 2k, 4k, 2k, 4k, 2k, 4k.
        said = texts(dense.densenet_row(densenet(16, growth)))
        assert {f"{4 * growth}×32×32", f"{2 * growth}×16×16", f"{4 * growth}×8×8"} <= set(said)


def test_the_pictures_of_maps_follow_their_layers() -> None:
    assert "8 params" in texts(maps.conv_1x1(nn.Conv2d(7, 1, 1)))
    assert "4×1×1" in texts(maps.conv_1x1_pixel(nn.Conv2d(4, 1, 1)))
    said = texts(maps.global_average(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])))
    assert {"3", "1×2×2"} <= set(said)
    # (8·2·2 + 1)·5 + 6·5 + 6·3 by layer; 9·7 + 8·7 + 8·3; (8·2·2 + 1)·3; and 9·3.
    said = texts(maps.heads(channels=8, side=2, hidden=5, wide=7, classes=3))
    assert {"165 params", "30 params", "18 params", "213 params", "143 params"} <= set(said)
    assert {"99 params", "27 params"} <= set(said)


def test_the_class_map_is_the_weighted_sum_and_its_mean_the_score() -> None:
    sketch = maps.class_map((1.0, 1.0, 1.0))
    (result,) = {word.box for word in sketch.words if word.cell and word.box.area.left > 300}
    cells = [float(word.text) for word in sketch.words if word.box is result]
    assert cells == maps.VALUES.sum(0).flatten().tolist()
    assert "7" in texts(sketch)  # 2 + 4 + 1, the means


def test_the_receptive_field_grows_by_the_kernel_less_one() -> None:
    said = texts(maps.receptive_field(2, kernel=5))
    assert {"9×9", "5×5", "1×1"} <= set(said)


def test_classes_apart_do_not_come_nearer_and_nested_ones_do() -> None:
    def distances(classes: Any) -> list[float]:
        return [
            float(np.hypot(*np.subtract(maps._nearest(one), maps.STAR))) for one, _at in classes
        ]

    assert np.all(np.diff(distances(maps.NESTED)) < 0)
    assert distances(maps.APART)[2] > distances(maps.APART)[0]


# The reader's own blocks.


class Handmade(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.conv1(x))
        y = self.conv2(y)
        y += x
        return torch.relu_(y)


def roles(module: nn.Module, *inputs: Any) -> list[tuple[str, list[int]]]:
    return [(operator.role, operator.reads) for operator in trace(module, *inputs)]


def test_a_block_written_by_hand_is_seen_as_it_runs() -> None:
    assert roles(Handmade(), torch.zeros(1, 4, 6, 6)) == [
        ("data", []),
        ("convolution", [0]),
        ("activation", [1]),
        ("convolution", [2]),
        ("addition", [3, 0]),
        ("activation", [4]),
    ]


def test_a_module_that_works_in_place_is_seen_as_it_runs() -> None:
    block = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(2))
    seen = roles(block, torch.zeros(1, 1, 3, 3))
    assert [reads for _role, reads in seen] == [[], [0], [1], [2]]


def test_an_identity_is_an_arrow_and_no_box() -> None:
    block = nn.Sequential(nn.Identity(), nn.Conv2d(1, 1, 1), nn.Identity())
    assert [role for role, _reads in roles(block, torch.zeros(1, 1, 3, 3))] == [
        "data",
        "convolution",
    ]


def test_a_layer_that_takes_a_list_is_drawn_with_an_input_each() -> None:
    layer = DenseBlock(2, 6, 4).layers[1]
    drawing = diagrams.draw(layer, [torch.zeros(1, 6, 5, 5), torch.zeros(1, 4, 5, 5)])
    assert {"$x_{0}$", "$x_{1}$", "concat"} <= set(texts(drawing.sketch))


def test_the_drawing_of_a_block_says_its_operators_in_words() -> None:
    drawing = diagrams.draw(identity_block(2), torch.zeros(1, 2, 4, 4))
    assert "ResidualBlock" in drawing.description
    assert "6. addition (5, x): 2×4×4" in drawing.description
    i18n.set_language("fr")
    french = diagrams.draw(identity_block(2), torch.zeros(1, 2, 4, 4))
    assert "1. conv 3×3 (x)\N{NO-BREAK SPACE}: 2×4×4, 36 paramètres" in french.description


def test_drawing_a_module_leaves_it_as_it_was() -> None:
    block = ResidualBlock(2, 4, 2, "B").train()
    before = {name: value.clone() for name, value in block.state_dict().items()}
    diagrams.draw(block, torch.rand(2, 2, 6, 6))
    assert block.training
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    assert not any(module._forward_hooks for module in block.modules())


def test_depth_draws_the_parts_of_a_net_as_boxes() -> None:
    drawing = diagrams.draw(cifar_net(20, "B"), torch.zeros(1, 3, 32, 32), depth=1)
    assert {"64×8×8"} <= {part for text in texts(drawing.sketch) for part in text.split(" · ")}


class Wild(nn.Module):
    """A module that answers with whatever it is told."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> Any:
        return self.answer(x)


@pytest.mark.parametrize(
    ("module", "inputs", "kind", "sentence"),
    [
        (nn.ReLU, [torch.zeros(1, 1)], TypeError, "a module that has been built"),
        (nn.ReLU(), [], TypeError, "give it an input as well"),
        (Wild(lambda x: (x, x + 1)), [torch.zeros(1, 1)], ValueError, "one tensor can be drawn"),
        (Wild(lambda x: x), [torch.zeros(1, 1)], ValueError, "nothing to draw"),
        (Wild(lambda x: torch.ones(1)), [torch.zeros(1, 1)], ValueError, "nothing to draw"),
        (cifar_net(20), [torch.zeros(1, 3, 8, 8)], ValueError, "draw one of its blocks"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(
    module: Any, inputs: list[Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        diagrams.draw(module, *inputs)


@pytest.mark.parametrize(("depth", "kind"), [(0, ValueError), (True, TypeError), (1.5, TypeError)])
def test_a_depth_that_is_no_whole_number_from_1_is_refused(
    depth: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"depth must be .*at least 1"):
        diagrams.draw(nn.ReLU(), torch.zeros(1, 1), depth=depth)


def test_an_unknown_picture_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"picture must be one of 'conv1', .* and is 'resnet'"):
        diagrams.picture("resnet")


def test_a_notebook_shows_the_png_at_half_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "course_utils.plots.figure.display",
        lambda data, raw, metadata=None: shown.append(metadata),
    )
    drawing = diagrams.picture("id_block")
    drawing._ipython_display_()
    about = shown[0]["image/png"]
    assert "orange arrow" in about["alt"]
    size = Image.open(io.BytesIO(drawing.png())).size
    assert (2 * about["width"], 2 * about["height"]) == size
