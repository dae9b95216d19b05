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
    test = stats.ttest_rel(list(PLAIN_56.values()), list(SHALLOW.values()))
    assert plain.interval == pytest.approx(tuple(test.confidence_interval(0.95)))
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
    with pytest.raises(ValueError, match="plain network at two depths or more: train"):
        verdict(records)


def test_no_seed_with_every_record_is_said_with_the_depths() -> None:
    records = [*errors("plain", 8, {0: 0.1}), *errors("plain", 56, {1: 0.5})]
    with pytest.raises(ValueError, match=r"both depths, 8 and 56: run the missing ones"):
        verdict(records)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 32}, {"dataset_options": {"size": 12}}, {"threads": 2}, {"learning_rate": 0.2}],
)
def test_records_of_different_recipes_data_or_rates_are_not_compared(
    options: dict[str, Any],
) -> None:
    records = [*errors("plain", 8, SHALLOW), *errors("plain", 56, PLAIN_56, **options)]
    with pytest.raises(ValueError, match="cannot be compared"):
        verdict(records)


def test_records_without_a_budget_in_common_are_not_compared() -> None:
    longer = [record(tiny("plain", 56, s), e, steps=264) for s, e in PLAIN_56.items()]
    with pytest.raises(
        ValueError, match="no budget of steps in common with a learning rate in common"
    ):
        verdict([*errors("plain", 8, SHALLOW), *longer])


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


# --- what the runs can speak of ------------------------------------------------------------


def tried(
    family: str, depth: int, errors: Mapping[float, float], steps: int = 132, seeds: int = 3
) -> list[Record]:
    """Records at several rates: an error for each, a tenth of a point more from seed to seed."""
    return [
        record(tiny(family, depth, seed, learning_rate=rate), error + seed / 1000, steps=steps)
        for rate, error in errors.items()
        for seed in range(seeds)
    ]


def test_each_net_is_judged_at_the_best_of_its_rates() -> None:
    shallow = {0.1: 0.0, 0.01: 0.2}
    deep = {0.1: 0.7, 0.01: 0.05}
    judged = verdict([*tried("plain", 8, shallow), *tried("plain", 56, deep)])
    assert judged.scope == "best rates"
    assert [judged.plateaus["plain", depth].best for depth in (8, 56)] == [0.1, 0.01]
    assert judged.changes["plain"].mean == pytest.approx(0.05)


def test_a_net_with_a_single_rate_is_compared_at_that_rate() -> None:
    records = [*tried("plain", 8, {0.1: 0.1}), *tried("plain", 56, {0.1: 0.7, 0.01: 0.05})]
    judged = verdict(records)
    assert judged.scope == "one rate"
    assert judged.changes["plain"].mean == pytest.approx(0.6)


def test_the_best_rate_is_chosen_on_the_seeds_that_all_rates_have() -> None:
    # The rates were tried with seed 0; the best was then run with two seeds that do worse.
    probed = tried("plain", 56, {0.1: 0.7, 0.03: 0.6, 0.01: 0.3}, seeds=1)
    more = [record(tiny("plain", 56, s, learning_rate=0.01), 0.9) for s in (1, 2)]
    records = [*tried("plain", 8, {0.1: 0.1, 0.03: 0.2, 0.01: 0.3}), *probed, *more]
    judged = verdict(records)
    assert judged.plateaus["plain", 56].best == 0.01
    assert judged.seeds == (0, 1, 2)


def test_of_rates_with_equal_errors_the_one_with_more_seeds_is_compared() -> None:
    records = [*tried("plain", 8, {0.1: 0.0, 0.03: 0.0}, seeds=1)]
    records += tried("plain", 56, {0.1: 0.7, 0.03: 0.6}, seeds=1)
    more = [(depth, seed, error) for depth, error in ((8, 0.0), (56, 0.6)) for seed in (1, 2)]
    records += [record(tiny("plain", d, s, learning_rate=0.03), error) for d, s, error in more]
    judged = verdict(records)
    assert judged.plateaus["plain", 8].best == 0.03
    assert judged.seeds == (0, 1, 2)


RATES = {0.1: 0.0, 0.03: 0.1, 0.01: 0.2}
WORSE = {0.1: 0.5, 0.03: 0.4, 0.01: 0.3}


@pytest.mark.parametrize(
    ("doubled", "scope"),
    [(0.281, "trained"), (0.319, "trained"), (0.279, "best rates"), (0.321, "best rates")],
)
def test_a_net_is_trained_when_twice_the_updates_change_less_than_two_points(
    doubled: float, scope: str
) -> None:
    records = [*tried("plain", 8, RATES), *tried("plain", 56, WORSE)]
    records += tried("plain", 8, {0.1: 0.0}, steps=264)
    records += tried("plain", 56, {0.01: doubled}, steps=264)
    judged = verdict(records)
    assert (judged.scope, judged.steps) == (scope, 132)


