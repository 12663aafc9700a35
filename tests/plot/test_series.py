from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.plot.series import fullest, steps, thinned


def test_a_short_series_is_left_alone():
    assert thinned(np.array([3.0, 1.0, 2.0]), 10).tolist() == [0, 1, 2]


def test_nothing_thins_to_nothing():
    assert thinned(np.array([]), 10).tolist() == []
    assert steps(np.array([]), 10).tolist() == []


@pytest.mark.parametrize("n", [101, 1_000, 9_999])
def test_a_second_long_peak_survives_thinning(n):
    """The one second above the limit is what the picture is looked at for."""
    values = np.ones(n)
    values[n // 3], values[2 * n // 3] = 9.0, -9.0
    kept = thinned(values, 50)
    assert {9.0, -9.0} <= set(values[kept])
    assert len(kept) <= 60
    assert kept[0] == 0 and kept[-1] == n - 1  # noqa: PT018  one claim: the ends stay
    assert np.all(np.diff(kept) > 0)


def test_a_gap_stays_a_gap():
    """Missing is not zero, nor a line drawn across."""
    values = np.ones(1_000)
    values[500] = np.nan
    assert np.isnan(values[thinned(values, 40)]).any()


def test_a_series_without_any_value_is_a_gap():
    assert np.isnan(np.full(200, np.nan)[thinned(np.full(200, np.nan), 20)]).all()


def test_a_limit_keeps_the_moments_around_each_of_its_steps():
    """100 for three samples, 60 for two, 100 again: indices 0, 2 | 3, 4 | 5, 6."""
    assert steps(np.array([100.0, 100, 100, 60, 60, 100, 100]), 50).tolist() == [0, 2, 3, 4, 5, 6]


def test_the_fullest_domain_is_relative_to_its_own_limit():
    """8 of 10 is fuller than 12 of 20."""
    frac, which = fullest(np.array([[8.0, 12.0]]), np.array([[10.0, 20.0]]))
    assert frac.tolist() == [0.8]
    assert which.tolist() == [0]


def test_a_domain_out_of_service_is_not_the_fullest():
    """A failed UPS has no capacity left, and is not infinitely full."""
    frac, which = fullest(np.array([[0.0, 12.0], [0.0, 0.0]]), np.array([[0.0, 20.0], [0.0, 0.0]]))
    assert frac[0] == 0.6
    assert which[0] == 1
    assert np.isnan(frac[1])


def test_no_domains_are_never_full():
    assert np.isnan(fullest(np.empty((3, 0)), np.empty((3, 0)))[0]).all()
