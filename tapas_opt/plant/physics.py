"""The physical laws of the plant: heat, air and power of servers, each a small function of arrays."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.plant.parameters import Parameters

__all__ = [
    "airflow_cfm",
    "approached",
    "fan_power_w",
    "fan_speed_wanted",
    "gpu_power_w",
    "leakage_w",
    "memory_rise_k",
    "over_gpus",
    "recirculated_frac",
    "resistance_factor",
    "room_rise_k",
    "supply_air_c",
    "summed",
    "supply_loss_w",
    "throttles",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

THERMAL_SPEED_FLOOR = 0.1
"""Natural draught: cooling never falls below that of fans at a tenth of their speed."""


def summed(values: FloatArray, parent: IntArray, parents: int) -> FloatArray:
    """Sum of the values of each parent's children."""
    return np.bincount(parent, values, parents).astype(np.float64, copy=False)


def over_gpus(operation: np.ufunc, values: FloatArray) -> FloatArray:
    """Reduce ``[S, G]`` to ``[S]``, GPU by GPU: several times faster than along so short a last axis."""
    return np.asarray(reduce(operation, values.T))


def approached(value: FloatArray, target: FloatArray, dt_s: float, time_constant_s: float | FloatArray) -> FloatArray:
    """First-order lag, integrated exactly: ``target + (value − target)·exp(−dt/τ)``, stable for any step."""
    return np.asarray(target + (value - target) * np.exp(-dt_s / time_constant_s))


def leakage_w(temperature_c: FloatArray, gpu_max_power_w: FloatArray, p: Parameters) -> FloatArray:
    """Leakage above (below) that at the reference temperature, in W; exponential in temperature.

    Subthreshold leakage grows about e-fold in 40 K; the demand already holds its value at the reference.
    """
    at_reference = p.leakage_frac * gpu_max_power_w
    return np.asarray(at_reference * np.expm1((temperature_c - p.leakage_reference_c) / p.leakage_scale_k))


def gpu_power_w(
    wanted_w: FloatArray,
    temperature_c: FloatArray,
    throttled: BoolArray,
    idle_w: FloatArray,
    max_w: FloatArray,
    p: Parameters,
) -> FloatArray:
    """Electrical power of GPUs: dynamic part (halved while throttled) plus leakage, held at the board's power cap."""
    dynamic = np.maximum(wanted_w - idle_w, 0.0) * np.where(throttled, p.throttle_frac, 1.0)
    return np.asarray(np.minimum(idle_w + dynamic + leakage_w(temperature_c, max_w, p), max_w))


def resistance_factor(fan_speed: FloatArray, p: Parameters) -> FloatArray:
    """Thermal resistance relative to that at reference flow.

    ``(1 − c) + c·(reference/speed)^0.8``: a turbulent heat sink convects with flow to the power 0.8 (Dittus-Boelter),
    the rest is conduction.
    """
    relative = p.reference_speed / np.maximum(fan_speed, THERMAL_SPEED_FLOOR)
    return np.asarray((1.0 - p.convection_frac) + p.convection_frac * relative**0.8)


def memory_rise_k(power_frac: FloatArray, p: Parameters) -> FloatArray:
    """Rise of GPU memory over the GPU itself, by the GPU's power as a fraction of its maximum."""
    return p.memory_idle_rise_k + p.memory_load_rise_k * power_frac


def throttles(
    throttled: BoolArray,
    temperature_c: FloatArray,
    memory_c: FloatArray,
    limit_c: FloatArray,
    memory_limit_c: FloatArray,
    p: Parameters,
) -> BoolArray:
    """Which GPUs throttle: from reaching a limit until both sensors are some kelvin below theirs (hysteresis)."""
    margin = np.minimum(limit_c - temperature_c, memory_limit_c - memory_c)
    return np.where(throttled, margin < p.throttle_release_k, margin <= 0.0)


def fan_speed_wanted(hottest_c: FloatArray, inlet_c: FloatArray, p: Parameters) -> FloatArray:
    """Fan controller: a fraction of full speed that follows the hottest GPU and the inlet."""
    by_gpu = (1.0 - p.fan_floor) * (hottest_c - p.fan_start_c) / (p.fan_full_c - p.fan_start_c)
    by_inlet = p.fan_per_inlet_k * (inlet_c - p.fan_inlet_start_c)
    return np.minimum(p.fan_floor + np.maximum(by_gpu, 0.0) + np.maximum(by_inlet, 0.0), 1.0)


def airflow_cfm(fan_speed: FloatArray, max_airflow_cfm: FloatArray) -> FloatArray:
    """Fan law: flow is proportional to speed."""
    return fan_speed * max_airflow_cfm


def fan_power_w(fan_speed: FloatArray, full_power_w: FloatArray) -> FloatArray:
    """Fan law: power is proportional to the cube of flow, hence of speed."""
    return full_power_w * fan_speed**3


def supply_loss_w(output_w: FloatArray, max_power_w: FloatArray) -> FloatArray:
    """Loss of a server's power supplies: fixed, proportional and resistive parts (5 % in all near full load)."""
    share = output_w / max_power_w
    return max_power_w * (0.01 + share * (0.02 + 0.02 * share))


def supply_air_c(outdoor_c: ArrayLike, p: Parameters) -> FloatArray:
    """Temperature of supply air by that outdoors: economiser, mixed operation, chiller; smooth throughout.

    Inlets are about 18 °C below 15 °C outside, rise to 25 °C outside and then less (TAPAS, ASPLOS 2025).
    """
    outdoor = np.asarray(outdoor_c, dtype=np.float64)
    rising = _smooth_ramp(outdoor - p.supply_knee_low_c, p.supply_bend_k)
    flatter = _smooth_ramp(outdoor - p.supply_knee_high_c, p.supply_bend_k)
    return p.supply_cold_c + p.supply_slope * rising - (p.supply_slope - p.supply_slope_hot) * flatter


def _smooth_ramp(x: FloatArray, bend: float) -> FloatArray:
    """``bend·ln(1 + exp(x/bend))``: 0 far below zero, x far above."""
    return bend * np.logaddexp(0.0, x / bend)


def room_rise_k(room_load_frac: FloatArray, p: Parameters) -> FloatArray:
    """Warming of the supply air by the room's own load, as a fraction of its power."""
    return p.room_load_rise_k * np.maximum(room_load_frac, 0.0) ** p.room_load_exponent


def recirculated_frac(wanted_cfm: FloatArray, supplied_cfm: FloatArray) -> FloatArray:
    """Share of an aisle's air that comes back warm: what its fans blow beyond what the handlers supply."""
    return np.maximum(1.0 - supplied_cfm / np.maximum(wanted_cfm, 1.0), 0.0)
