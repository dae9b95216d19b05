"""What importing the package does to the process: how torch's threads wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ROOM = {"GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="torch's OpenMP is GCC's on Linux alone")
@pytest.mark.parametrize(
    ("told", "spins"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "500"}, "500"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "0"),
    ],
)
def test_threads_that_wait_soon_sleep_unless_the_reader_says_how(
    told: dict[str, str], spins: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ROOM}
    answer = subprocess.run(
        [sys.executable, "-c", "import course_utils, torch"],
        env=inherited | told | {"OMP_DISPLAY_ENV": "VERBOSE"},
        check=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert f"GOMP_SPINCOUNT = '{spins}'" in answer.stderr  # in the runtime's own words
