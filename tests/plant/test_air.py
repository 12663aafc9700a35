"""Heat and air: both balances close, and what happens where cooling is short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.machines import machines_of
from tapas_opt.plant.parameters import AIR_HEAT_W_PER_K_CFM, Parameters
from tapas_opt.plant.plant import Demand, Plant

P = Parameters()
ALIKE = replace(
    P, resistance_spread=0.0, row_spread_k=0.0, server_spread_k=0.0, row_end_rise_k=0.0, rack_top_rise_k=0.0
)
"""Machines and places all alike."""
AHU1 = Failure(FailureKind.AHU, "AHU1")
NO_WATER = Failure(FailureKind.CHILLED_WATER, "room1")


def settled(plant: Plant, demand: Demand, hours: int = 2):
    for _ in range(60 * hours):
        truth = plant.step(60.0, demand)
    return truth


def test_one_cfm_of_standard_air_carries_0_57_watts_per_kelvin():
    """1.2 kg/m³ × 1,005 J/(kg·K) × 0.000471947 m³/s; 6.5 kW in the 840 CFM of a DGX A100 warm it by 13.6 K."""
    assert pytest.approx(0.5692, abs=1e-4) == AIR_HEAT_W_PER_K_CFM
    assert pytest.approx(13.6, abs=0.05) == 6500.0 / (AIR_HEAT_W_PER_K_CFM * 840.0)


def test_at_rest_all_that_is_drawn_leaves_as_heat(uniform, at_load):
    """Servers, switches and losses: what the UPSs deliver is what the handlers carry off, and the inlets are supply."""
    plant = uniform()
    truth = settled(plant, at_load(plant, 0.5))
    assert truth.aisle_heat_w.sum() == pytest.approx(truth.ups_power_w.sum(), rel=1e-12)
    assert truth.aisle_heat_removed_w == pytest.approx(truth.aisle_heat_w, rel=1e-6)
    assert truth.inlet_c == pytest.approx(np.full(6, truth.supply_c[0]), abs=1e-3)


def carried_off_w(truth, rise_k: np.ndarray) -> np.ndarray:
    """What handlers carry off of an aisle so much warmer than their supply: by their air, or by their coils."""
    returned = np.maximum(1.0 - truth.aisle_supplied_cfm / truth.aisle_airflow_cfm, 0.0)
    by_air = (1.0 - returned) * truth.aisle_heat_w + AIR_HEAT_W_PER_K_CFM * truth.aisle_supplied_cfm * rise_k
    return np.minimum(by_air, truth.aisle_heat_capacity_w * (1.0 + rise_k / P.coil_drive_k))


@pytest.mark.parametrize(
    "failure",
    [AHU1, Failure(FailureKind.CHILLED_WATER, "room1", remaining_frac=0.35)],
    ids=["short of air", "short of water"],
)
def test_what_is_not_carried_off_is_stored(uniform, at_load, failure):
    """Half an hour: what the handlers' air and coils take by their own formula, and what air and steel hold, is all."""
    plant = uniform()
    settled(plant, at_load(plant, 0.5))
    plant.fail(failure)
    stored_j, before = np.zeros(2), plant._air.rise_k
    for _ in range(1800):
        truth = plant.step(1.0, at_load(plant, 0.5))
        stored_j += truth.aisle_heat_w - carried_off_w(truth, 0.5 * (before + truth.aisle_rise_k))
        before = truth.aisle_rise_k
    air, mass = plant._air.rise_k, plant._air.mass_rise_k
    assert air.max() > 1.0
    assert stored_j == pytest.approx(3 * (P.rack_air_j_per_k * air + P.rack_mass_j_per_k * mass), rel=5e-3, abs=500.0)
    assert mass == pytest.approx(air, rel=0.02), "steel has followed the air"


@pytest.mark.parametrize("dt_s", [1.0, 15.0, 60.0])
def test_without_water_and_without_air_nothing_is_carried_off_however_long_the_step(uniform, at_load, dt_s):
    """Heat that vanished between air and steel would be cooling that nobody has paid for."""
    for failures in ([NO_WATER], [Failure(FailureKind.AHU, f"AHU{i}") for i in (1, 2, 3)]):
        plant = uniform()
        settled(plant, at_load(plant, 0.3))
        for failure in failures:
            plant.fail(failure)
        truth = plant.step(dt_s, at_load(plant, 0.3))
        assert truth.aisle_heat_w.min() > 5e3
        assert np.abs(truth.aisle_heat_removed_w).max() < 1e-6 * truth.aisle_heat_w.max()


