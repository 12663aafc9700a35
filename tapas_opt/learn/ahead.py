"""The next reading of each sensor from the last one: what is out of the ordinary now mostly goes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.plausible import median_of_present
from tapas_opt.learn.bias import BiasSettings, BiasTracker

__all__ = ["AheadModel", "deviations", "tracked"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AheadModel:
    """How much of a deviation is gone by the next reading, for all sensors of a kind alike.

    With r the residual of a sensor against its model now, b its tracked bias, d = r − b, and m the median of d over
    the sensors of its room, the next residual is::

        r + own₀·clip(d, ±bend) + own₁·d + room₀·clip(m, ±bend) + room₁·m + constant

    Large deviations are more often a lasting change and small ones a passing one, so the share that goes back may
    differ beyond ``bend``; what all sensors of a room do together may go on differently from what one does alone.

    Attributes
    ----------
    settings
        Of the tracker that gives b.
    slopes
        own₀, own₁, room₀, room₁.
    """

    settings: BiasSettings
    bend: float
    slopes: tuple[float, float, float, float]
    constant: float

    def next_residual(self, residual: FloatArray, bias: FloatArray, room: IntArray) -> FloatArray:
        """``[t, s]`` central residual one step later; NaN where there is no reading now.

        Parameters
        ----------
        residual, bias
            ``[t, s]`` now, and what was tracked up to and including now (:func:`tracked`).
        room
            ``[s]`` number of the room of each sensor.
        """
        gone = deviations(residual, bias, room, self.bend) @ np.array(self.slopes)
        return np.asarray(residual + gone + self.constant)


def deviations(residual: FloatArray, bias: FloatArray, room: IntArray, bend: float) -> FloatArray:
    """``[t, s, 4]`` what the slopes of :class:`AheadModel` stand before."""
    own = residual - bias
    shared = np.empty_like(own)
    for number in np.unique(room):
        shared[:, room == number] = median_of_present(own[:, room == number], axis=1)[:, None]
    return np.stack([np.clip(own, -bend, bend), own, np.clip(shared, -bend, bend), shared], axis=-1)


def tracked(residual: FloatArray, t_s: FloatArray, settings: BiasSettings) -> FloatArray:
    """``[t, s]`` the tracked bias of each sensor right after each reading of ``residual`` ``[t, s]``."""
    tracker = BiasTracker([str(s) for s in range(residual.shape[1])], settings)
    bias = np.empty_like(residual)
    for k, now in enumerate(t_s.tolist()):
        tracker.update(now, residual[k])
        bias[k] = tracker.bias(now)
    return bias
