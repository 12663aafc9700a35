"""What collectors hear of a room in a moment, as arrays; by names for those who keep names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.history import TABLES
from tapas_opt.domain.topology import Topology
from tapas_opt.plant.sensors import Readings as Sensed

__all__ = ["Telemetry"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Sensors of the room, meters of the UPSs, counters of the gateways; missing is NaN, never zero.

    Attributes
    ----------
    sensed
        In the order of the topology.
    ups_power_w
        ``[UPS]``.
    endpoint_tokens_per_s
        Prompt and output tokens per second that users ask of each endpoint.
    """

    t_s: float
    sensed: Sensed
    ups_power_w: FloatArray
    endpoint_tokens_per_s: Mapping[str, float]

    def named(self, topology: Topology) -> Readings:
        """The same as a telemetry system would push it; what is missing or absurd is left out."""
        sensed = self.sensed
        return Readings(
            observed_at_s=self.t_s,
            outdoor_c=_named(topology.rooms, sensed.room_outdoor_c, "rooms", "outdoor_c"),
            server_power_w=_named(topology.servers, sensed.server_power_w, "servers", "power_w"),
            inlet_c=_named(topology.servers, sensed.server_inlet_c, "servers", "inlet_c"),
            airflow_cfm=_named(topology.servers, sensed.server_airflow_cfm, "servers", "airflow_cfm"),
            gpu_power_w=_by_server(topology.servers, sensed.gpu_power_w, "gpus", "power_w"),
            gpu_temperature_c=_by_server(topology.servers, sensed.gpu_temperature_c, "gpus", "temperature_c"),
            gpu_memory_temperature_c=_by_server(
                topology.servers, sensed.gpu_memory_temperature_c, "gpus", "memory_temperature_c"
            ),
            gpu_load_frac=_by_server(topology.servers, sensed.gpu_load_frac, "gpus", "load_frac"),
            row_power_w=_named(topology.rows, sensed.row_meter_power_w, "rows", "meter_power_w"),
            ups_power_w=_named(topology.upses, self.ups_power_w),
            endpoint_tokens_per_s=dict(self.endpoint_tokens_per_s),
        )


def _named(names: Sequence[str], values: FloatArray, *column: str) -> dict[str, float]:
    """Readings by name; what is missing, or what no sensor can say, is left out, never zero."""
    believed = _believed(values, column)
    return {name: value for name, value in zip(names, believed.tolist(), strict=True) if isfinite(value)}


def _by_server(names: Sequence[str], values: FloatArray, *column: str) -> dict[str, tuple[float, ...]]:
    """Readings of each server's GPUs; a server none of whose GPUs was read is left out."""
    believed = _believed(values, column)
    read = np.flatnonzero(np.isfinite(believed).any(axis=1)).tolist()
    rows = believed.tolist()
    return {names[s]: tuple(rows[s]) for s in read}


def _believed(values: FloatArray, column: Sequence[str]) -> FloatArray:
    """NaN where a reading is outside what history's schema allows its column, given as table and name."""
    if not column:
        return values
    table, name = column
    known = next(item for item in TABLES[table].columns if item.name == name)
    return np.where((values >= known.lowest) & (values <= known.highest), values, np.nan)
