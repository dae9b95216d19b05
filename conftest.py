"""Every test and doctest starts in English, whatever language the machine or the last one chose."""

import pytest


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_utils.i18n._chosen", "en")
