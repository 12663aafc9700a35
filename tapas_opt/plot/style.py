"""One look for all pictures: a colour per policy and mode, told apart by every eye (of Okabe and Ito, and of Tol)."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tapas_opt.domain.result import Mode

__all__ = ["BAND", "INK", "LIMIT", "MODE_COLOURS", "dressed", "plain", "policy_colours"]

INK = "#1f2933"
LIMIT = "#444444"
BAND = "rgba(230, 159, 0, 0.18)"
_GRID = "#e4e7eb"

_USUAL = {
    "baseline": "#D55E00",
    "packed": "#AA4499",
    "polca": "#CC79A7",
    "place": "#E69F00",
    "route": "#56B4E9",
    "config": "#7A5C00",
    "place+route": "#000000",
    "place+config": "#999999",
    "route+config": "#882255",
    "tapas": "#009E73",
    "tapas-opt": "#0072B2",
    "happened, measured": INK,
    "happened, predicted": "#7B8794",
}
_MORE = ("#332288", "#44AA99", "#999933", "#661100")

MODE_COLOURS: Mapping[str, str] = {
    Mode.SOLVER: "#0072B2",
    Mode.GREEDY: "#56B4E9",
    Mode.STALE_SAFE: "#E69F00",
    Mode.BEST_EFFORT: "#D55E00",
}
"""Colours of who answered; other modes (a policy's plain rules) are grey."""


def policy_colours(policies: Iterable[str]) -> dict[str, str]:
    """Colour of each policy, the same in every picture and on every page."""
    names = list(dict.fromkeys(policies))
    others = [name for name in names if name not in _USUAL]
    colours = _USUAL | {name: _MORE[i % len(_MORE)] for i, name in enumerate(others)}
    return {name: colours[name] for name in names}


def plain(name: object) -> str:
    """A name as text in a picture, whose labels would otherwise be read as HTML."""
    return html.escape(str(name), quote=False)


def dressed(figure: Any, height: int, titles: Sequence[str] = ()) -> Any:
    """Give a figure the common look; ``titles`` are the texts above its panels."""
    figure.update_layout(
        height=height,
        autosize=True,
        template="plotly_white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 70, "r": 20, "t": 70, "b": 45},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 - 6 / height,
            "yanchor": "top",
            "yref": "container",
        },
        hovermode="x unified",
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(gridcolor=_GRID, linecolor=_GRID)
    figure.update_yaxes(gridcolor=_GRID, linecolor=_GRID)
    for note in figure.layout.annotations:
        if note.text in titles:
            note.update(font={"size": 13, "color": INK})
    return figure
