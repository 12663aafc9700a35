"""What one more unit of a limit is worth to a routing problem."""

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
    """z(b + δ) ≥ z(b) + price · δ for both signs of δ: budgets, and demand in tokens/s, which is 1 in its row."""
    priced = dict.fromkeys(Constraint, 0)
    for seed in range(8):
        problem = random_problem(seed)
        problem = replace(problem, prices=replace(problem.prices, peak_permille={}))
        z = relaxation(problem)
        for price in shadow_prices(problem, GENEROUS_S):
            if price.constraint in (Constraint.INSTANCE_GOODPUT, Constraint.GPU_TEMPERATURE_LIMIT):
                continue  # of classes of instances, not of limits that a problem states once
            priced[price.constraint] += 1
            demand = price.constraint is Constraint.ENDPOINT_DEMAND
            least = -int(problem.class_tokens_per_s[problem.classes.index(price.where)]) if demand else -50
            for step in (max(-50, least), -1, 1, 50):
                other = stepped(problem, price.constraint, price.where, step)
                if demand or moves(problem, other, price, step):
                    assert relaxation(other) >= z + price.price * step - 1e-6 * max(1.0, z)
    assert priced[Constraint.ENDPOINT_DEMAND] > 3
    assert sum(priced.values()) - priced[Constraint.ENDPOINT_DEMAND] > 3


def test_a_token_that_has_to_go_to_the_second_segment_costs_what_it_costs_there(two_rows):
    """1,500 tokens/s fill the three first segments; the next token runs in a second one, at 40 + 2 · 0.5 for 500."""
    problem = replace(two_rows, class_tokens_per_s=two_rows.class_tokens_per_s + 100)
    prices = {price.constraint: price.price for price in shadow_prices(problem, GENEROUS_S)}
    assert prices[Constraint.ENDPOINT_DEMAND] == pytest.approx(41 / 500)
    worth = worth_of(problem, Constraint.ENDPOINT_DEMAND, "conv/short", 100, solver="highs", deadline_s=GENEROUS_S)
    assert worth.found == pytest.approx(-8.2)
