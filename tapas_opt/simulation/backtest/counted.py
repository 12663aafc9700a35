"""Metrics of a replayed run: those of a simulation as far as five-minute readings and learned models define them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import SLOT_S
from tapas_opt.simulation.metrics import metrics_of
from tapas_opt.simulation.record import Record
from tapas_opt.simulation.tally import Tally

__all__ = ["DEFINED", "OF_ROOM", "Counted", "counted"]

FloatArray = NDArray[np.float64]

OF_ROOM = (
    "ups_overload_s",
    "max_gpu_temperature_c",
    "p99_gpu_temperature_c",
    "max_gpu_rise_over_inlet_k",
    "thermal_throttle_events",
    "thermal_throttle_time_frac",
    "peak_row_power_frac",
    "peak_aisle_airflow_frac",
    "energy_kwh",
)
"""What readings alone tell of a room: all that is known of the days as they were measured."""

DEFINED = (
    *OF_ROOM,
    "power_throttle_events",
    "power_cap_time_frac",
    "saas_performance_loss_frac",
    "quality_loss_frac",
    "iaas_performance_loss_frac",
    "vms_placed",
    "vms_adopted",
    "vms_rejected",
    "configuration_changes",
    "decision_p99_s",
)
"""What is defined of a policy's run; trips, tolerances, relief and latencies need seconds, and are not."""


@dataclass
class Counted(Tally):
    """Counts slots of five minutes."""

    def slot(
        self, too_hot: NDArray[np.bool_], t_s: float, gpu_c: FloatArray, inlet_c: FloatArray, server_power_w: FloatArray
    ) -> None:
        """Count a slot in which these servers ``[server]`` were at a GPU's limit; what is not known is NaN."""
        before = np.zeros_like(too_hot) if self._throttled is None else self._throttled
        self.thermal_throttle_events += int((too_hot & ~before).sum())
        self.throttled_server_s += SLOT_S * float(too_hot.sum())
        self.server_s += SLOT_S * len(too_hot)
        rise_k = float(np.nanmax(gpu_c - inlet_c[:, None], initial=0.0))
        self.rise_over_inlet_k = max(self.rise_over_inlet_k, rise_k)
        self._keep_hottest(t_s, gpu_c)
        self.energy_j += SLOT_S * float(server_power_w.sum())
        self._throttled = too_hot

    def vms(self, running: int, capped: frozenset[str]) -> None:
        """Count a slot in which these of the VMs had a capped clock."""
        self._count_capping(SLOT_S, running, capped)


def counted(record: Record, tally: Counted, defined: tuple[str, ...]) -> Record:
    """A record with what was counted; metrics by the names of a simulation, NaN for those not defined here."""
    metrics = metrics_of(record, np.full(len(record.t_s), float(SLOT_S)).tolist(), (), tally)
    return replace(
        record,
        metrics={name: value if name in defined else float("nan") for name, value in metrics.items()},
        hottest_s=tally.hottest_s,
        hottest_gpus_c=tally.hottest_gpus_c,
        turned_away=tuple(tally.turned_away),
    )
