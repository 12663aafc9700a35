"""The plant as a whole: balances, lags, failures, and a day of its life."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.plant import physics
from tapas_opt.plant.machines import machines_of
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Demand, Plant
from tapas_opt.plant.population import Population, demand_of
from tapas_opt.plant.profiling import measure_profiles
from tapas_opt.plant.workload import Workload

HOUR_S = 3600.0
UNIFORM = replace(
    Parameters(), resistance_spread=0.0, row_spread_k=0.0, server_spread_k=0.0, row_end_rise_k=0.0, rack_top_rise_k=0.0
)


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=True) for f in fields(one))


def test_a_settled_gpu_is_hotter_than_its_inlet_by_resistance_times_power(uniform, at_load):
    """At 300 W: 0.10 K/W in front and 0.14 in the rear, times 0.4 + 0.6·(0.8/speed)^0.8 for the fans' flow."""
    plant = uniform()
    truth = plant.step(2 * HOUR_S, at_load(plant, (300 - 63) / (400 - 63)))
    cooling = 0.4 + 0.6 * (0.8 / (truth.airflow_cfm[0] / 1050.0)) ** 0.8
    rise = truth.gpu_temperature_c[0] - truth.inlet_c[0]
    assert rise[:4] == pytest.approx(truth.gpu_power_w[0, :4] * 0.10 * cooling, abs=0.05)
    assert rise[4:] == pytest.approx(truth.gpu_power_w[0, 4:] * 0.14 * cooling, abs=0.05)
    assert (truth.gpu_memory_temperature_c > truth.gpu_temperature_c).all()


def test_gpus_heat_within_a_minute_and_the_room_within_an_hour(uniform, at_load):
    """After one time constant of 20 s a GPU has made 63 % of its way, while the supply air (600 s) hardly moved."""
    plant, slow = uniform(fan_time_constant_s=1e9), uniform(fan_time_constant_s=1e9)
    start = plant.truth.gpu_temperature_c[0, 0]
    settled = plant.step(600.0, at_load(plant, 0.3)).gpu_temperature_c[0, 0]
    for _ in range(20):
        truth = slow.step(1.0, at_load(slow, 0.3))
    assert (truth.gpu_temperature_c[0, 0] - start) / (settled - start) == pytest.approx(0.63, abs=0.04)
    assert truth.supply_c[0] == pytest.approx(slow.step(HOUR_S, at_load(slow, 0.3)).supply_c[0], abs=0.8)


def test_supply_air_follows_the_weather_with_the_rooms_lag(two_rows_topology):
    """From 10 to 20 °C outside within a moment: 18.09 → 21.03 °C, and after 600 s 63 % of that way."""
    plant = Plant(two_rows_topology, seed=1, parameters=UNIFORM, outdoor=lambda t_s: 10.0 if t_s <= HOUR_S else 20.0)
    before = plant.step(HOUR_S, plant.idle_demand()).supply_c[0]
    after = plant.step(600.0, plant.idle_demand()).supply_c[0]
    way = physics.supply_air_c(20.0, UNIFORM) - physics.supply_air_c(10.0, UNIFORM)
    assert float(way) == pytest.approx(2.94, abs=0.01)
    assert after - before == pytest.approx((1 - np.exp(-1)) * float(way), abs=0.03)


