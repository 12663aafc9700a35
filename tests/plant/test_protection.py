"""Inverse-time protection: when it opens, what it remembers."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.site import BREAKER, UPS_ON_BATTERY, UPS_ON_MAINS, ToleranceCurve
from tapas_opt.plant.protection import InverseTime


def seconds_until_open(load_frac: float, dt_s: float = 1.0, curve: ToleranceCurve = UPS_ON_BATTERY) -> float:
    element = InverseTime([curve])
    for step in range(1, 10_000):
        if element.step(np.array([load_frac]), dt_s):
            return step * dt_s
    return np.inf


@pytest.mark.parametrize(("load_frac", "tolerance_s"), [(1.1, 60.0), (1.25, 20.0), (1.333, 10.0), (1.5, 3.0)])
def test_a_constant_overload_opens_at_the_time_of_its_curve(load_frac, tolerance_s):
    """The curve of the site file is a promise in seconds; the accumulator must keep it."""
    assert seconds_until_open(load_frac) == tolerance_s
    assert seconds_until_open(load_frac, dt_s=0.1) == pytest.approx(tolerance_s)


@pytest.mark.parametrize(
    ("curve", "load_frac", "tolerance_s"),
    [(UPS_ON_MAINS, 1.25, 600.0), (UPS_ON_MAINS, 1.5, 60.0), (UPS_ON_BATTERY, 4 / 3, 10.0), (BREAKER, 1.25, 300.0)],
)
def test_default_curves_are_as_published(curve, load_frac, tolerance_s):
    """Manuals of large UPSs on mains: 125 % 10 min, 150 % 1 min. The design point on battery: about 10 s at 133 %."""
    assert seconds_until_open(load_frac, curve=curve) == pytest.approx(tolerance_s, rel=0.02)


def test_a_load_at_its_rating_is_borne_forever_and_one_beyond_the_curve_not_at_all():
    """The two ends of the curve."""
    assert seconds_until_open(1.0, dt_s=60.0) == np.inf
    assert seconds_until_open(1.51) == 1.0


def test_a_changing_overload_uses_up_its_tolerance_in_parts():
    """Ten of 20 s at 125 % use one half; five of 10 s at 133.3 % the other."""
    element = InverseTime([UPS_ON_BATTERY])
    assert not element.step(np.array([1.25]), 10.0)
    assert element.used[0] == pytest.approx(0.5)
    assert element.step(np.array([1.333]), 5.0)


def test_tolerance_comes_back_slowly():
    """Half used; a third of the recovery time (600 of 1,800 s) gives a third back: 0.5 − 0.333 = 0.167."""
    element = InverseTime([UPS_ON_BATTERY])
    element.step(np.array([1.25]), 10.0)
    element.step(np.array([1.0]), 600.0)
    assert element.used[0] == pytest.approx(0.1667, abs=1e-4)
    element.step(np.array([0.2]), 600.0)
    assert element.used[0] == 0.0


def test_what_has_opened_stays_open_until_it_is_closed():
    """A tripped UPS does not come back by itself when its load is gone."""
    element = InverseTime([UPS_ON_BATTERY, UPS_ON_MAINS])
    assert element.step(np.array([2.0, 0.5]), 1.0)
    assert not element.step(np.array([0.0, 0.5]), 1.0), "it opens once"
    assert element.opened.tolist() == [True, False]
    element.close(0)
    assert element.opened.tolist() == [False, False]
    assert element.used[0] == 0.0


def test_another_curve_may_be_in_force():
    """125 % is borne 600 s on mains and 20 s on battery: 20 s use 1/30 or all of it."""
    mains, battery = InverseTime([UPS_ON_MAINS]), InverseTime([UPS_ON_MAINS])
    assert not mains.step(np.array([1.25]), 20.0)
    assert mains.used[0] == pytest.approx(20 / 600)
    assert battery.step(np.array([1.25]), 20.0, [UPS_ON_BATTERY])
