"""Series made fit for a picture: fewer points, the same extremes, and one line for many domains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fullest", "steps", "thinned"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def thinned(values: FloatArray, points: int) -> IntArray:
    """Indices of about ``points`` samples that keep the lowest, the highest and a gap of every stretch."""
    n = len(values)
    if n <= points:
        return np.arange(n, dtype=np.int64)
    stretches = max(1, points // 2)
    width = -(-n // stretches)
    padded = np.concatenate([values, np.full(-n % width, values[-1])]).reshape(-1, width)
    gap = np.isnan(padded)
    starts = np.arange(len(padded)) * width
    lowest = starts + np.where(gap, np.inf, padded).argmin(axis=1)
    highest = starts + np.where(gap, -np.inf, padded).argmax(axis=1)
    gaps = (starts + gap.argmax(axis=1))[gap.any(axis=1)]
    kept = np.concatenate([lowest, highest, gaps, [0, n - 1]])
    return np.unique(np.minimum(kept, n - 1)).astype(np.int64)


def steps(values: FloatArray, points: int) -> IntArray:
    """Indices around every change of a series that is mostly constant, such as a limit."""
    if len(values) == 0:
        return np.arange(0, dtype=np.int64)
    changed = 1 + np.flatnonzero(np.diff(values) != 0)
    kept = np.unique(np.concatenate([[0], changed - 1, changed, [len(values) - 1]])).astype(np.int64)
    return kept[thinned(values[kept], points)]


def fullest(load: FloatArray, limit: FloatArray) -> tuple[FloatArray, IntArray]:
    """Highest load of any domain relative to its limit, and which domain it was.

    Parameters
    ----------
    load, limit
        ``[moment, domain]`` in one unit; a domain without a limit above 0 is out of service and is not counted.

    Returns
    -------
    tuple
        ``[moment]`` fraction, NaN where no domain is in service, and ``[moment]`` index of the domain.
    """
    if load.ndim != 2 or load.shape[1] == 0:
        return np.full(len(load), np.nan), np.zeros(len(load), dtype=np.int64)
    in_service = (limit > 0) & np.isfinite(load)
    frac = np.where(in_service, load / np.where(limit > 0, limit, 1.0), -np.inf)
    domain = frac.argmax(axis=1)
    worst = frac[np.arange(len(frac)), domain]
    return np.where(np.isfinite(worst), worst, np.nan), domain.astype(np.int64)
