"""Sensors that lie within physics are found by what drives them and by their peers; good ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.history import TABLES
from tapas_opt.domain.panel import NO_VM, Panel
from tapas_opt.domain.plausible import in_range, lag_of, median_of_present, stands_still
from tapas_opt.domain.topology import topology_of
from tapas_opt.telemetry.gates import gate
from tapas_opt.telemetry.panel import room_load_frac

DAYS, SLOTS_PER_DAY = 6, 288
IDLE, BUSY = 5, 1
"""Servers of `two_rows`: number 5 never works, number 1 works in bursts."""


@pytest.fixture
def healthy(two_rows) -> Panel:
    """Six servers of eight GPUs, the sensors of `docs/simulation.md`, an idle server, and not one broken sensor."""
    topology, rng = topology_of(two_rows), np.random.default_rng(5)
    t_s = 300.0 * np.arange(DAYS * SLOTS_PER_DAY)
    slots, servers, gpus = t_s.size, 6, 8
    hour = t_s / 3600.0 % 24
    office = np.clip(np.sin((hour - 6) / 24 * 2 * np.pi), 0, 1)[:, None]
    load = np.clip(office * np.linspace(0.5, 1.0, servers) + rng.uniform(0, 0.4, (slots, servers)), 0, 1)
    load[:, IDLE] = 0.0
    true_power = 55 + 330 * load[..., None] * np.linspace(0.97, 1.03, gpus)
    inlet = 22 + 3 * np.sin(hour / 24 * 2 * np.pi)[:, None] + np.linspace(-0.5, 0.5, servers)
    warmth = np.linspace(0.1, 0.13, gpus) * np.linspace(0.96, 1.04, servers)[:, None]
    core = inlet[..., None] + warmth * true_power
    server_w = 800 + 1.1 * true_power.sum(axis=2)
    row = (topology.server_row[:, None] == np.arange(len(topology.rows))).astype(float)

    def noisy(values: np.ndarray, sigma: float) -> np.ndarray:
        return values * (1 + sigma * rng.standard_normal(values.shape))

    power = noisy(server_w, 0.01)
    nowhere = np.full((slots, servers), NO_VM)
    return Panel(
        topology=topology,
        t_s=t_s,
        day=(t_s // 86_400).astype(np.int64),
        outdoor_c=np.full((slots, 1), 15.0),
        inlet_c=inlet + 0.3 * rng.standard_normal(inlet.shape),
        server_power_w=power,
        airflow_cfm=noisy(300 + 0.1 * server_w, 0.02),
        load_frac=np.repeat(load[..., None], gpus, axis=2).astype(np.float32),
        gpu_power_w=noisy(true_power, 0.01).astype(np.float32),
        gpu_c=np.round(core).astype(np.float32),
        gpu_memory_c=np.round(core + 5).astype(np.float32),
        meter_w=noisy(server_w @ row * 1.02 + 200, 0.01),
        vms=(),
        vm=nowhere.astype(np.int32),
        templates=(),
        vm_template=nowhere,
        vm_load_frac=np.full((slots, servers), np.nan),
        configurations=(),
        vm_configuration=nowhere.copy(),
        room_load_frac=room_load_frac(power, topology),
    )


def blamed(panel: Panel) -> set[tuple[str, str]]:
    return {(record.column, record.name) for record in gate(panel)}


def test_good_sensors_are_left_alone(healthy):
    """Also the idle server's, whose temperatures in steps of 1 °C do not move for hours."""
    unmoved = np.diff(healthy.gpu_c[:, IDLE, 0]) == 0
    assert unmoved.mean() > 0.9
    assert gate(healthy) == ()


def test_a_temperature_that_stands_still_while_power_moves_is_stuck(healthy):
    healthy.gpu_c[500:1_000, BUSY, 3] = 61.0
    records = gate(healthy)
    assert {(record.column, record.name) for record in records} == {("temperature_c", "S2/3")}
    assert "stuck" in records[0].reason
    # whole blocks of half an hour: at most one block is left at each end, and the readings that moved beside them
    assert np.isfinite(healthy.gpu_c[500:1_000, BUSY, 3]).sum() <= 10
    assert np.isfinite(healthy.gpu_c[:480, BUSY, 3]).all()


