"""Pricing, rounding and improving: the bound is a true one, and the plan is as good as HiGHS's own."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.mip import decomposition, highs
from tapas_opt.mip.alike import alike_of
from tapas_opt.mip.kept_rows import bound_with_kept_rows
from tapas_opt.mip.limits import Limits
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.pricing import blocks_of, climbed
from tapas_opt.mip.result import MipStatus


def room_of(instances, seed, tight=0.7, unserved=50.0):
    """Instances choose one of eight options each; rows of twenty share power, four endpoints want to be served.

    More goodput takes more power. What is not served is paid for, so that every model has a solution.
    """
    rng = np.random.default_rng(seed)
    options, rows, endpoints = 8, max(1, instances // 20), 4
    power = np.sort(rng.integers(1, 100, (instances, options)), axis=1)
    goodput = np.sort(rng.integers(1, 100, (instances, options)), axis=1)
    cost = rng.integers(0, 1_000, (instances, options))
    names = [f"i{i}" for i in range(instances)]
    model = MipModel()
    choose = model.columns("choose", names, [str(o) for o in range(options)], upper=1, cost=cost, integer=True)
    one = model.rows("one", names, lower=1, upper=1)
    model.add(one[:, None], choose, 1)
    row, endpoint = np.arange(instances) % rows, rng.integers(0, endpoints, instances)
    budget = model.rows("budget", [f"r{r}" for r in range(rows)], upper=tight * 50 * instances / rows)
    model.add(budget[row, None], choose, power)
    demand = 0.6 * 50 * instances / endpoints
    labels = [f"e{e}" for e in range(endpoints)]
    short = model.columns("short", labels, upper=np.ceil(demand), cost=unserved, integer=True)
    served = model.rows("served", labels, lower=demand)
    model.add(served[endpoint, None], choose, goodput)
    model.add(served, short, 1)
    return model.arrays()


@pytest.mark.parametrize("seed", range(12))
def test_bound_and_objective_agree_with_highs_wherever_highs_closes(seed):
    """The bound lies below the optimum and the objective above it; both are near, and no row is broken."""
    arrays = room_of(30, seed)
    optimum = highs.solve(arrays, deadline_s=20, gap_frac=1e-7)
    assert optimum.status is MipStatus.OPTIMAL
    found = decomposition.solve(arrays, deadline_s=5, gap_frac=1e-3, seed=seed)
    assert found.bound <= optimum.objective + 1e-6 <= found.objective + 2e-6
    assert found.objective <= optimum.objective * (1 + 2e-3)
    assert arrays.worst_violation(found.values) <= 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_any_prices_give_a_bound(seed):
    """Weak duality, on prices drawn at random: whoever stops early may still believe the bound."""
    arrays = room_of(20, seed)
    optimum = highs.solve(arrays, deadline_s=20, gap_frac=1e-7).objective
    blocks = blocks_of(arrays)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        price = blocks.admissible(rng.normal(0, 20, len(blocks.row)))
        assert blocks.bound(price) <= optimum + 1e-6
    climb = climbed(blocks, (100.0, 10.0), 30, time.perf_counter() + 5)
    assert blocks.bound(np.zeros(len(blocks.row))) <= climb.bound <= optimum + 1e-6


def test_the_soft_bound_has_the_gradient_it_says():
    """Finite differences: a wrong gradient climbs nowhere, and slowly enough to go unnoticed."""
    blocks = blocks_of(room_of(20, seed=1))
    price = blocks.admissible(np.linspace(-5, 5, len(blocks.row)))
    price[price == 0] = np.where(blocks.price_bounds[0][price == 0] < 0, -1.0, 1.0)
    _, gradient = blocks.softened(price, 50.0)
    step = 1e-4
    for r in range(len(price)):
        up, down = price.copy(), price.copy()
        up[r], down[r] = price[r] + step, price[r] - step
        slope = (blocks.softened(up, 50.0)[0] - blocks.softened(down, 50.0)[0]) / (2 * step)
        assert gradient[r] == pytest.approx(slope, rel=1e-4, abs=1e-3)


def test_five_hundred_instances_are_within_a_hundredth_of_a_bound():
    """4,000 columns in 25 rows, four endpoints and no start."""
    arrays = room_of(500, seed=3)
    found = decomposition.solve(arrays, deadline_s=20, gap_frac=1e-2)
    assert found.status is MipStatus.OPTIMAL
    assert arrays.worst_violation(found.values) <= 1e-6


def test_a_start_is_never_made_worse():
    """Also when there is no time for anything else."""
    arrays = room_of(30, seed=5)
    start = highs.solve(arrays, deadline_s=20, gap_frac=1e-7)
    found = decomposition.solve(arrays, deadline_s=0.0, start=start.values)
    assert found.objective == start.objective


def test_what_has_no_solution_is_said_to_have_none():
    """Two units of power for thirty instances, and nothing may go unserved."""
    arrays = room_of(30, seed=6, tight=0.001)
    assert decomposition.solve(arrays, deadline_s=10).status is MipStatus.INFEASIBLE


def test_classes_hand_out_as_many_units_as_they_have_members():
    """A block of size 40 is 40 interchangeable instances: 20 W for all, 1 W or 0 W each; 20 take the dear choice."""
    model = MipModel()
    names = [f"class{n}" for n in range(3)]
    choose = model.columns("choose", names, ["busy", "parked"], upper=40, cost=[[0, 10]] * 3, integer=True)
    model.add(model.rows("one", names, lower=40, upper=40)[:, None], choose, 1)
    model.add(model.rows("power", upper=60)[()], choose[:, 0], 1)
    found = decomposition.solve(model.arrays(), deadline_s=5)
    assert found.objective == found.bound == 600
    assert found.values.reshape(3, 2).sum(axis=1).tolist() == [40, 40, 40]


def test_models_without_blocks_or_bounds_are_highs_own(random_cover, knapsack):
    """Nothing to take apart: the same answer as HiGHS gives, and no error."""
    for arrays in (random_cover(1), knapsack):
        assert decomposition.solve(arrays, deadline_s=10).objective == highs.solve(arrays, deadline_s=10).objective


def test_by_rounds_the_same_seed_gives_the_same_answer_whatever_the_clock():
    """A deadline of nothing at all does not matter once work is counted."""
    arrays = room_of(300, seed=4)
    found = [
        decomposition.solve(arrays, deadline_s=deadline_s, gap_frac=1e-6, seed=3, rounds=5)
        for deadline_s in (None, 0.0)
    ]
    assert found[0].values.tolist() == found[1].values.tolist()
    assert found[0].bound == found[1].bound


def test_every_better_solution_and_bound_is_reported_as_it_comes():
    """Whoever ends the process in the middle has the last report: objectives fall, bounds rise."""
    arrays, told = room_of(60, seed=4), []
    found = decomposition.solve(
        arrays,
        deadline_s=20,
        gap_frac=5e-3,
        report=lambda objective, bound, values: told.append((objective, bound, values)),
    )
    objectives, bounds, values = zip(*told, strict=True)
    assert list(objectives) == sorted(objectives, reverse=True)
    assert list(bounds) == sorted(bounds)
    assert (objectives[-1], bounds[-1]) == (found.objective, found.bound)
    assert objectives[0] == np.inf
    assert values[0] is None
    assert all(arrays.worst_violation(x) <= 1e-6 for x in values if x is not None)


def bins_of(seed, items=8, negative=False):
    """Items of two sizes into alike bins of 10 × 10, as many bins as items; and one item a bin as a start."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 8, (items, 2))
    copies = rng.integers(1, 3, items)
    if negative:
        size[0, 0] = -2
    count = int(copies.sum())
    model = MipModel()
    names = [str(n) for n in range(items)], [str(n) for n in range(count)]
    packed = model.columns("packed", *names, upper=copies[:, None], integer=True)
    used = model.columns("used", names[1], upper=1, cost=3, integer=True)
    model.add(model.rows("every", names[0], lower=copies, upper=copies)[:, None], packed, 1)
    room = model.rows("room", names[1], ["a", "b"], upper=0)
    model.add(room[None], packed[:, :, None], size[:, None, :])
    model.add(room, used[:, None], -10)
    start = np.zeros((items, count))
    start[np.repeat(np.arange(items), copies), np.arange(count)] = 1
    return model.arrays(), np.concatenate([start.ravel(), np.ones(count)])