def test_a_minute_of_warming_is_that_of_its_two_equations(uniform, at_load):
    """C·dz/dt = H − Q·(1 + z/20 K) − G·(z − m) and M·dm/dt = G·(z − m), in steps of a millisecond."""
    plant = uniform()
    settled(plant, at_load(plant, 0.5))
    plant.fail(Failure(FailureKind.CHILLED_WATER, "room1", remaining_frac=0.2))
    truth = plant.step(15.0, at_load(plant, 0.5))
    c, m, g = 3 * P.rack_air_j_per_k, 3 * P.rack_mass_j_per_k, 3 * P.rack_exchange_w_per_k
    z, steel = 0.0, 0.0
    for _ in range(15_000):
        heat_w = truth.aisle_heat_w[0] - truth.aisle_heat_capacity_w[0] * (1.0 + z / 20.0)
        z, steel = z + 1e-3 * (heat_w - g * (z - steel)) / c, steel + 1e-3 * g * (z - steel) / m
    assert truth.aisle_rise_k[0] > 1.0
    assert truth.aisle_rise_k[0] == pytest.approx(z, rel=1e-3)
    assert plant._air.mass_rise_k[0] == pytest.approx(steel, rel=1e-3)


def test_what_servers_blow_is_supplied_or_comes_back_and_inlets_are_the_mix(uniform, at_load):
    """AHU1 lost leaves A1 1,000 CFM for three servers that want about 2,000; A2 keeps 3,000.

    Air: F = V + back. Heat: F·T_in = V·T_supply + back·T_exhaust, with T_exhaust = T_in + H/(c·F).
    """
    plant = uniform(fan_time_constant_s=1e9, fan_floor=0.6)
    before = settled(plant, at_load(plant, 0.1))
    plant.fail(AHU1)
    after = settled(plant, at_load(plant, 0.1))
    assert after.aisle_airflow_capacity_cfm == pytest.approx([1000.0, 3000.0])
    wanted, supplied, heat_w = after.aisle_airflow_cfm[0], after.aisle_supplied_cfm[0], after.aisle_heat_w[0]
    assert wanted == pytest.approx(3 * 0.6 * 1050.0)
    assert supplied == pytest.approx(1000.0)
    inlet_c, supply_c = after.inlet_c[0], after.supply_c[0]
    exhaust_c = inlet_c + heat_w / (AIR_HEAT_W_PER_K_CFM * wanted)
    mixed_c = (supplied * supply_c + (wanted - supplied) * exhaust_c) / wanted
    assert inlet_c == pytest.approx(mixed_c, abs=0.01)
    assert inlet_c > supply_c + 4.0
    assert after.inlet_c[3:] == pytest.approx(before.inlet_c[3:], abs=0.3), "the neighbour has air enough"


def test_handlers_supply_a_tenth_more_than_is_wanted_while_they_can(uniform, at_load):
    """What a room's pressure control does; they never stand still, and never give more than they have."""
    plant = uniform()
    truth = settled(plant, at_load(plant, 0.5))
    assert truth.aisle_supplied_cfm == pytest.approx(1.1 * truth.aisle_airflow_cfm, rel=1e-6)
    idle = settled(uniform(), plant.idle_demand())
    assert idle.aisle_supplied_cfm == pytest.approx(np.maximum(1.1 * idle.aisle_airflow_cfm, 0.3 * 3000.0), rel=1e-6)


