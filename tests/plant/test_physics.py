"""Each law of the plant against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.plant import physics
from tapas_opt.plant.parameters import Parameters

P = Parameters()


def a(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_a_lag_covers_63_per_cent_in_one_time_constant():
    """1 − 1/e = 0.632: from 20 towards 60 °C that is 20 + 0.632 × 40 = 45.3 °C."""
    assert physics.approached(a(20.0), a(60.0), 20.0, 20.0)[0] == pytest.approx(45.285, abs=1e-3)


def test_a_lag_does_not_depend_on_how_time_is_cut():
    """An explicit Euler step would overshoot at dt > τ; the exact one lands where many small ones do."""
    whole = physics.approached(a(20.0), a(60.0), 300.0, 20.0)
    parts = a(20.0)
    for _ in range(300):
        parts = physics.approached(parts, a(60.0), 1.0, 20.0)
    assert whole == pytest.approx(parts)
    assert whole[0] <= 60.0


def test_leakage_is_counted_from_its_reference_and_grows_exponentially():
    """7.5 % of 400 W = 30 W at 60 °C is in the demand; 40 K hotter it is e times that: 30 × 1.718 = 51.5 W more."""
    assert physics.leakage_w(a(60.0, 100.0, 20.0), a(400.0), P) == pytest.approx([0.0, 51.548, -18.964], abs=1e-3)


def test_a_hot_gpu_draws_more_for_the_same_work_but_never_more_than_its_cap():
    """300 W at 80 °C: 30 × (e^0.5 − 1) = 19.5 W of leakage on top; 399 W would become 418, so the board caps it."""
    power = physics.gpu_power_w(a(300.0, 399.0), a(80.0, 80.0), np.array([False, False]), a(63.0), a(400.0), P)
    assert power == pytest.approx([319.462, 400.0], abs=1e-3)


def test_a_throttled_gpu_keeps_half_of_its_dynamic_power():
    """63 W idle + (363 − 63)/2 = 213 W at the reference temperature."""
    assert physics.gpu_power_w(a(363.0), a(60.0), np.array([True]), a(63.0), a(400.0), P)[0] == pytest.approx(213.0)


def test_fan_laws_give_a_quarter_more_flow_for_twice_the_power():
    """From 80 % to 100 % speed: flow × 1.25, power × 1.25³ = 1.953."""
    flow = physics.airflow_cfm(a(0.8, 1.0), a(1050.0))
    power = physics.fan_power_w(a(0.8, 1.0), a(780.0))
    assert flow == pytest.approx([840.0, 1050.0])
    assert power[1] / power[0] == pytest.approx(1.953, abs=1e-3)


def test_fans_follow_the_hottest_gpu_and_the_inlet():
    """0.3 up to 50 °C; half-way to 83 °C: 0.3 + 0.35; an inlet of 32 °C adds 0.1; never above 1."""
    speed = physics.fan_speed_wanted(a(40.0, 66.5, 66.5, 90.0), a(20.0, 20.0, 32.0, 40.0), P)
    assert speed == pytest.approx([0.3, 0.65, 0.75, 1.0])


def test_less_flow_cools_less():
    """Convection is 60 % of the resistance: at half the reference flow it is 0.4 + 0.6 × 2^0.8 = 1.445 of itself."""
    factor = physics.resistance_factor(a(0.8, 0.4), P)
    assert factor == pytest.approx([1.0, 1.4447], abs=1e-4)


def test_a_gpu_throttles_at_its_limit_until_it_is_five_kelvin_below():
    """Without hysteresis it would flicker every step."""
    limits = a(85.0), a(95.0)
    cool, hot = np.array([False]), np.array([True])
    assert not physics.throttles(cool, a(84.9), a(90.0), *limits, P)[0]
    assert physics.throttles(cool, a(85.0), a(90.0), *limits, P)[0]
    assert physics.throttles(cool, a(80.0), a(95.0), *limits, P)[0], "memory has a limit too"
    assert physics.throttles(hot, a(80.1), a(85.0), *limits, P)[0]
    assert not physics.throttles(hot, a(80.0), a(90.0), *limits, P)[0]


def test_supply_air_is_flat_in_the_cold_then_rises_then_flattens_and_is_smooth():
    """18 °C far below 15 °C outside; 18 + 0.6 × 10 = 24 °C near 25; 0.2 K per kelvin above; no kink anywhere."""
    outdoor = np.arange(-10.0, 45.0, 0.01)
    supply = physics.supply_air_c(outdoor, P)
    slope = np.gradient(supply, outdoor)
    assert physics.supply_air_c([-5.0, 25.0], P) == pytest.approx([18.0, 23.45], abs=0.05)
    assert slope[-100] == pytest.approx(0.2, abs=0.01)
    assert (slope > 0).all()
    assert np.abs(np.diff(slope)).max() < 1e-3


def test_the_room_warms_its_own_supply_by_two_kelvin_at_full_power():
    """TAPAS: site load adds about 2 °C."""
    assert physics.room_rise_k(a(0.0, 1.0), P) == pytest.approx([0.0, 2.0])


def test_air_comes_back_only_where_it_is_short():
    """900 of 1,000 CFM: a tenth comes back; with air to spare nothing does; without any, everything."""
    share = physics.recirculated_frac(a(1000.0, 1000.0, 1000.0, 0.0), a(1000.0, 900.0, 0.0, 500.0))
    assert share == pytest.approx([0.0, 0.1, 1.0, 0.0])


def test_power_supplies_lose_about_five_per_cent_at_full_load_and_more_of_little():
    """1 + 2 + 2 % of the maximum at full output; at a tenth 1 + 0.2 + 0.02 % of it, which is 12 % of the output."""
    loss = physics.supply_loss_w(a(6500.0, 650.0), a(6500.0))
    assert loss == pytest.approx([325.0, 79.3])
