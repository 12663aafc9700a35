"""What sensors say about the truth: noisy, in steps, sometimes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology
from tapas_opt.plant.machines import Machines
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.truth import Truth

__all__ = ["Readings", "Sensors"]

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


class Sensors:
    """The sensors of a site, with noise of their own from a seed."""

    def __init__(self, topology: Topology, machines: Machines, seed: int, parameters: Parameters) -> None:
        self._rooms = len(topology.rooms)
        self._machines = machines
        self._dropout = parameters.sensor_dropout_frac
        self._random = np.random.default_rng([seed, 21])

    def read(self, truth: Truth) -> Readings:
        """Sample every sensor once. A GPU that is not there reads NaN."""
        m = self._machines
        no_gpu = np.where(m.has_gpu, 0.0, np.nan)
        return Readings(
            t_s=truth.t_s,
            room_outdoor_c=self._some(np.full(self._rooms, truth.outdoor_c) + self._noise(self._rooms) * INLET_SIGMA_C),
            server_inlet_c=self._some(truth.inlet_c + self._noise(truth.inlet_c.shape) * INLET_SIGMA_C),
            server_power_w=self._relative(truth.server_power_w, POWER_SIGMA),
            server_airflow_cfm=self._relative(truth.airflow_cfm, AIRFLOW_SIGMA),
            gpu_load_frac=truth.gpu_load_frac + no_gpu,
            gpu_power_w=self._relative(truth.gpu_power_w, POWER_SIGMA) + no_gpu,
            gpu_temperature_c=self._in_steps(truth.gpu_temperature_c),
            gpu_memory_temperature_c=self._in_steps(truth.gpu_memory_temperature_c),
            row_meter_power_w=self._relative(truth.row_power_w, POWER_SIGMA),
        )

    def _noise(self, shape: int | tuple[int, ...]) -> FloatArray:
        return np.clip(self._random.standard_normal(shape), -4.0, 4.0)

    def _relative(self, value: FloatArray, sigma: float) -> FloatArray:
        return self._some(value * (1.0 + sigma * self._noise(value.shape)))

    def _in_steps(self, value: FloatArray) -> FloatArray:
        return self._some(np.round(value / TEMPERATURE_STEP_C) * TEMPERATURE_STEP_C)

    def _some(self, value: FloatArray) -> FloatArray:
        """Drop some readings."""
        if self._dropout <= 0:
            return value
        return np.where(self._random.random(value.shape) < self._dropout, np.nan, value)
