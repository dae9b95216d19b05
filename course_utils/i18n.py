"""Messages in the reader's language: English in the code, French in ``locale/``."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TextIO

__all__ = [
    "DOMAIN",
    "LANGUAGES",
    "LOCALE",
    "_",
    "add_catalogue",
    "bracketed",
    "current_language",
    "duration",
    "listed",
    "named",
    "ngettext",
    "number",
    "percent",
    "say",
    "set_language",
    "speaking",
    "wrapped",
]

LANGUAGES = ("fr", "en")
ENVIRONMENT_VARIABLE = "COURSE_LANGUAGE"
_SPACE = "\N{NARROW NO-BREAK SPACE}"  # a number stays on one line
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_COLUMNS = 80
_LONGEST = 15  # digits before a number is written with a power of ten
DOMAIN = "course_utils"
LOCALE = Path(__file__).parent / "locale"
_catalogues = {DOMAIN: LOCALE}
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


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Messages in ``language`` within; then in whatever language they were before.

    Raises:
        ValueError: the course has no such language.

    >>> with speaking("fr"):
    ...     current_language()
    'fr'
    """
    global _chosen
    before = _chosen
    set_language(language)
    try:
        yield
    finally:
        _chosen = before


def add_catalogue(domain: str, folder: Path) -> None:
    """Look for messages in another catalogue too: ``folder/<language>/LC_MESSAGES/domain.mo``."""
    _catalogues[domain] = folder
    _translations.cache_clear()


@lru_cache
def _translations(language: str) -> gettext.NullTranslations:
    """The translations into ``language``; English is the text in the code itself."""
    found = gettext.NullTranslations()
    if language != "en":
        for domain, folder in _catalogues.items():
            more = gettext.translation(domain, folder, [language])
            more.add_fallback(found)
            found = more
    return found


def _(message: str) -> str:
    """``message`` in the reader's language; call it when the message is shown, not at import."""
    return _translations(current_language()).gettext(message)


def ngettext(one: str, several: str, n: int) -> str:
    """The form of a message that goes with the number ``n``, in the reader's language.

    >>> set_language("en")
    >>> ngettext("{n} seed", "{n} seeds", 3).format(n=3)
    '3 seeds'
    """
    return _translations(current_language()).ngettext(one, several, n)


def listed(items: Iterable[str]) -> str:
    """Items in a row, as the reader's language parts them.

    >>> listed(["one", "two"])
    'one; two'
    """
    return _("; ").join(items)


def named(name: object, value: object) -> str:
    """A name and what goes with it.

    >>> named("plain-8", "1%")
    'plain-8: 1%'
    """
    return _("{name}: {value}").format(name=name, value=value)


def bracketed(low: str, high: str) -> str:
    """The ends of an interval, already written as the reader's language writes numbers.

    >>> bracketed("1%", "3%")
    '[1%, 3%]'
    """
    return _("[{low}, {high}]").format(low=low, high=high)


def say(message: str, file: TextIO | None = None) -> None:
    """Print a message; where a reader looks on, in lines of 80 columns at most, of whole words.

    A terminal and JupyterLab both break longer ones wherever their room ends, within words too.

    Args:
        message: one or more lines.
        file: where to, ``sys.stdout`` by default; a file that is no screen gets the lines as they
            are.
    """
    stream = sys.stdout if file is None else file
    if stream.isatty():  # so says a notebook's, too
        message = wrapped(message, min(_COLUMNS, shutil.get_terminal_size().columns))
    print(message, file=stream, flush=True)


def wrapped(message: str, columns: int = _COLUMNS) -> str:
    """A message in lines of so many columns at most, of whole words."""
    return "\n".join(
        textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False)
        for line in message.splitlines()
    )


def number(value: float, digits: int) -> str:
    """``value`` with ``digits`` significant digits, written as the reader's language does.

    >>> set_language("fr")
    >>> number(-1234.5, 5), number(40_551_040, 8), number(0.00012, 2)
    ('−1\\u202f234,5', '40\\u202f551\\u202f040', '0,00012')
    >>> set_language("en")
    >>> number(-1234.5, 5), number(3567, 3), number(-1e-7, 2), number(2.5e-7, 2)
    ('−1,234.5', '3,570', '−10⁻⁷', '2.5\\u202f×\\u202f10⁻⁷')
    """
    plain, _e, exponent = f"{value:.{digits}g}".partition("e")
    power = int(exponent or 0)
    if 0 < power < _LONGEST:
        plain, power = f"{float(plain) * 10**power:.0f}", 0
    decimals = len(plain.partition(".")[2])
    text = f"{float(plain):,.{decimals}f}"
    if power:
        text = f"{text}{_SPACE}×{_SPACE}10{str(power).translate(_RAISED)}"
        text = re.sub(rf"^(-?)1{_SPACE}×{_SPACE}", r"\1", text)  # 1 × 10⁻⁷ is 10⁻⁷
    text = text.replace("-", "−")
    if current_language() == "fr":
        text = text.replace(",", _SPACE).replace(".", ",")
    return text


def percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage with ``digits`` decimals.

    >>> set_language("fr")
    >>> percent(0.125)
    '12,5\\u202f%'
    >>> set_language("en")
    >>> percent(0.125)
    '12.5%'
    """
    text = f"{100 * share:.{digits}f}".replace("-", "−")
    if current_language() == "fr":
        return text.replace(".", ",") + _SPACE + "%"
    return text + "%"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> set_language("en")
    >>> duration(0.84), duration(42), duration(90), duration(4000), duration(100_000)
    ('0.84 s', '42 s', '2 min', '1 h 7 min', '1 d 4 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 59.5:
        return _("{seconds} s").format(seconds=number(seconds, 2))
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    if hours < 24:
        return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
    return _("{days} d {hours} h").format(days=hours // 24, hours=hours % 24)
