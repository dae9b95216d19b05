"""The catalogue of messages: complete, consistent, compiled, and never guessing."""

from __future__ import annotations

import argparse
import gettext
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from course.authors import add_subcommands

from course.words.messages import (
    Translation,
    catalogue_text,
    check_messages,
    compile_catalogue,
    extract_msgids,
    read_catalogue,
    source_faults,
    update_messages,
)

CODE = """
from course_utils.i18n import _

def greet(name):
    print(_("Good morning, {name}").format(name=name))
    print(_("A text "
            "in two parts"))
"""


class Package(NamedTuple):
    """A package of one module with its catalogue, as the functions under test take them."""

    folder: Path
    catalogue: Path
    compiled: Path

    def write(self, code: str) -> None:
        (self.folder / "module.py").write_text(code, encoding="utf-8")

    def translate(self, **texts: Translation) -> None:
        known = read_catalogue(self.catalogue)
        for msgid in known:
            for start, translation in texts.items():
                if msgid.startswith(start):
                    known[msgid] = translation
        self.catalogue.write_text(catalogue_text(known), encoding="utf-8")
        self.compiled.write_bytes(compile_catalogue(known))


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_utils.i18n._chosen", "en")


@pytest.fixture
def package(tmp_path: Path) -> Package:
    folder = tmp_path / "package"
    folder.mkdir()
    answer = Package(folder, tmp_path / "fr.po", tmp_path / "fr.mo")
    answer.write(CODE)
    return answer


@pytest.fixture
def translated(package: Package) -> Package:
    update_messages(*package)
    package.translate(Good=Translation("Bonjour, {name}"), A=Translation("Un texte"))
    return package


def test_adjacent_literals_are_one_message_and_strings_outside_the_call_are_none(
    package: Package,
) -> None:
    assert extract_msgids(package.folder) == ["A text in two parts", "Good morning, {name}"]


def test_a_new_message_enters_empty_and_is_never_guessed_from_a_near_one(
    translated: Package,
) -> None:
    translated.write(CODE.replace("Good morning, {name}", "Good morning, {name}!"))
    update = update_messages(*translated)
    assert update.added == update.untranslated == ("Good morning, {name}!",)
    assert update.removed == ("Good morning, {name}",)
    assert read_catalogue(translated.catalogue) == {
        "Good morning, {name}!": Translation(""),
        "A text in two parts": Translation("Un texte"),
    }


def test_the_notes_of_a_translator_outlive_an_update(translated: Package) -> None:
    translated.translate(A=Translation("Un texte", notes=("as in the glossary",)))
    update_messages(*translated)
    known = read_catalogue(translated.catalogue)
    assert known["A text in two parts"].notes == ("as in the glossary",)


def test_translations_are_taken_from_another_file_without_header(
    package: Package, tmp_path: Path
) -> None:
    other = tmp_path / "other.po"
    other.write_text(
        'msgid "A text in two parts"\nmsgstr "Un texte à deux parts"\n\n'
        'msgid "of another package"\nmsgstr "une autre"\n',
        encoding="utf-8",
    )
    update = update_messages(*package, sources=[other])
    assert update.untranslated == ("Good morning, {name}",)
    assert read_catalogue(package.catalogue)["A text in two parts"].text == "Un texte à deux parts"


def test_the_compiled_file_is_the_one_that_gettext_reads(translated: Package) -> None:
    with translated.compiled.open("rb") as file:
        french = gettext.GNUTranslations(file)
    assert french.gettext("Good morning, {name}") == "Bonjour, {name}"
    assert french.gettext("unknown") == "unknown"


def test_an_update_without_change_writes_the_same_bytes_without_dates_or_places(
    translated: Package,
) -> None:
    update_messages(*translated)
    first = translated.catalogue.read_bytes(), translated.compiled.read_bytes()
    translated.write("\n\n\n" + CODE)  # every line number changes, no message does
    update_messages(*translated)
    assert (translated.catalogue.read_bytes(), translated.compiled.read_bytes()) == first
    for trace in (b"Date", b"Babel", b"module.py", b"format"):
        assert trace not in first[0] + first[1]


def test_a_complete_catalogue_passes(translated: Package) -> None:
    assert check_messages(*translated) == []


def only(faults: list[str]) -> str:
    assert len(faults) == 1, faults
    return faults[0]


def test_a_message_without_french_is_named(translated: Package) -> None:
    translated.translate(A=Translation(""))
    assert "No French yet for “A text in two parts”" in only(check_messages(*translated))


