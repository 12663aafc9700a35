"""The parts that pictures are made of: a line, a limit, a shaded failure, a panel on a common clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plot.outages import Emergency, emergencies
from tapas_opt.plot.series import steps, thinned
from tapas_opt.plot.style import BAND, INK, LIMIT, dressed, plain, policy_colours
from tapas_opt.plot.words import several_days
from tapas_opt.simulation.record import Record, Run

__all__ = ["Clock", "Panels", "Quantity", "day_clock", "known", "points_a_line", "span_s"]

FloatArray = NDArray[np.float64]

_MS = 1_000.0

_POINTS_IN_ALL = 90_000
"""Samples in the whole page, so that it stays a file to send by mail."""

_POINTS = (150, 1_500)
"""At least and at most so many a line."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the x axes count: hours of the day, or seconds from a failure.

    Attributes
    ----------
    axis
        Plotly's settings of the axes.
    scale, origin_s
        ``x = (t_s − origin_s) · scale``.
    span_s
        What is shown, or None for everything.
    """

    axis: dict[str, Any]
    scale: float = _MS
    origin_s: float = 0.0
    span_s: tuple[float, float] | None = None

    def at(self, t_s: Any) -> Any:
        """Where simulated seconds lie on the axis."""
        return (t_s - self.origin_s) * self.scale

    def shown(self, t_s: FloatArray) -> NDArray[np.bool_]:
        """Which samples are inside the span; and one on either side, so that lines reach its edges."""
        if self.span_s is None:
            return np.ones(len(t_s), dtype=np.bool_)
        first, last = np.searchsorted(t_s, self.span_s, side="left")
        number = np.arange(len(t_s))
        return np.asarray((number >= first - 1) & (number <= last))


def day_clock(run: Run) -> Clock:
    """Hours of the day; runs that pass midnight also name the day, the first one being day 1."""
    text = "%H:%M\nday %-d" if several_days(span_s(run)) else "%H:%M"
    return Clock({"type": "date", "tickformat": text, "hoverformat": "%H:%M:%S", "title": {"text": "hour of day"}})


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a panel shows of a record.

    Attributes
    ----------
    title
        Above the panel; already safe as text in a picture.
    unit
        Behind every number.
    scale
        From the record's unit to the panel's.
    at_least
        What the axis spans even where all values are alike.
    """

    title: str
    unit: str
    scale: float = 1.0
    digits: int = 1
    from_zero: bool = True
    at_least: tuple[float, float] | None = None

    @property
    def hover(self) -> str:
        """Plotly's template of a value under the pointer."""
        return f"%{{y:,.{self.digits}f}} {self.unit}"


def known(run: Run, series: Sequence[tuple[Quantity, str]]) -> list[tuple[Quantity, str]]:
    """Of the series of records, by their names, those that any policy has a value of: an empty panel says nothing."""
    return [
        (quantity, name)
        for quantity, name in series
        if any(np.isfinite(getattr(record, name)).any() for record in run.records)
    ]


