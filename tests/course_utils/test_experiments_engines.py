"""Where runs are done is chosen once, and what cannot be is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from making_records import tiny
from running_sweeps import names

from course_utils.experiments.engines import Engine


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"cluster": "local", "per_gpu": 2}, "--per-gpu is for this machine and for --cluster sl"),
        ({"options": {"time": 5}}, "--partition, --time and --cluster-option are for jobs"),
        ({"cluster": "local", "options": {"time": 5}}, "add --cluster slurm"),
        ({"cluster": "tcp://a:1", "options": {"partition": "gpu"}}, "add --cluster slurm"),
        ({"workers": 0}, "--workers must be at least 1, and is 0"),
        ({"per_gpu": -1}, "--per-gpu must be at least 1, and is -1"),
        ({"cluster": "local", "patience": 0}, "--patience must be at least 1"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(choices: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Engine(**choices)


def test_the_time_that_a_job_of_slurm_is_given_is_known_at_the_start() -> None:
    assert Engine().time_limit is Engine(cluster="tcp://a:1").time_limit is None
    assert Engine(cluster="slurm").time_limit is None  # Slurm's own
    assert Engine(cluster="slurm", options={"time": 90}).time_limit == "90 min"
    assert Engine(cluster="slurm", options={"time": "01:30:00"}).time_limit == "01:30:00"


def test_the_runs_are_on_this_machine_or_not() -> None:
    assert Engine().is_here and Engine(cluster="local").is_here
    assert not Engine(cluster="slurm").is_here and not Engine(cluster="tcp://a:1").is_here


def test_where_there_is_no_slurm_that_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = Engine(cluster="slurm", folder=tmp_path / "jobs")
    with pytest.raises(OSError, match="There is no Slurm on this machine"), engine.start([tiny()]):
        pytest.fail("something was started")
    assert names(tmp_path) == set()