def test_steady_readings_of_a_site_that_rests_are_no_stuck_sensors(healthy):
    """Nothing runs: power moves by watts, meters have steps, and every temperature stays where it is for days."""
    rng = np.random.default_rng(7)
    healthy.load_frac[:] = 0.0
    healthy.gpu_power_w[:] = np.round(55 + rng.standard_normal(healthy.gpu_power_w.shape))
    healthy.server_power_w[:] = np.round(1_300 + 5 * rng.standard_normal(healthy.server_power_w.shape), -1)
    healthy.inlet_c[:] = np.round(22 + rng.uniform(-0.3, 0.3, healthy.inlet_c.shape))
    healthy.gpu_c[:], healthy.gpu_memory_c[:] = 31.0, 34.0
    healthy.meter_w[:] = 4_000.0
    assert gate(healthy) == ()


def test_a_noisy_sensor_that_is_exactly_constant_is_stuck(healthy):
    """No airflow meter reads the same to the last digit for two hours, whatever drives it."""
    healthy.airflow_cfm[500:524, 2] = healthy.airflow_cfm[500, 2]
    assert blamed(healthy) == {("airflow_cfm", "S3")}
    assert np.isnan(healthy.airflow_cfm[504:520, 2]).all()


def test_a_sensor_that_jumps_is_refused_from_then_on_and_named(healthy):
    """A fifth too much since noon of the fifth day; the days before are believed."""
    jump = 4 * SLOTS_PER_DAY + 144
    healthy.gpu_power_w[jump:, 0, 2] *= 1.2
    (record,) = gate(healthy)
    assert (record.table, record.column, record.name) == ("gpus", "power_w", "S1/2")
    assert "on 2 days" in record.reason
    assert np.isnan(healthy.gpu_power_w[jump:, 0, 2]).mean() > 0.99
    assert np.isfinite(healthy.gpu_power_w[: 4 * SLOTS_PER_DAY, 0, 2]).all()


def test_a_sensor_that_drifts_on_most_days_is_not_believed_at_all(healthy):
    healthy.gpu_c[:, 4, 1] += np.linspace(-20, 20, len(healthy.t_s), dtype=np.float32)
    assert blamed(healthy) == {("temperature_c", "S5/1")}
    assert np.isnan(healthy.gpu_c[:, 4, 1]).all()


def test_a_sensor_that_was_always_off_its_peers_is_refused(healthy):
    healthy.inlet_c[:, 3] += 9.0
    (record,) = gate(healthy)
    assert (record.column, record.name, record.readings) == ("inlet_c", "S4", len(healthy.t_s))
    assert "off its peers throughout" in record.reason


def test_a_sensor_that_reads_the_past_is_late(healthy):
    """Its clock or its cache is forty minutes behind: eight slots."""
    healthy.gpu_power_w[8:, BUSY, 5] = healthy.gpu_power_w[:-8, BUSY, 5].copy()
    records = gate(healthy)
    assert {(record.column, record.name) for record in records} == {("power_w", "S2/5")}
    assert "after 40 min" in records[0].reason


def test_a_server_whose_clock_is_behind_is_named_and_not_believed(healthy):
    """All its sensors agree with each other; only its VM's load, told by another clock, shows that they are late."""
    healthy.vm_load_frac[:] = healthy.load_frac[:, :, 0]
    late = [healthy.inlet_c, healthy.server_power_w, healthy.airflow_cfm]
    late += [healthy.load_frac, healthy.gpu_power_w, healthy.gpu_c, healthy.gpu_memory_c]
    for values in late:
        values[6:, BUSY] = values[:-6, BUSY].copy()
    records = gate(healthy)
    assert (records[0].table, records[0].column, records[0].name) == ("servers", "t_s", "S2")
    assert "30 min behind" in records[0].reason
    assert np.isnan(healthy.gpu_c[:, BUSY]).all()
    assert {record.name for record in records if record.table != "rows"} == {"S2"}


def test_what_a_register_holds_when_nobody_wrote_to_it_is_refused_reading_by_reading(healthy):
    """0 °C and 40 CFM lie in the range of their sensors; beside what drives them they cannot be."""
    zero, odd = np.arange(100, 1_500, 7), np.arange(50, 1_500, 11)
    healthy.gpu_c[zero, 0, 0] = 0.0
    healthy.airflow_cfm[odd, 4] = 40.0
    records = gate(healthy)
    assert {(record.column, record.name, record.readings) for record in records} == {
        ("temperature_c", "S1/0", zero.size),
        ("airflow_cfm", "S5", odd.size),
    }
    assert np.isnan(healthy.gpu_c[zero, 0, 0]).all()


def test_a_server_cannot_draw_less_than_its_gpus(healthy):
    healthy.server_power_w[300:600, 0] *= 0.4
    records = gate(healthy)
    assert {(record.column, record.name) for record in records} == {("power_w", "S1")}
    assert np.isnan(healthy.server_power_w[300:600, 0]).all()


