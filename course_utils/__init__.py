"""The course's helpers: data sets, models, training, experiments, figures and checks."""

import os

from course_utils import moved

__version__ = "0.2.0"

# Threads of torch that wait for one another soon sleep, instead of spinning on a core that somebody
# else could use: see benchmarks/busy.py. GCC's OpenMP reads this when torch is loaded; what is
# started from here, a lesson's kernel or the workers of a sweep, inherits it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

moved.install()
