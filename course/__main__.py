"""``python -m course``: the commands that need the repository."""

import sys

from course.cli import main

if __name__ == "__main__":
    sys.exit(main())
