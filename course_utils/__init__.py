"""The course's helpers: data sets, models, training, experiments, figures and checks."""

from course_utils import moved

__version__ = "0.2.0"

moved.install()
