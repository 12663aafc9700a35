"""The greedy path: always lawful, never late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.placement.check import check
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPlan

NONE = -1


@pytest.mark.parametrize("seed", range(250))
def test_every_greedy_plan_passes_the_checker(seed, random_problem):
    """It answers while solvers work, so nothing may need repair afterwards."""
    problem = random_problem(seed, vms=3 + seed % 9, servers=2 + seed % 11, types=1 + seed % 4, groups=1 + seed % 3)
    report = check(problem, greedy(problem))
    assert report.ok, report.violations


def test_the_vm_that_raises_no_peak_further_goes_first_to_the_emptier_row(two_hot_vms):
    """After V1 on R1, another 6 kW there would break 10 kW; R2 takes V2 without raising the peak of 60 %."""
    plan = greedy(two_hot_vms)
    assert len({plan.server_of["V1"] in ("S1", "S2"), plan.server_of["V2"] in ("S1", "S2")}) == 2


def test_lost_slack_sends_a_vm_to_the_cooler_server(hot_aisle):
    """S2 would cost 18 (30 W into a comfort of 50 W), S3 nothing, S1 is too hot."""
    assert greedy(hot_aisle) == PlacementPlan({"V1": "S3"}, ())


def test_a_cool_vm_leaves_the_coolest_server_to_a_hot_vm_of_the_same_batch(cool_and_warm):
    """V1 may go on both servers and V2 only on S1: 1 on S2 and 3 on S1."""
    plan = greedy(cool_and_warm)
    assert plan.server_of == {"V1": "S2", "V2": "S1"}
    assert check(cool_and_warm, plan).terms["spare_ceiling"] == 4


def test_a_cool_vm_leaves_the_coolest_server_to_a_hot_vm_that_comes_later(cool_and_warm):
    """V1 alone takes S2 (1 against 13), so that V2, who comes when S2 is taken, finds S1; unpriced, V1 had taken S1."""
    alone = replace(
        cool_and_warm, vms=("V1",), vm_type=np.array([0]), vm_priority=np.array([1]), vm_group=np.array([NONE])
    )
    assert greedy(alone).server_of == {"V1": "S2"}
    unpriced = replace(alone, prices=replace(alone.prices, spare_ceiling_10w=0))
    assert greedy(unpriced).server_of == {"V1": "S1"}
    later = replace(alone, vms=("V2",), vm_type=np.array([1]), server_available=np.array([True, False]))
    assert greedy(later).server_of == {"V2": "S1"}


def test_a_group_is_rolled_back_when_one_member_finds_no_server(three_replicas):
    """V1 and V2 fit on K1 and K2, V3 nowhere: all three go back, and what they held is free for V4."""
    problem = replace(
        three_replicas,
        vms=("V1", "V2", "V3", "V4"),
        vm_type=np.zeros(4, dtype=np.int64),
        vm_priority=np.array([5, 5, 5, 1]),
        vm_group=np.array([0, 0, 0, -1]),
        server_available=np.array([True, False, True, False]),
    )
    plan = greedy(problem)
    assert plan.unplaced == ("V1", "V2", "V3")
    assert set(plan.server_of) == {"V4"}


def test_rolling_back_gives_the_budgets_back(two_hot_vms, three_replicas):
    """A group of three on two rows that feed one each leaves both rows to a later VM of lower priority."""
    together = replace(three_replicas.groups[0], max_per_place=9, place_of=np.zeros(4, dtype=np.int64))
    problem = replace(
        two_hot_vms,
        vms=("V1", "V2", "V3", "V4", "V5"),
        vm_type=np.zeros(5, dtype=np.int64),
        vm_priority=np.array([9, 9, 9, 1, 1]),
        vm_group=np.array([0, 0, 0, -1, -1]),
        groups=(together,),
    )
    plan = greedy(problem)
    assert set(plan.server_of) == {"V4", "V5"}
    assert check(problem, plan).terms["peak_utilisation"] == 6_000


def test_rolling_back_gives_the_peak_back(two_hot_vms, three_replicas):
    """A group raised the peak by 600 steps and went back: the next VM pays these 6,000, more than its 5,000."""
    together = replace(three_replicas.groups[0], max_per_place=9, place_of=np.zeros(4, dtype=np.int64))
    problem = replace(
        two_hot_vms,
        vms=("V1", "V2", "V3", "V4"),
        vm_type=np.zeros(4, dtype=np.int64),
        vm_priority=np.array([9, 9, 9, 1]),
        vm_group=np.array([0, 0, 0, -1]),
        groups=(together,),
        prices=replace(two_hot_vms.prices, unplaced_vm=5_000),
    )
    assert greedy(problem).server_of == {}


def test_higher_priority_comes_first(hot_aisle):
    """One server, two VMs: the one of priority 3 gets it, whatever the order of the batch."""
    problem = replace(
        hot_aisle,
        vms=("V1", "V2"),
        vm_type=np.zeros(2, dtype=np.int64),
        vm_priority=np.array([1, 3]),
        vm_group=np.full(2, -1),
        server_available=np.array([False, False, True]),
    )
    assert greedy(problem) == PlacementPlan({"V2": "S3"}, ("V1",))


def test_a_vm_that_costs_more_than_it_is_worth_stays_out(two_hot_vms):
    """600 steps at 10 units are 6,000; a VM worth 5,000 is left, one worth 6,000 is not."""
    cheap = replace(two_hot_vms, prices=replace(two_hot_vms.prices, unplaced_vm=5_000))
    assert greedy(cheap).server_of == {}
    assert len(greedy(replace(cheap, prices=replace(cheap.prices, unplaced_vm=6_000))).server_of) == 2


def test_a_site_without_servers_leaves_every_vm(two_hot_vms):
    """An answer, not an exception."""
    rows = two_hot_vms.budgets.families[0]
    empty = replace(rows, member=rows.member[:0], share_permille=rows.share_permille[:0])
    problem = replace(
        two_hot_vms,
        servers=(),
        server_hardware=np.zeros(0, dtype=np.int64),
        server_available=np.zeros(0, dtype=bool),
        server_ceiling_w=np.zeros(0, dtype=np.int64),
        budgets=BudgetNumbers(("now",), (empty,)),
    )
    assert greedy(problem) == PlacementPlan({}, ("V1", "V2"))
    assert check(problem, greedy(problem)).terms["unplaced_vms"] == 40_000


def test_budgets_of_zero_take_nothing(two_hot_vms):
    """A row whose breaker is open has a limit of 0 W; a thousandth of that still counts as one watt."""
    rows = replace(two_hot_vms.budgets.families[0], limit=np.zeros((2, 1), dtype=np.int64))
    problem = replace(two_hot_vms, budgets=BudgetNumbers(("now",), (rows,)))
    assert greedy(problem) == PlacementPlan({}, ("V1", "V2"))


def test_two_feeds_on_one_ups_are_counted_together(two_hot_vms):
    """Both feeds of S1 hang on a UPS with 5 kW left: 3 kW fit on each feed, 6 kW not on the UPS."""
    ups = replace(
        two_hot_vms.budgets.families[0],
        constraint=Constraint.UPS_POWER_CAPACITY,
        member=np.zeros((4, 2), dtype=np.int64),
        share_permille=np.full((4, 2), 500),
        limit=np.full((2, 1), 5_000),
    )
    problem = replace(two_hot_vms, budgets=BudgetNumbers(("now",), (ups,)))
    assert greedy(problem).server_of == {}