def test_memory_is_hotter_than_its_gpu_and_follows_it(uniform, at_load):
    """2 K, and 8 K more at full power; behind a GPU's 20 s its own 30 s.

    Half a minute after a step, with lags of 20 and 30 s in a row 1 − (3·e^−1 − 2·e^−1.5) = 34 % of the GPU's way, and
    63 % of the own.
    """
    plant = uniform(fan_time_constant_s=1e9, leakage_frac=0.0)
    idle = plant.step(HOUR_S, plant.idle_demand())
    ways = [idle.gpu_memory_temperature_c[0, 0], idle.gpu_temperature_c[0, 0]]
    for _ in range(300):
        truth = plant.step(0.1, at_load(plant, 0.5))
    soon = truth.gpu_memory_temperature_c[0, 0] - ways[0]
    settled = plant.step(600.0, at_load(plant, 0.5))
    own = settled.gpu_memory_temperature_c - settled.gpu_temperature_c
    assert own[0, 0] == pytest.approx(2.0 + 8.0 * settled.gpu_power_w[0, 0] / 400.0, abs=0.05)
    risen = 8.0 * (settled.gpu_power_w[0, 0] - 63.0) / 400.0
    followed = (1 - 3 * np.exp(-1) + 2 * np.exp(-1.5)) * (settled.gpu_temperature_c[0, 0] - ways[1])
    assert soon == pytest.approx(followed + (1 - np.exp(-1)) * risen, rel=0.02)


def test_fans_of_idle_servers_rise_with_their_inlets(uniform):
    """At 30 °C and a little: 0.30 and 1 % per kelvin above 22 °C, while GPUs are far from 50 °C."""
    plant = uniform(supply_cold_c=30.0)
    truth = plant.step(HOUR_S, plant.idle_demand())
    assert truth.inlet_c[0] > 30.0
    assert truth.gpu_temperature_c.max() < 45.0
    assert truth.airflow_cfm == pytest.approx(1050.0 * (0.30 + 0.01 * (truth.inlet_c - 22.0)), rel=1e-3)


def test_airflow_does_not_follow_load_in_a_straight_line(uniform, at_load):
    """Slow fans until GPUs reach 50 °C, at about a third of the load; steeply from there on."""
    flow = {
        load: float(uniform().step(HOUR_S, at_load(uniform(), load)).airflow_cfm[0]) for load in (0.0, 0.2, 0.4, 0.6)
    }
    assert flow[0.0] == flow[0.2] == pytest.approx(0.30 * 1050.0)
    assert flow[0.6] > 1.5 * flow[0.2]


def test_a_gpu_at_its_shutdown_temperature_takes_its_server_down(uniform):
    """Nothing to slow it (throttle_frac 1) and heat sinks half as good: 92 °C is reached though the inlet is fine."""
    plant = uniform(rear_rise_k=100.0, throttle_frac=1.0)
    for _ in range(300):
        truth = plant.step(1.0, Demand(np.full((6, 8), 400.0)))
        if truth.shut_down.any():
            break
    assert truth.shut_down.all()
    assert truth.gpu_temperature_c.max() == pytest.approx(92.0, abs=2.0)
    assert truth.inlet_c.max() < 30.0
    assert plant.step(1.0, Demand(np.full((6, 8), 400.0))).server_power_w.sum() == 0.0


def test_a_full_server_draws_its_nameplate(uniform, at_load):
    """Host power is what the data sheet leaves after GPUs, fans flat out and supplies: the whole is 6.5 kW again."""
    plant = uniform(fan_floor=1.0)
    truth = plant.step(600.0, Demand(np.full((6, 8), 500.0)))
    assert truth.gpu_power_w == pytest.approx(np.full((6, 8), 400.0))
    assert truth.server_power_w == pytest.approx([6500.0] * 6)


def test_meters_read_servers_and_what_no_server_reports(uniform, at_load):
    """Row = Σ servers × 1.015 + 150 W a rack; PDUs and UPSs carry the same watts; so too after a failure."""
    plant = uniform()
    for failure in (None, Failure(FailureKind.UPS, "U1")):
        if failure:
            plant.fail(failure)
        truth = plant.step(60.0, at_load(plant, 0.4))
        assert truth.row_power_w[0] == pytest.approx(truth.server_power_w[:3].sum() * 1.015 + 3 * 150.0)
        assert truth.row_power_w.sum() == pytest.approx(truth.pdu_power_w.sum())
        assert truth.row_power_w.sum() == pytest.approx(truth.ups_power_w.sum())
        assert truth.row_power_w.sum() == pytest.approx(truth.rack_power_w.sum())
        assert truth.aisle_airflow_cfm.sum() == pytest.approx(truth.airflow_cfm.sum())


