"""The gallery: the pictures of ``images/``, each with the title and the description inside it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from course_utils.i18n import LANGUAGES, _

__all__ = ["Picture", "gallery_page", "read_pictures", "write_gallery"]

_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Picture:
    """A picture of the course, and what it says of itself in one language."""

    path: Path
    title: str
    description: str


def read_pictures(folder: Path, language: str) -> list[Picture]:
    """The SVG pictures of a folder, those of one language.

    They come in the order of the headings of the folder's ``README.md``, then in that of their
    names.

    A picture is of one language alone when its name ends in it, as ``net.fr.svg`` does.

    Args:
        folder: that of the pictures; there is no picture when it does not exist.
        language: ``"fr"`` or ``"en"``: of the titles and descriptions.

    Raises:
        ValueError: a picture is not an SVG, or has no title or no description.
        OSError: a picture cannot be read.
    """
    readme = folder / "README.md"
    headings = (
        re.findall(r"^## (\S+)", readme.read_text(encoding="utf-8"), re.MULTILINE)
        if readme.exists()
        else []
    )

    def place(path: Path) -> tuple[int, str]:
        named = path.stem in headings
        return headings.index(path.stem) if named else len(headings), path.name.lower()

    others = tuple(f".{other}" for other in LANGUAGES if other != language)
    return [
        _read(path, language)
        for path in sorted(folder.glob("*.svg"), key=place)
        if not path.stem.endswith(others)
    ]


def gallery_page(pictures: list[Picture], folder: str) -> str:
    """The gallery as a page of reStructuredText.

    Args:
        pictures: what it shows.
        folder: where the pictures lie, from the page.
    """
    title = _("Gallery of pictures")
    lines = [title, "=" * len(title), ""]
    for picture in pictures:
        lines += [
            *(_plain(picture.title), "-" * len(picture.title), ""),
            f".. image:: {folder}/{picture.path.name}",
            f"   :alt: {picture.description}",
            "   :class: picture",
            "",
            ".. container:: picture-description",
            "",
            f"   {_plain(picture.description)}",
            "",
        ]
    return "\n".join(lines)


def write_gallery(images: Path, language: str, folder: Path) -> bool:
    """Write the page of the gallery beside copies of its pictures; answer whether there is any.

    Args:
        images: the folder of the pictures.
        language: ``"fr"`` or ``"en"``.
        folder: where to write ``gallery.rst``.

    Raises:
        ValueError: a picture lacks its title or its description.
        OSError: a file cannot be read or written.
    """
    pictures = read_pictures(images, language)
    if not pictures:
        return False
    (folder / "images").mkdir()
    for picture in pictures:
        shutil.copy(picture.path, folder / "images")
    (folder / "gallery.rst").write_text(gallery_page(pictures, "images"), encoding="utf-8")
    return True


def _read(path: Path, language: str) -> Picture:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(
            _("{picture} is not an SVG that can be read ({reason}).").format(
                picture=path, reason=error
            )
        ) from error
    texts = {tag: _text(root, tag, language) for tag in ("title", "desc")}
    for tag, text in texts.items():
        if not text:
            raise ValueError(
                _("{picture} has no <{tag}> in the language {language!r}: draw it again.").format(
                    picture=path, tag=tag, language=language
                )
            )
    return Picture(path, texts["title"], texts["desc"])


def _text(root: ElementTree.Element, tag: str, language: str) -> str:
    """What a picture says in a language, or to everyone."""
    found = {element.get("lang"): element for element in root.findall(f"{_SVG}{tag}")}
    element = found.get(language, found.get(None))
    return "" if element is None else " ".join("".join(element.itertext()).split())


def _plain(text: str) -> str:
    """``text`` as reStructuredText that means nothing but itself."""
    return "".join("\\" + letter if letter in "\\*`|_" else letter for letter in text)
