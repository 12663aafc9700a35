"""How far predictions of days as they happened are from what was measured then."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.simulation.backtest.predicted import Heat

__all__ = ["Misses"]

_READ = {
    "inlet_temperature": ("inlet_c", "inlet_c", "°C"),
    "gpu_temperature": ("gpu_c", "gpu_c", "°C"),
    "gpu_memory_temperature": ("gpu_memory_c", "gpu_memory_c", "°C"),
    "airflow": ("airflow_cfm", "airflow_cfm", "CFM"),
}
"""By the name of a model: the field of :class:`Heat`, that of :class:`Panel`, and the unit."""


class Misses:
    """Predicted − measured, wherever something was measured."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _READ}

    def add(self, t: int, heat: Heat) -> None:
        """Compare a slot."""
        for name, (predicted, measured, _) in _READ.items():
            miss = getattr(heat, predicted) - getattr(self._panel, measured)[t]
            self._seen[name].append(miss[np.isfinite(miss)].astype(np.float32))

    def summary(self) -> dict[str, dict[str, Any]]:
        """By model: mean absolute error, what 95 % of errors stay below, their mean, and how many readings."""
        return {name: _summary(np.concatenate(self._seen[name]), unit) for name, (_, _, unit) in _READ.items()}


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
