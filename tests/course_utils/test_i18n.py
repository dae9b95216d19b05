"""The messages' language: chosen, else asked for by the machine, else English."""

from __future__ import annotations

import pytest

from course_utils import i18n
from course_utils.i18n import _, current_language, number, percent, set_language, speaking

MESSAGE = "seed {seed}"


@pytest.fixture(autouse=True)
def nothing_chosen(english: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_chosen", None)
    monkeypatch.delenv(i18n.ENVIRONMENT_VARIABLE, raising=False)


def test_without_a_choice_messages_are_the_english_of_the_code() -> None:
    assert current_language() == "en"
    assert _(MESSAGE) == MESSAGE


def test_the_language_chosen_is_spoken_from_then_on() -> None:
    set_language("fr")
    assert current_language() == "fr"
    assert _(MESSAGE) == "graine {seed}"
    set_language("en")
    assert _(MESSAGE) == MESSAGE


@pytest.mark.parametrize(
    ("asked", "spoken"), [("fr", "fr"), ("en", "en"), ("de", "en"), ("FR", "en"), ("", "en")]
)
def test_the_machine_may_ask_for_a_language_that_there_is(
    monkeypatch: pytest.MonkeyPatch, asked: str, spoken: str
) -> None:
    monkeypatch.setenv("COURSE_LANGUAGE", asked)
    assert current_language() == spoken


def test_a_choice_goes_before_what_the_machine_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_LANGUAGE", "fr")
    set_language("en")
    assert current_language() == "en"


@pytest.mark.parametrize("language", ["de", "", "FR", None])
def test_another_language_is_refused_in_both_and_changes_nothing(language: str) -> None:
    set_language("fr")
    with pytest.raises(ValueError, match=r"No language .* / Pas de langue .*: .*fr, en\."):
        set_language(language)
    assert current_language() == "fr"


def test_a_language_spoken_for_a_while_leaves_no_choice_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(KeyError), speaking("fr"):
        assert _(MESSAGE) == "graine {seed}"
        raise KeyError
    assert _(MESSAGE) == MESSAGE
    monkeypatch.setenv("COURSE_LANGUAGE", "fr")
    assert current_language() == "fr"


def test_a_message_without_a_translation_is_its_english() -> None:
    set_language("fr")
    assert _("A sentence that nobody wrote yet.") == "A sentence that nobody wrote yet."


@pytest.mark.parametrize(
    ("value", "digits", "english", "french"),
    [
        (1234.5, 5, "1,234.5", "1\u202f234,5"),
        (-0.5, 1, "−0.5", "−0,5"),
        (40_551_040, 8, "40,551,040", "40\u202f551\u202f040"),
        (0.25, 3, "0.25", "0,25"),
        (7, 3, "7", "7"),
    ],
)
def test_numbers_are_written_as_the_language_does(
    value: float, digits: int, english: str, french: str
) -> None:
    assert number(value, digits) == english
    set_language("fr")
    assert number(value, digits) == french


def test_shares_are_percentages_with_the_sign_that_the_language_sets_apart() -> None:
    assert percent(0.125) == "12.5%"
    assert percent(1, 0) == "100%"
    set_language("fr")
    assert percent(0.125) == "12,5\u202f%"
    assert percent(-0.0004, 2) == "−0,04\u202f%"
