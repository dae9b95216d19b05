"""The repository's address: kept in one place, ``pyproject.toml``, and shown from there in others.

``[tool.course]`` holds ``repository``, ``owner/name`` on GitHub, empty until it is known. In the
two READMEs the badges, the link to the web edition and the address to clone follow it, and so do
``CITATION.cff`` and the first code cell of every notebook.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import quote

from course.files import REPOSITORY
from course_utils.i18n import _
from course_utils.whole import write_whole

__all__ = [
    "badges",
    "check_name",
    "colab_address",
    "report_address",
    "repository",
    "site_address",
    "stamp_address",
    "web_edition",
    "with_badges",
]

# What leads to the web edition in each.
READMES = {
    "README.md": "The web edition: {link}.",
    "README.fr.md": "L'édition web\N{NO-BREAK SPACE}: {link}.",
}
CITATION = "CITATION.cff"
SITE = "https://github.com"
COLAB = "https://colab.research.google.com"
# What GitHub lets stand in a name, old accounts and those of companies included.
_OWNER = r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}"
_REPOSITORY = rf"{_OWNER}/(?!\.{{1,2}}$)(?!.*\.git$)[A-Za-z0-9._-]{{1,100}}"
_SETTING = re.compile(r'^(?P<before>repository = )"[^"\n]*"', re.MULTILINE)
_BLOCK = re.compile(r"(?<=<!-- badges -->\n).*?(?=<!-- /badges -->)", re.DOTALL)
_WEB = re.compile(r"(?<=<!-- web -->).*(?=<!-- /web -->)")
_CLONE = re.compile(rf"(?<=git clone ){SITE}/\S+")
_LESSON = re.compile(
    r"(?P<link>\[[^\]\n]*\]\((?P<path>notebooks/(?:fr|en)/\w+\.ipynb)\))"
    r"(?: \[!\[Colab\]\([^)\n]*\)\]\([^)\n]*\))?"
)
_CODE = re.compile(r"^repository-code: .*\n", re.MULTILINE)


def check_name(name: str) -> str:
    """``name``, once it is known to be a repository's name on GitHub.

    Raises:
        ValueError: it is not of the form ``owner/name``.

    >>> check_name("https://github.com/ada/course")
    Traceback (most recent call last):
    ...
    ValueError: 'https://github.com/ada/course' is not the name of a repository on GitHub: give
    owner/name, such as ada-lovelace/course, without an address around it.
    """
    if not re.fullmatch(_REPOSITORY, name):
        raise ValueError(
            _(
                "{name!r} is not the name of a repository on GitHub: give owner/name, such as "
                "ada-lovelace/course, without an address around it."
            ).format(name=name)
        )
    return name


def repository(root: Path = REPOSITORY) -> str:
    """``owner/name`` as ``pyproject.toml`` has it, or an empty text while it is not known.

    Raises:
        ValueError: what stands there is no repository's name.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    name: str = project["tool"]["course"]["repository"]
    return check_name(name) if name else ""


def stamp_address(name: str, root: Path = REPOSITORY) -> list[Path]:
    """Write the repository's name wherever it is shown, the notebooks excepted.

    Args:
        name: ``owner/name`` on GitHub, or an empty text to take the address out again.
        root: the folder of the course.

    Returns:
        The files that changed.

    Raises:
        ValueError: the name is malformed, or a file has lost the place for it. Nothing is written.
    """
    if name:
        check_name(name)
    written = {"pyproject.toml": _with_setting((root / "pyproject.toml").read_text("utf-8"), name)}
    for readme in READMES:
        written[readme] = with_badges((root / readme).read_text("utf-8"), name, readme)
    citation = _CODE.sub("", (root / CITATION).read_text("utf-8"))
    written[CITATION] = citation + (f"repository-code: {SITE}/{name}\n" if name else "")
    changed = []
    for file, text in written.items():
        path = root / file
        content = text.encode("utf-8")
        if path.read_bytes() != content:
            write_whole(path, content)
            changed.append(path)
    return changed


