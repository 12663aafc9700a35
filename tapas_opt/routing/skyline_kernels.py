"""Factors of a symmetric matrix of which each row begins late: its *skyline*, compiled.

Of row i the columns from ``first[i]`` to i stand one after the other from ``begin[i]`` on. Factors need no more room
than that (George and Liu, Computer Solution of Large Sparse Positive Definite Systems, 1981, ch. 4).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["factored", "solved", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@njit(cache=True, nogil=True)
def factored(first: IntArray, begin: IntArray, entries: FloatArray, diagonal: FloatArray) -> bool:
    """Replace ``entries`` by L of L·D·Lᵀ, and fill ``diagonal`` with D; whether there is no 0 in it.

    Without pivots: quasi-definite matrices need none (Vanderbei 1995), as far as numbers are exact.
    """
    for i in range(len(first)):
        at_i = begin[i] - first[i]
        for j in range(first[i], i):
            at_j = begin[j] - first[j]
            for k in range(max(first[i], first[j]), j):
                entries[at_i + j] -= entries[at_i + k] * entries[at_j + k]
        left = entries[at_i + i]
        for j in range(first[i], i):
            part = entries[at_i + j] / diagonal[j]
            left -= part * entries[at_i + j]
            entries[at_i + j] = part
        if left == 0.0:
            return False
        diagonal[i] = left
        entries[at_i + i] = 1.0
    return True


@njit(cache=True, nogil=True)
def solved(first: IntArray, begin: IntArray, entries: FloatArray, diagonal: FloatArray, right: FloatArray) -> None:
    """Replace ``right`` by the solution for it."""
    for i in range(len(first)):
        for j in range(first[i], i):
            right[i] -= entries[begin[i] - first[i] + j] * right[j]
    for i in range(len(first)):
        right[i] /= diagonal[i]
    for i in range(len(first) - 1, -1, -1):
        for j in range(first[i], i):
            right[j] -= entries[begin[i] - first[i] + j] * right[i]


def warm_up() -> None:
    """Compile everything, or load what was compiled before."""
    first, begin, entries, diagonal = np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1), np.ones(1)
    factored(first, begin, entries, diagonal)
    solved(first, begin, entries, diagonal, np.ones(1))
