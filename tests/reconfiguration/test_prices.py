"""What one more unit of a limit is worth to a reconfiguration problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput
from tapas_opt.mip.relaxation import row_prices
from tapas_opt.reconfiguration.greedy import greedy
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.solve.kinds import KINDS
from tapas_opt.solve.prices import shadow_prices
from tapas_opt.worth import stepped, worth_of

GENEROUS_S = 30.0


def relaxation(problem) -> float:
    kind = KINDS[type(problem)]
    return row_prices(kind.formulation.formulate(problem, kind.classes(problem)), deadline_s=GENEROUS_S)[0]


def test_a_limit_s_price_bounds_what_any_step_of_it_saves(random_problem):
    """z(b + δ) ≥ z(b) + price · δ for both signs of δ: budgets in all their slots, demand, changes."""
    priced = dict.fromkeys(Constraint, 0)
    for seed in range(8):
        problem = random_problem(seed)
        problem = problem.with_allowed_excess(greedy(problem).excess)
        z = relaxation(problem)
        for price in shadow_prices(problem, GENEROUS_S):
            priced[price.constraint] += 1
            demand = price.constraint is Constraint.ENDPOINT_DEMAND
            assert price.price > 0 if demand else price.price < 0
            for step in (-20, -1, 1, 20):
                other = stepped(problem, price.constraint, price.where, step)
                if price.constraint is Constraint.CHANGE_BUDGET and other.change_budget < 0:
                    continue
                found = KINDS[type(other)]
                arrays = found.formulation.formulate(other, found.classes(other))
                moved = row_prices(arrays, deadline_s=GENEROUS_S)
                assert moved is None or moved[0] >= z + price.price * step - 1e-6 * max(1.0, z)
    assert priced[Constraint.ENDPOINT_DEMAND] > 2
    assert sum(priced.values()) - priced[Constraint.ENDPOINT_DEMAND] > 3


def test_a_token_costs_its_price_where_nobody_can_serve_it(cold_spare):
    """1,800 tokens/s are asked, and both instances together serve 2,400: parked power is what a token more costs.

    At 3,000 tokens/s 600 go unserved at 10,000 each, and one more does, too.
    """
    problem = replace(cold_spare, demand_tokens_per_s=cold_spare.demand_tokens_per_s * 0 + 3_000)
    prices = {price.constraint: price for price in shadow_prices(problem, GENEROUS_S)}
    assert prices[Constraint.ENDPOINT_DEMAND].price == pytest.approx(10_000)
    worth = worth_of(problem, Constraint.ENDPOINT_DEMAND, "chat", 10, solver="highs", deadline_s=GENEROUS_S)
    assert worth.found == pytest.approx(-100_000)
    assert worth.least <= worth.found <= worth.most


def test_a_step_that_ends_declared_excess_has_no_price(hopeless_room):
    """1,000 W too many are declared before, none after: cost says nothing of that."""
    with pytest.raises(InvalidInput, match="declared excess goes from 1,000 to 0"):
        worth_of(hopeless_room, Constraint.UPS_POWER_CAPACITY, "U1", 5_000, solver="greedy")


def test_a_limit_that_is_not_there_is_named(cold_spare):
    with pytest.raises(InvalidInput, match=r"row_power_budget at 'R1' does not exist; there are .*ups_power_capacity"):
        stepped(cold_spare, Constraint.ROW_POWER_BUDGET, "R1", 1)


def test_a_step_over_a_horizon_is_one_of_every_slot(room):
    """Whoever asks for 10 tokens/s more asks for them in each slot."""
    now = room(current=[0], demand=0, limit_w=10_000, stage=Stage.SETTLED)
    budgets = replace(now.budgets, slots=("now", "then"), families=())
    problem = HorizonProblem(replace(now, budgets=budgets), np.array([[900, 1_500]]))
    assert stepped(problem, Constraint.ENDPOINT_DEMAND, "chat", 10).demand_tokens_per_s.tolist() == [[910, 1_510]]
    with pytest.raises(InvalidInput, match="does not exist"):
        stepped(problem, Constraint.ROW_POWER_BUDGET, "R1", 10)
    assert shadow_prices(problem, GENEROUS_S) is not None