def test_a_long_step_is_many_short_ones(uniform, at_load):
    """The drill steps a second or a minute, as it likes: an hour must end in the same place."""
    long, short = uniform(), uniform()
    one = long.step(HOUR_S, at_load(long, 0.6))
    for _ in range(1200):
        other = short.step(3.0, at_load(short, 0.6))
    assert one.gpu_temperature_c == pytest.approx(other.gpu_temperature_c, abs=0.02)
    assert one.server_power_w == pytest.approx(other.server_power_w, rel=1e-3)


def test_an_overheated_gpu_halves_its_work_until_it_has_cooled(uniform, at_load):
    """Hot supply air at full load: the rear GPUs reach 85 °C, throttle in turns and stay near their limit."""
    plant = uniform(outdoor_c=45.0, supply_slope_hot=0.8, shutdown_inlet_c=60.0)
    for _ in range(600):
        plant.step(1.0, at_load(plant, 0.85))
    shares, hottest, loads = [], [], []
    for _ in range(120):
        truth = plant.step(1.0, at_load(plant, 0.85))
        shares.append(truth.throttled_frac[0])
        hottest.append(truth.gpu_temperature_c[0].max())
        loads.append(truth.gpu_load_frac[0, 7])
    assert 0.05 < np.mean(shares, axis=0)[4:].mean() < 0.95
    assert 77.0 < min(hottest) < max(hottest) < 87.0
    assert set(np.round(loads, 3)) == {0.85, 0.425}


def test_throttled_time_is_a_share_of_the_step(uniform, at_load):
    """A minute in one step says of each GPU what sixty seconds say in the mean."""
    hot = {"outdoor_c": 45.0, "supply_slope_hot": 0.8, "shutdown_inlet_c": 60.0, "max_substep_s": 1.0}
    whole, cut = uniform(**hot), uniform(**hot)
    for plant in (whole, cut):
        plant.step(600.0, at_load(plant, 0.85))
    one = whole.step(60.0, at_load(whole, 0.85)).throttled_frac
    seconds = [cut.step(1.0, at_load(cut, 0.85)).throttled_frac for _ in range(60)]
    assert 0.05 < one[0, 7] < 0.95
    assert one == pytest.approx(np.mean(seconds, axis=0))


def test_a_dark_server_draws_nothing_and_cools(uniform, at_load):
    """K1 hangs on U1 and U2 only: with both lost S1 is dark, and it comes back with either."""
    plant = uniform()
    plant.step(HOUR_S, at_load(plant, 0.4))
    for name in ("U1", "U2"):
        plant.fail(Failure(FailureKind.UPS, name))
    truth = plant.step(300.0, at_load(plant, 0.4))
    assert truth.dark.tolist() == [True] + [False] * 5
    assert truth.server_power_w[0] == truth.gpu_power_w[0].sum() == truth.airflow_cfm[0] == 0.0
    assert truth.gpu_temperature_c[0] == pytest.approx(truth.inlet_c[0], abs=0.5)
    plant.clear(Failure(FailureKind.UPS, "U2"))
    assert plant.step(60.0, at_load(plant, 0.4)).server_power_w[0] > 1000.0


def test_a_ups_failure_at_full_load_ends_in_a_cascade_named_in_the_truth(uniform, at_load):
    """Six full servers are 39 kW, three UPSs of 12 kW bear 36: the one unforgivable outcome must be visible."""
    plant = uniform()
    plant.fail(Failure(FailureKind.UPS, "U1"))
    used = 0.0
    for _ in range(180):
        truth = plant.step(1.0, at_load(plant, 1.0))
        if not truth.tripped_upses:
            used = max(used, truth.ups_tolerance_used.max())
    assert used > 0.9
    assert truth.tripped_upses == ("U2", "U3", "U4")
    assert truth.dark.all()


