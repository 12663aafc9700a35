"""Compiled loops of the greedy path; :func:`warm_up` compiles them before they are needed.

Arrays are those of :class:`~tapas_opt.placement.taps.Taps`; ``drawn[row]`` is what VMs placed so far draw, in
thousandths, and ``room[tap]``, ``steps[tap]`` are what one more VM of a type would leave there and where the peak would
then stand above today's; ``zones`` are those of :class:`~tapas_opt.placement.zones.Zones`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["best_class", "draw_on", "even_out", "exchange", "judge", "led", "raise_peaks", "tie", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNLIMITED = np.int64(10**15)


@njit(cache=True)
def judge(
    domains: IntArray,
    begin: IntArray,
    tap: tuple[IntArray, IntArray, IntArray],
    row_begin: IntArray,
    row: tuple[IntArray, IntArray, IntArray, IntArray],
    drawn: IntArray,
    draw: IntArray,
    room: IntArray,
    steps: IntArray,
) -> None:
    """Fill ``room[tap]`` and ``steps[tap]`` for the taps of some domains; a VM draws ``draw[look, slot]``."""
    _, share, look = tap
    slot, left, before, step = row
    for d in domains:
        for n in range(begin[d], begin[d + 1]):
            least, most = UNLIMITED, np.int64(0)
            for j in range(row_begin[d], row_begin[d + 1]):
                then = drawn[j] + draw[look[n], slot[j]] * share[n]
                least = min(least, left[j] - then)
                over = then - before[j]
                if over > most * step[j]:
                    most = -(-over // step[j])
            room[n] = least
            steps[n] = most


@njit(cache=True)
def best_class(
    stale: IntArray,
    zones: tuple[IntArray, IntArray],
    allowed: BoolArray,
    cost: IntArray,
    places: tuple[IntArray, IntArray],
    judged: tuple[IntArray, IntArray, FloatArray],
    peaks: tuple[IntArray, IntArray],
    best: tuple[IntArray, IntArray, FloatArray, IntArray],
) -> tuple[int, np.int64]:
    """The allowed class with room that costs least, of several the one with most headroom; -1 where there is none.

    ``best`` is class, cost, headroom, and what all peaks cost when each zone was last looked at. Those in ``stale``
    are looked at anew; another one only where it could be best now that peaks have risen, which costs by no more than
    they have risen less than before. Of its headroom what it was then is believed.
    """
    increase, peak_price = peaks
    paid = np.sum(increase * peak_price)
    for z in stale:
        look_at(z, zones, allowed, cost, places, judged, peaks, best)
    while True:
        first, least, most_headroom = -1, np.int64(0), 0.0
        for z in range(len(zones[1]) - 1):
            if best[0][z] < 0:
                continue
            costs = best[1][z] - (paid - best[3][z])
            if first < 0 or costs < least or (costs == least and best[2][z] > most_headroom):
                first, least, most_headroom = z, costs, best[2][z]
        if first < 0:
            return -1, np.int64(0)
        if best[3][first] == paid:
            return best[0][first], best[1][first]
        look_at(first, zones, allowed, cost, places, judged, peaks, best)


@njit(cache=True)
def look_at(
    zone: int,
    zones: tuple[IntArray, IntArray],
    allowed: BoolArray,
    cost: IntArray,
    places: tuple[IntArray, IntArray],
    judged: tuple[IntArray, IntArray, FloatArray],
    peaks: tuple[IntArray, IntArray],
    best: tuple[IntArray, IntArray, FloatArray, IntArray],
) -> None:
    """Find the best class of a zone."""
    member, begin = zones
    of_class, peak_of_place = places
    room, steps, limit = judged
    increase, peak_price = peaks
    found, least, most_headroom = -1, np.int64(0), 0.0
    highest = np.empty(len(increase), dtype=np.int64)
    for k in member[begin[zone] : begin[zone + 1]]:
        if not allowed[k] or (found >= 0 and cost[k] > least):
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
        if found < 0 or costs < least or (costs == least and headroom > most_headroom):
            found, least, most_headroom = k, costs, headroom
    best[0][zone], best[1][zone], best[2][zone] = found, least, most_headroom
    best[3][zone] = np.sum(increase * peak_price)


@njit(cache=True)
def raise_peaks(taps: IntArray, peak_of_place: IntArray, steps: IntArray, increase: IntArray) -> None:
    """Let peaks stand where one more VM on the taps of a class brings them."""
    for place in range(len(peak_of_place)):
        peak = peak_of_place[place]
        if peak >= 0:
            increase[peak] = max(increase[peak], steps[taps[place]])


@njit(cache=True)
def tie(elements: IntArray, count: int, leader: IntArray) -> None:
    """Give items that share an element, ``[item, n]`` of so many, a leader in common; negative ones tie nobody."""
    met = np.full(count, -1, dtype=np.int64)
    for item in range(elements.shape[0]):
        for element in elements[item]:
            if element < 0:
                continue
            if met[element] < 0:
                met[element] = item
            a, b = leader_of(item, leader), leader_of(met[element], leader)
            leader[max(a, b)] = min(a, b)


@njit(cache=True)
def leader_of(item: int, leader: IntArray) -> int:
    """Who leads an item's leaders, in the end; what was passed on the way is shortened."""
    while leader[item] != item:
        leader[item] = leader[leader[item]]
        item = leader[item]
    return item


