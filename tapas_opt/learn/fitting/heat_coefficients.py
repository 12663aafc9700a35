"""Coefficients a, b and c of many GPUs at once, and what all GPUs of a hardware share."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.fitting.heat_curve import fit_heat_curve
from tapas_opt.learn.fitting.heat_margin import margin_share
from tapas_opt.learn.fitting.margin import spread_of
from tapas_opt.learn.fitting.rising import OUTLIER_FACTOR, SMALLEST_RESIDUAL, seen_range
from tapas_opt.learn.gpu_temperature import HeatCurve

__all__ = ["LEAST_SPREAD_C", "GpuReadings", "Shared", "gpu_coefficients", "shared_by_all"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEAST_VARIANCE = 1e-6
"""In °C² and W²: inputs that never moved still leave equations that can be solved."""

LEAST_SLOPE = 1e-3
"""Slopes stay above zero, so that a ceiling exists."""

LEAST_ROWS = 100
LEAST_POWER_SPAN_FRAC = 0.25
"""A GPU that saw less than this part of its hardware's power range has no fit of its own: it hardly worked."""

PRIOR_ROWS = 12
"""Slopes lean on those of all GPUs as if an hour's readings had said the same; a stuck inlet leaves no others."""

LEAST_RANGE_W, LEAST_RANGE_C = 1.0, 0.1

LEAST_SPREAD_C = 0.1
"""No sensor is finer."""


@dataclass(frozen=True)
class GpuReadings:
    """Readings ``[gpu, t]`` in double precision, and φ of each; NaN where there is none."""

    inlet_c: FloatArray
    power_w: FloatArray
    temperature_c: FloatArray
    effective_w: FloatArray

    def through(self, curve: HeatCurve) -> GpuReadings:
        """The same with φ by the curve."""
        return replace(self, effective_w=curve.effective_at(self.power_w, self.inlet_c))

    def at(self, slots: BoolArray) -> GpuReadings:
        """At some slots only."""
        return GpuReadings(*(getattr(self, item.name)[:, slots] for item in fields(self)))

    def residual(self, coefficients: FloatArray) -> FloatArray:
        """Temperature less ``a·T_in + b·φ + c`` with the coefficients ``[gpu, 3]``."""
        a, b, c = coefficients.T[..., None]
        return np.asarray(self.temperature_c - a * self.inlet_c - b * self.effective_w - c)


@dataclass(frozen=True)
class Shared:
    """What all GPUs of one hardware share.

    Attributes
    ----------
    coefficients
        Typical a, b and c.
    variance
        Of the inlet temperature and of φ over all readings.
    least_span_w
        Range of power that a GPU must have seen to have a fit of its own.
    """

    curve: HeatCurve
    coefficients: FloatArray
    variance: FloatArray
    least_span_w: float


def shared_by_all(sample: GpuReadings) -> Shared | None:
    """Learn φ, the shape of its margin, and typical coefficients from GPUs that stand for all; None without any."""
    known = np.isfinite(sample.temperature_c + sample.inlet_c + sample.power_w)
    if known.sum(axis=1).max() < LEAST_ROWS:
        return None
    power, inlet = _range(sample.power_w[known], LEAST_RANGE_W), _range(sample.inlet_c[known], LEAST_RANGE_C)
    curve = fit_heat_curve(sample.temperature_c, sample.inlet_c, sample.power_w, power, inlet)
    sample = sample.through(curve)
    variance = np.array([max(LEAST_VARIANCE, np.var(x[known])) for x in (sample.inlet_c, sample.effective_w)])
    nobody = Shared(curve, np.full(3, LEAST_SLOPE), 1e-6 * variance, LEAST_POWER_SPAN_FRAC * (power[1] - power[0]))
    own = gpu_coefficients(sample, nobody)
    if np.isnan(own).all():
        own = gpu_coefficients(sample, replace(nobody, least_span_w=0.0))
    if np.isnan(own).all():
        return None
    residual = sample.residual(own).T
    share = margin_share(residual / np.maximum(spread_of(residual), LEAST_SPREAD_C), sample.power_w.T, curve)
    typical = np.nanmedian(own, axis=0)
    return replace(nobody, curve=replace(curve, margin_share=share), coefficients=typical, variance=variance)


def gpu_coefficients(readings: GpuReadings, shared: Shared) -> FloatArray:
    """``[gpu, 3]`` a, b, c by least squares, once more without readings far off; NaN for GPUs without own fit.

    Those are GPUs that hardly worked, and GPUs whose readings deny that heat warms them. A reading is far off when it
    lies :data:`OUTLIER_FACTOR` times as far from the first fit as 95 % of that GPU's do.
    """
    x = np.stack([readings.inlet_c, readings.effective_w, readings.temperature_c])
    known = np.asarray(np.isfinite(x).all(axis=0))
    enough = (known.sum(axis=1) >= LEAST_ROWS) & (_span(readings.power_w, known) >= shared.least_span_w)
    known &= enough[:, None]
    off = np.abs(readings.residual(_least_squares(x, known, shared)))
    limit = OUTLIER_FACTOR * np.maximum(_quantile(off, known, 0.95), SMALLEST_RESIDUAL)
    fitted = _least_squares(x, known & (off <= limit[:, None]), shared)
    return np.asarray(np.where((enough & (fitted[:, 1] > LEAST_SLOPE))[:, None], fitted, np.nan))


def _least_squares(x: FloatArray, used: BoolArray, shared: Shared) -> FloatArray:
    """``[gpu, 3]`` from T_in, φ and T ``[3, gpu, t]``; slopes lean on those of all, and a is held at its least."""
    count = np.maximum(used.sum(axis=1), 1)
    zeroed = np.where(used, x, 0.0)
    mean = zeroed.sum(axis=2) / count
    centred = np.where(used, x - mean[..., None], 0.0).transpose(1, 0, 2)
    products = centred @ centred.transpose(0, 2, 1)
    prior = PRIOR_ROWS * shared.variance
    left = products[:, :2, :2] + np.diag(prior)
    right = products[:, :2, 2] + prior * shared.coefficients[:2]
    a, b = np.linalg.solve(left, right[..., None])[..., 0].T
    held = np.maximum(a, LEAST_SLOPE)
    b = np.where(a < LEAST_SLOPE, (right[:, 1] - held * left[:, 0, 1]) / left[:, 1, 1], b)
    return np.stack([held, b, mean[2] - held * mean[0] - b * mean[1]], axis=1)


def _range(values: FloatArray, least: float) -> tuple[float, float]:
    low, high = seen_range(values)
    return low, max(high, low + least)


def _span(values: FloatArray, known: BoolArray) -> FloatArray:
    """``[gpu]`` highest less lowest of what is known; −∞ where nothing is."""
    return np.asarray(np.where(known, values, -np.inf).max(axis=1) - np.where(known, values, np.inf).min(axis=1))


def _quantile(values: FloatArray, known: BoolArray, level: float) -> FloatArray:
    """``[gpu]`` quantile of what is known; 0 where nothing is."""
    ranked = np.sort(np.where(known, values, np.inf), axis=1)
    last = known.sum(axis=1) - 1
    picked = np.take_along_axis(ranked, np.maximum(np.floor(level * last), 0).astype(np.int64)[:, None], axis=1)[:, 0]
    return np.asarray(np.where(last >= 0, picked, 0.0))
