"""The catalogues of messages: complete, in line with the code, compiled, and never guessing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from course.files import REPOSITORY
from course.words.messages import HOUSES, catalogue, update_messages

each_house = pytest.mark.parametrize("house", HOUSES)


def parsed(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def places(text: str) -> set[str]:
    """What is filled in: by ``format``, or by argparse."""
    fields = {name for _before, name, _spec, _kind in Formatter().parse(text) if name is not None}
    return fields | set(re.findall(r"%\(\w+\)[rs]|%[rs]", text))


@each_house
def test_every_message_of_the_code_has_its_french_and_no_other_is_kept(house: str) -> None:
    said = {message for _file, _line, message, *_more in extract_from_dir(REPOSITORY / house)}
    entries = [entry for entry in parsed(catalogue(house)) if entry.id]
    assert {entry.id for entry in entries} == said, "run `make messages`"
    assert [entry.id for entry in entries if not entry.string or entry.fuzzy] == []


@each_house
def test_the_french_fills_the_places_of_the_english(house: str) -> None:
    for entry in parsed(catalogue(house)):
        forms = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        (text, *_plural) = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        assert all(not form or places(form) == places(text) for form in forms), entry.id


@each_house
def test_the_french_sets_its_punctuation_and_units_apart_with_no_break_spaces(house: str) -> None:
    for entry in parsed(catalogue(house)):
        forms = entry.string if isinstance(entry.string, tuple) else (str(entry.string or ""),)
        for form in forms if entry.id else ():
            prose = re.sub(r"`[^`]*`|%\(\w+\)[rs]|%[rs]", "", form)
            assert not re.search(r"[ \N{NARROW NO-BREAK SPACE}]:(?=\s|$)", prose), form
            assert not re.search(r"[ \N{NO-BREAK SPACE}][;?!](?=\s|$)", prose), form
            assert not re.search(r"[\d}][ \N{NO-BREAK SPACE}]?%|« | »", prose), form


@each_house
def test_the_compiled_catalogue_is_what_its_text_compiles_to(house: str) -> None:
    path, compiled = catalogue(house), BytesIO()
    write_mo(compiled, parsed(path))
    assert compiled.getvalue() == path.with_suffix(".mo").read_bytes(), "run `make messages`"


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of its functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from at_import(child.args)
            for decorator in getattr(child, "decorator_list", []):
                yield decorator
                yield from at_import(decorator)
        else:
            yield child
            yield from at_import(child)


@each_house
def test_a_message_is_one_literal_and_waits_until_it_is_shown(house: str) -> None:
    found = {entry.id for entry in parsed(catalogue(house)) if isinstance(entry.id, str)}
    for path in sorted((REPOSITORY / house).rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        early = set(at_import(module))
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
                where = f"{path}:{node.lineno}"
                assert [type(each) for each in node.args] == [ast.Constant], where
                assert not node.keywords, where
                assert node not in early, f"{where} is translated when it is imported"
                # Babel does not look into an f-string.
                assert node.args[0].value in found, where  # type: ignore[attr-defined]


def test_a_new_message_enters_empty_and_what_left_the_code_goes(tmp_path: Path) -> None:
    module = tmp_path / "house" / "module.py"
    path = catalogue("house", tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text('msgid ""\nmsgstr ""\n\nmsgid "A text"\nmsgstr "Un texte"\n', encoding="utf-8")

    def update(code: str) -> dict[str, str]:
        module.write_text(code, encoding="utf-8")
        update_messages(tmp_path, ["house"])
        return {entry.id: entry.string for entry in parsed(path) if entry.id}

    code = 'def f():\n    return _("A " "text"), _("A near text")\n'
    assert update(code) == {"A text": "Un texte", "A near text": ""}
    before = path.read_bytes()
    assert update("\n\n" + code) == {"A text": "Un texte", "A near text": ""}
    assert path.read_bytes() == before
    assert update('def f():\n    return _("A near text")\n') == {"A near text": ""}
