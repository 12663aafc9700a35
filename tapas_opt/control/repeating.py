"""Sensors that are stuck: they repeat themselves to the last digit while what they measure should have moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["STUCK_READINGS", "STUCK_S", "Repeating"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STUCK_S = 1_800.0
STUCK_READINGS = 10
"""The same number for so long, and so often: temperatures come in whole degrees, and idle servers draw the same."""


class Repeating:
    """Watches an array of sensors for readings that do not change.

    Parameters
    ----------
    moved
        A sensor is stuck when, meanwhile, what it should have said has moved by this much.
    """

    def __init__(self, shape: tuple[int, ...], moved: float) -> None:
        self._moved = moved
        self._value, self._since_s, self._low, self._high = (np.full(shape, np.nan) for _ in range(4))
        self._count = np.zeros(shape, dtype=np.int64)

    def note(self, t_s: float, reading: FloatArray, expected: FloatArray) -> BoolArray:
        """Take in what was read anew, NaN where nothing was; say which sensors are stuck."""
        read = np.isfinite(reading)
        same = read & (reading == self._value)
        begun = read & ~same
        self._value = np.where(read, reading, self._value)
        self._since_s = np.where(begun, t_s, self._since_s)
        self._count = np.where(begun, 1, self._count + same)
        self._low = np.where(begun, expected, np.where(same, np.fmin(self._low, expected), self._low))
        self._high = np.where(begun, expected, np.where(same, np.fmax(self._high, expected), self._high))
        long = (t_s - self._since_s >= STUCK_S) & (self._count >= STUCK_READINGS)
        return np.asarray(long & (self._high - self._low >= self._moved))
