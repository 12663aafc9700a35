import time

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip import highs
from tapas_opt.reconfiguration.check import check
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.formulation import formulate
from tapas_opt.reconfiguration.greedy import greedy
from tapas_opt.reconfiguration.problem import Stage


def bound(problem):
    return highs.solve(formulate(problem, reconfiguration_classes(problem)), deadline_s=20.0, threads=1).bound


@pytest.mark.parametrize("seed", range(200))
def test_every_plan_passes_the_checker(random_problem, seed):
    """The incumbent of every answer: it exists for every problem, and whatever it exceeds it declares."""
    problem = random_problem(seed, stage=list(Stage)[seed % 2], instances=seed % 25, configurations=4)
    for aim in (problem, problem.minimising_excess()):
        report = check(aim, greedy(aim))
        assert report.violations == ()


@pytest.mark.parametrize("seed", range(30))
def test_it_never_beats_the_bound(random_problem, seed):
    """A cost below a proven bound would mean that one of the two is wrong."""
    problem = random_problem(seed, stage=list(Stage)[seed % 2], instances=12, configurations=4)
    plan = greedy(problem)
    excess = problem.minimising_excess()
    assert check(excess, plan).objective >= bound(excess) - 1e-6
    capped = problem.with_allowed_excess(plan.excess)
    assert check(capped, plan).objective >= bound(capped) * (1 - 1e-9) - 1e-6


def test_it_finds_the_least_excess_most_of_the_time(random_problem):
    """The first solve is skipped when greedy finds no excess, so that missing it costs a solve."""
    found = []
    for seed in range(40):
        excess = random_problem(seed, instances=12, configurations=4).minimising_excess()
        found.append(check(excess, greedy(excess)).objective <= bound(excess) + 1e-6)
    assert np.mean(found) >= 0.9


def test_it_locks_clocks_when_a_ups_fails(one_ups_failed):
    """Four locked clocks give 12,000 W and 3,200 tokens/s, the optimum of the solvers."""
    plan = greedy(one_ups_failed)
    assert plan.excess == {}
    assert check(one_ups_failed, plan).objective == 12_800.0


def test_it_declares_what_is_hopeless(hopeless_room):
    """1,000 W remain with everything parked."""
    assert greedy(hopeless_room).excess == {(Constraint.UPS_POWER_CAPACITY, "U1"): 1_000.0}


def test_it_wakes_a_cold_spare(cold_spare):
    """Settled, 800 tokens/s are worth a reload."""
    assert check(cold_spare, greedy(cold_spare)).terms["unserved"] == 0


def test_few_changes_go_where_they_relieve_most(room):
    """1,500 W too many and one change: a lock frees 1,000 W, half the load 1,500 W."""
    problem = room(current=[0, 0], demand=2_000, limit_w=6_500, change_budget=1)
    assert greedy(problem).excess == {}


def test_a_thousand_instances_take_milliseconds(random_problem):
    """The path that answers while solvers work: 1,000 instances of 97 choices, and a busy machine's allowance."""
    problem = random_problem(7, instances=1_000, configurations=48)
    greedy(problem)
    began = time.perf_counter()
    greedy(problem)
    assert time.perf_counter() - began < 1.0
