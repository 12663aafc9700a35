"""Compiled loops of the budgets; :func:`warm_up` compiles them before they are needed."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["exceeds", "least_multiples", "shares_by_kind", "undominated", "warm_up"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@njit(cache=True)
def undominated(
    rows: BoolArray, room: IntArray, step: IntArray, over: IntArray, under: IntArray, weight: IntArray
) -> BoolArray:
    """``[domain, slot]`` the rows that no row kept of the same domain implies; see :mod:`~tapas_opt.budgets.dominance`.

    ``over[t, u] / under[t, u]`` is the least multiple of slot t's draws that covers slot u's, negative where none
    does; ``weight[t]`` says how much slot t draws in all, so that the tightest row of a domain is looked at first.
    """
    kept = np.zeros(rows.shape, dtype=np.bool_)
    told = np.empty(rows.shape[1], dtype=np.int64)
    for d in range(rows.shape[0]):
        slots = np.flatnonzero(rows[d])
        tightness = np.empty(len(slots))
        for n, t in enumerate(slots):
            tightness[n] = weight[t] / max(room[d, t], 0.5)
        count = 0
        for u in slots[np.argsort(-tightness)]:
            implied = False
            for n in range(count):
                t = told[n]
                if (
                    over[t, u] >= 0
                    and over[t, u] * room[d, t] <= under[t, u] * room[d, u]
                    and over[t, u] * step[d, t] <= under[t, u] * step[d, u]
                ):
                    implied = True
                    told[n], told[0] = told[0], t  # what implies one hour often implies the next
                    break
            if not implied:
                kept[d, u] = True
                if room[d, u] >= 0:  # a row without room implies nothing
                    told[count] = u
                    count += 1
    return kept


@njit(cache=True)
def least_multiples(draw: IntArray) -> tuple[IntArray, IntArray]:
    """``[slot t, slot u]`` the largest of ``draw[x,u] / draw[x,t]`` as a fraction; -1/1 where no multiple will do."""
    slots = draw.shape[1]
    over, under = np.zeros((slots, slots), dtype=np.int64), np.ones((slots, slots), dtype=np.int64)
    for x in range(draw.shape[0]):
        for t in range(slots):
            for u in range(slots):
                if under[t, u] and draw[x, u] * under[t, u] > over[t, u] * draw[x, t]:
                    over[t, u], under[t, u] = draw[x, u], draw[x, t]
    for t in range(slots):
        for u in range(slots):
            if under[t, u] == 0:
                over[t, u], under[t, u] = -1, 1
    return over, under


@njit(cache=True)
def shares_by_kind(
    member: IntArray, share: IntArray, kind: IntArray, domains: int, kinds: int
) -> tuple[IntArray, IntArray]:
    """``[domain, kind]`` sum of the shares of servers of a kind, and ``[domain]`` the largest of any one server.

    A server may name a domain twice; servers whose kind is negative do not count in the sum.
    """
    total, largest = np.zeros((domains, kinds), dtype=np.int64), np.zeros(domains, dtype=np.int64)
    for s in range(member.shape[0]):
        for place in range(member.shape[1]):
            domain, whole = member[s, place], np.int64(0)
            if domain < 0:
                continue
            for other in range(member.shape[1]):
                if member[s, other] == domain:
                    whole += share[s, other]
            largest[domain] = max(largest[domain], whole)
            if kind[s] >= 0:
                total[domain, kind[s]] += share[s, place]
    return total, largest


@njit(cache=True)
def exceeds(by_kind: IntArray, draw: IntArray, largest: IntArray, in_all: IntArray, room: IntArray) -> BoolArray:
    """``[domain, slot]`` whether ``min(Σ by_kind · draw, largest · in_all)`` is more than a thousand times ``room``."""
    found = np.zeros(room.shape, dtype=np.bool_)
    for d in range(room.shape[0]):
        for t in range(room.shape[1]):
            if largest[d] * in_all[t] > 1000 * room[d, t]:
                most = np.int64(0)
                for k in range(draw.shape[0]):
                    most += by_kind[d, k] * draw[k, t]
                found[d, t] = most > 1000 * room[d, t]
    return found


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    one = np.ones((1, 1), dtype=np.int64)
    undominated(one.astype(np.bool_), one, one, one, one, one[0])
    least_multiples(one)
    shares_by_kind(one - 1, one, one[0] - 1, 1, 1)
    exceeds(one, one, one[0], one[0], one)
