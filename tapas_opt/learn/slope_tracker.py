"""A bias and slopes tracked together, for a sensor whose model itself drifts, and an upper bound that adapts online.

Where a bias alone (:mod:`tapas_opt.learn.bias`) follows what shifts all readings, this follows also how strongly each
input counts: dust, another fan curve, another card. Reading y and inputs x, with state θ = (bias, slopes) wandering::

    θ ← θ + w,  w ~ N(0, Q·dt)        y = (1, x)·θ + v,  v ~ N(0, R)
    R = R₀ + κ·((x − x′)·slopes)²      x′ the inputs before: what changed much is known less well

which is the Kalman filter (Kalman 1960) on a regression with wandering coefficients. An innovation beyond ``gate``
standard deviations counts as if it came with so much noise that it lay there (Huber 1964).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["AdaptiveUpper", "SlopeSettings", "SlopeTracker"]

FloatArray = NDArray[np.float64]

UNKNOWN_VAR = 1e4
"""Variance of a bias before the first reading."""


@dataclass(frozen=True, slots=True)
class SlopeSettings:
    """How bias and slopes wander and how far readings are believed; variances in the square of the reading's unit.

    Attributes
    ----------
    bias_var_per_s, slope_var_per_s
        Variance that the bias, and each slope on an input of unit variance, gains each second.
    prior_slope_var
        Variance of each slope around what it starts with.
    measurement_var, change_frac
        R₀ and κ.
    longest_gap_s
        After a longer silence nothing more is forgotten.
    gate
        In standard deviations.
    """

    bias_var_per_s: float
    slope_var_per_s: float
    prior_slope_var: float
    measurement_var: float
    change_frac: float
    longest_gap_s: float
    gate: float


class SlopeTracker:
    """One sensor's bias and slopes; inputs are expected to have about unit variance.

    Parameters
    ----------
    slopes
        What the slopes start with, such as those of all sensors of a kind.
    """

    def __init__(self, slopes: FloatArray, settings: SlopeSettings) -> None:
        self.settings = settings
        self._state = np.concatenate([[0.0], slopes])
        self._covariance = np.diag(np.concatenate([[UNKNOWN_VAR], np.full(len(slopes), settings.prior_slope_var)]))
        self._wander = np.concatenate([[settings.bias_var_per_s], np.full(len(slopes), settings.slope_var_per_s)])
        self._t_s: float | None = None
        self._inputs: FloatArray | None = None

    def predict(self, t_s: float, inputs: FloatArray) -> tuple[float, float]:
        """Central prediction at ``t_s`` and the standard deviation of a reading around it."""
        x = np.concatenate([[1.0], inputs])
        variance = x @ self._covariance_at(t_s) @ x + self._noise(inputs)
        return float(x @ self._state), sqrt(variance)

    def update(self, t_s: float, inputs: FloatArray, reading: float) -> None:
        """Take in what was read at ``t_s``."""
        x = np.concatenate([[1.0], inputs])
        covariance = self._covariance_at(t_s)
        toward = covariance @ x
        variance = float(toward @ x) + self._noise(inputs)
        innovation = reading - float(x @ self._state)
        excess = abs(innovation) / (self.settings.gate * sqrt(variance))
        gain = toward / (variance * max(1.0, excess))
        self._state = self._state + gain * innovation
        self._covariance = covariance - np.outer(gain, toward)
        self._t_s, self._inputs = t_s, inputs

    def _covariance_at(self, t_s: float) -> FloatArray:
        if self._t_s is None:
            return self._covariance
        gap_s = min(max(0.0, t_s - self._t_s), self.settings.longest_gap_s)
        return np.asarray(self._covariance + np.diag(self._wander * gap_s))

    def _noise(self, inputs: FloatArray) -> float:
        change = 0.0 if self._inputs is None else float((inputs - self._inputs) @ self._state[1:])
        return self.settings.measurement_var + self.settings.change_frac * change**2


class AdaptiveUpper:
    """What the next score stays below with a probability that holds in the long run, whatever the scores do.

    The conformal rank among the last ``window`` scores, at a level that is raised after each miss and lowered a little
    otherwise: α ← α + γ·(1 − level − miss) (adaptive conformal inference, Gibbs and Candès 2021).
    """

    def __init__(self, level: float, window: int, gamma: float = 0.005, first: float = 4.0) -> None:
        self._target = self._alpha = 1.0 - level
        self._gamma, self._window, self._first = gamma, window, first
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    @property
    def value(self) -> float:
        """The bound; before there are enough scores for a rank ``first`` or the largest, whichever is more."""
        n = len(self._sorted)
        rank = ceil((n + 1) * (1.0 - self._alpha))
        if rank <= n:
            return self._sorted[rank - 1]
        return max([self._first, *self._sorted[-1:]])

    def update(self, score: float) -> None:
        """Take in the score that was bounded last."""
        missed = score > self.value
        self._alpha = min(max(self._alpha + self._gamma * (self._target - missed), 0.0), 5 * self._target)
        self._recent.append(score)
        insort(self._sorted, score)
        if len(self._recent) > self._window:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
