"""Messages in the reader's language: English in the code, French in ``locale/fr.po``."""

from __future__ import annotations

import gettext
import os
from functools import lru_cache
from pathlib import Path

__all__ = ["LANGUAGES", "_", "current_language", "set_language"]

LANGUAGES = ("fr", "en")
ENVIRONMENT_VARIABLE = "COURSE_LANGUAGE"
_LOCALE = Path(__file__).parent / "locale"
_chosen: str | None = None


def set_language(language: str) -> None:
    """Choose the language of every message from here on.

    Args:
        language: ``"fr"`` or ``"en"``.

    Raises:
        ValueError: the course has no such language.

    >>> set_language("en")
    >>> current_language()
    'en'
    """
    global _chosen
    if language not in LANGUAGES:
        raise ValueError(
            f"No language {language!r} / Pas de langue {language!r}: "
            f"choose one of / choisir parmi {', '.join(LANGUAGES)}."
        )
    _chosen = language


def current_language() -> str:
    """The language chosen, else that of ``COURSE_LANGUAGE``, else English."""
    if _chosen is not None:
        return _chosen
    wanted = os.environ.get(ENVIRONMENT_VARIABLE, "en")
    return wanted if wanted in LANGUAGES else "en"


@lru_cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """The translations of ``language``; English is the text in the code itself."""
    if language == "en":
        return gettext.NullTranslations()
    with (_LOCALE / f"{language}.mo").open("rb") as compiled:
        return gettext.GNUTranslations(compiled)


def _(message: str) -> str:
    """``message`` in the reader's language; call it when the message is shown, not at import."""
    return _catalogue(current_language()).gettext(message)
