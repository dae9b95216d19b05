"""What a class is given, and hands in: an assignment solved, left blank, or answered wrongly."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from nbformat import NotebookNode

from course import classroom, cli
from course.lessons import LessonFile
from course.notebooks.assignments import assignment
from course.notebooks.exercises import exercises
from course.notebooks.normaliser import read_notebook
from course_utils.i18n import speaking


def written(command: str, lesson: LessonFile, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a command for a class writes, in a copy of the course with that edition."""
    shutil.copytree(lesson.path.parent, root / "notebooks" / lesson.language)
    monkeypatch.setattr(classroom, "REPOSITORY", root)
    arguments = ["--language", lesson.language, "--lesson", str(lesson.number)]
    assert cli.main([command, *arguments]) == 0
    return root / "build" / command / lesson.language


def handed_in(lesson: LessonFile, answers: Mapping[str, str] | None = None) -> NotebookNode:
    """The assignment of a lesson, with an answer below the stub of each exercise named.

    Args:
        lesson: of which the assignment is.
        answers: by the names of the checkers; the lesson's own solutions by default.
    """
    own = read_notebook(lesson.path)
    asked = {each.id: each for each in exercises(own)}
    if answers is None:
        answers = {each.checker: each.solution for each in asked.values()}
    with speaking(lesson.language):
        notebook = assignment(own)
    for cell in notebook.cells:
        if cell.id in asked and asked[cell.id].checker in answers:
            cell.source += f"\n\n\n{answers[asked[cell.id].checker]}"
    return notebook


WRONG = {
    "check_fold": "def fold(weight1, bias1, weight2, bias2):\n"
    "    return weight2 @ weight1, bias1 + bias2",
    "check_window_of": "def window_of(row, column, kernels, strides):\n"
    "    return row, column, row + sum(kernels), column + sum(kernels)",
    "check_global_average_pooling": "def global_average_pooling(x):\n    return x.amax((2, 3))",
    "check_iou": """\
def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b))
    return width * height / (areas - width * height)
""",
    "check_paired_change": """\
def paired_change(shallow, deep):
    d = np.array(deep) - np.array(shallow)
    half = 1.96 * d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half
""",
    "check_identity_block": """\
class IdentityBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        return x + F.relu(self.bn2(self.second(F.relu(self.bn1(self.first(x))))))
""",
    "check_pad_shortcut": "def pad_shortcut(x, out_channels, stride=2):\n"
    "    return F.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))",
    "check_transition": "def my_transition(in_channels, compression):\n"
    "    out = int(in_channels * compression)\n"
    "    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.Conv2d(in_channels, out, 1))",
    "check_layer_weights": "def layer_weights(in_channels, growth_rate):\n"
    "    return 9 * in_channels * growth_rate, 9 * 4 * growth_rate * growth_rate",
    "check_pareto_front": "def pareto_front(costs, errors):\n"
    "    return sorted(range(len(costs)), key=lambda i: costs[i])",
}
"""Ten answers that a student may well give, and that are wrong, by the names of the checkers."""
