"""Climb a smooth concave function of many prices within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ascent", "climb"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MEMORY = 12
"""Steps that the curvature is estimated from."""

ENOUGH = 1e-4
"""Part of the rise that the slope promises with which a step is content (Armijo)."""

HALVINGS = 12
"""A step that does not rise after so many halvings is none."""


@dataclass(frozen=True, slots=True)
class Ascent:
    """Where a climb ended, the function's value there, and how often it was evaluated."""

    point: FloatArray
    value: float
    evaluations: int


def climb(
    function: Callable[[FloatArray], tuple[float, FloatArray]],
    start: FloatArray,
    high: FloatArray,
    *,
    first_step: float,
    steps: int,
    rise_frac: float = 0.0,
) -> Ascent:
    """Climb from ``start`` within 0 and ``high``.

    Projected steps along the direction of L-BFGS (Nocedal and Wright, Numerical Optimization, 2006, ch. 7), in the
    coordinates that are not held by a bound. SciPy has L-BFGS-B, but calls a threaded BLAS for vectors of a few dozen
    numbers: on a busy machine that took ten times as long as the function here.

    Parameters
    ----------
    function
        Its value and gradient, concave and smooth.
    first_step
        Length of the first step's largest component, before anything is known of the curvature.
    steps
        Most steps.
    rise_frac
        The climb ends once a step raises the value by less than this part of it.
    """
    point = np.clip(start, 0.0, high)
    value, slope = function(point)
    past: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=MEMORY)
    evaluations = 1
    for _ in range(steps):
        free = ~(((point <= 0.0) & (slope < 0)) | ((point >= high) & (slope > 0)))
        upwards = np.where(free, slope, 0.0)
        steepest = float(np.abs(upwards).max(initial=0.0))
        if steepest == 0.0:
            break
        direction = np.where(free, _curved(upwards, past), 0.0) if past else upwards * (first_step / steepest)
        if direction @ slope <= 0.0:
            past.clear()
            direction = upwards * (first_step / steepest)
        length = 1.0
        for _ in range(HALVINGS):
            at = np.clip(point + length * direction, 0.0, high)
            found, slope_there = function(at)
            evaluations += 1
            if found >= value + ENOUGH * float(slope @ (at - point)):
                break
            length /= 2
        else:
            break
        moved, bent = at - point, slope - slope_there
        if moved @ bent > 1e-12 * float(bent @ bent):
            past.append((moved, bent))
        risen = found - value
        point, value, slope = at, found, slope_there
        if risen <= rise_frac * abs(value):
            break
    return Ascent(point, value, evaluations)


def _curved(slope: FloatArray, past: deque[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """The two-loop recursion: the slope times the estimated inverse of the negative Hessian."""
    direction = slope.copy()
    parts = []
    for moved, bent in reversed(past):
        part = float(moved @ direction) / float(moved @ bent)
        direction -= part * bent
        parts.append(part)
    moved, bent = past[-1]
    direction *= float(moved @ bent) / float(bent @ bent)
    for (moved, bent), part in zip(past, reversed(parts), strict=True):
        direction += moved * (part - float(bent @ direction) / float(moved @ bent))
    return direction
