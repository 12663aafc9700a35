"""What the sensors said last: missing, stale or absurd is never a number."""

import numpy as np
import pytest

from tapas_opt.control.telemetry import FRESH_S, Latest, Readings


@pytest.fixture
def latest():
    """S1 was measured at 4,000 W when the clock stood at 1,000 s."""
    latest = Latest()
    latest.take(Readings(1_000.0, server_power_w={"S1": 4_000.0}, outdoor_c={"room1": 30.0}))
    return latest


def test_a_reading_counts_while_it_is_fresh(latest):
    """15 minutes and not a second more: predictions with their margins take its place then."""
    assert latest.get("server_power_w", "S1", 1_000.0 + FRESH_S) == 4_000.0
    assert latest.get("server_power_w", "S1", 1_001.0 + FRESH_S) is None


def test_what_was_never_measured_is_missing_and_not_nought(latest, demo_topology, two_rows):
    """A server that draws 0 W would free its whole budget."""
    assert latest.get("server_power_w", "S2", 1_000.0) is None
    assert latest.get("ups_power_w", "U1", 1_000.0) is None
    assert np.isnan(latest.server_power_w(demo_topology, 1_000.0)).all()
    assert latest.outdoor_c(demo_topology, 1_001.0 + FRESH_S) is None


@pytest.mark.parametrize("absurd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_believed(latest, absurd):
    """A broken sensor must not push out what a sound one said."""
    latest.take(Readings(1_010.0, server_power_w={"S1": absurd, "S2": absurd}))
    assert latest.get("server_power_w", "S1", 1_010.0) == 4_000.0
    assert latest.get("server_power_w", "S2", 1_010.0) is None


def test_an_older_reading_that_comes_later_is_dropped(latest):
    """Collectors retry, so batches arrive out of order."""
    latest.take(Readings(990.0, server_power_w={"S1": 1_000.0, "S2": 2_000.0}))
    assert latest.get("server_power_w", "S1", 1_000.0) == 4_000.0
    assert latest.get("server_power_w", "S2", 1_000.0) == 2_000.0
    assert latest.newest_s == 1_000.0


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
