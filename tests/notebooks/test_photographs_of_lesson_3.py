"""What lesson 3 says of a thousand photographs is what the records that come with it say."""

from __future__ import annotations

from functools import cache

from course_utils.degradation import references, verdict
from course_utils.degradation.judging import Plateau
from course_utils.experiments import Record

NET = tuple[str, int]


@cache
def photographs(deepest: int = 56) -> list[Record]:
    kept = next(one for one in references() if one.name == "natural_images")
    return [run for run in kept.records if run.spec.depth <= deepest]


@cache
def plateaus() -> dict[NET, Plateau]:
    """Of every net, at the budget of the comparison."""
    return {**verdict(photographs()).plateaus, **verdict(photographs(32)).plateaus}


def at_the_best_rate(times: int) -> dict[NET, dict[int, float]]:
    """Training errors of each net by seed, with that many times the steps of the comparison."""
    steps, found = times * verdict(photographs()).steps, dict[NET, dict[int, float]]()
    for run in photographs():
        net = run.spec.family, run.spec.depth
        if run.spec.learning_rate == plateaus()[net].best and run.steps == steps:
            found.setdefault(net, {})[run.spec.seed] = run.train_error
    return found


def test_every_net_has_three_rates_and_three_seeds_at_both_budgets() -> None:
    assert verdict(photographs(32)).steps == verdict(photographs()).steps == 9_300
    assert all(len(plateau.rates) >= 3 for plateau in plateaus().values())
    for times in (1, 2):
        seeds = {net: len(errors) for net, errors in at_the_best_rate(times).items()}
        assert seeds.keys() == plateaus().keys() and min(seeds.values()) >= 3


def test_no_rate_teaches_the_deep_plain_net_what_the_shallow_one_memorises() -> None:
    deep = [run for run in photographs() if (run.spec.family, run.spec.depth) == ("plain", 56)]
    assert min(run.train_error for run in deep if run.steps == 9_300) > 0.5
    assert max(at_the_best_rate(1)["plain", 20].values()) < 0.01


def test_depth_costs_the_residual_net_nothing() -> None:
    assert all(max(at_the_best_rate(1)["residual", depth].values()) < 0.01 for depth in (32, 56))


def test_twice_the_steps_end_the_gap_at_32_layers_and_four_times_most_of_it_at_56() -> None:
    reached = {net: plateau.is_reached for net, plateau in plateaus().items()}
    assert [net for net in reached if not reached[net]] == [("plain", 56), ("plain", 32)]
    twice, longest = at_the_best_rate(2), at_the_best_rate(4)
    assert verdict(photographs(32)).shown and max(twice["plain", 32].values()) < 0.01
    assert min(twice["plain", 56].values()) > 0.4
    assert len(longest["plain", 56]) >= 3 and max(longest["plain", 56].values()) < 0.1
    assert at_the_best_rate(8) == {("plain", 56): {0: 0.0}}
