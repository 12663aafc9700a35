"""Days that happened, taken through policies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.panel import NO_VM
from tapas_opt.plant import history
from tapas_opt.plant.history import generate_history
from tapas_opt.plant.population import Population
from tapas_opt.serving.clock import clock_power_frac
from tapas_opt.simulation.backtest.counted import DEFINED, OF_ROOM
from tapas_opt.simulation.backtest.kept import Kept
from tapas_opt.simulation.backtest.past import borrowed
from tapas_opt.simulation.policy import Orders
from tapas_opt.telemetry.history import read_panel


def hosted(test, t=0):
    """A room in which all VMs of a slot are where they were."""
    room = test.room()
    for stay in test.past.stays:
        if stay.first <= t < stay.stop:
            room.host(stay.vm, stay.server, stay.profile)
    return room


@pytest.fixture
def room(test_of, lives):
    return hosted(test_of(lives))


def shares_of(past, t=0):
    """What each instance carried of its endpoint's tokens."""
    carried = {}
    for stay in past.stays:
        if stay.profile is not None and stay.first <= t < stay.stop:
            carried.setdefault(stay.vm.endpoint, {})[stay.vm.name] = past.tokens_per_s(stay, t)
    return {e: {name: part / sum(parts.values()) for name, part in parts.items()} for e, parts in carried.items()}


def step(room, t=0):
    room.step(t, room.past.demand_tokens_per_s(t), shares_of(room.past, t))
    return room.state


def first(room, saas):
    return next(stay for stay in room.past.stays if stay.first == 0 and (stay.profile is not None) == saas)


def test_keeping_everything_as_it_happened_reproduces_what_the_rows_meters_read(test_of, lives):
    test = test_of(lives)
    record, _ = test.as_predicted()
    assert record.row_power_w == pytest.approx(test.past.meter_w, rel=1e-12)
    assert record.metrics["saas_performance_loss_frac"] == pytest.approx(0.0, abs=1e-12)
    assert record.metrics["vms_rejected"] == 0
    assert record.hottest_gpus_c.max() == record.metrics["max_gpu_temperature_c"] == record.hottest_gpu_c.max()
    assert record.hottest_s == record.t_s[record.hottest_gpu_c.argmax()]


def test_a_picture_gets_some_of_what_was_predicted_and_measured(test_of, lives):
    test = test_of(lives)
    misses = test.as_predicted()[1]
    predicted, measured = misses.sample()["gpu_temperature"]
    summary = misses.summary()["gpu_temperature"]
    assert 0 < len(predicted) <= summary["readings"]
    assert set(measured) <= set(test.past.panel.gpu_c[np.isfinite(test.past.panel.gpu_c)])
    assert np.abs(predicted - measured).mean() == pytest.approx(summary["mae"], rel=0.1)


def test_so_it_does_without_meters_on_the_rows_and_with_a_server_that_was_never_read(test_of, panel, lives):
    """A row is then the sum of its servers, and a server of which nothing is known stands idle."""
    power_w = panel.server_power_w.copy()
    power_w[:, 0] = np.nan
    blind = replace(panel, server_power_w=power_w, meter_w=np.full_like(panel.meter_w, np.nan))
    test = test_of([one for one in lives if one.server != "S1"], blind)
    record, _ = test.as_predicted()
    second = test.past.server_power_w[:, 3:].sum(axis=1)
    assert record.row_power_w[:, 1] == pytest.approx(second, rel=1e-12)
    known = test.past.server_power_w[:, 1:3].sum(axis=1)
    assert (record.row_power_w[:, 0] - known > 1000.0).all()


class Shifted(Population):
    """The same VMs, each on the server after that where it would have been."""

    def at(self, t_s):
        vms, servers = super().at(t_s)
        return vms, (servers + 1) % 6


