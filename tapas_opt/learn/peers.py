"""A sensor that is lost, from those that share its air: what one reads follows from what its neighbours read now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PeerModel", "fit_peers"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

OWN_NOISE_FRAC = 0.003
"""Share of a sensor's variance that is its own; it keeps the neighbours' weights small where days are few."""

LEAST_VAR = 1e-6


@dataclass(frozen=True)
class PeerModel:
    """Means and covariances of the residuals of sensors, learned while all of them could be read.

    The sensors of a group (a rack) and the mean of all others, as one more sensor, are taken as jointly normal with
    means μ and covariance K. Given the rest, sensor i is expected at ``r_i − [K⁻¹(r − μ)]_i / [K⁻¹]_ii``, which does
    not depend on ``r_i`` (Rasmussen and Williams 2006, eq. 5.12; r_i cancels). Sensors without a reading are left out
    of r, μ and K.

    Attributes
    ----------
    group
        ``[s]`` number of the group of each sensor.
    mean
        ``[s]`` μ.
    covariance
        For each group number ``[k + 1, k + 1]`` K of its sensors in their order, and of the mean of all others.
    """

    group: IntArray
    mean: FloatArray
    covariance: dict[int, FloatArray]

    def without_own(self, residual: FloatArray) -> FloatArray:
        """``[t, s]`` what each sensor is expected to read, given the others of ``residual`` ``[t, s]`` but not its own.

        NaN where a sensor has no reading itself: ask with any finite value in the place of a lost one.
        """
        expected = np.full(residual.shape, np.nan)
        for number, covariance in self.covariance.items():
            members = np.flatnonzero(self.group == number)
            off = _with_rest(residual - self.mean, self.group == number)
            expected[:, members] = (off - _unexplained(off, covariance))[:, :-1] + self.mean[members]
        return expected


def fit_peers(residual: FloatArray, group: IntArray) -> PeerModel:
    """Learn means and covariances from ``residual`` ``[t, s]``; a missing reading counts as an ordinary one."""
    known = np.isfinite(residual).sum(axis=0)
    total = np.nansum(residual, axis=0)
    ordinary = total.sum() / max(1, known.sum())
    mean = np.where(known > 0, total / np.maximum(known, 1), ordinary)
    covariance = {int(number): _covariance(_with_rest(residual - mean, group == number)) for number in np.unique(group)}
    return PeerModel(group, mean, covariance)


def _with_rest(off: FloatArray, members: NDArray[np.bool_]) -> FloatArray:
    """``[t, k + 1]`` the columns of the members, and the mean of all others (0 where none has a reading)."""
    rest = off[:, ~members]
    count = np.isfinite(rest).sum(axis=1)
    return np.column_stack([off[:, members], np.nansum(rest, axis=1) / np.maximum(count, 1)])


def _covariance(off: FloatArray) -> FloatArray:
    """Second moments about the means, with each sensor's own noise on the diagonal."""
    known = np.where(np.isfinite(off), off, 0.0)
    pairs = np.isfinite(off).astype(np.float64)
    covariance = known.T @ known / np.maximum(1.0, np.sqrt(np.outer(pairs.sum(axis=0), pairs.sum(axis=0))))
    own = np.maximum(LEAST_VAR, OWN_NOISE_FRAC * np.median(np.diag(covariance)))
    return np.asarray(covariance + own * np.eye(len(covariance)))


def _unexplained(off: FloatArray, covariance: FloatArray) -> FloatArray:
    """``[t, k]`` how far each value lies from what the others of its row say; rows with the same gaps go together."""
    left = np.full(off.shape, np.nan)
    patterns, which = np.unique(np.isfinite(off), axis=0, return_inverse=True)
    for number, there in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == number)
        precision = np.linalg.inv(covariance[np.ix_(there, there)])
        left[np.ix_(rows, there)] = off[np.ix_(rows, there)] @ precision / np.diag(precision)
    return left
