"""Placements that survive: the optimum of every solver, against every plan and every relief there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.mip import cpsat, decomposition, highs
from tapas_opt.mip.pyomo_solver import differences
from tapas_opt.placement.check import check
from tapas_opt.placement.formulation import decode, encode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.reference import reference

SOLVERS = {"highs": highs.solve, "cpsat": cpsat.solve}


@pytest.mark.parametrize("seed", range(30))
def test_arrays_and_pyomo_are_the_same_model(seed, random_survival):
    """Two witnesses of every column and row of survival, coefficient by coefficient and by name."""
    problem = random_survival(seed, vms=6, servers=7, types=3)
    classes = placement_classes(problem)
    assert differences(formulate(problem, classes), reference(problem, classes)) == []


@pytest.mark.parametrize("seed", range(40))
def test_solvers_agree_and_greedy_is_verified_and_no_better(seed, random_survival, optimum):
    """One optimum, whoever looks for it; and the greedy plan is a plan."""
    problem = random_survival(seed, vms=5, servers=6)
    best = optimum(problem)
    assert optimum(problem, cpsat.solve) == best
    report = check(problem, greedy(problem))
    assert report.ok, report.violations
    assert report.objective >= best


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_of_the_decomposition_is_a_bound(seed, random_survival, optimum):
    """A failure's cost is the largest of many: prices on those rows must not promise too much."""
    problem = random_survival(seed, vms=7, servers=8)
    classes = placement_classes(problem)
    arrays = formulate(problem, classes)
    start = encode(problem, classes, greedy(problem))
    found = decomposition.solve(arrays, deadline_s=5.0, start=start)
    best = optimum(problem)
    assert found.bound <= best + 1e-6
    assert check(problem, decode(problem, classes, found.values)).ok


@pytest.mark.parametrize("seed", range(60))
def test_a_plan_keeps_its_cost_as_column_values(seed, random_survival):
    """What the checker adds up on named servers is what the arrays charge over classes, to the last unit."""
    problem = random_survival(seed, vms=8, servers=9)
    classes = placement_classes(problem)
    plan = greedy(problem)
    arrays, values = formulate(problem, classes), encode(problem, classes, plan)
    assert arrays.worst_violation(values) == 0.0
    assert arrays.objective(values) == check(problem, plan).objective
    again = decode(problem, classes, values)
    assert (again.relief, again.shortfall) == (plan.relief, plan.shortfall)


@pytest.mark.parametrize("hours", [0, 4])
@pytest.mark.parametrize("seed", range(30))
def test_forgotten_failures_and_slots_change_no_optimum(seed, hours, random_survival, optimum):
    """Rows are stated only where the batch can matter and no other slot says more; all of them find the same."""
    some, everything = (random_survival(seed, vms=6, servers=7, hours=hours, forget=f) for f in (True, False))
    today = some.survival.present_cost  # chosen cheapest first, which depends on what is stated
    assert optimum(some) == optimum(replace(everything, survival=replace(everything.survival, present_cost=today)))


def test_slots_that_follow_from_others_have_no_rows(random_survival):
    """Of hours that rise and fall together few matter; relief that caps power keeps that order."""
    stated = [part.stated for seed in range(20) for part in random_survival(seed, hours=6).survival.parts]
    assert np.mean([rows.sum(axis=1).mean() for rows in stated if len(rows)]) < 3


@pytest.mark.parametrize("seed", range(20))
def test_more_capacity_after_a_failure_never_costs_more(seed, random_survival, optimum):
    """With today's cost and tolerance as they were: raising a limit only takes rows back."""
    problem = random_survival(seed)
    parts = tuple(
        replace(part, family=replace(part.family, limit=part.tolerated + 500)) for part in problem.survival.parts
    )
    as_is = tuple(replace(part, family=replace(part.family, limit=part.tolerated)) for part in problem.survival.parts)
    raised, same = (replace(problem, survival=replace(problem.survival, parts=p)) for p in (parts, as_is))
    assert optimum(raised) <= optimum(same)


def test_the_random_problems_have_what_they_are_to_test(random_survival):
    """Relief, shortfall and a rise of the worst failure each occur, and problems where nothing matters too."""
    found = {"relief": 0, "shortfall": 0, "worst_failure": 0, "no part": 0}
    for seed in range(40):
        problem = random_survival(seed)
        classes = placement_classes(problem)
        result = highs.solve(formulate(problem, classes), deadline_s=20.0, gap_frac=0.0, threads=1)
        plan = decode(problem, classes, result.values)
        found["relief"] += bool(plan.relief)
        found["shortfall"] += bool(plan.shortfall)
        found["worst_failure"] += check(problem, plan).terms["worst_failure"] > 0
        found["no part"] += len(problem.survival.parts) == 0
    assert np.all(np.array(list(found.values())) > 0), found