@njit(cache=True)
def led(leader: IntArray) -> IntArray:
    """``[item]`` who leads it in the end."""
    final = np.empty_like(leader)
    for item in range(len(leader)):
        final[item] = leader_of(item, leader)
    return final


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


@njit(cache=True)
def worth_of_change(
    change: int,
    j: int,
    row: tuple[IntArray, IntArray, FloatArray, FloatArray],
    drawn: IntArray,
) -> float:
    """What a change of one row does to its penalty; inf where there is no room for it."""
    _, left, target, weight = row
    if change > 0 and drawn[j] + change > left[j]:
        return np.inf
    if weight[j] == 0.0:
        return 0.0
    now, then = max(0.0, drawn[j] - target[j]), max(0.0, drawn[j] + change - target[j])
    worth: float = weight[j] * (then * then - now * now)
    return worth


@njit(cache=True)
def exchange(  # noqa: PLR0912  a loop that numba compiles as one
    k1: int,
    w1: int,
    k2: int,
    w2: int,
    apply: bool,
    of_class: IntArray,
    tap: tuple[IntArray, IntArray, IntArray],
    row_begin: IntArray,
    row: tuple[IntArray, IntArray, FloatArray, FloatArray],
    drawn: IntArray,
    draw: IntArray,
) -> float:
    """What it does to all penalties if type w1 on class k1 and w2 (-1 for nobody) on k2 change places.

    With ``apply`` the change is made.
    """
    domain, share, look = tap
    slot, total = row[0], 0.0
    for side in range(2):
        here, there = (k1, k2) if side == 0 else (k2, k1)
        goes, comes = (w1, w2) if side == 0 else (w2, w1)
        for place in range(of_class.shape[1]):
            n = of_class[here, place]
            other = -1
            for elsewhere in range(of_class.shape[1]):
                if domain[of_class[there, elsewhere]] == domain[n]:
                    other = of_class[there, elsewhere]
            if side == 1 and other >= 0:
                continue  # counted from the other side
            for j in range(row_begin[domain[n]], row_begin[domain[n] + 1]):
                change = 0
                if comes >= 0:
                    change += draw[comes, look[n], slot[j]] * share[n]
                if goes >= 0:
                    change -= draw[goes, look[n], slot[j]] * share[n]
                if other >= 0 and comes >= 0:
                    change -= draw[comes, look[other], slot[j]] * share[other]
                if other >= 0 and goes >= 0:
                    change += draw[goes, look[other], slot[j]] * share[other]
                if apply:
                    drawn[j] += change
                elif change != 0:
                    total += worth_of_change(change, j, row, drawn)
                    if total == np.inf:
                        return total
    return total


@njit(cache=True)
def hot_domains(
    row_begin: IntArray, row: tuple[IntArray, IntArray, FloatArray, FloatArray], drawn: IntArray
) -> BoolArray:
    """``[domain]`` whether any of its rows has a penalty."""
    _, _, target, weight = row
    hot = np.zeros(len(row_begin) - 1, dtype=np.bool_)
    for d in range(len(hot)):
        for j in range(row_begin[d], row_begin[d + 1]):
            hot[d] |= weight[j] > 0 and drawn[j] > target[j]
    return hot


