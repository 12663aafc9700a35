"""A page that carries everything with it: sections of HTML around figures, plotly once, no other host."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

__all__ = ["Section", "folded", "page", "unbroken"]

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The browser itself refuses whatever would come from elsewhere."""

_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
    # plotly 7 shows a button that sends the picture's data to its maker, unless told not to.
    "showSendToCloud": False,
}

_COLUMN_PX = 340
"""Of a picture, at least."""

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff; max-width: 1180px;
  margin: 0 auto; padding: 1.5rem 1.2rem 4rem; }
h1 { font-size: 1.05rem; font-weight: 600; color: #52606d; margin: 0 0 .3rem; }
.headline { font-size: 1.45rem; line-height: 1.35; font-weight: 600; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .2rem; border-top: 1px solid #e4e7eb; padding-top: 1.2rem; }
p { max-width: 52rem; margin: .3rem 0 .8rem; }
.wide, .drawn { overflow-x: auto; }
.drawn .plotly-graph-div { min-width: 42rem; }
table { border-collapse: collapse; font-size: .94rem; }
th, td { padding: .28rem .9rem .28rem .4rem; text-align: left; border-bottom: 1px solid #e4e7eb; vertical-align: top; }
thead th { border-bottom: 3px solid #9aa5b1; }
tbody th { font-weight: 400; }
.summary td, .summary thead th + th { text-align: right; font-variant-numeric: tabular-nums; padding-left: 1.6rem;
  white-space: nowrap; }
.timeline td:first-child { font-variant-numeric: tabular-nums; white-space: nowrap; }
.best { font-weight: 700; }
.failure td { background: #fdf1da; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; }
.tag { font-size: .75rem; color: #52606d; border: 1px solid #cbd2d9; border-radius: .3em; padding: 0 .3em; }
.none, .note { color: #52606d; }
.wide + .note { margin-top: 1.2rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { font-size: .82rem; background: #f5f7fa; padding: .8rem; overflow-x: auto; }
@media print { .modebar { display: none !important; } h2 { break-after: avoid; } }
"""


def folded(title: str, text: str) -> str:
    """HTML that is there once its title is clicked."""
    return f"<details><summary>{title}</summary>{text}</details>"


def unbroken(text: str) -> str:
    """HTML in which a number and its unit stay on one line."""
    return text.replace(" %", "&nbsp;%").replace(" °C", "&nbsp;°C")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence or two of HTML, and perhaps a figure or more HTML below."""

    title: str
    words: str = ""
    figure: Any = None
    below: str = ""


def page(title: str, opening: str, sections: list[Section]) -> str:
    """Put a page together; ``opening`` and the sections' texts are HTML, titles are plain text."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  slow to import

    body = "".join(_section(number, section) for number, section in enumerate(sections, start=1))
    return (
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script>\n"
        f"</head>\n<body>\n{opening}\n{body}</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    drawn = "" if section.figure is None else _drawn(section.figure, f"figure-{number}")
    return f"<h2>{html.escape(section.title)}</h2>\n{section.words}\n{drawn}{section.below}\n"


def _drawn(figure: Any, name: str) -> str:
    """A picture; one of several columns is scrolled in a narrow window, since nobody could read it squeezed."""
    text = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=_CONFIG)
    columns = len({axis.domain for axis in figure.select_xaxes()})
    least = f" style='min-width:{_COLUMN_PX * columns}px'" if columns > 1 else ""
    return f"<div class='wide'><div class='drawn'{least}>{text}</div></div>"
