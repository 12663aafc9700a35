"""What is really so in the plant at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Truth"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Truth:
    """State of the plant at the end of a step, without sensor noise.

    Shapes: rooms, servers ``[S]``, GPUs ``[S, G]`` (NaN temperature where there is none), racks, rows, PDUs, UPSs,
    aisles, each in the order of the topology.

    Attributes
    ----------
    supply_c
        What a room's handlers supply while their coils suffice; ``aisle_rise_k`` is how much warmer an aisle's air is
        in the mean, by recirculation or by a coil at its limit.
    server_power_p999_w, rack_power_p999_w, row_power_p999_w, pdu_power_p999_w, ups_power_p999_w
        99.9th percentile of one-second power within the step; the same names without ``p999`` are means.
    gpu_load_frac
        Work done by each GPU, as a fraction of its power range above idle; throttling cuts it, leakage does not count.
    aisle_airflow_cfm, aisle_supplied_cfm, aisle_heat_w, aisle_heat_removed_w
        What the fans of an aisle blow, what its handlers supply of it, the heat that its rows give off, and what the
        handlers carry off of it (the rest is stored); beside the capacities left by failures.
    ups_tolerance_used, pdu_tolerance_used, row_tolerance_used, rack_tolerance_used
        Used share of each element's inverse-time tolerance, 0 to 1.
    tripped_upses, tripped_pdus, tripped_rows, tripped_racks
        Names of what has opened under overload up to now.
    throttled, throttled_frac
        GPUs that throttled at any moment of the step, and for which share of it.
    braked
        Servers whose power brake is in force.
    dark
        Servers without power during the step's last moments; they draw nothing.
    shut_down
        Servers that have turned themselves off, too hot; they are dark until they come back.
    """

    t_s: float
    outdoor_c: float
    supply_c: FloatArray
    inlet_c: FloatArray
    gpu_load_frac: FloatArray
    gpu_power_w: FloatArray
    gpu_temperature_c: FloatArray
    gpu_memory_temperature_c: FloatArray
    server_power_w: FloatArray
    server_power_p999_w: FloatArray
    airflow_cfm: FloatArray
    rack_power_w: FloatArray
    rack_power_p999_w: FloatArray
    row_power_w: FloatArray
    row_power_p999_w: FloatArray
    pdu_power_w: FloatArray
    pdu_power_p999_w: FloatArray
    ups_power_w: FloatArray
    ups_power_p999_w: FloatArray
    aisle_airflow_cfm: FloatArray
    aisle_supplied_cfm: FloatArray
    aisle_airflow_capacity_cfm: FloatArray
    aisle_rise_k: FloatArray
    aisle_heat_w: FloatArray
    aisle_heat_removed_w: FloatArray
    aisle_heat_capacity_w: FloatArray
    ups_tolerance_used: FloatArray
    pdu_tolerance_used: FloatArray
    row_tolerance_used: FloatArray
    rack_tolerance_used: FloatArray
    tripped_upses: tuple[str, ...]
    tripped_pdus: tuple[str, ...]
    tripped_rows: tuple[str, ...]
    tripped_racks: tuple[str, ...]
    throttled: BoolArray
    throttled_frac: FloatArray
    braked: BoolArray
    dark: BoolArray
    shut_down: BoolArray