def test_the_same_seed_gives_the_same_numbers(demo_topology):
    """Otherwise no comparison of policies means anything."""
    one, other = (Plant(demo_topology, seed=7, start_s=9 * HOUR_S) for _ in range(2))
    assert same(one.step(600.0, one.idle_demand()), other.step(600.0, other.idle_demand()))
    assert same(one.read(), other.read())


def test_another_seed_has_other_weather_and_noise_but_the_same_machines(demo_topology):
    """What is learned from one run's history must hold in the next run's drill."""
    one, other = Plant(demo_topology, seed=1), Plant(demo_topology, seed=2)
    assert np.array_equal(one.machines.resistance_k_per_w, other.machines.resistance_k_per_w)
    assert one.truth.outdoor_c != other.truth.outdoor_c
    assert not np.array_equal(one.read().server_inlet_c, other.read().server_inlet_c)


def test_machines_do_not_change_when_others_are_added(two_rows):
    """Servers are drawn by name, so that an oversubscribed site keeps those that it had."""
    room = two_rows.rooms[0]
    row = room.aisles[1].rows[0]
    aisles = (room.aisles[0], replace(room.aisles[1], rows=(replace(row, racks=row.racks[:2]),)))
    fewer = replace(two_rows, rooms=(replace(room, aisles=aisles),))
    all_of_them = machines_of(topology_of(two_rows), Parameters()).resistance_k_per_w
    some = machines_of(topology_of(fewer), Parameters()).resistance_k_per_w
    assert np.array_equal(all_of_them[:5], some)


def test_gpus_differ_as_in_real_servers(demo_topology):
    """0.10–0.14 K/W from front to rear and 4 % scatter: about 10 °C apart at equal load."""
    plant = Plant(demo_topology, seed=1)
    m = plant.machines
    truth = plant.step(HOUR_S, Demand(m.gpu_idle_w + 0.6 * (m.gpu_max_w - m.gpu_idle_w)))
    spread = np.ptp(truth.gpu_temperature_c, axis=1)
    assert 0.085 < m.resistance_k_per_w.min() < m.resistance_k_per_w.max() < 0.16
    assert 7.0 < np.median(spread) < 18.0


def test_servers_with_fewer_gpus_have_none_where_others_have_some(two_rows, at_load):
    """Mixed rooms: four missing GPUs read NaN and draw nothing."""
    half = replace(two_rows.hardware["dgx-a100"], gpus=4, max_power_w=3400.0, idle_power_w=900.0)
    room = two_rows.rooms[0]
    row = room.aisles[0].rows[0]
    server = replace(row.racks[0].servers[0], hardware="half")
    racks = (replace(row.racks[0], servers=(server,)), *row.racks[1:])
    aisles = (replace(room.aisles[0], rows=(replace(row, racks=racks),)), room.aisles[1])
    site = replace(two_rows, hardware=two_rows.hardware | {"half": half}, rooms=(replace(room, aisles=aisles),))
    plant = Plant(topology_of(site), seed=1)
    truth = plant.step(600.0, Demand(np.full((6, 8), 250.0)))
    assert np.isnan(truth.gpu_temperature_c[0]).tolist() == [False] * 4 + [True] * 4
    assert np.isfinite(truth.gpu_temperature_c[1:]).all()
    assert truth.gpu_power_w[0, 4:].sum() == 0.0
    assert 1000.0 < truth.server_power_w[0] < 3000.0
    assert np.isnan(plant.read().gpu_load_frac[0, 4:]).all()


@pytest.mark.parametrize(
    ("dt_s", "demand", "fault"),
    [
        (0.0, np.zeros((6, 8)), "dt_s: 0.0: must be above 0"),
        (1.0, np.zeros((6, 4)), r"gpu_power_w: has shape \(6, 4\): must be \(6, 8\)"),
        (1.0, np.full((6, 8), np.nan), "gpu_power_w: must hold finite numbers only"),
    ],
)
def test_a_nonsensical_step_is_refused(uniform, dt_s, demand, fault):
    """NaN demand would spread through the room and look like a cool one."""
    with pytest.raises(InvalidInput, match=fault):
        uniform().step(dt_s, Demand(demand))


