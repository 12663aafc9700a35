"""What a placement has to keep back for tenants and for failover, from the reservations of the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.fleet import Fleet, FleetVm
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.domain.workload import Reservation, Vm
from tapas_opt.placement.promises import numbers

__all__ = ["place_of", "placed_on_whole_servers", "promises", "used"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ROW, ROOM, SITE = range(3)
"""Levels, from small to large."""


def promises(fleet: Fleet, vms: Sequence[Vm], in_service: BoolArray) -> numbers.Promises | None:
    """State what is kept back; None where nothing is.

    Parameters
    ----------
    in_service
        ``[server]`` that may get VMs and have power, whoever is on them.
    """
    if not fleet.reservations:
        return None
    reserved = [fleet.reservations[name] for name in sorted(fleet.reservations)]
    evictable = _evictable(fleet, in_service)
    levels = [_Level.of(fleet.topology, reserved, level) for level in (ROW, ROOM, SITE)]
    buffers = _buffers(fleet.topology, reserved, levels)
    kept = tuple(level.kept(fleet.topology, buffer, evictable) for level, buffer in zip(levels, buffers, strict=True))
    tenants = sorted({one.tenant for one in reserved if one.tenant is not None})
    number = {tenant: n for n, tenant in enumerate(tenants)}
    return numbers.Promises(
        vm_tenant=np.array([number.get(vm.tenant, NONE) for vm in vms], dtype=np.int64),
        levels=kept,
        reservations=tuple(
            numbers.Reservation(
                name=one.name,
                tenant=number[one.tenant],
                due=max(0, one.servers - used(fleet, one)),
                level=_level(one),
                within=tuple(level.around(fleet.topology, one) for level in levels),
            )
            for one in reserved
            if one.tenant is not None
        ),
    )


def used(fleet: Fleet, reservation: Reservation) -> int:
    """Servers of a reservation on which its tenant runs VMs; those of spot and parts of servers do not count."""
    if reservation.tenant is None:
        return 0
    inside = place_of(fleet.topology, reservation)
    own = (p for p in placed_on_whole_servers(fleet) if p.vm.tenant == reservation.tenant and not p.vm.spot)
    return sum(bool(inside[fleet.server_number(placed.server)]) for placed in own)


def placed_on_whole_servers(fleet: Fleet) -> list[FleetVm]:
    """VMs that have all of a server."""
    return [placed for placed in fleet.vms.values() if not placed.gpus]


def place_of(topology: Topology, reservation: Reservation) -> BoolArray:
    """``[server]`` whether it is of the reservation's hardware, and in its row, its room or the site."""
    inside = topology.server_hardware == topology.hardware.index(reservation.hardware)
    if reservation.row is not None:
        inside = inside & (topology.server_row == topology.rows.index(reservation.row))
    if reservation.room is not None:
        inside = inside & (topology.server_room == topology.rooms.index(reservation.room))
    return np.asarray(inside)


Place = tuple[int, int]
"""Number of the row or room (0 for the site), and of the hardware."""


@dataclass(frozen=True, slots=True)
class _Level:
    """The places of one level in which something is kept back."""

    level: int
    places: dict[Place, int]

    @classmethod
    def of(cls, topology: Topology, reserved: Sequence[Reservation], level: int) -> _Level:
        places = [_place(topology, one, level) for one in reserved if _level(one) == level]
        return cls(level, {place: n for n, place in enumerate(dict.fromkeys(places))})

    def around(self, topology: Topology, one: Reservation) -> int:
        """The place of this level in which a reservation lies; :data:`NONE` where nothing is kept there."""
        return self.places.get(_place(topology, one, self.level), NONE) if _level(one) <= self.level else NONE

    def kept(self, topology: Topology, buffer: IntArray, evictable: BoolArray) -> numbers.KeptBack:
        names = (topology.rows, topology.rooms, (topology.site.name,))[self.level]
        of = _server_place(topology, self.level)
        where = zip(of.tolist(), topology.server_hardware.tolist(), strict=True)
        place = np.array([self.places.get(pair, NONE) for pair in where], dtype=np.int64)
        inside = (place != NONE) & evictable
        return numbers.KeptBack(
            places=tuple(f"{names[at]} of {topology.hardware[hardware]}" for at, hardware in self.places),
            place_of=place,
            evictable=np.bincount(place[inside], minlength=len(self.places)).astype(np.int64),
            buffer=buffer,
        )


def _level(one: Reservation) -> int:
    return ROW if one.row is not None else ROOM if one.room is not None else SITE


def _server_place(topology: Topology, level: int) -> IntArray:
    """``[server]`` its row or room; 0 for the site."""
    if level == SITE:
        return np.zeros(len(topology.servers), dtype=np.int64)
    return topology.server_row if level == ROW else topology.server_room


def _place(topology: Topology, one: Reservation, level: int) -> Place:
    """The place of a level that a reservation of this or a smaller level lies in."""
    hardware = topology.hardware.index(one.hardware)
    if level == SITE:
        return 0, hardware
    if level == ROW:
        return topology.rows.index(one.row or ""), hardware
    if one.room is not None:
        return topology.rooms.index(one.room), hardware
    room_of_row = topology.aisle_room[topology.row_aisle]
    return int(room_of_row[topology.rows.index(one.row or "")]), hardware


def _buffers(topology: Topology, reserved: Sequence[Reservation], levels: Sequence[_Level]) -> list[IntArray]:
    """``[place]`` of each level: its own buffers, or what is kept in places inside it if that is more."""
    own = [np.zeros(len(level.places), dtype=np.int64) for level in levels]
    for one in reserved:
        if one.tenant is None:
            own[_level(one)][levels[_level(one)].places[_place(topology, one, _level(one))]] += one.servers
    room_of_row = topology.aisle_room[topology.row_aisle]
    rooms: dict[Place, int] = {}
    for (row, hardware), n in levels[ROW].places.items():
        at = int(room_of_row[row]), hardware
        rooms[at] = rooms.get(at, 0) + int(own[ROW][n])
    for place, n in levels[ROOM].places.items():
        rooms[place] = int(max(own[ROOM][n], rooms.get(place, 0)))
        own[ROOM][n] = rooms[place]
    for (_, hardware), n in levels[SITE].places.items():
        own[SITE][n] = max(own[SITE][n], sum(kept for (_, of), kept in rooms.items() if of == hardware))
    return own


def _evictable(fleet: Fleet, in_service: BoolArray) -> BoolArray:
    """``[server]`` in service, and spot VMs have every GPU."""
    topology, found = fleet.topology, in_service.copy()
    gpus = [topology.site.hardware[topology.hardware[h]].gpus for h in topology.server_hardware]
    for s, vms in enumerate(fleet.occupants()):
        held = sum(len(placed.gpus) or gpus[s] for placed in vms)
        found[s] &= held == gpus[s] and all(placed.vm.spot for placed in vms)
    return found
