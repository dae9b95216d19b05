"""A French run is French: families, sources, legends and descriptions, and every number."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from making_records import record, tiny
from matplotlib.text import Text

from course_utils import plots
from course_utils.degradation import published, references, verdict
from course_utils.experiments import compare, results
from course_utils.experiments.statistics import points_text
from course_utils.i18n import speaking
from course_utils.models import Budget, compose, summary
from course_utils.models.stages import (
    bottleneck,
    conv,
    dense,
    gap_head,
    identity,
    plain,
    projection,
    transition,
)

ENGLISH = re.compile(
    r"\b(plain|residual|shallow|deep|seeds?|replication|section \d of|updates?|steps?|table"
    r"|training|test error|error|learning|rates?|digits|scenes|first|of each|layers?|average"
    r"|linear|identity|bottleneck|and|the|from|falls|rises|starts|near|against|with)\b"
)
RECORDS = [
    record(tiny(family, depth, seed, **options), error, running_errors=(0.9, error))
    for family, options in (
        ("plain", {}),
        ("residual", {}),
        ("plain", {"learning_rate": 0.01}),
        ("residual", {"learning_rate": 0.01}),
    )
    for depth, errors in ((8, (0.01, 0.02)), (14, (0.415, 0.65)))
    for seed, error in enumerate(errors)
]
AT_ONE_RATE = [run for run in RECORDS if run.spec.learning_rate == 0.1]
DESIGN = [
    conv(8, stride=2),
    plain(8),
    identity(),
    projection(12),
    bottleneck(12, width=4),
    dense(2, growth_rate=4),
    transition(),
    gap_head(),
]


def figures() -> Iterator[plots.DescribedFigure]:
    by_name = {reference.name: reference for reference in references()}
    for draw in (
        plots.learning_curves,
        plots.error_by_depth,
        plots.error_by_cost,
        plots.train_against_test,
    ):
        yield draw(AT_ONE_RATE)
    yield plots.rate_and_budget(RECORDS)
    yield plots.published_beside(AT_ONE_RATE, others=[by_name["natural_images"]])
    yield plots.reference_beside(AT_ONE_RATE, by_name["digits_fp32"])
    yield plots.gradient_profiles({"au début": {"plain-8": [[0.5, 2.5]], "residual-8": [[1, 1]]}})
    yield plots.lines({"a": [[0, 0.5, 98.5, 0]]}, xlabel="seuil", ylabel="part")
    yield plots.stage_costs(summary(compose(DESIGN), (3, 32, 32)))


def texts() -> Iterator[str]:
    """What is printed, drawn and described of an experiment."""
    yield str(results(RECORDS))
    yield str(verdict(AT_ONE_RATE))
    yield str(verdict(RECORDS))
    changes = {"avec raccourcis": {"family": "residual"}}
    ablation = compare(tiny("plain", 14), changes, AT_ONE_RATE)
    yield str(ablation)
    yield ablation.note
    yield str(ablation.effects["avec raccourcis"].train)
    yield str(summary(compose(DESIGN), (3, 32, 32), budget=Budget(parameters=1000)))
    for row in published():
        yield f"{row.label} – {row.protocol} – {row.source}"
    for figure in figures():
        figure.draw_without_rendering()
        yield figure.description
        yield from (text.get_text() for text in figure.findobj(Text))


@pytest.fixture(scope="module")
def french() -> list[str]:
    with speaking("fr"):
        return [text for text in texts() if text]


def test_a_french_run_says_no_english_word(french: list[str]) -> None:
    assert len(french) > 300
    # A field of a spec, a class of torch and the name of a module are code.
    said = [re.sub(r"\b\w+_\w+\b|\bLinear\b|(?m:^linear)\b", "", text) for text in french]
    assert [(found[0], text) for text in said if (found := ENGLISH.search(text.lower()))] == []


def test_a_french_run_writes_no_decimal_point_and_no_thousands_comma(french: list[str]) -> None:
    numbers = [re.sub(r"arXiv \d+\.\d+|section \d\.\d|stages\.\d", "", text) for text in french]
    assert [text for text in numbers if re.search(r"\d\.\d|\d,\d{3}\b", text)] == []
    assert any("41,5\u202f%" in text for text in french)


def test_a_french_run_sets_its_punctuation_apart(french: list[str]) -> None:
    assert [text for text in french if re.search(r"\w[:;?!%](?!\w)|[^,\s] [:;?!%]", text)] == []


def test_the_same_run_in_english_is_english() -> None:
    with speaking("en"):
        said = " ".join(texts())
    assert not re.search(r"\d,\d\b|graine|ordinaire|résiduel|erreur", said)


@pytest.mark.parametrize(
    ("change", "said"),
    [(-0.0004, "+0,0 point"), (-0.019, "−1,9 point"), (0.02, "+2,0 points")],
)
def test_the_plural_begins_at_two(change: float, said: str) -> None:
    with speaking("fr"):
        assert points_text(change) == said