@njit(cache=True)
def best_exchange(
    v: int,
    concerned: bool,
    kind: IntArray,
    class_of: IntArray,
    bucket: tuple[IntArray, IntArray, IntArray],
    of_kind: tuple[BoolArray, IntArray, IntArray],
    free: IntArray,
    of_class: IntArray,
    tap: tuple[IntArray, IntArray, IntArray],
    row_begin: IntArray,
    row: tuple[IntArray, IntArray, FloatArray, FloatArray],
    drawn: IntArray,
    draw: IntArray,
    tries: int,
) -> tuple[int, int, float]:
    """Of some exchanges of a VM the best: with whom (-1 for nobody), to which class (-1 for none), and its worth.

    Every fourth try is a free server; of the others, of a VM that is ``concerned``, two of three are of its bucket.
    """
    eligible, cost, gpus = of_kind
    of_vm, begin, by_bucket = bucket
    w1, k1, b = kind[v], class_of[v], of_vm[v]
    partner, to, best = -1, -1, -1e-6
    for trial in range(tries):
        w2, other = -1, -1
        if trial % 4 == 3:
            k2 = np.random.randint(len(free))
            if free[k2] < gpus[w1, k2]:
                continue
        else:
            if trial % 4 == 2 or not concerned:
                other = np.random.randint(len(kind))
            else:
                other = by_bucket[begin[b] + np.random.randint(begin[b + 1] - begin[b])]
            w2, k2 = kind[other], class_of[other]
            alike_in_gpus = gpus[w2, k1] == gpus[w1, k1] and gpus[w1, k2] == gpus[w2, k2]
            if w2 == w1 or not eligible[w2, k1] or not alike_in_gpus:
                continue
        if k2 == k1 or not eligible[w1, k2]:
            continue
        worth = float(cost[w1, k2] - cost[w1, k1])
        if w2 >= 0:
            worth += cost[w2, k1] - cost[w2, k2]
        if worth >= 0.0 and not concerned:
            continue
        worth += exchange(k1, w1, k2, w2, False, of_class, tap, row_begin, row, drawn, draw)
        if worth < best:
            partner, to, best = other, k2, worth
    return partner, to, best


@njit(cache=True)
def even_out(
    kind: IntArray,
    class_of: IntArray,
    bucket: tuple[IntArray, IntArray, IntArray],
    of_kind: tuple[BoolArray, IntArray, IntArray],
    free: IntArray,
    of_class: IntArray,
    tap: tuple[IntArray, IntArray, IntArray],
    row_begin: IntArray,
    row: tuple[IntArray, IntArray, FloatArray, FloatArray],
    drawn: IntArray,
    draw: IntArray,
    limits: tuple[int, int, int],
) -> int:
    """Exchange VMs, or move them to free servers, while that costs less than it saves; how many changes were made.

    ``kind[vm]`` and ``class_of[vm]`` are of VMs that may move; ``bucket`` says which VMs to try first as partners of
    those near a peak: the bucket of each, where buckets begin, and the VMs by bucket; ``of_kind`` what is ``[kind,
    class]``: eligible, cost, GPUs. ``limits`` are passes, tries a VM, and a seed.
    """
    passes, tries, seed = limits
    np.random.seed(seed)
    domain, gpus, made, first_gain = tap[0], of_kind[2], 0, 0.0
    shape = of_class, tap, row_begin, row, drawn, draw
    for _ in range(passes):
        hot, gain = hot_domains(row_begin, row, drawn), 0.0
        for v in range(len(kind)):
            k1, w1, concerned = class_of[v], kind[v], False
            for n in of_class[k1]:
                concerned |= hot[domain[n]]
            partner, to, best = best_exchange(v, concerned, kind, class_of, bucket, of_kind, free, *shape, tries)
            if to < 0:
                continue
            exchange(k1, w1, to, kind[partner] if partner >= 0 else -1, True, *shape)
            class_of[v] = to
            if partner >= 0:
                class_of[partner] = k1
            else:
                free[to] -= gpus[w1, to]
                free[k1] += gpus[w1, k1]
            made, gain = made + 1, gain - best
        first_gain = max(first_gain, gain)
        if gain <= 0.02 * first_gain:
            break
    return made


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    one, none = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    tap, row, begin = (none, one, none), (none, one, one, one), np.array([0, 1])
    square, draw = np.zeros((1, 1), dtype=np.int64), np.ones((1, 1, 1), dtype=np.int64)
    judge(none, begin, tap, begin, row, none.copy(), draw[0], none.copy(), none.copy())
    best = none.copy(), none.copy(), np.ones(1), none.copy()
    best_class(none, (none, begin), one > 0, none, (square, none), (none, none, np.ones(1)), (none, one), best)
    raise_peaks(none, none, none, none.copy())
    tie(square, 1, none.copy())
    led(none)
    draw_on(none, 1, tap, begin, none, none.copy(), draw[0])
    of_kind = square == 0, square, square
    rows = none, none, np.zeros(1), np.zeros(1)
    even_out(none, none, (none, begin, none), of_kind, none, square, tap, begin, rows, none, draw, (1, 1, 0))
