"""What must hold in any room, at any load, whatever fails."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Demand, Plant
from tapas_opt.plant.swings import NO_JOB

P = Parameters()
ELEMENTS = {
    FailureKind.UPS: ("U1", "U2", "U3", "U4"),
    FailureKind.PDU: ("U1-P1", "U3-P1"),
    FailureKind.AHU: ("AHU1", "AHU2", "AHU3", "AHU4"),
    FailureKind.CHILLED_WATER: ("room1",),
    FailureKind.ROOM_POWER: ("room1",),
    FailureKind.ROOM_AIRFLOW: ("room1",),
}


def lived(seed: int, steps: int = 40):
    """A room of 24 servers under random loads, failures, ends of failures and brakes: plant and truth of each step."""
    random = np.random.default_rng(seed)
    shape = SiteShape(racks_per_row=3, rows_per_aisle=1, altitude_m=float(random.uniform(0.0, 2000.0)))
    plant = Plant(topology_of(generate_site(24, shape=shape)), seed=seed)
    m, failures = plant.machines, []
    for _ in range(steps):
        if random.random() < 0.3:
            kind = list(ELEMENTS)[random.integers(len(ELEMENTS))]
            element = ELEMENTS[kind][random.integers(len(ELEMENTS[kind]))]
            failures.append(Failure(kind, element, float(random.choice([0.0, 0.5]))))
            plant.fail(failures[-1])
        if failures and random.random() < 0.25:
            plant.clear(failures.pop())
        plant.brake(np.flatnonzero(random.random(24) < 0.1), on=bool(random.random() < 0.5))
        load = random.random((24, 1)) * random.random((24, 8))
        job = random.integers(NO_JOB, 4, 24)
        dt_s = float(random.choice([0.5, 1.0, 7.0, 60.0, 300.0]))
        yield plant, plant.step(dt_s, Demand(m.gpu_idle_w + load * (m.gpu_max_w - m.gpu_idle_w), job=job))


@pytest.mark.parametrize("seed", range(6))
def test_balances_close_and_nothing_is_impossible(seed):
    """Watts in are watts out; air blown is air supplied or recirculated; no element does what it cannot."""
    some_lived = False
    for plant, truth in lived(seed):
        t = plant.topology
        assert truth.aisle_heat_w.sum() == pytest.approx(truth.row_power_w.sum())
        assert truth.ups_power_w.sum() == pytest.approx(truth.row_power_w.sum())
        assert truth.pdu_power_w.sum() == pytest.approx(truth.rack_power_w.sum())
        assert truth.aisle_airflow_cfm == pytest.approx(np.bincount(t.server_aisle, truth.airflow_cfm))
        assert (truth.aisle_supplied_cfm <= truth.aisle_airflow_capacity_cfm * (1 + 1e-12)).all()
        assert (truth.aisle_rise_k >= -1e-9).all()
        assert (truth.server_power_w <= plant.machines.max_power_w * (1 + 1e-9)).all()
        assert (truth.server_power_w[truth.dark] == 0.0).all()
        hottest = np.nanmax(truth.gpu_temperature_c)
        assert 10.0 < hottest < 130.0
        some_lived = some_lived or not truth.dark.all()
    assert some_lived


@pytest.mark.parametrize("seed", range(3))
def test_heat_that_is_not_carried_off_is_stored(seed):
    """Second by second through failures: Σ(H − q)·dt is C·z + M·m of every aisle."""
    stored_j = 0.0
    random = np.random.default_rng(seed)
    plant = Plant(topology_of(generate_site(24)), seed=seed)
    m = plant.machines
    racks = np.bincount(plant.topology.row_aisle[plant.topology.rack_row])
    for second in range(300):
        if second % 60 == 30:
            plant.fail(Failure(FailureKind.AHU, f"AHU{random.integers(1, 5)}", 0.0))
        demand = Demand(m.gpu_idle_w + random.random() * (m.gpu_max_w - m.gpu_idle_w))
        truth = plant.step(1.0, demand)
        stored_j = stored_j + truth.aisle_heat_w - truth.aisle_heat_removed_w
    held = racks * (P.rack_air_j_per_k * truth.aisle_rise_k + P.rack_mass_j_per_k * plant._air.mass_rise_k)
    assert held.max() > 1e5
    assert stored_j == pytest.approx(held, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_worst_second_lies_between_the_mean_and_all_worst_seconds_at_once(seed):
    """Peaks never cancel below the mean, and never add up to more than those of the parts."""
    for plant, truth in lived(seed, steps=15):
        t = plant.topology
        rises = {
            part: getattr(truth, f"{part}_power_p999_w") - getattr(truth, f"{part}_power_w")
            for part in ("server", "rack", "row", "pdu", "ups")
        }
        assert all((rise >= -1e-9).all() for rise in rises.values())
        assert (rises["rack"] <= np.bincount(t.server_rack, rises["server"]) + 1e-6).all()
        assert (rises["row"] <= np.bincount(t.rack_row, rises["rack"]) + 1e-6).all()
        assert rises["ups"].sum() <= rises["rack"].sum() + 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_steps_may_be_cut_anywhere(seed):
    """A minute in one step or in sixty: temperatures within a tenth of a kelvin, power within a thousandth."""
    topology = topology_of(generate_site(24))
    random = np.random.default_rng(seed)
    whole, cut = Plant(topology, seed=1), Plant(topology, seed=1)
    m = whole.machines
    for _ in range(10):
        demand = Demand(m.gpu_idle_w + random.uniform(0.4, 0.6) * (m.gpu_max_w - m.gpu_idle_w))
        one = whole.step(300.0, demand)
        for _ in range(30):
            other = cut.step(10.0, demand)
    assert one.gpu_temperature_c == pytest.approx(other.gpu_temperature_c, abs=0.1)
    assert one.ups_power_w == pytest.approx(other.ups_power_w, rel=1e-3)
