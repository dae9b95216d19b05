"""What lesson 3 says of a thousand photographs is what the records that come with it say."""

from __future__ import annotations

from course_utils.degradation import Reference, references, verdict

NET = tuple[str, int]


def photographs() -> Reference:
    return next(one for one in references() if one.name == "natural_images")


def at_the_best_rate(times: int) -> dict[NET, dict[int, float]]:
    """Training errors of each net by seed, with that many times the steps of the comparison."""
    judged = verdict(photographs().records)
    found: dict[NET, dict[int, float]] = {}
    for run in photographs().records:
        net = run.spec.family, run.spec.depth
        at_best = run.spec.learning_rate == judged.plateaus[net].best
        if at_best and run.steps == times * judged.steps:
            found.setdefault(net, {})[run.spec.seed] = run.train_error
    return found


def test_every_net_has_three_rates_and_three_seeds_at_both_budgets() -> None:
    plateaus = verdict(photographs().records).plateaus
    assert all(len(plateau.rates) >= 3 for plateau in plateaus.values())
    for times in (1, 2):
        seeds = {net: len(errors) for net, errors in at_the_best_rate(times).items()}
        assert seeds.keys() == plateaus.keys() and min(seeds.values()) >= 3


def test_no_rate_teaches_the_deep_plain_net_what_the_shallow_one_memorises() -> None:
    deep = [
        run for run in photographs().records if (run.spec.family, run.spec.depth) == ("plain", 56)
    ]
    assert min(run.train_error for run in deep) > 0.3
    assert max(at_the_best_rate(1)["plain", 20].values()) < 0.01


def test_depth_costs_the_residual_net_nothing() -> None:
    assert max(at_the_best_rate(1)["residual", 56].values()) < 0.01


def test_only_the_deep_plain_net_still_learns_with_twice_the_steps() -> None:
    for net, plateau in verdict(photographs().records).plateaus.items():
        assert plateau.is_reached == (net != ("plain", 56)), net
    once, twice = (at_the_best_rate(times)["plain", 56] for times in (1, 2))
    assert len(twice) >= 3 and all(once[seed] - twice[seed] > 0.05 for seed in twice)
