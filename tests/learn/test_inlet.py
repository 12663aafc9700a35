"""The inlet model beyond what it has seen, and with few or broken sensors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.learn.artefact import Training
from tapas_opt.learn.fitting.fitted import settled
from tapas_opt.learn.fitting.inlet import fit_inlet
from tapas_opt.learn.fitting.neighbours import from_neighbours
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.inlet import InletModel
from tapas_opt.learn.servers import unseen_servers

SLOTS_PER_DAY = 96
OFFSET_C = np.array([0.0, 0.4, -0.3, 1.0, -0.8, 0.2])


def supply_c(outdoor_c):
    """Flat below 15 °C, then 0.6 °C per °C, and 0.2 above 25 °C."""
    return 18 + 0.6 * np.clip(outdoor_c - 15, 0, 10) + 0.2 * np.maximum(outdoor_c - 25, 0)


def history(topology, day_mean_c, offset_c=OFFSET_C, seed=1, noise_c=0.3):
    """A panel's worth of what the inlet fit reads: days of given mean outdoor temperature, ± 5 °C within the day."""
    rng = np.random.default_rng(seed)
    days = len(day_mean_c)
    hour = np.tile(np.linspace(0, 2 * np.pi, SLOTS_PER_DAY, endpoint=False), days)
    outdoor = np.repeat(day_mean_c, SLOTS_PER_DAY) + 5 * np.sin(hour)
    load = 0.5 + 0.15 * np.sin(hour + 2.0) + np.repeat(rng.normal(0, 0.02, days), SLOTS_PER_DAY)
    true = supply_c(outdoor)[:, None] + 2.0 * load[:, None] + offset_c
    panel = SimpleNamespace(
        topology=topology,
        t_s=900.0 * np.arange(outdoor.size),
        day=np.repeat(np.arange(days), SLOTS_PER_DAY),
        outdoor_c=outdoor[:, None],
        room_load_frac=load[:, None],
        inlet_c=true + rng.normal(0, noise_c, true.shape),
        of_hardware=lambda name: np.arange(len(topology.servers)),
    )
    return panel, true


def learned(panel, fit_days, calibrate_days):
    split = Split(
        panel.day < fit_days, (panel.day >= fit_days) & (panel.day < fit_days + calibrate_days), panel.day < 0
    )
    return InletModel(settled(fit_inlet(panel, split), Training(0.0, 1.0, "made up")))


@pytest.fixture(scope="module")
def topology(two_rows):
    return topology_of(two_rows)


def upper(model, topology, panel, at):
    return model.upper_c(topology, panel.outdoor_c[at], panel.room_load_frac[at], 0.0)


def test_the_margin_holds_through_a_heat_wave_hotter_than_anything_seen(topology):
    """Learned between 9 and 23 °C, judged up to 39 °C: what the answer calls EXTRAPOLATED is still an upper bound."""
    mild, hot = np.linspace(14, 18, 14), np.linspace(24, 34, 7)
    panel, true = history(topology, np.concatenate([mild, mild[3:10], hot]))
    model = learned(panel, 14, 7)
    at = panel.day >= 21
    assert panel.outdoor_c[at].max() > 38
    assert model.artefact.feature("outdoor_c").highest < 24
    assert (true[at] <= upper(model, topology, panel, at)).all()
    worst = np.stack([panel.inlet_c[panel.day == d].max(axis=0) for d in range(21, 28)])
    bound = np.stack([upper(model, topology, panel, panel.day == d).max(axis=0) for d in range(21, 28)])
    assert (worst <= bound).all()


def test_beyond_the_fitting_days_the_bound_rises_with_the_weather_and_with_load(topology):
    panel, _ = history(topology, np.linspace(14, 24, 10))
    model = learned(panel, 7, 3)
    seen, full = (model.artefact.feature(name).highest for name in ("outdoor_c", "room_load_frac"))
    at = [float(model.upper_c(topology, seen + k, [full], 0.0)[0]) for k in range(4)]
    assert np.allclose(np.diff(at), 1.0)
    fuller = [float(model.upper_c(topology, seen, [full + k / 10], 0.0)[0]) for k in range(4)]
    assert (np.diff(fuller) > 0).all()


