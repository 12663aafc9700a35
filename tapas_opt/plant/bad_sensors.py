"""Sensors that misbehave: stuck, off, drifting, late, silent for hours, or absurd, each over a period of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology
from tapas_opt.plant.machines import Machines
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.sensors import TEMPERATURE_STEP_C, Readings

__all__ = ["FAULTS", "BadSensors"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FAULTS = ("stuck", "offset", "drift", "lag", "dropout", "absurd")
"""How a sensor misbehaves; each is as likely as any other.

* ``stuck``: the first reading of the period, for all of it.
* ``offset``: 10 to 40 % too high or too low.
* ``drift``: as ``offset``, growing evenly from nothing over the period.
* ``lag``: what it would have read 10 minutes to two hours ago.
* ``dropout``: nothing for hours, again and again.
* ``absurd``: at a share of its readings one of :data:`ABSURD`, always the same one.
"""

ABSURD = (0.0, -1.0, 65_535.0, 127.0)
"""What registers hold when nobody has written to them, or an error."""

ALWAYS_FRAC = 1 / 3
"""Share of bad sensors that are bad from the first to the last reading."""

OFF_FRAC = (0.1, 0.4)
LAG_S = (600.0, 7_200.0)
SILENCE_CYCLE_S = (6 * 3_600.0, 48 * 3_600.0)

_SENSORS = (
    ("servers", "inlet_c"),
    ("servers", "power_w"),
    ("servers", "airflow_cfm"),
    ("gpus", "power_w"),
    ("gpus", "temperature_c"),
    ("gpus", "memory_temperature_c"),
    ("rows", "meter_power_w"),
)


class BadSensors:
    """A share of a site's individual sensors, what is wrong with each, and when.

    Drawn from streams of their own: every other sensor reads what it would have read without them.

    Parameters
    ----------
    start_s
        Start of the time in which sensors go bad; it ends ``bad_sensor_horizon_s`` later.
    """

    def __init__(self, topology: Topology, machines: Machines, seed: int, start_s: float, p: Parameters) -> None:
        self._topology = topology
        self._fields = tuple(f"{table.removesuffix('s')}_{column}" for table, column in _SENSORS)
        places = _places(len(topology.rows), machines.has_gpu)
        random = np.random.default_rng([seed, 23])
        there = np.flatnonzero(np.concatenate([place.ravel() for place in places]))
        n = round(p.bad_sensor_frac * there.size)
        self._sensor = np.sort(random.choice(there, n, replace=False))
        self._shapes = [place.shape for place in places]
        self._first = np.cumsum([0, *(place.size for place in places)])
        self._draw(random, start_s, p.bad_sensor_horizon_s)
        in_steps = np.repeat([column.endswith("temperature_c") for _, column in _SENSORS], np.diff(self._first))
        self._stepped = in_steps[self._sensor]
        self._held = np.full(n, np.nan)
        self._past: deque[tuple[float, FloatArray]] = deque()
        self._random = np.random.default_rng([seed, 24])

    def _draw(self, random: np.random.Generator, start_s: float, horizon_s: float) -> None:
        n = self._sensor.size
        always = random.random(n) < ALWAYS_FRAC
        begin, length = random.uniform(0.0, 0.8, n), random.uniform(0.02, 0.6, n)
        self.from_s = start_s + horizon_s * np.where(always, 0.0, begin)
        self.until_s = start_s + horizon_s * np.where(always, 1.0, np.minimum(begin + length, 1.0))
        self._fault = random.integers(len(FAULTS), size=n)
        self._off_frac = random.choice([-1.0, 1.0], n) * random.uniform(*OFF_FRAC, n)
        self._lag_s = random.uniform(*LAG_S, n)
        self._cycle_s = random.uniform(*SILENCE_CYCLE_S, n)
        self._share = random.uniform(0.2, 0.8, n)
        self._absurd = random.choice(ABSURD, n)

    def of(self, readings: Readings) -> Readings:
        """What the sensors say where good ones would say ``readings``; to be asked in the order of time."""
        good = [np.array(getattr(readings, name)) for name in self._fields]
        flat = np.concatenate([values.ravel() for values in good])
        flat[self._sensor] = self._misread(readings.t_s, flat[self._sensor])
        parts = np.split(flat, self._first[1:-1])
        said: dict[str, Any] = {
            name: part.reshape(shape) for name, part, shape in zip(self._fields, parts, self._shapes, strict=True)
        }
        return replace(readings, **said)

    def _misread(self, t_s: float, good: FloatArray) -> FloatArray:
        bad = (t_s >= self.from_s) & (t_s <= self.until_s)
        self._held = np.where(bad & np.isnan(self._held), good, self._held)
        come = np.clip((t_s - self.from_s) / np.maximum(self.until_s - self.from_s, 1.0), 0.0, 1.0)
        silent = (t_s - self.from_s) % self._cycle_s < self._share * self._cycle_s
        absurd = self._random.random(good.size) < self._share
        said = (
            self._held,
            self._in_steps(good * (1.0 + self._off_frac)),
            self._in_steps(good * (1.0 + self._off_frac * come)),
            self._before(t_s, good),
            np.where(silent, np.nan, good),
            np.where(absurd, self._absurd, good),
        )
        return np.where(bad, np.choose(self._fault, said), good)

    def _in_steps(self, value: FloatArray) -> FloatArray:
        return np.where(self._stepped, np.round(value / TEMPERATURE_STEP_C) * TEMPERATURE_STEP_C, value)

    def _before(self, t_s: float, good: FloatArray) -> FloatArray:
        """What each sensor would have said its lag ago, or at the earliest known moment."""
        self._past.append((t_s, good))
        while self._past[0][0] < t_s - LAG_S[1]:
            self._past.popleft()
        times = np.array([moment for moment, _ in self._past])
        at = np.maximum(np.searchsorted(times, t_s - self._lag_s, side="right") - 1, 0)
        return np.array([self._past[moment][1][i] for i, moment in enumerate(at)])

    def table(self) -> dict[str, Sequence[Any]]:
        """A row for each bad sensor: which one, what is wrong, and the first and last moment at which it is.

        Columns ``table``, ``column``, ``name`` (of server or row), ``gpu`` (−1: not one of a GPU), ``fault``,
        ``from_s``, ``until_s``.
        """
        quantity = np.searchsorted(self._first, self._sensor, side="right") - 1
        place = self._sensor - self._first[quantity]
        where = [self._named(int(q), int(i)) for q, i in zip(quantity, place, strict=True)]
        return {
            "table": [_SENSORS[q][0] for q in quantity],
            "column": [_SENSORS[q][1] for q in quantity],
            "name": [name for name, _ in where],
            "gpu": [gpu for _, gpu in where],
            "fault": [FAULTS[fault] for fault in self._fault],
            "from_s": self.from_s.tolist(),
            "until_s": self.until_s.tolist(),
        }

    def _named(self, quantity: int, place: int) -> tuple[str, int]:
        table, shape = _SENSORS[quantity][0], self._shapes[quantity]
        if table == "gpus":
            return self._topology.servers[place // shape[1]], place % shape[1]
        return (self._topology.rows if table == "rows" else self._topology.servers)[place], -1


def _places(rows: int, has_gpu: BoolArray) -> list[BoolArray]:
    """Where each of the :data:`_SENSORS` has one."""
    of_table = {"servers": np.ones(len(has_gpu), dtype=bool), "gpus": has_gpu, "rows": np.ones(rows, dtype=bool)}
    return [of_table[table] for table, _ in _SENSORS]
