"""A room that a quantile calls full, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip import highs
from tapas_opt.mip.pyomo_solver import named
from tapas_opt.placement.check import binding, check, why_not
from tapas_opt.placement.formulation import decode, formulate
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPlan, placement_classes
from tapas_opt.solve import solve

BOTH = PlacementPlan({"A": "S1", "B": "S2"}, ())
ONLY_A = PlacementPlan({"A": "S1"}, ("B",))


def placed(problem):
    """How many of the two VMs HiGHS places, and how many the greedy path does."""
    classes = placement_classes(problem)
    values = highs.solve(formulate(problem, classes), deadline_s=20.0, threads=1).values
    return len(decode(problem, classes, values).server_of), len(greedy(problem).server_of)


def test_peaks_on_different_days_share_a_row_that_a_quantile_calls_full(room):
    """Each peaks at 6 kW: 12 of 9 kW for the quantile. On no day is it more than 6 + 2 = 8 kW."""
    problem = room(10, [3], [7], 9_000)
    assert placed(replace(problem, scenarios=None)) == (1, 1)
    assert placed(problem) == (2, 2)
    assert check(problem, BOTH).ok


def test_peaks_on_the_same_day_do_not(room):
    """12 kW on the worst of ten days."""
    problem = room(10, [3], [3], 9_000)
    assert placed(problem) == (1, 1)
    (violation,) = check(problem, BOTH).violations
    assert (violation.constraint, violation.where) == (Constraint.CVAR_BUDGET, "R1 (row_power_budget) in noon")
    assert (violation.excess, violation.unit) == (3_000, "W")


@pytest.mark.parametrize(("limit_w", "fits"), [(9_999, False), (10_000, True)])
def test_the_two_worst_of_twenty_days_are_averaged(room, limit_w, fits):
    """12 kW on day 3, where both peak, and 8 kW on day 7, where B does: 10 kW on average."""
    problem = room(20, [3], [3, 7], limit_w)
    assert check(problem, BOTH).ok == fits
    assert placed(problem) == ((2, 2) if fits else (1, 1))


def test_the_checker_refuses_what_only_the_mean_of_all_days_would_allow(room):
    """(12 + 9 · 4) / 10 = 4.8 kW on average, 12 kW on the worst day."""
    assert not check(room(10, [3], [3], 5_000), BOTH).ok


def test_rows_are_those_of_rockafellar_and_uryasev(room):
    """2 · threshold + Σ beyond ≤ 2 · 7 kW, and on every day the load less the threshold is at most what is beyond."""
    problem = room(20, [3], [3], 7_000)
    rows = named(formulate(problem, placement_classes(problem))).rows
    assert "row_power_budget[R1,noon]" not in rows
    worst = rows["cvar_budget[row_power_budget,R1,worst,noon]"]
    assert worst.upper == 14_000
    beyond = {f"beyond[row_power_budget,R1,day {s},noon]": 1 for s in range(20)}
    assert dict(worst.coefficients) == {"threshold[row_power_budget,R1,noon]": 2, **beyond}
    day = rows["cvar_budget[row_power_budget,R1,day 3,noon]"]
    above = {"threshold[row_power_budget,R1,noon]": -1, "beyond[row_power_budget,R1,day 3,noon]": -1}
    assert (dict(day.coefficients), day.upper) == ({"assign[A,S1]": 6_000, "assign[B,S1]": 6_000, **above}, 0)


def test_where_no_day_can_fill_the_row_there_is_none(room):
    """12 kW are the most that can come together."""
    problem = room(10, [3], [3], 12_000)
    assert not any(name.startswith("cvar") for name in named(formulate(problem, placement_classes(problem))).rows)


def test_days_that_are_over_already_may_stay_but_not_grow(room):
    """On day 3 running VMs draw 11 of 9 kW: that stays allowed, and neither tenant may be added on top of it."""
    problem = room(10, [3], [7], 9_000)
    loads = problem.scenarios.families[0]
    over = loads.base.copy()
    over[0, 3] = 11_000
    problem = replace(problem, scenarios=replace(problem.scenarios, families=(replace(loads, base=over),)))
    assert check(problem, PlacementPlan({}, ("A", "B"))).ok
    assert placed(problem) == (0, 0)


def test_a_vm_that_finds_no_place_is_told_that_it_is_the_days(room):
    """B would have the worst day exceed the row by 3 kW, wherever it went."""
    problem = room(10, [3], [3], 9_000)
    (rejection,) = why_not(problem, ONLY_A)
    assert (rejection.subject, rejection.constraint, rejection.shortfall) == ("B", Constraint.CVAR_BUDGET, 3_000)


def test_a_row_whose_worst_days_leave_little_is_binding(room):
    """8 of 8.1 kW; the quantile would say 12."""
    (found,) = binding(room(10, [3], [7], 8_100), BOTH)
    assert (found.constraint, found.headroom) == (Constraint.CVAR_BUDGET, 100)


def test_a_watt_of_the_limit_has_a_price(room):
    """A row for all worst days in sum: its price is for a watt on each of them."""
    result = solve(room(20, [3, 4], [3, 4], 9_000), solver="highs", deadline_s=20.0, explain=True)
    (price,) = [p for p in result.shadow_prices if p.constraint is Constraint.CVAR_BUDGET]
    assert price.unit == "W"
    assert price.price == pytest.approx(-20_000 / 6_000, rel=1e-3)
