"""Greedy's loops, compiled: a plan for 100,000 servers is some hundred million steps of arithmetic.

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
    "bought_back",
    "cheapest",
    "expected",
    "nearest",
    "packed",
    "rates",
    "repaired",
    "served",
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
    for c in _in_order(cost):
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
    the relaxation of a small domain leaves out. 0, and nothing changed, where nothing fits or the search is too long.
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
        return 0.0
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
def _in_order(score: FloatArray) -> IntArray:
    """Numbers from the lowest score to the highest, in their own order where equal."""
    return np.argsort(score, kind="mergesort")


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
        order = _in_order(score)
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
    for n in _in_order(score):
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
    for i in _in_order(score):
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
    kind, width, one = np.zeros(1, np.int64), np.ones(1, np.int64), np.ones(1, np.int64)
    option, place = np.ones((1, FIELDS, 1), np.int64), np.array([[[0, 1, 0]]], dtype=np.int64)
    first_of, rate, mean = np.array([0, 1, 1], dtype=np.int64), np.empty((1, FIELDS)), np.empty((1, FIELDS))
    price, curve, at = np.zeros(1), option.astype(np.float64), np.zeros(1, np.int64)
    undominated(np.zeros((1, 1), np.int64))
    rates(place, kind, price, price, 0.0, rate)
    expected(kind, width, curve, rate, 1.0, mean)
    summed(place, kind, mean, np.empty(1), np.empty(1))
    cheapest(kind, width, curve, rate, at)
    nearest(kind, width, curve, rate, np.empty((1, 1)))
    packed(kind, width, curve, place, rate, kind, 0, 1, 0.0, at)
    plan = (at, np.zeros(1, np.int64), np.zeros(1, np.int64), one)
    repaired(kind, kind, width, option, place, one, kind, first_of, rate, *plan, False, np.zeros(1))
    served(kind, width, option, place, one, rate, kind, 0, 1, *plan)
    bought_back(kind, kind, width, option, place, one, rate, 1, *plan)