def test_what_is_said_of_another_placement_is_what_the_plant_makes_of_it(
    two_rows, opaque, panel, test_of, tmp_path, monkeypatch
):
    """Rows' power, against the same hours of a plant in which all VMs were elsewhere: a truth that no operator has."""
    monkeypatch.setattr(history, "Population", Shifted)
    generate_history(two_rows, out=tmp_path, days=0.25, seed=3)
    truth = read_panel(tmp_path, panel.topology).panel
    test = test_of(opaque, anew=True)
    names = panel.topology.servers
    moved = tuple(replace(stay, server=names[(stay.column + 1) % 6]) for stay in test.past.stays)
    record = test.through(Kept(replace(test.past, stays=moved)))
    off = record.row_power_w / truth.meter_w - 1.0
    asked = np.nanmean(np.abs(test.as_measured().row_power_w / truth.meter_w - 1.0))
    assert np.nanmean(np.abs(off)) < 0.02 < asked


def test_moving_opaque_vms_moves_their_power_and_changes_no_sum(test_of, opaque):
    """Conserved by the hour and in all; only rows differ."""
    test = test_of(opaque, anew=True)
    moved, kept = test.run("baseline"), test.as_measured()
    assert moved.row_power_w.sum(axis=1) == pytest.approx(kept.row_power_w.sum(axis=1), rel=1e-9)
    assert moved.metrics["energy_kwh"] == pytest.approx(kept.metrics["energy_kwh"], rel=1e-9)
    assert moved.metrics["vms_adopted"] == 0
    assert moved.metrics["vms_placed"] == len(test.past.stays)


def test_a_moved_vm_draws_there_what_it_drew_beyond_idle(room):
    """Of two idle servers alike: all that differs between before and after is the VM's extra."""
    stay = first(room, saas=False)
    kept_w = step(room).server_power_w.copy()
    idle_w = room.room.idle_power_w(room.state.heat.inlet_c)
    target = next(s for s in range(6) if s != stay.column)
    room.evict([one for one, running in room.running.items() if running.server == target])
    room.evict([stay.vm.name])
    room.host(stay.vm, room.past.topology.servers[target], stay.profile)
    moved_w = step(room).server_power_w
    assert moved_w[stay.column] == pytest.approx(idle_w[stay.column], rel=1e-9)
    assert moved_w[target] - idle_w[target] == pytest.approx(kept_w[stay.column] - idle_w[stay.column], rel=1e-9)


def test_a_capped_clock_leaves_its_part_of_what_the_gpus_drew(room):
    stay = first(room, saas=False)
    before_w = step(room).gpu_power_w[stay.column].copy()
    room.order(Orders(frequency_frac_of={stay.vm.name: 0.7}), 0.0)
    assert room.act(60.0) == [stay.vm.name]
    after_w = step(room).gpu_power_w[stay.column]
    idle_w = room.room.idle_gpu_w[stay.column]
    assert after_w - idle_w == pytest.approx((before_w - idle_w) * clock_power_frac(0.7))
    assert room.crew.capped == {stay.vm.name}


def test_an_instance_under_another_load_draws_its_profiles_difference(room):
    """Profile in hand: from what it carried to half of its goodput."""
    stay = first(room, saas=True)
    before = step(room)
    half = {stay.vm.endpoint: 0.5 * stay.profile.goodput_tokens_per_s}
    room.step(0, half, {stay.vm.endpoint: {stay.vm.name: 1.0}})
    levels_w = stay.profile.gpu_power_w
    carried = room.past.load_frac[0, stay.column]
    change_w = levels_w[1] - np.interp(carried, (0.0, 0.5, 1.0), levels_w)
    gpu_w = room.state.gpu_power_w[stay.column] - before.gpu_power_w[stay.column]
    assert gpu_w == pytest.approx(np.full(8, change_w), abs=1e-6)
    server_w = room.state.server_power_w[stay.column] - before.server_power_w[stay.column]
    assert np.sign(server_w) == np.sign(change_w)


def test_a_parked_instance_draws_and_serves_nothing(room):
    stay = first(room, saas=True)
    room.order(Orders({stay.vm.name: "parked"}), 0.0)
    room.act(60.0)
    state = step(room)
    assert state.gpu_power_w[stay.column] == pytest.approx(np.full(8, room.room.idle_gpu_w[stay.column]))
    assert room.crew.most_tokens_per_s[room.crew.position[stay.vm.name]] == 0.0


