"""The compiled loops of the greedy path against plain Python."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tapas_opt.placement import kernels
from tapas_opt.placement.greedy import warm_up
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.taps import Taps
from tapas_opt.placement.zones import Zones


def judged(taps, drawn, draw):
    """Least room and highest steps of each tap, row by row."""
    room, steps = [], []
    for d, share, look in zip(*taps.tap, strict=True):
        rows = range(taps.row_begin[d], taps.row_begin[d + 1])
        then = [int(drawn[j]) + int(draw[look, taps.row_slot[j]]) * int(share) for j in rows]
        room.append(min((int(taps.row_room[j]) - x for j, x in zip(rows, then, strict=True)), default=10**15))
        over = [-(-(x - int(taps.row_before[j])) // int(taps.row_step[j])) for j, x in zip(rows, then, strict=True)]
        steps.append(max([0, *over]))
    return room, steps


@pytest.mark.parametrize("seed", range(15))
def test_taps_are_judged_as_row_by_row(seed, random_problem):
    """What one more VM of each type leaves on every tap, after others have drawn there."""
    problem = random_problem(seed, vms=6, servers=8)
    taps = Taps.of(problem, placement_classes(problem))
    rng = np.random.default_rng(seed)
    slots = len(problem.budgets.slots)
    draw = rng.integers(0, 5_000, (2, 2 * problem.type_fits.shape[1], slots))
    drawn = np.zeros(len(taps.row_slot), dtype=np.int64)
    for taken in rng.integers(0, len(taps.of_class), 3):
        kernels.draw_on(taps.of_class[taken], 1, taps.tap, taps.row_begin, taps.row_slot, drawn, draw[0])
    domains, rows = np.arange(len(taps.begin) - 1), (taps.row_begin, taps.row)
    for kind in range(2):
        room, steps = (np.zeros(len(taps.domain), dtype=np.int64) for _ in range(2))
        kernels.judge(domains, taps.begin, taps.tap, *rows, drawn, draw[kind], room, steps)
        assert (room.tolist(), steps.tolist()) == judged(taps, drawn, draw[kind])


@pytest.mark.parametrize("seed", range(40))
def test_the_best_class_is_the_cheapest_and_of_equals_the_one_with_most_headroom(seed):
    """Every class looked at in plain Python; so it stays when peaks rise, and not all zones are looked at again."""
    rng = np.random.default_rng(seed)
    classes, places, taps = 12, 3, 9
    allowed, cost = rng.random(classes) < 0.8, rng.integers(0, 3, classes)
    of_class = rng.integers(0, taps, (classes, places))
    room, steps, limit = rng.integers(-2, 20, taps), rng.integers(0, 4, taps), rng.integers(10, 30, taps) * 1.0
    peaks, increase, price = np.array([0, -1, 1]), np.array([1, 0]), np.array([2, 1])
    member, begin = rng.permutation(classes), np.array([0, 5, 6, 12])
    member = np.concatenate([np.sort(zone) for zone in np.split(member, begin[1:-1])])
    best = (*np.zeros((2, 3), dtype=np.int64), np.zeros(3), np.zeros(3, dtype=np.int64))

    def total(k):
        highest = [max(increase[0], steps[of_class[k, 0]]), max(increase[1], steps[of_class[k, 2]])]
        return cost[k] + sum(price * (highest - increase))

    def headroom(k):
        return min(room[of_class[k]] / limit[of_class[k]])

    def found(stale):
        shape = (member, begin), allowed, cost, (of_class, peaks), (room, steps, limit), (increase, price), best
        return kernels.best_class(np.array(stale, dtype=np.int64), *shape)

    open_to = [k for k in range(classes) if allowed[k] and all(room[of_class[k]] >= 0)]
    k, costs = found([0, 1, 2])
    assert (k < 0) == (not open_to)
    if k >= 0:
        assert (costs, -headroom(k)) == min((total(k), -headroom(k)) for k in open_to)
        increase += rng.integers(0, 3, 2)
        k, costs = found([])
        assert costs == total(k) == min(map(total, open_to))


def test_classes_that_share_an_element_directly_or_by_others_are_one_zone():
    """0 and 1 share element 4, 1 and 3 element 5 of another kind; 2 has one of its own, and 4 none."""
    zones = Zones.tied(
        5, [np.array([[4, 0], [4, -1], [1, -1], [3, -1], [-1, -1]]), np.array([[0], [5], [1], [5], [-1]])]
    )
    assert [sorted(zones.member[a:b].tolist()) for a, b in pairwise(zones.begin)] == [[0, 1, 3], [2], [4]]
    assert zones.of.tolist() == [0, 0, 1, 0, 2]
    assert zones.members(0).tolist() == [0, 1, 3]
    assert zones.members(1) == slice(2, 3)


def test_kernels_can_be_compiled_before_they_are_needed():
    """A first emergency is no time to compile."""
    warm_up()
