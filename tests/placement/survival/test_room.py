"""A 4N/3 room whose reserve is held back, sold, or sold to VMs that cannot be relieved: worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.failures import single_failures, site_failures
from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import topology_of
from tapas_opt.placement.check import check, why_not
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPrices, PlacementProblem
from tapas_opt.placement.survival.check import failure_costs
from tapas_opt.placement.survival.numbers import Draws, Relief, secured, survival, transient
from tapas_opt.solve import solve

SOLVERS = ("greedy", "highs", "cpsat", "pyomo-highs", "decomposition")
EACH_W = 6_000


def room(site, rating_w, relief_w, running_w=0, shortfall_price=1_000):
    """Six VMs of 6 kW for the six servers of ``two_rows``, which are idle; each may be relieved of so much at 1 a watt.

    ``running_w`` is drawn by something on S1 that nobody can relieve. Air and heat are not scarce.
    """
    topology = topology_of(site)
    failures = site_failures(topology, [f for f in single_failures(topology) if f[0].kind == "ups"])
    pairs = failures.power
    ups = np.array([family is Constraint.UPS_POWER_CAPACITY for family in pairs.family])
    limit = np.where(ups, rating_w, 10**6)
    draw = np.full((1, 1, 1), EACH_W)
    running = np.zeros((6, 1), dtype=np.int64)
    running[failures.unit_of[0]] = running_w
    draws = Draws("W", running, np.full((6, 1), EACH_W), draw, np.array([6]))
    none = np.zeros((6, 1, 1), dtype=np.int64)
    relief = Relief(("slowed",), np.array([1]), shortfall_price, none, np.full((1, 1, 1, 1), relief_w))
    part = secured(pairs, failures.unit_of, limit, draws, relief)
    problem = PlacementProblem(
        vms=tuple(f"V{v}" for v in range(1, 7)),
        servers=topology.servers,
        vm_type=np.zeros(6, dtype=np.int64),
        vm_priority=np.ones(6, dtype=np.int64),
        vm_group=np.full(6, -1),
        type_power_w=draw,
        type_airflow_cfm=np.zeros((1, 1, 1), dtype=np.int64),
        type_gpu_power_w=np.array([[400]]),
        type_fits=np.array([[True]]),
        server_hardware=np.zeros(6, dtype=np.int64),
        server_available=np.ones(6, dtype=bool),
        server_ceiling_w=np.full(6, 450),
        groups=(),
        budgets=BudgetNumbers(("now",), ()),
        prices=PlacementPrices(unplaced_vm=20_000, peak_permille={}, spare_ceiling_10w=0),
    )
    return replace(problem, survival=survival(failures.rooms, (part,), failures.no_worse))


def test_a_reserve_held_back_needs_no_relief(two_rows):
    """Each UPS carries 9 of 12 kW; with U1 gone U2 has K1 whole and K4, K6 by halves: 12 kW. No row is stated."""
    problem = room(two_rows, rating_w=12_000, relief_w=0)
    assert problem.survival.parts == ()
    assert greedy(problem).unplaced == ()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_reserve_that_was_sold_is_given_back_in_time(two_rows, solver):
    """At 9 kW a UPS is full, and at 133 % once another is gone: 36 kW on three of 9 kW, so 9 kW must be relieved.

    A watt less of any server takes a watt off the three that are left, on one or by halves on two. Each may give
    2 kW: K1 and halves of K4 and K6 take 4 kW off U2, more than the 3 kW it needs.
    """
    result = solve(room(two_rows, rating_w=9_000, relief_w=2_000), solver=solver, deadline_s=2.0, gap_frac=0.0)
    assert result.plan.unplaced == ()
    assert result.checked.terms["worst_failure"] == 9_000
    assert sum(watts for (group, _, _), watts in result.plan.relief.items() if group.startswith("ups:U1")) >= 9_000


@pytest.mark.parametrize("solver", SOLVERS)
def test_where_nobody_agreed_to_be_relieved_the_reserve_stays_unsold(two_rows, solver):
    """27 kW are left after a failure: four VMs of 6 kW, and only such four that no UPS gets more than 9 kW."""
    problem = room(two_rows, rating_w=9_000, relief_w=0)
    result = solve(problem, solver=solver, deadline_s=2.0, gap_frac=0.0)
    assert result.checked.ok
    if solver != "greedy":
        assert len(result.plan.unplaced) == 2
    assert {r.constraint for r in result.why_not} == {Constraint.FAILURE_SECURE}


def test_a_shortfall_is_owned_up_to_where_it_is_cheaper_than_leaving_vms(two_rows):
    """With a shortfall at 1 a watt all six are placed: each of twelve pairs is 3 kW short, 36,000 in all."""
    problem = room(two_rows, rating_w=9_000, relief_w=0, shortfall_price=1)
    result = solve(problem, solver="highs", deadline_s=20.0, gap_frac=0.0)
    assert result.plan.unplaced == ()
    assert result.checked.terms["failure_shortfall"] == 36_000
    assert set(result.plan.shortfall.values()) == {3_000}


def test_a_room_that_cannot_be_secured_stays_usable_but_gets_no_worse(two_rows):
    """S1 draws 10 kW of its own: U2 is at 10 of 9 kW with U1 gone, which is tolerated, and takes nothing more."""
    problem = room(two_rows, rating_w=9_000, relief_w=0, running_w=10_000)
    plan = greedy(problem)
    report = check(problem, plan)
    assert report.ok
    assert report.terms["failure_shortfall"] == 0
    assert not {"S1", "S4", "S6"} & set(plan.server_of.values()), "those draw on U1 or U2"
    assert max(found.shortfall for found in failure_costs(problem, plan)) == 1_000


def test_each_failure_says_what_it_would_cost(two_rows):
    """All four UPSs are alike, and each costs what the room's worst does."""
    problem = room(two_rows, rating_w=9_000, relief_w=2_000)
    plan = solve(problem, solver="highs", deadline_s=20.0, gap_frac=0.0).plan
    found = failure_costs(problem, plan)
    assert sorted(cost.failure for cost in found) == [f"ups:U{u}" for u in range(1, 5)]
    assert {(cost.cost, cost.relief, cost.shortfall, cost.unit) for cost in found} == {(9_000, 9_000, 0, "W")}


def test_the_transient_limit_is_a_budget_of_pairs(two_rows):
    """At 1.1 times 9 kW, a UPS that gets K1 whole has 3.9 kW left for the halves of K4 and K6: one of them."""
    topology = topology_of(two_rows)
    failures = site_failures(topology, single_failures(topology))
    draw = np.full((1, 1, 1), EACH_W)
    draws = Draws("W", np.zeros((6, 1), dtype=np.int64), np.full((6, 1), EACH_W), draw, np.array([6]))
    ups = np.array([family is Constraint.UPS_POWER_CAPACITY for family in failures.transient.family])
    early = transient(failures.transient, failures.unit_of, np.where(ups, 9_900, 10**6), draws)
    assert all(name.startswith("U") for name in early.domains), "no PDU can be filled"
    problem = replace(room(two_rows, 12_000, 0), survival=None, budgets=BudgetNumbers(("now",), (early,)))
    result = solve(problem, solver="highs", deadline_s=20.0, gap_frac=0.0)
    assert len(result.plan.unplaced) == 2
    assert {reason.constraint for reason in why_not(problem, result.plan)} == {Constraint.UPS_TRANSIENT_LIMIT}
