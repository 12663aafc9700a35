"""Planned outages over the wire, across a restart, and what placements are told of failures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.failure import Failure, FailureKind, FailureSource
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import InvalidInput, NotFound

FAR_AHEAD = Failure(FailureKind.UPS, "U2", started_at_s=4e9, expected_duration_s=7_200.0)


def test_an_outage_survives_kill_9_until_it_is_cancelled(start):
    """What is planned for next week must not be forgotten because a process was."""
    first = start()
    with first.client() as client:
        client.schedule_outage(FAR_AHEAD)
    first.kill()
    with start().client() as client:
        assert client.snapshot().outages == (replace(FAR_AHEAD, source=FailureSource.PLANNED),)
        client.cancel_outage("ups:U2")
        assert client.snapshot().outages == ()


def test_outages_that_mean_nothing_are_refused(client):
    """By name, over the wire as well."""
    with pytest.raises(NotFound, match="U9"):
        client.schedule_outage(replace(FAR_AHEAD, element="U9"))
    with pytest.raises(InvalidInput, match="over already"):
        client.schedule_outage(replace(FAR_AHEAD, started_at_s=0.0))
    with pytest.raises(NotFound, match="none is planned"):
        client.cancel_outage("ups:U2")


def test_a_placement_says_what_failures_would_cost(client):
    """Eighty opaque VMs fill what can be secured: some failure needs all that is left, and VMs are refused for it."""
    placed = client.place([Vm(f"v{n}", VmKind.IAAS, "acme") for n in range(80)], validate_only=True)
    assert "failure_secure" in {one.reason for one in placed.decision.rejections}
    assert {cost.room for cost in placed.failure_costs} == {"room1"}
    assert all(cost.cost >= 0 and cost.unit in ("W", "CFM") for cost in placed.failure_costs)
