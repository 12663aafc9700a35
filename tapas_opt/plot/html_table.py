"""A table of texts as HTML, and the heads of columns that are policies."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tapas_opt.plot.style import policy_colours

__all__ = ["policy_heads", "table"]


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], words: int | None = None, marked: Sequence[bool] = ()
) -> str:
    """An HTML table of plain texts.

    Parameters
    ----------
    words
        So many columns at the front are words, the others numbers; None where columns are not told apart.
    marked
        ``[row]`` whether it stands out.
    """
    head = "".join(f"<th scope='col'{_kind(i, words)}>{html.escape(text)}</th>" for i, text in enumerate(heads))
    marks = marked or [False] * len(rows)
    body = "\n".join(_row(row, words, mark) for row, mark in zip(rows, marks, strict=True))
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def policy_heads(names: Sequence[str]) -> str:
    """The head of a column for each policy, underlined in its colour."""
    colours = policy_colours(names)
    return "".join(
        f"<th scope='col' style='border-bottom-color:{colours[name]}'>{html.escape(name)}</th>" for name in names
    )


def _kind(column: int, words: int | None) -> str:
    if words is None:
        return ""
    return " class='word'" if column < words else " class='number'"


def _row(texts: Sequence[str], words: int | None, mark: bool) -> str:
    cells = "".join(f"<td{_kind(i, words)}>{html.escape(text)}</td>" for i, text in enumerate(texts))
    return f"<tr class='failure'>{cells}</tr>" if mark else f"<tr>{cells}</tr>"
