"""Biases follow what sensors say, within bounds; what is not known widens margins and is said."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.drift import DRIFT_AFTER_S
from tapas_opt.control.outlook import Outlook
from tapas_opt.control.telemetry import STALE_S
from tapas_opt.control.tracked import untracked
from tapas_opt.control.tracking import LARGEST, LOOK_EVERY_S, LOST_FOR_S, LOWERS_FRAC, Tracking
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput

MINUTE = 60.0


@pytest.fixture
def topology(controller):
    return controller.fleet.topology


@pytest.fixture
def push(controller, as_predicted, topology):
    """Push one batch a minute, of sensors that say what is predicted and more; returns the time of the last one."""

    def pushed(minutes, from_s=0.0, **more):
        for k in range(1, minutes + 1):
            controller.observe(as_predicted(topology, from_s + MINUTE * k, **more))
        return from_s + MINUTE * minutes

    return pushed


def on(server, value):
    """``value`` at one server, 0 at the 79 others."""
    more = np.zeros(80)
    more[server] = value
    return more


def test_without_telemetry_the_learned_models_speak_alone(controller):
    tracked = controller.outlook.tracking.now(0.0, lasting=False)
    assert not any(np.any(getattr(tracked, name)) for name in ("inlet_c", "gpu_c", "server_power_w", "airflow_cfm"))
    assert controller.warnings(0.0) == ()


def test_a_biased_sensor_moves_its_own_bound_and_nobody_elses(controller, push):
    """An inlet 3 °C above its model for an hour: that is added to its upper value, and its GPUs may draw less."""
    now_s = push(45, inlet_more=on(7, 3.0))
    tracked = controller.outlook.tracking.now(now_s, lasting=False)
    assert tracked.inlet_c[7] == pytest.approx(3.0, abs=0.1)
    assert np.delete(tracked.inlet_c, 7) == pytest.approx(np.zeros(79), abs=0.1)
    forecast = controller.forecast_next_hour(now_s=now_s)
    alone = replace(forecast, tracked=untracked(controller.fleet.topology))
    assert forecast.ceiling_w[7] < alone.ceiling_w[7]


def test_every_model_is_tracked(controller, push):
    """Watts of a server, and the temperature of each of its GPUs."""
    now_s = push(40, gpu_more=on(3, 2.0), power_more=on(5, 130.0))
    tracked = controller.outlook.tracking.now(now_s, lasting=False)
    assert tracked.gpu_c[3] == pytest.approx(np.full(8, 2.0), abs=0.3)
    assert tracked.server_power_w[[4, 5]] == pytest.approx([0.0, 130.0], abs=15.0)


@pytest.mark.parametrize(("more", "bias"), [(25.0, 5.0), (-15.0, -5.0 * LOWERS_FRAC)])
def test_a_broken_sensor_moves_a_bound_by_no_more_than_is_stated(controller, push, more, bias):
    """Far too warm costs at most 5 °C and as much of widening; far too cold frees at most 1.5 °C."""
    now_s = push(45, inlet_more=on(7, more))
    sensors = controller.outlook.tracking.now(now_s, lasting=False)
    assert LARGEST["inlet_temperature"].largest == 5.0
    assert bias <= sensors.inlet_c[7] <= bias + 5.0
    assert any("R1-K2-S4" in warning for warning in controller.warnings(now_s))


def test_for_weeks_a_bias_only_raises_bounds(controller, push):
    """What reads low today may be back tomorrow; a VM stays."""
    now_s = push(45, inlet_more=on(7, 1.0) + on(8, -1.0))
    hour, life = (controller.outlook.tracking.now(now_s, lasting=lasting) for lasting in (False, True))
    assert hour.inlet_c[[7, 8]] == pytest.approx([1.0, -1.0], abs=0.1)
    assert life.inlet_c[[7, 8]] == pytest.approx([1.0, 0.0], abs=0.1)


def test_what_is_known_from_few_readings_widens_and_is_said_until_it_is_known(controller, push):
    """One batch is no basis; a quarter of an hour of them is."""
    push(1)
    (said, *_) = controller.outlook.context(controller.forecast_next_hour(now_s=MINUTE)).warnings[-5:]
    assert said.startswith(
        "WIDENED: inlet_temperature on 80 of 80 sensors, such as R1-K1-S1: its bias is known from few"
    )
    first = controller.outlook.tracking.now(MINUTE, lasting=False).inlet_c
    assert (first > 0.05).all()
    now_s = push(15, from_s=MINUTE)
    assert controller.warnings(now_s) == ()
    assert controller.outlook.tracking.now(now_s, lasting=False).inlet_c == pytest.approx(np.zeros(80), abs=0.05)


def test_a_sensor_that_dies_widens_more_and_more_and_is_named(controller, push, as_predicted, topology):
    """The others go on; its own margin grows, and nothing becomes colder by that."""
    push(15)
    for k in range(20):
        batch = as_predicted(topology, 90_000.0 + MINUTE * k)
        controller.observe(replace(batch, inlet_c={n: v for n, v in batch.inlet_c.items() if n != "R1-K1-S1"}))
    now_s = 90_000.0 + MINUTE * 19
    tracked = controller.outlook.tracking.now(now_s, lasting=False)
    assert 0.1 < tracked.inlet_c[0] <= 5.0
    assert tracked.inlet_c[1:] == pytest.approx(np.zeros(79), abs=0.05)
    (said,) = [text for text in controller.warnings(now_s) if "inlet_temperature" in text]
    assert "on 1 of 80 sensors, such as R1-K1-S1: its last reading is 90,240 s old" in said


def test_a_stuck_sensor_is_not_followed_and_is_named(controller, as_predicted, topology):
    """It says 20.0 °C for hours while the weather warms all others by 5 °C: its bias must not sink with it."""
    for k in range(1, 121):
        batch = as_predicted(topology, MINUTE * k, outdoor_c=15.0 + 0.1 * k)
        controller.observe(replace(batch, inlet_c={**batch.inlet_c, "R1-K1-S1": 20.0}))
    (said,) = [text for text in controller.warnings(120 * MINUTE) if text.startswith("STUCK")]
    assert said.startswith("STUCK: inlet_temperature reads the same although it should have moved on R1-K1-S1;")
    tracked = controller.outlook.tracking.now(120 * MINUTE, lasting=False)
    assert tracked.inlet_c[0] >= -5.0 * LOWERS_FRAC


def test_a_meter_below_its_own_gpus_is_not_believed_and_is_named(controller, push):
    """What the server draws is then predicted: a broken meter would free power that is not there."""
    now_s = push(3, power_more=on(5, -1_200.0))
    assert [text for text in controller.warnings(now_s) if text.startswith("ABSURD")] == [
        "ABSURD: server_power is contradicted by other sensors on R1-K2-S2; not believed"
    ]
    forecast = controller.forecast_next_hour(now_s=now_s)
    power, _ = forecast.present_draw(frozenset())
    assert forecast.latest.get("server_power_w", "R1-K2-S2", now_s) < 500.0
    assert power[5, 0] > 1_000.0
    assert push(1, from_s=now_s) == now_s + MINUTE
    assert not any(text.startswith("ABSURD") for text in controller.warnings(now_s + MINUTE))


def test_readings_are_compared_once_however_they_come(controller, as_predicted, topology):
    """Five pushes within half a minute are one look, and a reading that is sent again is not a second one."""
    tracking = controller.outlook.tracking
    controller.observe(as_predicted(topology, 100.0))
    for t_s in (105.0, 110.0, 100.0 + LOOK_EVERY_S - 1):
        controller.observe(as_predicted(topology, t_s))
    assert tracking.looked_at_s == 100.0
    controller.observe(replace(as_predicted(topology, 100.0 + LOOK_EVERY_S), inlet_c={}, server_power_w={}))
    assert tracking.looked_at_s == 130.0
    before = tracking.now(130.0, lasting=False)
    controller.observe(replace(as_predicted(topology, 160.0), inlet_c={}, server_power_w={}))
    assert (tracking.now(160.0, lasting=False).inlet_c >= before.inlet_c - 1e-9).all()


def test_the_same_readings_give_the_same_biases(make, as_predicted, topology):
    """Whoever mirrors a service from outside comes to the same numbers."""
    one, other = make(), make()
    for k in range(1, 20):
        batch = as_predicted(topology, 40.0 * k, inlet_more=on(2, 1.0))
        one.observe(batch)
        other.observe(batch)
    a, b = (c.outlook.tracking.now(800.0, lasting=False) for c in (one, other))
    assert (a.inlet_c == b.inlet_c).all()
    assert (a.gpu_c == b.gpu_c).all()


def test_many_biased_sensors_raise_an_alarm(controller, push):
    """2 °C on every inlet of the room, longer than an hour: fit again."""
    now_s = push(70, inlet_more=2.0)
    (said,) = [text for text in controller.warnings(now_s) if text.startswith("DRIFT: inlet")]
    assert "reads 2 °C above what was learned on 80 of 80 sensors" in said
    assert now_s > DRIFT_AFTER_S


# Across restarts.


def test_what_is_tracked_survives_as_json(controller, push, topology, models):
    """Bit for bit, and through text."""
    now_s = push(40, inlet_more=on(7, 1.5), gpu_more=on(3, -1.0))
    kept = json.loads(json.dumps(controller.outlook.tracking.copy().to_json()))
    restored = Tracking.restored(kept, topology, models)
    a, b = (tracking.now(now_s + 30.0, lasting=False) for tracking in (controller.outlook.tracking, restored))
    for name in ("inlet_c", "gpu_c", "gpu_memory_c", "server_power_w", "airflow_cfm"):
        assert (getattr(a, name) == getattr(b, name)).all()
    assert restored.warnings(now_s) == ()
    assert restored.looked_at_s == now_s


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ({"format": "tapas-opt/tracking/9"}, "format"),
        ({"looked_at_s": "noon"}, "looked_at_s"),
        ({"trackers": {"inlet_temperature": {"format": "tapas-opt/bias/1"}}}, "sensors"),
        ({"more": 1}, "more"),
        ({"looked_at_s": None}, "later than looked_at_s"),
        ({"drifting_since_s": {"inlet_temperature": float("nan")}}, "drifting_since_s"),
    ],
)
def test_a_damaged_state_is_refused_with_its_faults(controller, push, topology, models, damage, where):
    push(2)
    raw = controller.outlook.tracking.to_json() | damage
    with pytest.raises(InvalidInput, match=where):
        Tracking.restored(raw, topology, models)


def test_biases_of_other_models_are_nothing_to_these(controller, push, topology, models):
    """After a fit the errors are others: everything begins anew."""
    push(30, inlet_more=2.0)
    raw = controller.outlook.tracking.to_json() | {"models": "0" * 16}
    assert not Tracking.restored(raw, topology, models).now(9e3, lasting=False).inlet_c.any()


def test_a_lost_state_widens_until_sensors_have_been_read(controller, push, topology, models):
    """Nothing is known of any sensor; an hour later what was never read is none that the site has."""
    controller.forget_tracking("the file is gone")
    tracking = controller.outlook.tracking
    assert (tracking.now(0.0, lasting=False).inlet_c > 0.1).all()
    assert tracking.warnings(0.0)[0] == "TRACKING: the file is gone; margins are wider until sensors have been read"
    now_s = push(15, without=("airflow_cfm",))
    tracked = controller.outlook.tracking.now(now_s, lasting=False)
    assert tracked.inlet_c == pytest.approx(np.zeros(80), abs=0.05)
    assert (tracked.airflow_cfm > 1.0).all()
    now_s = push(int(LOST_FOR_S / MINUTE) + 1, from_s=now_s, without=("airflow_cfm",))
    assert not controller.outlook.tracking.now(now_s, lasting=False).airflow_cfm.any()
    assert controller.warnings(now_s) == ()


def test_sensors_that_stay_keep_what_is_known_when_the_site_changes(controller, push, demo_site):
    """R1 loses its first server; the others' biases are theirs still."""
    now_s = push(40, inlet_more=on(7, 1.5))
    rack = demo_site.rooms[0].aisles[0].rows[0].racks[0]
    controller.apply([happened.SiteApplied(_without_first(demo_site, rack))])
    topology = controller.fleet.topology
    found = controller.forecast_next_hour(now_s=now_s).tracked.inlet_c
    assert len(found) == 79
    assert found[topology.servers.index("R1-K2-S4")] == pytest.approx(1.5, abs=0.1)


def test_a_day_that_is_replayed_begins_anew(controller, push):
    """Time has gone back by more than telemetry may be late: what was known of tomorrow is not known today."""
    push(40, from_s=1e6, inlet_more=2.0)
    tracking = controller.outlook.tracking
    assert not tracking.due(1e6 + 40 * MINUTE - STALE_S / 2)
    assert tracking.due(500.0)
    other = Outlook(controller.fleet, controller.models, controller.profiles, 2.0)
    other.tracking = tracking
    forecast = replace(controller.forecast_next_hour(now_s=500.0), latest=other.latest)
    tracking.look(forecast)
    assert not tracking.now(500.0, lasting=False).inlet_c.any()


def _without_first(site, rack):
    room = site.rooms[0]
    row = room.aisles[0].rows[0]
    fewer = replace(rack, servers=rack.servers[1:])
    rows = (replace(row, racks=(fewer, *row.racks[1:])), *room.aisles[0].rows[1:])
    aisles = (replace(room.aisles[0], rows=rows), *room.aisles[1:])
    smaller = replace(site, rooms=(replace(room, aisles=aisles), *site.rooms[1:]))
    assert len(topology_of(smaller).servers) == 79
    return smaller
