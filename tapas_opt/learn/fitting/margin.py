"""Margins by split-conformal calibration, and what is said of them on days not seen before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import InvalidInput

__all__ = ["DAY_LEVEL", "READING_LEVEL", "conformal_upper", "coverage", "day_maxima", "spread_of", "upper_of_days"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DAY_LEVEL = 0.99
"""Share of days whose maximum an upper value promises to cover: what an operator feels."""

READING_LEVEL = 0.95
"""Share of single readings that an upper load or overhead promises to cover."""

SIGMA_PER_MAD = 1.4826


def day_maxima(residual: FloatArray, day: IntArray) -> FloatArray:
    """``[day, ...]`` highest residual of each day of ``[t, ...]``; NaN where a day has no reading."""
    days = np.unique(day)
    lowered = np.where(np.isfinite(residual), residual, -np.inf)
    worst = np.stack([lowered[day == d].max(axis=0) for d in days]) if days.size else residual[:0]
    return np.asarray(np.where(np.isfinite(worst), worst, np.nan))


def conformal_upper(scores: FloatArray, level: float) -> float:
    """What a new score stays below with probability ``level``; never below the middle of the scores seen.

    With n scores the ⌈(n+1)·level⌉-th smallest, which holds for any exchangeable scores (Vovk et al. 2005). Where n
    is too small for that rank to exist, the largest score or the normal prediction bound
    mean + t(level, n−1)·sd·√(1 + 1/n), whichever is more.

    Raises
    ------
    InvalidInput
        If there is no score at all.
    """
    from scipy.stats import t as student  # noqa: PLC0415  slow to import, and only a fit needs it

    known = np.sort(scores[np.isfinite(scores)])
    n = known.size
    rank = int(np.ceil((n + 1) * level - 1e-9))
    if n == 0:
        raise InvalidInput.one("history", "calibration days", "hold no reading to calibrate a margin on")
    if rank <= n:
        return float(known[rank - 1])
    if n == 1:
        return float(known[0] + abs(known[0]))
    bound = known.mean() + student.ppf(level, n - 1) * known.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(max(known[-1], bound))


def upper_of_days(scores: FloatArray, level: float) -> float:
    """What a share ``level`` of new scores stays below on any day: the highest :func:`conformal_upper` of single days.

    The scores of a day share its weather and its work, so that all of them together count for far fewer than they are:
    a day like the worst one seen must keep the promise by itself.

    Parameters
    ----------
    scores
        ``[day, n]``; days without any score are left out.
    """
    known = scores[np.isfinite(scores).any(axis=1)]
    if not len(known):
        return conformal_upper(scores.ravel(), level)
    return max(conformal_upper(day, level) for day in known)


def coverage(scores: FloatArray, upper: FloatArray | float) -> float:
    """Share of the scores that stay at or below their upper value."""
    known = np.isfinite(scores)
    return float((scores <= upper)[known].mean()) if known.any() else 1.0


def spread_of(residual: FloatArray) -> FloatArray:
    """Robust standard deviation over the first axis: 1.4826 × median |r − median r|; NaN where nothing is known."""
    known = np.isfinite(residual)
    some = known.any(axis=0)
    safe = np.where(some, residual, 0.0)
    spread = SIGMA_PER_MAD * np.nanmedian(np.abs(safe - np.nanmedian(safe, axis=0)), axis=0)
    return np.asarray(np.where(some, spread, np.nan))
