"""What the exercises of lessons 3 and 4 write is what their sweeps train, as in a notebook."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from test_solutions import exercises

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons

LESSONS = [each for each in find_lessons(REPOSITORY, "all") if each.number in (3, 4)]

IMPORTS = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from course_utils.experiments import grid, own, run
from course_utils.models import DenseBlock, Transition
"""

# Depth, the reader's own, and the course's, by lesson.
NETS = {
    3: ("8", "own(resnet)", '{"families": ["residual"], "family_options": {"shortcut": "B"}}'),
    4: ("10", "own(my_densenet, growth_rate=6)", "{'families': ['dense'], 'family_options': K}"),
}

TRAIN = """
K = {"growth_rate": 6}
small = {"depths": [DEPTH], "seeds": [0], "steps": 3, "dataset_options": {"size": 8}}
mine, ours = (run(grid(**fields, **small)[0]) for fields in (OWN, COURSE))
print(mine.spec.family, mine.losses == ours.losses, mine.train_errors == ours.train_errors)
"""


def training(number: int) -> str:
    """The cell that trains both nets of a lesson, and says whether they give the same numbers."""
    depth, own, course = NETS[number]
    return TRAIN.replace("DEPTH", depth).replace("OWN", own).replace("COURSE", course)


def printed(*cells: str) -> str:
    """What the last of the cells prints, in a kernel of their own."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in (IMPORTS, *cells)])
    NotebookClient(notebook, timeout=300).execute()
    return str(notebook.cells[-1].outputs[0].text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "lesson", LESSONS, ids=[f"{each.language}-{each.number}" for each in LESSONS]
)
def test_a_solved_lesson_trains_the_readers_network_and_finds_the_courses_numbers(
    lesson: LessonFile,
) -> None:
    solutions = [exercise.solution for exercise in exercises(lesson)]
    assert printed(*solutions, training(lesson.number)) == "own True True\n"


def spoilt(number: int, solutions: list[str]) -> str:
    """A net without shortcuts, and one that pools the maximum."""
    if number == 4:
        (net,) = [text for text in solutions if "def my_densenet" in text]
        return net.replace("AdaptiveAvgPool2d", "AdaptiveMaxPool2d")
    plain = "def identity_block(maps):\n    return nn.Sequential(*(conv_bn_relu(maps, maps),) * 2)"
    (stage,) = [text for text in solutions if "def resnet_stage" in text]
    stage = stage.replace("from course_utils.models import identity_block, projection_block", "")
    return f"from course_utils.models import projection_block\n{plain}\n{stage}"


@pytest.mark.slow
@pytest.mark.parametrize("number", NETS)
def test_a_network_that_is_wrong_on_purpose_gives_other_numbers(number: int) -> None:
    lesson = next(each for each in LESSONS if each.number == number)
    solutions = [exercise.solution for exercise in exercises(lesson)]
    wrong = spoilt(number, solutions)
    assert printed(*solutions, wrong, training(number)) == "own False False\n"
