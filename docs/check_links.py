"""Check that every link inside a built site leads to a file of it, and every fragment to a place in it.

``python docs/check_links.py docs/_build/html`` prints what does not, and exits with 1. Sphinx checks most of
this; it does not see what templates, notebooks and raw HTML bring.
"""

from __future__ import annotations

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """What a page links to, and the places that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Collect what a tag names and where it points."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


@cache
def _page(path: Path) -> _Page:
    return _Page(path)


def _broken(page: Path, site: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    lost = []
    for link in sorted(_page(page).links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
        if target.is_dir():
            target /= "index.html"
        inside = target.is_relative_to(site) and target.exists()
        place = unquote(parts.fragment)
        if not inside or (place and target.suffix == ".html" and place not in _page(target).places):
            lost.append(f"{page.relative_to(site)}: {link}")
    return lost


def main(site: Path) -> int:
    """Print the broken links of a site, and return the exit code."""
    # themes bring templates of their own in _static
    pages = sorted(p for p in site.resolve().rglob("*.html") if "_static" not in p.parts)
    lost = [line for page in pages for line in _broken(page, site.resolve())]
    print(*lost, f"{len(pages)} pages, {len(lost)} broken links", sep="\n")  # noqa: T201
    return 1 if lost or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
