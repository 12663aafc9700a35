"""A policy through a story: who is asked what, when, and that the same seed tells the same story."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.simulation.loop import run_story
from tapas_opt.simulation.policies.table import Known, policy_of
from tapas_opt.simulation.policy import Orders
from tapas_opt.simulation.record import Record

AFTERNOON = (14.9, 15.7)


def sixteen(**shape):
    """Sixteen servers in two rows on four UPSs."""
    return generate_site(16, name="sixteen", shape=SiteShape(racks_per_row=2, rows_per_aisle=1, **shape))


@pytest.fixture(scope="module")
def site():
    return sixteen()


@pytest.fixture
def baseline(profiles):
    """The baseline on a site; it predicts nothing, and so needs no models."""
    return lambda site: policy_of("baseline", Known(site, None, profiles, ()))


@pytest.fixture
def through(room_of, started, scripted):
    """Take a policy through a day on a site, from a room of its own; the scripted one if none is given."""

    def run(day, site, policy=None):
        policy = policy or scripted(topology_of(site).servers)
        return run_story(day, room_of(site, day.start_s), policy, started), policy

    return run


def test_the_same_seed_tells_the_same_story_twice(make, failing, site, through, baseline):
    """Bit by bit: series, incidents and metrics."""
    day = make([failing(15.0)], hours=AFTERNOON)
    first, second = (through(day, site, baseline(site))[0] for _ in range(2))
    for item in fields(Record):
        one, two = getattr(first, item.name), getattr(second, item.name)
        if item.name == "metrics":
            one, two = ({name: value for name, value in of.items() if name != "decision_p99_s"} for of in (one, two))
        assert np.array_equal(one, two, equal_nan=True) if isinstance(one, np.ndarray) else one == two, item.name


def test_the_baseline_caps_during_the_failure_and_not_after(make, failing, site, through, baseline):
    record, _ = through(make([failing(15.0)], hours=AFTERNOON), site, baseline(site))
    # 12 VMs at midnight, one of them may have left: each that was there at 15:00 is capped once.
    assert record.metrics["power_throttle_events"] == record.metrics["vms_placed"] > 0
    assert record.iaas_performance_frac.min() == pytest.approx(0.65)
    assert record.iaas_performance_frac[-1] == 1.0
    assert [incident.text for incident in record.incidents][:2] == [
        "ups:U2 fails",
        "ups:U2 failed: every clock capped at 65%",
    ]


def test_a_policy_is_asked_at_the_times_that_are_promised(make, failing, site, through, clock):
    """Telemetry every minute, every ten seconds in a failure; a review every 15 minutes and 30 s after a failure."""
    _, policy = through(make([failing(15.0)], hours=(14.5, 15.75)), site)
    failed, back = clock(15.0), clock(15.5)
    assert policy.times("failed") == [failed]
    assert policy.times("cleared") == [back]
    assert np.diff([t for t in policy.times("observe") if failed <= t < back]).tolist() == [10.0] * 179
    assert np.diff([t for t in policy.times("observe") if t <= failed]).tolist() == [60.0] * 30
    reviews = [clock(14.5), clock(14.75), failed + 30, failed + 930, back + 30, back + 930]
    assert policy.times("review") == [t for t in reviews if t < clock(15.75)]


def test_vms_that_somebody_else_placed_are_adopted_first_and_count_as_placed(make, site, through):
    servers = topology_of(site).servers
    record, policy = through(make(hours=(0.0, 0.1), occupied=servers[::10]), site)
    assert [name for name, _ in policy.asked][:2] == ["adopt", "place"]
    assert (record.metrics["vms_adopted"], record.metrics["vms_placed"]) == (2, 12)


def test_vms_without_a_server_are_rejected_and_their_demand_stays(make, site, through):
    """20 VMs, 16 servers."""
    record, _ = through(make(hours=(0.0, 0.1), running=20), site)
    assert (record.metrics["vms_placed"], record.metrics["vms_rejected"]) == (16, 4)
    assert record.traffic.saas_vm_h + record.traffic.iaas_vm_h == pytest.approx(20 * 0.1)


def test_every_request_is_either_routed_or_refused(make, site, through, scripted):
    """A thousand an endpoint, two endpoints."""
    record, _ = through(make(), site)
    assert (record.metrics["requests_routed"], record.metrics["requests_refused"]) == (2_000, 0)
    refusing = scripted(topology_of(site).servers, routes=False)
    refused, _ = through(make(hours=(0.0, 1.0)), site, refusing)
    assert refused.metrics["requests_routed"] == 0
    assert refused.metrics["requests_refused"] > 0


def test_vms_that_leave_are_released_and_their_servers_idle(make, site, through):
    day = make(arriving=8)
    leaving = [name for batch in day.arrivals for name in batch.leaving]
    record, policy = through(day, site)
    assert len(policy.times("release")) == sum(bool(batch.leaving) for batch in day.arrivals)
    assert not set(leaving) & set(policy.vms)
    left_s = {name: batch.at_s for batch in day.arrivals for name in batch.leaving}
    came_s = {vm.name: batch.at_s for batch in day.arrivals for vm in batch.vms}
    vms = (*day.running, *(vm for batch in day.arrivals for vm in batch.vms))
    hours = [(left_s.get(vm.name, day.end_s) - came_s.get(vm.name, day.start_s)) / 3600 for vm in vms]
    assert record.traffic.saas_vm_h + record.traffic.iaas_vm_h == pytest.approx(sum(hours), abs=len(vms) / 60)


def test_orders_take_effect_after_their_delay_and_are_reported_back(make, failing, site, through, scripted, clock):
    """A lower clock is ordered at the failure, done two seconds later, and counted as one change."""
    day = make([failing(15.0)], hours=AFTERNOON)
    chat = next(vm.name for vm in day.running if vm.endpoint == "conv")
    answer = Orders({chat: "llama2-70b-fp16-tp8-b64-f1200@1"}, why="slower")
    record, policy = through(day, site, scripted(topology_of(site).servers, answer))
    assert policy.times(f"applied {chat}") == [clock(15.0) + 2]
    assert record.metrics["configuration_changes"] == 1
    assert "slower" in [incident.text for incident in record.incidents]


def test_gateways_hear_of_a_failure_when_its_plan_is_published(make, failing, site, through, scripted, clock):
    """Half a second to detect, half a second to decide: nobody is sent elsewhere in the second of the failure."""

    class Refusing(scripted):
        def shares(self, now_s):
            return {} if self.times("failed") else super().shares(now_s)

    day = make([failing(15.0)], hours=AFTERNOON)
    record, _ = through(day, site, Refusing(topology_of(site).servers))
    served_s = record.t_s[record.served_frac > 0.0]
    assert served_s.max() == clock(15.0) + 1.0, "samples are of the end of a step"


def test_a_policy_that_does_nothing_in_too_small_a_room_trips_a_ups(make, failing, through, clock):
    """Rated for 72 % of the nameplate, four UPSs carry sixteen VMs in the afternoon, three do not."""
    tight = sixteen(ups_power_frac=0.72)
    record, _ = through(make([failing(15.0)], hours=AFTERNOON, running=16), tight)
    before = record.t_s <= clock(15.0)
    assert (record.ups_power_w[before] <= record.ups_capacity_w[before]).all()
    assert record.metrics["ups_trips"] > 0
    assert record.metrics["worst_overload_frac_of_tolerance"] == 1.0
    assert record.metrics["relief_s"] == np.inf
    assert any("trips under overload" in incident.text for incident in record.incidents)
