"""The day that every policy meets: how time goes, what is asked for, and that no request is lost or told twice."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tapas_opt.domain.workload import VmKind


def lengths(day, from_s, until_s):
    return [length for start, length in day.steps() if from_s <= start < until_s]


def test_a_calm_day_goes_minute_by_minute(make):
    assert [length for _, length in make().steps()] == [60.0] * 1440


def test_time_goes_by_seconds_after_a_failure_and_after_its_end(make, failing, clock):
    """A failure at 15:00 for half an hour: 300 s by seconds, 1,500 s by tens, then 60 s by seconds after its end."""
    day = make([failing(15.0)])
    assert lengths(day, clock(15.0), clock(15.0) + 300) == [1.0] * 300
    assert lengths(day, clock(15.0) + 300, clock(15.5)) == [10.0] * 150
    assert lengths(day, clock(15.5), clock(15.5) + 60) == [1.0] * 60
    assert set(lengths(day, clock(16.0), clock(24.0))) == {60.0}


def test_steps_follow_each_other_without_a_gap_from_midnight_to_midnight(make, failing, clock):
    """Also around a failure that comes between two minutes."""
    steps = list(make([failing(15.0), failing(15.1083, "U3")]).steps())
    assert steps[0][0] == clock(0.0)
    assert all(start + length == then for (start, length), (then, _) in pairwise(steps))
    assert sum(steps[-1]) == pytest.approx(clock(24.0))


def test_a_second_failure_is_watched_as_closely_as_the_first(make, failing, clock):
    """U3 fails ten minutes after U2, when U2's seconds are over but its outage is not."""
    day = make([failing(15.0), failing(15.0 + 1 / 6, "U3")])
    assert set(lengths(day, clock(15.0) + 600, clock(15.0) + 900)) == {1.0}


def test_a_failure_between_two_minutes_begins_a_step(make, failing, clock):
    day = make([failing(15.0 + 30 / 3600)])
    assert any(start == pytest.approx(clock(15.0) + 30, abs=1e-6) for start, _ in day.steps())


def test_every_request_of_the_trace_falls_into_the_day_exactly_once(make, failing, trace):
    """In order, whatever the lengths of the steps."""
    day = make([failing(15.0), failing(17.0083, "U1")])
    for endpoint, table in trace.items():
        told = [one for now, length in day.steps() for one in day.requests_between(endpoint, now, now + length)]
        assert [request.prompt_tokens for request in told] == table.context_tokens.tolist()


def test_requests_come_as_densely_as_demand_has_it(make, clock):
    """The busiest hours of the afternoon bring more than the same hours of the night."""
    day = make()
    night, noon = (len(day.requests_between("conv", clock(h), clock(h + 2))) for h in (2, 14))
    assert noon > 1.5 * night > 0


def test_two_halves_of_a_day_bring_what_the_whole_day_brings(make, trace):
    """A request belongs to the hours in which it comes."""
    halves = [make(hours=(0.0, 15.25)), make(hours=(15.25, 24.0))]
    told = [
        request.prompt_tokens
        for day in halves
        for now, length in day.steps()
        for request in day.requests_between("conv", now, now + length)
    ]
    assert told == trace["conv"].context_tokens.tolist()


def test_a_part_of_a_day_has_the_failures_that_begin_in_it(make, failing):
    failures = [failing(15.0), failing(17.0, "U1")]
    assert make(failures, hours=(14.0, 16.0)).failures == (failures[0],)
    assert make(failures, hours=(17.0, 17.5)).failures == (failures[1],)


def test_a_part_of_a_day_begins_with_the_vms_that_the_whole_day_has_by_then(make, clock):
    """Those of midnight and those that came before, without those that have left."""
    whole, afternoon = make(running=12, arriving=8), make(running=12, arriving=8, hours=(14.0, 24.0))
    before = [batch for batch in whole.arrivals if batch.at_s <= clock(14.0)]
    there = {vm.name for vm in whole.running} | {vm.name for batch in before for vm in batch.vms}
    assert before
    assert {vm.name for vm in afternoon.running} == there - {name for batch in before for name in batch.leaving}
    assert afternoon.arrivals == tuple(batch for batch in whole.arrivals if batch not in before)


def test_demand_follows_the_vms_that_were_asked_for(make, clock, started):
    """Each instance brings its goodput times its endpoint's load; IaaS VMs bring nothing."""

    def demand(day, vms):
        return day.demand_tokens_per_s(clock(15.0), day.planned_tokens_per_s(vms))

    day = make(running=40)
    saas = [vm for vm in day.running if vm.endpoint == "conv"]
    load = day.workload.endpoint_load_frac(clock(15.0))["conv"]
    one, two = (demand(day, saas[:n])["conv"] for n in (1, 2))
    assert one == pytest.approx(load * started["conv"].goodput_tokens_per_s)
    assert two == pytest.approx(2 * one)
    iaas = [vm for vm in day.running if vm.kind is VmKind.IAAS]
    assert set(demand(day, iaas).values()) == {0.0}


def test_the_first_vms_are_on_the_servers_that_were_occupied(make):
    """What a naive allocator did before the day began is the same for every policy."""
    plain, occupied = make(), make(occupied=("S1", "S5"))
    assert occupied.adopted == ((plain.running[0], "S1"), (plain.running[1], "S5"))
    assert occupied.running == plain.running[2:]


def test_nobody_leaves_who_was_not_there(make):
    day = make(running=40, arriving=20)
    leaving = [name for batch in day.arrivals for name in batch.leaving]
    assert leaving
    assert set(leaving) <= {vm.name for vm in day.running}
    assert len(leaving) == len(set(leaving))
