"""Which Chromium the tests in a browser drive."""

from pathlib import Path

import pytest

from course import chromium


def test_the_readers_choice_goes_first_then_playwrights_own_then_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, own, machines = (tmp_path / name for name in ("chosen", "own", "machines"))
    for path in (chosen, own, machines):
        path.touch()
    monkeypatch.setenv("CHROMIUM", str(chosen))
    monkeypatch.setattr(chromium, "_playwrights_own", lambda: str(own))
    monkeypatch.setattr("shutil.which", lambda _name: str(machines))
    monkeypatch.setattr(chromium, "PLACES", ())
    for expected in (chosen, own, machines):
        assert chromium.find_chromium() == str(expected)
        expected.unlink()
    assert chromium.find_chromium() is None
