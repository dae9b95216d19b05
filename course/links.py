"""Follows the links of documents and lessons: to files of the repository, and to other sites."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from course.files import notebook_paths
from course.notebooks import markdown
from course.notebooks.normaliser import read_notebook
from course_utils.i18n import _

__all__ = ["Link", "broken_links", "links_of", "unreachable"]

FOLDERS = (
    *(".github", "benchmarks", "course_utils/degradation"),
    *("data", "images", "notebooks"),
)
TIMEOUT = 20  # seconds
TRIES = 3
# Some sites refuse programs, or ask them to come back later: their pages may well be there.
UNSURE = frozenset([401, 403, 405, 406, 418, 429, 503])


class Link(NamedTuple):
    """Where a link stands, and where it leads."""

    file: Path
    target: str


def links_of(root: Path) -> Iterator[Link]:
    """The links of every document and lesson, images too.

    Args:
        root: the folder of the course.

    Raises:
        ValueError: a notebook cannot be read.
    """
    documents = sorted(root.glob("*.md"))
    for folder in FOLDERS:
        documents += sorted((root / folder).rglob("*.md"))
    for path in documents:
        yield from _links(path, path.read_text(encoding="utf-8"))
    for path in notebook_paths([], root / "notebooks"):
        for cell in read_notebook(path).cells:
            if cell.cell_type == "markdown":
                yield from _links(path, cell.source)


def broken_links(root: Path) -> list[str]:
    """A sentence for each link to a file that is not in the repository.

    Args:
        root: the folder of the course.
    """
    faults = []
    for file, target in links_of(root):
        parts = urllib.parse.urlsplit(target)
        if parts.scheme or parts.netloc or not parts.path:
            continue
        path = urllib.parse.unquote(parts.path)
        found = (root / path.lstrip("/")) if path.startswith("/") else (file.parent / path)
        if not found.exists():
            faults.append(
                _("{file} links to {target}, which is not there.").format(
                    file=file.relative_to(root).as_posix(), target=target
                )
            )
    return faults


def unreachable(links: Iterable[Link], root: Path) -> Iterator[str]:
    """A sentence for each address of another site that has no page, as they are tried.

    An address that refuses programs is not a fault, nor is a site that is busy.

    Args:
        links: as from :func:`links_of`; each address is tried once.
        root: the folder of the course, to name files by.
    """
    places: dict[str, Path] = {}
    for file, target in links:
        if target.startswith(("http://", "https://")):
            places.setdefault(urllib.parse.urldefrag(target).url, file)
    for address, file in places.items():
        reason = _trouble(address)
        if reason:
            yield _("{file} links to {target}, which does not answer ({reason}).").format(
                file=file.relative_to(root).as_posix(), target=address, reason=reason
            )


def _links(path: Path, text: str) -> Iterator[Link]:
    targets = markdown.links(text) + [image.target for image in markdown.images(text)]
    return (Link(path, target) for target in targets if not target.startswith("data:"))


def _trouble(address: str) -> str:
    """Why there is no page at ``address``; empty when there is one, or when that cannot be told."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0 (link check)"})
    reason = ""
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                return ""
        except urllib.error.HTTPError as error:
            return "" if error.code in UNSURE else str(error.code)
        except OSError as error:  # no such site, or none within the time
            reason = str(error)
            time.sleep(attempt)
    return reason
