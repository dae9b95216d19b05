"""A summary adds up to the net: costs by stage, memory counted by hand, budgets in sentences."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils import i18n
from course_utils.models import (
    Budget,
    DenseBlock,
    activation_memory,
    cifar_net,
    compose,
    count_macs,
    count_parameters,
    densenet,
    digit_classifier,
    gap_net,
    nin,
    summary,
)
from course_utils.models.stages import (
    bottleneck,
    conv,
    dense,
    gap_head,
    identity,
    projection,
    transition,
)

FLOAT = 4  # bytes

COMPOSED = [
    conv(8, stride=2),
    identity(),
    projection(12),
    bottleneck(16, width=4),
    dense(2, growth_rate=4),
    transition(),
    gap_head(),
]


def resnet18() -> nn.Module:
    return pytest.importorskip("torchvision.models").resnet18()


class Untidy(nn.Module):
    """Weights of its own, a list of layers, one layer used twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))
        self.layers = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)])
        self.again = self.layers[0]
        self.unused = nn.Linear(5, 7)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.layers, self.again):
            x = F.relu(layer(x * self.scale))
        return self.head(x)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "plain": (lambda: cifar_net(8), (3, 32, 32)),
    "A": (lambda: cifar_net(14, "A"), (3, 16, 16)),
    "B": (lambda: cifar_net(8, "B", width=5), (3, 13, 9)),
    "BC": (lambda: densenet(10, growth_rate=4), (3, 8, 8)),
    "dense": (lambda: densenet(10, 4, bottleneck=False, compression=1), (3, 8, 8)),
    "recomputed": (lambda: densenet(10, 4, memory_efficient=True), (3, 8, 8)),
    "gap": (lambda: gap_net(width=12), (3, 16, 16)),
    "nin": (lambda: nin(batch_norm=True), (1, 16, 16)),
    "composed": (lambda: compose(COMPOSED), (3, 16, 16)),
    "digits": (digit_classifier, (1, 20, 20)),
    "resnet18": (resnet18, (3, 64, 64)),
    "untidy": (Untidy, (3, 8, 8)),
    "one layer": (lambda: nn.Conv2d(3, 2, 3), (3, 8, 8)),
}


# --- stages and totals -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_the_stages_add_up_to_the_whole_net(name: str) -> None:
    build, shape = NETS[name]
    net = build()
    report = summary(net, shape)
    assert report.parameters == count_parameters(net) == sum(r.parameters for r in report.rows)
    assert report.macs == count_macs(net, shape) == sum(row.macs for row in report.rows)
    assert report.activations == activation_memory(net, shape)
    assert all(row.parameters >= 0 and row.macs >= 0 for row in report.rows)


def test_the_rows_of_a_composed_net_are_its_lines_and_its_head() -> None:
    report = summary(compose(COMPOSED, num_classes=5), (3, 16, 16))
    assert [row.layers for row in report.rows[:6]] == [str(spec) for spec in COMPOSED[:-1]]
    assert [row.name for row in report.rows[6:]] == ["norm", "pool", "linear"]
    assert [row.output for row in report.rows] == [
        (8, 8, 8), (8, 8, 8), (12, 4, 4), (16, 4, 4), (24, 4, 4), (12, 2, 2),
        (12, 2, 2), (12, 1, 1), (5,),
    ]  # fmt: skip
    # A pixel of the maps is 2 of the image after the first stage, 4 after the projection, 8 after
    # the transition; a 3×3 adds 2 pixels of the maps that it reads.
    fields = [3, 3 + 2 * 4, 11 + 4 + 8, 23 + 8, 31 + 2 * 8, 47 + 4]
    assert [row.receptive_field for row in report.rows[:6]] == [(f, f) for f in fields]
    assert report.rows[-1].receptive_field == (math.inf, math.inf)


def test_a_stage_costs_what_its_layers_do() -> None:
    report = summary(cifar_net(8, width=4), (3, 8, 8))
    stem, first, second, third, pool, linear = report.rows
    assert stem.parameters == 9 * 3 * 4 + 2 * 4 and stem.macs == 64 * 9 * 3 * 4
    assert first.macs == 2 * 64 * 9 * 4 * 4
    assert second.macs == 16 * 9 * (4 * 8 + 8 * 8)
    assert third.macs == 4 * 9 * (8 * 16 + 16 * 16)
    assert (pool.parameters, pool.macs, linear.macs) == (0, 0, 16 * 10)


def test_shared_parameters_are_counted_once_and_their_work_each_time() -> None:
    rows = {row.name: row for row in summary(Untidy(), (3, 8, 8)).rows}
    assert list(rows) == ["layers.0", "layers.1", "unused", "head", ""]
    assert rows["layers.0"].parameters == 9 * 9 + 3
    assert rows["layers.0"].macs == 2 * 64 * 81  # called twice
    assert (rows["unused"].parameters, rows["unused"].macs) == (5 * 7 + 7, 0)
    assert rows["unused"].output is None
    assert (rows[""].parameters, rows[""].macs) == (3, 0)  # the scale


