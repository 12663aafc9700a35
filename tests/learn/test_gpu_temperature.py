"""The form of GPU temperatures: what is recovered, what bends, what a ceiling promises, and who is left out."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from tapas_opt.domain.panel import NO_VM, Panel
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.artefact import Artefact, Training, artefact_from
from tapas_opt.learn.curve import EXTRAPOLATION
from tapas_opt.learn.fitting.fitted import settled
from tapas_opt.learn.fitting.gpu_temperature import fit_gpu_temperature
from tapas_opt.learn.fitting.heat_margin import aged_upper, rising_with_power
from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.gpu_temperature import GpuEntry, GpuTemperatureModel, HeatCurve
from tapas_opt.learn.models import KINDS

SLOTS_PER_DAY = 96
LIMIT_C = 85.0
RESISTANCE = 0.10 + 0.01 * np.arange(8)  # K/W of the eight GPUs of a server while fans idle


def truth_c(inlet_c, power_w):
    """Fans idle below 50 °C; above it three tenths of what would come is left, whether watts or warm air bring it."""
    unanswered = inlet_c[..., None] + 4.0 + RESISTANCE * power_w
    return np.where(unanswered < 50.0, unanswered, 50.0 + 0.5 * (unanswered - 50.0))


def made_panel(topology, *, days=8, seed=1, noise_c=0.3):
    """VMs that stay for a day on each server, and days of different weather."""
    rng = np.random.default_rng(seed)
    slots, servers = days * SLOTS_PER_DAY, len(topology.servers)
    t_s = 900.0 * np.arange(slots)
    weather = np.repeat(rng.normal(0, 1, days), SLOTS_PER_DAY) + 3 * np.sin(2 * np.pi * t_s / 86_400)
    inlet = 23.0 + weather[:, None] + 0.3 * np.arange(servers)
    level = np.repeat(rng.uniform(60, 380, (days, servers)), SLOTS_PER_DAY, axis=0)
    power = np.clip(level[..., None] + rng.normal(0, 40, (slots, servers, 8)), 50, 400)
    core = truth_c(inlet, power) + rng.normal(0, noise_c, power.shape)
    nothing, nobody = np.full((slots, servers), np.nan), np.full((slots, servers), NO_VM)
    rooms = np.zeros((slots, len(topology.rooms)))
    return Panel(
        topology=topology,
        t_s=t_s,
        day=(t_s // 86_400).astype(np.int64),
        outdoor_c=rooms,
        inlet_c=inlet + rng.normal(0, 0.1, inlet.shape),
        server_power_w=nothing,
        airflow_cfm=nothing,
        load_frac=np.zeros(power.shape, dtype=np.float32),
        gpu_power_w=power.astype(np.float32),
        gpu_c=core.astype(np.float32),
        gpu_memory_c=(core + 5.0).astype(np.float32),
        meter_w=np.zeros((slots, len(topology.rows))),
        vms=(),
        vm=nobody.astype(np.int32),
        templates=(),
        vm_template=nobody,
        vm_load_frac=nothing,
        configurations=(),
        vm_configuration=nobody,
        room_load_frac=rooms,
    )


def learned_from(panel) -> GpuTemperatureModel:
    fitted = fit_gpu_temperature("gpu_temperature", panel.gpu_c, panel, split_days(panel.day))
    return GpuTemperatureModel(settled(fitted, Training(0.0, 1.0, "made")))


@pytest.fixture
def panel(topology):
    return made_panel(topology)


@pytest.fixture
def model(panel):
    return learned_from(panel)


def some_inlets(topology, seed):
    return np.random.default_rng(seed).uniform(10, 45, len(topology.servers))


def test_a_bend_where_fans_speed_up_is_followed(model, panel):
    """The best straight line of each GPU is three times as far from the truth."""
    fitting, judged = panel.day < 4, panel.day >= 6
    inlet, power = panel.inlet_c[judged], panel.gpu_power_w[judged].astype(float)
    truth = truth_c(inlet, power)
    off = np.abs(model.central_c(panel.topology, inlet, power) - truth).mean()
    straight = []
    for s, g in np.ndindex(truth.shape[1:]):
        x = np.stack([panel.inlet_c[:, s], panel.gpu_power_w[:, s, g], np.ones(len(panel.t_s))], axis=1)
        line = np.linalg.lstsq(x[fitting], panel.gpu_c[fitting, s, g], rcond=None)[0]
        straight.append(np.abs(x[judged] @ line - truth[:, s, g]).mean())
    assert off < 0.3
    assert np.mean(straight) > 3 * off


def test_on_later_days_the_error_is_little_more_than_the_sensors(model, panel):
    """Mean |N(0, 0.3)| is 0.24."""
    judged = panel.day >= 6
    central = model.central_c(panel.topology, panel.inlet_c[judged], panel.gpu_power_w[judged])
    assert np.abs(panel.gpu_c[judged] - central).mean() < 0.4


@pytest.mark.parametrize("seed", range(4))
def test_days_are_covered_as_promised(topology, seed):
    """99 % of 96 GPU-days; all that a chance of one in a thousand allows is four misses."""
    panel = made_panel(topology, seed=seed)
    judged = panel.day >= 6
    upper = learned_from(panel).upper_c(topology, panel.inlet_c[judged], panel.gpu_power_w[judged])
    over = (panel.gpu_c[judged] > upper).reshape(-1, SLOTS_PER_DAY, len(topology.servers), 8).any(axis=1)
    assert over.mean() <= 4 / 96


@pytest.mark.parametrize("seed", range(5))
def test_a_ceiling_is_the_exact_inverse_of_the_upper_temperature(model, topology, seed):
    """At the ceiling of a server its hottest GPU is exactly at the limit, below, inside and beyond what was seen."""
    inlet = some_inlets(topology, seed)
    for limit in (20.0, 45.0, 60.0, 85.0, 130.0):
        ceiling = model.ceiling_w(topology, inlet, np.full(len(inlet), limit))
        assert model.upper_c(topology, inlet, ceiling[:, None]).max(axis=1) == pytest.approx(limit, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_upper_temperatures_rise_with_power_and_with_the_inlet(model, topology, seed):
    rng = np.random.default_rng(seed)
    power, inlet = np.sort(rng.uniform(0, 700, 40)), np.sort(rng.uniform(5, 50, 30))
    grid = np.broadcast_to(power[:, None, None, None], (40, 30, len(topology.servers), 8))
    upper = model.upper_c(topology, np.broadcast_to(inlet[:, None], (40, 30, len(topology.servers))), grid)
    assert (np.diff(upper, axis=0) > 0).all()
    assert (np.diff(upper, axis=1) > 0).all()
    assert (upper >= model.central_c(topology, inlet[:, None], grid)).all()


@pytest.mark.parametrize("seed", range(6))
def test_ceilings_lie_below_what_the_truth_allows(topology, seed):
    """The promise that placement relies on, at inlets seen and a little warmer than seen."""
    model = learned_from(made_panel(topology, seed=seed))
    for inlet_c in (20.0, 24.0, 28.0, 31.0):
        inlet = np.full(len(topology.servers), inlet_c)
        for limit in (55.0, 62.0):  # reached at 200 to 400 W
            ceiling = model.ceiling_w(topology, inlet, np.full(len(inlet), limit))
            assert (truth_c(inlet, ceiling[:, None]).max(axis=1) <= limit).all()


def test_beyond_the_highest_power_and_inlet_slopes_count_more(model, topology):
    curve = model.artefact.entries["S1"].curve
    top, warm = curve.power_w[-1], curve.inlet_c[1]
    inside, at, beyond = (
        model.upper_c(topology, np.full(6, 24.0), power)[0, 0] for power in (top - 20.0, top, top + 20.0)
    )
    margin = model.artefact.entries["S1"].margin_c[0]
    fall = margin * (curve.margin_share[-1] - curve.margin_share[-2]) * 20.0 / (top - curve.power_w[-2])
    assert beyond - at == pytest.approx(EXTRAPOLATION * (at - inside - fall), rel=1e-6)
    at, beyond = (model.upper_c(topology, np.full(6, inlet), 100.0)[0, 0] for inlet in (warm, warm + 1.0))
    assert beyond - at > EXTRAPOLATION * 0.9  # below 50 °C a degree of inlet is a degree


@pytest.mark.parametrize("what", ["stuck", "drifting", "offset", "absurd"])
def test_a_bad_sensor_spoils_no_other(topology, model, what):
    """Gates come before the fit; what passes them must not move the margins of the fleet."""
    panel = made_panel(topology)
    late = panel.day >= 4
    if what == "stuck":
        panel.gpu_c[:, 1, 3] = 41.0
    elif what == "drifting":
        panel.gpu_c[late, 1, 3] += 3.0 * (panel.day[late] - 3)
    elif what == "offset":
        panel.gpu_c[late, 1, 3] += 12.0
    else:
        panel.gpu_c[::50, 1, 3] = 119.0
    spoiled = learned_from(panel)
    inlet, power = np.full(len(topology.servers), 25.0), np.array([[100.0], [300.0]])[:, None]
    others = np.ones((len(topology.servers), 8), dtype=bool)
    others[1, 3] = False
    for ask, near_c in (("central_c", 0.2), ("upper_c", 1.2)):
        before, after = (getattr(one, ask)(topology, inlet, power)[..., others] for one in (model, spoiled))
        assert after == pytest.approx(before, abs=near_c), ask


def test_an_inlet_sensor_that_is_stuck_leaves_a_server_the_slope_of_all(topology):
    panel = made_panel(topology)
    panel.inlet_c[:, 2] = 24.0
    model = learned_from(panel)
    own, all_of_them = model.artefact.entries["S3"].a, model.artefact.pooled["dgx-a100"].a[0]
    assert own == pytest.approx([all_of_them] * 8, rel=0.05)


def test_hardware_without_readings_has_no_model(topology):
    panel = made_panel(topology)
    panel.gpu_c[:] = np.nan
    fitted = fit_gpu_temperature("gpu_temperature", panel.gpu_c, panel, split_days(panel.day))
    assert not fitted.entries
    assert not fitted.pooled


def hand_written(curve: HeatCurve, gpus: int = 8) -> GpuEntry:
    return GpuEntry("dgx-a100", (0.5,) * gpus, (0.1,) * gpus, (20.0,) * gpus, (2.0,) * gpus, curve)


CURVE = HeatCurve((50.0, 200.0, 300.0), (18.0, 28.0), ((50.0, 250.0, 300.0), (70.0, 250.0, 300.0)), (2.0, 1.0, 1.0))


def test_a_hand_written_entry_gives_the_numbers_of_its_formula(model, topology):
    """At 125 W and 23 °C φ is halfway in both: (150 + 160) / 2 = 155; 0.5·23 + 0.1·155 + 20 = 47, and 1.5·2 above."""
    artefact: Artefact[GpuEntry] = replace(model.artefact, entries={}, pooled={"dgx-a100": hand_written(CURVE)})
    asked = (topology, np.full(len(topology.servers), 23.0), 125.0)
    assert GpuTemperatureModel(artefact).central_c(*asked) == pytest.approx(47.0)
    assert GpuTemperatureModel(artefact).upper_c(*asked) == pytest.approx(50.0)


def test_curves_of_different_length_live_side_by_side(model, topology):
    """Two fits of two kinds of hardware may have looked at different knots."""
    short = HeatCurve((50.0, 300.0), (18.0, 28.0), ((50.0, 300.0), (70.0, 300.0)), (1.0, 1.0))
    entries = {**model.artefact.entries, "S2": hand_written(short), "S3": hand_written(CURVE)}
    mixed = GpuTemperatureModel(replace(model.artefact, entries=entries))
    ceiling = mixed.ceiling_w(topology, np.full(6, 24.0), np.full(6, 64.0))
    assert ceiling[1] == pytest.approx((64.0 - 2.0 - 12.0 - 20.0) / 0.1)
    assert mixed.upper_c(topology, np.full(6, 24.0), ceiling[:, None]).max(axis=1) == pytest.approx(64.0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"margin_share": [9.0, 1.0, 1.0], "power_w": [50, 51, 300]}, "falls so steeply", id="margin"),
        pytest.param({"margin_share": [1.0, 1.0]}, "one number for each power_w", id="length"),
        pytest.param({"inlet_c": [28.0, 18.0]}, "must rise from the cold", id="inlets"),
        pytest.param({"effective_w": [[50, 250, 300], [40, 250, 300]]}, "must not be lower", id="colder"),
        pytest.param({"effective_w": [[50, 40, 300], [70, 250, 300]]}, "must rise strictly", id="falling"),
    ],
)
def test_a_file_that_would_break_a_promise_is_refused(model, change, message):
    raw = json.loads(model.artefact.text)
    entry = asdict(hand_written(CURVE))
    entry["curve"] |= change
    if "falls" in message:
        entry["margin_c"] = (90.0,) * 8
    raw["entries"] = {"S1": entry}
    with pytest.raises(InvalidInput, match=message):
        artefact_from(json.loads(json.dumps(raw)), "gpu_temperature", KINDS["gpu_temperature"], "file")


def test_a_margin_allows_for_as_much_ageing_again():
    """Scores were up to 2 in the fitting days and up to 3 after: 3 · 3/2; from 1 to 5 more than doubling is not."""
    rising = np.linspace(0.0, 1.0, 1001)[:, None]
    assert aged_upper(2.0 * rising, 3.0 * rising) == pytest.approx(4.5 * 0.99, rel=0.01)
    assert aged_upper(rising, 5.0 * rising) == pytest.approx(10.0 * 0.99, rel=0.01)
    assert aged_upper(3.0 * rising, 2.0 * rising) == pytest.approx(2.0 * 0.99, rel=0.01)


def test_a_shape_that_falls_too_steeply_is_raised_until_upper_temperatures_rise():
    steep = replace(CURVE, margin_share=(9.0, 1.0, 1.0))
    raised = rising_with_power(steep, steepest=50.0)
    rise = np.diff(raised.effective_w, axis=1) + 50.0 * np.diff(raised.margin_share)
    assert (rise > 0).all()
    assert all(np.greater_equal(raised.margin_share, steep.margin_share))
    assert rising_with_power(steep, steepest=1.0) == steep


def test_what_is_known_of_a_hardware_holds_for_each_gpu_of_a_server_that_nobody_has_seen(model, topology):
    """One number stands for all eight, beside servers that have a number for each."""
    seen = {name: entry for name, entry in model.artefact.entries.items() if name != "S2"}
    fleet = GpuTemperatureModel(replace(model.artefact, entries=seen, pooled={"dgx-a100": hand_written(CURVE, gpus=1)}))
    asked = (topology, np.full(6, 23.0), np.full((6, 8), 125.0))
    assert fleet.central_c(*asked)[1] == pytest.approx([47.0] * 8)
    ceilings_w = fleet.ceilings_w(topology, np.full(6, 23.0), np.full(6, 64.0))
    assert ceilings_w[1] == pytest.approx([ceilings_w[1, 0]] * 8)


def test_no_gpu_is_predicted_where_there_is_none(model, topology):
    site = topology.site
    four = {name: replace(item, gpus=4) for name, item in site.hardware.items()}
    fewer = replace(topology, site=replace(site, hardware=four))
    pooled = GpuTemperatureModel(replace(model.artefact, entries={}))
    assert np.isnan(pooled.central_c(fewer, np.full(6, 23.0), np.full((6, 8), 125.0))[:, 4:]).all()
