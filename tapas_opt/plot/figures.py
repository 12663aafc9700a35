"""The pictures of a run: the whole day, each failure second by second, and who answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plot.panels import Clock, Panels, Quantity, day_clock
from tapas_opt.plot.series import fullest
from tapas_opt.plot.style import MODE_COLOURS, dressed, plain
from tapas_opt.simulation.record import Outage, Record, Run

__all__ = ["close_up", "airflow_figure", "gpu_figure", "modes_figure", "row_figure", "service_figure", "ups_figure"]

FloatArray = NDArray[np.float64]

_PANELS_AT_MOST = 8
"""More domains than this are shown as the fullest of them."""

_POINTS_IN_ALL = 90_000
"""Samples in the whole page, so that it stays a file to send by mail."""

_POINTS = (150, 1_500)
"""At least and at most so many a line."""

_BEFORE_S, _AFTER_S, _WATCHED_S = 60.0, 120.0, 600.0
"""A close-up: a minute before the failure, two minutes after its end, ten minutes of it at most."""

_NEARLY_ALL = (90.0, 100.0)
"""An axis of percentages that should be 100 shows at least this much."""

_OTHER_MODE = "#999999"


@dataclass(frozen=True, slots=True)
class Domains:
    """Places of one kind with a load and a limit each."""

    noun: str
    names: Callable[[Record], Sequence[str]]
    load: Callable[[Record], FloatArray]
    limit: Callable[[Record], FloatArray]
    unit: str
    scale: float
    limit_word: str


UPSES = Domains(
    "UPS", lambda r: r.upses, lambda r: r.ups_power_w, lambda r: r.ups_capacity_w, "kW", 1e-3, "capacity"
)  # fmt: skip
ROWS = Domains(
    "row", lambda r: r.rows, lambda r: r.row_power_w, lambda r: r.row_budget_w, "kW", 1e-3, "power budget"
)  # fmt: skip
AISLES = Domains(
    "aisle", lambda r: r.aisles, lambda r: r.aisle_airflow_cfm, lambda r: r.aisle_capacity_cfm, "CFM", 1.0, "airflow"
)  # fmt: skip


def ups_figure(run: Run) -> Any:
    """Each UPS's power against its capacity through the day."""
    return _domains_figure(run, UPSES)


def row_figure(run: Run) -> Any:
    """Each row's power against its budget through the day."""
    return _domains_figure(run, ROWS)


def airflow_figure(run: Run) -> Any:
    """Each aisle's airflow against what its air handlers give, through the day."""
    return _domains_figure(run, AISLES)


def gpu_figure(run: Run) -> Any:
    """The hottest GPU against its limit, and how many servers throttled."""
    quantities = (
        Quantity("Hottest GPU of the site", "°C", from_zero=False),
        Quantity("Servers whose hardware slowed itself down", "servers", digits=0),
    )
    panels = Panels(run, day_clock(run), quantities, 1, _points(run, 2))
    for record in run.records:
        panels.line(0, record, record.hottest_gpu_c)
        panels.line(1, record, record.throttled_servers)
    panels.limit(0, [np.full(len(record.t_s), record.gpu_limit_c) for record in run.records])
    return panels.done(190)


def service_figure(run: Run) -> Any:
    """What users felt: demand served, quality of answers, speed of IaaS VMs."""
    quantities = (
        Quantity("Demand served by the endpoints", "%", 100.0, at_least=_NEARLY_ALL),
        Quantity("Quality of answers, relative to the best model", "%", 100.0, at_least=_NEARLY_ALL),
        Quantity("Speed of IaaS VMs, relative to what they asked for", "%", 100.0, at_least=_NEARLY_ALL),
    )
    panels = Panels(run, day_clock(run), quantities, 1, _points(run, 3))
    for record in run.records:
        for panel, values in enumerate((record.served_frac, record.quality_frac, record.iaas_performance_frac)):
            panels.line(panel, record, values)
    return panels.done(170)


def close_up(run: Run, outage: Outage) -> Any:
    """One failure, second by second: what came nearest to its limit, and what users felt."""
    quantities = (
        Quantity("Fullest UPS, of its capacity", "%", 100.0, from_zero=False),
        Quantity("Fullest row, of its power budget", "%", 100.0, from_zero=False),
        Quantity("Fullest aisle, of its airflow capacity", "%", 100.0, from_zero=False),
        Quantity("Hottest GPU", "°C", from_zero=False),
        Quantity("Demand served", "%", 100.0, at_least=_NEARLY_ALL),
        Quantity("Quality of answers", "%", 100.0, at_least=_NEARLY_ALL),
    )
    panels = Panels(run, _failure_clock(outage), quantities, 2, _points(run, 6))
    for record in run.records:
        for panel, domains in enumerate((UPSES, ROWS, AISLES)):
            _fullest_line(panels, panel, record, domains)
        panels.line(3, record, record.hottest_gpu_c)
        panels.line(4, record, record.served_frac)
        panels.line(5, record, record.quality_frac)
    for panel in range(3):
        panels.limit(panel, [np.ones(len(record.t_s)) for record in run.records])
    panels.limit(3, [np.full(len(record.t_s), record.gpu_limit_c) for record in run.records])
    return panels.done(190)


