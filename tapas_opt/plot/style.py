"""One look for all pictures: a colour per policy and per mode, told apart by every eye (Okabe and Ito's palette)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from tapas_opt.domain.result import Mode
from tapas_opt.simulation.record import Run

__all__ = ["BAND", "INK", "LIMIT", "MODE_COLOURS", "dressed", "plain", "policy_colours"]

INK = "#1f2933"
LIMIT = "#444444"
BAND = "rgba(230, 159, 0, 0.18)"
_GRID = "#e4e7eb"

_USUAL = {"baseline": "#D55E00", "tapas-opt": "#0072B2", "tapas": "#009E73", "polca": "#CC79A7"}
_MORE = ("#E69F00", "#56B4E9", "#7A5C00", "#000000", "#999999")

MODE_COLOURS: Mapping[str, str] = {
    Mode.SOLVER: "#0072B2",
    Mode.GREEDY: "#56B4E9",
    Mode.STALE_SAFE: "#E69F00",
    Mode.BEST_EFFORT: "#D55E00",
}
"""Colours of who answered; other modes (a policy's plain rules) are grey."""


def policy_colours(run: Run) -> dict[str, str]:
    """Colour of each policy of a run, the same in every picture."""
    others = [record.policy for record in run.records if record.policy not in _USUAL]
    return _USUAL | {name: _MORE[i % len(_MORE)] for i, name in enumerate(dict.fromkeys(others))}


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
