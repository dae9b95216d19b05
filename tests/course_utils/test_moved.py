"""What lay elsewhere in version 0.1 says where it is now; what never was there is as ever."""

from __future__ import annotations

import importlib
import importlib.util
import re

import pytest

from course_utils import moved


@pytest.mark.parametrize("old", moved.MODULES)
def test_a_module_that_moved_says_where_to(old: str) -> None:
    with pytest.raises(ImportError, match=rf"course_utils\.{old} has moved: import it from course"):
        importlib.import_module(f"course_utils.{old}")


def test_it_does_so_however_it_is_imported() -> None:
    for statement in (
        "from course_utils import sweeps",
        "from course_utils.sweeps import specs_of",
        "import course_utils.authoring.editions",
        "from course_utils.degradation import sweeping",
    ):
        with pytest.raises(ImportError, match=r"has moved: import it from course"):
            exec(statement)


@pytest.mark.parametrize("old", moved.MODULES)
def test_where_it_says_to_look_is_there(old: str) -> None:
    places = re.findall(r"[a-z_]+(?:\.[a-z_]+)+|^course", moved.MODULES[old])
    assert places and all(importlib.util.find_spec(place) is not None for place in places)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("from course_utils.tables import results", "course_utils.experiments"),
        ("from course_utils.models import conv", "course_utils.models.stages"),
        ("from course_utils.models import gap_head", "course_utils.models.stages"),
    ],
)
def test_a_name_that_moved_says_where_to(statement: str, place: str) -> None:
    name = statement.split()[-1]
    with pytest.raises(ImportError, match=rf"{name} has moved: import it from {place}\."):
        exec(statement)
    assert hasattr(importlib.import_module(place), name)


def test_what_never_was_there_is_answered_as_python_does() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'course_utils\.nothing'"):
        importlib.import_module("course_utils.nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from course_utils.tables import nothing")
    for module in ("course_utils", "course_utils.tables", "course_utils.models"):
        assert not hasattr(importlib.import_module(module), "nothing")
