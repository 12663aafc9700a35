"""Rows of a solver comparison, and what is worked out over them."""

from __future__ import annotations

import json

import pytest

from tapas_opt.bench.rows import SolverRow, beside_best


def row(solver, objective, bound, **more):
    known = {
        "problem": "p",
        "instance": "p/1",
        "servers": 1,
        "seed": 1,
        "deadline_s": 1.0,
        "status": "FEASIBLE",
        "mode": "SOLVER",
        "answered_by": solver,
        "gap_frac": 0.0,
        "checker": "ok",
    }
    return SolverRow(solver=solver, objective=objective, bound=bound, **(known | more))


def test_every_plan_is_held_against_the_best_bound_of_its_instance():
    """Greedy proves nothing by itself; what it loses shows beside a solver that does."""
    greedy, solver = beside_best([row("greedy", 120.0, 0.0), row("highs", 100.0, 96.0)])
    assert greedy.gap_to_best_bound_frac == pytest.approx(0.2)
    assert solver.gap_to_best_bound_frac == pytest.approx(0.04)


def test_bounds_of_other_instances_and_seeds_do_not_count():
    own, other = beside_best([row("a", 100.0, 50.0), row("b", 100.0, 99.0, seed=2)])
    assert own.gap_to_best_bound_frac == pytest.approx(0.5)
    assert other.gap_to_best_bound_frac == pytest.approx(0.01)


def test_the_bound_beside_a_plan_that_the_checker_refused_is_not_believed():
    refused, held = beside_best([row("a", 100.0, 99.0, checker="broken"), row("b", 100.0, 50.0)])
    assert held.gap_to_best_bound_frac == pytest.approx(0.5)
    assert refused.gap_to_best_bound_frac == pytest.approx(0.5)


def test_what_is_not_finite_is_null_in_json():
    told = row("a", float("inf"), float("-inf")).to_json()
    assert told["objective"] is None
    assert told["bound"] is None
    json.dumps(told, allow_nan=False)
