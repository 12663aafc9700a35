"""The routing plan's loops, compiled.

Arrays are over classes c of interchangeable instances and segments b. ``work``, ``power``, ``airflow`` are ``[c, b]``
what one member's segment, fully used, carries and draws; ``most[c, b]`` how many members' worth of it may be used. Of
the linear program ``row[c, j]`` are the rows that a class draws on, -1 for none, ``per_watt`` and ``per_cfm`` the parts
of the draw that fall there, and ``demanded[c]`` is the row of what it serves. For pouring ``place[c, p]`` are domains.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["drawn", "matrix", "poured", "priced", "reached", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@njit(cache=True, nogil=True)
def drawn(
    used: FloatArray,
    work: FloatArray,
    power: FloatArray,
    airflow: FloatArray,
    demanded: IntArray,
    row: IntArray,
    per_watt: FloatArray,
    per_cfm: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out[row]`` with what is drawn there, less what is served, where so much of each segment is used."""
    out[:] = 0.0
    for c in range(used.shape[0]):
        served, watts, air = 0.0, 0.0, 0.0
        for b in range(used.shape[1]):
            served += used[c, b] * work[c, b]
            watts += used[c, b] * power[c, b]
            air += used[c, b] * airflow[c, b]
        out[demanded[c]] -= served
        for j in range(row.shape[1]):
            if row[c, j] >= 0:
                out[row[c, j]] += per_watt[c, j] * watts + per_cfm[c, j] * air


@njit(cache=True, nogil=True)
def priced(
    price: FloatArray,
    work: FloatArray,
    power: FloatArray,
    airflow: FloatArray,
    demanded: IntArray,
    row: IntArray,
    per_watt: FloatArray,
    per_cfm: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out[c, b]`` with what a segment draws less what it serves, at ``price[row]``; :func:`drawn` transposed."""
    for c in range(out.shape[0]):
        watt, cfm = 0.0, 0.0
        for j in range(row.shape[1]):
            if row[c, j] >= 0:
                watt += per_watt[c, j] * price[row[c, j]]
                cfm += per_cfm[c, j] * price[row[c, j]]
        token = price[demanded[c]]
        for b in range(out.shape[1]):
            out[c, b] = watt * power[c, b] + cfm * airflow[c, b] - token * work[c, b]


@njit(cache=True, nogil=True)
def reached(demanded: IntArray, row: IntArray, first: IntArray) -> None:
    """Lower ``first[row]`` to the first row that any class draws on or serves beside it."""
    for c in range(row.shape[0]):
        least = demanded[c]
        for j in range(row.shape[1]):
            if row[c, j] >= 0:
                least = min(least, row[c, j])
        first[demanded[c]] = min(first[demanded[c]], least)
        for j in range(row.shape[1]):
            if row[c, j] >= 0:
                first[row[c, j]] = min(first[row[c, j]], least)


@njit(cache=True, nogil=True)
def matrix(
    weight: FloatArray,
    work: FloatArray,
    power: FloatArray,
    airflow: FloatArray,
    demanded: IntArray,
    row: IntArray,
    per_watt: FloatArray,
    per_cfm: FloatArray,
    first: IntArray,
    begin: IntArray,
    out: FloatArray,
) -> None:
    """Fill a skyline (:mod:`~tapas_opt.routing.skyline_kernels`) with Σ weight · a · aᵀ, a being a segment by row.

    Rows of ``demanded`` come after all that classes draw on.
    """
    out[:] = 0.0
    for c in range(weight.shape[0]):
        ww, wp, wa, pp, pa, aa = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for b in range(weight.shape[1]):
            served, watts, air = weight[c, b] * work[c, b], weight[c, b] * power[c, b], weight[c, b] * airflow[c, b]
            ww += served * work[c, b]
            wp += served * power[c, b]
            wa += served * airflow[c, b]
            pp += watts * power[c, b]
            pa += watts * airflow[c, b]
            aa += air * airflow[c, b]
        e = demanded[c]
        out[begin[e] + e - first[e]] += ww
        for j in range(row.shape[1]):
            r, watt, cfm = row[c, j], per_watt[c, j], per_cfm[c, j]
            if r < 0:
                continue
            out[begin[e] + r - first[e]] -= watt * wp + cfm * wa
            by_watt, by_cfm = watt * pp + cfm * pa, watt * pa + cfm * aa
            for k in range(row.shape[1]):
                if 0 <= row[c, k] <= r:
                    out[begin[r] + row[c, k] - first[r]] += by_watt * per_watt[c, k] + by_cfm * per_cfm[c, k]


@njit(cache=True, nogil=True)
def poured(
    order: IntArray,
    work: FloatArray,
    power: FloatArray,
    airflow: FloatArray,
    most: FloatArray,
    endpoint: IntArray,
    place: IntArray,
    per_watt: FloatArray,
    per_cfm: FloatArray,
    room: FloatArray,
    demand: FloatArray,
    used: FloatArray,
) -> None:
    """Use segments in an order (numbers ``c · segments + b``) as far as demand and ``room[domain]`` go.

    ``room``, ``demand[endpoint]`` and ``used[c, b]`` are brought up to date.
    """
    segments = work.shape[1]
    for n in order:
        c, b = n // segments, n % segments
        if work[c, b] <= 0.0:
            continue
        amount = min(most[c, b] - used[c, b], demand[endpoint[c]] / work[c, b])
        for p in range(place.shape[1]):
            draw = per_watt[c, p] * power[c, b] + per_cfm[c, p] * airflow[c, b]
            if draw > 0.0:
                amount = min(amount, room[place[c, p]] / draw)
        if amount <= 0.0:
            continue
        for p in range(place.shape[1]):
            room[place[c, p]] -= amount * (per_watt[c, p] * power[c, b] + per_cfm[c, p] * airflow[c, b])
        used[c, b] += amount
        demand[endpoint[c]] -= amount * work[c, b]


def warm_up() -> None:
    """Compile everything, or load what was compiled before."""
    one, none, last = np.ones((1, 1)), np.zeros((1, 1), np.int64), np.ones(1, np.int64)
    numbers, first, begin = (one, one, one, last, none, one, one), np.arange(2), np.array([0, 1])
    reached(last, none, first)
    drawn(one, *numbers, np.zeros(2))
    priced(np.zeros(2), *numbers, np.zeros((1, 1)))
    matrix(one, *numbers, first, begin, np.zeros(3))
    poured(begin[:1], one, one, one, one, none[0], none, one, one, np.ones(1), np.ones(1), np.zeros((1, 1)))