def test_a_calibrating_day_unlike_the_others_counts_by_itself(topology):
    """A day's readings share its weather: six servers on an odd day are one surprise, and it may come again."""
    panel, _ = history(topology, np.full(12, 18.0))
    ordinary = learned(panel, 6, 6)
    panel.inlet_c[panel.day == 9] += 1.0
    odd = learned(panel, 6, 6)
    raised = [odd.artefact.entries[s].margin_c - ordinary.artefact.entries[s].margin_c for s in topology.servers]
    assert min(raised) > 0.5


def test_readings_that_are_absurd_or_missing_move_the_prediction_little(topology):
    """Two in a hundred readings say 60 °C or nothing."""
    panel, true = history(topology, np.tile([12.0, 20.0, 28.0, 16.0, 24.0], 4))
    rng = np.random.default_rng(5)
    panel.inlet_c[rng.random(panel.inlet_c.shape) < 0.01] = 60.0
    panel.inlet_c[rng.random(panel.inlet_c.shape) < 0.01] = np.nan
    model = learned(panel, 13, 5)
    at = panel.day >= 18
    central = model.central_c(
        np.arange(6), np.broadcast_to(panel.outdoor_c[at], true[at].shape), panel.room_load_frac[at]
    )
    assert np.abs(central - true[at]).mean() < 0.2


@pytest.fixture
def forty():
    """Forty servers in racks of four; rows, and places in a rack, have air of their own."""
    topology = topology_of(generate_site(40, name="forty", shape=SiteShape(racks_per_row=3, rows_per_aisle=1)))
    rng = np.random.default_rng(3)
    place = np.arange(40) - np.searchsorted(topology.server_rack, topology.server_rack)
    row = rng.normal(0, 1.0, len(topology.rows))[topology.server_row]
    panel, true = history(topology, np.tile([14.0, 20.0, 26.0], 7), offset_c=row + 0.4 * place + rng.normal(0, 0.1, 40))
    return topology, panel, true


def test_a_server_without_a_sensor_is_what_its_neighbours_make_of_it(forty):
    """Its row and its place in the rack are known; of its hardware's pooled model neither is."""
    topology, panel, true = forty
    lost = np.array([2, 11, 23, 39])
    panel.inlet_c[:, lost] = np.nan
    model = learned(panel, 14, 6)
    names = [topology.servers[s] for s in lost]
    at = panel.day == 20
    off = upper(model, topology, panel, at)[:, lost] - true[at][:, lost]
    (hardware,) = topology.hardware
    neighbours = [model.artefact.pooled[name].margin_c for name in names]
    assert (off > 0).all()
    assert max(neighbours) < 0.7 * model.artefact.pooled[hardware].margin_c
    assert set(unseen_servers(topology, model.artefact.entries)) == set(names)


def test_a_row_in_which_nothing_is_read_takes_the_pooled_model(forty):
    topology, panel, _ = forty
    panel.inlet_c[:, topology.server_row == 0] = np.nan
    model = learned(panel, 14, 6)
    silent = {name for name, row in zip(topology.servers, topology.server_row, strict=True) if row == 0}
    assert not silent & set(model.artefact.pooled)
    assert np.isfinite(upper(model, topology, panel, panel.day == 20)).all()


def test_an_estimate_by_neighbours_knows_nothing_of_the_server_itself(forty):
    topology, _, _ = forty
    rng = np.random.default_rng(1)
    coefficients = rng.normal(0, 1, (40, 3))
    before = from_neighbours(coefficients, topology)[5]
    coefficients[5] = 99.0
    assert np.allclose(from_neighbours(coefficients, topology)[5], before)
