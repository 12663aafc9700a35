"""POLCA's two thresholds (facts), on the rows' meters and on the UPSs': for comparison only.

Above 80 % of a limit, low-priority clocks go to 1275 MHz of 1410; above 89 % to 1110, and high-priority ones to 1305.
Each is released 5 points lower. Instances, which the operator runs, are of low priority, tenants' VMs of high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.simulation.policies.roster import Roster
from tapas_opt.simulation.policy import Orders
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["Polca"]

FloatArray = NDArray[np.float64]

FIRST_FRAC, SECOND_FRAC, RELEASE_FRAC = 0.80, 0.89, 0.05
HIGHEST_MHZ = 1410.0
CLOCKS: Mapping[int, tuple[float, float]] = {
    0: (1.0, 1.0),
    1: (1275.0 / HIGHEST_MHZ, 1.0),
    2: (1110.0 / HIGHEST_MHZ, 1305.0 / HIGHEST_MHZ),
}
"""By level: clock of low and of high priority, relative to the highest."""


class Polca:
    """Keeps each row at one of three levels."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._fed_by = _fed_by(roster.topology)
        self._level = np.zeros(len(roster.topology.rows), dtype=np.int64)
        self._told: dict[str, float] = {}

    def observe(self, telemetry: Telemetry) -> Orders:
        """Rise at a threshold, fall 5 points below it; what a meter does not show changes nothing."""
        load = self._load_frac(telemetry)
        rising = np.where(load > SECOND_FRAC, 2, np.where(load > FIRST_FRAC, 1, 0))
        falling = np.where(load > SECOND_FRAC - RELEASE_FRAC, 2, np.where(load > FIRST_FRAC - RELEASE_FRAC, 1, 0))
        self._level = np.minimum(np.maximum(self._level, rising), np.maximum(falling, rising))
        return self._orders()

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Meters will show what it means."""
        return Orders()

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """Meters will show that, too."""
        return Orders()

    def review(self, now_s: float) -> Orders:
        """There is nothing that telemetry has not shown."""
        return self._orders()

    def released(self, names: Sequence[str]) -> None:
        """Forget VMs that have left."""
        for name in names:
            self._told.pop(name, None)

    def _load_frac(self, telemetry: Telemetry) -> FloatArray:
        """``[row]`` the highest load of the row and of the UPSs that feed it, over their limits in force."""
        effect = self._roster.effect
        row = telemetry.sensed.row_meter_power_w / effect.row_budget_w
        capacity = np.where(effect.ups_capacity_w > 0, effect.ups_capacity_w, np.inf)
        ups = np.where(self._fed_by, telemetry.ups_power_w / capacity, 0.0).max(axis=1)
        return np.asarray(np.fmax(row, ups))

    def _orders(self) -> Orders:
        """What VMs are to change that have not been told so."""
        news: dict[str, float] = {}
        for name, server in self._roster.server_of.items():
            level = int(self._level[self._roster.topology.server_row[server]])
            low, high = CLOCKS[level]
            clock = high if self._roster.vms[name].endpoint is None else low
            if self._told.get(name, 1.0) != clock:
                news[name] = self._told[name] = clock
        return Orders(frequency_frac_of=news, why=f"{len(news)} clocks follow thresholds" if news else "")


def _fed_by(topology: Topology) -> NDArray[np.bool_]:
    """``[row, UPS]`` whether any rack of the row hangs on the UPS."""
    fed = np.zeros((len(topology.rows), len(topology.upses)), dtype=bool)
    for feeds in topology.rack_feeds.T:
        there = feeds != NONE
        fed[topology.rack_row[there], topology.pdu_ups[feeds[there]]] = True
    return fed
