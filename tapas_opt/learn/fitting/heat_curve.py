"""Fit of φ, what the power of one hardware's GPUs counts for their temperature.

Of some of its GPUs, each with coefficients a, b, c of its own, together::

    T = a·T_in + b·φ(P, T_in) + c,   φ = Σ_k w_k·segment_k(P)·(1 − v) + u_k·segment_k(P)·v,   v = 0 cold … 1 warm

That is linear in (w, u) for given b, and in b for given (w, u): the two are solved in turns (alternating least
squares), with a and c of each GPU projected out. All of it works on each GPU's normal equations, summed once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.fitting.rising import segments
from tapas_opt.learn.gpu_temperature import HeatCurve

__all__ = ["fit_heat_curve"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

KNOTS_FRAC = (0.0, 1 / 12, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 3 / 4, 1.0)
"""Knots over the range of power: closest where fans begin to answer."""

ROUNDS = 4
LEAST_SLOPE_FRAC = 0.05
"""No interval counts less than this part of the mean, so that φ can be inverted."""

SMOOTHING = 1e-6
"""Weight on differences between neighbouring slopes, of the data's own: it decides only where nothing was read."""

TYPICAL_WITHIN = 2.0
"""GPUs whose b or whose error is further than this factor from the median have a bad sensor, and no say."""


def fit_heat_curve(
    temperature_c: FloatArray,
    inlet_c: FloatArray,
    gpu_power_w: FloatArray,
    power_range_w: tuple[float, float],
    inlet_range_c: tuple[float, float],
) -> HeatCurve:
    """Learn φ from readings ``[gpu, t]``; what is missing is NaN.

    φ is scaled so that halfway between cold and warm it spans the same watts as the power itself. Its margins are not
    learned here: every share is 1.
    """
    low, high = power_range_w
    knots = low + (high - low) * np.array(KNOTS_FRAC)
    gpus = zip(temperature_c, inlet_c, gpu_power_w, strict=True)
    cold, warm = _alternated(np.stack([_normal_equations(*gpu, knots, inlet_range_c) for gpu in gpus])).reshape(2, -1)
    scale = (high - low) / (0.5 * (cold + warm) @ np.diff(knots))
    cold_w, warm_w = (low + np.concatenate([[0.0], np.cumsum(scale * w * np.diff(knots))]) for w in (cold, warm))
    warm_w += max(0.0, float(np.max(cold_w - warm_w)))
    effective_w = (tuple(cold_w.tolist()), tuple(warm_w.tolist()))
    return HeatCurve(tuple(knots.tolist()), inlet_range_c, effective_w, (1.0,) * len(knots))


def _normal_equations(
    y: FloatArray, inlet_c: FloatArray, power_w: FloatArray, knots: FloatArray, inlet_range_c: tuple[float, float]
) -> FloatArray:
    """``[2k + 1, 2k + 1]`` centred products of the 2k segments and of y, freed of their part along the inlet."""
    known = np.isfinite(y) & np.isfinite(inlet_c) & np.isfinite(power_w)
    inlet, parts = inlet_c[known, None], segments(power_w[known], knots)
    cold, warm = inlet_range_c
    v = np.clip((inlet - cold) / (warm - cold), 0.0, 1.0)
    z = np.hstack([parts * (1 - v), parts * v, y[known, None], inlet])
    z -= z.mean(axis=0) if len(z) else 0.0
    products = z.T @ z
    along = products[:-1, -1]
    return np.asarray(products[:-1, :-1] - np.outer(along, along) / max(float(products[-1, -1]), 1e-9))


def _alternated(sums: FloatArray) -> FloatArray:
    """``[2k]`` slopes of φ from the normal equations ``[gpu, 2k + 1, 2k + 1]``."""
    a, r, yy = sums[:, :-1, :-1], sums[:, :-1, -1], sums[:, -1, -1]
    b, use = np.ones(len(sums)), yy > 0
    slopes = np.ones(a.shape[1])
    for _ in range(ROUNDS):
        weight = np.maximum(b, 0.0) * use
        slopes = _rising(np.einsum("g,gij->ij", weight * b, a), weight @ r)
        curvature = np.einsum("i,gij,j->g", slopes, a, slopes)
        b = (r @ slopes) / np.maximum(curvature, 1e-9)
        use = _typical(b, yy - b * (r @ slopes), curvature)
    return slopes


def _typical(b: FloatArray, unexplained: FloatArray, curvature: FloatArray) -> BoolArray:
    """``[gpu]`` those that worked and answer to power about as the others do."""
    worked = curvature > 0.1 * np.median(curvature)
    if not worked.any():
        return np.ones(b.shape, dtype=bool)
    usual_b, usual_error = np.median(b[worked]), np.median(unexplained[worked])
    near = (b > usual_b / TYPICAL_WITHIN) & (b < usual_b * TYPICAL_WITHIN)
    chosen = worked & near & (unexplained <= TYPICAL_WITHIN**2 * usual_error)
    return chosen if chosen.any() else worked


def _rising(a: FloatArray, r: FloatArray) -> FloatArray:
    """Slopes ≥ a little that solve ``a·w = r`` best; where nothing was read they lean on their neighbours.

    All alike where nothing rose with power at all, as when sensors stand still.
    """
    from scipy.optimize import nnls  # noqa: PLC0415  slow to import, and only a fit needs it

    k = len(r) // 2
    if not np.trace(a) > 0.0:
        return np.ones(2 * k)
    along = np.diff(np.eye(k), axis=0)
    between = np.hstack([np.eye(k), -np.eye(k)])
    differences = np.vstack([np.kron(np.eye(2), along), between])
    smooth = a + SMOOTHING * np.trace(a) * differences.T @ differences + 1e-12 * np.trace(a) * np.eye(2 * k)
    root = np.linalg.cholesky(smooth)
    slopes, _ = nnls(root.T, np.linalg.solve(root, r))
    return np.maximum(slopes, LEAST_SLOPE_FRAC * slopes.mean()) if slopes.any() else np.ones(2 * k)
