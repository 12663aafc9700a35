"""How far predictions of days as they happened are from what was measured then."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.simulation.backtest.predicted import Heat

__all__ = ["Misses"]

FloatArray = NDArray[np.float64]

_READ = {
    "inlet_temperature": ("inlet_c", "inlet_c", "°C"),
    "gpu_temperature": ("gpu_c", "gpu_c", "°C"),
    "gpu_memory_temperature": ("gpu_memory_c", "gpu_memory_c", "°C"),
    "airflow": ("airflow_cfm", "airflow_cfm", "CFM"),
}
"""By the name of a model: the field of :class:`Heat`, that of :class:`Panel`, and the unit."""


_DRAWN = 20_000
"""Readings of a model that are kept for a picture."""


class Misses:
    """Predicted − measured, wherever something was measured."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _READ}
        self._drawn: dict[str, list[FloatArray]] = {name: [] for name in _READ}
        self._draw = np.random.default_rng(0)

    def add(self, t: int, heat: Heat) -> None:
        """Compare a slot."""
        for name, (predicted, measured, _) in _READ.items():
            read = getattr(self._panel, measured)[t]
            miss = getattr(heat, predicted) - read
            there = np.isfinite(miss)
            self._seen[name].append(miss[there].astype(np.float32))
            self._drawn[name].append(self._some(read[there], miss[there]))

    def _some(self, read: FloatArray, miss: FloatArray) -> FloatArray:
        """``[2, reading]`` predicted and measured of a few, by a fixed draw; each slot has its part."""
        few = -(-_DRAWN // len(self._panel.t_s))
        drawn = self._draw.choice(len(read), few, replace=False) if len(read) > few else slice(None)
        return np.stack([read[drawn] + miss[drawn], read[drawn]])

    def summary(self) -> dict[str, dict[str, Any]]:
        """By model: mean absolute error, what 95 % of errors stay below, their mean, and how many readings."""
        return {name: _summary(np.concatenate(self._seen[name]), unit) for name, (_, _, unit) in _READ.items()}

    def sample(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """By model: predicted and measured of a fixed draw of readings, for a picture."""
        both = {name: np.concatenate(drawn, axis=1) for name, drawn in self._drawn.items()}
        return {name: (predicted, measured) for name, (predicted, measured) in both.items()}


def _summary(miss: NDArray[np.float32], unit: str) -> dict[str, Any]:
    if not miss.size:
        return {"mae": None, "p95_error": None, "bias": None, "unit": unit, "readings": 0}
    size = np.abs(miss)
    return {
        "mae": float(size.mean(dtype=np.float64)),
        "p95_error": float(np.quantile(size, 0.95)),
        "bias": float(miss.mean(dtype=np.float64)),
        "unit": unit,
        "readings": int(miss.size),
    }
