"""What the control layer is told about temperatures, powers, air, loads and margins."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.site import Server
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput, NotFound
from tapas_opt.learn.curve import EXTRAPOLATION
from tapas_opt.learn.gpu_temperature import HeatCurve
from tapas_opt.learn.models import CEILING_STEP_W, KINDS, LearnedModels

WARM_DAY = {"outdoor_c": 22.0, "room_load_frac": [0.5], "supply_rise_c": [0.0]}


def renamed(site, old, new, hardware="dgx-a100"):
    """The site with one server under another name."""

    def in_rack(rack):
        servers = tuple(Server(new, hardware) if server.name == old else server for server in rack.servers)
        return replace(rack, servers=servers)

    def in_row(row):
        return replace(row, racks=tuple(in_rack(rack) for rack in row.racks))

    room = site.rooms[0]
    aisles = tuple(replace(aisle, rows=tuple(in_row(row) for row in aisle.rows)) for aisle in room.aisles)
    return replace(site, rooms=(replace(room, aisles=aisles),))


def hottest_upper_c(learned, topology, gpu_power_w):
    """Hottest GPU and memory of each server over its limit, in °C, at the inlet that the ceiling assumes."""
    inlet = learned.inlet_upper_c(topology, **WARM_DAY)
    hardware = topology.site.hardware["dgx-a100"]
    core = learned.gpu_temperature_upper_c(topology, inlet, gpu_power_w[:, None]) - hardware.gpu_temperature_limit_c
    memory = learned.gpu_memory_temperature_upper_c(topology, inlet, gpu_power_w[:, None])
    over = np.maximum(core, memory - hardware.gpu_memory_temperature_limit_c)
    return np.nanmax(over, axis=1)


def test_importing_the_models_needs_neither_scikit_learn_nor_pandas():
    """The serving process answers with them: 1.3 s of import and a second copy of the fit stay out of it."""
    code = "import sys, tapas_opt.learn.models; print([m for m in ('sklearn', 'pandas', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_gpu_at_its_ceiling_is_within_its_limit_and_one_step_more_is_not(learned, topology):
    ceiling = learned.gpu_power_ceilings_w(topology, **WARM_DAY).min(axis=1)
    assert (ceiling % CEILING_STEP_W == 0).all()
    assert (ceiling > 0).all()
    assert (hottest_upper_c(learned, topology, ceiling) <= 1e-9).all()
    assert (hottest_upper_c(learned, topology, ceiling + CEILING_STEP_W) > 0).all()


def test_the_ceiling_of_a_hand_written_gpu_is_the_formula(learned, topology):
    """(85 °C − 2 − 0.5·T_in − 20) / 0.1 K/W are watts of φ, below the memory's; the 250 W of φ at 300 W are the last
    seen, whose half a watt for each further one of power counts 1.5 times beyond."""
    inlet = learned.inlet_upper_c(topology, **WARM_DAY)[0]
    gpu = replace(
        learned.gpu_temperature.entries["S1"],
        a=(0.5,),
        b_c_per_w=(0.1,),
        c_c=(20.0,),
        margin_c=(2.0,),
        curve=HeatCurve((50.0, 200.0, 300.0), (18.0, 40.0), ((50.0, 200.0, 250.0),) * 2, (1.0, 1.0, 1.0)),
    )
    models = replace(learned, gpu_temperature=replace(learned.gpu_temperature, entries={"S1": gpu}))
    effective = (85.0 - 2.0 - 0.5 * inlet - 20.0) / 0.1
    expected = 300.0 + (effective - 250.0) / (EXTRAPOLATION * 0.5)
    assert models.gpu_power_ceilings_w(topology, **WARM_DAY).min(axis=1)[0] == expected // 10 * 10


def test_a_server_too_hot_at_any_power_has_a_ceiling_of_zero(learned, topology):
    scorching = WARM_DAY | {"supply_rise_c": [120.0]}
    assert (learned.gpu_power_ceilings_w(topology, **scorching).min(axis=1) == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_warmer_air_never_raises_a_ceiling(learned, topology, seed):
    rng = np.random.default_rng(seed)
    conditions = np.sort(rng.uniform([0, 0.1, 0], [45, 1, 15], (2, 3)), axis=0)
    cool, hot = (
        learned.gpu_power_ceilings_w(topology, outdoor, [load], [rise]).min(axis=1)
        for outdoor, load, rise in conditions
    )
    assert (hot <= cool).all()


def test_above_the_hottest_hour_seen_the_inlet_bound_rises_a_degree_for_each(learned, topology):
    highest = learned.inlet_temperature.feature("outdoor_c").highest
    at_edge, beyond = (learned.inlet_upper_c(topology, highest + more, [0.5], [0.0]) for more in (0.0, 7.0))
    assert beyond - at_edge == pytest.approx(np.full(6, 7.0))


def test_above_the_fullest_room_seen_the_inlet_bound_rises_faster_than_learned(learned, topology):
    load = learned.inlet_temperature.feature("room_load_frac")
    at = [learned.inlet_upper_c(topology, 20.0, [x], [0.0])[0] for x in (load.lowest, load.highest, load.highest + 0.1)]
    learned_slope = (at[1] - at[0]) / (load.highest - load.lowest)
    assert (at[2] - at[1]) / 0.1 == pytest.approx(EXTRAPOLATION * learned_slope)


def test_what_lies_outside_the_fitting_days_is_said(learned):
    assert learned.extrapolated(22.0, [0.35]) == ()
    said = learned.extrapolated(44.0, [0.35])
    assert len(said) == 1
    assert said[0].startswith("EXTRAPOLATED: outdoor_c 44 is outside")


@pytest.mark.parametrize("points", [[60, 200, 340], [60.0, 61.0, 350.0], [100, 100, 250], [350, 60, 180], [60, 600]])
@pytest.mark.parametrize("quantity", ["server_power", "airflow"])
def test_the_majorant_is_convex_and_above_the_learned_curve_everywhere(learned, points, quantity):
    curve = {"server_power": learned.server_power_w, "airflow": learned.airflow_cfm}[quantity]
    majorant = getattr(learned, f"{quantity}_majorant")("dgx-a100", points, 24.0)
    order = np.argsort(points)
    x, y = np.array(points, dtype=float)[order], majorant.values[order]
    between = np.linspace(x[0], x[-1], 500)
    over = np.interp(between, x, y) - curve("dgx-a100", between, 24.0)
    assert over.min() >= -1e-6
    assert over.max() <= majorant.excess + 1e-6
    steps = np.diff(x) > 0
    assert (np.diff(np.diff(y)[steps] / np.diff(x)[steps]) >= -1e-9).all()


def test_an_idle_server_draws_what_empty_servers_drew(learned, known):
    constant, per_w, per_c = known.server_w
    expected = constant + per_w * known.gpu_idle_w + per_c * (22.0 - 20.0)
    assert learned.idle_server_power_w("dgx-a100", 22.0) == pytest.approx(expected, rel=0.01)
    assert learned.idle_airflow_cfm("dgx-a100", 22.0) == pytest.approx(300 + 1.5 * known.gpu_idle_w + 10, rel=0.01)


def test_power_beyond_what_was_seen_rises_faster_than_learned(learned):
    knots = learned.server_power.entries["dgx-a100"].gpu_power_w
    inside = learned.server_power_w("dgx-a100", [knots[-2], knots[-1]], 22.0)
    slope = np.diff(inside)[0] / (knots[-1] - knots[-2])
    beyond = learned.server_power_w("dgx-a100", knots[-1] + 100.0, 22.0)
    assert beyond - inside[1] == pytest.approx(EXTRAPOLATION * slope * 100.0)


def test_an_unknown_template_has_the_load_of_all(learned):
    assert (learned.load_central_frac("nobody") == learned.vm_load.pooled["all"].central_frac).all()
    assert (learned.load_upper_frac("nobody") >= learned.load_central_frac("nobody")).all()


def test_an_unknown_row_or_domain_has_the_largest_of_its_kind(learned):
    assert learned.row_overhead_w("R9") == max(learned.row_overhead_w("R1"), learned.row_overhead_w("R2"))
    assert learned.domain_margin_frac("ups", "U9") == max(
        learned.domain_margin_frac("ups", f"U{u}") for u in range(1, 5)
    )
    with pytest.raises(NotFound, match=r"kind of domain 'room' does not exist; it is one of rack, row"):
        learned.domain_margin_frac("room", "room1")


def test_a_new_server_takes_the_pooled_model_and_is_named(learned, topology, two_rows):
    """Its bound must be the wider one: nobody knows yet where in the spread of its kind it lies."""
    newcomer = topology_of(renamed(two_rows, "S2", "S77"))
    assert learned.check_covers(topology) == ()
    assert learned.check_covers(newcomer) == ("S77",)
    known, pooled = (learned.gpu_power_ceilings_w(site, **WARM_DAY).min(axis=1)[1] for site in (topology, newcomer))
    assert 0 < pooled < known


def test_a_server_whose_hardware_was_exchanged_takes_the_pooled_model(learned, two_rows):
    old = replace(learned.inlet_temperature.entries["S1"], hardware="dgx-h100")
    models = replace(learned, inlet_temperature=replace(learned.inlet_temperature, entries={"S1": old}))
    assert "S1" in models.check_covers(topology_of(two_rows))


def test_hardware_never_seen_is_refused_by_name(learned, two_rows):
    hardware = two_rows.hardware | {"b300": two_rows.hardware["dgx-a100"]}
    site = topology_of(renamed(replace(two_rows, hardware=hardware), "S2", "S77", "b300"))
    with pytest.raises(InvalidInput, match=r"hardware.b300: no gpu_power was learned of it"):
        learned.check_covers(site)
    with pytest.raises(NotFound, match=r"hardware 'b300'"):
        learned.inlet_upper_c(site, **WARM_DAY)
    with pytest.raises(NotFound, match=r"hardware 'b300'"):
        learned.gpu_power_w("b300", 0.5)


def test_what_is_saved_is_what_is_loaded(learned, tmp_path):
    learned.save(tmp_path)
    loaded = LearnedModels.load(tmp_path)
    assert loaded == learned
    assert loaded.fingerprint == learned.fingerprint
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(KINDS)


def test_another_number_is_another_fingerprint(learned):
    row = replace(learned.row_overhead, pooled={"all": replace(learned.row_overhead.pooled["all"], overhead_w=1.0)})
    assert replace(learned, row_overhead=row).fingerprint != learned.fingerprint


def test_damaged_files_are_refused_with_every_fault(learned, tmp_path):
    learned.save(tmp_path)

    def damage(name, change):
        path = tmp_path / f"{name}.json"
        raw = json.loads(path.read_text())
        change(raw)
        path.write_text(json.dumps(raw))

    damage("airflow", lambda raw: raw["entries"]["dgx-a100"].update(margin=float("nan")))
    damage("gpu_power", lambda raw: raw["entries"]["dgx-a100"]["power_w"].reverse())
    damage("gpu_temperature", lambda raw: raw["entries"]["S1"]["b_c_per_w"].__setitem__(0, -0.1))
    damage("gpu_memory_temperature", lambda raw: raw["entries"]["S1"]["a"].pop())
    damage("inlet_temperature", lambda raw: raw.update(features=raw["features"][:1], format="tapas-opt/model/2"))
    damage("vm_load", lambda raw: raw.update(name="loads", pickle="gASV"))
    damage("domain_margin", lambda raw: raw["pooled"].pop("ups"))
    (tmp_path / "server_power.json").write_text("{")
    (tmp_path / "instance_power.json").write_text("[" * 100_000)
    (tmp_path / "row_overhead.json").unlink()
    with pytest.raises(InvalidInput) as refused:
        LearnedModels.load(tmp_path)
    text = str(refused.value)
    for fault in (
        "airflow.json: entries.dgx-a100.margin: nan",
        "gpu_power.json: entries.dgx-a100: value error, power_w needs one value for each load_frac",
        "gpu_temperature.json: entries.S1.b_c_per_w[0]: -0.1",
        "gpu_memory_temperature.json: entries.S1: value error, a, b_c_per_w, c_c and margin_c need one number",
        "inlet_temperature.json: format: 'tapas-opt/model/2'",
        "vm_load.json: pickle: ",
        "domain_margin.json: pooled.ups: is missing",
        "server_power.json: file: is not JSON",
        "instance_power.json: file: is not JSON",
        "row_overhead.json: file: cannot be read",
    ):
        assert fault in text, text


def test_other_units_are_refused(learned, tmp_path):
    """Degrees Fahrenheit or cubic metres would be believed silently."""
    learned.save(tmp_path)
    for name, old, new in (("airflow", '"unit": "CFM"', '"unit": "m3/h"'), ("inlet_temperature", '"°C"', '"F"')):
        path = tmp_path / f"{name}.json"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        LearnedModels.load(tmp_path)
    wanted = ["inlet_temperature.json: unit", "inlet_temperature.json: features[0].unit", "airflow.json: unit"]
    assert [fault.where for fault in refused.value.faults] == wanted


def test_a_file_under_another_models_name_is_refused(learned, tmp_path):
    learned.save(tmp_path)
    (tmp_path / "airflow.json").write_text(learned.server_power.text)
    with pytest.raises(InvalidInput, match=r"airflow.json: name: 'server_power': this file must hold 'airflow'"):
        LearnedModels.load(tmp_path)


def test_the_committed_models_cover_the_demo_site_and_are_as_good_as_their_page_says(repository, demo_topology):
    """Whoever refits them copies the new errors into models/README.md."""
    models = LearnedModels.load(repository / "models" / "demo")
    page = (repository / "models" / "README.md").read_text()
    assert models.check_covers(demo_topology) == ()
    for name, errors in models.errors().items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        assert f"| {errors.mae:.3g}" in line
        assert f"| {errors.coverage:.2%} |" in line


def test_committed_models_are_what_saving_them_writes(repository, tmp_path):
    LearnedModels.load(repository / "models" / "demo").save(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_text() == (repository / "models" / "demo" / path.name).read_text()


def test_models_of_different_fits_are_no_set(learned, tmp_path):
    """A folder read in the middle of an exchange would hold some of each."""
    learned.save(tmp_path)
    later = replace(learned.airflow.training, until_s=learned.airflow.training.until_s + 86_400.0)
    (tmp_path / "airflow.json").write_text(replace(learned.airflow, training=later).text)
    with pytest.raises(InvalidInput, match="come from 2 different fits"):
        LearnedModels.load(tmp_path)
