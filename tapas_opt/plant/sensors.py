"""What sensors say about the truth: noisy, in steps, sometimes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plant.machines import Machines
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.truth import Truth

__all__ = ["Readings", "Sensors", "exact_readings"]

FloatArray = NDArray[np.float64]

TEMPERATURE_STEP_C = 1.0
INLET_SIGMA_C = 0.3
POWER_SIGMA = 0.01
AIRFLOW_SIGMA = 0.02


@dataclass(frozen=True, slots=True)
class Readings:
    """One sample of every sensor; missing readings are NaN, never zero.

    Names are those of :data:`tapas_opt.domain.history.TABLES`, prefixed by the table: ``rooms``, ``servers [S]``,
    ``gpus [S, G]``, ``rows``. ``gpu_load_frac`` is the work done, a counter without noise (see :class:`Truth`).
    """

    t_s: float
    room_outdoor_c: FloatArray
    server_inlet_c: FloatArray
    server_power_w: FloatArray
    server_airflow_cfm: FloatArray
    gpu_load_frac: FloatArray
    gpu_power_w: FloatArray
    gpu_temperature_c: FloatArray
    gpu_memory_temperature_c: FloatArray
    row_meter_power_w: FloatArray


def exact_readings(truth: Truth, machines: Machines) -> Readings:
    """What perfect sensors would say."""
    no_gpu = np.where(machines.has_gpu, 0.0, np.nan)
    return Readings(
        t_s=truth.t_s,
        room_outdoor_c=np.full(truth.supply_c.shape, truth.outdoor_c),
        server_inlet_c=truth.inlet_c,
        server_power_w=truth.server_power_w,
        server_airflow_cfm=truth.airflow_cfm,
        gpu_load_frac=truth.gpu_load_frac + no_gpu,
        gpu_power_w=truth.gpu_power_w + no_gpu,
        gpu_temperature_c=truth.gpu_temperature_c,
        gpu_memory_temperature_c=truth.gpu_memory_temperature_c,
        row_meter_power_w=truth.row_power_w,
    )


class Sensors:
    """The sensors of a site, with noise of their own from a seed."""

    def __init__(self, machines: Machines, seed: int, parameters: Parameters) -> None:
        self._machines = machines
        self._dropout = parameters.sensor_dropout_frac
        self._random = np.random.default_rng([seed, 21])

    def read(self, truth: Truth) -> Readings:
        """Sample every sensor once. A GPU that is not there reads NaN."""
        exact = exact_readings(truth, self._machines)
        return Readings(
            t_s=exact.t_s,
            room_outdoor_c=self._shifted(exact.room_outdoor_c),
            server_inlet_c=self._shifted(exact.server_inlet_c),
            server_power_w=self._relative(exact.server_power_w, POWER_SIGMA),
            server_airflow_cfm=self._relative(exact.server_airflow_cfm, AIRFLOW_SIGMA),
            gpu_load_frac=exact.gpu_load_frac,
            gpu_power_w=self._relative(exact.gpu_power_w, POWER_SIGMA),
            gpu_temperature_c=self._in_steps(exact.gpu_temperature_c),
            gpu_memory_temperature_c=self._in_steps(exact.gpu_memory_temperature_c),
            row_meter_power_w=self._relative(exact.row_meter_power_w, POWER_SIGMA),
        )

    def _noise(self, value: FloatArray) -> FloatArray:
        return np.clip(self._random.standard_normal(value.shape), -4.0, 4.0)

    def _shifted(self, value: FloatArray) -> FloatArray:
        return self._some(value + INLET_SIGMA_C * self._noise(value))

    def _relative(self, value: FloatArray, sigma: float) -> FloatArray:
        return self._some(value * (1.0 + sigma * self._noise(value)))

    def _in_steps(self, value: FloatArray) -> FloatArray:
        return self._some(np.round(value / TEMPERATURE_STEP_C) * TEMPERATURE_STEP_C)

    def _some(self, value: FloatArray) -> FloatArray:
        """Drop some readings."""
        if self._dropout <= 0:
            return value
        return np.where(self._random.random(value.shape) < self._dropout, np.nan, value)
