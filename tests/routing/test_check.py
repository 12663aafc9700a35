from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Binding, Constraint, Rejection
from tapas_opt.routing.check import binding, check, why_not
from tapas_opt.routing.greedy import greedy
from tapas_opt.routing.problem import RoutingPlan

THIRDS = {"conv/short": {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3}}


def found(problem, plan):
    return [(v.constraint, v.where, round(v.excess, 6)) for v in check(problem, plan).violations]


def test_a_plan_that_breaks_nothing_is_accepted(two_rows, plan_of):
    """Each third is one first segment."""
    assert check(two_rows, plan_of(THIRDS)).ok


def test_the_terms_are_summed_by_hand(two_rows, plan_of):
    """A takes 750 of its 1,000: 10 + 40/2 = 30; 750 W at 2 per kW are 1.5; half of 1,500 unserved at 10 is 7,500."""
    terms = check(two_rows, plan_of({"conv/short": {"A": 0.5}})).terms
    assert terms == pytest.approx({"unserved": 7_500, "latency": 30, "energy": 1.5, "peak_utilisation": 0})


def test_nearness_to_a_limit_costs_by_the_thousandth(two_rows, with_limit, plan_of):
    """R1 draws 2,000 of 2,200 W: steps of 2 W, so 1,000 of them; 850 are free, and 150 cost 10 each."""
    near_limit = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 2_200)
    assert check(near_limit, plan_of(THIRDS)).terms["peak_utilisation"] == pytest.approx(1_500)


def test_shares_that_do_not_make_one_are_refused(two_rows):
    """A tenth of the requests would go nowhere and be counted nowhere."""
    plan = RoutingPlan({"conv/short": {"A": 0.6}}, {"conv/short": 0.3})
    assert found(two_rows, plan) == [(Constraint.ENDPOINT_DEMAND, "conv/short", -0.1)]


def test_a_class_that_the_plan_forgets_is_refused(two_rows):
    """Silence is not a plan."""
    assert found(two_rows, RoutingPlan({}, {})) == [(Constraint.ENDPOINT_DEMAND, "conv/short", -1.0)]


def test_a_negative_share_is_refused(two_rows):
    """It would hide another instance's overload."""
    plan = RoutingPlan({"conv/short": {"A": 0.6, "B": 0.6, "C": -0.2}}, {"conv/short": 0.0})
    assert (Constraint.ENDPOINT_DEMAND, "conv/short to C", 0.2) in found(two_rows, plan)


def test_a_share_that_is_not_a_number_is_refused(two_rows, plan_of):
    """Every comparison with NaN is false: a checker that asks for excess would let it pass."""
    assert not check(two_rows, plan_of({"conv/short": {"A": float("nan")}})).ok


def test_an_instance_of_another_endpoint_is_refused(conv_and_code, plan_of):
    """C runs another model."""
    plan = plan_of({"conv/short": {"C": 1.0}, "conv/long": {"A": 1.0}, "code/any": {"C": 1.0}})
    assert found(conv_and_code, plan) == [(Constraint.ENDPOINT_DEMAND, "conv/short to C, which does not serve it", 1.0)]


def test_an_unknown_instance_or_class_is_refused(two_rows, plan_of):
    """A plan for yesterday's fleet must not pass today."""
    assert not check(two_rows, plan_of({"conv/short": {"Z": 1.0}})).ok
    assert not check(two_rows, plan_of({**THIRDS, "conv/gone": {"A": 1.0}})).ok


def test_more_work_than_goodput_is_refused(two_rows, plan_of):
    """All 1,500 on A, which carries 1,000."""
    assert found(two_rows, plan_of({"conv/short": {"A": 1.0}})) == [(Constraint.INSTANCE_GOODPUT, "A", 500.0)]


def test_work_counts_by_class(conv_and_code, plan_of):
    """A: 600 + 1.5 · 400 = 1,200 of 1,000."""
    plan = plan_of({"conv/short": {"A": 1.0}, "conv/long": {"A": 1.0}, "code/any": {"C": 1.0}})
    assert found(conv_and_code, plan) == [(Constraint.INSTANCE_GOODPUT, "A", 200.0)]


def test_a_draining_instance_takes_no_share_even_of_a_class_without_demand(two_rows, plan_of):
    """A share is a promise for requests that nobody forecast, too."""
    draining = replace(two_rows, instance_goodput=np.array([0, 1_000, 1_000]), class_tokens_per_s=np.array([0]))
    assert found(draining, plan_of(THIRDS)) == [(Constraint.INSTANCE_GOODPUT, "A, which takes nothing", 0.333333)]


def test_a_gpu_above_its_ceiling_is_refused(two_rows, plan_of):
    """One segment adds 100 W to A's hottest GPU, whose headroom is 40 W."""
    hot = replace(two_rows, gpu_headroom_w=np.array([40, 1_000, 1_000]))
    assert found(hot, plan_of(THIRDS)) == [(Constraint.GPU_TEMPERATURE_LIMIT, "A", 60.0)]


