"""Problems of which less is said: their bounds are bounds of the whole, and what they advise is lawful."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.mip.result import MipStatus
from tapas_opt.placement import cooling
from tapas_opt.placement.check import check
from tapas_opt.placement.coarse import among_best, by_failures, by_temperature, going
from tapas_opt.placement.cooling import cooled
from tapas_opt.placement.formulation import decode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.solve.exact import Search
from tapas_opt.solve.lazily import solved_lazily


@pytest.fixture(autouse=True)
def _few_tries(monkeypatch):
    monkeypatch.setattr(cooling, "TRIES", 300)


def made(random_survival, seed):
    return random_survival(seed, vms=7, servers=8, types=3, hours=4)


def optimum(problem):
    classes = placement_classes(problem)
    outcome = highs.solve(formulate(problem, classes), deadline_s=20.0, gap_frac=0.0)
    assert outcome.status is MipStatus.OPTIMAL
    return outcome.objective, decode(problem, classes, outcome.values)


@pytest.mark.parametrize("seed", range(16))
def test_what_less_is_said_of_costs_no_more(seed, random_survival):
    problem = made(random_survival, seed)
    best, _ = optimum(problem)
    assert optimum(by_temperature(problem))[0] <= best + 1e-6
    dearest = by_failures(problem, greedy(problem))
    assert dearest is None or optimum(dearest)[0] <= best + 1e-6


def test_failures_that_a_plan_makes_dearer_are_looked_at(random_survival):
    """Otherwise the tests above and below would claim little; of a plan that places nothing there are none."""
    problems = [made(random_survival, seed) for seed in range(12)]
    assert sum(by_failures(problem, greedy(problem)) is not None for problem in problems) >= 4
    idle = [with_relief(problem, replace(greedy(problem), server_of={}, unplaced=problem.vms)) for problem in problems]
    assert all(by_failures(problem, plan) is None for problem, plan in zip(problems, idle, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_servers_that_count_as_equally_warm_take_the_same_vms(seed, random_survival):
    problem = made(random_survival, seed)
    dearest = by_failures(problem, greedy(problem))
    asked = np.unique(problem.vm_type)
    assert dearest is None or (dearest.eligible()[asked] == problem.eligible()[asked]).all()


@pytest.mark.parametrize("seed", range(10))
def test_plans_among_the_best_servers_are_plans_of_the_whole_at_the_same_cost(seed, random_survival):
    problem = made(random_survival, seed)
    plan = greedy(problem)
    few = among_best(problem, plan, seed=seed)
    assert check(few, plan).ok
    cost, found = optimum(few)
    report = check(problem, found)
    assert report.ok, report.violations
    assert optimum(problem)[0] - 1e-6 <= cost <= check(problem, plan).objective
    assert report.objective == pytest.approx(cost)


def test_a_large_site_has_few_best_servers(random_survival):
    """Four for each VM at most, and those that are used."""
    problem = random_survival(1, vms=3, servers=60, types=2)
    assert among_best(problem, greedy(problem)).eligible().any(axis=0).sum() <= 4 * 3 + 3


@pytest.mark.parametrize("seed", range(10))
def test_plans_that_follow_a_coarse_one_keep_all_limits(seed, random_survival):
    problem = made(random_survival, seed)
    dearest = by_failures(problem, greedy(problem))
    if dearest is not None:
        classes = placement_classes(dearest)
        plan = cooled(dearest, classes, greedy(problem), (1_000.0, 10.0), seed=seed)
        assert check(dearest, plan).ok
        advice = going(dearest, classes, plan)
        assert advice.most.sum() == len(plan.server_of)
        report = check(problem, greedy(problem, advice))
        assert report.ok, report.violations


@pytest.mark.parametrize("seed", range(12))
def test_cooling_keeps_all_limits_and_one_seed_gives_one_plan(seed, random_survival):
    problem = made(random_survival, seed)
    classes, plan = placement_classes(problem), greedy(problem)
    found = cooled(problem, classes, plan, (2_000.0, 20.0), seed=seed)
    report = check(problem, found)
    assert report.ok, report.violations
    assert found == cooled(problem, classes, plan, (2_000.0, 20.0), seed=seed)


@pytest.mark.parametrize(("seed", "gap_frac"), [*((seed, 0.01) for seed in range(8)), (2, 0.0), (3, 0.0)])
def test_all_steps_together_end_on_both_sides_of_the_optimum(seed, gap_frac, random_survival):
    problem = made(random_survival, seed)
    classes, start = placement_classes(problem), greedy(problem)
    best, told = optimum(problem)[0], []
    found = solved_lazily(problem, classes, start, Search("decomposition", 20.0, gap_frac, seed), told.append)
    report = check(problem, found.plan)
    assert report.ok, report.violations
    assert found.bound <= best + 1e-6 <= report.objective + 2e-6
    assert report.objective - found.bound <= max(gap_frac * report.objective, problem.negligible_cost) + 1e-6
    assert all(news.bound <= best + 1e-6 and news.objective >= best - 1e-6 for news in told)
