"""No two GPUs and no two places are alike: by how much, and that it arrives at inlets and chips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.machines import machines_of
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Demand, Plant

P = Parameters()
ALIKE = replace(
    P, resistance_spread=0.0, row_spread_k=0.0, server_spread_k=0.0, row_end_rise_k=0.0, rack_top_rise_k=0.0
)


@pytest.fixture(scope="module")
def rows():
    """Twenty rows of four racks of four servers."""
    shape = SiteShape(servers_per_rack=4, racks_per_row=4, rows_per_aisle=2)
    return topology_of(generate_site(320, shape=shape))


def offsets_k(rows, **changes: float) -> np.ndarray:
    """``[row, rack, server]`` what places add, if only this differs from place to place."""
    return machines_of(rows, replace(ALIKE, **changes)).inlet_offset_c.reshape(20, 4, 4)


def test_ends_of_rows_are_warmer(rows):
    """0.6 K·(2x − 1)² along the row: all of it at both ends, a ninth a third of the way in."""
    assert offsets_k(rows, row_end_rise_k=0.6)[:, :, 0] == pytest.approx(np.tile([0.6, 0.6 / 9, 0.6 / 9, 0.6], (20, 1)))


def test_tops_of_racks_are_warmer_than_bottoms(rows):
    """1 K from bottom to top, even in between, the rack's mean as it was."""
    assert offsets_k(rows, rack_top_rise_k=1.0)[3, 1] == pytest.approx([-0.5, -1 / 6, 1 / 6, 0.5])


def test_rows_and_servers_differ_by_chance(rows):
    """σ 0.4 K from row to row, the same for all of a row; σ 0.3 K from server to server."""
    of_row, of_server = offsets_k(rows, row_spread_k=0.4), offsets_k(rows, server_spread_k=0.3)
    assert np.ptp(of_row, axis=(1, 2)).max() == 0.0
    assert of_row[:, 0, 0].std() == pytest.approx(0.4, rel=0.4)
    assert of_server.std() == pytest.approx(0.3, rel=0.1)


def test_inlets_are_supply_air_and_what_the_place_adds(rows):
    """Nothing is recirculated: an hour of idling."""
    plant = Plant(rows, seed=1, outdoor=lambda t_s: 10.0)
    truth = plant.step(3600.0, plant.idle_demand())
    assert np.ptp(plant.machines.inlet_offset_c) > 2.0
    assert truth.inlet_c == pytest.approx(truth.supply_c[0] + plant.machines.inlet_offset_c)


def test_gpus_of_one_kind_differ_by_four_per_cent(rows):
    """Each half of the servers' GPUs around its own mean, 0.10 and 0.14 K/W; and so do their temperatures."""
    resistance = machines_of(rows, P).resistance_k_per_w
    for some, mean in ((resistance[:, :4], 0.10), (resistance[:, 4:], 0.14)):
        assert some.mean() == pytest.approx(mean, rel=0.01)
        assert some.std() / some.mean() == pytest.approx(0.04, rel=0.1)
    plant = Plant(rows, seed=1, parameters=replace(P, leakage_frac=0.0, fan_floor=1.0))
    truth = plant.step(3600.0, Demand(np.full(resistance.shape, 300.0)))
    rise = truth.gpu_temperature_c - truth.inlet_c[:, None]
    assert np.corrcoef(rise.ravel(), resistance.ravel())[0, 1] > 0.999


def test_servers_draw_and_heat_as_those_of_a_real_cluster(dataset):
    """Acme's Seren, eight A100-80GB each: idle servers within a tenth of its fifth percentile, full ones of its worst.

    Cores at full load are between its 95th percentile and its hottest.
    """
    table = pd.read_csv(dataset("acme-power-temperature-cdf/seren.csv.gz"))

    def real(quantity: str, share: float) -> float:
        rows = table[table.quantity == quantity]
        return float(np.interp(share, rows.cdf_pct, rows.value))

    plant = Plant(topology_of(generate_site(80)), seed=1, outdoor=lambda t_s: 20.0)
    full = np.arange(80) % 10 == 0
    watts = np.where(full[:, None], plant.machines.gpu_max_w, plant.machines.gpu_idle_w)
    truth = plant.step(7_200.0, Demand(watts))
    assert np.median(truth.server_power_w[~full]) == pytest.approx(real("gpu_server_power_w", 5), rel=0.1)
    assert np.median(truth.server_power_w[full]) == pytest.approx(real("gpu_server_power_w", 99.9), rel=0.1)
    hottest = real("gpu_core_temp_c", 100)
    assert real("gpu_core_temp_c", 95) < np.median(truth.gpu_temperature_c[full]) < hottest
    assert truth.gpu_temperature_c.max() < hottest
