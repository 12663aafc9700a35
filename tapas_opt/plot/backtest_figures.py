"""The pictures of a backtest: days as they happened and under each policy, from readings of five minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plot.domains import AISLES, ROWS
from tapas_opt.plot.emergency import NEARLY_ALL
from tapas_opt.plot.panels import Panels, Quantity, day_clock, points_a_line
from tapas_opt.simulation.record import Record, Run

__all__ = ["room_days_figure", "service_days_figure"]

_Shown = tuple[Quantity, Callable[[Record], NDArray[np.float64]]]

_TO_USERS: tuple[_Shown, ...] = (
    (Quantity("Demand served by the endpoints", "%", 100.0, at_least=NEARLY_ALL), lambda r: r.served_frac),
    (
        Quantity("Quality of answers, relative to the best model", "%", 100.0, at_least=NEARLY_ALL),
        lambda r: r.quality_frac,
    ),
)
_TO_TENANTS: tuple[_Shown, ...] = (
    (
        Quantity("Speed of IaaS VMs, relative to what they asked for", "%", 100.0, at_least=NEARLY_ALL),
        lambda r: r.iaas_performance_frac,
    ),
)


def room_days_figure(run: Run) -> Any:
    """The fullest row, the hottest GPU, the aisle nearest to its airflow, and how many servers were too hot."""
    quantities = (
        Quantity("Fullest row, of its power budget", "%", 100.0, from_zero=False),
        Quantity("Hottest GPU of the site", "°C", from_zero=False),
        Quantity("Fullest aisle, of its airflow", "%", 100.0, from_zero=False),
        Quantity("Servers with a GPU at its limit", "servers", digits=0, at_least=(0.0, 1.0)),
    )
    panels = Panels(run, day_clock(run), quantities, 1, points_a_line(run, len(quantities)))
    for record in run.records:
        ROWS.fullest_line(panels, 0, record)
        panels.line(1, record, record.hottest_gpu_c)
        AISLES.fullest_line(panels, 2, record)
        panels.line(3, record, record.throttled_servers)
    panels.limit(1, [np.full(len(record.t_s), record.gpu_limit_c) for record in run.records])
    for panel in (0, 2):
        panels.limit(panel, [np.ones(len(record.t_s)) for record in run.records])
    return panels.done(220)


def service_days_figure(run: Run, endpoints: bool) -> Any:
    """What tenants got, and users of endpoints if there are any; nobody measured that, so such a record has no line."""
    shown = _TO_USERS + _TO_TENANTS if endpoints else _TO_TENANTS
    panels = Panels(run, day_clock(run), [quantity for quantity, _ in shown], 1, points_a_line(run, len(shown)))
    for record in run.records:
        for panel, (_, of) in enumerate(shown):
            if np.isfinite(of(record)).any():
                panels.line(panel, record, of(record))
    return panels.done(190)
