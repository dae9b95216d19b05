"""The web edition: both languages as a site that reads without a network, made by Sphinx."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from fontTools.ttLib import TTFont
from tqdm import tqdm

from course.site.sources import write_front_page, write_sources
from course_utils.i18n import LANGUAGES, _

__all__ = ["build_site", "sphinx_command"]


def build_site(root: Path, site: Path | None = None) -> Path:
    """Write the web edition to ``build/site/``, and answer the path of its first page.

    The lessons are shown with the outputs that are stored in them: nothing is executed. A page that
    Sphinx warns of, a link that leads nowhere or a formula that cannot be set stops the build.

    Args:
        root: the folder of the course.
        site: where to write instead; what is there is removed first, and so is the folder of that
            name and ``-sources``, which holds what Sphinx reads.

    Raises:
        ValueError: there is no lesson in one of the languages, or Sphinx warned of something; what
            it said has been printed.
        ModuleNotFoundError: Sphinx, its theme or its reader of notebooks is not installed.
        OSError: a file cannot be written.
    """
    site = site or root / "build" / "site"
    work = site.with_name(f"{site.name}-sources")
    for earlier in (site, work):
        shutil.rmtree(earlier, ignore_errors=True)
    cards = {
        language: write_sources(root, language, work / language / "sources")
        for language in LANGUAGES
    }
    # Both at a time: each takes one core, and most of it goes into reading the notebooks.
    running = {}
    for language in LANGUAGES:
        folder = work / language
        command = sphinx_command("html", language, folder / "sources", folder / "html")
        running[language] = subprocess.Popen([*command, "--quiet", "--fail-on-warning"], cwd=root)
    _show_progress(running.values(), work)
    failed = [language for language, process in running.items() if process.wait() != 0]
    if failed:
        raise ValueError(
            _(
                "The site was not built ({languages}): fix what Sphinx warns about above, then "
                "build it again."
            ).format(languages=", ".join(failed))
        )
    site.mkdir(parents=True)
    for language in LANGUAGES:
        shutil.move(work / language / "html", site / language)
    static = Path(__file__).parent / "static"
    for name in ("favicon.svg", "opening.svg", *(f"social.{each}.png" for each in LANGUAGES)):
        shutil.copy(static / name, site)
    _write_font(site / "STIXTwoMath.woff")
    return write_front_page(site, cards)


def _show_progress(running: Iterable[subprocess.Popen[bytes]], work: Path) -> None:
    """Until all of these have ended, a bar: Sphinx reads every page, then writes it."""
    kinds = (".md", ".ipynb", ".rst")
    pages = sum(page.suffix in kinds for page in work.glob("*/sources/**/*"))
    with tqdm(total=2 * pages, desc=_("web edition"), unit="page", leave=False) as bar:
        while any(process.poll() is None for process in running):
            there = [*work.glob("*/doctrees/**/*.doctree"), *work.glob("*/html/**/*.html")]
            bar.n = min(len(there), 2 * pages)
            bar.refresh()
            time.sleep(1)


def _write_font(path: Path) -> None:
    """Write the font of the formulas: few machines have one that knows how to place an index."""
    font = TTFont(distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf"))
    font.flavor = "woff"
    font.save(path)


def sphinx_command(builder: str, language: str, sources: Path, answers: Path) -> list[str]:
    """The command that has Sphinx read ``sources`` with the site's settings.

    Args:
        builder: ``"html"`` or another of Sphinx's.
        language: ``"fr"`` or ``"en"``: of what Sphinx says on the pages.
        sources: what it reads.
        answers: where it writes.
    """
    return [
        *(sys.executable, "-m", "sphinx", "--builder", builder),
        *("--conf-dir", str(Path(__file__).parent)),
        *("--doctree-dir", str(answers.with_name("doctrees"))),
        *("--define", f"language={language}"),
        *(str(sources), str(answers)),
    ]
