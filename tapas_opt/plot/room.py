"""The room seen from above at its hottest moment: a row of cells for each row of racks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plot.panels import span_s
from tapas_opt.plot.style import INK, dressed, plain
from tapas_opt.plot.words import clock_time, several_days
from tapas_opt.simulation.record import Record, Run

__all__ = ["room_figure"]

FloatArray = NDArray[np.float64]

_ROW_HEIGHT = (5, 26)
"""Pixels: in a large room, and in a small one."""

_HIGHEST = 620
"""Pixels that a room should take."""

_BAR = 260
"""Pixels of the scale of colours, in a room that is not smaller."""

_GAP, _TOP, _BOTTOM = 60, 50, 50
"""Pixels between two lines of rooms, above and below them."""

_HEAT = "Cividis"
"""Made to look the same to those who see no red or no green (Nuñez, Anderton and Renslow 2018)."""


def room_figure(run: Run) -> Any:
    """Hottest GPU of each server at each policy's own hottest moment, one room beside the other, in one scale.

    Returns
    -------
    plotly.graph_objects.Figure
        None where no record knows its servers.
    """
    from plotly.subplots import make_subplots  # noqa: PLC0415  slow to import

    known = [record for record in run.records if record.hottest_gpus_c.size]
    if not known:
        return None
    columns = _columns(len(known))
    lines = math.ceil(len(known) / columns)
    room_height = _room_height(max(len(record.rows) for record in known))
    drawn = lines * room_height + (lines - 1) * _GAP
    days = several_days(span_s(run))
    titles = [_title(record, days) for record in known]
    figure = make_subplots(
        rows=lines,
        cols=columns,
        subplot_titles=titles,
        horizontal_spacing=0.03,
        vertical_spacing=_GAP / drawn if lines > 1 else 0.0,
    )
    for number, record in enumerate(known):
        _draw(figure, record, {"row": number // columns + 1, "col": number % columns + 1})
    figure.update_layout(coloraxis=_scale(known, min(_BAR, room_height)))
    figure.update_xaxes(showgrid=False, zeroline=False)
    for column in range(1, columns + 1):
        figure.update_xaxes(title_text="server of the row, from its first rack on", row=lines, col=column)
    figure.update_yaxes(showgrid=False, type="category")
    for column in range(2, columns + 1):
        figure.update_yaxes(showticklabels=False, col=column)
    dressed(figure, drawn + _TOP + _BOTTOM, titles)
    return figure.update_layout(hovermode="closest", margin={"t": _TOP, "b": _BOTTOM})


def _draw(figure: Any, record: Record, place: dict[str, int]) -> None:
    """Cells of one room, and a ring around the hottest one."""
    cells_c, names = _cells(record)
    rows = [plain(name) for name in record.rows]
    figure.add_heatmap(
        z=np.round(cells_c, 1),
        x=np.arange(1, cells_c.shape[1] + 1),
        y=rows,
        text=names,
        coloraxis="coloraxis",
        xgap=0.5,
        ygap=0.5,
        hoverongaps=False,
        hovertemplate="%{text}: %{z:.1f} °C<extra></extra>",
        **place,
    )
    row, position = np.unravel_index(np.nanargmax(cells_c), cells_c.shape)
    ring = {"symbol": "circle-open", "size": 13, "color": "#D55E00", "line": {"width": 2.5}}
    figure.add_scatter(
        x=[int(position) + 1], y=[rows[row]], mode="markers", marker=ring, hoverinfo="skip", showlegend=False, **place
    )
    lines, cells = cells_c.shape
    figure.update_xaxes(range=[0.5, cells + 0.5], **place)
    figure.update_yaxes(range=[lines - 0.5, -0.5], **place)


def _cells(record: Record) -> tuple[FloatArray, NDArray[np.str_]]:
    """``[row, position]`` temperature, NaN where a row is shorter, and name of each server."""
    in_row = np.bincount(record.server_row, minlength=len(record.rows))
    order = np.argsort(record.server_row, kind="stable")
    first = np.cumsum(in_row) - in_row
    row = record.server_row[order]
    position = np.arange(len(order)) - first[row]
    cells_c = np.full((len(record.rows), int(in_row.max())), np.nan)
    cells_c[row, position] = record.hottest_gpus_c[order]
    names = np.full(cells_c.shape, "", dtype=object)
    names[row, position] = [plain(record.servers[s]) for s in order]
    return cells_c, names


def _scale(records: Sequence[Record], bar_height: int) -> dict[str, Any]:
    of_all = np.concatenate([record.hottest_gpus_c for record in records])
    bar = {"title": {"text": "°C"}, "thickness": 14, "lenmode": "pixels", "len": bar_height, "y": 1, "yanchor": "top"}
    return {
        "colorscale": _HEAT,
        "cmin": float(np.nanmin(of_all)),
        "cmax": float(np.nanmax(of_all)),
        "colorbar": bar | {"tickfont": {"color": INK}},
    }


def _title(record: Record, days: bool) -> str:
    hottest_c = float(np.nanmax(record.hottest_gpus_c))
    return f"{plain(record.policy)}: {hottest_c:.1f} °C, {clock_time(record.hottest_s, days)}"


def _columns(rooms: int) -> int:
    return 2 if rooms in (2, 4) else min(rooms, 3)


def _room_height(rows: int) -> int:
    least, most = _ROW_HEIGHT
    return max(130, rows * min(most, max(least, _HIGHEST // rows)))
