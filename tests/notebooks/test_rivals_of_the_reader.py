"""The competitors of lesson 5 cost the same, were trained well, and bear the lesson's words out."""

from __future__ import annotations

from functools import cache
from statistics import fmean, median
from typing import Any

import nbformat
import pytest

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons
from course_utils.degradation import Record, run
from course_utils.experiments import Ablation, Difference, compare
from course_utils.experiments.ablation import difference
from course_utils.models import compose, count_macs, count_parameters

LESSON_5 = [each for each in find_lessons(REPOSITORY, "all") if each.number == 5]
each_edition = pytest.mark.parametrize("lesson", LESSON_5, ids=lambda lesson: lesson.language)
each_place = pytest.mark.parametrize("place", range(5), ids=["1x1", "gap", "plain", "res", "dense"])


@cache
def names(lesson: LessonFile) -> dict[str, Any]:
    """What the lesson has defined once it has described its runs."""
    found: dict[str, Any] = {}
    cells = ("parameters", "setup", "baselines", "cost-tools", "stored", "variants", "depths")
    for cell in nbformat.read(lesson.path, as_version=4).cells:
        if cell.id in cells:
            exec(cell.source, found)
    return found


def kept(place: int, **changes: Any) -> dict[int, Record]:
    """The runs of one competitor that come with the course, by seed."""
    known = names(LESSON_5[0])
    design = list(known["baselines"].values())[place]
    found: dict[int, Record] = known["runs_kept"](design, **changes)
    return found


def train_error(one: Record) -> float:
    return one.train_error


@each_edition
def test_every_competitor_spends_both_budgets_to_within_five_percent(lesson: LessonFile) -> None:
    known = names(lesson)
    for design in [*known["baselines"].values(), *known["set_aside"].values()]:
        net = compose(design)
        assert 0.95 <= count_parameters(net) / known["max_parameters"] <= 1, design
        assert 0.95 <= count_macs(net, (3, 24, 24)) / known["max_macs"] <= 1, design


def test_the_editions_train_the_same_networks() -> None:
    french, english = map(names, LESSON_5)
    for which in ("baselines", "set_aside"):
        assert list(french[which].values()) == list(english[which].values())


def test_each_competitor_is_the_better_of_its_variants_by_validation() -> None:
    known = names(LESSON_5[0])
    for name, design in known["baselines"].items():
        chosen, aside = (
            known["kept"][known["run_of"](net, known["chosen_by"])]
            for net in (design, known["set_aside"][name])
        )
        assert chosen.judged_error <= aside.judged_error, name


def gain(before: dict[str, Any], after: dict[str, Any]) -> Difference:
    """How the mean validation error of the competitors changes from one trial to another."""
    rows = [(kept(place, **before), kept(place, **after)) for place in range(5)]
    shared = set.intersection(*(set(first) & set(second) for first, second in rows))
    old, new = (
        {seed: fmean(row[trial][seed].judged_error for row in rows) for seed in shared}
        for trial in (0, 1)
    )
    return difference(old, new, changes=3, images=1000)


PLAIN = 2


@each_place
def test_the_lessons_rate_gives_a_competitor_its_lowest_median(place: int) -> None:
    by_rate = {rate: kept(place, learning_rate=rate) for rate in (0.1, 0.3, 1.0)}
    seeds = set.intersection(*map(set, by_rate.values()))
    assert len(seeds) >= 3
    medians = {
        rate: median(runs[seed].judged_error for seed in seeds) for rate, runs in by_rate.items()
    }
    if place == PLAIN:
        assert max(medians.values()) - min(medians.values()) < 0.01
    else:
        rate = names(LESSON_5[0])["recipe"]["learning_rate"]
        assert min(medians, key=medians.__getitem__) == rate


@pytest.mark.parametrize(("rate", "established"), [(0.1, True), (1.0, False)])
def test_which_of_the_other_rates_is_worse_is_what_the_lesson_says(
    rate: float, established: bool
) -> None:
    found = gain({"learning_rate": rate}, {})
    assert found.mean < 0
    assert found.is_larger_than_noise == established


def test_twice_the_steps_still_lower_the_validation_error() -> None:
    found = gain({}, {"epochs": 2 * names(LESSON_5[0])["epochs"]})
    assert found.is_larger_than_noise and found.mean < 0


@each_place
def test_a_competitor_had_reached_a_plateau_of_its_training_error(place: int) -> None:
    once, twice = kept(place), kept(place, epochs=2 * names(LESSON_5[0])["epochs"])
    assert len(twice) >= 3
    assert all(abs(once[seed].train_error - twice[seed].train_error) < 0.02 for seed in twice)


def path(**changes: Any) -> Ablation:
    """The comparison with the residual network, over all the seeds there are."""
    known = names(LESSON_5[0])
    designs = list(known["baselines"].values())
    others = {str(place): known["run_of"](designs[place], 0, **changes) for place in (0, 1, 2, 4)}
    runs = [one for place in range(5) for one in kept(place, **changes).values()]
    return compare(known["run_of"](designs[3], 0, **changes), others, runs)


@pytest.mark.parametrize("times", [1, 2])
def test_no_competitor_stands_out_at_either_budget(times: int) -> None:
    found = path(epochs=times * names(LESSON_5[0])["epochs"])
    assert len(found.seeds) >= 7
    assert not any(one.judged.is_larger_than_noise for one in found.effects.values())


def test_the_additions_help_the_deepest_network_learn_at_each_ones_best_rate() -> None:
    known = names(LESSON_5[0])
    by_rate = [
        [known["runs_kept"](net, learning_rate=rate) for net in known["by_depth"][34].values()]
        for rate in (0.03, 0.1, 0.3)
    ]
    without, with_them = (
        min((runs for runs in of if runs), key=lambda runs: fmean(map(train_error, runs.values())))
        for of in zip(*by_rate, strict=True)
    )
    assert min(map(train_error, without.values())) > max(map(train_error, with_them.values()))


def test_what_the_command_repeats_is_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import rivals

    known = rivals.lesson()
    assert set(rivals.planned(known, 8)) <= set(known["kept"])


@pytest.mark.slow
@pytest.mark.parametrize("place", [1, 2], ids=["gap", "plain"])
def test_a_competitor_trained_again_errs_as_much_as_its_seeds_do(place: int) -> None:
    runs = kept(place)
    errors = [one.judged_error for one in runs.values()]
    again = run(runs[0].spec)
    room = max(errors) - min(errors)  # other processors round otherwise: as another seed might do
    assert again.train_error < 0.02
    assert min(errors) - room <= again.judged_error <= max(errors) + room
