"""Where runs are done is chosen once, and what cannot be is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from course_utils.experiments.engines import Engine


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"cluster": "local", "per_gpu": 2}, "--per-gpu is for this machine and for --cluster"),
        ({"options": {"time": 5}}, "--partition, --time and --cluster-option are for jobs"),
        ({"cluster": "tcp://a:1", "options": {"partition": "gpu"}}, "add --cluster slurm"),
        ({"cluster": "local", "options": {"time": 5}}, "add --cluster slurm"),
        ({"workers": 0}, "--workers must be at least 1 and is 0"),
        ({"per_gpu": -1}, "--per-gpu must be at least 1 and is -1"),
        ({"cluster": "local", "patience": 0}, "--patience must be at least 1"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(choices: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Engine(**choices)


def test_the_time_that_slurm_gives_a_job_is_known_at_the_start() -> None:
    assert Engine().time_limit is Engine(cluster="tcp://a:1").time_limit is None
    assert Engine(cluster="slurm").time_limit is None  # that of the partition
    assert Engine(cluster="slurm", options={"time": 90}).time_limit == "90 min"
    assert Engine(cluster="slurm", options={"time": "1-00:00"}).time_limit == "1-00:00"
