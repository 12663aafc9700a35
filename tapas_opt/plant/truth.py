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

    Shapes: rooms, servers ``[S]``, GPUs ``[S, G]`` (NaN temperature where there is none), rows, PDUs, UPSs, aisles,
    each in the order of the topology.

    Attributes
    ----------
    gpu_load_frac
        Work done by each GPU, as a fraction of its power range above idle; throttling cuts it, leakage does not count.
    aisle_airflow_cfm, aisle_heat_w
        What the fans of an aisle want moved and what its servers give off, beside the capacities left by failures.
    ups_tolerance_used, pdu_tolerance_used, row_tolerance_used
        Used share of each element's inverse-time tolerance, 0 to 1.
    tripped_upses, tripped_pdus, tripped_rows
        Names of what has opened under overload up to now.
    throttled, throttled_frac
        GPUs that throttled at any moment of the step, and for which share of it.
    dark
        Servers without power during the step's last moments; they draw nothing.
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
    airflow_cfm: FloatArray
    row_power_w: FloatArray
    pdu_power_w: FloatArray
    ups_power_w: FloatArray
    aisle_airflow_cfm: FloatArray
    aisle_airflow_capacity_cfm: FloatArray
    aisle_heat_w: FloatArray
    aisle_heat_capacity_w: FloatArray
    ups_tolerance_used: FloatArray
    pdu_tolerance_used: FloatArray
    row_tolerance_used: FloatArray
    tripped_upses: tuple[str, ...]
    tripped_pdus: tuple[str, ...]
    tripped_rows: tuple[str, ...]
    throttled: BoolArray
    throttled_frac: FloatArray
    dark: BoolArray
