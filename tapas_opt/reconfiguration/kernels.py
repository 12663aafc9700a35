"""Greedy's prices and bounds, compiled: a plan for 100,000 servers is some hundred million steps of arithmetic.

Everything is plain arrays that the kernels change in place; :mod:`tapas_opt.reconfiguration.tables` makes them.

``kind[i]``, ``endpoint[i]`` of each instance. ``width[k]`` options of each kind, which stand first in
``option[k, field, c]``. ``place[i, p]`` the domains that it draws on: number, thousandths of its watts and of its CFM
that fall there, one of the two 0; places that it has none for name a domain of their own and draw nothing. ``room[d]``,
``drawn[d]`` thousandths of a unit, whole and therefore exact. ``slack[e]`` tokens/s beyond demand. ``at[i]`` the option
taken. ``rate[i, field]`` what a unit of each field costs the instance at some prices, so that an option costs
Σ_field rate · option.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "AIRFLOW",
    "COST",
    "COUNTS",
    "FIELDS",
    "GOODPUT",
    "POWER",
    "cheapest",
    "expected",
    "in_order",
    "nearest",
    "packed",
    "rates",
    "summed",
    "undominated",
    "warm_up",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

GOODPUT, POWER, AIRFLOW, COST, COUNTS = 0, 1, 2, 3, 4
FIELDS = 5
"""tokens/s, W, CFM, cost units per hour, and 1 where an option counts against the change budget."""

FAR = 20.0
"""Options so many softnesses above the cheapest get no weight: exp(−20) is 2e-9."""


NODES = 20_000
"""A search for what a few instances choose together is given up after so many steps."""


@njit(cache=True, nogil=True)
def undominated(drawbacks: IntArray) -> BoolArray:
    """``[choice]`` whether no other is at most as bad in every respect (:mod:`~tapas_opt.reconfiguration.dominance`).

    Whoever is beaten is beaten by somebody unbeaten, so that those found beaten need not be asked.
    """
    count, respects = drawbacks.shape
    kept = np.ones(count, dtype=np.bool_)
    for c in range(count):
        for other in range(count):
            if other == c or not kept[other]:
                continue
            beaten, equal = True, True
            for r in range(respects):
                if drawbacks[other, r] > drawbacks[c, r]:
                    beaten = False
                    break
                equal = equal and drawbacks[other, r] == drawbacks[c, r]
            if beaten and (not equal or other < c):
                kept[c] = False
                break
    return kept


@njit(cache=True, nogil=True)
def rates(
    place: IntArray, endpoint: IntArray, token: FloatArray, domain: FloatArray, change: float, rate: FloatArray
) -> None:
    """Fill ``rate`` from the prices of a token/s at each endpoint, of a unit on each domain, and of a change."""
    for i in range(len(endpoint)):
        watt, cfm = 0.0, 0.0
        for p in range(place.shape[1]):
            price = domain[place[i, p, 0]] / 1000.0
            watt += price * place[i, p, 1]
            cfm += price * place[i, p, 2]
        rate[i, GOODPUT] = -token[endpoint[i]]
        rate[i, POWER] = watt
        rate[i, AIRFLOW] = cfm
        rate[i, COST] = 1.0
        rate[i, COUNTS] = change


@njit(cache=True, nogil=True)
def expected(
    kind: IntArray, width: IntArray, option: FloatArray, rate: FloatArray, softness: float, mean: FloatArray
) -> float:
    """Let every instance take its cheapest options, softly.

    An option has the weight exp((least − what it costs) / softness), scaled to 1; ``mean[i, field]`` becomes the mean
    over these weights. Returned is Σ_i (least − softness · log Σ weight), whose gradient in the rates is the mean.
    """
    score = np.empty(option.shape[2])
    value = 0.0
    for i in range(len(kind)):
        table, own = option[kind[i]], rate[i]
        least = _scored(table, own, width[kind[i]], score)
        total = 0.0
        mean[i, :] = 0.0
        for c in range(width[kind[i]]):
            above = score[c] - least
            if above < FAR * softness:
                weight = np.exp(-above / softness)
                total += weight
                for field in range(FIELDS):
                    mean[i, field] += weight * table[field, c]
        mean[i, :] /= total
        value += least - softness * np.log(total)
    return value


@njit(cache=True, nogil=True)
def cheapest(kind: IntArray, width: IntArray, option: FloatArray, rate: FloatArray, at: IntArray) -> float:
    """Give every instance the first option that costs it least; the sum of what they cost."""
    score = np.empty(option.shape[2])
    value = 0.0
    for i in range(len(kind)):
        least = _scored(option[kind[i]], rate[i], width[kind[i]], score)
        c = 0
        while score[c] > least:
            c += 1
        at[i] = c
        value += least
    return value


@njit(cache=True, nogil=True)
def _load(place: IntArray, table: FloatArray, domain: int) -> FloatArray:
    """``[option]`` thousandths that each option of an instance puts on a domain."""
    per_watt, per_cfm = 0, 0
    for p in range(place.shape[0]):
        if place[p, 0] == domain:
            per_watt, per_cfm = place[p, 1], place[p, 2]
    load: FloatArray = per_watt * table[POWER] + per_cfm * table[AIRFLOW]
    return load


@njit(cache=True, nogil=True)
def _front(cost: FloatArray, load: FloatArray, value: FloatArray, weight: IntArray, number: IntArray) -> int:
    """Options from the cheapest to the lightest, without those that another beats in both; how many they are."""
    count, lightest = 0, np.inf
    for c in in_order(cost):
        if load[c] < lightest:
            lightest = load[c]
            value[count], weight[count], number[count] = cost[c], int(load[c]), c
            count += 1
    return count


@njit(cache=True, nogil=True)
def packed(
    kind: IntArray,
    width: IntArray,
    option: FloatArray,
    place: IntArray,
    rate: FloatArray,
    here: IntArray,
    domain: int,
    room: int,
    price: float,
    at: IntArray,
) -> float:
    """Let the few instances of a domain choose together what is cheapest within its room, instead of paying its price.

    Depth first over undominated options, cheapest first (branch and bound). ``at`` of these instances is changed.
    Returned is by how much more they then cost than if each chose for itself and paid the price of a thousandth: what
    the relaxation of a small domain leaves out. Infinite where nothing fits, and 0 where the search is too long; then
    nothing is changed.
    """
    count = len(here)
    value, weight = np.empty((count, option.shape[2])), np.empty((count, option.shape[2]), np.int64)
    number, options = np.empty((count, option.shape[2]), np.int64), np.zeros(count, np.int64)
    alone = -price * room
    score = np.empty(option.shape[2])
    for n in range(count):
        i, w = here[n], width[kind[here[n]]]
        alone += _scored(option[kind[i]], rate[i], w, score)
        load = _load(place[i], option[kind[i]], domain)[:w]
        options[n] = _front(score[:w] - price * load, load, value[n], weight[n], number[n])
    least, light = np.zeros(count + 1), np.zeros(count + 1, np.int64)
    for n in range(count - 1, -1, -1):
        least[n] = least[n + 1] + value[n, 0]
        light[n] = light[n + 1] + weight[n, options[n] - 1]
    best, chosen = np.inf, np.zeros(count, np.int64)
    cost, drawn, tried = np.zeros(count + 1), np.zeros(count + 1, np.int64), np.full(count, -1)
    depth, nodes = 0, 0
    while depth >= 0:
        nodes += 1
        if nodes > NODES:
            return 0.0
        tried[depth] += 1
        k = tried[depth]
        if k == options[depth] or cost[depth] + value[depth, k] + least[depth + 1] >= best:
            depth -= 1
            continue
        if drawn[depth] + weight[depth, k] + light[depth + 1] > room:
            continue
        cost[depth + 1], drawn[depth + 1] = cost[depth] + value[depth, k], drawn[depth] + weight[depth, k]
        if depth < count - 1:
            depth += 1
            tried[depth] = -1
        else:
            best = cost[count]
            chosen[:] = tried
    if best == np.inf:
        return best
    for n in range(count):
        at[here[n]] = number[n, chosen[n]]
    return max(0.0, best - alone)


@njit(cache=True, nogil=True)
def nearest(kind: IntArray, width: IntArray, option: FloatArray, rate: FloatArray, above: FloatArray) -> None:
    """Fill ``above[k, c]``: what an option costs above the cheapest, to the instance of its kind that it suits best."""
    score = np.empty(option.shape[2])
    above[:, :] = np.inf
    for i in range(len(kind)):
        least = _scored(option[kind[i]], rate[i], width[kind[i]], score)
        for c in range(width[kind[i]]):
            above[kind[i], c] = min(above[kind[i], c], score[c] - least)


@njit(cache=True, nogil=True)
def _scored(table: FloatArray, rate: FloatArray, width: int, score: FloatArray) -> float:
    """Fill ``score[c]`` with what each option costs; the least of them."""
    tokens, watt, cfm, cost, change = table[GOODPUT], table[POWER], table[AIRFLOW], table[COST], table[COUNTS]
    for c in range(width):
        drawn = rate[POWER] * watt[c] + rate[AIRFLOW] * cfm[c] + rate[COUNTS] * change[c]
        score[c] = rate[COST] * cost[c] + drawn + rate[GOODPUT] * tokens[c]
    least = score[0]
    for c in range(1, width):
        least = min(least, score[c])
    return float(least)


@njit(cache=True, nogil=True)
def summed(place: IntArray, endpoint: IntArray, amount: FloatArray, load: FloatArray, goodput: FloatArray) -> float:
    """Fill ``load[d]`` (units) and ``goodput[e]`` from ``amount[i, field]``; how much counts as changes."""
    load[:] = 0.0
    goodput[:] = 0.0
    changes = 0.0
    for i in range(len(endpoint)):
        goodput[endpoint[i]] += amount[i, GOODPUT]
        changes += amount[i, COUNTS]
        for p in range(place.shape[1]):
            drawn = place[i, p, 1] * amount[i, POWER] + place[i, p, 2] * amount[i, AIRFLOW]
            load[place[i, p, 0]] += drawn / 1000.0
    return changes


@njit(cache=True, nogil=True)
def in_order(score: FloatArray) -> IntArray:
    """Numbers from the lowest score to the highest, in their own order where equal."""
    return np.argsort(score, kind="mergesort")


def warm_up() -> None:
    """Compile everything, or load what was compiled before: one instance with one option, on a domain of its own."""
    kind, width = np.zeros(1, np.int64), np.ones(1, np.int64)
    option, place = np.ones((1, FIELDS, 1), np.int64), np.array([[[0, 1, 0]]], dtype=np.int64)
    rate, mean = np.empty((1, FIELDS)), np.empty((1, FIELDS))
    price, curve, at = np.zeros(1), option.astype(np.float64), np.zeros(1, np.int64)
    undominated(np.zeros((1, 1), np.int64))
    rates(place, kind, price, price, 0.0, rate)
    expected(kind, width, curve, rate, 1.0, mean)
    summed(place, kind, mean, np.empty(1), np.empty(1))
    cheapest(kind, width, curve, rate, at)
    nearest(kind, width, curve, rate, np.empty((1, 1)))
    packed(kind, width, curve, place, rate, kind, 0, 1, 0.0, at)
