"""The optimum that each solver finds, against every plan there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.classes import Classes
from tapas_opt.mip import cpsat, highs
from tapas_opt.placement.check import check
from tapas_opt.placement.formulation import formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPrices, placement_classes

SOLVERS = {"highs": highs.solve, "cpsat": cpsat.solve}


@pytest.mark.parametrize("seed", range(30))
def test_no_plan_is_better_than_the_optimum_of_either_solver(seed, random_problem, optimum, all_plans):
    """Every plan of four VMs on four servers, judged by the checker, which shares nothing with the arrays."""
    problem = random_problem(seed, vms=4, servers=4)
    reports = (check(problem, plan) for plan in all_plans(problem))
    best = min(report.objective for report in reports if report.ok)
    assert {name: optimum(problem, solve=solve) for name, solve in SOLVERS.items()} == dict.fromkeys(SOLVERS, best)


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_two_hot_vms_do_not_share_a_row_that_can_feed_one(two_hot_vms, solve, optimum):
    """6 + 6 > 10 kW, so one goes to each row; 6,000 W are 600 steps of 10 W at 10 units each."""
    assert optimum(two_hot_vms, solve=solve) == 600 * 10


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_cool_servers_are_kept_for_hot_vms(cool_and_warm, solve, optimum):
    """V1 on S2 spares 10 W (1), V2 on S1 30 W (3); the other way round V2 would cook."""
    assert optimum(cool_and_warm, solve=solve) == 1 + 3


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_a_row_over_its_budget_gets_nothing_more(row_over_budget, solve, optimum):
    """R1 keeps its 11 kW, R2 takes one VM (12 + 6 of 20 kW); the other costs 20,000. The peak, R1's, is what it was."""
    assert optimum(row_over_budget, solve=solve) == 20_000


@pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)
def test_a_group_that_cannot_be_whole_is_left_whole(three_replicas, solve, optimum):
    """K3 has its one already: two of three would fit, so none is placed, at 3 × 20,000."""
    assert optimum(three_replicas, solve=solve) == 60_000


@pytest.mark.parametrize("seed", range(30))
def test_neither_classes_nor_forgotten_domains_change_the_optimum(seed, random_problem, optimum):
    """Every server and VM a class of its own, every domain and slot kept: the same best objective."""
    problem = random_problem(seed, vms=6, servers=7)
    classes = placement_classes(problem)
    budgets = problem.budgets.tolerating_present_excess()
    families = {family.constraint: family for family in budgets.families}
    peaks = tuple(
        replace(peak, family=families[peak.family.constraint], can_rise=np.ones_like(peak.can_rise))
        for peak in classes.peaks
    )
    singly = replace(
        classes,
        vms=singletons(len(problem.vms)),
        servers=singletons(len(problem.servers)),
        vm_names=problem.vms,
        server_names=problem.servers,
        budgets=budgets,
        peaks=peaks,
    )
    assert optimum(problem, classes=classes) == optimum(problem, classes=singly)


def singletons(count):
    return Classes(np.arange(count), np.arange(count), np.ones(count, dtype=np.int64))


@pytest.mark.parametrize("seed", range(20))
def test_raising_a_budget_never_worsens_the_optimum(seed, random_problem, optimum):
    """With peaks unpriced: a peak is counted in parts of the budget, so a larger budget moves where it stands."""
    problem = replace(random_problem(seed), prices=PlacementPrices(peak_permille={}))
    rng = np.random.default_rng(seed)
    families = list(problem.budgets.families)
    f = int(rng.integers(len(families)))
    families[f] = replace(families[f], limit=families[f].limit + int(rng.integers(1, 8_000)))
    raised = replace(problem, budgets=replace(problem.budgets, families=tuple(families)))
    assert optimum(raised) <= optimum(problem)


@pytest.mark.parametrize("seed", range(20))
def test_names_change_nothing(seed, random_problem):
    """A model that reads meaning into a name would place differently after a renaming."""
    problem = random_problem(seed)
    renamed = replace(
        problem,
        vms=tuple(f"web-{99 - v}" for v in range(len(problem.vms))),
        servers=tuple(f"rack.{9 - s}" for s in range(len(problem.servers))),
    )
    ours, theirs = (formulate(p, placement_classes(p)) for p in (problem, renamed))
    for field in ("cost", "upper", "row_upper", "start", "index", "value"):
        assert (getattr(ours, field) == getattr(theirs, field)).all()


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_servers_changes_nothing(seed, random_problem, optimum):
    """The file's order breaks ties between equal plans, never which objective is best."""
    problem = random_problem(seed)
    order = np.random.default_rng(seed).permutation(len(problem.servers))
    families = tuple(
        replace(f, member=f.member[order], share_permille=f.share_permille[order]) for f in problem.budgets.families
    )
    shuffled = replace(
        problem,
        servers=tuple(problem.servers[s] for s in order),
        server_hardware=problem.server_hardware[order],
        server_available=problem.server_available[order],
        server_ceiling_w=problem.server_ceiling_w[order],
        groups=tuple(replace(group, place_of=group.place_of[order]) for group in problem.groups),
        budgets=replace(problem.budgets, families=families),
    )
    assert optimum(shuffled) == optimum(problem)


@pytest.mark.parametrize("seed", range(60))
def test_greedy_never_beats_the_optimum(seed, random_problem, optimum):
    """A plan better than a proven bound would mean that the bound is of another problem."""
    problem = random_problem(seed, vms=7, servers=8)
    assert check(problem, greedy(problem)).objective >= optimum(problem)
