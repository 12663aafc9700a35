"""Fit of what is gone by the next reading, by least absolute errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import mean_of_present
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.ahead import AheadModel, deviations, tracked
from tapas_opt.learn.bias import BiasSettings
from tapas_opt.learn.fitting.margin import spread_of

__all__ = ["fit_ahead", "settings_of_gain"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

GAINS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""What part of a new reading's deviation the tracked bias takes over, once settled."""

GATE = 8.0
"""Wide: here a step is more often a change in the room than a broken sensor, and readings were gated before."""

TIME_CONSTANT_STEPS = 100.0
SMALLEST_SPREAD = 1e-3
LEAST_ERROR_FRAC = 0.05
"""Errors below this many spreads all weigh alike, so that none of them is hit exactly."""

RIDGE = 1e-3
PASSES = 20
SETTLED = 1e-3


def fit_ahead(residual: FloatArray, t_s: FloatArray, room: IntArray) -> AheadModel:
    """Learn the coefficients, and how fast the tracked bias follows, with least absolute errors one step ahead.

    Parameters
    ----------
    residual
        ``[t, s]`` reading − central prediction, at even steps; NaN where there is no reading.
    t_s
        ``[t]`` rising.
    room
        ``[s]`` number of the room of each sensor.

    Raises
    ------
    InvalidInput
        If no sensor has two readings in a row.
    """
    change = np.diff(residual, axis=0)
    if not np.isfinite(change).any():
        raise InvalidInput.one(
            "residuals", "readings", "no sensor has two in a row, so that nothing ahead can be learned"
        )
    step_s = float(np.median(np.diff(t_s)))
    spread = max(float(np.nanmedian(spread_of(residual))), SMALLEST_SPREAD)
    tried = [_fit_with(settings_of_gain(gain, spread, step_s), residual, t_s, room) for gain in GAINS]
    return tried[_calmest([errors for errors, _ in tried])][1]


def _calmest(errors: list[FloatArray]) -> int:
    """Which gain to take: the largest, so the one that trusts the past least, that is as good as the best.

    As good means a mean error within one standard error, taken over steps, of the best one's (Breiman et al. 1984).
    """
    best = min(errors, key=lambda each: float(np.nanmean(each)))
    worse = [each - best for each in errors]
    steps = np.sqrt(max(1, int(np.isfinite(best).sum())))
    return max(i for i, each in enumerate(worse) if np.nanmean(each) <= np.nanstd(each) / steps)


def settings_of_gain(gain: float, spread: float, step_s: float) -> BiasSettings:
    """Tracker of biases that spread by ``spread``, of which a settled one takes over ``gain`` of each innovation.

    With gain K = M/(M + R) the fixed point of :attr:`BiasSettings.settled_var` gives M = (1 − ρ²)·σ² / (1 − ρ²·(1 − K))
    and R = M·(1 − K)/K.
    """
    kept = float(np.exp(-2 / TIME_CONSTANT_STEPS))
    settled = (1 - kept) * spread**2 / (1 - kept * (1 - gain))
    return BiasSettings(
        process_var_per_s=2 * spread**2 / (TIME_CONSTANT_STEPS * step_s),
        measurement_var=settled * (1 - gain) / gain,
        time_constant_s=TIME_CONSTANT_STEPS * step_s,
        step_s=step_s,
        gate=GATE,
        largest_bias=100.0,
    )


def _fit_with(
    settings: BiasSettings, residual: FloatArray, t_s: FloatArray, room: IntArray
) -> tuple[FloatArray, AheadModel]:
    """``[t]`` mean absolute error one step ahead with these settings, and the model."""
    bias = tracked(residual, t_s, settings)
    bend = max(float(np.nanmedian(spread_of(residual - bias))), SMALLEST_SPREAD)
    x = deviations(residual, bias, room, bend)[:-1]
    change = np.diff(residual, axis=0)
    known = np.isfinite(change) & np.isfinite(x).all(axis=-1)
    rows = np.column_stack([x[known], np.ones(int(known.sum()))])
    slopes = _least_absolute(rows, change[known], LEAST_ERROR_FRAC * bend)
    own0, own1, room0, room1, constant = slopes.tolist()
    off = np.abs(change - x @ slopes[:-1] - constant)
    return mean_of_present(off), AheadModel(settings, bend, (own0, own1, room0, room1), constant)


def _least_absolute(x: FloatArray, y: FloatArray, least: float) -> FloatArray:
    """Coefficients with the least Σ|y − x·b|, by weighted least squares with weights 1/|error| (Schlossmacher 1973)."""
    held = RIDGE * len(y) * np.diag([1.0] * (x.shape[1] - 1) + [0.0])
    b = np.zeros(x.shape[1])
    for _ in range(PASSES):
        weighted = x / np.maximum(np.abs(y - x @ b), least)[:, None]
        before, b = b, np.asarray(np.linalg.solve(x.T @ weighted + held, weighted.T @ y), dtype=np.float64)
        if np.abs(b - before).max() < SETTLED:
            break
    return b
