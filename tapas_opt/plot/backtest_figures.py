"""The pictures of a backtest: days as they happened and under each policy, from readings of five minutes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapas_opt.plot.domains import AISLES, ROWS
from tapas_opt.plot.panels import Panels, Quantity, day_clock, points_a_line
from tapas_opt.simulation.record import Run

__all__ = ["room_days_figure"]


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
