"""What HiGHS, CP-SAT and SCIP must answer alike; each test runs on all."""

from itertools import product

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.result import MipStatus


def one_column(**options):
    model = MipModel()
    model.columns("x", integer=True, **options)
    return model.arrays()


def test_the_knapsack_takes_the_two_large_items(solve, knapsack):
    result = solve(knapsack, deadline_s=10)
    assert result.status is MipStatus.OPTIMAL
    assert result.values.tolist() == [0, 1, 1]
    assert (result.objective, result.bound) == (-220, -220)
    assert result.row_duals is None


@pytest.mark.parametrize("seed", range(25))
def test_tiny_models_agree_with_trying_everything(solve, seed):
    """Three columns of 0..4 (one without an upper bound that is never needed beyond 40), rows of every kind."""
    rng = np.random.default_rng(seed)
    cost, coefficients = rng.integers(-5, 6, 3), rng.integers(-4, 5, (3, 3))
    cost[2] = abs(cost[2])
    lower = np.where(rng.random(3) < 0.5, -np.inf, rng.integers(-6, 4, 3))
    upper = np.where(np.isinf(lower) | (rng.random(3) < 0.5), rng.integers(0, 9, 3), np.inf)
    model = MipModel()
    x = model.columns("x", ["a", "b", "c"], upper=[4, 4, np.inf], cost=cost, integer=True)
    model.add(model.rows("r", ["1", "2", "3"], lower=lower, upper=upper)[:, None], x, coefficients)

    everything = np.array(list(product(range(5), range(5), range(41))))
    activity = everything @ coefficients.T
    feasible = everything[((activity >= lower) & (activity <= upper)).all(axis=1)]
    result = solve(model.arrays(), deadline_s=10)
    if len(feasible) == 0:
        assert result.status is MipStatus.INFEASIBLE
    else:
        assert result.status is MipStatus.OPTIMAL
        assert result.objective == (feasible @ cost).min() == result.bound
        assert model.arrays().worst_violation(result.values) == 0


def test_costs_and_rows_with_decimals_keep_their_unit(solve):
    """0.29 x <= 1.5 allows x = 5 (1.45); at -0.25 each that is -1.25. In floats 0.29 * 100 is not 29."""
    model = MipModel()
    x = model.columns("x", upper=9, cost=-0.25, integer=True)
    model.add(model.rows("r", upper=1.5), x, 0.29)
    result = solve(model.arrays(), deadline_s=10)
    assert result.values.tolist() == [5]
    assert result.objective == pytest.approx(-1.25)
    assert result.bound == pytest.approx(-1.25)


def test_a_model_that_cannot_be_met_is_infeasible(solve):
    model = MipModel()
    x = model.columns("x", ["a", "b"], upper=1, integer=True)
    model.add(model.rows("three_of_two", lower=3), x, 1)
    result = solve(model.arrays(), deadline_s=10)
    assert result.status is MipStatus.INFEASIBLE
    assert result.values is None
    assert result.bound == np.inf


def test_bounds_that_cross_are_infeasible_not_an_error(solve):
    assert solve(one_column(lower=3, upper=2), deadline_s=10).status is MipStatus.INFEASIBLE
    assert solve(one_column(lower=0.2, upper=0.8), deadline_s=10).status is MipStatus.INFEASIBLE


def test_a_cost_that_falls_without_end_is_unbounded(solve):
    result = solve(one_column(cost=-1), deadline_s=10)
    assert result.status is MipStatus.UNBOUNDED
    assert result.bound == -np.inf


def test_unbounded_looking_but_infeasible_is_infeasible(solve):
    """HiGHS stops at "unbounded or infeasible" here; only one of the two is true."""
    model = MipModel()
    x = model.columns("x", ["a", "b"], cost=[-1, 0], upper=[np.inf, 1], integer=True)
    model.add(model.rows("r", lower=3), x, [0, 2])
    assert solve(model.arrays(), deadline_s=10).status is MipStatus.INFEASIBLE


def test_a_slack_without_upper_bound_is_as_large_as_needed(solve):
    """Load 70 on a budget of 50 needs an excess of 20 at 3 each: 60."""
    model = MipModel()
    excess = model.columns("excess", cost=3, integer=True)
    load = model.columns("load", lower=7, upper=9, integer=True)
    rows = model.rows("budget", upper=50)
    model.add(rows, load, 10)
    model.add(rows, excess, -1)
    result = solve(model.arrays(), deadline_s=10)
    assert result.status is MipStatus.OPTIMAL
    assert (result.objective, result.bound) == (60, 60)


def test_a_column_without_lower_bound_falls_as_far_as_the_rows_allow(solve):
    model = MipModel()
    x = model.columns("x", lower=-np.inf, cost=1, integer=True)
    model.add(model.rows("r", lower=-11), x, 2)
    assert solve(model.arrays(), deadline_s=10).values.tolist() == [-5]


