"""POLCA: two thresholds, low priority first, released five points lower."""

from __future__ import annotations

import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.simulation.policies.table import Known, policy_of

LOW_FIRST, LOW_SECOND, HIGH_SECOND = 1275 / 1410, 1110 / 1410, 1305 / 1410


@pytest.fixture
def polca(two_rows, profiles):
    """An instance on S1 and a tenant's VM on S2, both in R1, whose budget is 18,000 W; UPSs are allowed 9,000 W."""
    policy = policy_of("polca", Known(two_rows, None, profiles, ()))
    saas = Vm("saas", VmKind.SAAS, "operator", endpoint="conv")
    policy.adopt([(saas, "S1"), (Vm("iaas", VmKind.IAAS, "acme"), "S2")], (), 0.0)
    return policy


def told(policy, telemetry):
    return dict(policy.observe(telemetry).frequency_frac_of)


def test_a_row_rises_and_falls_through_the_thresholds(polca, metered):
    """80 % of 18,000 W are 14,400, 89 % are 16,020; released below 75 % and 84 %."""
    assert told(polca, metered([14_300, 0])) == {}
    assert told(polca, metered([14_500, 0])) == {"saas": LOW_FIRST}
    assert told(polca, metered([16_100, 0])) == {"saas": LOW_SECOND, "iaas": HIGH_SECOND}
    assert told(polca, metered([15_200, 0])) == {}, "above 84 % (15,120 W) nothing is released"
    assert told(polca, metered([15_000, 0])) == {"saas": LOW_FIRST, "iaas": 1.0}
    assert told(polca, metered([13_600, 0])) == {}, "above 75 % (13,500 W) neither"
    assert told(polca, metered([13_400, 0])) == {"saas": 1.0}


def test_another_rows_load_is_no_reason(polca, metered):
    assert told(polca, metered([1_000, 17_000])) == {}


def test_an_overloaded_ups_above_the_row_counts_as_well(polca, metered):
    """U1 feeds K1 in R1. With U2 lost what is planned on is the rating, 12,000 W: 10,000 W are 83 %."""
    polca.failed(Failure(FailureKind.UPS, "U2"), 0.0)
    assert told(polca, metered([1_000, 0], ups_w=[10_000, 0, 1_000, 1_000])) == {"saas": LOW_FIRST}


def test_a_vm_that_has_left_is_told_nothing_more(polca, metered):
    told(polca, metered([14_500, 0]))
    polca.release(["saas"], 0.0)
    assert told(polca, metered([1_000, 0])) == {}
