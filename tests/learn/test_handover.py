"""What optimisers get instead of curves: never below the learned curve, nor, with its margin, below the truth."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tapas_opt.domain.topology import topology_of
from tapas_opt.learn.curve import Curve, Surface, convex_majorant
from tapas_opt.learn.fit import fit
from tapas_opt.learn.fitting.margin import coverage, day_maxima
from tapas_opt.learn.fitting.power import fit_gpu_power, fit_surface
from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.models import CEILING_STEP_W
from tapas_opt.plant.history import generate_history
from tapas_opt.telemetry.history import read_panel

HARDWARE = "dgx-a100"
UNUSED_SEED = 90_210


def rising_surface(rng: np.random.Generator) -> Surface:
    """As a fit makes them: values rise along both axes, and rise the more along one the further along the other."""
    p, t = rng.integers(2, 10), rng.integers(2, 6)
    power, inlet = np.cumsum(rng.exponential(40.0, p)) + 50.0, np.cumsum(rng.exponential(3.0, t)) + 15.0
    along_power, along_inlet = rng.exponential(300.0, p), rng.exponential(20.0, t)
    both = rng.exponential(5.0, (p, t)) * (rng.random((p, t)) < 0.5)
    values = 800.0 + np.cumsum(along_power)[:, None] + np.cumsum(along_inlet)[None, :]
    values = values + np.cumsum(np.cumsum(both, axis=0), axis=1)
    return Surface(tuple(power.tolist()), tuple(inlet.tolist()), tuple(map(tuple, values.tolist())), margin=50.0)


def majorant_of(surface: Surface, points: np.ndarray, inlet_c: float):
    """As the models hand it over: the surface's own knots beside the points."""
    knots = np.unique(np.concatenate([surface.gpu_power_w, points]))
    return convex_majorant(points, knots, surface.at(knots, inlet_c))


@pytest.mark.parametrize("seed", range(60))
def test_no_surface_escapes_its_majorant_inside_or_outside_its_range(seed):
    """At any inlet temperature, also below and above all that was seen; what it exceeds by is what it says."""
    rng = np.random.default_rng(seed)
    surface = rising_surface(rng)
    low, high = surface.gpu_power_w[0], surface.gpu_power_w[-1]
    points = np.sort(rng.uniform(low - 60.0, high + 120.0, rng.integers(2, 8)))
    inlet_c = float(rng.uniform(surface.inlet_c[0] - 5.0, surface.inlet_c[-1] + 8.0))
    majorant = majorant_of(surface, points, inlet_c)
    between = np.unique(np.concatenate([np.linspace(points[0], points[-1], 400), points]))
    over = np.interp(between, points, majorant.values) - surface.at(between, inlet_c)
    assert over.min() >= -1e-6
    assert over.max() <= majorant.excess + 1e-6
    assert (np.diff(np.diff(majorant.values) / np.diff(points)) >= -1e-6).all()


@pytest.mark.parametrize("seed", range(60))
def test_idle_once_and_the_rest_at_the_warmest_inlet_lie_above_every_servers_curve(seed):
    """Placement adds a VM's watts beyond idle, at the warmest inlet of the hardware, to a server that idles at its own.

    It holds because no watt of a GPU costs fewer watts of fans where air is warmer.
    """
    rng = np.random.default_rng(seed)
    surface = rising_surface(rng)
    idle_w = float(rng.uniform(40.0, 60.0))
    gpu_w = rng.uniform(idle_w, surface.gpu_power_w[-1] + 100.0, 50)[:, None]
    warmest_c = surface.inlet_c[-1] + float(rng.uniform(-5.0, 5.0))
    inlet_c = np.linspace(surface.inlet_c[0] - 3.0, warmest_c, 20)[None, :]
    beyond_idle = surface.at(gpu_w, warmest_c) - surface.at(idle_w, warmest_c)
    planned = surface.at(idle_w, inlet_c) + beyond_idle
    assert (planned >= surface.at(gpu_w, inlet_c) - 1e-6).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_curve_of_gpu_power_escapes_its_majorant(seed):
    rng = np.random.default_rng(seed)
    load = np.linspace(0.0, 1.0, 11)
    curve = Curve(tuple(load.tolist()), tuple((50 + np.cumsum(rng.exponential(30.0, 11))).tolist()), 48.0, 10.0)
    points = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    majorant = convex_majorant(points, np.union1d(load, points), curve.at(np.union1d(load, points)))
    between = np.linspace(0.0, 1.0, 400)
    assert (np.interp(between, points, majorant.values) - curve.at(between)).min() >= -1e-6


# Against a truth that nobody has told the models about.


@pytest.fixture(scope="module")
def world(two_rows, tmp_path_factory):
    """Five days of ``two_rows`` of an unused seed, learned from; its truth on the days that no fit has seen."""
    folder = tmp_path_factory.mktemp("unused") / "history"
    generate_history(two_rows, out=folder, days=5, seed=UNUSED_SEED, with_truth=True)
    topology = topology_of(two_rows)
    panel = read_panel(folder, topology).panel
    models = fit(panel)
    truth = read_panel(folder, topology, truth=True).panel
    late = split_days(panel.day).judge
    return SimpleNamespace(
        models=models,
        panel=panel,
        truth=truth,
        late=late,
        day=panel.day[late],
        inlet=truth.inlet_c[late],
        gpu_w=truth.server_gpu_power_w[late],
    )


def share_of_days_above(world, upper: np.ndarray, values: np.ndarray) -> float:
    """Share of server-days on which the truth never rose above the upper value."""
    return coverage(day_maxima(values[world.late] - upper, world.day), 0.0)


