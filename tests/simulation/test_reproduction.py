"""The paper's figures from records, with numbers that a person can work out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.topology import topology_of
from tapas_opt.simulation.record import Moment, Outage, stacked
from tapas_opt.simulation.reproduction import HEADLINES, Outcome
from tapas_opt.simulation.scenarios import SCENARIOS

METRICS = {
    "max_gpu_temperature_c": 80.0,
    "max_gpu_rise_over_inlet_k": 50.0,
    "peak_row_power_frac": 1.0,
    "thermal_throttle_events": 0,
    "power_throttle_events": 100,
    "thermal_throttle_time_frac": 0.001,
    "power_cap_time_frac": 0.2,
}


@pytest.fixture
def record(two_rows):
    """Three samples: before a failure at 100 s, in its first minute, and in its fourth."""
    zero = np.zeros(1)
    moments = [
        Moment(t_s, zero, zero, zero, zero, zero, zero, 60.0, 0, quality, served, iaas)
        for t_s, quality, served, iaas in ((90.0, 1.0, 1.0, 1.0), (130.0, 0.5, 0.5, 0.5), (300.0, 0.9, 0.8, 0.65))
    ]
    return replace(stacked("tapas", topology_of(two_rows), moments, ()), metrics=METRICS)


def figure(what, outcome):
    return next(one for one in HEADLINES if one.what.startswith(what)).of(outcome)


def test_reductions_are_relative_to_the_baseline(record):
    better = replace(record, metrics=METRICS | {"max_gpu_temperature_c": 72.0, "power_throttle_events": 1})
    outcome = Outcome(better, record, ())
    assert figure("hottest GPU in °C", outcome) == pytest.approx(-0.1)
    assert figure("power throttling events", outcome) == pytest.approx(-0.99)
    assert math.isnan(figure("thermal throttling events", outcome)), "nothing can be fewer than none"


def test_what_is_slowed_counts_whether_by_heat_or_by_caps(record):
    assert figure("time slowed", Outcome(record, record, ())) == pytest.approx(0.2)


def test_losses_of_an_emergency_are_those_from_its_second_minute_to_its_end(record):
    outcome = Outcome(record, record, (Outage("room_power:room1", 100.0, 400.0),))
    assert figure("power at 75 % for 5 min: IaaS", outcome) == pytest.approx(0.35)
    assert figure("power at 75 % for 5 min: SaaS", outcome) == pytest.approx(0.2)
    assert figure("power at 75 % for 5 min: quality", outcome) == pytest.approx(0.1)


def test_every_figure_has_a_scenario():
    assert {one.scenario for one in HEADLINES} <= set(SCENARIOS)
    assert len({one.what for one in HEADLINES}) == len(HEADLINES)
