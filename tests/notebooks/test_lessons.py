"""Every lesson that exists keeps the lessons' own rules, in both editions."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.files import Pair, lesson_pairs
from course.notebooks.editions import check_editions
from course.notebooks.rules import RULES, Rule, read_lesson

LESSONS = lesson_pairs([])
EDITIONS = [path for pair in LESSONS for path in pair if path.is_file()]


@pytest.mark.parametrize("pair", LESSONS, ids=lambda pair: pair.french.stem)
def test_a_lesson_has_two_parallel_editions(pair: Pair) -> None:
    assert [path.name for path in pair if not path.is_file()] == []
    assert check_editions(pair) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", EDITIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_lesson_keeps_the_rule(path: Path, rule: Rule) -> None:
    assert rule(read_lesson(path)) == []