def test_sensors_are_as_noisy_as_stated(demo_topology, at_load):
    """GPU temperature in whole degrees, inlet σ 0.3 °C, power 1 %, airflow 2 %; the mean is right."""
    plant = Plant(demo_topology, seed=3)
    truth = plant.step(HOUR_S, at_load(plant, 0.5))
    readings = [plant.read() for _ in range(200)]

    def errors(field: str, true: np.ndarray) -> np.ndarray:
        return np.array([getattr(reading, field) for reading in readings]) - true

    inlet = errors("server_inlet_c", truth.inlet_c)
    power = errors("server_power_w", truth.server_power_w) / truth.server_power_w
    flow = errors("server_airflow_cfm", truth.airflow_cfm) / truth.airflow_cfm
    gpu = errors("gpu_power_w", truth.gpu_power_w) / truth.gpu_power_w
    meter = errors("row_meter_power_w", truth.row_power_w) / truth.row_power_w
    outdoor = errors("room_outdoor_c", np.array([truth.outdoor_c]))
    temperature = errors("gpu_temperature_c", truth.gpu_temperature_c)
    assert [inlet.std(), power.std(), flow.std(), gpu.std()] == pytest.approx([0.3, 0.01, 0.02, 0.01], rel=0.05)
    assert [meter.std(), outdoor.std()] == pytest.approx([0.01, 0.3], rel=0.2)
    assert [inlet.mean(), power.mean(), flow.mean()] == pytest.approx([0.0, 0.0, 0.0], abs=0.01)
    assert np.abs(temperature).max() <= 0.5
    assert np.array_equal(readings[0].gpu_temperature_c, np.round(readings[0].gpu_temperature_c))


def test_dropped_readings_are_nan_and_never_zero(two_rows_topology):
    """Missing is never zero."""
    plant = Plant(two_rows_topology, seed=1, parameters=replace(Parameters(), sensor_dropout_frac=0.2))
    readings = [plant.read() for _ in range(100)]
    power = np.array([reading.gpu_power_w for reading in readings])
    assert np.isnan(power).mean() == pytest.approx(0.2, abs=0.02)
    assert np.nanmin(power) > 30.0


def test_a_day_at_the_demo_site_stays_within_physical_bounds(demo_topology):
    """80 servers with VMs: nothing trips, freezes or burns, and load and heat follow the day."""
    plant, workload = Plant(demo_topology, seed=1), Workload(seed=1)
    population = Population(demo_topology, workload, seed=1)
    hardware = demo_topology.site.hardware["dgx-a100"]
    running = {p.configuration.name: p.configuration for p in measure_profiles(hardware, "dgx-a100")}
    seen = []
    for minute in range(1, 1441):
        vms, servers = population.at(minute * 60.0)
        load = workload.vm_load_frac(vms, minute * 60.0)
        seen.append(plant.step(60.0, demand_of(demo_topology, plant.idle_demand(), vms, servers, load, running)))
    gpu = np.array([truth.gpu_temperature_c for truth in seen])
    inlet = np.array([truth.inlet_c for truth in seen])
    server = np.array([truth.server_power_w for truth in seen])
    row = np.array([truth.row_power_w for truth in seen]) / demo_topology.row_budget_w
    assert 15.0 < inlet.min() < inlet.max() < 32.0
    assert 20.0 < gpu.min() < gpu.max() < 86.0
    assert (gpu.max(axis=2) >= inlet).all()
    assert 1200.0 < server.min() < server.max() <= 6500.0
    assert 0.4 < row.max() < 1.1
    assert row.sum(axis=1).max() > 1.2 * row.sum(axis=1).min(), "a day has peaks and troughs"
    assert seen[-1].tripped_upses + seen[-1].tripped_pdus + seen[-1].tripped_rows == ()
    flow = np.array([truth.airflow_cfm for truth in seen])
    assert 300.0 < flow.min() < flow.max() <= 1050.0
