"""Failures second by second: what came nearest to its limit, when that was relieved, and what users felt."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapas_opt.plot.domains import AISLES, ROWS, UPSES
from tapas_opt.plot.outages import Emergency
from tapas_opt.plot.panels import Clock, Panels, Quantity, known, points_a_line
from tapas_opt.plot.series import fullest
from tapas_opt.simulation.record import Record, Run

__all__ = ["NEARLY_ALL", "close_up"]

_BEFORE_S, _WATCHED_S = 30.0, 360.0
"""A close-up: half a minute before the failure, and six minutes of it and of what follows."""

NEARLY_ALL = (90.0, 100.0)
"""An axis of percentages that should be 100 shows at least this much."""

_LOADS = (
    Quantity("Fullest UPS, of its capacity", "%", 100.0, from_zero=False),
    Quantity("Fullest row, of its power budget", "%", 100.0, from_zero=False),
    Quantity("Fullest aisle, of its airflow capacity", "%", 100.0, from_zero=False),
    Quantity("Hottest GPU", "°C", from_zero=False),
)
_FELT = (
    (Quantity("Demand served", "%", 100.0, at_least=NEARLY_ALL), "served_frac"),
    (Quantity("Quality of answers", "%", 100.0, at_least=NEARLY_ALL), "quality_frac"),
    (Quantity("Requests within the promised latency", "%", 100.0, at_least=NEARLY_ALL), "slo_attainment_frac"),
    (Quantity("Time to first token, 99 % below", "s", digits=2), "p99_ttft_s"),
)

_RELIEF = "every UPS within its capacity again"


def close_up(run: Run, emergency: Emergency) -> Any:
    """One emergency, second by second; a diamond is where the UPSs were relieved."""
    felt = known(run, _FELT)
    panels = Panels(run, _clock(emergency), (*_LOADS, *(quantity for quantity, _ in felt)), 2, points_a_line(run, 8))
    for record in run.records:
        for panel, domains in enumerate((UPSES, ROWS, AISLES)):
            domains.fullest_line(panels, panel, record)
        panels.line(3, record, record.hottest_gpu_c)
        for panel, (_, name) in enumerate(felt, start=len(_LOADS)):
            panels.line(panel, record, getattr(record, name))
    for panel in range(3):
        panels.limit(panel, [np.ones(len(record.t_s)) for record in run.records])
    panels.limit(3, [np.full(len(record.t_s), record.gpu_limit_c) for record in run.records])
    for record in run.records:
        _mark_relief(panels, record, emergency)
    return panels.done(190)


def _mark_relief(panels: Panels, record: Record, emergency: Emergency) -> None:
    relief_s = emergency.relief_s(record)
    t_s = emergency.from_s + relief_s
    sample = np.flatnonzero(record.t_s >= t_s)[:1]
    if not (0.0 < relief_s <= _WATCHED_S and sample.size):
        return
    frac, _ = fullest(UPSES.load(record)[sample], UPSES.limit(record)[sample])
    panels.mark(0, record, t_s, float(frac[0]), _RELIEF, f"{_RELIEF} after {relief_s:.0f} s")


def _clock(emergency: Emergency) -> Clock:
    axis = {"title": {"text": "seconds after the failure"}, "hoverformat": ".0f", "zeroline": True}
    from_s = emergency.from_s
    return Clock(axis, 1.0, from_s, (from_s - _BEFORE_S, from_s + _WATCHED_S))
