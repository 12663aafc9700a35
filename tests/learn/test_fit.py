"""Known coefficients are found again, margins keep their promise, and what is missing stays missing."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.panel import NO_VM
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.fit import fit
from tapas_opt.learn.gpu_temperature import GpuTemperatureModel
from tapas_opt.telemetry.panel import panel_of

TEMPERATURES = (("gpu_temperature", "gpu"), ("gpu_memory_temperature", "memory"))


def test_inlet_slopes_and_room_load_are_recovered(learned, known):
    for entry in learned.inlet_temperature.entries.values():
        cold, mild, hot = entry.outdoor_slopes
        assert mild == pytest.approx(known.outdoor_slope, abs=0.02)
        assert cold == pytest.approx(0.0, abs=0.03)
        assert hot == pytest.approx(0.0, abs=0.03)
        assert entry.load_c == pytest.approx(known.room_load_c, abs=0.3)


@pytest.mark.parametrize(("model", "sensor"), TEMPERATURES)
def test_gpu_coefficients_are_recovered(learned, topology, known, model, sensor):
    """The inlet sensor's own noise flattens a by σ²/var: 0.09 / 4 is 2 % of it. S6 never worked."""
    gpus = GpuTemperatureModel(getattr(learned, model))
    inlet, power = np.array([[20.0], [24.0]]), np.array([[[[100.0]]], [[[300.0]]]])
    at = gpus.central_c(topology, inlet, power)[..., :5, :]  # [power, inlet, server, gpu]
    assert (at[1] - at[0]) / 200.0 == pytest.approx(getattr(known, f"{sensor}_b"), rel=0.03)
    assert (at[:, 1] - at[:, 0]) / 4.0 == pytest.approx(getattr(known, f"{sensor}_a"), abs=0.06)
    assert np.diff(at, axis=-1) == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize(("model", "sensor"), TEMPERATURES)
def test_every_gpu_warms_with_its_inlet_and_its_power(learned, model, sensor):
    artefact = getattr(learned, model)
    for entry in (*artefact.entries.values(), *artefact.pooled.values()):
        assert min(entry.a) > 0
        assert min(entry.b_c_per_w) > 0


def test_a_gpu_that_never_worked_takes_the_fit_and_the_wider_margin_of_all(learned):
    idle, pooled = learned.gpu_temperature.entries["S6"], learned.gpu_temperature.pooled["dgx-a100"]
    assert idle.b_c_per_w == pooled.b_c_per_w * 8
    assert min(idle.margin_c) > max(learned.gpu_temperature.entries["S1"].margin_c)


def test_power_and_air_are_recovered(learned, known):
    constant, per_w, per_c = known.server_w
    gpu_w, inlet = np.array([100.0, 200.0, 300.0]), 24.0
    assert learned.gpu_power_w("dgx-a100", [0.2, 0.5, 0.8]) == pytest.approx([120, 210, 300], rel=0.02)
    expected = constant + per_w * gpu_w + per_c * (inlet - 20)
    assert learned.server_power_w("dgx-a100", gpu_w, inlet) == pytest.approx(expected, rel=0.01)
    assert learned.airflow_cfm("dgx-a100", gpu_w, inlet) == pytest.approx(300 + 1.5 * gpu_w + 20, rel=0.01)


def test_row_overhead_is_recovered(learned, known):
    assert learned.row_overhead_w("R1") == pytest.approx(known.overhead_w, abs=1.0)


def test_templates_know_the_hours_of_the_day(learned):
    """Hour 0 of the week is the hour at t_s = 0; offices work from 8 to 20 h, all VMs together at 0.44 and 0.74."""
    office, steady = learned.load_central_frac("office"), learned.load_central_frac("steady")
    assert office[[3, 12]] == pytest.approx([0.2, 0.7], abs=0.05)
    assert steady[[3, 12]] == pytest.approx([0.8, 0.8], abs=0.08)
    assert learned.load_central_frac("nobody")[[3, 12]] == pytest.approx([0.44, 0.74], abs=0.05)
    assert (learned.load_upper_frac("office") > office).all()


def test_errors_are_those_of_the_sensors_and_coverage_is_at_least_promised(learned, known):
    """Mean |N(0, σ)| is 0.8·σ. S6 is judged by the model of all, so GPUs do a little worse."""
    errors = learned.errors()
    assert errors["inlet_temperature"].mae == pytest.approx(0.8 * known.noise_c, rel=0.1)
    assert errors["inlet_temperature"].unit == "°C"
    assert errors["gpu_temperature"].mae < 0.8
    for name in ("inlet_temperature", "gpu_temperature", "gpu_memory_temperature", "gpu_power", "domain_margin"):
        assert errors[name].coverage >= 0.97, name
    assert errors["vm_load"].coverage == pytest.approx(0.95, abs=0.02)
    assert errors["inlet_temperature"].rows_train == 4 * 288 * 6
    assert errors["inlet_temperature"].rows_test == 2 * 288 * 6


def test_margins_keep_their_promise_on_other_histories(make_history, topology):
    """99 % of GPU-days, server-days and domain-days; a busy hour takes a rack, its row and its feeds at once."""
    histories = [make_history(topology, days=6, seed=seed) for seed in range(2, 6)]
    errors = [fit(panel_of(history, topology)).errors() for history in histories]
    for model in ("gpu_temperature", "inlet_temperature", "domain_margin"):
        assert np.mean([each[model].coverage for each in errors]) >= 0.96


