"""The course's tools: they run, check and publish the lessons of this repository."""

from pathlib import Path

from course_utils.i18n import add_catalogue

add_catalogue("course", Path(__file__).parent / "locale")
