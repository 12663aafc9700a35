"""A GPU that is only computed, for tests and for trying a recording out; never taken for a measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp
from typing import Any

import numpy as np

from tapas_opt.telemetry.nvml import GpuSample

__all__ = ["SimulatedGpu"]

IDLE_W, MAX_W = 60.0, 400.0
INLET_C, RISE_C_PER_W, MEMORY_RISE_C_PER_W = 25.0, 0.1, 0.13
TIME_CONSTANT_S, MEMORY_TIME_CONSTANT_S = 20.0, 30.0
POWER_SIGMA = 0.01
LOWEST_CLOCK_MHZ, HIGHEST_CLOCK_MHZ = 210.0, 1_410.0
LONGEST_STEP_S = 0.5

_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0)
_STEP_S, _BURST_S, _CYCLE_S = 60.0, 10.0, 600.0


class SimulatedGpu:
    """A GPU of 400 W in air of 25 °C, whose temperatures follow its power with a first-order lag.

    ``τ·dT/dt = T_inlet + R·P − T`` with R = 0.1 °C/W and τ = 20 s; its memory has 0.13 °C/W and 30 s. In a cycle of ten
    minutes its load goes up and down in steps of a minute, and then on and off every ten seconds.

    Parameters
    ----------
    now
        The clock that it lives by, in s.
    number
        Draws the noise of its power reading.
    """

    def __init__(self, now: Callable[[], float], number: int = 0) -> None:
        self._now = now
        self._random = np.random.default_rng([number, 31])
        self._start_s = self._t_s = now()
        self._core_c, self._memory_c = (INLET_C + rise * IDLE_W for rise in (RISE_C_PER_W, MEMORY_RISE_C_PER_W))

    @property
    def about(self) -> Mapping[str, Any]:
        """As of a real GPU; the name says that it is none."""
        return {
            "name": "simulated",
            "driver": None,
            "power_reading": "instant",
            "power_limit_w": MAX_W,
            "slowdown_temperature_c": None,
            "highest_temperature_c": None,
            "highest_memory_temperature_c": None,
            "highest_sm_clock_mhz": HIGHEST_CLOCK_MHZ,
            "highest_memory_clock_mhz": None,
        }

    def read(self) -> GpuSample:
        """Look at it now: power with 1 % noise, temperatures in whole degrees."""
        self._live_until(self._now())
        load = self._load_at(self._t_s)
        return GpuSample(
            power_w=_power_w(load) * (1.0 + POWER_SIGMA * float(self._random.standard_normal())),
            temperature_c=float(round(self._core_c)),
            memory_temperature_c=float(round(self._memory_c)),
            sm_clock_mhz=HIGHEST_CLOCK_MHZ if load > 0 else LOWEST_CLOCK_MHZ,
            memory_clock_mhz=float("nan"),
            util_frac=load,
            memory_util_frac=float("nan"),
            throttle_reasons="none" if load > 0 else "gpu_idle",
        )

    def _live_until(self, t_s: float) -> None:
        while self._t_s < t_s:
            step_s = min(LONGEST_STEP_S, t_s - self._t_s)
            power_w = _power_w(self._load_at(self._t_s))
            self._core_c = _lagged(self._core_c, INLET_C + RISE_C_PER_W * power_w, step_s / TIME_CONSTANT_S)
            memory_c = INLET_C + MEMORY_RISE_C_PER_W * power_w
            self._memory_c = _lagged(self._memory_c, memory_c, step_s / MEMORY_TIME_CONSTANT_S)
            self._t_s += step_s

    def _load_at(self, t_s: float) -> float:
        t = (t_s - self._start_s) % _CYCLE_S
        if t < _STEP_S * len(_STEPS):
            return _STEPS[int(t // _STEP_S)]
        return float(t // _BURST_S % 2)


def _power_w(load_frac: float) -> float:
    return IDLE_W + load_frac * (MAX_W - IDLE_W)


def _lagged(value: float, target: float, steps: float) -> float:
    return target + (value - target) * exp(-steps)
