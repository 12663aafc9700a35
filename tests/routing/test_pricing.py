"""Prices of the routing plan: a true bound, and loops that do what plain ones do."""

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.routing import kernels
from tapas_opt.routing.check import check
from tapas_opt.routing.formulation import formulate
from tapas_opt.routing.greedy import bounded
from tapas_opt.routing.pricing import _Climb, segments_of
from tapas_opt.routing.problem import routing_classes


def optimum(problem):
    return highs.solve(formulate(problem, routing_classes(problem)), deadline_s=20.0, threads=1).objective


@pytest.mark.parametrize("seed", range(40))
def test_the_bound_is_one_and_the_plan_is_near_it(random_problem, seed):
    """Never above the optimum of the linear program, and the plan never below it."""
    problem = random_problem(seed)
    plan, bound = bounded(problem)
    best = optimum(problem)
    assert bound <= best * (1 + 1e-9) + 1e-6
    assert check(problem, plan).objective >= best * (1 - 1e-6) - 1e-6


def test_any_prices_give_a_bound(random_problem):
    """Lagrangian duality, for random prices within their signs."""
    for seed in range(20):
        problem, rng = random_problem(seed), np.random.default_rng(seed)
        climb = _Climb(problem, segments_of(problem, routing_classes(problem)))
        best = optimum(problem)
        for spread in (0.1, 1.0, 5.0):
            point = np.minimum(climb.scale * rng.exponential(spread, len(climb.scale)), climb.high)
            assert climb.prices(point).bound <= best * (1 + 1e-9) + 1e-6


def test_softening_lowers_the_bound_and_its_gradient_is_that_of_differences(random_problem):
    problem, rng = random_problem(3), np.random.default_rng(3)
    climb = _Climb(problem, segments_of(problem, routing_classes(problem)))
    scaled = rng.uniform(0.2, 1.5, len(climb.scale))
    soft = 0.5 * climb.typical
    value, slope = climb.soft(scaled, soft)
    assert value <= climb.prices(scaled * climb.scale).bound + 1e-6
    for n in range(len(scaled)):
        step = np.zeros(len(scaled))
        step[n] = 1e-5
        rise = climb.soft(scaled + step, soft)[0] - climb.soft(scaled - step, soft)[0]
        assert rise / 2e-5 == pytest.approx(slope[n], rel=1e-3, abs=1e-3)


def test_the_greedy_plan_is_mostly_within_a_hundredth_of_the_optimum(random_problem):
    """Filling by cost alone was a third above it where many domains are short."""
    gaps = []
    for seed in range(60):
        problem = random_problem(seed)
        cost, best = check(problem, bounded(problem)[0]).objective, optimum(problem)
        gaps.append(cost / best - 1 if best > 0 else 0.0)
    assert np.median(gaps) <= 0.01


def test_warming_up_compiles_all_that_a_plan_needs(random_problem):
    """The first plan after a failure waits for no compiler."""
    kernels.warm_up()
    compiled = [kernel for kernel in vars(kernels).values() if hasattr(kernel, "signatures")]
    before = [len(kernel.signatures) for kernel in compiled]
    bounded(random_problem(1))
    assert [len(kernel.signatures) for kernel in compiled] == before
