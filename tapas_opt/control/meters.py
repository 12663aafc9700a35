"""Meters of rows, PDUs and UPSs against the sum of the servers below them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, budget_numbers
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.telemetry import FRESH_S
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE

__all__ = ["METER_OFF_FRAC", "contradictions"]

BoolArray = NDArray[np.bool_]

METER_OFF_FRAC = 0.05
"""Meter and sum contradict each other when they differ by more than this part of what the element may carry."""

METERED = {
    Constraint.ROW_POWER_BUDGET: ("row_power_w", "row"),
    Constraint.PDU_POWER_BUDGET: ("pdu_power_w", "PDU"),
    Constraint.UPS_POWER_CAPACITY: ("ups_power_w", "UPS"),
}


def contradictions(forecast: Forecast) -> Iterator[str]:
    """One sentence for each meter that cannot be true if those of its servers are, unmetered load included.

    Elements with a server without a fresh reading of its own are not judged, and neither are those that have failed.
    """
    topology = forecast.fleet.topology
    power, airflow = forecast.present_draw(frozenset())
    fresh = np.isfinite(forecast.latest.values("server_power_w", topology.servers, forecast.now_s, FRESH_S))
    for family in budget_numbers(topology, forecast.effect, ("now",), power, airflow, {}).families:
        if family.constraint not in METERED:
            continue
        quantity, kind = METERED[family.constraint]
        meter = forecast.latest.values(quantity, family.domains, forecast.now_s, FRESH_S)
        total, limit = family.base[:, 0], family.limit[:, 0]
        off = _all_read(family, fresh) & (limit > 0) & (np.abs(meter - total) > METER_OFF_FRAC * limit)
        for d in np.flatnonzero(off):
            what = f"shows {meter[d]:,.0f} W, its servers and what is not metered {total[d]:,.0f} W"
            yield f"METER: {kind} {family.domains[d]} {what}; is a meter wrong, or a failure not reported?"


def _all_read(family: BudgetFamily, fresh: BoolArray) -> BoolArray:
    """``[domain]`` whether it has servers, and each has a fresh reading."""
    inside = family.member != NONE
    of_each = np.broadcast_to(fresh[:, None], family.member.shape)
    servers = np.bincount(family.member[inside], minlength=len(family.domains))
    read = np.bincount(family.member[inside], weights=of_each[inside], minlength=len(family.domains))
    return np.asarray((servers > 0) & (read == servers))
