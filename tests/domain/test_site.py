"""Tolerance curves: how long an overload is borne."""

from __future__ import annotations

import math

import pytest

from tapas_opt.domain.site import BREAKER, UPS_ON_BATTERY, UPS_ON_MAINS, ToleranceCurve


@pytest.fixture
def curve() -> ToleranceCurve:
    """100 s at 120 %, 1 s at 200 %."""
    return ToleranceCurve(points=((1.2, 100.0), (2.0, 1.0)))


def test_no_overload_is_borne_for_ever(curve):
    """At the rating is not above it."""
    assert curve.tolerance_s([0.0, 0.5, 1.0]).tolist() == [math.inf] * 3


def test_stated_points_are_met(curve):
    """What a data sheet says must come back."""
    assert curve.tolerance_s([1.2, 2.0]).tolist() == pytest.approx([100.0, 1.0])


def test_between_points_the_curve_is_straight_on_double_logarithmic_paper(curve):
    """Inverse-time curves are drawn so; a straight line on plain axes would promise too much."""
    # the geometric mean of the loads, √(1.2 × 2.0) = 1.549, bears the geometric mean of the times, √(100 × 1) = 10 s
    assert float(curve.tolerance_s(math.sqrt(1.2 * 2.0))) == pytest.approx(10.0)


def test_a_small_overload_is_borne_as_long_as_the_first_point_says(curve):
    """Nothing is known below it, so nothing more is promised."""
    assert float(curve.tolerance_s(1.01)) == pytest.approx(100.0)


def test_beyond_the_last_point_nothing_is_borne(curve):
    """The curve ends where the element opens at once."""
    assert float(curve.tolerance_s(2.01)) == 0.0


def test_one_point_is_a_curve():
    """The least that an owner can know."""
    assert ToleranceCurve(points=((1.33, 10.0),)).tolerance_s([1.2, 1.33, 1.4]).tolist() == pytest.approx([10, 10, 0])


def test_a_ups_on_battery_bears_four_thirds_for_about_ten_seconds():
    """The design point of 4N/3 rooms that sell their reserve."""
    assert float(UPS_ON_BATTERY.tolerance_s(1.333)) == pytest.approx(10.0)
    assert float(UPS_ON_MAINS.tolerance_s(1.25)) == pytest.approx(600.0)


@pytest.mark.parametrize("usual", [UPS_ON_MAINS, UPS_ON_BATTERY, BREAKER])
def test_usual_curves_never_bear_more_for_longer(usual):
    """The relation that every curve must keep."""
    loads = [1.0 + i / 100 for i in range(1, 120)]
    times = usual.tolerance_s(loads).tolist()
    assert times == sorted(times, reverse=True)


def test_a_site_lists_its_parts_in_the_order_of_its_file(two_rows):
    """Indices of arrays rest on this order."""
    assert [row.name for row in two_rows.rows()] == ["R1", "R2"]
    assert [rack.name for rack in two_rows.racks()] == ["K1", "K2", "K3", "K4", "K5", "K6"]
    assert [server.name for server in two_rows.servers()] == ["S1", "S2", "S3", "S4", "S5", "S6"]


def test_the_overload_borne_for_a_time_is_where_the_curve_says_that_time():
    """Halfway on log-log axes, at the ends of the curve, and never below the rating."""
    curve = ToleranceCurve(points=((1.2, 100.0), (2.0, 1.0)))
    assert curve.borne_frac(10.0) == pytest.approx(math.sqrt(1.2 * 2.0))
    assert (curve.borne_frac(0.1), curve.borne_frac(100.0), curve.borne_frac(101.0)) == pytest.approx((2.0, 1.2, 1.0))
    assert float(curve.tolerance_s(curve.borne_frac(37.0))) == pytest.approx(37.0)
