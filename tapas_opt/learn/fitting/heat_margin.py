"""Margins of GPU temperatures: how far a GPU-day's maximum may lie above the central prediction.

A GPU's margin at power P is ``margin · share(P)``: the share is the shape of the high residuals over power, the same
for all GPUs of a hardware; what remains is one number for each GPU, calibrated on later days than the fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.fitting.margin import DAY_LEVEL, conformal_upper
from tapas_opt.learn.gpu_temperature import HeatCurve

__all__ = ["aged_upper", "flat", "margin_share", "rising_with_power", "suspects"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SHAPE_LEVEL = 0.999
"""What one reading in a thousand lies above gives the shape: about what a GPU-day's maximum is."""

LEAST_READINGS = 2_000
LEAST_SHARE = 0.25

SUSPECT = 3.0
"""A GPU whose usual day maximum is so many times that of the others has a bad sensor, and no say in their margin."""

MOST_GROWTH = 2.0
"""A fit that ages faster than this met something new once; that it will again is not to be planned for."""

SLACK = 0.1
"""Upper temperatures keep at least this part of the central ones' rise with power."""


def margin_share(score: FloatArray, power_w: FloatArray, curve: HeatCurve) -> tuple[float, ...]:
    """High residuals near each knot of power, relative to those at the last.

    Parameters
    ----------
    score, power_w
        ``[t, gpu]`` residual over the GPU's own spread, and power; NaN where either is missing.
    """
    knots = np.array(curve.power_w)
    high = _high_of_gpus(score)
    known = np.isfinite(score) & np.isfinite(power_w) & ~suspects(high[:, None])
    nearest = np.digitize(power_w[known], (knots[1:] + knots[:-1]) / 2)
    near = [score[known][nearest == k] for k in range(len(knots))]
    high = np.array([np.quantile(some, SHAPE_LEVEL) if len(some) >= LEAST_READINGS else np.nan for some in near])
    found = np.isfinite(high) & (high > 0)
    if not found.any():
        return curve.margin_share
    share = np.interp(knots, knots[found], high[found])
    return tuple(np.maximum(share / share[-1], LEAST_SHARE).tolist())


def aged_upper(fitted: FloatArray, calibrated: FloatArray) -> float:
    """What the score of a later day stays below on :data:`DAY_LEVEL` of days; never below 0.

    Split-conformal on the days after the fit, times what those exceed the fitting days by: VMs move and weather
    changes, so a fit ages, and by the time its margin is used it has aged as much again.

    Parameters
    ----------
    fitted, calibrated
        ``[gpu, day]`` highest score of each day; NaN without reading.
    """
    after = conformal_upper(calibrated, DAY_LEVEL)
    before = conformal_upper(fitted, DAY_LEVEL) if np.isfinite(fitted).any() else after
    growth = after / before if before > 0 else 1.0
    return max(0.0, after * min(max(growth, 1.0), MOST_GROWTH))


def _high_of_gpus(score: FloatArray) -> FloatArray:
    """``[gpu]`` :data:`SHAPE_LEVEL` quantile of ``[t, gpu]``; NaN where nothing is known."""
    some = np.isfinite(score).any(axis=0)
    return np.asarray(np.where(some, np.nanquantile(np.where(some, score, 0.0), SHAPE_LEVEL, axis=0), np.nan))


def suspects(scores: FloatArray) -> BoolArray:
    """``[gpu]`` whose usual score of ``[gpu, day]`` is so far above that of the others that its sensor must be bad."""
    usual = _median(scores.T)
    return usual > SUSPECT * np.abs(_median(usual[:, None]))


def flat(curve: HeatCurve) -> HeatCurve:
    """Return the curve with the same margin at every power."""
    return replace(curve, margin_share=(1.0,) * len(curve.power_w))


def rising_with_power(curve: HeatCurve, steepest: float) -> HeatCurve:
    """Return the curve with shares raised where upper temperatures would fall with rising power.

    Parameters
    ----------
    steepest
        Highest margin over b of any GPU, in W.
    """
    share = list(curve.margin_share)
    fall = (1.0 - SLACK) * np.diff(curve.effective_w, axis=1).min(axis=0) / max(steepest, 1e-9)
    for k in range(1, len(share)):
        share[k] = max(share[k], share[k - 1] - float(fall[k - 1]))
    return replace(curve, margin_share=tuple(share))


def _median(values: FloatArray) -> FloatArray:
    """Over the first axis, of what is known; −∞ where nothing is."""
    ranked = np.sort(np.where(np.isfinite(values), values, np.inf), axis=0)
    count = np.isfinite(values).sum(axis=0)
    middle = np.take_along_axis(ranked, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
    return np.asarray(np.where(count > 0, middle, -np.inf))