def test_a_net_that_cannot_train_on_one_image_has_no_memory_and_all_the_rest() -> None:
    net = compose([conv(4, stride=2), gap_head()])
    report = summary(net, (3, 2, 2))
    assert report.activations is None
    assert report.parameters == count_parameters(net)
    assert "–" in str(report)


# --- memory ----------------------------------------------------------------------------------


def test_a_convolution_keeps_its_input_and_a_relu_its_output() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    assert activation_memory(net, (3, 5, 4)) == FLOAT * 20 * (3 + 8)


def test_what_two_layers_keep_is_counted_once() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 5, 1))
    # The images, the output of ReLU (which the second convolution reads), that of the second.
    assert activation_memory(net, (3, 5, 4)) == FLOAT * 20 * (3 + 8 + 2)


def test_batch_normalisation_keeps_its_input_and_the_statistics_of_the_batch() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    # The images, the convolution's output, mean and deviation, what ReLU has left in place.
    assert activation_memory(net, (3, 5, 4)) == FLOAT * (20 * (3 + 8 + 8) + 2 * 8)


def test_max_pooling_keeps_its_input_and_where_the_maxima_are() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.MaxPool2d(2))
    assert activation_memory(net, (3, 4, 4)) == FLOAT * 16 * (3 + 8) + 8 * 4 * 8  # int64


def test_memory_grows_with_the_batch_but_for_the_statistics() -> None:
    one, two, five = (activation_memory(cifar_net(8), (3, 8, 8), n) for n in (1, 2, 5))
    assert five - one == 4 * (two - one)


def test_frozen_layers_keep_nothing_and_half_precision_half() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU())
    assert activation_memory(net.to(torch.bfloat16), (3, 4, 4)) == 2 * 16 * (3 + 8)
    assert activation_memory(net.requires_grad_(False), (3, 4, 4)) == 0


def test_memory_is_that_of_training_whatever_mode_the_net_is_in() -> None:
    net = cifar_net(8)
    assert activation_memory(net.eval(), (3, 8, 8)) == activation_memory(net.train(), (3, 8, 8))
    with torch.no_grad():
        assert activation_memory(net, (3, 8, 8)) == activation_memory(net, (3, 8, 8))
    with torch.inference_mode():
        assert activation_memory(net, (3, 8, 8)) > 0


@pytest.mark.parametrize("bc", [False, True])
def test_a_naive_dense_block_keeps_what_grows_with_the_square_of_its_layers(bc: bool) -> None:
    c, k, pixels = 6, 3, 16

    def kept(layers: int, efficient: bool = False) -> int:
        net = DenseBlock(layers, c, k, bottleneck=bc, memory_efficient=efficient)
        return activation_memory(net, (c, 4, 4))

    def by_hand(layers: int) -> int:
        """Concatenation, its BN's statistics and ReLU; with a bottleneck, those of 4k maps too."""
        total = 0
        for layer in range(layers):
            read = c + layer * k
            maps = 2 * read + (2 * 4 * k if bc else 0)
            total += maps * pixels + 2 * (read + (4 * k if bc else 0))
        return FLOAT * total

    # Of one layer the concatenation is of the images alone, and a copy all the same.
    assert [kept(n) for n in (1, 2, 5)] == [by_hand(n) for n in (1, 2, 5)]
    # Recomputed, a layer keeps its inputs: the images, and each layer's new maps once.
    assert [kept(n, efficient=True) for n in (1, 2, 5)] == [
        FLOAT * pixels * (c + (n - 1) * k) for n in (1, 2, 5)
    ]


def test_batch_normalisation_of_one_value_is_refused_with_what_to_do() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match=r"one value per channel.* batch_size of 2 or more"):
        activation_memory(net, (3, 1, 1))
    assert activation_memory(net, (3, 1, 1), batch_size=2) > 0


# --- budgets ---------------------------------------------------------------------------------


def small() -> nn.Module:
    """Of 216 + 16 and 576 + 16 parameters in stages, and 90 in the linear layer: 914."""
    return compose([conv(8), conv(8), gap_head()])


def test_a_budget_that_is_kept_says_how_much_of_it() -> None:
    report = summary(small(), (3, 4, 4), Budget(parameters=1828))
    assert report.fits and report.excess == {}
    assert (
        report.verdict == "The design is within the budget: it uses 50.0% of the 1,828 parameters."
    )
    assert summary(small(), (3, 4, 4), Budget(parameters=914)).fits


