"""Published figures: each with its source and protocol, and equal to what was printed."""

from __future__ import annotations

import pytest

from course_utils.degradation import published
from course_utils.i18n import speaking

HE = "He et al. 2015 (arXiv 1512.03385)"
HUANG = "Huang et al. 2016 (arXiv 1608.06993)"


def test_every_figure_has_its_data_net_measure_protocol_and_source() -> None:
    rows = published()
    assert len(rows) > 30
    for row in rows:
        for name in ("data", "net", "family", "measure", "protocol", "source"):
            text = getattr(row, name)
            assert text and text == text.strip(), (row, name)
        assert "(" in row.measure  # its unit
        assert row.value > 0
        assert row.family in ("plain", "residual", "dense", "other")


def test_what_a_table_shows_is_in_the_readers_language() -> None:
    with speaking("en"):
        english = published("CIFAR-10", "training error (%)")
    with speaking("fr"):
        french = published("CIFAR-10", "training error (%)")
    assert {row.protocol for row in english} == {"last epoch"}
    assert {row.protocol for row in french} == {"dernière époque"}
    assert {row.source for row in french} == {"réplication a-martyn/resnet"}
    assert [row.net for row in french] == [row.net for row in english]
    with speaking("fr"):
        assert {"ordinaire-56", "ResNet-56"} < {row.label for row in french}


def test_no_figure_is_there_twice() -> None:
    keys = [(row.data, row.net, row.measure, row.protocol, row.source) for row in published()]
    assert len(set(keys)) == len(keys)


def test_a_net_of_a_family_says_its_depth_in_its_name() -> None:
    for row in published():
        if row.family in ("plain", "residual", "dense"):
            assert row.depth is not None and f"-{row.depth}" in row.net


@pytest.mark.parametrize(
    ("data", "measure", "net", "source", "value", "spread"),
    [
        ("CIFAR-10", "test error (%)", "ResNet-20", HE, 8.75, None),
        ("CIFAR-10", "test error (%)", "ResNet-56", HE, 6.97, None),
        ("CIFAR-10", "test error (%)", "ResNet-110", HE, 6.61, 0.16),
        ("CIFAR-10", "test error (%)", "ResNet-1202", HE, 7.93, None),
        ("CIFAR-10", "test error (%)", "NIN", HE, 8.81, None),
        ("CIFAR-10", "test error (%)", "FitNet-19", HE, 8.39, None),
        ("CIFAR-10", "test error (%)", "Highway-19", HE, 7.72, 0.16),
        ("CIFAR-10", "test error (%)", "plain-20", "a-martyn/resnet", 9.5, None),
        ("CIFAR-10", "test error (%)", "plain-56", "a-martyn/resnet", 12.8, None),
        ("CIFAR-10", "test error (%)", "plain-56", "techxzen", 15.4, None),
        ("CIFAR-10", "training error (%)", "plain-56", "a-martyn/resnet", 3.33, None),
        ("CIFAR-10", "training error (%)", "ResNet-56", "a-martyn/resnet", 0.04, None),
        ("ImageNet", "top-1 error (%)", "plain-18", HE, 27.94, None),
        ("ImageNet", "top-1 error (%)", "plain-34", HE, 28.54, None),
        ("ImageNet", "top-1 error (%)", "ResNet-34", HE, 25.03, None),
        ("ImageNet", "top-1 error (%)", "ResNet-152", HE, 21.43, None),
        ("ImageNet", "multiply-adds (G)", "VGG-19", HE, 19.6, None),
        ("ImageNet", "multiply-adds (G)", "ResNet-152", HE, 11.3, None),
        ("C10", "test error (%)", "DenseNet-40 k=12", HUANG, 7.00, None),
        ("C10+", "test error (%)", "DenseNet-BC-100 k=12", HUANG, 4.51, None),
        ("C100", "test error (%)", "DenseNet-BC-250 k=24", HUANG, 19.64, None),
        ("C100+", "test error (%)", "DenseNet-BC-190 k=40", HUANG, 17.18, None),
    ],
)
def test_a_figure_is_the_one_that_was_printed(
    data: str, measure: str, net: str, source: str, value: float, spread: float | None
) -> None:
    (row,) = (r for r in published(data, measure) if r.net == net and source in r.source)
    assert (row.value, row.spread) == (value, spread)


def test_figures_are_chosen_by_data_and_by_measure() -> None:
    assert {row.data for row in published("ImageNet")} == {"ImageNet"}
    assert {row.measure for row in published(measure="training error (%)")} == {
        "training error (%)"
    }
    names = ("CIFAR-10", "ImageNet", "C10", "C10+", "C100", "C100+")
    assert {row for name in names for row in published(name)} == set(published())


def test_the_replications_say_what_is_wrong_with_them() -> None:
    for row in published("CIFAR-10", "test error (%)"):
        if "a-martyn" in row.source:
            assert "best epoch" in row.protocol
        if "techxzen" in row.source:
            assert "training mode" in row.protocol


def test_an_unknown_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"'MNIST'.*CIFAR-10, test error \(%\); .*ImageNet"):
        published("MNIST")
    with pytest.raises(
        ValueError, match="There is no published figure for 'ImageNet', 'test error"
    ):
        published("ImageNet", "test error (%)")
