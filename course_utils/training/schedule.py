"""The learning rate of each step: the schedule, and the ResNet paper's warm start."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from course_utils.arguments import one_of

__all__ = ["WARM_UNTIL", "WARM_WINDOW", "LearningRate", "Schedule", "learning_rate_at"]

Schedule = Literal["linear", "step"]

WARMUP = 0.1  # share of the steps during which the "linear" schedule rises
DROPS = (0.5, 0.75)  # shares of the steps after which the "step" schedule divides by ten

WARM_START = 0.1  # share of the learning rate that a warm start begins with
WARM_UNTIL = 0.8  # running training error below which it ends
WARM_WINDOW = 100  # steps over which that error is taken


def learning_rate_at(step: int, steps: int, peak: float, schedule: Schedule = "linear") -> float:
    """Learning rate of step number ``step`` (from 0) out of ``steps``.

    ``"linear"`` rises to ``peak`` over the first tenth of the steps, then falls to zero.
    ``"step"`` starts at ``peak`` and is divided by ten after half and after three quarters of the
    steps: with 64,000 steps, at 32,000 and 48,000, the recipe of He et al. 2015, section 4.2.

    >>> learning_rate_at(32_000, 64_000, 0.1, "step")
    0.01
    """
    if schedule == "step":
        drops = sum(step >= drop * steps for drop in DROPS)
        return peak / 10**drops
    one_of("schedule", schedule, get_args(Schedule))
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / (steps - warmup + 1)


class LearningRate:
    """The rate of each step, lowered to a tenth while a warm start lasts.

    A warm start ends when the error of the last hundred batches as they were learnt, looked at
    every hundred steps, is below 80%: He et al. 2015, section 4.2.

    Args:
        steps, peak, schedule: as for :func:`course_utils.training.learning_rate_at`.
        warm_start: whether there is one.

    >>> rate = LearningRate(1000, 0.1, "step", warm_start=True)
    >>> for _step in range(300):
    ...     rate.note(0.9 if rate.warm_steps < 100 else 0.7)
    >>> rate.warm_steps, rate.at(300)
    (200, 0.1)
    """

    def __init__(self, steps: int, peak: float, schedule: Schedule, warm_start: bool) -> None:
        learning_rate_at(0, steps, peak, schedule)  # an unknown schedule is refused here
        self.steps, self.peak, self.schedule = steps, peak, schedule
        self.warm_start = self.warming = warm_start
        self.warm_steps = 0
        self._wrong: Tensor | float = 0.0

    def at(self, step: int) -> float:
        """The rate of step number ``step``, from 0."""
        rate = learning_rate_at(step, self.steps, self.peak, self.schedule)
        return rate * WARM_START if self.warming else rate

    def note(self, wrong: Tensor | float) -> None:
        """Take in the error of a step's batch, a share in [0, 1]."""
        if not self.warming:
            return
        self.warm_steps += 1
        self._wrong = self._wrong + wrong
        if self.warm_steps % WARM_WINDOW == 0:
            self.warming = float(self._wrong) / WARM_WINDOW >= WARM_UNTIL
            self._wrong = 0.0
