"""How biases wander, learned from the residuals of days that the fit has not seen."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import InvalidInput
from tapas_opt.learn.bias import BiasSettings, BiasTracker

__all__ = ["fit_settings"]

FloatArray = NDArray[np.float64]

PRIOR_PER_MEASUREMENT = (0.03, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""σ²/R: how much biases differ, over how noisy one residual is around its bias."""

TIME_CONSTANT_STEPS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""τ in steps: how long a bias lasts."""

MOST_SLOTS, MOST_SENSORS = 2_000, 200
"""Enough to tell two settings apart; more would only take longer."""

SIGMA_PER_MEDIAN = 1.4826
LEAST_VAR = 1e-6


def fit_settings(
    residual: FloatArray, t_s: FloatArray, largest_bias: float = 10.0, largest_widening: float = 10.0, unit: str = "°C"
) -> BiasSettings:
    """Choose the settings with which the tracker's one-step errors have been smallest on average.

    Tried are all pairs of σ²/R and τ of a grid. For each, R follows from how much residuals change from one step to
    the next, var Δr = 2·R + 2·σ²·(1 − exp(−step/τ)), estimated by the median of |Δr|, so that single absurd readings
    do not count.

    Parameters
    ----------
    residual
        ``[t, s]`` reading − central prediction; NaN where there is no reading.
    t_s
        ``[t]`` rising.
    largest_bias, largest_widening, unit
        Handed on to the settings.

    Raises
    ------
    InvalidInput
        If no sensor has two readings in a row.
    """
    residual, t_s = _thinned(np.asarray(residual, dtype=np.float64), np.asarray(t_s, dtype=np.float64))
    changes = np.abs(np.diff(residual, axis=0))
    if not np.isfinite(changes).any():
        raise InvalidInput.one("residuals", "readings", "no sensor has two in a row, so that no bias can be tracked")
    step_s = float(np.median(np.diff(t_s)))
    change_var = max(LEAST_VAR, (SIGMA_PER_MEDIAN * float(np.nanmedian(changes))) ** 2)

    def settings(ratio: float, steps: float) -> BiasSettings:
        measurement_var = change_var / (2 - 2 * ratio * np.expm1(-1 / steps))
        return BiasSettings(
            process_var_per_s=2 * ratio * measurement_var / (steps * step_s),
            measurement_var=float(measurement_var),
            time_constant_s=steps * step_s,
            step_s=step_s,
            largest_bias=largest_bias,
            largest_widening=largest_widening,
            unit=unit,
        )

    tried = (settings(ratio, steps) for ratio, steps in product(PRIOR_PER_MEASUREMENT, TIME_CONSTANT_STEPS))
    return min(tried, key=lambda candidate: _one_step_error(residual, t_s, candidate))


def _thinned(residual: FloatArray, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The last slots of sensors evenly spread over all."""
    sensors = np.unique(np.linspace(0, residual.shape[1] - 1, min(MOST_SENSORS, residual.shape[1])).astype(np.int64))
    return residual[-MOST_SLOTS:, sensors], t_s[-MOST_SLOTS:]


def _one_step_error(residual: FloatArray, t_s: FloatArray, settings: BiasSettings) -> float:
    """Mean of |residual − bias known before it|."""
    tracker = BiasTracker([str(i) for i in range(residual.shape[1])], settings)
    off = np.empty_like(residual)
    for k, now in enumerate(t_s.tolist()):
        off[k] = np.abs(residual[k] - tracker.bias(now))
        tracker.update(now, residual[k])
    return float(np.nanmean(off))
