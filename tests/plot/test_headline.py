from __future__ import annotations

from dataclasses import replace

import numpy as np

from tapas_opt.plot.headline import headline, verdict
from tapas_opt.plot.words import clock_time, duration, element, listed, several_days
from tapas_opt.simulation.record import Incident


def test_the_headline_says_what_happened_to_each_policy(tripped):
    """A reader with ten seconds reads this and nothing else."""
    text = headline(tripped)
    assert text.startswith("With UPS U2 and air handler AHU1 failing, baseline tripped UPS U3 at 14:00:11")
    assert "tapas-opt kept every UPS within its tolerance (the worst overload used 41 % of it)" in text
    assert text.endswith("served 97 % of demand at its worst moment.")


def test_a_trip_that_no_incident_names_is_counted(baseline):
    quiet = replace(baseline, incidents=(), metrics={"ups_trips": 2.0})
    assert verdict(quiet).startswith("baseline tripped 2 UPSs, let a GPU reach")


def test_a_ups_is_named_by_its_whole_name(baseline):
    """UPS U31 tripping says nothing of U3."""
    told = replace(baseline, upses=("U3", "U31"), incidents=(Incident(5.0, "UPS U31 tripped"),))
    assert "tripped UPS U31 at" in verdict(told)


def test_the_first_trip_of_a_ups_gives_the_time(baseline):
    """A PDU named after its UPS trips first; it is a breaker, and not that UPS."""
    told = (Incident(5.0, "U3-P1 trips under overload"), Incident(65.0, "U3 trips under overload"))
    text = verdict(replace(baseline, incidents=told, metrics={"ups_trips": 1.0, "breaker_trips": 1.0}))
    assert text.startswith("baseline tripped UPS U3 at 00:01:05, tripped 1 breaker, let")


def test_what_a_policy_bought_its_calm_with_is_said(ours):
    """Turning VMs away is an easy way never to overload a UPS."""
    text = verdict(
        replace(ours, metrics={"ups_trips": 0.0, "worst_overload_frac_of_tolerance": 0.0, "vms_rejected": 9.0})
    )
    assert text == "tapas-opt never overloaded a UPS, turned away 9 VMs and served 97 % of demand at its worst moment"


def test_air_that_was_short_is_said(baseline):
    text = verdict(replace(baseline, metrics={"ups_trips": 0.0, "peak_aisle_airflow_frac": 1.087}, incidents=()))
    assert "needed 109 % of the air that an aisle had" in text


def test_without_the_metric_nothing_is_claimed_about_trips(ours):
    """What was not counted is not called zero."""
    text = verdict(replace(ours, metrics={}))
    assert "tolerance" not in text
    assert "loaded its fullest UPS to" in text


def test_a_record_without_samples_says_so(ours):
    nothing = np.array([])
    domains = np.empty((0, 4))
    empty = replace(
        ours,
        metrics={},
        t_s=nothing,
        hottest_gpu_c=nothing,
        served_frac=nothing,
        ups_power_w=domains,
        ups_capacity_w=domains,
    )
    assert verdict(empty) == "tapas-opt left no samples"


def test_a_run_without_policies_says_so(make_run):
    assert "no policy" in headline(make_run())


def test_a_quiet_day_is_not_called_a_failure(ours, make_run):
    assert headline(make_run(ours, outages=())).startswith("Without any failure, tapas-opt")


def test_words_for_people():
    assert clock_time(14 * 3600 + 63) == "14:01:03"
    assert clock_time(86_400 + 60, with_day=True) == "day 2, 00:01:00"
    assert duration(90) == "90 s"
    assert duration(300) == "5 min"
    assert duration(3 * 3600) == "3 h"
    assert duration(9_000) == "2 h 30 min"
    assert duration(float("inf")) == "the rest of the run"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert element("room_power:room1") == "part of the power of room1"
    assert not several_days([2 * 86_400.0, 3 * 86_400.0])  # the third day, from midnight to midnight
    assert not several_days([0.0])
    assert several_days([86_399.0, 86_460.0])
    assert element("something else") == "something else"
