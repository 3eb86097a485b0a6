"""How results show themselves: in a line where they are one value among others, in a few in a notebook."""

from __future__ import annotations

import math
from html import escape

__all__ = ["Shown", "number"]

_LINES = 12  # in a notebook: the rest is what `print` is for


def number(value: float, form: str) -> str:
    """Return a number in a table, or a dash where there is none, which is inf elsewhere."""
    return format(value, form) if math.isfinite(value) else "-"


class Shown:
    """A result whose ``str`` is written for a person; its ``repr`` is the first line of that."""

    def __repr__(self) -> str:
        kind = type(self).__name__
        first = str(self).splitlines()[0]
        return f"<{kind}: {first.removeprefix(f'{kind}: ').removeprefix('Certificate: ')}>"

    def _repr_html_(self) -> str:
        lines = str(self).splitlines()
        more = [f"... and {len(lines) - _LINES} more lines: print it"] if len(lines) > _LINES + 1 else []
        shown = lines[:_LINES] + more if more else lines
        text = "\n".join(shown)
        return f"<pre>{escape(text)}</pre>"