def test_the_split_is_by_time(make_history, topology):
    """What happens on the judging days changes errors, and no model."""
    history = make_history(topology)
    clean = fit(panel_of(history, topology))
    late = history["servers"]["t_s"] >= 6 * 86_400
    history["servers"].loc[late, "inlet_c"] += 5.0
    warmer = fit(panel_of(history, topology))
    assert warmer.inlet_temperature.entries == clean.inlet_temperature.entries
    assert warmer.errors()["inlet_temperature"].mae > clean.errors()["inlet_temperature"].mae + 4
    assert warmer.errors()["inlet_temperature"].coverage == 0.0


def test_missing_readings_are_left_out_and_never_zero(make_history, topology):
    """A tenth of all readings gone: coefficients stay, where zeros would pull every one of them down."""
    history = make_history(topology)
    rng = np.random.default_rng(0)
    for table, columns in (("servers", ("inlet_c", "power_w", "airflow_cfm")), ("gpus", ("power_w", "temperature_c"))):
        for column in columns:
            history[table].loc[rng.random(len(history[table])) < 0.1, column] = np.nan
    history["rows"].loc[rng.random(len(history["rows"])) < 0.1, "meter_power_w"] = np.nan
    history["vms"].loc[rng.random(len(history["vms"])) < 0.1, "load_frac"] = np.nan
    gappy, whole = fit(panel_of(history, topology)), fit(panel_of(make_history(topology), topology))
    assert gappy.errors()["gpu_temperature"].rows_train < 0.75 * whole.errors()["gpu_temperature"].rows_train
    warm = (np.full(6, 24.0), 250.0)
    assert gappy.gpu_temperature_central_c(topology, *warm) == pytest.approx(
        whole.gpu_temperature_central_c(topology, *warm), abs=0.3
    )
    assert gappy.load_central_frac("steady") == pytest.approx(whole.load_central_frac("steady"), abs=0.03)
    assert gappy.server_power_w("dgx-a100", 200.0, 24.0) == pytest.approx(
        whole.server_power_w("dgx-a100", 200.0, 24.0), rel=0.01
    )
    assert gappy.domain_margin_frac("row", "R1") == pytest.approx(whole.domain_margin_frac("row", "R1"), abs=0.03)


def test_a_few_absurd_readings_move_no_coefficient(make_history, topology):
    history = make_history(topology)
    absurd = np.random.default_rng(0).random(len(history["servers"])) < 0.002
    history["servers"].loc[absurd, "inlet_c"] = 59.0
    entry = fit(panel_of(history, topology)).inlet_temperature.entries["S1"]
    assert entry.outdoor_slopes[1] == pytest.approx(0.5, abs=0.02)


def test_the_same_history_gives_the_same_files(make_history, topology, tmp_path):
    for folder in ("one", "two"):
        fit(panel_of(make_history(topology, days=4), topology)).save(tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_three_days_are_refused_in_one_sentence(make_history, topology):
    with pytest.raises(InvalidInput, match=r"history: servers.t_s: covers 3 days; at least 4 are needed") as refused:
        fit(panel_of(make_history(topology, days=3), topology))
    assert len(refused.value.faults) == 1


def test_the_history_of_another_site_is_refused(make_history, topology, demo_site):
    with pytest.raises(InvalidInput, match=r"none is of site"):
        fit(panel_of(make_history(topology), topology_of(demo_site)))


def test_a_slot_without_reading_is_nan_in_the_panel(make_history, topology):
    history = make_history(topology, days=4)
    gone = (history["servers"]["server"] == "S2") & (history["servers"]["t_s"] == 600.0)
    history["servers"] = history["servers"][~gone]
    panel = panel_of(history, topology)
    assert np.isnan(panel.server_power_w[2, 1])
    assert np.isfinite(panel.server_power_w[2, 0])
    assert np.isfinite(panel.room_load_frac[2, 0])
    assert (panel.vm_template[:, 5] == NO_VM).all()


@pytest.mark.parametrize(
    "gone",
    [
        ("rooms", "outdoor_c"), ("servers", "inlet_c"), ("servers", "airflow_cfm"), ("gpus", "load_frac"),
        ("gpus", "memory_temperature_c"), ("vms", "load_frac"),
    ],
    ids=".".join,
)  # fmt: skip
def test_a_sensor_that_never_read_is_named(make_history, topology, gone):
    """Control needs every model; without its sensor none can be learned, and a traceback says it to nobody."""
    history, (table, column) = make_history(topology, days=4), gone
    history[table][column] = np.nan
    with pytest.raises(InvalidInput) as refused:
        fit(panel_of(history, topology))
    assert {fault.where for fault in refused.value.faults} == {f"{table}.{column}"}


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("temperature_c", lambda seen: 50.0),
        ("temperature_c", lambda seen: 100.0 - seen),
        ("power_w", lambda seen: 200.0),
    ],
    ids=["still", "upside down", "same power"],
)
def test_sensors_that_tell_nothing_of_heat_are_refused_in_a_sentence(make_history, topology, column, told):
    """Temperatures that stand still or fall with power, or power that never moves: there is no curve to learn."""
    history = make_history(topology, days=4)
    history["gpus"][column] = told(history["gpus"][column])
    with pytest.raises(InvalidInput, match="no gpu_temperature was learned"):
        fit(panel_of(history, topology))


def test_the_servers_of_half_a_room_are_too_few_to_say_how_full_it_is(make_history, topology):
    history = make_history(topology, days=4)
    for table in ("servers", "gpus"):
        history[table] = history[table][history[table]["server"] == topology.servers[0]]
    with pytest.raises(InvalidInput, match="how full the room is"):
        fit(panel_of(history, topology))


def test_rows_may_go_without_meters(make_history, topology):
    """Their overhead is then taken as nothing, and domains are judged by the sum of their servers."""
    history = make_history(topology, days=4)
    del history["rows"]
    learned = fit(panel_of(history, topology))
    assert learned.row_overhead_w("R1") == 0.0
    assert learned.errors()["domain_margin"].rows_test == 18
