"""The course's helpers: data sets, models, training, experiments, figures and checks."""

__version__ = "0.1.0"