def test_neighbours_of_a_lost_handler_ramp_up_within_their_drives_lag(uniform, at_load):
    """A2 has 3,000 CFM of AHU2 and AHU3, uses a share s of it; with AHU2 gone 2,000 are left, of which s at once.

    Then the rest of the way to the new share, 1 − 1/e of it in 20 s.
    """
    plant = uniform(fan_time_constant_s=1e9, fan_floor=0.5)
    before = settled(plant, at_load(plant, 0.1))
    plant.fail(Failure(FailureKind.AHU, "AHU2"))
    share = 1.1 * before.aisle_airflow_cfm[1] / 3000.0
    assert before.aisle_supplied_cfm[1] == pytest.approx(share * 3000.0)
    now = plant.step(0.001, at_load(plant, 0.1))
    assert now.aisle_supplied_cfm[1] == pytest.approx(share * 2000.0, rel=1e-3)
    for _ in range(20):
        later = plant.step(1.0, at_load(plant, 0.1))
    target = 1.1 * before.aisle_airflow_cfm[1]
    gone_the_way = (later.aisle_supplied_cfm[1] - share * 2000.0) / (target - share * 2000.0)
    assert gone_the_way == pytest.approx(1 - np.exp(-1), abs=1e-3)
    assert later.aisle_rise_k[1] > 0.1, "meanwhile the aisle has been short"
    assert settled(plant, at_load(plant, 0.1)).aisle_rise_k[1] == pytest.approx(0.0, abs=1e-3)


def test_an_overloaded_coil_warms_its_aisle_evenly_until_it_takes_all_heat(uniform, at_load):
    """Water at 35 %: A1's coils are rated 0.35 × 30 kW = 10.5 kW; H of heat settles at 20 K × (H/10.5 kW − 1)."""
    plant = uniform(recirculation_top_weight=0.4)
    plant.fail(Failure(FailureKind.CHILLED_WATER, "room1", remaining_frac=0.35))
    truth = settled(plant, at_load(plant, 0.5))
    rise = 20.0 * (truth.aisle_heat_w[0] / 10_500.0 - 1.0)
    assert rise == pytest.approx(2.0, abs=1.5)
    assert truth.aisle_rise_k[0] == pytest.approx(rise, rel=1e-3)
    assert truth.inlet_c[0] == pytest.approx(truth.supply_c[0] + rise, abs=0.01)
    assert truth.aisle_heat_removed_w[0] == pytest.approx(truth.aisle_heat_w[0], rel=1e-4)


def test_a_coil_with_water_enough_keeps_the_supply_cold(uniform, at_load):
    """Losing water that nobody needs warms nothing."""
    plant = uniform()
    plant.fail(Failure(FailureKind.CHILLED_WATER, "room1", remaining_frac=0.9))
    assert settled(plant, at_load(plant, 0.3)).aisle_rise_k == pytest.approx([0.0, 0.0], abs=1e-6)


def seconds_to_shutdown(servers_per_rack: int, load_frac: float, failure: list[Failure]) -> tuple[float, float]:
    """kW a rack and seconds until servers turn themselves off, in an even room of about 20 °C."""
    site = generate_site(
        8, shape=SiteShape(servers_per_rack=servers_per_rack, racks_per_row=4, airflow_frac=1.2, heat_frac=1.2)
    )
    plant = Plant(
        topology_of(site), seed=1, outdoor=lambda t_s: 10.0, parameters=replace(ALIKE, recirculation_top_weight=0.0)
    )
    m = plant.machines
    demand = Demand(m.gpu_idle_w + load_frac * (m.gpu_max_w - m.gpu_idle_w))
    start = settled(plant, demand, hours=1)
    for item in failure:
        plant.fail(item)
    second = next(second for second in range(1, 1000) if plant.step(1.0, demand).shut_down.any())
    assert start.inlet_c.max() == pytest.approx(20.0, abs=0.75)
    return float(start.rack_power_w.mean() / 1e3), float(second)


@pytest.mark.parametrize(
    "failure",
    [[NO_WATER], [Failure(FailureKind.AHU, f"AHU{i}") for i in range(1, 5)]],
    ids=["no chilled water", "no air handlers"],
)
def test_a_total_loss_of_cooling_shuts_servers_down_as_published(failure):
    """About three minutes at 5 kW a rack, under one at 10 kW and more (facts: servers' own shutdown)."""
    low_kw, low_s = seconds_to_shutdown(1, 0.715, failure)
    assert low_kw == pytest.approx(5.0, abs=0.15)
    assert 150 <= low_s <= 210
    high_kw, high_s = seconds_to_shutdown(2, 0.715, failure)
    assert high_kw == pytest.approx(10.0, abs=0.3)
    assert high_s < 60
    dense_kw, dense_s = seconds_to_shutdown(4, 0.66, failure)
    assert dense_kw > 18
    assert dense_s < high_s


