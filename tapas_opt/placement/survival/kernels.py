"""Compiled loops of survival on the greedy path; :func:`warm_up` compiles them before they are needed.

A *row* is a pair in a slot that is stated, a *cell* a failure in such a slot, a *tap* a way to draw on a pair: its
share and the hardware; those of a room lie together.
``spare[row]`` and ``room[row]`` are the thousandths that may still be drawn with everything relieved, and without any
relief; ``need[cell]`` those that have to be relieved.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["draw_on", "judge", "relieve", "warm_up"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PERMILLE = np.int64(1000)


@njit(cache=True)
def judge(
    looks: IntArray,
    of_look: IntArray,
    taps: tuple[int, int],
    tap: tuple[IntArray, IntArray, IntArray, IntArray],
    row: tuple[IntArray, IntArray, IntArray],
    state: tuple[IntArray, IntArray, IntArray],
    cells: tuple[int, int],
    draw: tuple[IntArray, IntArray],
    price: int,
    worst: int,
    allowed: BoolArray,
    cost: IntArray,
) -> None:
    """Fill ``allowed[look]`` and ``cost[look]`` for some looks of a room, from what is found for each of its taps.

    A VM draws ``draw[hardware, slot]``, of which what cannot be relieved is left; ``cost`` is by how much the room's
    worst failure would then cost more than ``worst``, everything relieved at one ``price``.
    """
    fits, any_over, over = judged_taps(taps, tap, row, state, draw)
    begin, cell, need = tap[3], row[2], state[2]
    present = worst_of(need, cells, price)
    more = np.zeros(cells[1] - cells[0], dtype=np.int64)
    for n in looks:
        allowed[n] = True
        for t in of_look[n]:
            if t < 0:
                continue
            allowed[n] &= fits[t - taps[0]]
            if any_over[t - taps[0]]:
                at = begin[t] - begin[taps[0]]
                for j in range(row[0][tap[0][t]], row[0][tap[0][t] + 1]):
                    more[cell[j] - cells[0]] += over[at]
                    at += 1
        highest = present
        for t in of_look[n]:
            if t >= 0 and any_over[t - taps[0]]:
                for j in range(row[0][tap[0][t]], row[0][tap[0][t] + 1]):
                    added = -(-more[cell[j] - cells[0]] * price // PERMILLE)
                    highest = max(highest, need[cell[j]] * price // PERMILLE + added)
        for t in of_look[n]:
            if t >= 0 and any_over[t - taps[0]]:
                for j in range(row[0][tap[0][t]], row[0][tap[0][t] + 1]):
                    more[cell[j] - cells[0]] = 0
        cost[n] = max(np.int64(0), highest - worst)


@njit(cache=True)
def judged_taps(
    taps: tuple[int, int],
    tap: tuple[IntArray, IntArray, IntArray, IntArray],
    row: tuple[IntArray, IntArray, IntArray],
    state: tuple[IntArray, IntArray, IntArray],
    draw: tuple[IntArray, IntArray],
) -> tuple[BoolArray, BoolArray, IntArray]:
    """Whether a VM may draw on each tap; whether relief is needed for it there, and how much, row by row."""
    pair, share, hardware, begin = tap
    row_begin, slot, _ = row
    spare, room, _ = state
    drawn, left = draw
    low, high = taps
    fits, any_over = np.ones(high - low, dtype=np.bool_), np.zeros(high - low, dtype=np.bool_)
    over = np.zeros(begin[high] - begin[low], dtype=np.int64)
    at = 0
    for t in range(low, high):
        for j in range(row_begin[pair[t]], row_begin[pair[t] + 1]):
            if share[t] * left[hardware[t], slot[j]] > spare[j]:
                fits[t - low] = False
            most = share[t] * drawn[hardware[t], slot[j]] - max(np.int64(0), room[j])
            if most > 0:
                over[at] = most
                any_over[t - low] = True
            at += 1
    return fits, any_over, over


@njit(cache=True)
def worst_of(need: IntArray, cells: tuple[int, int], price: int) -> np.int64:
    """What the dearest of some cells costs."""
    highest = np.int64(0)
    for c in range(cells[0], cells[1]):
        highest = max(highest, need[c] * price // PERMILLE)
    return highest


@njit(cache=True)
def draw_on(
    kind: int,
    sign: int,
    place: tuple[IntArray, IntArray],
    row: tuple[IntArray, IntArray, IntArray],
    state: tuple[IntArray, IntArray, IntArray],
    cells: tuple[int, int],
    draw: tuple[IntArray, IntArray],
    price: int,
) -> np.int64:
    """Add what a VM draws on the pairs of a kind, or take it back; returns what the worst failure then costs."""
    member, share = place
    row_begin, slot, cell = row
    spare, room, need = state
    drawn, left = draw
    for p in range(member.shape[1]):
        pair, part = member[kind, p], share[kind, p]
        if pair < 0:
            continue
        for j in range(row_begin[pair], row_begin[pair + 1]):
            before = max(np.int64(0), -room[j])
            spare[j] -= sign * part * left[slot[j]]
            room[j] -= sign * part * drawn[slot[j]]
            need[cell[j]] += max(np.int64(0), -room[j]) - before
    return worst_of(need, cells, price)


@njit(cache=True)
def relieve(
    need: IntArray,
    stated: BoolArray,
    pairs: tuple[IntArray, IntArray],
    groups: tuple[IntArray, IntArray],
    group: tuple[IntArray, IntArray],
    most: tuple[IntArray, IntArray],
    relief: IntArray,
) -> None:
    """Fill ``relief[group, tier, slot]`` so that little of ``need[pair, slot]``, in thousandths, is left.

    ``pairs`` and ``groups`` are ordered by failure, with where each failure's begin; ``group`` is the pairs and shares
    of each, ``most`` what running VMs and those of the plan can give.
    """
    tiers = relief.shape[1]
    for i in range(stated.shape[0]):
        of = groups[0][groups[1][i] : groups[1][i + 1]]
        for t in range(stated.shape[1]):
            short = False
            for d in pairs[0][pairs[1][i] : pairs[1][i + 1]]:
                short |= need[d, t] > 0
            if not (short and stated[i, t]):
                continue
            for tier in range(tiers):
                for g in of:
                    left = most[0][g, tier, t] + most[1][g, tier, t]
                    change(need, group, g, t, min(left, wanted(need, group, g, t)), tier, relief)
            for tier in range(tiers - 1, -1, -1):
                for g in of[::-1]:
                    change(need, group, g, t, -spared(need, group, g, t, relief[g, tier, t]), tier, relief)


@njit(cache=True)
def wanted(need: IntArray, group: tuple[IntArray, IntArray], g: int, t: int) -> np.int64:
    """What the neediest of a group's pairs still needs of it."""
    most = np.int64(0)
    for p in range(group[0].shape[1]):
        pair, share = group[0][g, p], group[1][g, p]
        if pair >= 0 and share > 0:
            most = max(most, -(-need[pair, t] // share))
    return most


@njit(cache=True)
def spared(need: IntArray, group: tuple[IntArray, IntArray], g: int, t: int, given: np.int64) -> np.int64:
    """What of a group's relief none of its pairs needs."""
    least = given
    for p in range(group[0].shape[1]):
        pair, share = group[0][g, p], group[1][g, p]
        if pair >= 0 and share > 0:
            least = min(least, max(np.int64(0), -need[pair, t]) // share)
    return least


@njit(cache=True)
def change(
    need: IntArray, group: tuple[IntArray, IntArray], g: int, t: int, by: np.int64, tier: int, relief: IntArray
) -> None:
    """Let a group give so much more in a tier."""
    relief[g, tier, t] += by
    for p in range(group[0].shape[1]):
        if group[0][g, p] >= 0:
            need[group[0][g, p], t] -= by * group[1][g, p]


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    none, one = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    square, cube = np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1, 1), dtype=np.int64)
    place, row, state = (square, square), (np.array([0, 1]), none, none), (one.copy(), one.copy(), none.copy())
    tap = none, none, none, np.array([0, 1])
    judge(none, square, (0, 1), tap, row, state, (0, 1), (square, square), 1, 0, one > 0, none.copy())
    draw_on(0, 1, place, row, state, (0, 1), (none, none), 1)
    ends = (none, np.array([0, 1]))
    relieve(square, square > 0, ends, ends, (square, square), (cube, cube), cube.copy())
