"""Servers that no failure of power or air can tell apart, as one server each: a failure is worked out on these few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE, Topology

__all__ = ["room_of", "units_of"]

IntArray = NDArray[np.int64]


def units_of(topology: Topology) -> tuple[Topology, IntArray]:
    """The site with one rack of one server for each kind of server, and ``[server]`` which of these each one is.

    Servers in one row, on the same feeds and with the same supplies gain and lose alike in every failure.
    """
    rack = topology.server_rack
    key = np.column_stack([topology.rack_row[rack], topology.rack_feeds[rack], topology.server_hardware])
    _, first, unit = np.unique(key, axis=0, return_index=True, return_inverse=True)
    of_rack = rack[first]
    names = tuple(topology.servers[s] for s in first)
    small = replace(
        topology,
        servers=names,
        racks=names,
        server_hardware=topology.server_hardware[first],
        server_rack=np.arange(len(first)),
        rack_row=topology.rack_row[of_rack],
        rack_feeds=topology.rack_feeds[of_rack],
        rack_budget_w=topology.rack_budget_w[of_rack],
    )
    return small, unit.ravel().astype(np.int64)


def room_of(topology: Topology, room: int) -> Topology:
    """One room of a site as a site of its own, in the same order; ``site`` stays the whole one."""
    upses, pdus, ahus, aisles = (
        np.flatnonzero(of == room)
        for of in (topology.ups_room, topology.pdu_room, topology.ahu_room, topology.aisle_room)
    )
    rows = np.flatnonzero(topology.aisle_room[topology.row_aisle] == room)
    racks = np.flatnonzero(topology.rack_room == room)
    servers = np.flatnonzero(topology.server_room == room)
    feeds = topology.rack_feeds[racks]
    return replace(
        topology,
        servers=_some(topology.servers, servers),
        racks=_some(topology.racks, racks),
        rows=_some(topology.rows, rows),
        aisles=_some(topology.aisles, aisles),
        rooms=(topology.rooms[room],),
        pdus=_some(topology.pdus, pdus),
        upses=_some(topology.upses, upses),
        ahus=_some(topology.ahus, ahus),
        server_hardware=topology.server_hardware[servers],
        server_rack=_renumbered(topology.server_rack[servers], racks),
        rack_row=_renumbered(topology.rack_row[racks], rows),
        row_aisle=_renumbered(topology.row_aisle[rows], aisles),
        aisle_room=np.zeros(len(aisles), dtype=np.int64),
        rack_feeds=np.where(feeds == NONE, NONE, _renumbered(feeds, pdus)),
        pdu_ups=_renumbered(topology.pdu_ups[pdus], upses),
        pdu_room=np.zeros(len(pdus), dtype=np.int64),
        ups_room=np.zeros(len(upses), dtype=np.int64),
        ahu_room=np.zeros(len(ahus), dtype=np.int64),
        ahu_share=topology.ahu_share[np.ix_(ahus, aisles)],
        rack_budget_w=topology.rack_budget_w[racks],
        row_budget_w=topology.row_budget_w[rows],
        pdu_rating_w=topology.pdu_rating_w[pdus],
        ups_rating_w=topology.ups_rating_w[upses],
        ups_budget_w=topology.ups_budget_w[upses],
        ahu_airflow_cfm=topology.ahu_airflow_cfm[ahus],
        ahu_heat_w=topology.ahu_heat_w[ahus],
    )


def _some(names: tuple[str, ...], numbers: IntArray) -> tuple[str, ...]:
    return tuple(names[n] for n in numbers.tolist())


def _renumbered(index: IntArray, kept: IntArray) -> IntArray:
    """Where each of ``index`` stands among the rising ``kept``."""
    return np.searchsorted(kept, index).astype(np.int64)
