"""Budgets judged by days: the optimum of every solver, against every plan there is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.classes import Classes
from tapas_opt.errors import InvalidInput
from tapas_opt.mip import cpsat, decomposition, highs
from tapas_opt.mip.pyomo_solver import differences
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.check import check
from tapas_opt.placement.formulation import decode, encode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.lazy import first_rows, more_rows, thinned
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.reference import reference
from tapas_opt.problem_file.files import problem_from, problem_text
from tapas_opt.solve import solve

SOLVERS = {"highs": highs.solve, "cpsat": cpsat.solve}


@pytest.mark.parametrize("seed", range(30))
def test_arrays_and_pyomo_are_the_same_model(seed, random_days):
    """Two witnesses of every column and row, coefficient by coefficient and by name."""
    problem = random_days(seed, vms=6, servers=7)
    classes = placement_classes(problem)
    assert differences(formulate(problem, classes), reference(problem, classes)) == []


def test_random_problems_have_such_rows(random_days):
    """Or the tests below would compare problems without them."""
    stated = [sum(int(t.can_bind.sum()) for t in placement_classes(random_days(seed)).tails) for seed in range(20)]
    assert sum(count > 0 for count in stated) > 10


@pytest.mark.parametrize("seed", range(16))
def test_no_plan_is_better_than_the_optimum_of_either_solver(seed, random_days, optimum, all_plans):
    """Every plan of three VMs on four servers, judged by the checker, which sorts the days itself."""
    problem = random_days(seed, vms=3, servers=4)
    reports = (check(problem, plan) for plan in all_plans(problem))
    best = min(report.objective for report in reports if report.ok)
    assert {name: optimum(problem, solve=solve) for name, solve in SOLVERS.items()} == dict.fromkeys(SOLVERS, best)


@pytest.mark.parametrize("seed", range(4))
def test_every_solver_behind_the_door_finds_the_same(seed, random_days, optimum):
    """The default as well, which begins with the site as a few places and adds rows as they are broken."""
    problem = random_days(seed, vms=5, servers=6)
    best = optimum(problem)
    for solver in ("auto", "highs", "cpsat", "scip", "pyomo-highs"):
        result = solve(problem, solver=solver, deadline_s=20.0, gap_frac=0.0)
        assert result.checked.ok
        assert result.objective == pytest.approx(best), solver
        assert result.bound <= best + 1e-6


@pytest.mark.parametrize("seed", range(40))
def test_greedy_is_verified_and_never_beats_the_optimum(seed, random_days, optimum):
    problem = random_days(seed, vms=7, servers=8)
    report = check(problem, greedy(problem))
    assert report.ok, report.violations
    assert report.objective >= optimum(problem)


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_keeps_its_cost_as_column_values(seed, random_days):
    """A warm start that breaks a row is thrown away by solvers, without a word."""
    problem = random_days(seed, vms=8, servers=9)
    classes = placement_classes(problem)
    plan = greedy(problem)
    arrays, values = formulate(problem, classes), encode(problem, classes, plan)
    assert arrays.worst_violation(values) == 0.0
    assert arrays.objective(values) == check(problem, plan).objective


@pytest.mark.parametrize("seed", range(20))
def test_bounds_of_the_decomposition_and_of_the_site_as_a_few_places_are_bounds(seed, random_days, optimum):
    """Both leave out what days ask, and must not ask for what only the quantile would."""
    problem = random_days(seed, vms=7, servers=8)
    classes, best = placement_classes(problem), optimum(problem)
    found = decomposition.solve(
        formulate(problem, classes), deadline_s=5.0, start=encode(problem, classes, greedy(problem))
    )
    assert found.bound <= best + 1e-6
    assert check(problem, decode(problem, classes, found.values)).ok
    assert shares(problem, deadline_s=5.0).bound <= best + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_are_added_as_they_are_broken_lead_to_the_same_optimum(seed, random_days, optimum):
    """Of many slots few bind, and the days of one slot come together."""
    problem = random_days(seed, vms=6, servers=7)
    classes = placement_classes(problem)
    rows, best = first_rows(problem, classes, greedy(problem)), optimum(problem)
    for _ in range(30):
        thin, some = thinned(problem, classes, rows)
        values = highs.solve(formulate(thin, some), deadline_s=20.0, gap_frac=0.0, threads=1).values
        plan = decode(thin, some, values)
        more = more_rows(problem, classes, rows, plan)
        if not more.count:
            break
        rows = rows.joined(more)
    assert check(problem, plan).objective == pytest.approx(best)


@pytest.mark.parametrize("seed", range(20))
def test_forgotten_rows_change_no_optimum(seed, random_days, optimum):
    """A row is stated only where a plan could fill it; all of them, with no server like another, find the same."""
    problem = random_days(seed, vms=6, servers=7)
    classes = placement_classes(problem)
    whole = {family.constraint: family for family in problem.budgets.families}
    everywhere = []
    for tail in classes.tails:
        of = whole[tail.family.constraint]
        family = replace(tail.family, member=of.member, share_permille=of.share_permille)
        everywhere.append(replace(tail, family=family, can_bind=np.ones_like(tail.can_bind)))
    each = np.arange(len(problem.servers))
    servers = Classes(each, each, np.ones_like(each))
    singly = replace(classes, servers=servers, server_names=problem.servers, tails=tuple(everywhere))
    stated = formulate(problem, singly)
    assert highs.solve(stated, deadline_s=20.0, gap_frac=0.0, threads=1).objective == pytest.approx(optimum(problem))


def test_days_that_fit_no_budget_and_tails_longer_than_the_days_are_refused(random_days):
    """All that is wrong, in one answer, with its place in the file."""
    raw = json.loads(problem_text(random_days(0)))
    raw["problem"]["scenarios"]["tail"] = 9
    raw["problem"]["scenarios"]["families"][0]["domains"][0] = "nowhere"
    with pytest.raises(InvalidInput) as refused:
        problem_from(raw, "test")
    assert [fault.where.removeprefix("problem.") for fault in refused.value.faults] == [
        "scenarios.tail",
        "scenarios.families[0]",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_a_problem_with_days_comes_back_from_its_file(seed, random_days):
    problem = random_days(seed)
    again = problem_from(json.loads(problem_text(problem)), "test")
    assert (again.scenarios.days, again.scenarios.tail) == (problem.scenarios.days, problem.scenarios.tail)
    assert check(again, greedy(again)) == check(problem, greedy(problem))
