"""Greedy's search, compiled: instances change what they take, one by one.

Arrays are those of :mod:`~tapas_opt.reconfiguration.kernels`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapas_opt.reconfiguration.kernels import AIRFLOW, COST, COUNTS, FIELDS, GOODPUT, POWER, in_order

__all__ = ["bought_back", "repaired", "served", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@njit(cache=True, nogil=True)
def _take(
    place: IntArray,
    table: IntArray,
    i: int,
    c: int,
    e: int,
    at: IntArray,
    drawn: IntArray,
    slack: IntArray,
    changes_left: IntArray,
) -> None:
    """Move instance i, whose options are ``table[field, c]``, to option c."""
    old = at[i]
    watts, air = table[POWER, c] - table[POWER, old], table[AIRFLOW, c] - table[AIRFLOW, old]
    for p in range(place.shape[1]):
        drawn[place[i, p, 0]] += place[i, p, 1] * watts + place[i, p, 2] * air
    slack[e] += table[GOODPUT, c] - table[GOODPUT, old]
    changes_left[0] -= table[COUNTS, c] - table[COUNTS, old]
    at[i] = c


@njit(cache=True, nogil=True)
def _fits(
    place: IntArray,
    room: IntArray,
    table: IntArray,
    i: int,
    c: int,
    at: IntArray,
    drawn: IntArray,
    changes_left: IntArray,
) -> bool:
    """Whether the move brings no domain (further) over what may be drawn there, nor the changes."""
    old = at[i]
    spends = table[COUNTS, c] - table[COUNTS, old]
    if spends > 0 and spends > changes_left[0]:
        return False
    watts, air = table[POWER, c] - table[POWER, old], table[AIRFLOW, c] - table[AIRFLOW, old]
    if watts <= 0 and air <= 0:
        return True
    for p in range(place.shape[1]):
        d, added = place[i, p, 0], place[i, p, 1] * watts + place[i, p, 2] * air
        if added > 0 and drawn[d] + added > room[d]:
            return False
    return True


@njit(cache=True, nogil=True)
def _added_cost(table: IntArray, old: int, c: int, slack: int, token_price: int) -> int:
    """Cost of a move, demand that goes unserved included."""
    gained = table[GOODPUT, c] - table[GOODPUT, old]
    unserved = max(0, -(slack + gained)) - max(0, -slack)
    return int(table[COST, c] - table[COST, old] + token_price * unserved)


@njit(cache=True, nogil=True)
def _more(table: IntArray, rate: FloatArray, old: int, c: int) -> float:
    """What option c costs more than the old one at some rates."""
    more = 0.0
    for field in range(FIELDS):
        more += rate[field] * (table[field, c] - table[field, old])
    return more


@njit(cache=True, nogil=True)
def repaired(
    kind: IntArray,
    endpoint: IntArray,
    width: IntArray,
    option: IntArray,
    place: IntArray,
    room: IntArray,
    instance_of: IntArray,
    first_of: IntArray,
    rate: FloatArray,
    at: IntArray,
    drawn: IntArray,
    slack: IntArray,
    changes_left: IntArray,
    most_relief: bool,
    raised: FloatArray,
) -> None:
    """Relieve the most overloaded domain until none is over, or none that is over can be relieved.

    The instances of domain d are ``instance_of[first_of[d]:first_of[d + 1]]``. Steps are taken by what they cost at the
    rates for each thousandth that is of use, or by relief alone. Of the steps that would free a domain of its excess
    the best half is taken, because the next domain to be relieved may be another. A step that lowers power but needs
    more air, or the reverse, is left to the solvers: so repairing always ends.

    ``raised[d]`` becomes the price of a thousandth, above the one in the rates, at which the dearest step taken for
    domain d would pay for itself: in a relaxation of this domain alone that would be its price.
    """
    given_up = np.zeros(len(room), dtype=np.bool_)
    while True:
        worst, over = -1, 0
        for d in range(len(room)):
            if not given_up[d] and drawn[d] - room[d] > over:
                worst, over = d, drawn[d] - room[d]
        if worst == -1:
            return
        here = instance_of[first_of[worst] : first_of[worst + 1]]
        score, best = np.full(len(here), np.inf), np.empty(len(here), np.int64)
        freed = np.zeros(len(here), np.int64)
        for n in range(len(here)):
            i = here[n]
            score[n], best[n], freed[n] = _best_relief(
                place[i], option[kind[i]], width[kind[i]], rate[i], at[i], worst, over, changes_left[0], most_relief
            )
        order = in_order(score)
        needed, relief = 0, 0
        while needed < len(order) and relief < over and score[order[needed]] < np.inf:
            relief += freed[order[needed]]
            needed += 1
        taken = 0
        for n in order[: (needed + 1) // 2]:
            i, table = here[n], option[kind[here[n]]]
            spends = table[COUNTS, best[n]] - table[COUNTS, at[i]]
            if spends <= 0 or spends <= changes_left[0]:
                _take(place, table, i, best[n], endpoint[i], at, drawn, slack, changes_left)
                taken += 1
                raised[worst] = max(raised[worst], score[n] * min(freed[n], over) / freed[n])
        given_up[worst] = taken == 0


@njit(cache=True, nogil=True)
def _best_relief(
    place: IntArray,
    table: IntArray,
    width: int,
    rate: FloatArray,
    old: int,
    domain: int,
    over: int,
    changes_left: int,
    most_relief: bool,
) -> tuple[float, int, int]:
    """Score, option and thousandths of relief of the best step of one instance; infinite where it has none."""
    per_watt, per_cfm = 0, 0
    for p in range(place.shape[0]):
        if place[p, 0] == domain:
            per_watt, per_cfm = place[p, 1], place[p, 2]
    best, option, relief = np.inf, -1, 0
    for c in range(width):
        watts, air = table[POWER, old] - table[POWER, c], table[AIRFLOW, old] - table[AIRFLOW, c]
        freed = per_watt * watts + per_cfm * air
        spends = table[COUNTS, c] > table[COUNTS, old]
        if watts < 0 or air < 0 or freed <= 0 or (spends and changes_left < 1):
            continue
        useful = float(min(freed, over))
        score = -useful if most_relief else _more(table, rate, old, c) / useful
        if score < best:
            best, option, relief = score, c, freed
    return best, option, relief


@njit(cache=True, nogil=True)
def served(
    kind: IntArray,
    width: IntArray,
    option: IntArray,
    place: IntArray,
    room: IntArray,
    rate: FloatArray,
    here: IntArray,
    e: int,
    token_price: int,
    at: IntArray,
    drawn: IntArray,
    slack: IntArray,
    changes_left: IntArray,
) -> tuple[int, float]:
    """One pass over the instances of endpoint e for demand not served: the least rates a token, where it fits.

    How many steps were taken, and the price of a token, above the one in the rates, at which the dearest of them would
    pay for itself.
    """
    score, best = np.full(len(here), np.inf), np.empty(len(here), np.int64)
    for n in range(len(here)):
        i, table = here[n], option[kind[here[n]]]
        for c in range(width[kind[i]]):
            gained = table[GOODPUT, c] - table[GOODPUT, at[i]]
            if gained > 0:
                each = _more(table, rate[i], at[i], c) / min(gained, -slack[e])
                if each < score[n] and _fits(place, room, table, i, c, at, drawn, changes_left):
                    score[n], best[n] = each, c
    taken, raised = 0, 0.0
    for n in in_order(score):
        i, table = here[n], option[kind[here[n]]]
        if slack[e] >= 0 or score[n] == np.inf:
            break
        pays = _added_cost(table, at[i], best[n], slack[e], token_price) < 0
        if pays and _fits(place, room, table, i, best[n], at, drawn, changes_left):
            gained = table[GOODPUT, best[n]] - table[GOODPUT, at[i]]
            raised = max(raised, _more(table, rate[i], at[i], best[n]) / gained)
            _take(place, table, i, best[n], e, at, drawn, slack, changes_left)
            taken += 1
    return taken, raised


@njit(cache=True, nogil=True)
def bought_back(
    kind: IntArray,
    endpoint: IntArray,
    width: IntArray,
    option: IntArray,
    place: IntArray,
    room: IntArray,
    rate: FloatArray,
    token_price: int,
    at: IntArray,
    drawn: IntArray,
    slack: IntArray,
    changes_left: IntArray,
) -> int:
    """One pass over all instances: whatever saves and still fits, the best at the rates first; how many were taken.

    Not what saves most: parking one instance would use up the slack with which many small steps save more.
    """
    score, best = np.full(len(kind), np.inf), np.empty(len(kind), np.int64)
    for i in range(len(kind)):
        table, beyond = option[kind[i]], slack[endpoint[i]]
        for c in range(width[kind[i]]):
            if _added_cost(table, at[i], c, beyond, token_price) < 0:
                more = _more(table, rate[i], at[i], c)
                if more < score[i] and _fits(place, room, table, i, c, at, drawn, changes_left):
                    score[i], best[i] = more, c
    taken = 0
    for i in in_order(score):
        if score[i] == np.inf:
            break
        table, e = option[kind[i]], endpoint[i]
        pays = _added_cost(table, at[i], best[i], slack[e], token_price) < 0
        if pays and _fits(place, room, table, i, best[i], at, drawn, changes_left):
            _take(place, table, i, best[i], e, at, drawn, slack, changes_left)
            taken += 1
    return taken


def warm_up() -> None:
    """Compile everything, or load what was compiled before: one instance with one option, on a domain of its own."""
    kind, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    option, place = np.ones((1, FIELDS, 1), np.int64), np.array([[[0, 1, 0]]], dtype=np.int64)
    first_of, rate = np.array([0, 1, 1], dtype=np.int64), np.empty((1, FIELDS))
    plan = (np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), one)
    repaired(kind, kind, one, option, place, one, kind, first_of, rate, *plan, False, np.zeros(1))
    served(kind, one, option, place, one, rate, kind, 0, 1, *plan)
    bought_back(kind, kind, one, option, place, one, rate, 1, *plan)
