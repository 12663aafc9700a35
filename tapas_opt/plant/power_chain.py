"""From servers up to UPSs: who carries what, what failures change, and what opens under overload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Effect, Failure, FailureKind, effect_of
from tapas_opt.domain.site import BREAKER
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.physics import summed
from tapas_opt.plant.protection import InverseTime

__all__ = ["PowerChain", "PowerFlow"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROUNDING = 1e-9
"""A rack of servers at their nameplates, and of as large a budget, is full and not over it."""


@dataclass(frozen=True, slots=True)
class PowerFlow:
    """Power through racks, rows, PDUs and UPSs, switches and losses included.

    Attributes
    ----------
    feed_share
        ``[rack, feed]`` part of each rack's power that comes by each of its feeds.
    """

    rack_w: FloatArray
    row_w: FloatArray
    pdu_w: FloatArray
    ups_w: FloatArray
    feed_share: FloatArray


class PowerChain:
    """Feeds, breakers and UPSs of a site, with the failures that are active now.

    A UPS or PDU that opens acts like one that has failed: its racks' load moves to their other feed at once, which may
    overload the next (a cascade). While any UPS of a room has failed or opened, the room's other UPSs are held to
    their ``on_battery`` curve, which is the pessimistic design point; otherwise to ``on_mains``. Row breakers are
    rated at the row's power budget, those of racks at what a rack draws whose servers use all of the rack's budget.

    Attributes
    ----------
    effect
        Feeds, shares and capacities as the failures leave them; UPS capacities are ratings, never budgets.
    dark
        ``[S]`` servers without power.
    """

    def __init__(self, topology: Topology, parameters: Parameters) -> None:
        self._topology = replace(topology, ups_budget_w=topology.ups_rating_w)
        self._p = parameters
        self._failures: dict[tuple[FailureKind, str], Failure] = {}
        upses = [ups for room in topology.site.rooms for ups in room.upses]
        self._on_mains = tuple(ups.on_mains for ups in upses)
        self._on_battery = tuple(ups.on_battery for ups in upses)
        self.upses = InverseTime(self._on_mains)
        self.pdus = InverseTime([pdu.breaker for room in topology.site.rooms for pdu in room.pdus])
        self.rows = InverseTime([row.breaker for row in topology.site.rows()])
        self.racks = InverseTime([BREAKER] * len(topology.racks))
        self._rack_rating_w = self._with_losses(topology.rack_budget_w) * (1.0 + ROUNDING)
        self._apply()

    def fail(self, failure: Failure) -> None:
        """Let an element fail; raises NotFound if the site does not have it."""
        effect_of(self._topology, [failure])
        self._failures[failure.kind, failure.element] = failure
        self._apply()

    def clear(self, failure: Failure) -> None:
        """End a failure; a UPS or PDU of that name that has opened is closed again."""
        self._failures.pop((failure.kind, failure.element), None)
        for kind, names, group in self._openable():
            if kind is failure.kind and failure.element in names:
                group.close(names.index(failure.element))
        self._apply()

    def flow(self, server_power_w: FloatArray) -> PowerFlow:
        """Carry the servers' power up; losses and switches are added at each live rack."""
        t = self._topology
        servers_w = summed(server_power_w, t.server_rack, len(t.racks))
        rack_w = np.where(self._rack_live, self._with_losses(servers_w), 0.0)
        pdu_w = summed((rack_w[:, None] * self._share).ravel(), np.maximum(t.rack_feeds, 0).ravel(), len(t.pdus))
        return PowerFlow(
            rack_w=rack_w,
            row_w=summed(rack_w, t.rack_row, len(t.rows)),
            pdu_w=pdu_w,
            ups_w=summed(pdu_w, t.pdu_ups, len(t.upses)),
            feed_share=self._share,
        )

    def _with_losses(self, servers_w: FloatArray) -> FloatArray:
        """What racks draw whose servers draw this: losses and switches as well."""
        return servers_w * (1.0 + self._p.distribution_loss_frac) + self._p.rack_overhead_w

    def protect(self, flow: PowerFlow, dt_s: float) -> None:
        """Let ``dt_s`` of this flow use up tolerances, and open what has none left."""
        in_force = [
            battery if failed else mains
            for battery, mains, failed in zip(self._on_battery, self._on_mains, self._ups_on_battery, strict=True)
        ]
        opened = self.upses.step(_over(flow.ups_w, self.effect.ups_capacity_w), dt_s, in_force)
        opened |= self.pdus.step(_over(flow.pdu_w, self.effect.pdu_capacity_w), dt_s)
        opened |= self.rows.step(_over(flow.row_w, self._topology.row_budget_w), dt_s)
        opened |= self.racks.step(_over(flow.rack_w, self._rack_rating_w), dt_s)
        if opened:
            self._apply()

    def _openable(self) -> Iterable[tuple[FailureKind, tuple[str, ...], InverseTime]]:
        yield FailureKind.UPS, self._topology.upses, self.upses
        yield FailureKind.PDU, self._topology.pdus, self.pdus

    def _apply(self) -> None:
        """Work out feeds, shares and darkness anew after a failure, its end, or an opening."""
        t = self._topology
        active = list(self._failures.values())
        for kind, names, group in self._openable():
            active += [Failure(kind, names[i]) for i in np.flatnonzero(group.opened)]
        self.effect: Effect = effect_of(t, active)
        carried = self.effect.feed_permille.sum(axis=1)
        breaker_open = self.rows.opened[t.rack_row] | self.racks.opened
        # Shares are rounded up for planning; here they must add up to one.
        share = self.effect.feed_permille / np.maximum(carried, 1)[:, None]
        self._share = np.where((t.rack_feeds == NONE) | breaker_open[:, None], 0.0, share)
        self._rack_live = (carried > 0) & ~breaker_open
        self.dark: BoolArray = self.effect.server_dark | ~self._rack_live[t.server_rack]
        failed = [t.upses.index(failure.element) for failure in active if failure.kind is FailureKind.UPS]
        self._ups_on_battery = np.isin(t.ups_room, t.ups_room[failed])


def _over(load_w: FloatArray, rating_w: FloatArray) -> FloatArray:
    return np.where(load_w > 0, load_w / np.maximum(rating_w, 1e-9), 0.0)
