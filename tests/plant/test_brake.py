"""The power brake: what it does, and how long it takes."""

from __future__ import annotations

import pytest

from tapas_opt.plant.brake import PowerBrake


def test_a_brake_is_in_force_five_seconds_after_its_order_and_halves_the_work(uniform, at_load):
    """Out of band it takes 5 s; hardware cuts the clocks by two: half of the dynamic power at the same temperature."""
    plant = uniform(leakage_frac=0.0)
    before = plant.step(600.0, at_load(plant, 0.6))
    plant.brake([1])
    waiting = plant.step(4.9, at_load(plant, 0.6))
    assert not waiting.braked.any()
    assert waiting.gpu_power_w == pytest.approx(before.gpu_power_w)
    braked = plant.step(0.2, at_load(plant, 0.6))
    assert braked.braked.tolist() == [False, True, False, False, False, False]
    assert braked.gpu_power_w[1] - 63.0 == pytest.approx((before.gpu_power_w[1] - 63.0) / 2.0)
    assert braked.gpu_load_frac[:2, 0] == pytest.approx([0.6, 0.3])
    assert not braked.throttled.any(), "it is not the heat"


def test_a_released_brake_lets_go_as_late(uniform, at_load):
    """Within a long step, too: it is cut where the order arrives."""
    plant = uniform()
    plant.brake([0])
    plant.step(60.0, at_load(plant, 0.6))
    plant.brake([0], on=False)
    assert plant.step(4.0, at_load(plant, 0.6)).braked[0]
    assert not plant.step(56.0, at_load(plant, 0.6)).braked[0]


def test_a_long_step_is_cut_where_a_brake_arrives(uniform, at_load):
    """A minute with an order on its way ends where sixty seconds do."""
    long, short = uniform(), uniform()
    for plant in (long, short):
        plant.step(600.0, at_load(plant, 0.6))
        plant.brake(range(6))
    one = long.step(20.0, at_load(long, 0.6))
    for _ in range(20):
        other = short.step(1.0, at_load(short, 0.6))
    assert one.t_s == pytest.approx(other.t_s)
    assert one.gpu_temperature_c == pytest.approx(other.gpu_temperature_c, abs=0.5)


def test_a_later_order_replaces_one_under_way():
    """On, and off again before it has come through: it never brakes."""
    brake = PowerBrake(2, 5.0)
    brake.order([0, 1], True, 0.0)
    brake.order([0], False, 3.0)
    brake.step(5.0)
    assert brake.on.tolist() == [False, True]
    assert brake.next_s() == 8.0
    brake.step(8.0)
    assert brake.on.tolist() == [False, True]
    assert brake.next_s() == float("inf")
