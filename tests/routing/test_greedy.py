from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.routing.check import check
from tapas_opt.routing.greedy import greedy


def test_greedy_plans_pass_the_checker(random_problem):
    """The greedy path is what answers when no solver does, so that it has to be right on its own: 300 seeds."""
    refused = {seed: report.violations for seed in range(300) if (report := judged(random_problem(seed))).violations}
    assert refused == {}


def judged(problem):
    return check(problem, greedy(problem))


def test_like_instances_get_like_shares(two_rows):
    """Water stands equally high in equal vessels."""
    assert greedy(two_rows).shares["conv/short"] == pytest.approx({"A": 1 / 3, "B": 1 / 3, "C": 1 / 3})


def test_greedy_stays_below_the_price_of_nearness_while_others_have_room(two_rows, with_limit):
    """850 ‰ of R1's 2,000 W leave 700 W, which are 700 of the 1,500 tokens/s; C takes 800."""
    near_limit = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 2_000)
    assert greedy(near_limit).shares["conv/short"]["C"] == pytest.approx(800 / 1_500)


def test_greedy_serves_demand_even_near_a_limit(two_rows, with_limit):
    """With demand 2,000, C takes its 1,000 and R1 its last 1,000 W: dear, but served."""
    near_limit = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 2_000)
    plan = greedy(replace(near_limit, class_tokens_per_s=np.array([2_000])))
    assert plan.unserved_frac["conv/short"] == pytest.approx(0.0)


def test_what_cannot_be_served_is_taken_from_the_class_with_most_work_a_token(conv_and_code):
    """A and B carry 2,000; 1,700 + 1.5 · 400 ask for 2,300: 300 of work are half of ``conv/long``."""
    plan = greedy(replace(conv_and_code, class_tokens_per_s=np.array([1_700, 400, 300])))
    assert plan.unserved_frac == pytest.approx({"conv/short": 0.0, "conv/long": 0.5, "code/any": 0.0})


def test_classes_without_demand_still_have_shares(conv_and_code):
    """A request of a class that was not forecast must find somebody."""
    plan = greedy(replace(conv_and_code, class_tokens_per_s=np.array([0, 0, 0])))
    assert plan.shares["conv/long"] == pytest.approx({"A": 0.5, "B": 0.5})
