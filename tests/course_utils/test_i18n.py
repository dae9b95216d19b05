"""The messages' language: chosen, else asked for by the machine, else English."""

from __future__ import annotations

import io

import pytest

from course_utils import i18n
from course_utils.i18n import _, current_language, number, percent, say, set_language, speaking

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


class Screen(io.StringIO):
    """A terminal, or a notebook, which says of itself that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "widest"), [("60", 60), ("200", 80)])
def test_a_long_sentence_on_a_screen_is_cut_between_words_and_within_80_columns(
    columns: str, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    sentence = "It goes on, and on, " * 20 + "1\u202f437 images in /a-path/" + "long" * 30
    say(f"{sentence}\nAnother.", screen := Screen())
    *lines, path, another = screen.getvalue().splitlines()
    assert " ".join([*lines, path]) == sentence and another == "Another."
    assert widest - 20 < max(map(len, lines)) <= widest and path.endswith("longlong")
    say(sentence, file := io.StringIO())
    assert file.getvalue() == f"{sentence}\n"


@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_number_is_written_as_a_program_writes_powers_of_ten(language: str) -> None:
    with speaking(language):
        texts = {v: number(v, 3) for v in (1e-7, -2.5e-9, 3567.0, 1.236e8, 6.02e23, 1e-4)}
    assert texts[1e-7] == "10⁻⁷"
    point, thousand = (",", "\u202f") if language == "fr" else (".", ",")
    assert texts[-2.5e-9] == f"−2{point}5\u202f×\u202f10⁻⁹"
    assert texts[3567.0] == f"3{thousand}570"
    assert texts[1.236e8] == f"124{thousand}000{thousand}000"
    assert texts[6.02e23] == f"6{point}02\u202f×\u202f10²³"
    assert texts[1e-4] == f"0{point}0001"
