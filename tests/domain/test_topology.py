"""A site as arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import NONE, topology_of

LOADS = np.arange(1_000.0, 7_000.0, 1_000.0)
"""Of the six racks of ``two_rows``."""


def test_every_child_knows_its_parent(two_rows):
    """All sums over places go through these indices."""
    topology = topology_of(two_rows)
    assert topology.server_rack.tolist() == [0, 1, 2, 3, 4, 5]
    assert topology.rack_row.tolist() == [0, 0, 0, 1, 1, 1]
    assert topology.server_row.tolist() == [0, 0, 0, 1, 1, 1]
    assert topology.server_aisle.tolist() == [0, 0, 0, 1, 1, 1]
    assert topology.server_room.tolist() == [0] * 6
    assert topology.pdu_ups.tolist() == [0, 1, 2, 3]


def test_feeds_and_shares_are_as_the_file_says(two_rows):
    """Who feeds and cools whom."""
    topology = topology_of(two_rows)
    assert topology.rack_feeds.tolist() == [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]]
    assert topology.ahu_share.tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]


def test_a_server_with_fewer_gpus_than_others_has_none_in_their_places(two_rows):
    """Arrays of GPUs are as wide as the largest server; two of six are halves of the others here."""
    whole = next(iter(two_rows.hardware.values()))
    site = replace(two_rows, hardware={"whole": whole, "half": replace(whole, gpus=4)})
    mixed = np.array([0, 1, 0, 0, 1, 0])
    topology = replace(topology_of(two_rows), site=site, hardware=("whole", "half"), server_hardware=mixed)
    assert topology.server_gpus.tolist() == [8, 4, 8, 8, 4, 8]
    assert topology.has_gpu.sum(axis=1).tolist() == [8, 4, 8, 8, 4, 8]
    assert topology.has_gpu[1].tolist() == [True] * 4 + [False] * 4


def test_a_reserve_held_back_shows_in_the_budget_and_not_in_the_rating(two_rows):
    """75 % of 12,000 W may be planned on."""
    topology = topology_of(two_rows)
    assert topology.ups_budget_w.tolist() == [9_000.0] * 4
    assert topology.ups_rating_w.tolist() == [12_000.0] * 4


def test_a_rack_with_fewer_feeds_than_others_has_no_element_there(two_rows):
    """A missing feed must not be taken for PDU number 0."""
    room = two_rows.rooms[0]
    aisle = room.aisles[0]
    row = aisle.rows[0]
    row = replace(row, racks=(replace(row.racks[0], feeds=("P3",)), *row.racks[1:]))
    site = replace(two_rows, rooms=(replace(room, aisles=(replace(aisle, rows=(row,)), *room.aisles[1:])),))
    topology = topology_of(site)
    assert topology.rack_feeds[0].tolist() == [2, NONE]
    of_server, names = topology.server_ups_pair()
    assert names[of_server[0]] == "U3"
    assert topology.on_upses(LOADS).tolist() == [4_000.0, 5_000.0, 6_500.0, 5_500.0]


def test_a_rack_hangs_alike_on_each_of_its_feeds(two_rows):
    """1 to 6 kW; racks 1, 3 and 5 on U1, 1, 4 and 6 on U2, 2, 3 and 6 on U3, 2, 4 and 5 on U4: half of each."""
    topology = topology_of(two_rows)
    assert topology.on_pdus(LOADS).tolist() == [4_500.0, 5_500.0, 5_500.0, 5_500.0]
    assert topology.on_upses(LOADS).tolist() == [4_500.0, 5_500.0, 5_500.0, 5_500.0]


def test_servers_know_the_upses_that_feed_them(two_rows):
    """Replicas are spread over these sets."""
    of_server, names = topology_of(two_rows).server_ups_pair()
    assert [names[i] for i in of_server] == ["U1+U2", "U3+U4", "U1+U3", "U2+U4", "U1+U4", "U2+U3"]


def test_the_order_of_feeds_does_not_matter(two_rows):
    """U2+U1 is U1+U2."""
    room = two_rows.rooms[0]
    turned = tuple(
        replace(
            a, rows=tuple(replace(r, racks=tuple(replace(k, feeds=k.feeds[::-1]) for k in r.racks)) for r in a.rows)
        )
        for a in room.aisles
    )
    one, other = topology_of(two_rows), topology_of(replace(two_rows, rooms=(replace(room, aisles=turned),)))
    assert one.server_ups_pair()[1] == other.server_ups_pair()[1]


@pytest.mark.parametrize("servers", [90, 1_000])
def test_rooms_keep_to_themselves(servers):
    """No rack hangs on a PDU of another room, and no handler cools one."""
    topology = topology_of(generate_site(servers, shape=SiteShape(servers_per_room=40)))
    assert (topology.pdu_room[topology.rack_feeds] == topology.rack_room[:, None]).all()
    serves = topology.ahu_share > 0
    assert (topology.ahu_room[:, None] == topology.aisle_room[None, :])[serves].all()