def test_a_room_that_cooled_down_starts_again(uniform, at_load):
    """Shut down at 40 °C inlets, off while they are above 30 °C and five minutes more, and then at work again."""
    plant = uniform()
    settled(plant, at_load(plant, 0.6))
    plant.fail(NO_WATER)
    for _ in range(600):
        truth = plant.step(1.0, at_load(plant, 0.6))
    assert truth.shut_down.all()
    assert truth.dark.all()
    assert truth.server_power_w.sum() == 0.0
    assert truth.inlet_c.max() < 60.0, "no heat, no further rise"
    plant.clear(NO_WATER)
    minutes = next(minute for minute in range(1, 60) if not plant.step(60.0, at_load(plant, 0.6)).dark.any())
    assert 5 <= minutes <= 15
    assert settled(plant, at_load(plant, 0.6)).server_power_w.min() > 3000.0


def test_thin_air_carries_less():
    """At 1,600 m the air has 85.6 % of its density: (1 − 2.25577e-5 × 1600)^4.2559.

    Fans at the same speed move as much less mass, for as much less power, and cool worse: a GPU behind 0.8 speed gets
    the flow of 0.8 × 0.856.
    """
    low, high = (
        machines_of(topology_of(generate_site(8, shape=SiteShape(altitude_m=height))), P) for height in (0.0, 1600.0)
    )
    assert low.air_density_frac == 1.0
    assert high.air_density_frac == pytest.approx(0.8553, abs=1e-3)


def test_a_site_in_the_mountains_runs_hotter_on_the_same_air(uniform, at_load, two_rows):
    """Supply in CFM of standard air is less by the density, and so is what fans at full speed blow."""
    up = replace(two_rows, altitude_m=1600.0)
    sea, mountain = uniform(fan_floor=1.0), uniform(topology_of(up), fan_floor=1.0)
    one, other = settled(sea, at_load(sea, 0.3)), settled(mountain, at_load(mountain, 0.3))
    density = mountain.machines.air_density_frac
    assert other.airflow_cfm == pytest.approx(density * one.airflow_cfm)
    assert other.aisle_airflow_capacity_cfm == pytest.approx(density * one.aisle_airflow_capacity_cfm)
    assert other.server_power_w[0] < one.server_power_w[0], "thin air is easier to blow"
    rise, higher = (t.gpu_temperature_c - t.inlet_c[:, None] for t in (one, other))
    cooling = 0.4 + 0.6 * np.array([0.8 / 1.0, 0.8 / density]) ** 0.8
    assert (higher / other.gpu_power_w).mean() / (rise / one.gpu_power_w).mean() == pytest.approx(
        cooling[1] / cooling[0], rel=1e-3
    )


def test_rear_gpus_are_up_to_27_per_cent_hotter_than_front_ones(uniform, at_load):
    """Facts: rear GPUs of an air-cooled HGX, in °C, at full power behind flat-out fans: 0.14 against 0.10 K/W."""
    plant = uniform(fan_floor=1.0)
    truth = plant.step(600.0, Demand(np.full((6, 8), 500.0)))
    ratio = truth.gpu_temperature_c[0, 7] / truth.gpu_temperature_c[0, 0]
    assert 1.15 < ratio <= 1.27


@pytest.mark.parametrize(
    ("failure", "top_over_bottom"),
    [
        (Failure(FailureKind.ROOM_AIRFLOW, "room1", remaining_frac=0.6), 1.4 / 0.6),
        (Failure(FailureKind.CHILLED_WATER, "room1", remaining_frac=0.5), 1.0),
    ],
    ids=["short of air", "short of water"],
)
def test_recirculated_air_rises_to_the_tops_of_racks_and_a_warm_coil_warms_all_alike(failure, top_over_bottom):
    """Racks of four: with weights from 0.6 to 1.4 the top breathes 2.3 times the rise of the bottom, or the same."""
    plant = Plant(topology_of(generate_site(8)), seed=1, outdoor=lambda t_s: 10.0, parameters=ALIKE)
    demand = Demand(plant.machines.gpu_idle_w + 0.7 * (plant.machines.gpu_max_w - plant.machines.gpu_idle_w))
    plant.fail(failure)
    truth = plant.step(600.0, demand)
    rise = truth.inlet_c - truth.supply_c[0]
    assert truth.aisle_rise_k[0] > 1.0
    assert rise[3] / rise[0] == pytest.approx(top_over_bottom, rel=1e-6)
