"""The pictures of a fit: predicted against observed, and what was left over day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.compare import day_name
from tapas_opt.learn.judge import Judgement
from tapas_opt.plot.style import INK, LIMIT, dressed, plain

__all__ = ["days_figure", "density_figure", "titled"]

FloatArray = NDArray[np.float64]

_COLUMNS = 3
_CELLS = 56
"""Along each axis of a picture of density, about: a cell is as wide as whole steps of the sensor."""

_WIDEST = (0.0005, 0.9995)
"""Quantiles that a picture spans: a single absurd reading would press all others into a corner."""

_FEW_VALUES = 200
"""A sensor that showed more different values than these is taken for one without steps."""

_COLOURS = ((0.0, "#ffffff"), (0.02, "#dbe9f6"), (0.35, "#6baed6"), (0.7, "#2171b5"), (1.0, "#08306b"))
_BLUE, _RED = "#0072B2", "#D55E00"


def density_figure(samples: Mapping[str, tuple[FloatArray, FloatArray]]) -> Any:
    """Where predicted and observed lie, model by model: the darker, the more readings (logarithmic).

    Parameters
    ----------
    samples
        Predicted and observed, by what is above the picture; an empty one has no picture.
    """
    shown = {title: sample for title, sample in samples.items() if sample[0].size}
    figure = _grid([plain(title) for title in shown])
    for panel, sample in enumerate(shown.values()):
        place = _place(panel)
        edges = _edges(*sample)
        figure.add_heatmap(
            z=_shades(*sample, edges),
            x0=float(edges[0] + edges[1]) / 2,
            dx=float(edges[1] - edges[0]),
            y0=float(edges[0] + edges[1]) / 2,
            dy=float(edges[1] - edges[0]),
            zmin=0,
            zmax=255,
            colorscale=_COLOURS,
            showscale=False,
            hovertemplate="predicted %{x:.4g}, observed %{y:.4g}<extra></extra>",
            **place,
        )
        ends = [float(edges[0]), float(edges[-1])]
        line = {"color": LIMIT, "width": 1.2, "dash": "dash"}
        figure.add_scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False, **place)
        figure.update_xaxes(range=ends, title_text="predicted", title_standoff=4, **place)
        figure.update_yaxes(range=ends, title_text="observed", title_standoff=4, **place)
    return _finished(figure, len(shown), 300)


def days_figure(judged: Mapping[str, Judgement]) -> Any:
    """Mean of observed − predicted and mean error of each judged day."""
    shown = [one for one in judged.values() if one.by_day]
    figure = _grid([plain(titled(one.name, one.unit)) for one in shown])
    for panel, one in enumerate(shown):
        place, first = _place(panel), panel == 0
        days = [day_name(day.from_s) for day in one.by_day]
        mae, bias = ([getattr(day, what) for day in one.by_day] for what in ("mae", "bias"))
        figure.add_bar(x=days, y=mae, name="mean error", marker_color="#9ecae1", showlegend=first, legendgroup="mae",
                       hovertemplate="%{y:.3g}", **place)  # fmt: skip
        figure.add_scatter(x=days, y=bias, name="mean of observed − predicted", mode="lines+markers",
                           line={"color": _RED, "width": 1.6}, showlegend=first, legendgroup="bias",
                           hovertemplate="%{y:+.3g}", **place)  # fmt: skip
        figure.update_xaxes(type="category", **place)
        figure.update_yaxes(zeroline=True, zerolinecolor=INK, zerolinewidth=1, **place)
    return _finished(figure, len(shown), 210)


def titled(name: str, unit: str) -> str:
    """A model's name with the unit of what it predicts, if that has one."""
    return name if unit == "1" else f"{name} ({unit})"


def _grid(titles: Sequence[str]) -> Any:
    from plotly.subplots import make_subplots  # noqa: PLC0415  slow to import

    rows = max(1, -(-len(titles) // _COLUMNS))
    return make_subplots(
        rows=rows, cols=_COLUMNS, subplot_titles=titles, vertical_spacing=0.24 / rows, horizontal_spacing=0.07
    )


def _place(panel: int) -> dict[str, int]:
    return {"row": panel // _COLUMNS + 1, "col": panel % _COLUMNS + 1}


def _finished(figure: Any, panels: int, height: int) -> Any:
    titles = [note.text for note in figure.layout.annotations]
    dressed(figure, 90 + height * max(1, -(-panels // _COLUMNS)), titles)
    figure.update_layout(bargap=0.25)
    return figure


def _edges(predicted: FloatArray, observed: FloatArray) -> FloatArray:
    """One scale for both, so that a perfect model is the diagonal; cells as wide as whole steps of the sensor."""
    both = np.concatenate([predicted, observed])
    low, high = np.quantile(both, _WIDEST)
    room = 0.03 * (high - low) + 1e-9 * max(abs(low), 1.0)
    low, high = low - room, high + room
    width = (high - low) / _CELLS
    step = _step(observed)
    if step > 0.2 * width:
        width = step * max(1.0, np.round(width / step))
        low = step * (np.floor(low / step) - 0.5)
    cells = max(1, round(np.ceil((high - low) / width - 1e-9)))
    return np.asarray(low + width * np.arange(cells + 1))


def _step(observed: FloatArray) -> float:
    """Resolution of a sensor that knows few values, such as whole degrees; 0 for others."""
    values = np.unique(observed)
    return float(np.diff(values).min()) if 1 < values.size <= _FEW_VALUES else 0.0


def _shades(predicted: FloatArray, observed: FloatArray, edges: FloatArray) -> NDArray[np.uint8]:
    """``[observed, predicted]`` logarithm of the count, as 0..255: a byte a cell keeps the page small."""
    count, _, _ = np.histogram2d(np.clip(observed, edges[0], edges[-1]), np.clip(predicted, edges[0], edges[-1]), edges)
    logarithm = np.log1p(count)
    return np.asarray(np.ceil(255.0 * logarithm / max(float(logarithm.max()), 1e-9)), dtype=np.uint8)
