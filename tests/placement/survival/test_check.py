"""Plans that say what is not so are refused, by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.placement.check import check
from tapas_opt.placement.greedy import greedy


@pytest.fixture
def relieved(random_survival):
    """A problem whose greedy plan counts on relief, and that plan."""
    for seed in range(100):
        problem = random_survival(seed)
        plan = greedy(problem)
        if plan.relief and plan.server_of:
            return problem, plan
    raise AssertionError("no plan counts on relief")


def broken(problem, plan):
    return {violation.constraint for violation in check(problem, plan).violations}


def test_the_plan_itself_is_accepted(relieved):
    assert broken(*relieved) == set()


def test_relief_left_out_leaves_a_domain_above_its_limit(relieved):
    """Greedy's relief cannot be lessened anywhere."""
    problem, plan = relieved
    for name in plan.relief:
        less = {other: watts for other, watts in plan.relief.items() if other != name}
        assert broken(problem, replace(plan, relief=less)) == {Constraint.FAILURE_SECURE}


def test_a_watt_too_little_is_too_little(relieved):
    """Ratings are whole, so that a watt of share 1 or a half shows."""
    problem, plan = relieved
    name = max(plan.relief, key=plan.relief.get)
    less = plan.relief | {name: plan.relief[name] - 2}
    assert broken(problem, replace(plan, relief=less)) == {Constraint.FAILURE_SECURE}


def test_nobody_gives_more_than_they_can(relieved):
    problem, plan = relieved
    more = dict.fromkeys(plan.relief, 10**6)
    assert broken(problem, replace(plan, relief=more)) == {Constraint.RELIEF_AVAILABLE}


def test_relief_below_nothing_is_refused(relieved):
    """It would pay for other relief."""
    problem, plan = relieved
    name = next(iter(plan.relief))
    assert Constraint.RELIEF_AVAILABLE in broken(problem, replace(plan, relief=plan.relief | {name: -5}))


def test_relief_of_nobody_is_refused(relieved):
    problem, plan = relieved
    made_up = plan.relief | {("ups:U77/1", "slowed", "now"): 5}
    assert broken(problem, replace(plan, relief=made_up)) == {Constraint.RELIEF_AVAILABLE}


def test_a_shortfall_of_an_unknown_pair_or_below_nothing_is_refused(relieved):
    problem, plan = relieved
    assert broken(problem, replace(plan, shortfall={"U1 after lunch": 1})) == {Constraint.FAILURE_SECURE}
    pair = problem.survival.parts[0].family.domains[0]
    assert Constraint.FAILURE_SECURE in broken(problem, replace(plan, shortfall={pair: -1}))


def test_a_declared_shortfall_is_accepted_and_paid_for(relieved):
    """What a plan owns up to is no violation; it costs the highest price."""
    problem, plan = relieved
    part = problem.survival.parts[0]
    owned = replace(plan, shortfall=plan.shortfall | {part.family.domains[0]: 10})
    before, after = check(problem, plan).terms, check(problem, owned).terms
    assert broken(problem, owned) == set()
    rise = after["failure_shortfall"] - before["failure_shortfall"]
    assert rise == part.shortfall_price * (10 - plan.shortfall.get(part.family.domains[0], 0))


def test_a_plan_without_survival_may_not_speak_of_it(relieved):
    problem, plan = relieved
    assert broken(replace(problem, survival=None), plan) == {Constraint.RELIEF_AVAILABLE}