@pytest.mark.parametrize(("factor", "word"), [(0.8, "less than the row's servers draw"), (2.0, "more than 1.5 times")])
def test_a_meter_below_or_far_above_its_servers_is_refused(healthy, factor, word):
    """A PDU's meter of another row, or of half a row: believed, it would move budgets."""
    healthy.meter_w[:, 0] *= factor
    records = gate(healthy)
    assert {(record.table, record.name) for record in records} == {("rows", healthy.topology.rows[0])}
    assert word in records[0].reason
    assert np.isnan(healthy.meter_w[:, 0]).all()
    assert np.isfinite(healthy.meter_w[:, 1]).all()


@pytest.mark.parametrize("with_load", [True, False])
def test_a_gpu_that_rests_in_a_busy_server_is_no_broken_sensor(healthy, with_load):
    """VMs take one, two or four GPUs too: the others draw little and stay cool, and both readings are true."""
    rests = (slice(3 * SLOTS_PER_DAY, None), BUSY, slice(6, 8))
    healthy.load_frac[rests] = 0.0
    healthy.gpu_power_w[rests] = 55.0 + np.random.default_rng(2).standard_normal((3 * SLOTS_PER_DAY, 2))
    air = np.median(healthy.inlet_c[3 * SLOTS_PER_DAY :], axis=1)[:, None]
    healthy.gpu_c[rests], healthy.gpu_memory_c[rests] = np.round(air + 7.0), np.round(air + 12.0)
    if not with_load:
        healthy.load_frac[:] = np.nan
    assert {name for column, name in blamed(healthy) if name.startswith("S2/")} == set()


def test_a_room_that_warms_is_no_broken_sensor(healthy):
    """All inlets and chips 5 °C warmer since the fourth day: that is weather, and must be learned."""
    since = 4 * SLOTS_PER_DAY
    for values in (healthy.inlet_c, healthy.gpu_c, healthy.gpu_memory_c):
        values[since:] += 5
    assert gate(healthy) == ()


def test_one_broken_sensor_costs_no_other_reading(healthy):
    """An inlet sensor is needed to judge eight GPUs: they are held against the row's air, not against it."""
    healthy.inlet_c[::3, 0] = 55.0
    before = [np.isfinite(values).sum() for values in (healthy.gpu_c, healthy.server_power_w)]
    assert blamed(healthy) == {("inlet_c", "S1")}
    assert [np.isfinite(values).sum() for values in (healthy.gpu_c, healthy.server_power_w)] == before


def test_a_site_without_some_sensors_is_judged_by_the_others(healthy):
    for values in (healthy.inlet_c, healthy.airflow_cfm, healthy.gpu_memory_c, healthy.meter_w):
        values[:] = np.nan
    assert gate(healthy) == ()
    healthy.gpu_c[::5, 0, 0] = 120.0
    assert blamed(healthy) == {("temperature_c", "S1/0")}


def test_the_rooms_load_is_that_of_believed_meters(healthy):
    before = healthy.room_load_frac.copy()
    healthy.server_power_w[300:600, 0] *= 3
    healthy.room_load_frac[:] = room_load_frac(healthy.server_power_w, healthy.topology)
    gate(healthy)
    assert healthy.room_load_frac == pytest.approx(before, rel=0.1)


def test_what_is_in_range_is_finite_and_within_both_ends():
    column = next(column for column in TABLES["gpus"].columns if column.name == "temperature_c")
    values = np.array([-1.0, 0.0, 120.0, 120.1, np.nan, np.inf])
    assert in_range(values, column).tolist() == [False, True, True, False, False, False]


def test_missing_readings_do_not_end_a_run():
    values = np.array([1.0, 2, 2, 2, np.nan, 2, 2, 2, 2, 3])[:, None]
    driver = np.arange(10.0)[:, None]
    assert stands_still(values, driver, 4, 1.0)[:, 0].tolist() == [False] * 2 + [True] * 2 + [False] + [True] * 4 + [
        False
    ]
    assert not stands_still(values, driver * 0, 4, 1.0).any()


def test_the_lag_is_where_changes_agree():
    driver = np.random.default_rng(1).standard_normal((300, 2))
    late = np.roll(driver, 3, axis=0)
    lag, best, now = lag_of(np.stack([late[:, 0], driver[:, 1]], axis=1), driver, 10)
    assert lag.tolist() == [3, 0]
    assert (best > 0.9).all()
    assert now[0] < 0.2


def test_the_median_is_of_what_is_there():
    values = np.array([[1.0, np.nan, 3.0, 9.0], [np.nan] * 4, [4.0, 2.0, np.nan, np.nan]])
    assert np.array_equal(median_of_present(values, 1), [3.0, np.nan, 3.0], equal_nan=True)
