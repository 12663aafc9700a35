"""The compiled loops of the greedy path against plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.placement import kernels
from tapas_opt.placement.greedy import warm_up
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.taps import Taps


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
    room, steps = (np.zeros((2, len(taps.domain)), dtype=np.int64) for _ in range(2))
    kernels.judge((0, len(taps.domain)), taps.tap, taps.row_begin, taps.row, drawn, draw, room, steps)
    for kind in range(2):
        assert (room[kind].tolist(), steps[kind].tolist()) == judged(taps, drawn, draw[kind])


@pytest.mark.parametrize("seed", range(15))
def test_the_best_class_is_the_cheapest_and_of_equals_the_one_with_most_headroom(seed):
    """Every class looked at in plain Python, the first of the best."""
    rng = np.random.default_rng(seed)
    classes, places, taps = 12, 3, 9
    allowed, cost = rng.random(classes) < 0.8, rng.integers(0, 3, classes)
    of_class = rng.integers(0, taps, (classes, places))
    room, steps, limit = rng.integers(-2, 20, taps), rng.integers(0, 4, taps), rng.integers(10, 30, taps) * 1.0
    peaks, increase, price = np.array([0, -1, 1]), np.array([1, 0]), np.array([2, 1])

    def total(k):
        highest = [max(increase[0], steps[of_class[k, 0]]), max(increase[1], steps[of_class[k, 2]])]
        return cost[k] + sum(price * (highest - increase))

    open_to = [k for k in range(classes) if allowed[k] and all(room[of_class[k]] >= 0)]
    best = min(open_to, key=lambda k: (total(k), -min(room[of_class[k]] / limit[of_class[k]])), default=-1)
    k, costs = kernels.best_class(allowed, cost, of_class, room, steps, limit, peaks, increase, price)
    assert k == best
    assert best < 0 or costs == total(best)


def test_kernels_can_be_compiled_before_they_are_needed():
    """A first emergency is no time to compile."""
    warm_up()
