"""What the site adds to Sphinx: formulas as MathML, figures described, a way to each language."""

from __future__ import annotations

import hashlib
import json
import re
from binascii import a2b_base64
from collections.abc import Iterator
from functools import partial
from html import escape
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from docutils import nodes
from markupsafe import Markup
from PIL import Image
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from course.address import colab_address, report_address, repository, site_address
from course.pages import to_mathml
from course.site.sources import EXPLORABLES, LANGUAGE_NAMES, about_course
from course_utils.i18n import LANGUAGES, _, set_language

__all__ = ["lesson_ways", "setup"]

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_inline, None), block_renderers=(_block, None)
    )
    app.connect("config-inited", _choose_language)
    app.connect("autodoc-skip-member", _skip_foreign)
    app.connect("doctree-read", _describe_figures)
    app.connect("html-page-context", _page_context)
    app.connect("build-finished", _write_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _choose_language(app: Sphinx, config: Config) -> None:
    set_language(config.language)
    config.project = _("Convolutional networks in PyTorch")
    config.html_title = config.project
    config.nb_code_prompt_show = _("Show the code")
    config.nb_code_prompt_hide = _("Hide the code")
    config.html_extra_path = [str(Path(app.srcdir) / "downloads")]


def _skip_foreign(
    _app: Sphinx, _what: str, _name: str, member: object, _skip: bool, _options: object
) -> bool | None:
    """Leave out the members that another library wrote into a class of ours."""
    module = getattr(member, "__module__", None)
    return True if isinstance(module, str) and not module.startswith("course_utils") else None


def _inline(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(_formula(node, display=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.Element) -> None:
    self.body.append(_formula(node, display=True))
    raise nodes.SkipNode


def _formula(node: nodes.Element, *, display: bool) -> str:
    """A formula as MathML, which browsers draw themselves: no script, no font to fetch."""
    latex = node.astext()
    mathml = to_mathml(latex, display=display)
    if not mathml.startswith("<math"):
        logger.warning("this formula cannot be set: %s", latex, location=node)
    return f'<div class="math">{mathml}</div>' if display else mathml


def _describe_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Give each figure of a lesson the description that is stored beside it, and its kind."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    # myst-nb names the file of an output by the hash of what is in it.
    figures = {
        hashlib.sha256(picture := a2b_base64(output.data[kind])).hexdigest(): (
            output.metadata.get(kind, {}).get("alt", ""),
            picture,
        )
        for cell in nbformat.read(source, as_version=4).cells
        for output in cell.get("outputs", [])
        for kind in ("image/png", "image/jpeg")
        if kind in output.get("data", {})
    }
    for image in doctree.findall(nodes.image):
        stem = PurePosixPath(image["uri"]).stem
        if stem in figures:
            image["alt"], content = figures[stem]
            image["classes"].append("drawn" if _is_drawn(content) else "pictured")
        if not image.get("alt"):
            logger.warning("this picture has no description", location=image)


def _is_drawn(content: bytes) -> bool:
    """Whether a figure is lines on white paper, which may be turned to light on dark."""
    with Image.open(BytesIO(content)) as picture:
        white = sum(picture.convert("L").histogram()[-8:])
        return picture.format == "PNG" and white > 0.5 * picture.width * picture.height


def _page_context(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: nodes.document
) -> None:
    """Give the page's template the ways to the other languages and the theme's words translated."""
    up = "../" * (pagename.count("/") + 1)
    context["language_names"] = LANGUAGE_NAMES
    context["same_page"] = {language: f"{up}{language}/{pagename}.html" for language in LANGUAGES}
    found = re.fullmatch(r"(lessons|explorables)/(\w+)", pagename)
    kind, name = found.groups() if found else ("", "")
    language, title = app.config.language, context.get("title") or app.config.project
    context["ways"] = lesson_ways(repository(), language, name, title) if kind == "lessons" else []
    context["explorable"] = name if kind == "explorables" else None
    in_english = pagename.startswith("reference/") and pagename != "reference/index"
    context["dressed"] = partial(_dressed, in_english=in_english)
    context["words"] = {"language": _("Language"), "lesson": _("This lesson")}
    address = site_address(repository())
    context["social"] = {
        "title": Markup(title).striptags(),
        "description": _summary(Path(app.srcdir) / f"{pagename}.ipynb") or about_course(),
        "locale": language,
        "image": address and f"{address}social.{language}.png",
        "image_alt": app.config.project,
    }


def _summary(lesson: Path) -> str:
    """The line that a lesson says of itself; empty for a page of another kind."""
    if not lesson.exists():
        return ""
    return str(nbformat.read(lesson, as_version=4).metadata.get("course", {}).get("summary", ""))


def lesson_ways(name: str, language: str, stem: str, title: str) -> list[dict[str, Any]]:
    """What leads from a lesson's page: to Colab, to its file, to where errors are reported.

    Args:
        name: the repository's, ``owner/name``; without one, what needs it is left out.
        language: of the page.
        stem: the lesson's file name, without its ending.
        title: the page's, HTML.
    """
    ways: list[dict[str, Any]] = [
        {
            "text": _("Open in Colab"),
            "href": colab_address(name, f"notebooks/{language}/{stem}.ipynb"),
        },
        {"text": _("Download the notebook"), "href": f"../{stem}.ipynb", "download": True},
        {"text": _("Report an error"), "href": report_address(name, Markup(title).striptags())},
    ]
    ways += [
        {"text": _("Try it in the browser"), "href": f"../explorables/{each}.html"}
        for each, lesson in EXPLORABLES.items()
        if lesson == stem
    ]
    return [way for way in ways if way["href"]]


def _write_texts(app: Sphinx, error: Exception | None) -> None:
    """Write what a search quotes: of each page of prose, its parts, each with place and title."""
    if error or app.builder.name != "html":
        return
    texts = {
        page: [
            [part["ids"][0], part[0].astext(), " ".join(" ".join(_prose(part)).split())]
            for part in app.env.get_doctree(page).findall(nodes.section)
        ]
        for page in sorted(app.env.found_docs)
        if not page.startswith("reference/")
    }
    text = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    path = Path(app.outdir) / "_static" / "texts.js"
    path.write_text(f"window.COURSE_TEXTS={text};\n", encoding="utf-8")


def _prose(part: nodes.section) -> Iterator[str]:
    """The paragraphs of a part, less those of the parts inside it, less code, HTML and formulas."""
    for child in part.children:
        if not isinstance(child, nodes.section):
            for paragraph in child.findall(nodes.paragraph):
                yield "".join(
                    text.astext()
                    for text in paragraph.findall(nodes.Text)
                    if not isinstance(text.parent, nodes.raw | nodes.math)
                )


def _dressed(html: str, switch: str, *, in_english: bool) -> Markup:
    """Furo's page in the reader's language, with the way to the other one at its top."""
    words = _theme_words()
    said = "|".join(map(re.escape, words))
    html = re.sub(
        rf'(aria-label="|<title>|>\s*)({said})(?="|\s*<)',
        lambda found: found[1] + escape(words[found[2]]),
        html,
    )
    under = escape(_("Pages under"))
    html = re.sub(
        'aria-label="Toggle navigation of ([^"]*)"',
        lambda found: f'aria-label="{under} {found[1]}"',
        html,
    )
    html = _put(html, '<div class="content-icon-container">', after=switch)
    for before, after in {
        # A heading without a level, which these are not.
        '<p class="caption" role="heading">': '<p class="caption">',
        # Two asides, which a screen reader tells apart by their names.
        '<aside class="sidebar-drawer"': f'<aside aria-label="{escape(_("Pages of the site"))}" '
        'class="sidebar-drawer"',
        '<aside class="toc-drawer': f'<aside aria-label="{escape(_("Contents of the page"))}" '
        'class="toc-drawer',
        # What is folded has a name to be seen, which is then the name to be heard.
        '<summary aria-label="Toggle hidden content">': "<summary>",
        # Code and tables wider than the page scroll: with the keyboard too.
        "<pre>": '<pre tabindex="0">',
        '<div class="output text_html">': '<div class="output text_html" tabindex="0">',
        **({"<article ": '<article lang="en" '} if in_english else {}),
    }.items():
        html = html.replace(before, after)
    return Markup(html)


def _put(html: str, mark: str, *, after: str) -> str:
    """``html`` with ``after`` behind the one place that ``mark`` is at."""
    if html.count(mark) != 1:
        raise ExtensionError(f"the theme's page no longer has one {mark}: see dressing.py")
    return html.replace(mark, mark + after)


def _theme_words() -> dict[str, str]:
    """What Furo says in English only."""
    return {
        "Toggle site navigation sidebar": _("Pages of the site"),
        "Toggle table of contents sidebar": _("Contents of the page"),
        "Toggle Light / Dark / Auto color theme": _("Light, dark or automatic colours"),
        "Skip to content": _("Skip to the text"),
        "Back to top": _("Back to the top"),
        "On this page": _("On this page"),
        "Next": _("Next"),
        "Previous": _("Previous"),
        "Home": _("Home"),
        "Contents": _("Contents"),
        "Menu": _("Menu"),
        "Expand": _("Expand"),
        "Light mode": _("Light colours"),
        "Dark mode": _("Dark colours"),
        "Auto light/dark, in light mode": _("Automatic colours, light"),
        "Auto light/dark, in dark mode": _("Automatic colours, dark"),
        "Made with": _("Made with"),
    }
