"""Tries the addresses that documents, lessons and docstrings lead to, by Sphinx's link checker."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from course.files import REPOSITORY
from course.site import sphinx_command
from course.site.sources import write_sources
from course_utils.i18n import LANGUAGES, _

__all__ = ["dead_links", "unreachable"]

DOCUMENTS = (
    *("*.md", ".github/*.md", "benchmarks/*.md", "course_utils/**/*.md", "data/*.md"),
    "images/*.md",
)
# Some sites refuse programs, or ask them to come back later: their pages may well be there. To
# Sphinx such a page is as broken as one that is gone.
UNSURE = ("401", "403", "405", "406", "418", "429", "503")


def unreachable(root: Path) -> list[str]:
    """A sentence for each address of another site that has no page.

    Args:
        root: the folder of the course; what is read for it is left in ``build/links/``.

    Raises:
        ValueError: Sphinx could not read the documents; what it said has been printed.
        OSError: a file cannot be read or written.
    """
    work = root / "build" / "links"
    shutil.rmtree(work, ignore_errors=True)
    sources = work / "sources"
    for language in LANGUAGES:
        write_sources(root, language, sources / language)
    for pattern in DOCUMENTS:
        for document in root.glob(pattern):
            copy = sources / "documents" / document.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(document, copy)
    return dead_links(sources, work / "answers")


def dead_links(sources: Path, answers: Path) -> list[str]:
    """A sentence for each address of another site that has no page.

    An address that refuses programs is not a fault, nor is a site that is busy.

    Args:
        sources: what Sphinx reads, with a first page in ``en``.
        answers: where it writes what it found.

    Raises:
        ValueError: Sphinx could not read the sources; what it said has been printed.
    """
    command = sphinx_command("linkcheck", "en", sources, answers)
    # What is no page of the site itself, such as a notebook, is a warning: tests/ looks at those.
    command += ["-Q", "--define", "root_doc=en/index"]
    status = subprocess.run(command, cwd=REPOSITORY).returncode
    if status > 1:  # 1 is a broken link
        raise ValueError(_("Sphinx could not read the documents, and says why above."))
    found = map(json.loads, (answers / "output.json").read_text(encoding="utf-8").splitlines())
    return [
        _("{file} links to {target}, which does not respond ({reason}).").format(
            file=link["filename"], target=link["uri"], reason=link["info"]
        )
        for link in found
        if link["status"] in ("broken", "timeout")
        and link["uri"].startswith("http")
        and not link["info"].startswith(UNSURE)
    ]
