"""A site as arrays: who is where, who feeds whom. Index letters: s server, r row, a aisle, p PDU, u UPS, h AHU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.site import Site

__all__ = ["NONE", "Topology", "topology_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NONE = -1
"""No element at this place of an index array."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Names and indices of a site, in file order.

    Attributes
    ----------
    server_rack, rack_row, row_aisle, aisle_room, pdu_ups, pdu_room, ups_room, ahu_room
        Index of the parent, one per child.
    rack_feeds
        ``[rack, feed]`` index of the PDU, :data:`NONE` where a rack has fewer feeds.
    server_hardware
        Index into ``hardware``.
    ahu_share
        ``[ahu, aisle]`` fraction of the handler's flow and heat that serves the aisle.
    ups_budget_w
        What may be planned on in normal operation: rating × budget fraction.
    """

    site: Site
    servers: tuple[str, ...]
    racks: tuple[str, ...]
    rows: tuple[str, ...]
    aisles: tuple[str, ...]
    rooms: tuple[str, ...]
    pdus: tuple[str, ...]
    upses: tuple[str, ...]
    ahus: tuple[str, ...]
    hardware: tuple[str, ...]
    server_hardware: IntArray
    server_rack: IntArray
    rack_row: IntArray
    row_aisle: IntArray
    aisle_room: IntArray
    rack_feeds: IntArray
    pdu_ups: IntArray
    pdu_room: IntArray
    ups_room: IntArray
    ahu_room: IntArray
    ahu_share: FloatArray
    rack_budget_w: FloatArray
    row_budget_w: FloatArray
    pdu_rating_w: FloatArray
    ups_rating_w: FloatArray
    ups_budget_w: FloatArray
    ahu_airflow_cfm: FloatArray
    ahu_heat_w: FloatArray

    @property
    def server_row(self) -> IntArray:
        """Row of each server."""
        return self.rack_row[self.server_rack]

    @property
    def server_aisle(self) -> IntArray:
        """Aisle of each server."""
        return self.row_aisle[self.server_row]

    @property
    def server_room(self) -> IntArray:
        """Room of each server."""
        return self.aisle_room[self.server_aisle]

    @property
    def rack_room(self) -> IntArray:
        """Room of each rack."""
        return self.aisle_room[self.row_aisle[self.rack_row]]

    @property
    def server_gpus(self) -> IntArray:
        """How many GPUs each server has."""
        return _ints([self.site.hardware[name].gpus for name in self.hardware])[self.server_hardware]

    @property
    def has_gpu(self) -> BoolArray:
        """``[server, gpu]`` False beyond a server's last GPU."""
        gpus = self.server_gpus
        return np.asarray(np.arange(gpus.max(initial=0)) < gpus[:, None])

    def server_ups_pair(self) -> tuple[IntArray, tuple[str, ...]]:
        """Which set of UPSs feeds each server, and the name of each set, such as ``U1+U2``."""
        fed_by = np.where(self.rack_feeds == NONE, NONE, self.pdu_ups[self.rack_feeds])
        sets, rack_set = np.unique(np.sort(fed_by, axis=1), axis=0, return_inverse=True)
        names = tuple("+".join(self.upses[u] for u in row if u != NONE) for row in sets)
        return rack_set.ravel()[self.server_rack].astype(np.int64), names

    def on_pdus(self, on_racks: FloatArray) -> FloatArray:
        """``[PDU]`` what hangs on each while every feed is alive, each rack's load shared alike by its feeds."""
        fed = self.rack_feeds != NONE
        share = on_racks[:, None] * (fed / fed.sum(axis=1, keepdims=True))
        return _summed(share.ravel(), np.maximum(self.rack_feeds, 0).ravel(), len(self.pdus))

    def on_upses(self, on_racks: FloatArray) -> FloatArray:
        """``[UPS]`` what hangs on each while every feed is alive."""
        return _summed(self.on_pdus(on_racks), self.pdu_ups, len(self.upses))


def topology_of(site: Site) -> Topology:
    """Index a valid site once; what uses it is vectorised."""
    rooms = list(enumerate(site.rooms))
    aisles = [(i, aisle) for i, room in rooms for aisle in room.aisles]
    rows = [(i, row) for i, (_, aisle) in enumerate(aisles) for row in aisle.rows]
    racks = [(i, rack) for i, (_, row) in enumerate(rows) for rack in row.racks]
    servers = [(i, server) for i, (_, rack) in enumerate(racks) for server in rack.servers]
    upses = [(i, ups) for i, room in rooms for ups in room.upses]
    pdus = [(i, pdu) for i, room in rooms for pdu in room.pdus]
    ahus = [(i, ahu) for i, room in rooms for ahu in room.ahus]
    aisle_names = tuple(aisle.name for _, aisle in aisles)
    hardware = tuple(site.hardware)
    pdu_number = {pdu.name: i for i, (_, pdu) in enumerate(pdus)}
    ups_number = {ups.name: i for i, (_, ups) in enumerate(upses)}
    hardware_number = {name: i for i, name in enumerate(hardware)}
    return Topology(
        site=site,
        servers=tuple(server.name for _, server in servers),
        racks=tuple(rack.name for _, rack in racks),
        rows=tuple(row.name for _, row in rows),
        aisles=aisle_names,
        rooms=tuple(room.name for room in site.rooms),
        pdus=tuple(pdu_number),
        upses=tuple(ups_number),
        ahus=tuple(ahu.name for _, ahu in ahus),
        hardware=hardware,
        server_hardware=_ints([hardware_number[server.hardware] for _, server in servers]),
        server_rack=_ints([i for i, _ in servers]),
        rack_row=_ints([i for i, _ in racks]),
        row_aisle=_ints([i for i, _ in rows]),
        aisle_room=_ints([i for i, _ in aisles]),
        rack_feeds=_feeds([rack.feeds for _, rack in racks], pdu_number),
        pdu_ups=_ints([ups_number[pdu.ups] for _, pdu in pdus]),
        pdu_room=_ints([i for i, _ in pdus]),
        ups_room=_ints([i for i, _ in upses]),
        ahu_room=_ints([i for i, _ in ahus]),
        ahu_share=_floats([[ahu.aisle_shares.get(name, 0.0) for name in aisle_names] for _, ahu in ahus]),
        rack_budget_w=_floats([rack.power_budget_w for _, rack in racks]),
        row_budget_w=_floats([row.power_budget_w for _, row in rows]),
        pdu_rating_w=_floats([pdu.rating_w for _, pdu in pdus]),
        ups_rating_w=_floats([ups.rating_w for _, ups in upses]),
        ups_budget_w=_floats([ups.rating_w * ups.budget_frac for _, ups in upses]),
        ahu_airflow_cfm=_floats([ahu.max_airflow_cfm for _, ahu in ahus]),
        ahu_heat_w=_floats([ahu.coil_capacity_w for _, ahu in ahus]),
    )


def _summed(values: FloatArray, of: IntArray, count: int) -> FloatArray:
    return np.asarray(np.bincount(of, values, count), dtype=np.float64)


def _ints(values: list[int]) -> IntArray:
    return np.array(values, dtype=np.int64)


def _floats(values: list[float] | list[list[float]]) -> FloatArray:
    return np.array(values, dtype=np.float64)


def _feeds(feeds: list[tuple[str, ...]], pdu_number: dict[str, int]) -> IntArray:
    width = max(len(names) for names in feeds)
    return _ints([[pdu_number[name] for name in names] + [NONE] * (width - len(names)) for names in feeds])  # type: ignore[misc]
