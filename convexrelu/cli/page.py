"""A page of HTML: one file with its figures inside, for any screen, by day and by night.

Nothing is loaded from elsewhere, and every text is escaped here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from convexrelu import __version__
from convexrelu._json_files import write_bytes

if TYPE_CHECKING:
    from convexrelu.plotting import NamedFigure

__all__ = ["commands", "facts", "figures", "head", "paragraph", "section", "table", "write_page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --soft: #666; --line: #ddd; --card: #f6f7f9;
  --good: #11703a; --bad: #a33c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181c; --soft: #a8a8a8;
  --line: #3a3d44; --card: #202329; --good: #5fd08d; --bad: #ff9a5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; font: 1rem/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.verdict { font-size: 1.1rem; padding: .8rem 1rem; border-left: .3rem solid var(--soft);
  background: var(--card); }
.verdict.good { border-color: var(--good); }
.verdict.bad { border-color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; font-weight: normal;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); overflow-wrap: normal; }
.wide th, .wide td { white-space: nowrap; overflow-wrap: normal; }
.number { text-align: right; }
figure { margin: 1rem 0; }
figcaption, footer { color: var(--soft); font-size: .9rem; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }
pre { padding: .7rem 1rem; background: var(--card); overflow-x: auto; font-size: .9rem; }
"""


def write_page(path: Path, command: str, about: str, body: Iterable[str]) -> None:
    """Write the page whole or not at all."""
    page = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><title>{escape(about)} - {escape(command)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head>",
        "<body><main>",
        *body,
        f"</main><footer><p>{escape(command)}, version {escape(__version__)}</p></footer>",
        "</body></html>",
    ]
    write_bytes(path, "\n".join(page).encode())


def head(title: str, answer: str, *, good: bool) -> Iterator[str]:
    """The title, and the answer in one sentence."""
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="verdict {"good" if good else "bad"}">{escape(_math(answer))}</p>'


def section(title: str, parts: Iterable[str]) -> Iterator[str]:
    """A section, if it has parts."""
    found = list(parts)
    if found:
        yield f"<section><h2>{escape(title)}</h2>"
        yield from found
        yield "</section>"


def figures(items: Iterable[NamedFigure]) -> Iterator[str]:
    """Figures with their names below, their pictures inside the page."""
    for item in items:
        content = io.BytesIO()
        item.figure.savefig(content, format="png", facecolor="white")
        data = base64.b64encode(content.getvalue()).decode()
        name = escape(item.name.replace("-", " "))
        yield f'<figure><img alt="{name}" src="data:image/png;base64,{data}">'
        yield f"<figcaption>{name}</figcaption></figure>"


def commands(lines: Sequence[str]) -> Iterator[str]:
    """Commands to copy."""
    for line in lines:
        yield f"<pre>{escape(line)}</pre>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(_math(text))}</p>"


def facts(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A table of names and values."""
    yield "<table>"
    for name, value in pairs:
        yield f'<tr><th scope="row">{escape(name)}</th><td>{escape(_math(value))}</td></tr>'
    yield "</table>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Iterable[int]) -> list[str]:
    """A table under titles, which scrolls sideways on narrow screens; columns of numbers flush right."""
    right = set(numbers)

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if k in right else ''}>{escape(_math(text))}</{tag}>"
            for k, text in enumerate(texts)
        )

    lines = [f"<tr>{cells('th', heads)}</tr>", *(f"<tr>{cells('td', row)}</tr>" for row in rows)]
    return ['<div class="wide"><table>', *lines, "</table></div>"]


def _math(text: str) -> str:
    return text.replace("<=", "\u2264").replace(">=", "\u2265")
