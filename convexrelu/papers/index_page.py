"""One page that shows every reproduced figure: its picture, its claims and what was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from convexrelu.papers.claims import Claim, ReproducedFigure

__all__ = ["index_page"]

_STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222; }
img { max-width: 100%; border: 1px solid #ddd; }
table { border-collapse: collapse; margin: .6em 0 2.5em; font-size: 13px; }
td, th { border: 1px solid #ccc; padding: .25em .5em; text-align: left; vertical-align: top; }
.fails { background: #fbe3d6; font-weight: bold; }
.setting { color: #555; }
"""


def index_page(papers: Mapping[str, Sequence[ReproducedFigure]], *, pictures: bool = True) -> str:
    """Return an HTML page of the figures of some papers, in their order.

    Parameters
    ----------
    papers : mapping of str to sequence of ReproducedFigure
        What was reproduced, by the name of the paper.
    pictures : bool, default True
        Whether ``NAME.png`` lies beside the page for each figure.

    Returns
    -------
    str
        The page; nothing in it is loaded from elsewhere.

    Examples
    --------
    >>> index_page({}).splitlines()[0]
    '<!DOCTYPE html>'
    """
    claims = [claim for figures in papers.values() for figure in figures for claim in figure.claims]
    total = sum(map(len, papers.values()))
    body = [
        "<h1>The papers, reproduced</h1>",
        f"<p>{total} figures, {sum(claim.holds for claim in claims)} of {len(claims)} claims hold.</p>",
    ]
    for paper, figures in papers.items():
        links = ", ".join(f'<a href="#{escape(figure.name)}">{escape(figure.name)}</a>' for figure in figures)
        body.append(f"<h2>{escape(paper)}</h2>\n<p>{links}</p>")
        body += [_section(figure, pictures=pictures) for figure in figures]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"><title>The papers, reproduced</title>',
            f"<style>{_STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def _section(figure: ReproducedFigure, *, pictures: bool) -> str:
    name = escape(figure.name)
    head = "<tr><th>number</th><th>computed</th><th></th><th>stated</th><th>within</th><th>source</th></tr>"
    parts = [f'<h3 id="{name}">{name}</h3>', f'<p class="setting">{escape(figure.setting)}</p>']
    if pictures:
        parts.append(f'<img src="{name}.png" alt="{name}">')
    if figure.claims:
        parts.append("\n".join(["<table>", head, *map(_row, figure.claims), "</table>"]))
    return "\n".join(parts)


def _row(claim: Claim) -> str:
    cells = (
        claim.about,
        _numbers(claim.computed),
        claim.relation if claim.holds else f"FAILS: {claim.relation}",
        _numbers(claim.stated),
        f"{claim.tolerance:g}" if claim.tolerance else "",
        claim.source,
    )
    mark = "" if claim.holds else ' class="fails"'
    return f"<tr{mark}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.7g}" for value in values)
