"""Curves that never fall, and the convex majorant that a linear model gets."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.learn.curve import Curve, Surface, convex_majorant

X = np.linspace(0.0, 4.0, 81)


def test_a_convex_curve_keeps_its_own_values_at_the_points():
    """x² at 0, 2, 4: chords lie above it, most at 1 and 3, where (0 + 4) / 2 − 1 = 1."""
    majorant = convex_majorant([0.0, 2.0, 4.0], X, X**2)
    assert majorant.values == pytest.approx([0.0, 4.0, 16.0])
    assert majorant.excess == pytest.approx(1.0)


def test_a_concave_curve_becomes_one_line_that_touches_it():
    """√x on 0..4: the chord x/2 lies below by at most 1 − 1/2 at x = 1, so the line is x/2 + 1/2."""
    majorant = convex_majorant([0.0, 2.0, 4.0], X, np.sqrt(X))
    assert majorant.values == pytest.approx([0.5, 1.5, 2.5])
    assert majorant.excess == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(20))
def test_no_curve_escapes_its_majorant(seed):
    rng = np.random.default_rng(seed)
    curve = np.cumsum(rng.exponential(1.0, X.size))
    points = rng.choice(X, rng.integers(2, 7), replace=False)
    majorant = convex_majorant(points, X, curve)
    order = np.argsort(points)
    inside = (points.min() <= X) & (points.max() >= X)
    over = np.interp(X[inside], points[order], majorant.values[order]) - curve[inside]
    slopes = np.diff(majorant.values[order]) / np.diff(points[order])
    assert over.min() >= -1e-9
    assert (np.diff(slopes) >= -1e-9).all()
    assert over.max() == pytest.approx(majorant.excess)


def test_a_single_point_is_its_own_majorant():
    majorant = convex_majorant([2.0], X, X**2)
    assert majorant.values == pytest.approx([4.0])
    assert majorant.excess == 0.0


def test_below_what_was_seen_the_lowest_value_stands():
    curve = Curve((0.2, 0.8), (100.0, 300.0), 50.0, 5.0)
    surface = Surface((100.0, 300.0), (20.0, 30.0), ((1000.0, 1100.0), (2000.0, 2300.0)), 10.0)
    assert curve.at([0.0, 0.2, 0.5]) == pytest.approx([100.0, 100.0, 200.0])
    assert surface.at(0.0, 0.0) == 1000.0
    assert surface.at(200.0, 25.0) == pytest.approx((1000 + 1100 + 2000 + 2300) / 4)


def test_a_curve_or_surface_that_falls_is_refused():
    with pytest.raises(ValueError, match="power_w needs one value"):
        Curve((0.0, 1.0), (300.0, 100.0), 50.0, 5.0)
    with pytest.raises(ValueError, match="must not fall"):
        Surface((100.0, 300.0), (20.0, 30.0), ((1000.0, 900.0), (2000.0, 2300.0)), 10.0)
    with pytest.raises(ValueError, match="one row for each"):
        Surface((100.0, 300.0), (20.0, 30.0), ((1000.0, 1100.0),), 10.0)


def test_many_servers_of_few_kinds_are_as_one_by_one():
    """The short way for large sites, below, inside and above the knots."""
    surface = Surface((100.0, 200.0, 400.0), (18.0, 27.0), ((1.0, 2.0), (3.0, 5.0), (9.0, 12.0)), 0.5)
    rng = np.random.default_rng(0)
    power, kind = rng.uniform(50.0, 500.0, (4, 6)), rng.integers(0, 4, 30)
    inlet = rng.uniform(15.0, 32.0, 30)
    assert surface.at_inlets(power, kind, inlet) == pytest.approx(surface.at(power[kind], inlet[:, None]), rel=1e-12)
