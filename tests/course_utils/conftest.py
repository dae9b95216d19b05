"""The gate at which the runs of ``own_gated_runs`` wait."""

from __future__ import annotations

from pathlib import Path

import own_gated_runs
import pytest


@pytest.fixture
def gated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the gated runs say who does them; they wait while ``gate`` is there."""
    folder = tmp_path / "gated"
    folder.mkdir()
    (folder / "gate").touch()
    monkeypatch.setenv(own_gated_runs.FOLDER, str(folder))
    return folder