def modes_figure(run: Run) -> Any:
    """Who answered: share of each mode among a policy's decisions of each kind, with counts."""
    import plotly.graph_objects as go  # noqa: PLC0415  slow to import

    bars = [(r.policy, kind, modes) for r in run.records for kind, modes in r.answered.items() if sum(modes.values())]
    bars.sort(key=lambda bar: bar[1])
    used = sorted({mode for _, _, modes in bars for mode in modes}, key=_mode_order)
    figure = go.Figure()
    for mode in used:
        counts = [modes.get(mode, 0) for _, _, modes in bars]
        figure.add_bar(
            y=[[plain(kind) for _, kind, _ in bars], [plain(policy) for policy, _, _ in bars]],
            x=[100.0 * count / sum(modes.values()) for count, (_, _, modes) in zip(counts, bars, strict=True)],
            text=[f"{count:,}" if count else "" for count in counts],
            name=plain(mode),
            orientation="h",
            marker_color=MODE_COLOURS.get(mode, _OTHER_MODE),
            hovertemplate="%{x:.1f} % (%{text})",
        )
    dressed(figure, 120 + 34 * max(1, len(bars)))
    figure.update_layout(barmode="stack", hovermode="closest", margin={"l": 190}, legend_traceorder="normal")
    figure.update_xaxes(title="% of the decisions of that kind; numbers in the bars are counts", range=[0, 100])
    figure.update_yaxes(autorange="reversed")
    return figure


def _mode_order(mode: str) -> tuple[int, str]:
    known = list(MODE_COLOURS)
    return (known.index(mode) if mode in known else len(known), mode)


def _domains_figure(run: Run, domains: Domains) -> Any:
    names = domains.names(run.records[0]) if run.records else ()
    alike = all(tuple(domains.names(record)) == tuple(names) for record in run.records)
    if alike and 0 < len(names) <= _PANELS_AT_MOST:
        return _a_panel_each(run, domains, names)
    return _the_fullest(run, domains)


def _a_panel_each(run: Run, domains: Domains, names: Sequence[str]) -> Any:
    quantities = [
        Quantity(f"{_capitalised(domains.noun)} {plain(name)}", domains.unit, domains.scale) for name in names
    ]
    panels = Panels(run, day_clock(run), quantities, 2, _points(run, len(names)))
    for panel in range(len(names)):
        for record in run.records:
            panels.line(panel, record, domains.load(record)[:, panel])
        panels.limit(panel, [domains.limit(record)[:, panel] for record in run.records])
    return panels.done(210)


def _the_fullest(run: Run, domains: Domains) -> Any:
    title = f"Fullest {domains.noun}, of its {domains.limit_word}"
    panels = Panels(run, day_clock(run), [Quantity(title, "%", 100.0)], 1, _points(run, 1))
    for record in run.records:
        _fullest_line(panels, 0, record, domains)
    panels.limit(0, [np.ones(len(record.t_s)) for record in run.records])
    return panels.done(300)


def _fullest_line(panels: Panels, panel: int, record: Record, domains: Domains) -> None:
    frac, which = fullest(domains.load(record), domains.limit(record))
    names = [plain(name) for name in domains.names(record)]
    panels.line(panel, record, frac, [names[i] for i in which] if names else ())


def _capitalised(noun: str) -> str:
    return noun[:1].upper() + noun[1:]


def _failure_clock(outage: Outage) -> Clock:
    watched_s = min(outage.until_s + _AFTER_S, outage.from_s + _WATCHED_S)
    title = {"text": f"seconds after the failure of {plain(outage.label)}"}
    axis = {"title": title, "hoverformat": ".0f", "zeroline": True}
    return Clock(axis, 1.0, outage.from_s, (outage.from_s - _BEFORE_S, watched_s))


def _points(run: Run, lines_a_policy: int) -> int:
    """Samples a line may have; every picture gets an equal part of the page."""
    pictures = 5 + len(run.outages)
    lines = max(1, lines_a_policy * len(run.records))
    least, most = _POINTS
    return min(most, max(least, _POINTS_IN_ALL // (pictures * lines)))
