"""Where runs are done is chosen once, and what cannot be is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from course_utils.experiments.engines import Engine, job_options


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"cluster": "local", "slurm": "local"}, "Choose one of --cluster .* and --slurm"),
        ({"cluster": "local", "per_gpu": 2}, "--per-gpu is for this machine and for --slurm"),
        ({"options": {"timeout_min": 5}}, "--partition, --time and --cluster-option are for jobs"),
        ({"cluster": "tcp://a:1", "options": {"queue": "gpu"}}, "add --slurm, or --cluster slurm"),
        ({"workers": 0}, "--workers must be at least 1 and is 0"),
        ({"per_gpu": -1}, "--per-gpu must be at least 1 and is -1"),
        ({"cluster": "local", "patience": 0}, "--patience must be at least 1"),
        ({"slurm": "slurm", "options": {"timeout_min": 0}}, "timeout_min must be at least 1"),
        ({"cluster": "slurm", "options": {"jobs": 0}}, "jobs must be at least 1"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(choices: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Engine(**choices)


@pytest.mark.parametrize("minutes", [0, -5])
@pytest.mark.parametrize("cluster", [None, "slurm"])
def test_a_job_lasts_a_minute_or_more(cluster: str | None, minutes: int) -> None:
    with pytest.raises(ValueError, match=f"--time must be at least 1 and is {minutes}"):
        job_options(cluster, None, minutes, {})


def test_the_time_that_slurm_gives_a_job_is_known_at_the_start() -> None:
    assert Engine().time_limit is Engine(cluster="tcp://a:1").time_limit is None
    assert Engine(slurm="local").time_limit is None
    assert Engine(slurm="slurm").time_limit == "60 min"
    assert Engine(slurm="slurm", options=job_options(None, None, 90, {})).time_limit == "90 min"
    pytest.importorskip("dask_jobqueue")
    assert Engine(cluster="slurm").time_limit == "00:30:00"  # dask_jobqueue's own
    options = job_options("slurm", None, 90, {})
    assert Engine(cluster="slurm", options=options).time_limit == "01:30:00"
