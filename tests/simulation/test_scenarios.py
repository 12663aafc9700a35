"""Scenarios: each does what its name says, on the site that it meets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.failure import FailureKind, effect_of
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.scenarios import SCENARIOS, Frame

START_S, DAY_S = 0.0, 86_400.0
PEAK_S = 15 * 3600.0


@pytest.fixture
def twist(two_rows):
    def of(name, days=1.0):
        return SCENARIOS[name](Frame(topology_of(two_rows), ("conv", "code"), START_S, START_S + days * DAY_S))

    return of


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("days", [0.25, 1.0])
def test_every_scenario_names_elements_of_its_site_and_begins_within_its_time(name, days, twist, two_rows):
    for item in twist(name, days).failures:
        effect_of(topology_of(two_rows), (item.failure,))
        assert START_S <= item.at_s < item.until_s
        assert item.at_s < days * DAY_S


def test_the_papers_emergencies_take_a_quarter_of_power_and_a_tenth_of_air_for_five_minutes(twist):
    power, air = twist("paper_both").failures
    assert (power.failure.kind, power.failure.remaining_frac) == (FailureKind.ROOM_POWER, 0.75)
    assert (air.failure.kind, air.failure.remaining_frac) == (FailureKind.ROOM_AIRFLOW, 0.90)
    assert (power.at_s, power.until_s) == (air.at_s, air.until_s) == (PEAK_S, PEAK_S + 300)


def test_the_long_ones_last_twelve_hours_across_the_peak(twist):
    (item,) = twist("paper_power_12h").failures
    assert (item.at_s, item.until_s) == (PEAK_S - 6 * 3600, PEAK_S + 6 * 3600)


def test_maintenance_is_announced_and_another_ups_fails_meanwhile(twist):
    planned, failed = twist("maintenance").failures
    assert (planned.failure.element, failed.failure.element) == ("U1", "U2")
    assert planned.announced_at_s == START_S
    assert failed.announced_at_s is None
    assert planned.at_s < failed.at_s < failed.until_s < planned.until_s


def test_a_spike_triples_one_endpoints_demand_and_nobody_elses(make, clock, started):
    """Within a minute, for half an hour; ten minutes later it is over."""
    calm = make()
    spikes = SCENARIOS["spike"](Frame(None, ("conv", "code"), clock(0.0), clock(24.0))).spikes
    struck = replace(calm, workload=Workload(seed=1, spikes=spikes))
    planned = dict.fromkeys(started, 1000.0)
    for minute, factor in ((0, 1.0), (1, 3.0), (30, 3.0), (42, 1.0)):
        now_s = clock(15.0) + 60.0 * minute
        before, during = (day.demand_tokens_per_s(now_s, planned) for day in (calm, struck))
        assert during == pytest.approx({"conv": factor * before["conv"], "code": before["code"]})