def test_two_rates_and_a_flat_end_are_no_plateau() -> None:
    two = ({k: errors[k] for k in (0.1, 0.01)} for errors in (RATES, WORSE))
    records = [r for depth, e in zip((8, 56), two, strict=True) for r in tried("plain", depth, e)]
    records += tried("plain", 8, {0.1: 0.0}, steps=264) + tried("plain", 56, {0.01: 0.3}, steps=264)
    assert verdict(records).scope != "trained"


def test_the_gain_of_twice_the_updates_is_looked_for_at_the_best_rate() -> None:
    records = [*tried("plain", 8, RATES), *tried("plain", 56, WORSE)]
    records += tried("plain", 8, {0.1: 0.0}, steps=264)
    records += tried("plain", 56, {0.1: 0.5}, steps=264)  # it rests at a rate that is not its best
    assert not verdict(records).plateaus["plain", 56].is_reached


# --- intervals that an error can have ------------------------------------------------------


def test_an_interval_stays_within_what_an_error_can_do() -> None:
    low, high = -0.02, 1 - 0.02  # the shallow net's mean error is two hundredths
    judged = verdict([*errors("plain", 8, SHALLOW), *errors("plain", 56, {0: 0.1, 1: 0.9, 2: 1.0})])
    assert judged.changes["plain"].interval == pytest.approx((low, high))


def test_seeds_that_agree_leave_an_interval_of_one_image() -> None:
    same = dict.fromkeys(range(3), 0.0)
    judged = verdict([*errors("plain", 8, same), *errors("plain", 56, same)])
    low, high = judged.changes["plain"].interval or (1, 1)
    assert low == 0 and high == pytest.approx(1 / 1408)
    assert "+0.0 to +0.1" in str(judged)


def test_an_interval_of_tiny_ends_is_told_apart() -> None:
    same = dict.fromkeys(range(3), 0.1)
    records = [*errors("plain", 8, same), *errors("plain", 56, same)]
    many = [record(r.spec, r.train_error, steps=6 * 500_000 // 64) for r in records]
    assert "−0.0002 to +0.0002" in str(verdict(many))


# --- the sentence --------------------------------------------------------------------------

# Half-width for plain: 4.3027 × 10 / √3 = 24.8 points. The residual net's 2.5 points reach below
# the −2 that its shallow error of 2% leaves.


def test_one_rate_and_budget_are_named_and_nothing_larger_is_said() -> None:
    assert str(verdict(degrading())) == (
        "At this learning rate, 0.1, and this budget of 132 steps, depth harms the plain network, "
        "and more than the network with shortcuts. The mean change in training error from depth 8 "
        "to depth 56, over 3 seeds, is as follows: plain: +60.0 points (95% interval "
        "+35.2 to +84.8); residual: +0.0 points (95% interval −2.0 to +2.5). This says nothing "
        "about other learning rates or longer training: the networks may not be fully trained."
    )


def test_the_sentence_of_nothing_established_and_of_one_seed() -> None:
    falling = [*errors("plain", 8, PLAIN_56), *errors("plain", 56, SHALLOW)]
    said = str(verdict(falling))
    assert said.startswith(
        "At this learning rate, 0.1, and this budget of 132 steps, it is not established"
    )
    assert "plain: −60.0 points" in said
    alone = str(verdict(one for one in degrading() if one.spec.seed == 0))
    assert alone.startswith("One seed is not enough for a conclusion. ")
    assert "over 1 seed, " in alone and "plain: +50.0 points (one seed, no spread)" in alone


def test_trained_nets_are_told_from_nets_at_the_best_of_their_rates() -> None:
    records = [*tried("plain", 8, RATES), *tried("plain", 56, WORSE)]
    best = str(verdict(records))
    assert best.startswith(
        "At this budget of 132 steps, with each network at the best of its learning rates, depth"
    )
    assert "about fully trained networks: for plain-8, plain-56, the records lack" in best
    records += tried("plain", 8, {0.1: 0.0}, steps=264) + tried("plain", 56, {0.01: 0.3}, steps=264)
    assert str(verdict(records)).startswith("Degradation between trained networks is established. ")


@pytest.mark.parametrize("shown", [True, False])
def test_degradation_without_more_words_is_never_said(shown: bool) -> None:
    deep = PLAIN_56 if shown else SHALLOW
    said = str(verdict([*errors("plain", 8, SHALLOW), *errors("plain", 56, deep)]))
    assert "egradation is" not in said


def test_the_sentence_is_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_chosen", "fr")
    sentence = str(verdict(degrading()))
    for number in ("8", "56", "3", "+60,0", "+35,2", "+84,8", "+0,0", "−2,0", "+2,5"):
        assert number in sentence
