"""The one regression that all physical models share: linear, every slope ≥ 0, deaf to broken sensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RisingFit", "fit_rising", "seen_range", "segments"]

FloatArray = NDArray[np.float64]

LEAST_ROWS = 100
MOST_ROWS = 200_000
"""More rows than this add nothing to a handful of coefficients; a fixed draw of them is taken."""

OUTLIER_FACTOR = 5.0
SMALLEST_RESIDUAL = 1e-6
SEEN_QUANTILES = (0.001, 0.999)
"""A single absurd reading does not count as something seen."""


@dataclass(frozen=True)
class RisingFit:
    """``y = intercept + x @ slopes`` with every slope ≥ 0."""

    slopes: FloatArray
    intercept: float

    def at(self, x: FloatArray) -> FloatArray:
        """Prediction for ``[..., feature]``."""
        return np.asarray(x @ self.slopes + self.intercept)


def fit_rising(x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]) -> RisingFit | None:
    """Least squares with slopes ≥ 0, once more without readings far off; None with too few readings.

    Rows of ``x`` ``[n, feature]`` or ``y`` ``[n]`` with a NaN are left out. A reading is far off when it lies
    :data:`OUTLIER_FACTOR` times as far from the first fit as 95 % of them do; less would cut off rare but true states.
    """
    known = np.flatnonzero(np.isfinite(y) & np.isfinite(x).all(axis=1))
    if known.size < LEAST_ROWS:
        return None
    if known.size > MOST_ROWS:
        known = np.sort(np.random.default_rng(0).choice(known, MOST_ROWS, replace=False))
    rows, values = x[known].astype(np.float64), y[known].astype(np.float64)
    first = _least_squares(rows, values)
    off = np.abs(values - first.at(rows))
    near = off <= OUTLIER_FACTOR * max(float(np.quantile(off, 0.95)), SMALLEST_RESIDUAL)
    return first if near.all() else _least_squares(rows[near], values[near])


def _least_squares(x: FloatArray, y: FloatArray) -> RisingFit:
    """Only the triangle of the QR decomposition is fitted: as many rows as columns, and the same least squares."""
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415  slow to import, and only a fit needs it

    x_mean, y_mean = x.mean(axis=0), float(y.mean())
    triangle = np.asarray(np.linalg.qr(np.column_stack([x - x_mean, y - y_mean]), mode="r"))
    fitted = LinearRegression(positive=True, fit_intercept=False).fit(triangle[:, :-1], triangle[:, -1])
    slopes = np.asarray(fitted.coef_, dtype=np.float64)
    return RisingFit(slopes, float(y_mean - x_mean @ slopes))


def segments(x: NDArray[np.floating[Any]], knots: FloatArray) -> FloatArray:
    """``[..., knots − 1]`` how far x has come in each interval between knots; slopes of these make a rising curve."""
    return np.asarray(np.clip(x[..., None], knots[:-1], knots[1:]) - knots[:-1], dtype=np.float64)


def seen_range(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Range of what was seen, but for the outermost thousandths."""
    low, high = np.quantile(values[np.isfinite(values)], SEEN_QUANTILES)
    return float(low), float(high)
