"""What the sensors said last: missing, stale or absurd is never a number."""

import numpy as np
import pytest

from tapas_opt.control.telemetry import FRESH_S, STALE_S, Late, Latest, Readings, aged_frac
from tapas_opt.domain.topology import topology_of


@pytest.fixture
def latest():
    """S1 was measured at 4,000 W when the clock stood at 1,000 s."""
    latest = Latest()
    latest.take(Readings(1_000.0, server_power_w={"S1": 4_000.0}, outdoor_c={"room1": 30.0}))
    return latest


def test_a_reading_counts_until_it_is_stale(latest):
    """15 minutes and not a second more: predictions with their margins take its place then."""
    assert latest.get("server_power_w", "S1", 1_000.0 + STALE_S) == 4_000.0
    assert latest.get("server_power_w", "S1", 1_001.0 + STALE_S) is None


def test_what_was_never_measured_is_missing_and_not_nought(latest, demo_topology, two_rows):
    """A server that draws 0 W would free its whole budget."""
    assert latest.get("server_power_w", "S2", 1_000.0) is None
    assert latest.get("ups_power_w", "U1", 1_000.0) is None
    assert np.isnan(latest.server_power_w(demo_topology, 1_000.0)).all()
    assert latest.outdoor_c(demo_topology, 1_001.0 + STALE_S) is None


@pytest.mark.parametrize("absurd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_believed(latest, absurd):
    """A broken sensor must not push out what a sound one said."""
    latest.take(Readings(1_010.0, server_power_w={"S1": absurd, "S2": absurd}))
    assert latest.get("server_power_w", "S1", 1_010.0) == 4_000.0
    assert latest.get("server_power_w", "S2", 1_010.0) is None


def test_an_older_reading_that_comes_later_is_refused_by_name(latest):
    """Collectors retry, so batches arrive out of order; what is new in an old batch is taken."""
    late = latest.take(Readings(990.0, server_power_w={"S1": 1_000.0, "S2": 2_000.0}))
    assert late == [Late("server S1: server_power_w of 990 s came after the one of 1000 s")]
    assert latest.get("server_power_w", "S1", 1_000.0) == 4_000.0
    assert latest.get("server_power_w", "S2", 1_000.0) == 2_000.0
    assert latest.newest_s == 1_000.0


def test_what_was_sent_before_says_nothing_new(latest):
    """A repeated batch must not look like a sensor that was read twice."""
    gpus = Readings(1_000.0, gpu_power_w={"S1": (100.0, np.nan)})
    assert latest.take(gpus) == []
    assert latest.take(gpus) == [Late("server S1: gpu_power_w of 1000 s was sent before")]
    assert [late.what for late in latest.take(Readings(1_000.0, server_power_w={"S1": 4_000.0}))] == [
        "server S1: server_power_w of 1000 s was sent before"
    ]


def test_the_last_of_one_second_counts(latest):
    """A correction bears the time of what it corrects."""
    latest.take(Readings(1_000.0, server_power_w={"S1": 4_100.0}))
    assert latest.get("server_power_w", "S1", 1_000.0) == 4_100.0


def test_the_age_is_that_of_the_newest_batch(latest):
    """None before the first one; a clock that lags behind the sensors makes no negative age."""
    assert Latest().age_s(5.0) is None
    assert latest.age_s(1_060.0) == 60.0
    assert latest.age_s(999.0) == 0.0


def test_the_warmest_room_counts(latest, demo_topology):
    """Whoever plans for one outdoor temperature plans for the worst."""
    room = demo_topology.rooms[0]
    latest.take(Readings(1_000.0, outdoor_c={room: 31.0, "elsewhere": 40.0}))
    assert latest.outdoor_c(demo_topology, 1_000.0) == 31.0


def test_readings_of_gpus_are_laid_out_by_number_and_missing_where_nothing_was_said(two_rows):
    """S1's second GPU was not measured, S2 sent two of eight, S3 none; S4's are stale."""
    latest, topology = Latest(), topology_of(two_rows)
    latest.take(Readings(0.0, gpu_power_w={"S4": (70.0,) * 8}))
    latest.take(Readings(1_000.0, gpu_power_w={"S1": (300.0, np.inf, *[310.0] * 6), "S2": (200.0, 210.0)}))
    latest.take(Readings(1_000.0, gpu_power_w={"S3": (np.nan,) * 8}))
    power = latest.per_gpu("gpu_power_w", topology, 1_000.0)
    assert power.shape == (6, 8)
    assert power[0, 0] == 300.0
    assert np.isfinite(power).sum(axis=1).tolist() == [7, 2, 0, 0, 0, 0]
    assert latest.get("gpu_power_w", "S1", 1_000.0) is None


def test_a_reading_opens_with_age_until_it_says_no_more_than_the_prediction():
    """Nothing up to two minutes, all from a quarter of an hour on and where there is none; (510 − 120) / 780 = ½."""
    ages = np.array([0.0, FRESH_S, 510.0, STALE_S, STALE_S + 1, np.nan])
    assert aged_frac(ages).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0, 1.0]


def test_each_reading_has_an_age_of_its_own(latest):
    """Sources are polled at different times, and one may be dead while the others live."""
    latest.take(Readings(1_510.0, server_power_w={"S2": 1.0}))
    assert latest.aged_frac("server_power_w", ("S1", "S2", "S3"), 1_510.0).tolist() == [0.5, 0.0, 1.0]