def test_a_budget_that_is_broken_says_what_by_how_much_and_where() -> None:
    macs = 16 * 9 * (3 * 8 + 8 * 8) + 80
    report = summary(small(), (3, 4, 4), Budget(parameters=814, macs=macs - 1))
    assert not report.fits
    assert report.excess == {"parameters": 100, "macs": 1}
    verdict = report.verdict
    assert "914 parameters exceed the limit of 814 by 100 (12.3%)" in verdict
    assert f"{macs:,} multiply-adds exceed the limit of {macs - 1:,} by 1" in verdict
    # The second convolution has the most of both: 592 of 914, and 9216 of 12752.
    assert verdict.count("is in stages.1 (3×3, 8)") == 2
    assert "64.8%" in verdict and "72.3%" in verdict


def test_a_verdict_names_the_products_that_the_multiply_adds_leave_out() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 1, batch_first=True)
            self.classes = nn.Parameter(torch.rand(3, 4))

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return F.linear(self.attention(tokens, tokens, tokens)[0].mean(1), self.classes)

    report = summary(Attending(), (4, 3, 3), Budget(macs=10_000))
    assert {row.name: row.macs for row in report.rows} == {"attention": 9 * 4 * 16, "": 4 * 3}
    assert report.macs == 588 and report.fits
    assert report.verdict.startswith(
        "The design is within the budget: it uses 5.9% of the 10,000 multiply-adds. The "
    )
    assert report.left_out == summary(Attending(), (4, 3, 3)).verdict != ""


def test_without_a_budget_there_is_no_verdict() -> None:
    report = summary(small(), (3, 4, 4))
    assert report.verdict == "" and report.fits and report.excess == {}
    assert "<p>" not in report._repr_html_()


@pytest.mark.parametrize(
    ("limits", "error", "sentence"),
    [
        ({}, ValueError, r"limits parameters=…, macs=… or both"),
        ({"parameters": 0}, ValueError, "parameters must be at least 1"),
        ({"macs": 1.5e6}, TypeError, "macs must be a whole number"),
    ],
)
def test_a_budget_has_a_whole_number_for_a_limit(
    limits: dict[str, int], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        Budget(**limits)


def test_a_budget_is_a_budget_and_a_net_a_net() -> None:
    with pytest.raises(TypeError, match=r"a budget as Budget\(parameters"):
        summary(small(), (3, 4, 4), {"parameters": 3})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"of type list, and should be a torch\.nn\.Module"):
        summary([conv(8)], (3, 4, 4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="The shape of an image"):
        summary(small(), (4, 4))


# --- how it is shown -------------------------------------------------------------------------


def test_text_and_notebook_show_a_line_a_stage_the_totals_and_the_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # wide enough for a line to stay one
    report = summary(small(), (3, 4, 4), Budget(parameters=100))
    header, *lines, total, verdict = str(report).splitlines()
    assert header.startswith("stage") and "receptive field (px)" in header
    assert len(lines) == len(report.rows)
    assert lines[0].split() == ["stages.0", "3×3,", "8", "8×4×4", "232", "3,456", "3", "1.3"]
    assert "whole image" in lines[-1]
    assert total.split()[:2] == ["total", "914"]
    assert repr(report) == str(report)  # where HTML is not shown
    html = report._repr_html_()
    assert html.startswith("<table>") and f"<p>{verdict}</p>" in html


def test_a_field_that_is_not_square_has_two_sides() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, (1, 5)))
    assert "1×5" in str(summary(net, (3, 8, 8)))


def test_french_has_its_words_and_its_numbers() -> None:
    i18n.set_language("fr")
    text = str(summary(small(), (3, 4, 4), Budget(parameters=100)))
    assert "914 paramètres" in text and "64,8" in text


# --- nothing is left changed -----------------------------------------------------------------


def test_the_net_is_left_exactly_as_it_was() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    net[1].eval()
    net(torch.rand(2, 3, 8, 8)).sum().backward()
    state = copy.deepcopy(net.state_dict())
    grads = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    modes = [module.training for module in net.modules()]
    random = torch.get_rng_state()
    summary(net, (3, 8, 8), Budget(macs=1))
    activation_memory(net, (3, 8, 8), batch_size=3)
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())
    assert all(
        torch.equal(grad, p.grad)  # type: ignore[arg-type]
        for grad, p in zip(grads, net.parameters(), strict=True)
    )
    assert [module.training for module in net.modules()] == modes
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_net_is_summed_up_where_nothing_is_computed() -> None:
    with torch.device("meta"):
        net = cifar_net(20, "B")
    report, there = summary(net, (3, 32, 32)), summary(cifar_net(20, "B"), (3, 32, 32))
    assert report.rows == there.rows


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_net_is_summed_up_on_its_device(device: str) -> None:
    if not {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device]:
        pytest.skip(f"no {device} here")
    net = compose(COMPOSED)
    here, there = summary(net, (3, 16, 16)), summary(copy.deepcopy(net).to(device), (3, 16, 16))
    assert there.parameters == here.parameters and there.macs == here.macs
    assert [r.receptive_field for r in there.rows] == [r.receptive_field for r in here.rows]
