"""What the tests of every lesson's checkers ask: an answer is accepted, or refused in words."""

from collections.abc import Callable
from typing import Any

from course_utils.checks import Feedback

Check = Callable[[Any], Feedback]


def accepted(check: Check, answer: object) -> Feedback:
    """The answer is right."""
    feedback = check(answer)
    assert feedback.passed is True, str(feedback)
    return feedback


def refused(check: Check, answer: object, *words: str) -> Feedback:
    """The answer is wrong and the feedback holds ``words``, in its message or its hint."""
    feedback = check(answer)
    assert feedback.passed is False, str(feedback)
    for word in words:
        assert word in str(feedback), str(feedback)
    return feedback
