"""Work spread evenly among alike instances where that costs hardly more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.control.evenly import SAME_FRAC, WORTH_FRAC, evenly
from tapas_opt.control.routes import routing_problem
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.result import Constraint, Result
from tapas_opt.routing.check import check
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem
from tapas_opt.solve import solve

CLASS = "conv/short"


@pytest.fixture
def quiet(controller, forecast_of, saas, run) -> RoutingProblem:
    """Four instances, asked for a quarter of what they carry: all of it is below the first breakpoint of each."""
    run(saas(4))
    asked = Readings(0.0, endpoint_tokens_per_s={"conv": 2_000.0})
    return routing_problem(forecast_of(controller.fleet, readings=asked), {"conv": {CLASS: 1.0}})


def nearly_full(budgets: BudgetNumbers, row: str, frac: float = 0.9) -> BudgetNumbers:
    """With a row that draws this part of its budget whatever is routed."""
    families = []
    for family in budgets.families:
        base = family.base.copy()
        if family.constraint is Constraint.ROW_POWER_BUDGET:
            r = family.domains.index(row)
            base[r] = (frac * family.limit[r]).astype(np.int64)
        families.append(replace(family, base=base))
    return replace(budgets, families=tuple(families))


def planned(problem: RoutingProblem, **shares: float) -> Result[RoutingPlan]:
    """What a solver might say."""
    plan = RoutingPlan({CLASS: shares}, {CLASS: 0.0})
    return replace(solve(problem, solver="greedy"), plan=plan, checked=check(problem, plan))


def test_alike_instances_get_alike_where_the_plan_could_not_tell_them_apart(quiet):
    """Half the requests to each of two costs as much, to the plan, as a quarter to each of four."""
    uneven = planned(quiet, c0=0.5, c1=0.5)
    even = evenly(quiet, uneven)
    assert even.plan.shares[CLASS] == pytest.approx(dict.fromkeys(["c0", "c1", "c2", "c3"], 0.25))
    assert even.checked.ok
    assert even.objective == pytest.approx(uneven.objective)


def test_a_plan_that_is_even_already_stays_the_same(quiet):
    even = planned(quiet, c0=0.25, c1=0.25, c2=0.25, c3=0.25)
    assert evenly(quiet, even) is even


def test_a_hot_instance_takes_what_it_may_and_the_others_share_the_rest(quiet):
    """A GPU of c3 has room for what a tenth of the requests draws."""
    tenth_w = quiet.gpu_power_w[3, 0] * 200.0 / (quiet.instance_goodput[3] * 0.5)
    hot = replace(quiet, gpu_headroom_w=np.append(quiet.gpu_headroom_w[:3], int(tenth_w)))
    even = evenly(hot, planned(hot, c0=0.6, c1=0.4)).plan.shares[CLASS]
    assert even["c3"] == pytest.approx(0.1, abs=0.01)
    assert even["c0"] == even["c1"] == even["c2"] == pytest.approx((1.0 - even["c3"]) / 3)


def test_it_goes_as_far_as_nearness_to_a_limit_is_worth(quiet):
    """c0 and c1 are in row R1, at 90 % of its budget without them: each thousandth more has a price."""
    near = replace(quiet, instance_server=np.array([0, 1, 78, 79]), budgets=nearly_full(quiet.budgets, "R1"))
    sparing = planned(near, c2=0.5, c3=0.5)
    even = evenly(near, sparing)
    shares = even.plan.shares[CLASS]
    assert 0.0 < shares["c0"] < 0.25 < shares["c2"]
    assert (shares["c1"], shares["c3"]) == pytest.approx((shares["c0"], shares["c2"]))
    assert even.objective <= sparing.objective * (1.0 + WORTH_FRAC + SAME_FRAC)
    assert even.checked.ok


def test_a_domain_that_has_no_room_is_left_alone(quiet):
    """Row R1 is full: what c2 and c3 take, c0 and c1 may not."""
    full = replace(quiet, instance_server=np.array([0, 1, 78, 79]), budgets=nearly_full(quiet.budgets, "R1", 1.0))
    sparing = planned(full, c2=0.5, c3=0.5)
    assert evenly(full, sparing) is sparing


def test_instances_that_carry_less_are_not_given_as_much(quiet):
    """c3 serves at half its level: the three others share what they had."""
    less = replace(quiet, instance_goodput=np.append(quiet.instance_goodput[:3], quiet.instance_goodput[3] // 2))
    even = evenly(less, planned(less, c0=0.6, c1=0.2, c2=0.1, c3=0.1))
    assert even.plan.shares[CLASS] == pytest.approx({"c0": 0.3, "c1": 0.3, "c2": 0.3, "c3": 0.1})


def test_what_is_refused_stays_refused(quiet):
    """A tenth of the requests, which the plan had its reasons for."""
    plan = RoutingPlan({CLASS: {"c0": 0.5, "c1": 0.4}}, {CLASS: 0.1})
    even = evenly(quiet, replace(planned(quiet, c0=1.0), plan=plan, checked=check(quiet, plan))).plan
    assert even.unserved_frac == {CLASS: 0.1}
    assert even.shares[CLASS] == pytest.approx(dict.fromkeys(["c0", "c1", "c2", "c3"], 0.225))