def test_an_empty_model_costs_nothing(solve):
    result = solve(MipModel().arrays(), deadline_s=10)
    assert result.status is MipStatus.OPTIMAL
    assert result.values.shape == (0,)
    assert (result.objective, result.bound) == (0, 0)


def test_rows_without_columns_are_judged_at_zero(solve):
    """0 >= 1 cannot be met, 0 <= 1 is."""
    for lower, status in ((1, MipStatus.INFEASIBLE), (-1, MipStatus.OPTIMAL)):
        model = MipModel()
        model.rows("r", lower=lower)
        assert solve(model.arrays(), deadline_s=10).status is status


def test_columns_without_rows_go_to_their_cheap_bound(solve):
    result = solve(one_column(upper=5.5, cost=-2), deadline_s=10)
    assert result.values.tolist() == [5]
    assert result.status is MipStatus.OPTIMAL


def test_without_a_cost_any_solution_is_optimal(solve):
    model = MipModel()
    x = model.columns("x", ["a", "b"], upper=1, integer=True)
    model.add(model.rows("one", lower=1, upper=1), x, 1)
    result = solve(model.arrays(), deadline_s=10)
    assert result.status is MipStatus.OPTIMAL
    assert (result.objective, result.bound) == (0, 0)


@pytest.mark.parametrize("where", ["cost", "lower", "upper"])
def test_a_nan_is_refused_with_its_name(solve, where):
    with pytest.raises(InvalidInput, match="column x"):
        solve(one_column(**{where: np.nan}), deadline_s=10)


def test_a_nan_in_a_row_is_refused_with_its_name(solve):
    model = MipModel()
    x = model.columns("x", upper=1, integer=True)
    model.add(model.rows("power", ["R1"], upper=3), x, np.nan)
    model.rows("air", ["A1"], upper=np.nan)
    with pytest.raises(InvalidInput) as refused:
        solve(model.arrays(), deadline_s=10)
    assert [fault.where for fault in refused.value.faults] == ["row power[R1]", "row air[A1]"]


def test_a_start_is_kept_when_there_is_no_time_to_better_it(solve, random_cover):
    """All threes cover everything; a limit of 50 ms must not end with less than that."""
    arrays = random_cover(3)
    start = np.full(40, 3.0)
    assert arrays.worst_violation(start) == 0
    result = solve(arrays, deadline_s=0.05, start=start)
    assert result.values is not None
    assert result.objective <= arrays.objective(start)
    assert arrays.worst_violation(result.values) == 0


def test_a_start_of_the_wrong_length_is_refused(solve, knapsack):
    with pytest.raises(InvalidInput, match="start"):
        solve(knapsack, deadline_s=10, start=np.zeros(2))


def test_no_time_at_all_claims_nothing(solve, random_cover):
    """Whatever is said after 0 s must not be more than a bound that holds."""
    optimum = solve(random_cover(1), deadline_s=20, gap_frac=0).objective
    hurried = solve(random_cover(1), deadline_s=0)
    assert hurried.status in (MipStatus.NO_SOLUTION, MipStatus.FEASIBLE)
    assert hurried.bound <= optimum


def test_a_wide_gap_is_called_optimal_within_that_gap(solve, random_cover):
    result = solve(random_cover(2), deadline_s=20, gap_frac=0.3)
    assert result.status is MipStatus.OPTIMAL
    assert result.objective - result.bound <= 0.3 * result.objective + 1e-6


def test_the_same_seed_gives_the_same_answer(solve, random_cover):
    first, again = (solve(random_cover(4), deadline_s=20, seed=7, threads=1) for _ in range(2))
    assert first.values.tolist() == again.values.tolist()


def test_both_prove_the_same_optimum_on_any_number_of_threads(solve, random_cover):
    optima = {solve(random_cover(5), deadline_s=20, gap_frac=0, seed=t, threads=t).objective for t in (1, 2)}
    assert len(optima) == 1


def test_solutions_and_bounds_are_told_as_they_come(solve, random_cover):
    """Whoever ends the process in the middle has the last report: solutions get better, and each one is one."""
    arrays, told = random_cover(7), []
    found = solve(arrays, deadline_s=20, gap_frac=0.0, report=lambda *news: told.append(news))
    objectives, bounds, values = zip(*told, strict=True)
    assert list(objectives) == sorted(objectives, reverse=True)
    assert list(bounds) == sorted(bounds)
    assert objectives[-1] == pytest.approx(found.objective)
    assert bounds[-1] <= found.objective + 1e-6
    solutions = [(objective, x) for objective, x in zip(objectives, values, strict=True) if x is not None]
    assert solutions
    for objective, x in solutions:
        assert arrays.worst_violation(x) <= 1e-6
        assert arrays.objective(x) == objective


def test_a_report_needs_no_search(solve, knapsack):
    """What is solved before a search begins is told at the end alone."""
    told = []
    found = solve(knapsack, deadline_s=20, report=lambda *news: told.append(news))
    assert found.objective == -220
    assert all(objective >= -220 for objective, _, _ in told)
