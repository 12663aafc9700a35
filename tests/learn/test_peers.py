"""A lost sensor from its neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.learn.peers import fit_peers

RACKS = np.repeat([0, 1, 2], 5)


def room(days, rng):
    """A room that warms and cools, racks of their own, a gradient up each rack, and little noise."""
    height = np.tile(np.arange(5) - 2.0, 3)
    shared, rack, tilt = rng.normal(0, 2, (days, 1)), rng.normal(0, 1, (days, 3)), rng.normal(0, 0.5, (days, 3))
    offset = np.linspace(-3, 3, 15)
    return 20 + offset + shared + rack[:, RACKS] + tilt[:, RACKS] * height + rng.normal(0, 0.1, (days, 15))


@pytest.fixture
def days():
    return room(400, np.random.default_rng(1))


def test_neighbours_know_what_fixed_offsets_do_not(days):
    """Tilt and level of a rack follow from its four other sensors; the room's mean misses them."""
    peers = fit_peers(days[:300], RACKS)
    off = np.abs(peers.without_own(days[300:]) - days[300:]).mean()
    offsets = days[:300].mean(axis=0) + (days[300:] - days[:300].mean(axis=0)).mean(axis=1)[:, None]
    assert off < 0.25
    assert np.abs(offsets - days[300:]).mean() > 0.8


def test_an_estimate_does_not_hang_on_the_reading_it_replaces(days):
    """Otherwise the figure for lost sensors would be no figure for lost sensors."""
    peers = fit_peers(days[:300], RACKS)
    lied = days[300:].copy()
    lied[:, 7] = 60.0
    assert np.allclose(peers.without_own(lied)[:, 7], peers.without_own(days[300:])[:, 7], atol=1e-9)


def test_neighbours_without_a_reading_are_left_out(days):
    """With a whole rack silent but for one sensor, the rest of the room still says something."""
    peers = fit_peers(days[:300], RACKS)
    gaps = days[300:].copy()
    gaps[:, 1:5] = np.nan
    expected = peers.without_own(gaps)
    assert np.isnan(expected[:, 1:5]).all()
    assert np.abs(expected[:, 0] - gaps[:, 0]).mean() < np.abs(peers.mean[0] - gaps[:, 0]).mean()


def test_a_sensor_alone_is_expected_where_it_ordinarily_is():
    rng = np.random.default_rng(2)
    alone = rng.normal(25, 1, (50, 1))
    peers = fit_peers(alone, np.zeros(1, dtype=np.int64))
    assert peers.without_own(np.array([[40.0]]))[0, 0] == pytest.approx(alone.mean(), abs=0.2)


def test_a_sensor_never_seen_before_is_taken_for_an_ordinary_one(days):
    days[:300, 3] = np.nan
    expected = fit_peers(days[:300], RACKS).without_own(days[300:])[:, 3]
    assert np.isfinite(expected).all()
    assert np.abs(expected - days[300:, 3]).mean() < 5.0
