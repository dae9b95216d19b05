"""The web edition: both languages as a site that reads without a network, made by Sphinx."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from course_utils.i18n import LANGUAGES, _
from course_utils.site.sources import write_front_page, write_sources

__all__ = ["build_site"]


def build_site(root: Path) -> Path:
    """Write the web edition to ``build/site/``, and answer the path of its first page.

    The lessons are shown with the outputs that are stored in them: nothing is executed. A page that
    Sphinx warns of, a link that leads nowhere or a formula that cannot be set stops the build. What
    an earlier build left is removed first.

    Args:
        root: the folder of the course.

    Raises:
        ValueError: there is no lesson in one of the languages, or Sphinx warned of something; what
            it said has been printed.
        ModuleNotFoundError: Sphinx, its theme or its reader of notebooks is not installed.
        OSError: a file cannot be written.
    """
    site, work = root / "build" / "site", root / "build" / "site-sources"
    for earlier in (site, work):
        shutil.rmtree(earlier, ignore_errors=True)
    for language in LANGUAGES:
        write_sources(root, language, work / language)
    # Both at a time: each takes one core, and most of it goes into reading the notebooks.
    running = {
        language: subprocess.Popen(_command(language, work, site), cwd=root)
        for language in LANGUAGES
    }
    failed = [language for language, process in running.items() if process.wait() != 0]
    if failed:
        raise ValueError(
            _(
                "The site was not built ({languages}): mend what Sphinx warns of above, then build "
                "it again."
            ).format(languages=", ".join(failed))
        )
    return write_front_page(site)


def _command(language: str, work: Path, site: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning"),
        *("--conf-dir", str(Path(__file__).parent)),
        *("--doctree-dir", str(work / "doctrees" / language)),
        *("--define", f"language={language}"),
        *(str(work / language), str(site / language)),
    ]
