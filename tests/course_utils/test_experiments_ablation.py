"""One change at a time: a net against itself is no different, and noise is not taken for effect."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from making_records import record, tiny
from running_sweeps import Inline

from course_utils import i18n
from course_utils.experiments import (
    Record,
    Spec,
    Store,
    SweepError,
    ablate,
    compare,
    composed,
    paired_interval,
)
from course_utils.experiments.ablation import altered, difference
from course_utils.models.stages import conv, gap_head, identity, plain

DESIGN = [conv(4), plain(4, times=2), gap_head()]
SEEDS = (3, 1, 4)


def erring(test_error: Callable[[Spec], float]) -> Inline:
    """Answers at once with records made up from a test error, the training error its half."""

    def work(spec: Spec) -> Record:
        error = test_error(spec)
        return record(spec, error / 2, test_error=error)

    return Inline(work)


def composed_base(**options: Any) -> Spec:
    return Spec(seed=0, steps=2, dataset_options={"size": 8}, **composed(DESIGN), **options)  # type: ignore[arg-type]


def wobbling(effect: Callable[[Spec], float]) -> Callable[[Spec], float]:
    """An error of 30% and a hundredth more or less by seed, plus an effect."""
    return lambda spec: 0.3 + (spec.seed % 3 - 1) / 100 + effect(spec)


# --- a net against itself --------------------------------------------------------------------


def test_a_net_differs_from_itself_by_exactly_zero_in_real_runs(tmp_path: Path) -> None:
    base = tiny(depth=8)
    whole = replace(base, seed=77)
    changes: dict[str, Any] = {"nothing": {}, "whole": whole, "same": {"depth": 8}}
    ablation = ablate(base, changes, (0, 1), tmp_path, Inline(), progress=False)
    assert len(list(tmp_path.glob("*.json"))) == 2  # each run once
    for name in ("nothing", "whole", "same"):
        effect = ablation.effects[name]
        assert effect.test.by_seed == effect.train.by_seed == {0: 0.0, 1: 0.0}
        assert effect.test.interval == (0.0, 0.0) and effect.test.mean == 0.0
        assert not effect.test.is_larger_than_noise
        assert (effect.parameters, effect.macs, effect.altered) == (0, 0, ())
        assert str(effect) == f"{name}: there is no difference, since this is the base itself."


# --- from records that are there -----------------------------------------------------------


def test_records_that_are_there_say_what_the_ablation_of_them_says(tmp_path: Path) -> None:
    changes = {"deep": {"depth": 14}, "wide": {"family_options": {"width": 4}}}
    inline = erring(wobbling(lambda spec: spec.depth / 100))
    ablation = ablate(tiny(), changes, SEEDS, tmp_path, inline, progress=False)
    others = [record(tiny(depth=20)), record(tiny(seed=9))]  # one of another net, one alone
    again = compare(tiny(), changes, [*others, *Store(tmp_path).records()])
    assert {name: effect.test.by_seed for name, effect in again.effects.items()} == {
        name: effect.test.by_seed for name, effect in ablation.effects.items()
    }


def test_a_change_without_two_seeds_of_the_base_is_named() -> None:
    records = [record(tiny(seed=s)) for s in SEEDS] + [record(tiny(depth=14, seed=1))]
    with pytest.raises(ValueError, match="missing for these changes: deep"):
        compare(tiny(), {"deep": {"depth": 14}}, records)


# --- differences and costs -------------------------------------------------------------------


def test_a_difference_is_the_mean_over_seeds_paired_with_students_interval(
    tmp_path: Path,
) -> None:
    drift = {3: 0.02, 1: 0.05, 4: 0.05}
    inline = erring(wobbling(lambda spec: drift[spec.seed] if spec.depth == 14 else 0))
    ablation = ablate(tiny(), {"deep": {"depth": 14}}, SEEDS, tmp_path, inline)
    test = ablation.effects["deep"].test
    assert test.by_seed == pytest.approx(drift)
    assert test.mean == pytest.approx(0.04)
    assert test.interval == pytest.approx(paired_interval(list(drift.values())))
    train = ablation.effects["deep"].train
    assert train.by_seed == pytest.approx({seed: value / 2 for seed, value in drift.items()})


@pytest.mark.parametrize(
    ("effect", "sentence"),
    [
        (0.2, "deep: the test error rises by 20.0 points (with an interval from +"),
        (-0.2, "deep: the test error falls by 20.0 points (with an interval from −"),
        (
            0.001,
            "deep: no difference in test error is established (+0.1 points, with an interval from",
        ),
        (
            0.0,
            "deep: no difference in test error is established (+0.0 points, with an interval from",
        ),
    ],
)
def test_a_sentence_says_whether_a_difference_is_established(
    effect: float, sentence: str, tmp_path: Path
) -> None:
    inline = erring(wobbling(lambda spec: (effect + spec.seed / 1000 - 0.002) * (spec.depth == 14)))
    ablation = ablate(tiny(), {"deep": {"depth": 14}}, (1, 2, 3), tmp_path, inline)
    assert str(ablation).startswith(sentence)
    assert ablation.effects["deep"].test.is_larger_than_noise == (abs(effect) > 0.1)


@pytest.mark.parametrize(
    ("depths", "words"),
    [
        (
            (14,),
            "from the base is paired by seed, over 2 seeds. Its interval has a confidence of 95%",
        ),
        ((14, 20), "hold together, for all 2 changes, with a confidence of 95%"),
    ],
)
def test_the_note_speaks_of_one_change_or_of_several(
    depths: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    changes = {f"depth {depth}": {"depth": depth} for depth in depths}
    note = ablate(tiny(), changes, (0, 1), tmp_path, erring(wobbling(lambda spec: 0))).note
    assert words in note and "not for the choice of images" in note


def test_changes_are_judged_by_the_validation_error_where_there_is_one() -> None:
    base, deep = tiny(), tiny(depth=14)
    errors = {base: ((0.50, 0.30), (0.54, 0.32)), deep: ((0.40, 0.60), (0.44, 0.62))}
    records = [
        record(replace(spec, seed=seed), test_error=test, validation_error=validation)
        for spec, found in errors.items()
        for seed, (test, validation) in enumerate(found)
    ]
    ablation = compare(base, {"deep": {"depth": 14}}, records)
    effect = ablation.effects["deep"]
    assert effect.test.mean == pytest.approx(-0.1)
    assert effect.judged.mean == pytest.approx(0.3)
    assert "the validation error rises by 30.0 points" in str(effect)
    assert "validation error (points) [interval]" in ablation.table.headers
    assert "31" in ablation.table.rows[0]  # the base's: the mean of 30 and 32%


def test_costs_are_compared_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    base, deep = tiny(), tiny(depth=14)
    for seed in (0, 1):
        store.write(record(replace(base, seed=seed), parameters=1000, macs=5000))
        store.write(record(replace(deep, seed=seed), parameters=2500, macs=4999))
    ablation = ablate(base, {"deep": {"depth": 14}}, (0, 1), store)
    effect = ablation.effects["deep"]
    assert (effect.parameters, effect.macs) == (1500, -1)
    assert ablation.table.rows[1][-2:] == ["+1,500", "−1"]


def test_more_changes_make_wider_intervals_and_a_change_that_is_none_does_not_count() -> None:
    base, changed = {0: 0.4, 1: 0.5, 2: 0.6}, {0: 0.5, 1: 0.55, 2: 0.6}
    one = difference(base, changed, changes=1, images=None)
    four = difference(base, changed, changes=4, images=None)
    assert four.interval == pytest.approx(paired_interval([0.1, 0.05, 0.0], 1 - 0.05 / 4))
    assert four.interval[0] < one.interval[0] and one.interval[1] < four.interval[1]


def test_a_change_that_is_the_base_does_not_widen_the_others(tmp_path: Path) -> None:
    inline = erring(wobbling(lambda spec: 0.01 * spec.seed * (spec.depth == 14)))
    alone = ablate(tiny(), {"deep": {"depth": 14}}, SEEDS, tmp_path, inline)
    beside = ablate(tiny(), {"deep": {"depth": 14}, "none": {}}, SEEDS, tmp_path, inline)
    assert alone.effects["deep"] == beside.effects["deep"]


def test_among_many_changes_that_do_nothing_one_is_seldom_taken_for_an_effect() -> None:
    """Normal noise, six changes against one base: at least one false finding in at most 5%."""
    draw = random.Random(0)

    def false_finding(changes: int) -> bool:
        base = {seed: draw.gauss(0.3, 0.02) for seed in range(4)}
        tried = [{seed: draw.gauss(0.3, 0.02) for seed in base} for _change in range(6)]
        return any(
            difference(base, errors, changes=changes, images=None).is_larger_than_noise
            for errors in tried
        )

    experiments = 300
    together = sum(false_finding(changes=6) for _n in range(experiments)) / experiments
    one_by_one = sum(false_finding(changes=1) for _n in range(experiments)) / experiments
    assert together < 0.05 + 2 * (0.05 * 0.95 / experiments) ** 0.5
    assert one_by_one > 0.1  # what the correction is for


def test_seeds_that_agree_to_the_image_do_not_make_one_image_an_effect() -> None:
    images = 360
    error = {0: 18 / images, 1: 27 / images}
    one_more = {seed: value + 1 / images for seed, value in error.items()}
    assert not difference(error, one_more, images=images).is_larger_than_noise
    assert difference(error, one_more, images=None).is_larger_than_noise  # what it would be
    many_more = {seed: value + 0.3 for seed, value in error.items()}
    assert difference(error, many_more, images=images).is_larger_than_noise


def test_an_interval_stays_within_what_an_error_can_do() -> None:
    low, high = difference({0: 0.1, 1: 0.3}, {0: 0.05, 1: 0.9}, images=None).interval
    assert (low, high) == pytest.approx((-0.2, 0.8))


def test_one_seed_has_no_difference_with_an_interval() -> None:
    with pytest.raises(ValueError, match="One seed says nothing about the noise"):
        difference({0: 0.5}, {0: 0.25}, images=None)


# --- runs ------------------------------------------------------------------------------------


def test_every_net_is_trained_over_the_same_seeds_and_once(tmp_path: Path) -> None:
    inline = erring(wobbling(lambda _spec: 0))
    changes: dict[str, dict[str, Any]] = {"deep": {"depth": 14}, "rate": {"learning_rate": 0.2}}
    ablation = ablate(tiny(seed=99), changes, [*SEEDS, 3], tmp_path, inline)
    assert ablation.seeds == SEEDS  # a seed named twice counts once
    expected = [
        spec
        for seed in SEEDS
        for spec in (tiny(seed=seed), tiny(depth=14, seed=seed), tiny(seed=seed, learning_rate=0.2))
    ]
    assert len(inline.ran) == 9 and set(inline.ran) == set(expected)
    assert [r.spec.seed for r in ablation.records["deep"]] == list(SEEDS)
    again = erring(wobbling(lambda _spec: 1))
    assert ablate(tiny(), changes, SEEDS, tmp_path, again) == ablation
    assert again.ran == []


def test_an_interrupted_ablation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def dying(spec: Spec) -> float:
        if spec.depth == 14 and spec.seed == 4:
            raise ZeroDivisionError
        return 0.25

    changes = {"deep": {"depth": 14}}
    with pytest.raises(SweepError, match="plain-14, seed 4"):
        ablate(tiny(), changes, SEEDS, tmp_path, erring(dying), progress=False)
    later = erring(lambda _spec: 0.25)
    whole = ablate(tiny(), changes, SEEDS, tmp_path, later, progress=False)
    assert later.ran == [tiny(depth=14, seed=4)]
    elsewhere = erring(lambda _spec: 0.25)
    assert whole == ablate(tiny(), changes, SEEDS, tmp_path / "2", elsewhere, progress=False)


# --- what a change may be --------------------------------------------------------------------


def test_an_option_that_is_not_named_stays_as_it_was(tmp_path: Path) -> None:
    base = tiny("residual", family_options={"width": 4, "shortcut": "A"})
    inline = erring(wobbling(lambda _spec: 0))
    changes = {"B": {"family_options": {"shortcut": "B"}}}
    effect = ablate(base, changes, SEEDS, tmp_path, inline).effects["B"]
    assert dict(effect.spec.family_options) == {"width": 4, "shortcut": "B"}
    assert effect.altered == ("shortcut: 'A' → 'B'",)


def test_a_design_is_one_choice_and_its_depth_follows(tmp_path: Path) -> None:
    inline = erring(wobbling(lambda _spec: 0))
    changes = {
        "residual": {"design": [conv(4), identity(times=2), gap_head()]},
        "shallow": {"design": [conv(4), gap_head()]},
        "wide": {"design": [conv(8), plain(8, times=2), gap_head()]},
    }
    effects = ablate(composed_base(), changes, SEEDS, tmp_path, inline).effects
    assert effects["residual"].altered == ("plain(4, times=2) → identity(times=2)",)
    assert effects["shallow"].altered == ("plain(4, times=2) → –",)
    assert effects["shallow"].spec.depth == 2
    assert effects["wide"].altered == ("conv(4), plain(4, times=2) → conv(8), plain(8, times=2)",)


def test_a_whole_spec_may_change_several_things_and_they_are_all_named(tmp_path: Path) -> None:
    inline = erring(wobbling(lambda _spec: 0))
    changes = {"other": tiny("residual", 14, seed=5, momentum=0.8)}
    effect = ablate(tiny(), changes, SEEDS, tmp_path, inline).effects["other"]
    assert effect.altered == (
        "family: 'plain' → 'residual'",
        "depth: 8 → 14",
        "momentum: 0.9 → 0.8",
    )


def test_the_seed_is_no_choice() -> None:
    assert altered(tiny(seed=1), tiny(seed=2)) == ()


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({}, ValueError, "Give the changes as a dictionary"),
        ([{"depth": 14}], TypeError, "Give the changes as a dictionary"),
        ({"x": 14}, TypeError, "The change 'x' is 14: give the field that changes"),
        (
            {"x": {"widht": 8}},
            ValueError,
            "'x' names a field that does not exist, 'widht'; the fields are",
        ),
        ({"x": {"seed": 3}}, ValueError, "'x' names a field that does not exist, 'seed'"),
        (
            {"ok": {"depth": 14}, "x": {"depth": 14, "momentum": 0.5}},
            ValueError,
            r"'x' alters 2 choices at once \(depth: 8 → 14; momentum: 0.9 → 0.5\).*whole Spec",
        ),
        (
            {"x": {"family_options": {"width": 4}, "depth": 14}},
            ValueError,
            r"'x' alters 2 choices at once \(depth: 8 → 14; width: 2 → 4\)",
        ),
        (
            {"x": {"depth": 9}},
            ValueError,
            r"The change 'x' is refused: There is no network of depth 9",
        ),
        ({"x": {"depth": 8.5}}, TypeError, "The change 'x' is refused: depth must be"),
        ({"x": {"family_options": 3}}, TypeError, "The change 'x' is refused"),
        (
            {"x": {"family_options": {"widht": 4}}},
            TypeError,
            "'x' is refused: .* no option 'widht'",
        ),
        (
            {"x": {"design": [conv(4), gap_head()]}},
            ValueError,
            "The change 'x' is refused.*composed",
        ),
    ],
)
def test_a_change_that_says_nothing_of_one_choice_is_refused_before_anything_runs(
    changes: Any, error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    inline = erring(wobbling(lambda _spec: 0))
    with pytest.raises(error, match=sentence):
        ablate(tiny(), changes, SEEDS, tmp_path, inline)
    assert inline.ran == []


def test_an_impossible_design_is_refused_with_the_change_and_the_stage(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'x' is refused: The design ends with stage 1, conv\(4"):
        ablate(composed_base(), {"x": {"design": [conv(4)]}}, SEEDS, tmp_path)


@pytest.mark.parametrize("seeds", [[], [0], [7, 7]])
def test_fewer_than_two_seeds_are_refused(seeds: list[int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="One seed says nothing about the noise"):
        ablate(tiny(), {"deep": {"depth": 14}}, seeds, tmp_path)


def test_the_base_is_a_spec(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="The base of an ablation is a Spec"):
        ablate({"depth": 8}, {"deep": {"depth": 14}}, SEEDS, tmp_path)  # type: ignore[arg-type]


# --- how it is shown -------------------------------------------------------------------------


def test_a_notebook_shows_the_table_how_to_read_it_and_a_sentence_a_change(tmp_path: Path) -> None:
    inline = erring(wobbling(lambda spec: 0.2 * (spec.depth == 14)))
    ablation = ablate(tiny(), {"a<b": {"depth": 14}, "same": {}}, SEEDS, tmp_path, inline)
    base, deep, same = ablation.table.rows
    assert base[:3] == ["base", "", "29.7"]  # 29, 30 and 30 for the seeds 3, 1 and 4
    assert deep[:2] == ["a<b", "depth: 8 → 14"] and str(deep[2]).startswith("+20.0  [+")
    assert same == ["same", "none", "0", "0", "0", "0"]
    assert repr(ablation) == str(ablation)  # where HTML is not shown
    html = ablation._repr_html_()
    assert "over 3 seeds" in html and html.count("<li>") == 2
    assert "a&lt;b" in html and "a<b" not in html


def test_french_has_its_comma(tmp_path: Path) -> None:
    inline = erring(wobbling(lambda spec: 0.2 * (spec.depth == 14)))
    i18n.set_language("fr")
    ablation = ablate(tiny(), {"profond": {"depth": 14}}, SEEDS, tmp_path, inline)
    assert "20,0" in str(ablation)
