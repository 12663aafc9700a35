"""A site while VMs are being placed one after the other, each where it raises the objective least.

Budgets, temperature and peaks are judged here; every other constraint is a side limit (:mod:`~.placement.sides`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement import kernels
from tapas_opt.placement.evening import Evening, evened
from tapas_opt.placement.guide import DETOUR, Advice, Guide
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.sides import SideLimit, side_limits
from tapas_opt.placement.taps import Taps
from tapas_opt.placement.zones import EVERYWHERE, Where, Zones

__all__ = ["Filling"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


KEPT = 8
"""Of so many classes of VMs it is kept what was found; VMs that are alike come nearly one after the other."""


@dataclass(slots=True)
class Filling:
    """The site while VMs are being placed.

    VMs of a kind come one after the other, or nearly so, and what one of them changes lies in its zone: so what was
    found for a VM is kept, zone by zone, and for the next one of its kind only what may have changed is looked at anew.

    Attributes
    ----------
    vm_class, type_of
        ``[vm]``: what is the same for one VM of a class is so for all of them.
    kind, draw
        ``[type]`` its number among the types asked for; ``[kind, look, slot]`` what a VM draws.
    eligible, cost, gpus
        ``[type, server class]`` where it may go, what that costs beside peaks and sides, and what it takes of ``left``.
    drawn
        ``[row]`` thousandths drawn so far, beyond the base.
    increase, peak_price
        ``[peak]`` steps by which the peaks have risen so far, and what a step costs.
    left
        ``[server class]`` GPUs still free (servers, where VMs take whole ones).
    sides
        What bounds or prices VMs beside budgets, temperature and peaks.
    class_of
        Server class of each VM placed.
    taken, far
        Server classes that VMs were put on or taken off, one after the other; how many of them there had been when
        something changed elsewhere, too.
    found
        By VM class, of those that were asked for last, what was found.
    """

    vm_class: IntArray
    type_of: IntArray
    taps: Taps
    zones: Zones
    kind: IntArray
    draw: IntArray
    eligible: BoolArray
    cost: IntArray
    gpus: IntArray
    drawn: IntArray
    increase: IntArray
    peak_price: IntArray
    left: IntArray
    sides: tuple[SideLimit, ...]
    class_of: dict[int, int] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    far: int = 0
    found: dict[int, Found] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: PlacementProblem, classes: PlacementClasses) -> Filling:
        """The site as it is before the first VM."""
        taps, first = Taps.of(problem, classes), classes.servers.first
        zones = Zones.of_site(problem, classes, taps)
        asked, among = np.unique(problem.vm_type, return_inverse=True)
        kind = np.zeros(len(problem.type_fits), dtype=np.int64)
        kind[problem.vm_type] = among
        by_unit = np.stack([problem.type_power_w[asked], problem.type_airflow_cfm[asked]], axis=2)
        return cls(
            classes.vms.of,
            problem.vm_type,
            taps,
            zones,
            kind,
            draw=by_unit.reshape(len(asked), 2 * by_unit.shape[1], by_unit.shape[3]),
            eligible=problem.eligible(first),
            cost=problem.temperature_cost(first),
            gpus=problem.type_gpus[:, problem.server_hardware[first]],
            drawn=np.zeros(len(taps.row_slot), dtype=np.int64),
            increase=np.zeros(len(classes.peaks), dtype=np.int64),
            peak_price=np.array([peak.price for peak in classes.peaks], dtype=np.int64),
            left=classes.servers.size * problem.gpus[first],
            sides=side_limits(problem, classes),
        )

    def follow(self, shares: Advice, classes: PlacementClasses) -> None:
        """Send VMs where they should go, and take the rise of the peaks that this needs anyway for granted."""
        self.sides = (*self.sides, Guide(shares, classes))
        for f, peak in enumerate(classes.peaks):
            self.increase[f] = min(peak.most_increase, shares.peak_increase.get(peak.family.constraint, 0))

    def even_out(self, problem: PlacementProblem, shares: Advice, classes: PlacementClasses, until: float) -> None:
        """Lower the peaks by exchanging VMs that no group binds. Sides are not asked."""
        movable = [v for v in self.class_of if problem.vm_group[v] == NONE]
        of, k = self.type_of[movable], np.array([self.class_of[v] for v in movable], dtype=np.int64)
        aim = [min(peak.most_increase, shares.peak_increase.get(peak.family.constraint, 0)) for peak in classes.peaks]
        asked = np.unique(self.type_of)
        state = Evening(
            self.kind[of],
            k,
            shares.server_kind[classes.servers.first[k]],
            self.eligible[asked],
            self.cost[asked],
            self.gpus[asked],
            self.left,
            self.drawn,
            self.draw,
            np.array(aim, dtype=np.int64),
            self.peak_price,
        )
        self.class_of |= dict(zip(movable, evened(self.taps, state, until=until).tolist(), strict=True))

    def best_class(self, v: int) -> tuple[int, int]:
        """The server class that raises the objective least, and by how much; :data:`NONE` if no class has room."""
        found, taps, zones = self._found(v), self.taps, self.zones
        k, costs = kernels.best_class(
            self._looked_at_anew(v, found),
            (zones.member, zones.begin),
            found.allowed,
            found.cost,
            (taps.of_class, taps.peak_of_place),
            (found.room, found.steps, taps.limit),
            (self.increase, self.peak_price),
            found.best,
        )
        return int(k), int(costs) - (DETOUR if costs > DETOUR // 2 else 0)

    def _found(self, v: int) -> Found:
        """What was found for the last VM like this one, if it is still known."""
        of = int(self.vm_class[v])
        if of not in self.found:
            if len(self.found) == KEPT:
                del self.found[next(iter(self.found))]
            self.found[of] = Found.of(len(self.left), len(self.taps.domain), self.zones.count)
        return self.found[of]

    def _looked_at_anew(self, v: int, found: Found) -> IntArray:
        """Zones in which something may be otherwise than it was found; of their classes all is known now."""
        if found.seen < self.far:
            self._judge(v, found, np.arange(len(self.taps.begin) - 1))
            self._look(v, found, EVERYWHERE)
            zones = np.arange(self.zones.count)
        else:
            taken = self.taken[found.seen :]
            self._judge(v, found, self.taps.domain[self.taps.of_class[taken]].ravel())
            zones = self.zones.of[taken]
            for zone in set(zones.tolist()):
                self._look(v, found, self.zones.members(zone))
        found.seen = len(self.taken)
        return zones

    def _look(self, v: int, found: Found, where: Where) -> None:
        """Where in some of the classes a VM may go, and what it costs there beside peaks."""
        of = self.type_of[v]
        allowed = self.eligible[of, where] & (self.left[where] >= self.gpus[of, where])
        cost = self.cost[of, where]
        for side in self.sides:
            may, price = side.judge(v, where)
            allowed &= may
            cost = cost + price
        found.allowed[where], found.cost[where] = allowed, cost

    def take(self, v: int, k: int) -> None:
        """Place a VM on a server of class k, the best that was found for it."""
        kernels.raise_peaks(self.taps.of_class[k], self.taps.peak_of_place, self._found(v).steps, self.increase)
        self._move(v, k, 1)
        self.class_of[v] = k

    def give_back(self, v: int) -> None:
        """Undo :meth:`take`, except for the peaks."""
        self._move(v, self.class_of.pop(v), -1)
        self.far = len(self.taken)

    def _move(self, v: int, k: int, sign: int) -> None:
        of, taps = int(self.type_of[v]), self.taps
        draw = self.draw[self.kind[of]]
        kernels.draw_on(taps.of_class[k], sign, taps.tap, taps.row_begin, taps.row_slot, self.drawn, draw)
        self.left[k] -= sign * self.gpus[of, k]
        self.taken.append(k)
        for side in self.sides:
            if side.take(v, k, sign):
                self.far = len(self.taken)

    def _judge(self, v: int, found: Found, domains: IntArray) -> None:
        """Judge the taps of some domains anew."""
        taps, draw = self.taps, self.draw[self.kind[self.type_of[v]]]
        kernels.judge(
            domains, taps.begin, taps.tap, taps.row_begin, taps.row, self.drawn, draw, found.room, found.steps
        )


@dataclass(slots=True)
class Found:
    """What was found for the last VM of a class.

    Attributes
    ----------
    room, steps
        ``[tap]`` the least room left if the VM drew there, and the steps by which the peak would then stand above
        today's.
    allowed, cost
        ``[server class]`` where it may go, and what it costs beside peaks.
    best
        ``[zone]`` class, cost and headroom of the best there, and what the peaks had cost by then.
    seen
        How many VMs had been put somewhere or taken off by then; before anything was found, none of these numbers.
    """

    room: IntArray
    steps: IntArray
    allowed: BoolArray
    cost: IntArray
    best: tuple[IntArray, IntArray, FloatArray, IntArray]
    seen: int = -1

    @classmethod
    def of(cls, classes: int, taps: int, zones: int) -> Found:
        """Nothing yet."""
        room, steps = np.zeros((2, taps), dtype=np.int64)
        best, costs, paid = np.zeros((3, zones), dtype=np.int64)
        allowed, cost = np.zeros(classes, dtype=bool), np.zeros(classes, dtype=np.int64)
        return cls(room, steps, allowed, cost, (best, costs, np.zeros(zones), paid))
