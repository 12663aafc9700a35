"""The routing plan's loops, compiled.

Arrays are over classes c of interchangeable instances and segments b. ``cost``, ``work``, ``power``, ``airflow`` are
``[c, b]`` what one member's segment, fully used, costs, carries and draws; ``most[c, b]`` how many members' worth of it
may be used. ``place[c, p]`` are numbers of domains, ``per_watt`` and ``per_cfm`` the parts of the draw that fall there.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["answered", "poured", "priced", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FAR = 30.0
"""So many softnesses from its corner a softened minimum is what it would be without: exp(−30) is 1e-13."""


@njit(cache=True, nogil=True)
def priced(
    cost: FloatArray,
    power: FloatArray,
    airflow: FloatArray,
    place: IntArray,
    per_watt: FloatArray,
    per_cfm: FloatArray,
    price: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out[c, b]``: cost of a segment with all that it draws at ``price[domain]``."""
    for c in range(cost.shape[0]):
        watt, cfm = 0.0, 0.0
        for p in range(place.shape[1]):
            watt += price[place[c, p]] * per_watt[c, p]
            cfm += price[place[c, p]] * per_cfm[c, p]
        for b in range(cost.shape[1]):
            out[c, b] = cost[c, b] + watt * power[c, b] + cfm * airflow[c, b]


@njit(cache=True, nogil=True)
def answered(
    dear: FloatArray,
    work: FloatArray,
    power: FloatArray,
    airflow: FloatArray,
    most: FloatArray,
    endpoint: IntArray,
    place: IntArray,
    per_watt: FloatArray,
    per_cfm: FloatArray,
    token: FloatArray,
    softness: float,
    served: FloatArray,
    load: FloatArray,
) -> float:
    """Use every segment as far as it pays at ``token[endpoint]``, softly, given what it costs with all it draws.

    Σ most · min(0, dear − token·work), where min(0, x) is softened to −s·log(1 + exp(−x/s)) with s = softness · work;
    0 for no softening. ``served[endpoint]`` and ``load[domain]`` are filled with what is served and drawn so.
    """
    served[:] = 0.0
    load[:] = 0.0
    value = 0.0
    for c in range(dear.shape[0]):
        watts, air = 0.0, 0.0
        for b in range(dear.shape[1]):
            if most[c, b] <= 0.0:
                continue
            over, soft = dear[c, b] - token[endpoint[c]] * work[c, b], softness * work[c, b]
            used = most[c, b] if over < 0.0 else 0.0
            value += most[c, b] * min(0.0, over)
            if abs(over) < FAR * soft:
                near = np.exp(-abs(over) / soft)
                value -= most[c, b] * soft * np.log1p(near)
                used = most[c, b] * (1.0 if over < 0.0 else near) / (1.0 + near)
            served[endpoint[c]] += used * work[c, b]
            watts += used * power[c, b]
            air += used * airflow[c, b]
        for p in range(place.shape[1]):
            load[place[c, p]] += per_watt[c, p] * watts + per_cfm[c, p] * air
    return value


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
    one, none, first = np.ones((1, 1)), np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
    out, served, load = np.zeros((1, 1)), np.zeros(1), np.zeros(1)
    priced(one, one, one, none, one, one, load, out)
    answered(out, one, one, one, one, first, none, one, one, served, 1.0, np.zeros(1), np.zeros(1))
    poured(first, one, one, one, one, first, none, one, one, np.ones(1), np.ones(1), np.zeros((1, 1)))
