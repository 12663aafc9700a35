"""The alarm for models that no longer fit: many of their sensors are off for long, or most by a little the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRIFT_AFTER_S", "OFF_FACTOR", "OFF_FRAC", "SAME_WAY_FACTOR", "DriftWatch"]

FloatArray = NDArray[np.float64]

OFF_FACTOR = 1.5
"""A sensor is off when its bias exceeds so many times its model's 95th percentile of held-out errors."""

OFF_FRAC = 0.1
"""A model has drifted when so many of its sensors are off."""

SAME_WAY_FACTOR = 0.75
"""Or when half of them lie beyond so many times that error on one side."""

DRIFT_AFTER_S = 3600.0
"""It has lasted so long before anybody is told: a bias takes half an hour to be known."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """How far off a model is: the median of the sensors that are off, or of all, and how many they are."""

    median: float
    off: int
    sensors: int
    p95_error: float


class DriftWatch:
    """Remembers since when each model has been off."""

    def __init__(self, since_s: dict[str, float] | None = None) -> None:
        self.since_s = since_s or {}
        self._seen: dict[str, _Seen] = {}

    def copy(self) -> DriftWatch:
        """A copy of its own."""
        other = DriftWatch(dict(self.since_s))
        other._seen = {name: replace(seen) for name, seen in self._seen.items()}
        return other

    def note(self, model: str, t_s: float, bias: FloatArray, p95_error: float) -> None:
        """Take in the biases of all sensors of a model that were read within the last day."""
        seen = _drifted(bias, p95_error)
        if seen is None:
            self.since_s.pop(model, None)
            self._seen.pop(model, None)
        else:
            self.since_s[model] = min(t_s, self.since_s.get(model, t_s))
            self._seen[model] = seen

    def alarms(self, t_s: float, units: Mapping[str, str]) -> tuple[str, ...]:
        """One sentence for each model that has been off for :data:`DRIFT_AFTER_S`."""
        return tuple(
            _sentence(model, seen, t_s - self.since_s[model], units[model])
            for model, seen in self._seen.items()
            if t_s - self.since_s[model] >= DRIFT_AFTER_S
        )


def _drifted(bias: FloatArray, p95_error: float) -> _Seen | None:
    if not bias.size:
        return None
    off = np.abs(bias) > OFF_FACTOR * p95_error
    if off.sum() > OFF_FRAC * bias.size:
        return _Seen(float(np.median(bias[off])), int(off.sum()), bias.size, p95_error)
    middle = float(np.median(bias))
    if abs(middle) > SAME_WAY_FACTOR * p95_error:
        return _Seen(middle, int((np.sign(bias) == np.sign(middle)).sum()), bias.size, p95_error)
    return None


def _sentence(model: str, seen: _Seen, lasted_s: float, unit: str) -> str:
    side = "above" if seen.median > 0 else "below"
    return (
        f"DRIFT: {model} reads {abs(seen.median):.2g} {unit} {side} what was learned on {seen.off} of {seen.sensors} "
        f"sensors, for {lasted_s / 3600.0:.1f} h (held-out errors stay below {seen.p95_error:.2g} {unit}); refit"
    )
