"""Made-up sites: any size, balanced, scarce as asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
import yaml

from tapas_opt.domain.failure import Failure, FailureKind, effect_of
from tapas_opt.domain.site_file import site_from, site_text
from tapas_opt.domain.site_generator import HARDWARE, SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput, NotFound

SIZES = [4, 5, 7, 13, 40, 41, 80, 97, 1_000]


@pytest.mark.parametrize("servers", SIZES)
@pytest.mark.parametrize("hardware", list(HARDWARE))
def test_a_site_of_any_size_passes_the_judge_of_site_files(servers, hardware):
    """What the generator writes, every other command must read."""
    site = generate_site(servers, hardware=hardware)
    assert site_from(yaml.safe_load(site_text(site)), "generated") == site
    assert sum(1 for _ in site.servers()) == servers


def test_ten_thousand_servers_fill_rooms_evenly():
    """Large sites are many rooms of one size, with names of their own."""
    topology = topology_of(generate_site(10_000))
    # 10,000 / 1,600 = 6.25, so seven rooms of 1,428 or 1,429
    assert sorted(Counter(topology.server_room.tolist()).values()) == [1_428] * 3 + [1_429] * 4
    for names in (topology.servers, topology.racks, topology.rows, topology.aisles, topology.pdus, topology.upses):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("servers", [80, 97, 1_000, 5_000])
def test_racks_spread_over_all_six_pairs_of_upses_in_every_room(servers):
    """One lost UPS then spreads over the three others."""
    topology = topology_of(generate_site(servers))
    of_server, names = topology.server_ups_pair()
    room_of_pair: dict[int, set[int]] = {}
    racks: Counter[int] = Counter()
    for rack in range(len(topology.racks)):
        pair = int(of_server[np.flatnonzero(topology.server_rack == rack)[0]])
        racks[pair] += 1
        room_of_pair.setdefault(int(topology.rack_room[rack]), set()).add(pair)
    assert all(len(pairs) == 6 for pairs in room_of_pair.values())
    assert max(racks.values()) - min(racks.values()) <= 1
    assert len(names) == 6 * len(topology.rooms)


def test_pairs_alternate_along_a_row():
    """A row that loses one UPS keeps most of its racks on two feeds."""
    topology = topology_of(generate_site(40))
    neighbours = topology.rack_feeds.tolist()
    assert all(one != other for one, other in pairwise(neighbours))


def test_the_same_arguments_give_the_same_site():
    """Benchmarks and the demo rest on it."""
    assert generate_site(123) == generate_site(123)


def test_a_room_is_oversubscribed_against_nameplate_as_documented():
    """Not every server can run at nameplate at once: there would be nothing to decide."""
    topology = topology_of(generate_site(80))
    nameplate_w = 80 * 6_500.0
    normal = effect_of(topology)
    assert normal.ups_capacity_w.sum() == pytest.approx(0.80 * nameplate_w)
    assert normal.row_budget_w.sum() == pytest.approx(0.80 * nameplate_w)
    assert normal.rack_budget_w.sum() == pytest.approx(nameplate_w)
    assert normal.aisle_airflow_capacity_cfm.sum() == pytest.approx(0.95 * 80 * 1_050)
    assert normal.aisle_heat_capacity_w.sum() == pytest.approx(0.95 * nameplate_w)


def test_pdus_carry_what_their_ups_can_give_when_another_is_lost():
    """A PDU that opened before its UPS would make the loss of one the loss of two."""
    for servers in (80, 1_000):
        topology = topology_of(generate_site(servers))
        per_ups = len(topology.pdus) / len(topology.upses)
        # 4/3 of its part of the UPS, and 5 % more
        assert topology.pdu_rating_w[0] >= 4 / 3 * topology.ups_rating_w[0] / per_ups
        assert topology.pdu_rating_w[0] <= 1.2 * 4 / 3 * topology.ups_rating_w[0] / per_ups


def test_oversubscription_puts_more_servers_on_the_same_power_and_air():
    """The question of capacity engineers: what if this room held a quarter more?"""
    built, filled = generate_site(80).rooms[0], generate_site(100, shape=SiteShape(oversubscription=0.25)).rooms[0]
    # an odd number of racks (25) loads two UPSs with half a rack more: 13/12.5 of the even share
    assert filled.upses[0].rating_w == pytest.approx(built.upses[0].rating_w * 13 / 12.5)
    assert filled.ahus[0].max_airflow_cfm == built.ahus[0].max_airflow_cfm
    rows = [sum(row.power_budget_w for aisle in room.aisles for row in aisle.rows) for room in (built, filled)]
    assert rows[0] == pytest.approx(rows[1])


def test_every_aisle_gets_its_part_of_the_air_whatever_its_size():
    """A short last aisle must neither starve nor be spoilt."""
    topology = topology_of(generate_site(130, shape=SiteShape(rows_per_aisle=1)))
    # rows of 40, 40, 40 and 10 servers
    servers = np.bincount(topology.server_aisle)
    assert servers.tolist() == [40, 40, 40, 10]
    air = effect_of(topology).aisle_airflow_capacity_cfm
    assert air / air.sum() == pytest.approx(servers / servers.sum())


def test_an_aisle_feels_the_loss_of_a_handler_at_its_own_end_more():
    """So that the answer to a lost handler is a question of where."""
    topology = topology_of(generate_site(80, shape=SiteShape(rows_per_aisle=1)))
    normal = effect_of(topology).aisle_airflow_capacity_cfm
    failed = effect_of(topology, [Failure(FailureKind.AHU, "AHU1")]).aisle_airflow_capacity_cfm
    # AHU1 gives A1 0.25 + 0.75 / 2 = 0.625 of its air, and A2 0.375; each aisle has the air of two handlers
    assert failed / normal == pytest.approx([1 - 0.625 / 2, 1 - 0.375 / 2])


def test_the_reserve_can_be_held_back():
    """75 % of four UPSs is what three can give."""
    room = generate_site(80, shape=SiteShape(ups_budget_frac=0.75)).rooms[0]
    assert {ups.budget_frac for ups in room.upses} == {0.75}


def test_everything_out_of_range_is_said_at_once():
    """The same rule as for files."""
    with pytest.raises(InvalidInput) as refused:
        generate_site(3, name="a b", shape=SiteShape(servers_per_rack=0, airflow_frac=-1.0, ups_budget_frac=2.0))
    assert {fault.where for fault in refused.value.faults} == {
        "servers",
        "name",
        "servers_per_rack",
        "airflow_frac",
        "ups_budget_frac",
    }


def test_unknown_hardware_is_refused_with_the_names_that_exist():
    """A typing error must not give a site of something else."""
    with pytest.raises(NotFound, match="known are dgx-a100, dgx-h100"):
        generate_site(80, hardware="dgx-b200")


@pytest.mark.parametrize(
    "change",
    [
        {"servers_per_rack": 1},
        {"racks_per_row": 1},
        {"rows_per_aisle": 7},
        {"servers_per_room": 1},
        {"servers_per_room": 33},
        {"ahus_per_room": 1},
        {"ahus_per_room": 5},
        {"ahus_per_room": 8, "ahu_near_frac": 1.0},
        {"ahu_near_frac": 0.0},
        {"altitude_m": 1_600.0},
    ],
    ids=lambda change: "+".join(f"{name}={value}" for name, value in change.items()),
)
def test_any_shape_is_valid(change):
    """Whatever the options allow, the judge accepts."""
    site = generate_site(100, shape=replace(SiteShape(), **change))
    assert site_from(yaml.safe_load(site_text(site)), "generated") == site


def test_the_demo_site_is_what_the_documented_command_makes(demo_site, repository):
    """The committed file must not drift from the generator."""
    made = generate_site(80, name="demo", shape=SiteShape(rows_per_aisle=1))
    assert (repository / "data" / "demo" / "site.yaml").read_text(encoding="utf-8") == site_text(made)
    assert asdict(made) == asdict(demo_site)
