"""What one more unit of a limit is worth to a placement problem."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.mip.relaxation import row_prices
from tapas_opt.solve.kinds import KINDS
from tapas_opt.solve.prices import shadow_prices
from tapas_opt.worth import stepped, worth_of

GENEROUS_S = 30.0


def moves(problem, other, price, step) -> bool:
    """Whether a step moves the limit: below what is drawn already there is no lower one, since that is tolerated."""
    limits = []
    for each in (problem, other):
        family = next(f for f in each.budgets.tolerating_present_excess().families if f.constraint is price.constraint)
        limits.append(family.limit[family.domains.index(price.where)])
    return bool((limits[1] - limits[0] == step).all())


def relaxation(problem) -> float:
    kind = KINDS[type(problem)]
    return row_prices(kind.formulation.formulate(problem, kind.classes(problem)), deadline_s=GENEROUS_S)[0]


def test_a_limit_s_price_bounds_what_any_step_of_it_saves(random_problem):
    """z(b + δ) ≥ z(b) + price · δ for both signs of δ, each limit moved in all its slots.

    Without a price on the peak, which is counted in parts of the limit and moves with it in its own way.
    """
    priced = 0
    for seed in range(12):
        problem = random_problem(seed)
        problem = replace(problem, prices=replace(problem.prices, peak_permille={}))
        problem = replace(problem, budgets=problem.budgets.tolerating_present_excess())
        z = relaxation(problem)
        for price in shadow_prices(problem, GENEROUS_S):
            if price.constraint.name.endswith(("BUDGET", "CAPACITY")) and price.unit in ("W", "CFM"):
                assert price.price < 0
                priced += 1
                for step in (-300, -10, 10, 300):
                    other = stepped(problem, price.constraint, price.where, step)
                    if moves(problem, other, price, step):
                        assert relaxation(other) >= z + price.price * step - 1e-6 * max(1.0, z)
    assert priced > 3


def test_two_slots_of_a_row_add_up_to_the_price_of_its_breaker(two_hot_vms):
    """R1 feeds 4 kW at night and by day, R2 nothing: two thirds of V1 are placed, and a VM that is not costs 20,000.

    A VM draws 6 kW by day and by night alike, so that a watt more in both slots places 1/6000 of a VM: 20,000 / 6,000
    = 3.33 a watt, however the two rows share it.
    """
    rows = two_hot_vms.budgets.families[0]
    rows = replace(rows, limit=rows.limit.repeat(2, axis=1) * 0 + [[4_000], [0]], base=rows.base.repeat(2, axis=1))
    problem = replace(
        two_hot_vms,
        type_power_w=two_hot_vms.type_power_w.repeat(2, axis=2),
        type_airflow_cfm=two_hot_vms.type_airflow_cfm.repeat(2, axis=2),
        budgets=replace(two_hot_vms.budgets, slots=("day", "night"), families=(rows,)),
        prices=replace(two_hot_vms.prices, peak_permille={}),
    )
    found = {(price.constraint, price.where): price for price in shadow_prices(problem, GENEROUS_S)}
    assert found[Constraint.ROW_POWER_BUDGET, "R1"].price == pytest.approx(-20_000 / 6_000)
    assert found[Constraint.ROW_POWER_BUDGET, "R1"].unit == "W"
    assert found[Constraint.VM_PLACED_ONCE, "V1"].price == pytest.approx(20_000)


def test_what_the_relaxation_promises_by_the_watt_the_problem_pays_by_the_vm(two_hot_vms):
    """R1 and R2 feed 5 kW each, a VM needs 6: 500 W more place nobody, 1,000 W more place one, worth 20,000.

    The relaxation places 10/6 of a VM and promises 3.33 a watt from the first one on.
    """
    rows = two_hot_vms.budgets.families[0]
    problem = replace(
        two_hot_vms,
        budgets=replace(two_hot_vms.budgets, families=(replace(rows, limit=rows.limit // 2),)),
        prices=replace(two_hot_vms.prices, peak_permille={}),
    )
    prices = {price.where: price.price for price in shadow_prices(problem, GENEROUS_S)}
    assert prices["R1"] == prices["R2"] == pytest.approx(-20_000 / 6_000)
    for step, saved in ((500, 0.0), (1_000, 20_000.0)):
        worth = worth_of(problem, Constraint.ROW_POWER_BUDGET, "R1", step, solver="highs", deadline_s=GENEROUS_S)
        assert worth.found == pytest.approx(saved)
        assert worth.least <= saved <= worth.most