def test_an_instance_too_hot_when_idle_may_take_nothing(two_rows, plan_of):
    """It is 10 W over already; without load that is not the plan's fault."""
    hot = replace(two_rows, gpu_headroom_w=np.array([-10, 1_000, 1_000]))
    assert found(hot, plan_of(THIRDS)) == [(Constraint.GPU_TEMPERATURE_LIMIT, "A", 110.0)]
    assert check(hot, plan_of({"conv/short": {"B": 0.5, "C": 0.5}})).ok


@pytest.mark.parametrize(
    ("constraint", "domain", "limit", "excess"),
    [
        (Constraint.ROW_POWER_BUDGET, "R1", 1_700, 300.0),  # 1,000 idle + 2 · 500 W
        (Constraint.UPS_POWER_CAPACITY, "U1", 1_700, 50.0),  # 1,000 base + half of 3 · 500 W
        (Constraint.AISLE_AIRFLOW_CAPACITY, "A1", 650, 10.0),  # 600 base + 3 · 20 CFM
    ],
)
def test_a_domain_over_its_limit_is_refused(two_rows, with_limit, plan_of, constraint, domain, limit, excess):
    """Sums are made anew, server by server."""
    assert found(with_limit(two_rows, constraint, domain, limit), plan_of(THIRDS)) == [(constraint, domain, excess)]


def test_why_not_names_what_is_full_and_what_is_missing(two_rows, with_limit):
    """R1 has no watt left, and C is at its goodput: 500 of 1,500 tokens/s stay unserved.

    In R1, A or B would draw 500 W for them; C would have to carry 1,500 tokens/s, 500 more than its goodput.
    """
    full = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 1_000)
    assert why_not(full, greedy(full)) == (
        Rejection("conv/short", Constraint.INSTANCE_GOODPUT, pytest.approx(500), "tokens/s"),
        Rejection("conv/short", Constraint.ROW_POWER_BUDGET, pytest.approx(500), "W"),
    )


def test_why_not_counts_watts_of_a_gpu_beyond_its_ceiling_and_shares_of_a_ups(two_rows, with_limit, plan_of):
    """A, B and C carry 300 tokens/s each, 60 W on the hottest GPU and 300 W more: 600 of 1,500 stay unserved.

    U1 carries half of the 900 W and has nothing left; whoever takes 600 tokens/s more draws 600 W, of which U1 would
    carry 300. C has no headroom left either, and would need 0.2 W for each of 600 tokens/s.
    """
    tight = with_limit(two_rows, Constraint.UPS_POWER_CAPACITY, "U1", 1_450)
    tight = replace(tight, gpu_headroom_w=np.array([1_000, 1_000, 60]))
    assert why_not(tight, plan_of({"conv/short": {"A": 0.2, "B": 0.2, "C": 0.2}})) == (
        Rejection("conv/short", Constraint.GPU_TEMPERATURE_LIMIT, pytest.approx(120), "W"),
        Rejection("conv/short", Constraint.UPS_POWER_CAPACITY, pytest.approx(300), "W"),
    )


def test_why_not_weighs_tokens_by_their_work(conv_and_code, plan_of):
    """A and B are full with 1,000 tokens/s each: 850 short ones and 100 long ones, which are 1.5 tokens of work each.

    The other 200 long ones are 300 tokens/s of work.
    """
    crowded = replace(conv_and_code, class_tokens_per_s=np.array([1_700, 400, 300]))
    plan = plan_of({"conv/short": {"A": 0.5, "B": 0.5}, "conv/long": {"A": 0.25, "B": 0.25}, "code/any": {"C": 1.0}})
    assert why_not(crowded, plan) == (
        Rejection("conv/long", Constraint.INSTANCE_GOODPUT, pytest.approx(300), "tokens/s"),
    )


def test_why_not_is_silent_where_all_is_served(two_rows, plan_of):
    """Nothing to explain."""
    assert why_not(two_rows, plan_of(THIRDS)) == ()


def test_why_not_says_that_a_price_was_not_paid_or_that_nobody_is_there(two_rows, conv_and_code, plan_of):
    """Room is left, and the plan does not use it; or the endpoint has no instance at all."""
    reasons = why_not(two_rows, plan_of({"conv/short": {"A": 0.5}}))
    assert [reason.constraint for reason in reasons] == [Constraint.PEAK_UTILISATION]
    nobody = replace(conv_and_code, instance_endpoint=np.array([0, 0, 0]))
    assert [(r.subject, r.constraint) for r in why_not(nobody, greedy(nobody))] == [
        ("code/any", Constraint.ENDPOINT_DEMAND)
    ]


def test_binding_names_domains_and_instances_with_little_left(two_rows, with_limit, plan_of):
    """R1 draws 2,000 of 2,010 W; A, at 990 of 1,000 tokens/s and 198 of 200 W, has 10 tokens/s and 2 W left."""
    tight = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 2_010)
    tight = replace(tight, gpu_headroom_w=np.array([200, 1_000, 1_000]))
    assert binding(tight, plan_of({"conv/short": {"A": 0.66, "B": 0.01 / 1.5}})) == (
        Binding(Constraint.ROW_POWER_BUDGET, "R1", pytest.approx(10), "W"),
        Binding(Constraint.INSTANCE_GOODPUT, "A", pytest.approx(10), "tokens/s"),
        Binding(Constraint.GPU_TEMPERATURE_LIMIT, "A", pytest.approx(2), "W"),
    )
