"""Records are shown as a table, a line a net."""

from __future__ import annotations

from making_records import record, tiny

from course_utils.experiments import results
from course_utils.i18n import speaking


def test_results_give_the_median_and_the_range_of_the_seeds() -> None:
    records = [record(tiny(seed=seed), error) for seed, error in enumerate((0.1, 0.2, 0.6))]
    ((name, seeds, train, test, parameters, seconds),) = results(records).rows
    assert (name, seeds, train) == ("plain-8", 3, "20.0 [10.0–60.0]")
    assert (test, parameters, seconds) == ("50.0 [50.0–50.0]", "1,234", "2")


def test_the_longest_line_of_the_papers_grid_fits_a_terminal() -> None:
    runs = [record(tiny("residual", depth=110, seed=seed), 1.0) for seed in range(3)]
    for language in ("fr", "en"):
        with speaking(language):
            assert max(map(len, str(results(runs)).splitlines())) <= 80


def test_nets_of_one_depth_that_were_trained_otherwise_have_a_line_each() -> None:
    specs = [tiny(), tiny(learning_rate=0.01), tiny(gradient_clip=1.0), tiny(depth=14)]
    assert [row[0] for row in results(map(record, specs)).rows] == [
        "plain-8, learning_rate 0.1",
        "plain-8, learning_rate 0.01",
        "plain-8, learning_rate 0.1, gradient_clip 1",
        "plain-14",
    ]