class Panels:
    """A grid of panels on one clock, filled policy by policy, limit by limit."""

    def __init__(self, run: Run, clock: Clock, quantities: Sequence[Quantity], columns: int, points: int) -> None:
        from plotly.subplots import make_subplots  # noqa: PLC0415  slow to import

        self._run = run
        self._clock = clock
        self._quantities = quantities
        self._columns = min(columns, max(1, len(quantities)))
        self._rows = -(-len(quantities) // self._columns)
        self._points = points
        self._colours = policy_colours(record.policy for record in run.records)
        self._named: set[str] = set()
        self._spans = [quantity.at_least for quantity in quantities]
        gap = 0.36 / self._rows if self._rows > 1 else 0.0
        self._figure = make_subplots(
            rows=self._rows,
            cols=self._columns,
            shared_xaxes="all",
            subplot_titles=[quantity.title for quantity in quantities],
            vertical_spacing=gap,
            horizontal_spacing=0.09,
        )

    def _place(self, panel: int) -> dict[str, int]:
        return {"row": panel // self._columns + 1, "col": panel % self._columns + 1}

    def _legend(self, name: str) -> dict[str, Any]:
        """A name is listed once, however many panels it is in."""
        first = name not in self._named
        self._named.add(name)
        return {"name": name, "legendgroup": name, "showlegend": first}

    def line(self, panel: int, record: Record, values: FloatArray, notes: Sequence[str] = ()) -> None:
        """Draw a series of a policy; ``notes`` are texts beside its values, one a sample."""
        shown = np.flatnonzero(self._clock.shown(record.t_s))
        kept = shown[thinned(np.asarray(values, dtype=np.float64)[shown], self._points)]
        quantity = self._quantities[panel]
        told = (np.asarray(values)[kept] * quantity.scale).astype(np.float32)
        self._widen(panel, told[np.isfinite(told)])
        extra = " %{text}" if notes else ""
        self._figure.add_scatter(
            x=self._clock.at(record.t_s[kept]),
            y=told,
            text=[notes[i] for i in kept] if notes else None,
            mode="lines",
            line={"color": self._colours[record.policy], "width": 1.6},
            hovertemplate=quantity.hover + extra,
            **self._legend(plain(record.policy)),
            **self._place(panel),
        )

    def _widen(self, panel: int, told: NDArray[np.float32]) -> None:
        span = self._spans[panel]
        if span is not None and len(told):
            self._spans[panel] = (min(span[0], float(told.min())), max(span[1], float(told.max())))

    def limit(self, panel: int, values: Sequence[FloatArray]) -> None:
        """Draw the limits of the records in force; one line where all records had the same."""
        records = [(record, value) for record, value in zip(self._run.records, values, strict=True) if len(value)]
        same = all(_same_limit(records[0], other) for other in records[1:])
        for record, value in records[:1] if same else records:
            name = "limit in force" if same else f"limit in force ({plain(record.policy)})"
            self._limit_line(panel, record, value, name, LIMIT if same else self._colours[record.policy])

    def _limit_line(self, panel: int, record: Record, values: FloatArray, name: str, colour: str) -> None:
        shown = np.flatnonzero(self._clock.shown(record.t_s))
        kept = shown[steps(np.asarray(values, dtype=np.float64)[shown], self._points)]
        self._figure.add_scatter(
            x=self._clock.at(record.t_s[kept]),
            y=(np.asarray(values)[kept] * self._quantities[panel].scale).astype(np.float32),
            mode="lines",
            line={"color": colour, "width": 1.4, "dash": "dash"},
            hovertemplate=self._quantities[panel].hover,
            **self._legend(name),
            **self._place(panel),
        )

    def mark(self, panel: int, record: Record, t_s: float, value: float, name: str, text: str) -> None:
        """Mark a moment of a policy; all marks of a name share one entry of the legend."""
        self._figure.add_scatter(
            x=[self._clock.at(t_s)],
            y=[value * self._quantities[panel].scale],
            text=[text],
            mode="markers",
            marker={
                "symbol": "diamond",
                "size": 11,
                "color": INK,
                "line": {"color": self._colours[record.policy], "width": 2},
            },
            hovertemplate=f"{plain(record.policy)}: %{{text}}<extra></extra>",
            **self._legend(name),
            **self._place(panel),
        )

    def done(self, panel_height: int) -> Any:
        """Shade the failures, set the axes, and hand the figure over."""
        for emergency in emergencies(self._run.outages):
            self._shade(emergency)
        self._figure.update_xaxes(**(self._clock.axis | {"title": None}))
        if self._clock.span_s is not None:
            self._figure.update_xaxes(range=[float(self._clock.at(t_s)) for t_s in self._clock.span_s])
        for column in range(1, self._columns + 1):
            self._figure.update_xaxes(title=self._clock.axis["title"], row=self._rows, col=column)
        self._figure.update_xaxes(showticklabels=True)
        for panel, quantity in enumerate(self._quantities):
            mode = "tozero" if quantity.from_zero else "normal"
            self._figure.update_yaxes(title_text=quantity.unit, rangemode=mode, **self._place(panel))
            span = self._spans[panel]
            if span is not None:
                room = 0.06 * (span[1] - span[0])
                self._figure.update_yaxes(range=[span[0] - room, span[1] + room], **self._place(panel))
        return dressed(self._figure, 90 + panel_height * self._rows, [item.title for item in self._quantities])

    def _shade(self, emergency: Emergency) -> None:
        """A band over the failure in every panel; through the day, the first panel also names it."""
        first_s, last_s = self._clock.span_s or span_s(self._run)
        from_s, until_s = max(emergency.from_s, first_s), min(emergency.until_s, last_s)
        if until_s <= from_s:
            return
        x0, x1 = float(self._clock.at(from_s)), float(self._clock.at(until_s))
        for panel in range(len(self._quantities)):
            self._figure.add_shape(
                type="rect", x0=x0, x1=x1, y0=0, y1=1, yref="y domain", line_width=0, fillcolor=BAND, layer="below",
                **self._place(panel),
            )  # fmt: skip
        if self._clock.span_s is None:
            self._name(emergency, x0)

    def _name(self, emergency: Emergency, x0: float) -> None:
        self._figure.add_annotation(
            x=x0, y=0.03, yref="y domain", xanchor="right", yanchor="bottom", showarrow=False, textangle=-90,
            text=plain(emergency.label), font={"size": 11, "color": INK}, **self._place(0),
        )  # fmt: skip


def points_a_line(run: Run, lines_a_policy: int) -> int:
    """Samples a line may have; every picture gets an equal part of the page."""
    pictures = 5 + len(emergencies(run.outages))
    lines = max(1, lines_a_policy * len(run.records))
    least, most = _POINTS
    return min(most, max(least, _POINTS_IN_ALL // (pictures * lines)))


def span_s(run: Run) -> tuple[float, float]:
    """First and last sample of any policy."""
    ends = [t_s for record in run.records if len(record.t_s) for t_s in (float(record.t_s[0]), float(record.t_s[-1]))]
    return min(ends, default=0.0), max(ends, default=0.0)


def _same_limit(one: tuple[Record, FloatArray], other: tuple[Record, FloatArray]) -> bool:
    """Whether two limits are the same at every sample of either."""
    t_s = np.union1d(one[0].t_s, other[0].t_s)
    sampled = [np.asarray(limit)[_before(record.t_s, t_s)] for record, limit in (one, other)]
    return bool(np.array_equal(sampled[0], sampled[1]))


def _before(known_s: FloatArray, asked_s: FloatArray) -> NDArray[np.int64]:
    return np.clip(np.searchsorted(known_s, asked_s, side="right") - 1, 0, len(known_s) - 1).astype(np.int64)
