"""What :mod:`tapas_opt.reconfiguration.loads` evaluates again and again, compiled.

Arrays are those of :mod:`~tapas_opt.reconfiguration.kernels`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapas_opt.reconfiguration.kernels import FIELDS, in_order, packed

__all__ = ["beside", "served_by", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@njit(cache=True, nogil=True)
def served_by(
    cost: FloatArray, tokens: FloatArray, loads: BoolArray, token: float, least: int, most: int
) -> tuple[float, float, int]:
    """Let instances choose at the price of a token, so that at least ``least`` and at most ``most`` of them load.

    ``cost[i, c]`` is infinite for what an instance cannot take. Those that have to load are not counted. Returned is
    what all cost together, infinite where too few can load, the tokens/s that they serve, and how many load.
    """
    count = len(cost)
    more, further = np.full(count, np.inf), np.zeros(count)
    value, served = 0.0, 0.0
    for i in range(count):
        without, with_load = np.inf, np.inf
        kept, loaded = 0.0, 0.0
        for c in range(cost.shape[1]):
            score = cost[i, c] - token * tokens[i, c]
            if loads[i, c]:
                if score < with_load:
                    with_load, loaded = score, tokens[i, c]
            elif score < without:
                without, kept = score, tokens[i, c]
        if without == np.inf:
            without, kept, with_load = with_load, loaded, np.inf
        value, served = value + without, served + kept
        more[i], further[i] = with_load - without, loaded - kept
    loading = 0
    for i in in_order(more):
        if loading >= least and (loading >= most or more[i] >= 0.0):
            break
        value, served, loading = value + more[i], served + further[i], loading + 1
        if value == np.inf:
            break
    return value, served, loading


@njit(cache=True, nogil=True)
def beside(
    kind: IntArray,
    width: IntArray,
    option: FloatArray,
    place: IntArray,
    rate: FloatArray,
    here: IntArray,
    domain: int,
    room: int,
    price: float,
    more: FloatArray,
) -> None:
    """Fill ``more[c]``: what choosing together (:func:`~tapas_opt.reconfiguration.kernels.packed`) adds for an option.

    That is: by how much more the instances of a small domain cost within its room, where the first of them takes option
    c, than if each of the others chose for itself and all paid the price. Infinite where no others fit beside it.
    """
    count, own = len(here), kind[here[0]]
    each, at = np.arange(count), np.zeros(count, np.int64)
    options, widths = np.empty((count, FIELDS, option.shape[2])), np.empty(count, np.int64)
    places, rates = np.empty((count, place.shape[1], place.shape[2]), np.int64), np.empty((count, FIELDS))
    for n in range(count):
        i = here[n]
        options[n], widths[n], places[n], rates[n] = option[kind[i]], width[kind[i]], place[i], rate[i]
    widths[0] = 1
    for c in range(width[own]):
        options[0, :, 0] = option[own, :, c]
        more[c] = packed(each, widths, options, places, rates, each, domain, room, price, at)


def warm_up() -> None:
    """Compile everything, or load what was compiled before: one instance with one option, on a domain of its own."""
    one, none = np.ones((1, 1)), np.zeros(1, np.int64)
    served_by(one, one, np.zeros((1, 1), np.bool_), 0.0, 0, 1)
    place = np.array([[[0, 1, 0]]], dtype=np.int64)
    option = np.ones((1, FIELDS, 1))
    beside(none, np.ones(1, np.int64), option, place, np.zeros((1, FIELDS)), none, 0, 1, 0.0, np.empty(1))
