"""The loop that fills one unit, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["fillings", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEARLY = 1e-9
"""Sums of sizes are wrong by less than this, relative to the room; worths by less than this outright."""


@njit(cache=True, nogil=True)
def fillings(
    worth: FloatArray, size: FloatArray, copies: IntArray, room: FloatArray, floor: float, nodes: int, out: IntArray
) -> tuple[int, float, bool]:
    """Search depth first for what is worth most and fits a unit.

    What items from i on can add is at most, in every row, the room left times the best worth per size among them. The
    room counts what items of negative size can still give; they are best tried first.

    Parameters
    ----------
    worth, copies
        ``[item]`` in the order in which items are tried.
    size
        ``[item, row]``.
    room
        ``[row]``.
    floor
        Only what is worth more is looked for.
    nodes
        Most items taken in the whole search.
    out
        ``[filling, item]`` copies taken, zeros: better and better fillings come in, the last ones are kept.

    Returns
    -------
    tuple[int, float, bool]
        How many fillings were found, in ``out`` modulo its length; worth of the last; whether none is worth more.
    """
    items, rows = size.shape
    rate, relief = _ahead(worth, size, copies)
    left, taken = room.copy(), np.zeros(items, dtype=np.int64)
    stack = np.empty(copies.sum() + 1, dtype=np.int64)
    depth, item, value, best, found, used = 0, 0, 0.0, floor, 0, 0
    while True:
        reach = _reach(left, relief[item], rate[item])
        if np.isnan(reach) or value + reach > best + NEARLY:
            item = _fitting(item, taken, copies, size, left + relief[item] + NEARLY * room)
            if item < items:
                used += 1
                if used > nodes:
                    return found, best, False
                for r in range(rows):
                    left[r] -= size[item, r]
                taken[item] += 1
                value += worth[item]
                stack[depth] = item
                depth += 1
                continue
            if value > best + NEARLY and (left >= -NEARLY * room).all():
                best = value
                out[found % len(out)] = taken
                found += 1
        if depth == 0:
            return found, best, True
        depth -= 1
        item = stack[depth]
        for r in range(rows):
            left[r] += size[item, r]
        taken[item] -= 1
        value -= worth[item]
        item += 1


@njit(cache=True, nogil=True)
def _ahead(worth: FloatArray, size: FloatArray, copies: IntArray) -> tuple[FloatArray, FloatArray]:
    """``[item, row]`` of the items from each on: best worth per size, and room that they can give."""
    items, rows = size.shape
    rate, relief = np.zeros((items + 1, rows)), np.zeros((items + 1, rows))
    for i in range(items - 1, -1, -1):
        for r in range(rows):
            per_size = worth[i] / size[i, r] if size[i, r] > 0 else np.inf
            rate[i, r] = max(rate[i + 1, r], per_size) if worth[i] > 0 else rate[i + 1, r]
            relief[i, r] = relief[i + 1, r] + copies[i] * max(0.0, -size[i, r])
    return rate, relief


@njit(cache=True, nogil=True)
def _reach(left: FloatArray, relief: FloatArray, rate: FloatArray) -> float:
    """Most that the items ahead can add; where that is not known no number, or infinite."""
    reach = np.inf
    for r in range(len(left)):
        # No item ahead is worth anything where the rate is 0, whatever the room.
        reach = min(reach, max(0.0, left[r] + relief[r]) * rate[r] if rate[r] > 0 else 0.0)
    return reach


@njit(cache=True, nogil=True)
def _fitting(item: int, taken: IntArray, copies: IntArray, size: FloatArray, room: FloatArray) -> int:
    """The first item from here on of which one more fits; how many items there are, if none does."""
    while item < len(size):
        fits = taken[item] < copies[item]
        for r in range(len(room)):
            fits = fits and size[item, r] <= room[r]
        if fits:
            break
        item += 1
    return item


def warm_up() -> None:
    """Compile the loop, or load it compiled."""
    one = np.ones(1)
    fillings(one, np.ones((1, 1)), np.ones(1, dtype=np.int64), one, 0.0, 10, np.zeros((1, 1), dtype=np.int64))
