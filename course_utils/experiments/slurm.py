"""Workers in jobs of a Slurm cluster: one array of jobs, of which so many run at once."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from course_utils.i18n import _

__all__ = ["is_queued", "job_array"]

MOST = 1000  # jobs of an array: Slurm's own bound, unless a cluster has another

# A job that begins when the sweep is over, however that ended, takes the rest with it.
SCRIPT = """#!/bin/bash
(: >/dev/tcp/{host}/{port}) || exec scancel --state=PENDING "$SLURM_ARRAY_JOB_ID"
exec {worker}
"""


@contextlib.contextmanager
def job_array(
    address: str,
    at_once: int,
    spare: int,
    *,
    per_job: int = 1,
    folder: Path,
    options: Mapping[str, Any],
) -> Iterator[str]:
    """Workers for a Dask scheduler, in jobs that Slurm begins and that end with the block.

    They are one array, of which so many jobs run at once. So it is Slurm that begins the next one
    when a job is cancelled, dies or runs out of time, and that waits while a node is drained.

    Args:
        address: that of the scheduler, ``tcp://host:port``; the nodes must reach it.
        at_once: jobs at once.
        spare: jobs to begin after those, as others end.
        per_job: workers in each job.
        folder: for the jobs' logs; every node must see it.
        options: of ``sbatch``, by name; True for one that takes no value.

    Yields:
        The number of the array, as Slurm's commands know it.

    Raises:
        OSError: there is no Slurm here, or it takes no such jobs.
    """
    if shutil.which("sbatch") is None:
        raise OSError(
            _(
                "There is no Slurm on this machine, since sbatch was not found. Start the sweep "
                "on a machine that can submit jobs."
            )
        )
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    # Memory is Slurm's to bound: near a limit of its own, Dask would pause a worker, and for good.
    # And Slurm begins a job anew as Dask's nanny does a worker, whose memory she has given back.
    words = f"-m distributed.cli.dask_worker {address} --nthreads 1 --no-dashboard --memory-limit 0"
    alone = "--no-nanny" if per_job == 1 else f"--nworkers {per_job}"
    worker = f"{shlex.quote(sys.executable)} {words} {alone}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *("sbatch", "--parsable", "--job-name=sweep", f"--output={folder}/%A_%a.log"),
        f"--array=1-{min(at_once + spare, MOST)}%{at_once}",
        *(_option(name, value) for name, value in options.items()),
    ]
    script = SCRIPT.format(host=host, port=port, worker=worker)
    answer = subprocess.run(command, input=script, capture_output=True, text=True)
    if answer.returncode:
        raise OSError(_("Slurm refuses these jobs: {reason}").format(reason=answer.stderr.strip()))
    job = answer.stdout.strip().split(";")[0]
    try:
        yield job
    finally:
        answer = subprocess.run(["scancel", job], capture_output=True, text=True)
        if answer.returncode:
            warnings.warn(
                _(
                    "Slurm could not be told that the sweep is over ({reason}). Its jobs will "
                    "end by themselves; `scancel {job}` ends them at once."
                ).format(reason=answer.stderr.strip(), job=job),
                stacklevel=2,
            )


def _option(name: str, value: Any) -> str:
    name = name.replace("_", "-")
    return f"--{name}" if value is True else f"--{name}={value}"


def is_queued(job: str) -> bool:
    """Whether a job of an array runs or waits, as far as Slurm answers."""
    answer = subprocess.run(["squeue", "--me", "-h", "-o", "%F"], capture_output=True, text=True)
    return answer.returncode != 0 or job in answer.stdout.split()
