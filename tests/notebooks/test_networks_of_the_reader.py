"""What the exercises of lesson 3 write is what its sweep trains, as in a notebook."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from test_solutions import exercises

from course.files import REPOSITORY
from course.lessons import LessonFile, find_lessons

LESSON_3 = [each for each in find_lessons(REPOSITORY, "all") if each.number == 3]

IMPORTS = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from course_utils.experiments import grid, own, run
"""

TRAIN = """
small = {"depths": [8], "seeds": [0], "steps": 3, "dataset_options": {"size": 8}}
course = {"families": ["residual"], "family_options": {"shortcut": "B"}}
mine, ours = (run(grid(**fields, **small)[0]) for fields in (own(resnet), course))
print(mine.spec.family, mine.losses == ours.losses, mine.train_errors == ours.train_errors)
"""


def printed(*cells: str) -> str:
    """What the last of the cells prints, in a kernel of their own."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in (IMPORTS, *cells)])
    NotebookClient(notebook, timeout=300).execute()
    return str(notebook.cells[-1].outputs[0].text)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSON_3, ids=[each.language for each in LESSON_3])
def test_a_solved_lesson_trains_the_readers_network_and_finds_the_courses_numbers(
    lesson: LessonFile,
) -> None:
    solutions = [exercise.solution for exercise in exercises(lesson)]
    assert printed(*solutions, TRAIN) == "own True True\n"


@pytest.mark.slow
def test_a_network_that_is_wrong_on_purpose_gives_other_numbers() -> None:
    solutions = [exercise.solution for exercise in exercises(LESSON_3[0])]
    plain = "def identity_block(maps):\n    return nn.Sequential(*(conv_bn_relu(maps, maps),) * 2)"
    (stage,) = [text for text in solutions if "def resnet_stage" in text]
    wrong = stage.replace("from course_utils.models import identity_block, projection_block", "")
    wrong = "from course_utils.models import projection_block\n" + plain + "\n" + wrong
    assert printed(*solutions, wrong, TRAIN) == "own False False\n"
