"""The web edition as its tests read it: built once, every page parsed."""

from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

from course.site import build_site

ROOT = Path(__file__).parents[2]


@dataclass
class Page(HTMLParser):
    """The elements of a page, each as its name and its attributes."""

    path: Path
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.text = self.path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, *tags: str) -> list[dict[str, str]]:
        """The attributes of every element with one of these names."""
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def ids(self) -> set[str]:
        """What a link into the page can name."""
        return {attributes["id"] for _tag, attributes in self.elements if "id" in attributes}


@lru_cache
def site() -> Path:
    """The folder of the site, built from the lessons as they are stored."""
    return build_site(ROOT, ROOT / "build" / "test-site").parent


@lru_cache
def pages() -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path) for path in sorted(site().rglob("*.html"))}
