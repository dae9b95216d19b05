"""``python -m course``: the commands that need the repository."""

import sys

if sys.argv[1:2] == ["install"]:
    # Nothing is installed yet.
    from course.install import main
else:
    from course.cli import main

if __name__ == "__main__":
    sys.exit(main())