def _with_setting(text: str, name: str) -> str:
    answer, count = _SETTING.subn(rf'\g<before>"{name}"', text)
    if count != 1:
        raise ValueError(
            _(
                'pyproject.toml must have one line `repository = "…"`, under [tool.course]; it '
                "has {count}."
            ).format(count=count)
        )
    return answer


def with_badges(text: str, name: str, readme: str = "README.md") -> str:
    """A README with the badges of the repository ``name``, or without badges when it is empty.

    Args:
        text: the README; a block between ``<!-- badges -->`` and ``<!-- /badges -->`` is replaced,
            the address of the web edition stands between ``<!-- web -->`` and ``<!-- /web -->``,
            that of the repository after ``git clone``, and a Colab badge follows each link to a
            lesson in a table.
        name: ``owner/name`` on GitHub, or an empty text.
        readme: what to call the README in the error.

    Raises:
        ValueError: the block is not there, or there twice.

    >>> print(with_badges("<!-- badges -->\\nold\\n<!-- /badges -->", ""))
    <!-- badges -->
    <!-- /badges -->
    """
    answer, count = _BLOCK.subn(lambda _match: badges(name), text)
    if count != 1:
        raise ValueError(
            _(
                "{readme} must have one place for the badges, a line <!-- badges --> followed by "
                "a line <!-- /badges -->; it has {count}."
            ).format(readme=readme, count=count)
        )
    link = web_edition(name)
    answer = _WEB.sub(READMES[readme].format(link=link) if link else "", answer)
    answer = _CLONE.sub(f"{SITE}/{name or 'OWNER/NAME'}", answer)
    lines = answer.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("|"):
            lines[number] = _LESSON.sub(lambda match: match["link"] + _colab(name, match), line)
    return "\n".join(lines)


def badges(name: str) -> str:
    """The badges of the whole repository, a line each; none without a name."""
    if not name:
        return ""
    tests = f"{SITE}/{name}/actions/workflows/test.yml"
    codespaces = f"https://codespaces.new/{name}"
    return (
        f"[![tests]({tests}/badge.svg)]({tests})\n"
        f"[![Codespaces](https://github.com/codespaces/badge.svg)]({codespaces})\n"
    )


def web_edition(name: str) -> str:
    """The link to the pages that GitHub publishes for a repository; none without a name.

    >>> web_edition("Ada/course")
    '[ada.github.io/course](https://ada.github.io/course/)'
    """
    address = site_address(name)
    return f"[{address.removeprefix('https://').removesuffix('/')}]({address})" if name else ""


def site_address(name: str) -> str:
    """Where GitHub publishes the pages of a repository, or an empty text without a name.

    >>> site_address("Ada/course")
    'https://ada.github.io/course/'
    """
    owner, _slash, project = name.partition("/")
    return f"https://{owner.lower()}.github.io/{project}/" if name else ""


def colab_address(name: str, notebook: str) -> str:
    """Where Colab opens a notebook of the repository; empty without a name.

    >>> colab_address("Ada/course", "notebooks/en/01_conv_1x1.ipynb")
    'https://colab.research.google.com/github/Ada/course/blob/main/notebooks/en/01_conv_1x1.ipynb'
    """
    return f"{COLAB}/github/{name}/blob/main/{notebook}" if name else ""


def report_address(name: str, title: str) -> str:
    """Where to report an error to the repository, under a title; empty without a name.

    >>> report_address("Ada/course", "Lesson 1")
    'https://github.com/Ada/course/issues/new?title=Lesson%201'
    """
    return f"{SITE}/{name}/issues/new?title={quote(title)}" if name else ""


def _colab(name: str, match: re.Match[str]) -> str:
    target = colab_address(name, match["path"])
    if not target:
        return ""
    return f" [![Colab]({COLAB}/assets/colab-badge.svg)]({target})"
