"""Compiled loops of the greedy path; :func:`warm_up` compiles them before they are needed.

Arrays are those of :class:`~tapas_opt.placement.taps.Taps`; ``drawn[row]`` is what VMs placed so far draw, in
thousandths, and ``room[tap]``, ``steps[tap]`` are what one more VM of a type would leave there and where the peak would
then stand above today's.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["best_class", "draw_on", "judge", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNLIMITED = np.int64(10**15)


@njit(cache=True)
def judge(
    taps: tuple[int, int],
    tap: tuple[IntArray, IntArray, IntArray],
    row_begin: IntArray,
    row: tuple[IntArray, IntArray, IntArray, IntArray],
    drawn: IntArray,
    draw: IntArray,
    room: IntArray,
    steps: IntArray,
) -> None:
    """Fill ``room[type, tap]`` and ``steps[type, tap]`` for a range of taps; a VM draws ``draw[type, look, slot]``."""
    domain, share, look = tap
    slot, left, before, step = row
    for n in range(taps[0], taps[1]):
        for kind in range(draw.shape[0]):
            least, most = UNLIMITED, np.int64(0)
            for j in range(row_begin[domain[n]], row_begin[domain[n] + 1]):
                then = drawn[j] + draw[kind, look[n], slot[j]] * share[n]
                least = min(least, left[j] - then)
                over = then - before[j]
                if over > 0:
                    most = max(most, -(-over // step[j]))
            room[kind, n] = least
            steps[kind, n] = most


@njit(cache=True)
def best_class(
    allowed: BoolArray,
    cost: IntArray,
    of_class: IntArray,
    room: IntArray,
    steps: IntArray,
    limit: FloatArray,
    peak_of_place: IntArray,
    increase: IntArray,
    peak_price: IntArray,
) -> tuple[int, np.int64]:
    """The allowed class with room that costs least, of several the one with most headroom; -1 where there is none."""
    best, least, most_headroom = -1, np.int64(0), 0.0
    highest = np.empty(len(increase), dtype=np.int64)
    for k in range(len(allowed)):
        if not allowed[k] or (best >= 0 and cost[k] > least):
            continue
        fits, headroom = True, np.inf
        highest[:] = increase
        for place in range(of_class.shape[1]):
            tap = of_class[k, place]
            if room[tap] < 0:
                fits = False
                break
            headroom = min(headroom, room[tap] / limit[tap])
            peak = peak_of_place[place]
            if peak >= 0:
                highest[peak] = max(highest[peak], steps[tap])
        if not fits:
            continue
        costs = cost[k] + np.sum(peak_price * (highest - increase))
        if best < 0 or costs < least or (costs == least and headroom > most_headroom):
            best, least, most_headroom = k, costs, headroom
    return best, least


@njit(cache=True)
def draw_on(
    taps: IntArray,
    sign: int,
    tap: tuple[IntArray, IntArray, IntArray],
    row_begin: IntArray,
    slot: IntArray,
    drawn: IntArray,
    draw: IntArray,
) -> None:
    """Add what a VM with ``draw[look, slot]`` draws on the taps of its class; ``sign`` -1 takes it back."""
    domain, share, look = tap
    for n in taps:
        for j in range(row_begin[domain[n]], row_begin[domain[n] + 1]):
            drawn[j] += sign * draw[look[n], slot[j]] * share[n]


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    one, none = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    tap, row, begin = (none, one, none), (none, one, one, one), np.array([0, 1])
    square, draw = np.zeros((1, 1), dtype=np.int64), np.ones((1, 1, 1), dtype=np.int64)
    judge((0, 1), tap, begin, row, none.copy(), draw, square.copy(), square.copy())
    best_class(one > 0, none, square, none, none, np.ones(1), none, none, one)
    draw_on(none, 1, tap, begin, none, none.copy(), draw[0])
