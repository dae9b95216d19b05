"""What runs will cost is known before they are started, from records or from a few steps."""

from __future__ import annotations

import pytest
from making_records import record, tiny
from running_sweeps import Inline

from course_utils.experiments.estimating import Estimate, estimate, plan, time_of_all, trial
from course_utils.experiments.record import describe_machine


def test_a_trial_reckons_from_a_few_steps_what_the_run_costs() -> None:
    spec = tiny(steps=None, epochs=4, evaluate_every=2)
    found = trial(spec)
    assert found.source == "steps" and found.seconds > 0
    twice = trial(tiny(steps=None, epochs=4000, evaluate_every=2))
    assert twice.seconds > 50 * found.seconds  # a thousand times as long, give or take the noise
    assert found.megabytes is None or 50 < found.megabytes < 50_000


def test_estimates_come_from_other_seeds_where_there_are_and_from_a_trial_where_not() -> None:
    here = record(tiny(seed=0), seconds=7.0)
    here.machine["processor"] = describe_machine()["processor"]
    elsewhere = record(tiny(depth=14, seed=0), seconds=9000.0)
    executor = Inline()
    found = estimate([tiny(seed=1), tiny(depth=14, seed=1)], [here, elsewhere], executor)
    assert found[tiny(seed=1)] == Estimate(7.0, None, "records")
    assert found[tiny(depth=14, seed=1)].source == "steps"
    assert executor.ran == [tiny(depth=14, seed=0)]


def test_the_timing_is_said_where_no_bar_can_be_drawn_and_only_if_there_is_some(
    capsys: pytest.CaptureFixture[str],
) -> None:
    estimate([tiny(seed=1)], [], Inline(), progress=True)
    assert capsys.readouterr().err == "timing a few steps of each network…\n"
    here = record(tiny(seed=0), seconds=7.0)
    here.machine["processor"] = describe_machine()["processor"]
    estimate([tiny(seed=1)], [here], Inline(), progress=True)
    estimate([tiny(seed=1)], [], Inline())
    assert capsys.readouterr().err == ""


def test_a_net_that_cannot_be_tried_has_no_estimate() -> None:
    assert estimate([tiny("own_gated_runs:refusing", family_options={})], [], Inline()) == {}


def test_the_whole_takes_as_long_as_the_busiest_worker() -> None:
    costs = {14: 5.0, 8: 3.0}
    estimates = {
        tiny(depth=depth, seed=seed): Estimate(seconds, None, "steps")
        for depth, seconds in costs.items()
        for seed in range(2)
    }
    # Two workers: 5 + 3 each. Three: 5, 5, and 3 + 3.
    assert [time_of_all(estimates, workers) for workers in (1, 2, 3)] == [16, 8, 6]
    assert time_of_all({}, 2) == 0


def test_the_plan_says_what_is_there_and_what_a_run_costs() -> None:
    specs = [tiny(seed=seed) for seed in range(3)] + [tiny("residual")]
    costs = {spec: Estimate(90.0, 812.3, "steps") for spec in specs[1:3]}
    table = plan(specs, {specs[0]: record(specs[0])}, costs)
    assert [list(map(str, row)) for row in table.rows] == [
        ["plain-8", "1", "2", "2 min", "812 MB", "timing a few steps"],
        ["residual-8", "0", "1", "–", "–", "–"],
    ]
