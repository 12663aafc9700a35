"""Predictions for a moment, of all parts together."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control.telemetry import Readings
from tapas_opt.control.tracked import Tracked, untracked
from tapas_opt.domain.failure import Failure, FailureKind


def test_tracked_biases_move_inlets_ceilings_power_and_air(fleet, forecast_of):
    """A GPU that reads 3 °C more than predicted may draw less; its neighbour on the next server may not."""
    usual = forecast_of(fleet)
    tracked = untracked(fleet.topology)
    inlet, gpu, watts, cfm = (np.zeros_like(tracked.inlet_c) for _ in range(4))
    inlet[0], watts[2], cfm[3] = 2.0, 150.0, -40.0
    gpu = np.zeros_like(tracked.gpu_c)
    gpu[1, 5] = 30.0
    moved = Tracked(
        *(inlet, gpu, tracked.gpu_memory_c, watts, cfm),
        *(tracked.power_disbelieved, tracked.airflow_disbelieved, tracked.inlet_read),
    )
    forecast = replace(usual, tracked=moved)
    assert (forecast.inlet_c - usual.inlet_c)[:2] == pytest.approx([2.0, 0.0])
    assert forecast.ceiling_w[0] < usual.ceiling_w[0]
    assert forecast.ceiling_w[1] < usual.ceiling_w[1]
    assert (forecast.ceiling_w[2:] == usual.ceiling_w[2:]).all()
    hours = forecast.next_hour()
    (power, air), (usual_power, usual_air) = forecast.server_draw(hours), usual.server_draw(hours)
    assert (power - usual_power)[2] == pytest.approx(150.0)
    assert (air - usual_air)[3] == pytest.approx(-40.0)


def test_forecasts_of_one_moment_share_what_heat_they_can(controller):
    """A failed UPS warms no air: ceilings are those of a moment ago. Lost water, time and readings make new ones."""
    controller.observe(Readings(0.0, outdoor_c={"room1": 25.0}))
    outlook = controller.outlook
    usual = outlook.next_hour(0.0)
    ceilings = usual.ceiling_w
    assert outlook.next_hour(4.0, (Failure(FailureKind.UPS, "U1"),)).ceiling_w is ceilings
    dry = outlook.next_hour(4.0, (Failure(FailureKind.CHILLED_WATER, "room1"),))
    assert (dry.ceiling_w < ceilings).any()
    outlook.next_hour(0.0)
    assert outlook.next_hour(6.0).ceiling_w is not ceilings
    controller.observe(Readings(6.0, outdoor_c={"room1": 35.0}))
    assert (outlook.next_hour(6.0).ceiling_w < ceilings).any()


def test_who_asks_again_before_anything_has_changed_gets_the_same_forecast(controller, saas, run):
    """Routes and a review of one moment share what was worked out; a VM, a reading or a second makes a new one."""
    outlook = controller.outlook
    first = outlook.next_hour(0.0)
    assert outlook.next_hour(0.0) is first
    assert outlook.next_hour(1.0) is not first
    assert outlook.next_hour(0.0, (Failure(FailureKind.UPS, "U1"),)).failures
    empty_w = outlook.next_hour(0.0).drawn_now[0][0, 0]
    run(saas(1))
    after = outlook.next_hour(0.0)
    assert after.drawn_now[0][0, 0] > empty_w
    controller.observe(Readings(0.0, outdoor_c={"room1": 35.0}))
    assert outlook.next_hour(0.0).outdoor_c > after.outdoor_c
