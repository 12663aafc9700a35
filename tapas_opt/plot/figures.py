"""The pictures of a run: heat and power at a glance, the whole day domain by domain, and who answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapas_opt.plot.domains import AISLES, ROWS, UPSES, Domains
from tapas_opt.plot.emergency import NEARLY_ALL
from tapas_opt.plot.panels import Panels, Quantity, day_clock, known, points_a_line
from tapas_opt.plot.style import MODE_COLOURS, dressed, plain
from tapas_opt.simulation.record import Run

__all__ = ["airflow_figure", "glance_figure", "modes_figure", "row_figure", "service_figure", "ups_figure"]

_PANELS_AT_MOST = 8
"""More domains than this are shown as the fullest of them."""

_OTHER_MODE = "#999999"

_TO_USERS = (
    (Quantity("Demand served by the endpoints", "%", 100.0, at_least=NEARLY_ALL), "served_frac"),
    (Quantity("Requests answered within the promised latency", "%", 100.0, at_least=NEARLY_ALL), "slo_attainment_frac"),
    (Quantity("Time to first token, 99 % below", "s", digits=2), "p99_ttft_s"),
    (Quantity("Quality of answers, relative to the best model", "%", 100.0, at_least=NEARLY_ALL), "quality_frac"),
)
_TO_TENANTS = (
    (
        Quantity("Speed of IaaS VMs, relative to what they asked for", "%", 100.0, at_least=NEARLY_ALL),
        "iaas_performance_frac",
    ),
)


def glance_figure(run: Run) -> Any:
    """The hottest GPU, the row that is nearest to its budget, and how many servers throttled, policy by policy."""
    quantities = (
        Quantity("Hottest GPU of the site", "°C", from_zero=False),
        Quantity("Fullest row, of its power budget", "%", 100.0, from_zero=False),
        Quantity("Servers whose hardware slowed itself down", "servers", digits=0),
    )
    panels = Panels(run, day_clock(run), quantities, 1, points_a_line(run, 3))
    for record in run.records:
        panels.line(0, record, record.hottest_gpu_c)
        ROWS.fullest_line(panels, 1, record)
        panels.line(2, record, record.throttled_servers)
    panels.limit(0, [np.full(len(record.t_s), record.gpu_limit_c) for record in run.records])
    panels.limit(1, [np.ones(len(record.t_s)) for record in run.records])
    return panels.done(220)


def ups_figure(run: Run) -> Any:
    """Each UPS's power against its capacity through the day."""
    return _domains_figure(run, UPSES)


def row_figure(run: Run) -> Any:
    """Each row's power against its budget through the day; None where they are too many to have a panel each."""
    return _panels_of_each(run, ROWS)


def airflow_figure(run: Run) -> Any:
    """Each aisle's airflow against what its air handlers give, through the day."""
    return _domains_figure(run, AISLES)


def service_figure(run: Run, endpoints: bool = True) -> Any:
    """What users felt: demand served, promises kept, how late answers began, their quality, speed of IaaS VMs.

    Only the last where there are no ``endpoints``; a record that does not know has no line.
    """
    felt = known(run, _TO_USERS + _TO_TENANTS if endpoints else _TO_TENANTS)
    panels = Panels(run, day_clock(run), [quantity for quantity, _ in felt], 1, points_a_line(run, len(felt)))
    for record in run.records:
        for panel, (_, name) in enumerate(felt):
            if np.isfinite(getattr(record, name)).any():
                panels.line(panel, record, getattr(record, name))
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
    return _panels_of_each(run, domains) or _the_fullest(run, domains)


def _panels_of_each(run: Run, domains: Domains) -> Any:
    names = domains.names(run.records[0]) if run.records else ()
    alike = all(tuple(domains.names(record)) == tuple(names) for record in run.records)
    return _a_panel_each(run, domains, names) if alike and 0 < len(names) <= _PANELS_AT_MOST else None


def _a_panel_each(run: Run, domains: Domains, names: Sequence[str]) -> Any:
    quantities = [
        Quantity(f"{_capitalised(domains.noun)} {plain(name)}", domains.unit, domains.scale) for name in names
    ]
    panels = Panels(run, day_clock(run), quantities, 2, points_a_line(run, len(names)))
    for panel in range(len(names)):
        for record in run.records:
            panels.line(panel, record, domains.load(record)[:, panel])
        panels.limit(panel, [domains.limit(record)[:, panel] for record in run.records])
    return panels.done(210)


def _the_fullest(run: Run, domains: Domains) -> Any:
    title = f"Fullest {domains.noun}, of its {domains.limit_word}"
    panels = Panels(run, day_clock(run), [Quantity(title, "%", 100.0)], 1, points_a_line(run, 1))
    for record in run.records:
        domains.fullest_line(panels, 0, record)
    panels.limit(0, [np.ones(len(record.t_s)) for record in run.records])
    return panels.done(300)


def _capitalised(noun: str) -> str:
    return noun[:1].upper() + noun[1:]