def test_policies_hear_what_sensors_said_as_long_as_they_change_nothing(test_of, panel, lives):
    """Noise, what models miss, and silence included."""
    t, inlet_c = 20, panel.inlet_c.copy()
    inlet_c[t, 4] = np.nan
    room = hosted(test_of(lives, replace(panel, inlet_c=inlet_c)), t)
    step(room, t)
    heard = room.telemetry(0.0, {}).sensed
    assert heard.server_inlet_c == pytest.approx(inlet_c[t], nan_ok=True)
    assert heard.gpu_temperature_c == pytest.approx(np.float64(panel.gpu_c[t]), nan_ok=True)
    assert heard.server_airflow_cfm == pytest.approx(panel.airflow_cfm[t], nan_ok=True)
    assert heard.row_meter_power_w == pytest.approx(panel.meter_w[t], nan_ok=True)


def test_every_gpu_of_a_server_that_models_have_not_seen_is_predicted(room):
    """None of the six was there when the demo's models were learned; the same power gives the same temperature."""
    power_w = np.full((6, 8), 200.0)
    heat = room.room.heat(np.array([15.0]), np.full(6, 3000.0), power_w)
    assert np.ptp(heat.gpu_c) == pytest.approx(0.0, abs=1e-9)
    assert 40.0 < heat.gpu_c[0, 0] < 80.0


def test_what_five_minutes_cannot_tell_is_not_told(test_of, lives):
    """Trips and tolerances are a matter of seconds, and what was measured knows no policy."""
    test = test_of(lives)
    measured, run = test.as_measured().metrics, test.run("baseline").metrics
    assert {name for name, value in measured.items() if np.isfinite(value)} == set(OF_ROOM)
    assert {name for name, value in run.items() if np.isfinite(value)} <= {*DEFINED, "wall_s"}
    for name in ("ups_trips", "breaker_trips", "worst_overload_frac_of_tolerance", "relief_s"):
        assert np.isnan(run[name])


def test_what_was_measured_is_what_the_sensors_said(test_of, panel, lives):
    record = test_of(lives).as_measured()
    assert record.metrics["max_gpu_temperature_c"] == np.nanmax(panel.gpu_c)
    assert record.metrics["peak_row_power_frac"] == np.nanmax(panel.meter_w / panel.topology.row_budget_w)


def test_five_minutes_in_which_nothing_was_read_do_not_make_the_days_unknown(test_of, panel, lives):
    """A collector that was down: power is filled in, and what was hottest is what was hottest before and after."""
    blank = {}
    for name in (
        "outdoor_c",
        "inlet_c",
        "server_power_w",
        "airflow_cfm",
        "gpu_power_w",
        "gpu_c",
        "gpu_memory_c",
        "meter_w",
    ):
        blank[name] = getattr(panel, name).copy()
        blank[name][30] = np.nan
    test = test_of(lives, replace(panel, **blank))
    measured, (predicted, _) = test.as_measured(), test.as_predicted()
    assert len(measured.t_s) == len(predicted.t_s) - 1
    assert np.isfinite(measured.metrics["max_gpu_temperature_c"])
    assert measured.metrics["energy_kwh"] == pytest.approx(predicted.metrics["energy_kwh"])
    assert np.isfinite(predicted.row_power_w).all()


def test_every_policy_takes_the_same_days_and_the_service_code_too(test_of, panel, lives):
    """Half an hour is enough to see that each of them can be asked."""
    short = replace(
        panel,
        **{
            name: getattr(panel, name)[:6]
            for name in panel.__dataclass_fields__
            if isinstance(getattr(panel, name), np.ndarray)
        },
    )
    for policy in ("tapas", "tapas-opt"):
        record = test_of(lives, short).run(policy)
        assert len(record.t_s) == 6
        assert record.metrics["vms_rejected"] == len(record.turned_away)
        assert record.metrics["vms_placed"] + record.metrics["vms_rejected"] == len(test_of(lives, short).past.stays)


def test_vms_of_somewhere_else_are_all_placed_by_the_policy(panel, lives, models, measured, test_of):
    listed = [replace(one, server=None) for one in lives if one.vm.endpoint is None]
    test = replace(test_of(lives), past=borrowed(panel, listed, measured))
    record = test.run("baseline")
    metrics = record.metrics
    assert metrics["vms_adopted"] == 0
    assert metrics["vms_placed"] == len(test.past.stays)
    assert record.turned_away == ()
    assert (test.past.occupied == (panel.vm != NO_VM)).all()
