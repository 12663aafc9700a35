"""The judge of a placement: each planted fault is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Binding, Constraint, Rejection, Violation
from tapas_opt.placement.check import binding, check, why_not
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPlan


def violations(problem, server_of, unplaced=()):
    return list(check(problem, PlacementPlan(server_of, tuple(unplaced))).violations)


def test_a_lawful_plan_has_no_violations(two_hot_vms):
    """One VM a row; 600 steps of peak, nothing unplaced, nothing near a ceiling."""
    report = check(two_hot_vms, PlacementPlan({"V1": "S1", "V2": "S3"}, ()))
    assert report.ok
    assert report.terms == {
        "unplaced_vms": 0,
        "peak_utilisation": 6_000,
        "lost_temperature_slack": 0,
        "spare_ceiling": 0,
    }


def test_spare_ceiling_costs_by_full_10_w_beyond_the_comfort(cool_and_warm):
    """V1 on S1: 480 − 300 − 50 = 130 W cost 13; V2 on S1: 30 W cost 3; 29 W would cost 2, no more than 20 W do."""
    assert check(cool_and_warm, PlacementPlan({"V1": "S1"}, ("V2",))).terms["spare_ceiling"] == 13
    assert check(cool_and_warm, PlacementPlan({"V2": "S1"}, ("V1",))).terms["spare_ceiling"] == 3
    warmer = replace(cool_and_warm, server_ceiling_w=np.array([479, 360]))
    assert check(warmer, PlacementPlan({"V2": "S1"}, ("V1",))).terms["spare_ceiling"] == 2


def test_a_server_costs_lost_slack_or_spare_ceiling_but_never_both(hot_aisle):
    """400 W and 50 W of comfort: 420 W lose 30 W at 30/50 each, 600 W spare 150 W, and 450 W to 459 W cost nothing."""
    both = replace(hot_aisle, prices=replace(hot_aisle.prices, spare_ceiling_10w=3))
    costs = {}
    for ceiling_w in (420, 450, 459, 600):
        terms = check(replace(both, server_ceiling_w=np.full(3, ceiling_w)), PlacementPlan({"V1": "S1"}, ())).terms
        costs[ceiling_w] = (terms["lost_temperature_slack"], terms["spare_ceiling"])
    assert costs == {420: (18, 0), 450: (0, 0), 459: (0, 0), 600: (0, 45)}


def test_slack_is_left_to_the_most_that_a_vm_may_draw_and_its_limit_is_what_is_predicted(hot_aisle):
    """Predicted 400 W, perhaps 440 W: with a comfort of 50 W it misses 70 W at a ceiling of 420 W, and may go there."""
    reaching = replace(hot_aisle, type_most_gpu_power_w=np.array([[440]]))
    report = check(reaching, PlacementPlan({"V1": "S2"}, ()))
    assert report.ok
    assert report.terms["lost_temperature_slack"] == 98
    assert reaching.temperature_cost().tolist() == [[200, 98, 0]]
    assert reaching.eligible().tolist() == hot_aisle.eligible().tolist()


def test_a_hot_vm_is_worth_a_cool_server_more_than_a_cool_vm_is(hot_aisle):
    """Ceilings 440 W and 420 W: VMs of 400 W and 380 W miss 10 W each (2 and 2), or 30 W and nothing (18)."""
    two = replace(
        hot_aisle,
        vms=("hot", "mild"),
        vm_type=np.array([0, 1]),
        vm_priority=np.ones(2, int),
        vm_group=np.array([-1, -1]),
        type_power_w=np.repeat(hot_aisle.type_power_w, 2, axis=0),
        type_airflow_cfm=np.repeat(hot_aisle.type_airflow_cfm, 2, axis=0),
        type_gpu_power_w=np.array([[400], [380]]),
        type_fits=np.ones((2, 1), dtype=bool),
        server_ceiling_w=np.array([440, 420, 380]),
    )
    lost = [
        check(two, PlacementPlan({"hot": hot, "mild": mild}, ())).terms["lost_temperature_slack"]
        for hot, mild in (("S1", "S2"), ("S2", "S1"))
    ]
    assert lost == [4, 18]


def test_a_vm_that_is_forgotten_said_twice_or_unknown_breaks_vm_placed_once(two_hot_vms):
    """V2 nowhere; V1 placed and unplaced; V9 never asked for."""
    one = [Constraint.VM_PLACED_ONCE]
    assert [v.constraint for v in violations(two_hot_vms, {"V1": "S1"})] == one
    assert [v.constraint for v in violations(two_hot_vms, {"V1": "S1"}, ["V1", "V2"])] == one
    assert violations(two_hot_vms, {"V1": "S1"}, ["V2", "V9"]) == [Violation(one[0], "V9", 1.0, "VMs")]


def test_two_vms_on_one_server_break_server_gpu_capacity(hot_aisle):
    """A VM takes a whole server."""
    two = replace(hot_aisle, vms=("V1", "V2"), vm_type=np.zeros(2, int), vm_priority=np.ones(2, int), vm_group=[-1, -1])
    two = replace(two, vm_group=np.array([-1, -1]))
    assert violations(two, {"V1": "S3", "V2": "S3"}) == [Violation(Constraint.SERVER_GPU_CAPACITY, "S3", 1.0, "VMs")]


def test_a_server_that_is_taken_wrong_or_unknown_breaks_server_gpu_capacity(hot_aisle):
    """Someone runs there; it is not the hardware asked for; it does not exist."""
    expected = [Violation(Constraint.SERVER_GPU_CAPACITY, "S3", 1.0, "VMs")]
    taken = replace(hot_aisle, server_available=np.array([True, True, False]))
    assert violations(taken, {"V1": "S3"}) == expected
    wrong = replace(hot_aisle, type_fits=np.array([[False]]))
    assert violations(wrong, {"V1": "S3"}) == expected
    assert violations(hot_aisle, {"V1": "S9"}) == [replace(expected[0], where="S9")]


def test_a_gpu_above_its_ceiling_breaks_gpu_temperature_limit(hot_aisle):
    """400 W on S1, which stays cool up to 390 W."""
    assert violations(hot_aisle, {"V1": "S1"}) == [Violation(Constraint.GPU_TEMPERATURE_LIMIT, "S1", 10.0, "W")]


def test_one_replica_too_many_breaks_group_spread(three_replicas):
    """V1 and V2 both on K1 (one too many), V3 on K3, where one runs already (one too many)."""
    assert violations(three_replicas, {"V1": "S1", "V2": "S2", "V3": "S4"}) == [
        Violation(Constraint.GROUP_SPREAD, "chat in K1", 1.0, "VMs"),
        Violation(Constraint.GROUP_SPREAD, "chat in K3", 1.0, "VMs"),
    ]


def test_a_place_that_is_overfull_already_is_no_fault_of_the_plan(three_replicas):
    """Two run on K1 where one is allowed: the plan adds none there and is lawful."""
    crowded = replace(three_replicas, groups=(replace(three_replicas.groups[0], present=np.array([2, 0, 0])),))
    assert violations(crowded, {}, crowded.vms) == []


def test_part_of_a_group_breaks_group_all_or_nothing(three_replicas):
    """Two of three have a server, one is missing."""
    found = violations(three_replicas, {"V1": "S1", "V2": "S3"}, ["V3"])
    assert found == [Violation(Constraint.GROUP_ALL_OR_NOTHING, "chat", 1.0, "VMs")]


def test_a_row_above_its_budget_is_named_with_its_watts(two_hot_vms):
    """12 kW on R1, which feeds 10 kW."""
    found = violations(two_hot_vms, {"V1": "S1", "V2": "S2"})
    assert found == [Violation(Constraint.ROW_POWER_BUDGET, "R1", 2_000.0, "W")]


@pytest.mark.parametrize(
    "constraint",
    [
        Constraint.RACK_POWER_BUDGET,
        Constraint.PDU_POWER_BUDGET,
        Constraint.UPS_POWER_CAPACITY,
        Constraint.AISLE_HEAT_CAPACITY,
        Constraint.AISLE_AIRFLOW_CAPACITY,
    ],
)
def test_every_shared_budget_is_judged(two_hot_vms, constraint):
    """The same two VMs against the same domain under another name; air: 2 × 500 CFM against 900."""
    rows = two_hot_vms.budgets.families[0]
    air = constraint is Constraint.AISLE_AIRFLOW_CAPACITY
    limit = np.full((2, 1), 900 if air else 10_000)
    renamed = replace(rows, constraint=constraint, unit="CFM" if air else "W", limit=limit)
    problem = replace(two_hot_vms, budgets=replace(two_hot_vms.budgets, families=(renamed,)))
    expected = Violation(constraint, "R1", 100.0 if air else 2_000.0, "CFM" if air else "W")
    assert violations(problem, {"V1": "S1", "V2": "S2"}) == [expected]


def test_present_excess_is_tolerated_and_growth_is_not(row_over_budget):
    """R1 draws 11 of 10 kW: nothing new there is lawful; a VM on S1 is 6 kW of growth."""
    assert violations(row_over_budget, {"V2": "S2"}, ["V1"]) == []
    assert violations(row_over_budget, {"V1": "S1"}, ["V2"]) == [
        Violation(Constraint.ROW_POWER_BUDGET, "R1", 6_000.0, "W")
    ]


@pytest.mark.parametrize("seed", range(40))
def test_every_term_is_a_cost_and_never_a_reward(seed, random_problem):
    """A term below 0 would let one fault pay for another."""
    problem = random_problem(seed)
    assert min(check(problem, greedy(problem)).terms.values()) >= 0
    assert min(check(problem, PlacementPlan({}, problem.vms)).terms.values()) >= 0


def test_why_not_names_a_full_site(two_hot_vms):
    """No free server of the right hardware: it takes one more server."""
    full = replace(two_hot_vms, server_available=np.zeros(4, dtype=bool))
    assert why_not(full, greedy(full)) == tuple(
        Rejection(vm, Constraint.SERVER_GPU_CAPACITY, 1.0, "servers") for vm in ("V1", "V2")
    )


def test_why_not_names_the_least_that_is_missing(hot_aisle):
    """S1 is 110 W short of 500 W, S2 80 W, and S3 is taken: 80 W of ceiling would do."""
    hotter = replace(hot_aisle, type_gpu_power_w=np.array([[500]]), server_available=np.array([True, True, False]))
    assert why_not(hotter, greedy(hotter)) == (Rejection("V1", Constraint.GPU_TEMPERATURE_LIMIT, 80.0, "W"),)


def test_why_not_counts_what_the_rest_of_the_plan_takes(two_hot_vms):
    """Both rows carry 6 of 10 kW with V1 and V2; V3 is 2 kW short on either."""
    three = replace(
        two_hot_vms,
        vms=("V1", "V2", "V3"),
        vm_type=np.zeros(3, dtype=np.int64),
        vm_priority=np.array([2, 2, 1]),
        vm_group=np.full(3, -1),
    )
    assert why_not(three, greedy(three)) == (Rejection("V3", Constraint.ROW_POWER_BUDGET, 2_000.0, "W"),)


def test_why_not_names_a_row_that_is_over_already(row_over_budget):
    """V1 or V2 sits on S2; the other needs 6,000 W on R1, which may not grow at all."""
    (rejection,) = why_not(row_over_budget, greedy(row_over_budget))
    assert (rejection.constraint, rejection.shortfall) == (Constraint.ROW_POWER_BUDGET, 6_000.0)


def test_why_not_names_an_incomplete_group(three_replicas):
    """Each replica alone would find a server; the three do not, and three are missing."""
    assert why_not(three_replicas, greedy(three_replicas)) == tuple(
        Rejection(vm, Constraint.GROUP_ALL_OR_NOTHING, 3.0, "VMs") for vm in three_replicas.vms
    )


def test_why_not_names_a_full_place(three_replicas):
    """Not all or nothing: two sit on K1 and K2, the third is one too many wherever a server is free."""
    apart = replace(three_replicas, groups=(replace(three_replicas.groups[0], all_or_nothing=False),))
    (rejection,) = why_not(apart, greedy(apart))
    assert (rejection.constraint, rejection.shortfall, rejection.unit) == (Constraint.GROUP_SPREAD, 1.0, "VMs")


def test_why_not_says_when_a_vm_is_not_worth_its_place(two_hot_vms):
    """6,000 for the peak against 5,000 for the VM: 1,000 too dear."""
    cheap = replace(two_hot_vms, prices=replace(two_hot_vms.prices, unplaced_vm=5_000))
    assert why_not(cheap, greedy(cheap))[0] == Rejection("V1", Constraint.PEAK_UTILISATION, 1_000.0, "cost units")


def test_why_not_blames_nothing_for_a_vm_that_could_be_placed(two_hot_vms):
    """A search that ended early is no constraint."""
    assert why_not(two_hot_vms, PlacementPlan({}, ("V1", "V2"))) == ()


@pytest.mark.parametrize("seed", range(60))
def test_every_vm_that_greedy_leaves_out_has_a_reason(seed, random_problem):
    """Greedy places one after the other, so a VM left out is barred by what the plan holds, or too dear."""
    problem = random_problem(seed, vms=7, servers=8)
    plan = greedy(problem)
    rejections = why_not(problem, plan)
    alone = {
        v for v, g in zip(problem.vms, problem.vm_group, strict=True) if g < 0 or not problem.groups[g].all_or_nothing
    }
    assert {rejection.subject for rejection in rejections} >= alone & set(plan.unplaced)
    assert all(rejection.shortfall > 0 for rejection in rejections)


def test_binding_names_what_is_nearly_full(two_hot_vms):
    """9,900 of 10,000 W: 100 W left, less than 2 %."""
    hungry = replace(two_hot_vms, type_power_w=np.full((1, 1, 1), 9_900))
    assert binding(hungry, PlacementPlan({"V1": "S1"}, ("V2",))) == (
        Binding(Constraint.ROW_POWER_BUDGET, "R1", 100.0, "W"),
    )


def test_binding_names_places_where_a_group_is_full(three_replicas):
    """K3 has its one replica already."""
    assert binding(three_replicas, PlacementPlan({}, three_replicas.vms)) == (
        Binding(Constraint.GROUP_SPREAD, "chat in K3", 0.0, "VMs"),
    )


def test_binding_shows_how_far_a_row_is_over(row_over_budget):
    """11 of 10 kW: −1,000 W of headroom."""
    assert binding(row_over_budget, PlacementPlan({}, ("V1", "V2"))) == (
        Binding(Constraint.ROW_POWER_BUDGET, "R1", -1_000.0, "W"),
    )
