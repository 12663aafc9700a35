"""Inlets and ceilings: as learned, warmer where something failed or reads so."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind

A100 = "dgx-a100"


def test_a_room_is_taken_at_the_power_limit_of_its_rows(fleet, forecast_of):
    """2 × 208 kW of 80 × 6.5 kW = 520 kW built in: 80 %."""
    assert forecast_of(fleet).room_load_frac.tolist() == [0.8]


def test_a_chilled_water_failure_warms_inlets_and_lowers_ceilings(fleet, forecast_of):
    """Warmer supply air: less power before a GPU meets its limit."""
    healthy = forecast_of(fleet)
    warm = forecast_of(fleet, Failure(FailureKind.CHILLED_WATER, "room1"))
    assert (warm.inlet_c > healthy.inlet_c).all()
    assert (warm.ceiling_w <= healthy.ceiling_w).all()
    assert (warm.ceiling_w < healthy.ceiling_w).any()


def test_a_hot_hour_whose_inlets_are_read_needs_no_wider_margin(fleet, forecast_of, models):
    """4 °C hotter than in any hour of history, of which 3 °C are measured: what is not read stays 4 °C wider."""
    hottest_c = models.inlet_temperature.feature("outdoor_c").highest
    readings = Readings(0.0, outdoor_c={"room1": hottest_c + 3.0})
    usual = forecast_of(fleet, outdoor_c=hottest_c)
    hot = forecast_of(fleet, readings=readings, outdoor_c=hottest_c + 4.0)
    read = np.arange(80) < 40
    seen = replace(hot, tracked=replace(hot.tracked, inlet_read=read))
    assert seen.inlet_c - usual.inlet_c == pytest.approx(np.where(read, 1.0, 4.0))
    assert (seen.ceiling_w[read] >= hot.ceiling_w[read]).all()
    assert (seen.ceiling_w[~read] == hot.ceiling_w[~read]).all()


def test_sums_are_predicted_without_a_single_server_s_margin(fleet, forecast_of, models):
    """The bound of one inlet is above what its server's draw is predicted at, by its margin and nothing else."""
    forecast = forecast_of(fleet)
    central_c = models.inlet_central_c(fleet.topology, 25.0, forecast.room_load_frac, [0.0])
    assert (forecast.inlet_c > forecast.draw_inlet_c).all()
    assert (forecast.draw_inlet_c >= central_c - 1e-9).all()
    assert forecast.mean_inlet_c(A100) == pytest.approx(forecast.draw_inlet_c.mean())
