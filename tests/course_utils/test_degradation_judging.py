"""The verdict is a paired comparison of training errors, with its interval, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from making_records import record, tiny
from scipy import stats

from course_utils import i18n
from course_utils.degradation import verdict
from course_utils.experiments import Record

# Training errors by seed, chosen so that the differences are easy to take.
SHALLOW = {0: 0.01, 1: 0.02, 2: 0.03}
PLAIN_56 = {0: 0.51, 1: 0.62, 2: 0.73}  # 50, 60 and 70 points more
RESIDUAL_56 = {0: 0.02, 1: 0.02, 2: 0.02}  # 1, 0 and −1 points more


def errors(family: str, depth: int, by_seed: Mapping[int, float], **options: Any) -> list[Record]:
    return [record(tiny(family, depth, seed, **options), e) for seed, e in by_seed.items()]


def degrading() -> list[Record]:
    return [
        *errors("plain", 8, SHALLOW),
        *errors("plain", 20, dict.fromkeys(SHALLOW, 0.9)),  # in between: not compared
        *errors("plain", 56, PLAIN_56),
        *errors("residual", 8, SHALLOW),
        *errors("residual", 56, RESIDUAL_56),
    ]


# --- what is shown -------------------------------------------------------------------------


def test_degradation_is_shown_with_the_change_of_each_family_paired_by_seed() -> None:
    judged = verdict(degrading())
    assert judged.shown is True
    assert (judged.shallow, judged.deep, judged.seeds) == (8, 56, (0, 1, 2))
    plain, residual = judged.changes["plain"], judged.changes["residual"]
    assert plain.by_seed == pytest.approx({0: 0.5, 1: 0.6, 2: 0.7})
    assert residual.by_seed == pytest.approx({0: 0.01, 1: 0.0, 2: -0.01})
    assert plain.mean == pytest.approx(0.6)
    assert residual.mean == pytest.approx(0.0)
    for change, deep in ((plain, PLAIN_56), (residual, RESIDUAL_56)):
        test = stats.ttest_rel(list(deep.values()), list(SHALLOW.values()))
        assert change.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
    test = stats.ttest_rel([0.5, 0.6, 0.7], [0.01, 0.0, -0.01])
    assert judged.advantage == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_the_order_of_the_records_changes_nothing_but_the_order_of_the_families() -> None:
    forwards, backwards = verdict(degrading()), verdict(reversed(degrading()))
    assert list(backwards.changes) == ["residual", "plain"]
    for name in ("plain", "residual"):
        assert forwards.changes[name] == backwards.changes[name]
    assert forwards.shown == backwards.shown


def test_families_that_change_alike_show_nothing() -> None:
    records = [
        *errors("plain", 8, SHALLOW),
        *errors("plain", 56, PLAIN_56),
        *errors("residual", 8, SHALLOW),
        *errors("residual", 56, PLAIN_56),
    ]
    judged = verdict(records)
    assert judged.advantage == (0, 0)
    assert judged.shown is False


def test_a_change_within_the_noise_shows_nothing() -> None:
    noisy = {0: 0.31, 1: 0.02, 2: 0.05}  # 30, 0 and 2 points more
    assert verdict([*errors("plain", 8, SHALLOW), *errors("plain", 56, noisy)]).shown is False


def test_an_error_that_falls_with_depth_shows_nothing() -> None:
    records = [*errors("plain", 8, PLAIN_56), *errors("plain", 56, SHALLOW)]
    judged = verdict(records)
    assert judged.changes["plain"].mean == pytest.approx(-0.6)
    assert judged.shown is False


def test_plain_nets_alone_can_show_degradation() -> None:
    judged = verdict([*errors("plain", 8, SHALLOW), *errors("plain", 56, PLAIN_56)])
    assert judged.shown is True and judged.advantage is None


def test_one_seed_shows_nothing_either_way() -> None:
    judged = verdict(one for one in degrading() if one.spec.seed == 1)
    assert judged.shown is None and judged.advantage is None
    assert judged.changes["plain"].interval is None
    assert judged.changes["plain"].mean == pytest.approx(0.6)


def test_the_test_error_plays_no_part() -> None:
    worse = [record(r.spec, r.train_error, test_error=1.0) for r in degrading()]
    assert verdict(worse) == verdict(degrading())


def test_seeds_that_miss_a_record_are_left_out_for_every_family() -> None:
    missing = [
        one
        for one in degrading()
        if (one.spec.family, one.spec.depth, one.spec.seed) != ("residual", 56, 1)
    ]
    judged = verdict(missing)
    assert judged.seeds == (0, 2)
    assert judged.changes["plain"].by_seed == pytest.approx({0: 0.5, 2: 0.7})


# --- what cannot be judged -----------------------------------------------------------------


@pytest.mark.parametrize(
    "records",
    [
        [],
        errors("plain", 8, SHALLOW),
        [*errors("residual", 8, SHALLOW), *errors("residual", 56, RESIDUAL_56)],
    ],
    ids=["none", "one depth", "no plain net"],
)
def test_a_verdict_needs_the_plain_net_at_two_depths(records: list[Record]) -> None:
    with pytest.raises(ValueError, match="plain net at two depths or more: run it"):
        verdict(records)


def test_no_seed_with_every_record_is_said_with_the_depths() -> None:
    records = [*errors("plain", 8, {0: 0.1}), *errors("plain", 56, {1: 0.5})]
    with pytest.raises(ValueError, match=r"at depth 8 and at depth 56 .*run the missing ones"):
        verdict(records)


@pytest.mark.parametrize(
    "options",
    [{"steps": 3}, {"dataset_options": {"size": 12}}, {"threads": 2}, {"learning_rate": 0.2}],
)
def test_records_of_different_budgets_data_or_numerics_are_not_compared(
    options: dict[str, Any],
) -> None:
    records = [*errors("plain", 8, SHALLOW), *errors("plain", 56, PLAIN_56, **options)]
    with pytest.raises(ValueError, match="cannot be compared"):
        verdict(records)


def test_two_options_of_one_family_are_not_mixed() -> None:
    other = errors("residual", 56, RESIDUAL_56, family_options={"width": 2, "shortcut": "B"})
    with pytest.raises(ValueError, match="family residual has records with different options"):
        verdict([*degrading(), *other])


def test_families_may_have_options_of_their_own() -> None:
    records = [
        *errors("plain", 8, SHALLOW),
        *errors("plain", 56, PLAIN_56),
        *errors("residual", 8, SHALLOW, family_options={"width": 2, "shortcut": "B"}),
        *errors("residual", 56, RESIDUAL_56, family_options={"width": 2, "shortcut": "B"}),
    ]
    assert verdict(records).shown is True


# --- the sentence --------------------------------------------------------------------------

# Half-widths: 4.3027 × 10 / √3 = 24.8 points for plain, a tenth of it for residual.


def test_the_sentence_says_what_is_shown_with_its_numbers() -> None:
    assert str(verdict(degrading())) == (
        "Degradation is shown: from depth 8 to depth 56, over 3 seed(s), the training error "
        "changes by — plain: +60.0 points (95% interval +35.2 to +84.8), residual: +0.0 points "
        "(95% interval −2.5 to +2.5)."
    )


def test_the_sentence_of_nothing_shown_and_of_one_seed() -> None:
    falling = [*errors("plain", 8, PLAIN_56), *errors("plain", 56, SHALLOW)]
    assert str(verdict(falling)).startswith("Degradation is not shown: from depth 8 to depth 56")
    assert "plain: −60.0 points" in str(verdict(falling))
    alone = str(verdict(one for one in degrading() if one.spec.seed == 0))
    assert alone.startswith("Nothing can be concluded from one seed: ")
    assert "plain: +50.0 points (one seed, no spread)" in alone


def test_the_sentence_is_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_chosen", "fr")
    sentence = str(verdict(degrading()))
    for number in ("8", "56", "3", "+60,0", "+35,2", "+84,8", "+0,0", "−2,5", "+2,5"):
        assert number in sentence