@pytest.mark.parametrize("quantity", ["server_power", "airflow"])
def test_majorant_and_margin_lie_above_the_truth(world, quantity):
    """At the warmest inlet of the time, as routing takes it."""
    values = {"server_power": world.truth.server_power_w, "airflow": world.truth.airflow_cfm}[quantity]
    margin = getattr(world.models, quantity).entries[HARDWARE].margin
    points = np.array([40.0, 120.0, 220.0, 320.0, 420.0])
    majorant = getattr(world.models, f"{quantity}_majorant")(HARDWARE, points, float(world.inlet.max()))
    upper = np.interp(world.gpu_w, points, majorant.values) + margin
    assert share_of_days_above(world, upper, values) >= 0.985


@pytest.mark.parametrize("quantity", ["server_power", "airflow"])
def test_idle_once_and_the_rest_at_the_warmest_inlet_lie_above_the_truth(world, quantity):
    values = {"server_power": world.truth.server_power_w, "airflow": world.truth.airflow_cfm}[quantity]
    at = {"server_power": world.models.server_power_w, "airflow": world.models.airflow_cfm}[quantity]
    idle = {"server_power": world.models.idle_server_power_w, "airflow": world.models.idle_airflow_cfm}[quantity]
    warmest_c = float(world.inlet.max())
    beyond_idle = at(HARDWARE, world.gpu_w, warmest_c) - idle(HARDWARE, warmest_c)
    central = at(HARDWARE, world.gpu_w, world.inlet)
    planned = idle(HARDWARE, world.inlet) + beyond_idle
    assert (planned >= central - 1e-6).all()
    margin = getattr(world.models, quantity).entries[HARDWARE].margin
    assert share_of_days_above(world, planned + margin, values) >= 0.985


def test_gpu_power_and_margin_lie_above_the_truth(world):
    curve = world.models.gpu_power.entries[HARDWARE]
    busy = (world.panel.vm_template[world.late] >= 0)[..., None]
    above = world.truth.gpu_power_w[world.late] - (curve.at(world.truth.load_frac[world.late]) + curve.margin_w)
    assert coverage(day_maxima(np.where(busy, above, np.nan), world.day), 0.0) >= 0.985


def test_a_gpu_within_its_ceiling_is_truly_within_its_limit(world):
    """Limits are lowered until the ceilings bite; then every GPU whose power stayed within was cool enough."""
    topology = world.truth.topology
    hours = np.flatnonzero(world.late)[::12]
    kept = exceeded = 0
    for t in hours:
        inlet = world.truth.inlet_c[t]
        limit = np.full(len(topology.servers), 62.0)
        ceiling = world.models._gpu.ceiling_w(topology, inlet, limit)
        floored = np.floor(np.maximum(ceiling, 0.0) / CEILING_STEP_W) * CEILING_STEP_W
        within = world.truth.gpu_power_w[t] <= floored[:, None]
        kept += int(within.sum())
        exceeded += int((world.truth.gpu_c[t][within] > limit[0]).sum())
    assert kept > 500
    assert exceeded <= 0.015 * kept


def test_ceilings_come_in_whole_steps_below_the_exact_one(world):
    """Servers fall into few thermal classes, and none gains by it."""
    topology = world.truth.topology
    for outdoor_c in (5.0, 22.0, 38.0):
        ceiling = world.models.gpu_power_ceilings_w(topology, outdoor_c, [0.6], [0.0]).min(axis=1)
        assert (ceiling % CEILING_STEP_W == 0).all()
        inlet = world.models.inlet_upper_c(topology, outdoor_c, [0.6], [0.0])
        item = topology.site.hardware[HARDWARE]
        core, memory = (
            np.full(len(ceiling), limit)
            for limit in (item.gpu_temperature_limit_c, item.gpu_memory_temperature_limit_c)
        )
        exact = np.minimum(
            world.models._gpu.ceiling_w(topology, inlet, core),
            world.models._gpu_memory.ceiling_w(topology, inlet, memory),
        )
        assert (ceiling <= np.maximum(exact, 0.0)).all()
        assert (ceiling > np.maximum(exact, 0.0) - CEILING_STEP_W - 1e-9).all()


@pytest.mark.parametrize("below_w", [200.0, 260.0])
def test_what_was_learned_at_low_load_holds_at_high_load(world, below_w):
    """Slopes count one and a half times beyond what was seen: wide, and never short."""
    low = world.panel.server_gpu_power_w <= below_w
    gpus = {name: np.where(low[..., None], getattr(world.panel, name), np.nan) for name in ("gpu_power_w", "load_frac")}
    quiet = replace(world.panel, **{name: values.astype(np.float32) for name, values in gpus.items()})
    split = split_days(world.panel.day)
    high = world.gpu_w > below_w
    assert high.sum() > 500
    for name, unit, seen, true in (
        ("server_power", "W", world.panel.server_power_w, world.truth.server_power_w),
        ("airflow", "CFM", world.panel.airflow_cfm, world.truth.airflow_cfm),
    ):
        surface = fit_surface(name, unit, np.where(low, seen, np.nan), quiet, split).entries[HARDWARE]
        assert surface.gpu_power_w[-1] <= below_w
        above = true[world.late] - surface.at(world.gpu_w, world.inlet) - surface.margin
        assert coverage(day_maxima(np.where(high, above, np.nan), world.day), 0.0) >= 0.985
    curve = fit_gpu_power(quiet, split).entries[HARDWARE]
    load = world.truth.load_frac[world.late]
    above = world.truth.gpu_power_w[world.late] - curve.at(load) - curve.margin_w
    beyond = (load > curve.load_frac[-1]) & (world.panel.vm_template[world.late] >= 0)[..., None]
    assert coverage(day_maxima(np.where(beyond, above, np.nan), world.day), 0.0) >= 0.985
