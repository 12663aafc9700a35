"""What is compared with what: each reading with its model, under the conditions measured with it."""

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.residuals import compare
from tapas_opt.control.telemetry import FRESH_S
from tapas_opt.domain.failure import Failure, FailureKind

MODELS = ("inlet_temperature", "gpu_temperature", "gpu_memory_temperature", "server_power", "airflow")
NO_GPUS = ("gpu_power_w", "gpu_temperature_c", "gpu_memory_temperature_c")


@pytest.fixture
def residuals(controller, forecast_of):
    """By model, for readings taken at once."""

    def of(readings, *failures, now_s=0.0):
        forecast = forecast_of(controller.fleet, *failures, readings=readings, now_s=now_s)
        return {name: one.residual for name, one in compare(forecast, np.zeros(80)).items()}

    return of


def test_sensors_that_say_what_is_predicted_have_no_residual(controller, residuals, as_predicted):
    found = residuals(as_predicted(controller.fleet.topology, 0.0))
    assert tuple(found) == MODELS
    for name, values in found.items():
        assert values == pytest.approx(np.zeros(values.shape), abs=0.5 if name == "server_power" else 0.05), name


def test_every_sensor_is_judged_by_itself(controller, residuals, as_predicted):
    """A warm inlet is no fault of its GPUs: what they are compared with is warmer too."""
    more = np.zeros(80)
    more[3] = 4.0
    inlet = residuals(as_predicted(controller.fleet.topology, 0.0, inlet_more=more))
    assert inlet["inlet_temperature"][[2, 3]] == pytest.approx([0.0, 4.0], abs=0.05)
    assert inlet["gpu_temperature"][3] == pytest.approx(np.zeros(8), abs=1e-9)
    gpu = residuals(as_predicted(controller.fleet.topology, 0.0, gpu_more=more))
    assert gpu["gpu_temperature"][3] == pytest.approx(np.full(8, 4.0))
    power = residuals(as_predicted(controller.fleet.topology, 0.0, power_more=50 * more))
    assert power["server_power"][[2, 3]] == pytest.approx([0.0, 200.0])


def test_without_readings_nothing_is_said(controller, residuals, as_predicted):
    """Neither for what was never measured nor for what was measured too long ago."""
    topology = controller.fleet.topology
    found = residuals(as_predicted(topology, 0.0, without=("inlet_c", "airflow_cfm")))
    assert np.isnan(found["inlet_temperature"]).all()
    assert np.isnan(found["airflow"]).all()
    assert np.isfinite(found["server_power"]).all()
    old = residuals(as_predicted(topology, 0.0), now_s=FRESH_S + 1)
    assert all(np.isnan(values).all() for values in old.values())


def test_the_rooms_load_must_be_known(controller, residuals, as_predicted):
    """With 71 of 80 meters the room's load is a guess; GPUs need it not."""
    readings = as_predicted(controller.fleet.topology, 0.0)
    few = replace(readings, server_power_w=dict(list(readings.server_power_w.items())[:71]))
    found = residuals(few)
    assert np.isnan(found["inlet_temperature"]).all()
    assert np.isfinite(found["gpu_temperature"]).all()


def test_the_hottest_gpu_speaks_for_all_where_only_it_is_known(controller, residuals, as_predicted):
    """Its power is what the server's meter implies: the learned curve, read backwards."""
    readings = as_predicted(controller.fleet.topology, 0.0, without=NO_GPUS, gpu_more=2.0)
    found = residuals(readings)
    assert found["gpu_temperature"] == pytest.approx(np.full((80, 8), 2.0), abs=0.3)
    assert np.isnan(found["gpu_memory_temperature"]).all()


def test_a_busy_servers_power_needs_the_power_of_its_gpus(controller, residuals, as_predicted, iaas, run):
    """What its VM may be doing is a guess about load, not about the server; an empty one is idle."""
    run(iaas(1))
    found = residuals(as_predicted(controller.fleet.topology, 0.0, without=NO_GPUS))
    assert np.isnan(found["server_power"][0])
    assert found["server_power"][1:] == pytest.approx(np.zeros(79), abs=0.5)
    assert np.isfinite(residuals(as_predicted(controller.fleet.topology, 0.0))["server_power"][0])


def test_a_meter_implies_more_for_an_instance_that_uses_some_gpus_only(controller, residuals, as_predicted, saas, run):
    """Two of eight GPUs work: the hottest one draws more than the mean, so that it is expected to be warmer."""
    small = happened.PlanApplied("p", "now", {"c0": "llama2-7b-fp16-tp2-b64-f1410@1"})
    run(saas(1))
    readings = as_predicted(controller.fleet.topology, 0.0, without=NO_GPUS, power_more=np.eye(80)[0] * 400.0)
    even = residuals(readings)["gpu_temperature"][0, 0]
    controller.apply([small, happened.ConfigurationAcknowledged("c0", 2)])
    assert residuals(readings)["gpu_temperature"][0, 0] < even


def test_servers_that_are_off_are_not_judged(controller, residuals, as_predicted):
    """Dark after a failure, or switched off: no model speaks of them."""
    readings = as_predicted(controller.fleet.topology, 0.0)
    off = replace(readings, server_power_w={**readings.server_power_w, "R1-K1-S1": 0.0})
    found = residuals(off)
    assert np.isnan(found["server_power"][0])
    assert np.isnan(found["gpu_temperature"][0]).all()
    both_feeds = [Failure(FailureKind.PDU, name) for name in _feeds_of(controller.fleet.topology, 0)]
    assert np.isnan(residuals(readings, *both_feeds)["airflow"][0])


def test_what_other_sensors_contradict_is_not_compared(controller, residuals, as_predicted):
    """A GPU colder than the air that cools it, and a server that draws less than its GPUs."""
    topology = controller.fleet.topology
    cold = residuals(as_predicted(topology, 0.0, gpu_more=np.eye(80)[1] * -40.0))
    assert np.isnan(cold["gpu_temperature"][1]).all()
    assert np.isfinite(cold["gpu_temperature"][2]).all()
    weak = residuals(as_predicted(topology, 0.0, power_more=np.eye(80)[1] * -1_200.0))
    assert np.isnan(weak["server_power"]).nonzero()[0].tolist() == [1]


def test_warm_supply_air_is_expected_while_the_chiller_is_out(controller, residuals, as_predicted):
    """A reported failure is no drift of the model."""
    readings = as_predicted(controller.fleet.topology, 0.0)
    found = residuals(readings, Failure(FailureKind.CHILLED_WATER, "room1"))
    assert (found["inlet_temperature"] < -1.0).all()


def _feeds_of(topology, server):
    return [topology.pdus[p] for p in topology.rack_feeds[topology.server_rack[server]] if p >= 0]
