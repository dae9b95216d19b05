"""The lessons as they lie in the repository: their files, and what a profile gives each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.profiles import load_profile, profile_path
from course_utils.i18n import LANGUAGES, _

__all__ = ["LessonFile", "find_lessons", "lesson_parameters"]


@dataclass(frozen=True)
class LessonFile:
    """One lesson in one language."""

    number: int
    stem: str
    language: str
    path: Path


def find_lessons(
    root: Path, language: str, numbers: Sequence[int] | None = None
) -> list[LessonFile]:
    """The lessons of one edition, in order: the files ``notebooks/<language>/NN_name.ipynb``.

    Args:
        root: the folder of the course.
        language: ``"fr"``, ``"en"`` or ``"all"``, for the French edition and then the English.
        numbers: keep only the lessons with these numbers; all by default.

    Raises:
        ValueError: there is no such language, no lesson in it, or none with one of the numbers.
    """
    if language == "all":
        return [lesson for each in LANGUAGES for lesson in find_lessons(root, each, numbers)]
    if language not in LANGUAGES:
        raise ValueError(
            _("The course has no language {language!r}: choose one of {languages}.").format(
                language=language, languages=", ".join([*LANGUAGES, "all"])
            )
        )
    folder = root / "notebooks" / language
    lessons = [
        LessonFile(int(match[1]), path.stem, language, path)
        for path in sorted(folder.glob("*.ipynb"))
        if (match := re.match(r"(\d+)_", path.name))
    ]
    if not lessons:
        raise ValueError(
            _("There is no lesson in {folder}: a lesson is a file such as 03_name.ipynb.").format(
                folder=folder
            )
        )
    there = [lesson.number for lesson in lessons]
    for number in numbers or ():
        if number not in there:
            raise ValueError(
                _("There is no lesson {number} in {folder}; the lessons are {there}.").format(
                    number=number, folder=folder, there=", ".join(map(str, there))
                )
            )
    return [lesson for lesson in lessons if not numbers or lesson.number in numbers]


def lesson_parameters(
    root: Path, lessons: Sequence[LessonFile], profile: str | None
) -> dict[LessonFile, dict[str, Any]]:
    """The parameters that a profile gives each of these lessons; none without a profile.

    The whole profile is checked, against every lesson of the same editions, before anything runs.

    Args:
        root: the folder of the course, with ``profiles/``.
        lessons: those that will run.
        profile: the profile's name, or None for the notebooks' own defaults.

    Raises:
        ValueError: no such profile, or one that does not match the notebooks.
    """
    if profile is None:
        return {lesson: {} for lesson in lessons}
    path = profile_path(root / "profiles", profile)
    tables = {
        language: load_profile(
            path, {lesson.stem: lesson.path for lesson in find_lessons(root, language)}
        )
        for language in {lesson.language for lesson in lessons}
    }
    return {lesson: tables[lesson.language].get(lesson.stem, {}) for lesson in lessons}
