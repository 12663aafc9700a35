"""A whole site as one place: a bound, and where VMs should go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.mip import highs
from tapas_opt.mip.result import MipStatus
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.check import check
from tapas_opt.placement.formulation import formulate
from tapas_opt.placement.greedy import bounded, greedy
from tapas_opt.placement.problem import placement_classes


@pytest.mark.parametrize("seed", range(40))
def test_neither_bound_lies_above_the_optimum(seed, random_problem):
    """That of every VM alone, and that of the whole site as one place."""
    problem = random_problem(seed, vms=4 + seed % 4, servers=4 + seed % 5, types=1 + seed % 3)
    result = highs.solve(formulate(problem, placement_classes(problem)), deadline_s=20.0, gap_frac=0.0)
    assert result.status is MipStatus.OPTIMAL
    plan, alone = bounded(problem)
    assert alone <= result.objective + 1e-6
    assert shares(problem, deadline_s=20.0).bound <= result.objective + 1e-6
    assert check(problem, plan).objective >= result.objective - 1e-6


@pytest.mark.parametrize("seed", range(40))
def test_plans_that_follow_shares_pass_the_checker(seed, random_problem):
    """Shares are advice: where no server of the kind has room, another does."""
    problem = random_problem(seed, vms=3 + seed % 9, servers=2 + seed % 11, types=1 + seed % 4)
    report = check(problem, greedy(problem, shares(problem, deadline_s=20.0)))
    assert report.ok, report.violations


def test_shares_leave_the_servers_that_fit_best_to_those_who_need_them(cool_and_warm):
    """One cool VM and one hot: 1 on S2 and 3 on S1, and nothing is cheaper than that."""
    found = shares(cool_and_warm, deadline_s=20.0)
    assert found.bound == pytest.approx(4)
    assert found.most[found.vm_kind, found.server_kind[[1, 0]]].tolist() == [1, 1]


def test_rows_alike_are_as_good_as_one(two_hot_vms):
    """6 kW in two rows of 10 kW: 300 steps on average at least, 600 in truth; with 4 VMs of 5 kW both say 1,000."""
    assert shares(two_hot_vms, deadline_s=20.0).bound == pytest.approx(600 * 10)
    four = replace(
        two_hot_vms,
        vms=("V1", "V2", "V3", "V4"),
        vm_type=np.zeros(4, dtype=np.int64),
        vm_priority=np.ones(4, dtype=np.int64),
        vm_group=np.full(4, -1),
        type_power_w=np.full((1, 1, 1), 5_000),
    )
    assert shares(four, deadline_s=20.0).bound == pytest.approx(1_000 * 10)
    assert check(four, greedy(four, shares(four, deadline_s=20.0))).objective == 1_000 * 10


def test_a_batch_that_finds_its_cheapest_servers_is_proven_at_once(hot_aisle):
    """S3 costs nothing, and so does the plan."""
    plan, bound = bounded(hot_aisle)
    assert (plan.server_of, bound) == ({"V1": "S3"}, 0.0)