@pytest.mark.parametrize("seed", range(6))
def test_alike_bins_are_packed_by_patterns_as_well_as_highs_packs_them(seed):
    """The bound stays below the optimum, the plan is one, and both meet; a negative size forbids trimming a bin."""
    arrays, start = bins_of(seed, negative=seed % 2 == 1)
    optimum = highs.solve(arrays, deadline_s=20, gap_frac=1e-7, start=start)
    found = decomposition.solve(arrays, deadline_s=10, gap_frac=1e-6, seed=seed, start=start)
    assert arrays.worst_violation(found.values) <= 1e-6
    assert found.bound <= optimum.objective
    assert optimum.bound <= found.objective
    assert found.status is MipStatus.OPTIMAL


def test_bins_that_differ_in_one_number_are_not_alike():
    """Which of them takes what matters then, and patterns would hide it."""
    arrays, _ = bins_of(0)
    assert alike_of(blocks_of(arrays)) is not None
    dearer = arrays.cost.copy()
    dearer[-1] = 4
    assert alike_of(blocks_of(replace(arrays, cost=dearer))) is None
    assert alike_of(blocks_of(room_of(30, seed=0))) is None


def test_a_bound_of_whole_costs_is_whole():
    """Bins cost 3 each: more than 6 is 9 at least, and 6 that a solver missed by rounding is still 6."""
    blocks = blocks_of(bins_of(0)[0])
    assert blocks.whole_bound(6.1) == 9
    assert blocks.whole_bound(6.0000001) == 6.0000001


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_are_kept_raise_the_bound_and_never_beyond_the_optimum(seed):
    """One choice in ten costs a thousand times as much: prices would take a part of it."""
    arrays = room_of(40, seed)
    rng = np.random.default_rng(seed)
    dear = np.where(rng.random(arrays.columns_count) < 0.1, 1_000.0, 1.0)
    arrays = replace(arrays, cost=arrays.cost * np.where(arrays.upper == 1, dear, 1_000.0))
    optimum = highs.solve(arrays, deadline_s=20, gap_frac=1e-7)
    program = highs.solve(replace(arrays, integer=np.zeros_like(arrays.integer)), deadline_s=20)
    blocks = blocks_of(arrays)
    price = blocks.admissible(program.row_duals[blocks.row])
    bound = bound_with_kept_rows(blocks, price, program.values, Limits(lambda: 20.0))
    assert blocks.bound(price) <= bound <= optimum.objective + 1e-6


def test_a_row_that_is_kept_closes_what_a_price_cannot():
    """Three of ten units must go, one choice frees four for 1,000: half of it costs 750, all of it 1,000."""
    model = MipModel()
    choose = model.columns("choose", ["a", "b"], ["stay", "go"], upper=1, cost=[[0, 1_000], [0, 1_000]], integer=True)
    model.add(model.rows("one", ["a", "b"], lower=1, upper=1)[:, None], choose, 1)
    model.add(model.rows("room", upper=7)[()], choose, [[5, 1], [5, 1]])
    blocks = blocks_of(model.arrays())
    program = highs.solve(replace(model.arrays(), integer=np.zeros(4, dtype=bool)), deadline_s=5)
    price = blocks.admissible(program.row_duals[blocks.row])
    assert blocks.bound(price) == pytest.approx(750)
    assert bound_with_kept_rows(blocks, price, program.values, Limits(lambda: 5.0)) == pytest.approx(1_000)
