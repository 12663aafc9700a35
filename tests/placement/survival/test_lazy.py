"""Placement over the rows that matter: the bound stays one, and what is left out is found."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.placement.check import check
from tapas_opt.placement.formulation import decode, encode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.lazy import completed, first_rows, more_rows, thinned
from tapas_opt.placement.problem import placement_classes


def solved(problem, classes, start):
    arrays = formulate(problem, classes)
    warm = encode(problem, classes, start)
    assert arrays.worst_violation(warm) <= 1e-9
    outcome = highs.solve(arrays, deadline_s=20.0, gap_frac=0.0, start=warm)
    return outcome.objective, decode(problem, classes, outcome.values)


@pytest.mark.parametrize("seed", range(30))
def test_adding_what_a_plan_breaks_ends_at_the_optimum_and_every_bound_before_is_one(seed, random_survival):
    problem = random_survival(seed, vms=7, servers=8, types=3, hours=6)
    classes, start = placement_classes(problem), greedy(problem)
    best, _ = solved(problem, classes, start)
    rows, seen = first_rows(problem, classes, start), []
    while True:
        bound, plan = solved(*thinned(problem, classes, rows), start)
        assert bound <= best + 1e-6
        seen.append(bound)
        more = more_rows(problem, classes, rows, completed(problem, rows, plan))
        if more.count == 0:
            break
        rows = rows.joined(more)
    assert seen == sorted(seen)
    report = check(problem, completed(problem, rows, plan))
    assert report.ok, report.violations
    assert best <= report.objective


@pytest.mark.parametrize("seed", range(10))
def test_few_rows_are_stated_at_first_and_each_is_one_of_the_whole(seed, random_survival):
    problem = random_survival(seed, vms=7, servers=8, hours=6)
    classes = placement_classes(problem)
    rows = first_rows(problem, classes, greedy(problem))
    for family, kept in zip(classes.budgets.families, rows.budgets, strict=True):
        assert not (kept & ~family.needs_row).any()
        assert (kept.sum(axis=1) <= 1).all()
    arrays, thin = formulate(problem, classes), formulate(*thinned(problem, classes, rows))
    assert set(thin.row_names()) <= set(arrays.row_names())
    assert thin.rows_count <= arrays.rows_count


def test_a_completed_plan_declares_what_every_failure_asks_of_it(random_survival):
    """Whatever the rows that were stated: the checker takes nothing for granted."""
    for seed in range(20):
        problem = random_survival(seed, vms=5, servers=7, hours=5)
        classes, plan = placement_classes(problem), greedy(problem)
        none = thinned(problem, classes, first_rows(problem, classes, plan))[1]
        assert np.all([family.needs_row.sum() <= len(family.domains) for family in none.budgets.families])
        rows = first_rows(problem, classes, plan)
        assert check(problem, completed(problem, rows, plan)).ok
