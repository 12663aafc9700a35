"""The baseline: spreads VMs, is blind to heat and power, and caps everybody once it is too late."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.simulation.policies.table import Known, policy_of
from tapas_opt.simulation.policy import Request

U1, U2 = Failure(FailureKind.UPS, "U1"), Failure(FailureKind.UPS, "U2")


def vms(count, first=0, **fields):
    kind = {"kind": VmKind.SAAS if "endpoint" in fields else VmKind.IAAS, "tenant": "acme"}
    return [Vm(f"v{i}", **kind, **fields) for i in range(first, first + count)]


@pytest.fixture
def baseline(two_rows, profiles):
    """On ``two_rows``: S1 to S3 in R1, S4 to S6 in R2; a row's budget is 18,000 W."""
    return policy_of("baseline", Known(two_rows, None, profiles, ()))


def test_vms_are_spread_over_rows(baseline):
    placed = baseline.place(vms(4), (), 0.0)
    assert Counter("R1" if server in {"S1", "S2", "S3"} else "R2" for server in placed.values()) == {"R1": 2, "R2": 2}


def test_packed_fills_one_row_after_the_other(two_rows, profiles):
    packed = policy_of("packed", Known(two_rows, None, profiles, ()))
    assert list(packed.place(vms(4), (), 0.0).values()) == ["S1", "S2", "S3", "S4"]
    packed.release(["v1", "v2"], 1.0)
    assert packed.place(vms(1, first=9), (), 2.0) == {"v9": "S2"}


def test_what_does_not_fit_gets_no_server_and_a_server_is_never_shared(baseline):
    placed = baseline.place(vms(8), (), 0.0)
    assert len(placed) == 6
    assert len(set(placed.values())) == 6


def test_a_server_is_free_again_after_its_vm_has_left(baseline):
    baseline.place(vms(6), (), 0.0)
    baseline.release(["v0"], 1.0)
    assert baseline.place(vms(1, first=9), (), 2.0) == {"v9": "S1"}


def test_adopted_vms_stay_where_they_are_and_are_capped_like_all(baseline):
    baseline.adopt([(vms(1)[0], "S1")], (), 0.0)
    assert baseline.place(vms(1, first=1), (), 0.0) == {"v1": "S4"}
    assert set(baseline.failed(U1, 1.0).frequency_frac_of) == {"v0", "v1"}


def test_an_endpoints_requests_are_spread_evenly_over_its_instances(baseline):
    baseline.place(vms(2, endpoint="chat"), (), 0.0)
    assert baseline.shares(0.0) == {"chat": {"v0": 0.5, "v1": 0.5}}
    assert baseline.route([Request("chat", 10, 10), Request("nobody", 10, 10)], 0.0) == 1


def test_shares_are_the_same_object_until_vms_change(baseline):
    """The room lays them out only when they are others."""
    baseline.place(vms(2, endpoint="chat"), (), 0.0)
    before = baseline.shares(0.0)
    assert baseline.shares(60.0) is before
    baseline.release(["v0"], 120.0)
    assert baseline.shares(120.0) == {"chat": {"v1": 1.0}}


def test_a_failure_caps_every_clock_until_the_last_one_is_over(baseline):
    baseline.place(vms(2), (), 0.0)
    assert baseline.failed(U1, 1.0).frequency_frac_of == {"v0": 0.65, "v1": 0.65}
    assert not baseline.failed(U2, 2.0), "a second order would only begin the slow caps anew"
    assert not baseline.cleared(U1, 3.0)
    assert baseline.cleared(U2, 4.0).frequency_frac_of == {"v0": 1.0, "v1": 1.0}


def test_whoever_comes_during_a_failure_is_capped_at_the_next_look(baseline):
    """Otherwise VMs that arrive in the middle of it would be spared by accident."""
    baseline.place(vms(1), (), 0.0)
    baseline.failed(U1, 1.0)
    baseline.place(vms(1, first=1), (), 2.0)
    assert baseline.review(3.0).frequency_frac_of == {"v1": 0.65}


def test_a_row_over_its_budget_caps_everybody_at_once_and_well_below_it_the_review_lifts_the_caps(baseline, metered):
    """18,000 W: capped above it, kept from 95 % (17,100 W) up, lifted below."""
    baseline.place(vms(2), (), 0.0)
    assert not baseline.observe(metered([17_900.0, 1_000.0]))
    assert baseline.observe(metered([18_100.0, 1_000.0])).frequency_frac_of == {"v0": 0.65, "v1": 0.65}
    assert not baseline.observe(metered([18_100.0, 1_000.0])), "they are capped already"
    baseline.observe(metered([17_200.0, 1_000.0]))
    assert not baseline.review(120.0)
    baseline.observe(metered([17_000.0, 1_000.0]))
    assert baseline.review(180.0).frequency_frac_of == {"v0": 1.0, "v1": 1.0}


def test_a_meter_that_shows_nothing_caps_nobody_and_hides_no_other(baseline, metered):
    baseline.place(vms(2), (), 0.0)
    assert not baseline.observe(metered([np.nan, 1_000.0]))
    assert baseline.observe(metered([np.nan, 18_100.0]))


def test_a_calm_row_does_not_lift_caps_while_something_is_failed(baseline, metered):
    baseline.place(vms(1), (), 0.0)
    baseline.failed(U1, 0.0)
    baseline.observe(metered([5_000.0, 5_000.0]))
    assert not baseline.review(60.0)