def test_a_message_that_the_catalogue_does_not_have_is_named(translated: Package) -> None:
    translated.write(CODE + '\ndef more():\n    return _("One more")\n')
    assert "No French yet for “One more”" in only(check_messages(*translated))


def test_a_message_that_left_the_code_is_named(translated: Package) -> None:
    translated.write(CODE.replace('print(_("Good morning, {name}").format(name=name))', "pass"))
    fault = only(check_messages(*translated))
    assert "“Good morning, {name}”" in fault and "no longer in the code" in fault


def test_a_fuzzy_entry_is_named_and_stays_out_of_the_compiled_file(translated: Package) -> None:
    translated.translate(A=Translation("Un texte", fuzzy=True))
    assert "fuzzy" in only(check_messages(*translated))
    with translated.compiled.open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("A text in two parts") == "A text in two parts"


@pytest.mark.parametrize("french", ["Bonjour", "Bonjour, {nom}", "Bonjour, {name} et {other}"])
def test_a_translation_that_fills_other_places_is_named(translated: Package, french: str) -> None:
    translated.translate(Good=Translation(french))
    assert "{name} in English" in only(check_messages(*translated))


def test_a_translation_with_an_open_brace_is_named(translated: Package) -> None:
    translated.translate(Good=Translation("Bonjour, {name"))
    assert "braces" in only(check_messages(*translated))


def test_places_may_change_order_and_format_and_count(package: Package) -> None:
    package.write('def f():\n    return _("A {share:.1%} of {all} in {all}")\n')
    update_messages(*package)
    package.translate(A=Translation("Sur {all}, {share:.0%}"))
    assert check_messages(*package) == []


@pytest.mark.parametrize("stale", [b"", b"old"])
def test_a_stale_compiled_file_is_named(translated: Package, stale: bytes) -> None:
    translated.compiled.write_bytes(stale)
    assert "messages update" in only(check_messages(*translated))


@pytest.mark.parametrize(
    "argument", ['f"{x} images"', '"a" + x', '"{n}".format(n=1)', "x", '"one", "two"', ""]
)
def test_a_text_that_is_computed_inside_the_call_is_refused(
    package: Package, argument: str
) -> None:
    package.write(f"def f(x):\n    return _({argument})\n")
    fault = only(source_faults(package.folder))
    assert fault.startswith("package/module.py:2:") and "literal" in fault


@pytest.mark.parametrize(
    "code",
    [
        'TITLE = _("Title")',
        'def f(text=_("Title")): ...',
        'class A:\n    title = _("Title")',
        '@register(_("Title"))\ndef f(): ...',
    ],
)
def test_a_call_that_runs_at_import_is_refused(package: Package, code: str) -> None:
    package.write(code)
    assert "imported" in only(source_faults(package.folder))


@pytest.mark.parametrize(
    "code", ['f = lambda: _("Title")', 'class A:\n    def f(self):\n        return [_("Title")]']
)
def test_a_call_that_runs_later_is_accepted(package: Package, code: str) -> None:
    package.write(code)
    assert source_faults(package.folder) == []


def test_a_broken_catalogue_is_refused_in_a_sentence_and_left_alone(package: Package) -> None:
    half_merged = '<<<<<<< HEAD\nmsgid "map"\nmsgstr "carte"\n'
    package.catalogue.write_text(half_merged, encoding="utf-8")
    with pytest.raises(ValueError, match="not a catalogue"):
        update_messages(*package)
    assert package.catalogue.read_text(encoding="utf-8") == half_merged


def test_a_catalogue_in_another_encoding_is_refused(package: Package) -> None:
    package.catalogue.write_bytes('msgid "map"\nmsgstr "écran"\n'.encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        read_catalogue(package.catalogue)


@pytest.mark.parametrize("command", [["messages"], ["messages", "update"], ["messages", "check"]])
def test_help_shows_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_subcommands(parser.add_subparsers())
    with pytest.raises(SystemExit):
        parser.parse_args([*command, "--help"])
    assert "python -m course messages" in capsys.readouterr().out


def test_without_babel_the_command_says_so_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "course.words.messages")
    monkeypatch.setitem(sys.modules, "babel", None)
    monkeypatch.setitem(sys.modules, "babel.messages.catalog", None)
    parser = argparse.ArgumentParser()
    add_subcommands(parser.add_subparsers())
    arguments = parser.parse_args(["messages", "check"])
    assert arguments.handler(arguments) == 1
    assert capsys.readouterr().err.startswith("`messages` needs Babel")


def test_every_message_of_the_package_has_its_french() -> None:
    assert check_messages() == []
