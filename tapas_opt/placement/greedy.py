"""Placement one VM after the other, each where it raises the objective least: the answer while solvers still work.

Budgets, temperature and peaks are judged here; every other constraint is a side limit (:mod:`~.placement.sides`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.aggregate import Shares
from tapas_opt.placement.evening import Evening, evened
from tapas_opt.placement.guide import Guide
from tapas_opt.placement.naming import named
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem, placement_classes
from tapas_opt.placement.sides import SideLimit, side_limits
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.placement.taps import Taps

__all__ = ["bounded", "greedy", "warm_up"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def greedy(problem: PlacementProblem, shares: Shares | None = None, *, until: float = math.inf) -> PlacementPlan:
    """Place VMs by priority, the hardest first; ties go where most headroom is left.

    A VM stays unplaced where no server may take it, or where taking it costs more than leaving it. A group that must
    be placed as a whole is taken back when one of its VMs finds no server.

    Parameters
    ----------
    shares
        Which kind of server each kind of VM should go to, where one of them has room
        (:mod:`tapas_opt.placement.aggregate`).
    until
        A `time.perf_counter` after which peaks are evened out no further.
    """
    return _placed(problem, shares, until)[0]


def bounded(problem: PlacementProblem) -> tuple[PlacementPlan, float]:
    """As :func:`greedy`, and what no plan costs less than: every VM on the cheapest server that it could have alone."""
    plan, site = _placed(problem, None, math.inf)
    none = np.iinfo(np.int64).max
    alone = np.where(site.eligible, site.cost, none).min(axis=1, initial=none)[problem.vm_type]
    return plan, float(np.minimum(alone, problem.unplaced_price(np.arange(len(problem.vms)))).sum())


def _placed(problem: PlacementProblem, shares: Shares | None, until: float) -> tuple[PlacementPlan, _Site]:
    classes = placement_classes(problem)
    site = _Site.of(problem, classes)
    if shares is not None:
        site.follow(shares, classes)
    for together in _in_order(problem, site.eligible @ classes.servers.size):
        _place_together(site, problem, together)
    failures = problem.survival is not None and problem.survival.parts
    bound_by_others = problem.promises is not None or failures or problem.scenarios is not None
    if shares is not None and not bound_by_others:
        site.even_out(problem, shares, classes, until)
    return with_relief(problem, named(problem, classes, sorted(site.class_of.items()))), site


def _in_order(problem: PlacementProblem, eligible: IntArray) -> Iterator[list[int]]:
    """VMs by what they cost unplaced, then those whose type has fewer ``eligible`` servers, then those that draw more.

    VMs of an all-or-nothing group come together, in the place of their first.
    """
    power = problem.type_power_w.max(axis=(1, 2), initial=0)[problem.vm_type]
    order = np.lexsort((-power, eligible[problem.vm_type], -problem.unplaced_price(np.arange(len(problem.vms)))))
    group_of = problem.vm_group[order]
    done: set[int] = set()
    for v, group in zip(order.tolist(), group_of.tolist(), strict=True):
        if group == NONE or not problem.groups[group].all_or_nothing:
            yield [v]
        elif group not in done:
            done.add(group)
            yield order[group_of == group].tolist()


def _place_together(site: _Site, problem: PlacementProblem, vms: list[int]) -> None:
    """Place all of ``vms`` or, if one finds no server or they cost more than they are worth, none."""
    present, worth = site.increase.copy(), int(problem.unplaced_price(np.array(vms)).sum())
    taken: list[int] = []
    for v in vms:
        k, price = site.best_class(v)
        worth -= price
        if k == NONE or worth < 0:
            break
        site.take(v, k)
        taken.append(v)
    if len(taken) < len(vms):
        for v in taken:
            site.give_back(v)
        site.increase[:] = present


@dataclass(slots=True)
class _Site:
    """The site while VMs are being placed.

    Attributes
    ----------
    kind, draw
        ``[type]`` its number among the types asked for; ``[kind, look, slot]`` what a VM draws.
    eligible, cost, gpus
        ``[type, server class]`` where it may go, what that costs beside peaks and sides, and what it takes of ``left``.
    drawn
        ``[row]`` thousandths drawn so far, beyond the base.
    room, steps
        ``[kind, tap]`` the least room left if one more VM drew there, and the steps by which the peak would then stand
        above today's.
    increase, peak_price
        ``[peak]`` steps by which the peaks have risen so far, and what a step costs.
    left
        ``[server class]`` GPUs still free (servers, where VMs take whole ones).
    sides
        What bounds or prices VMs beside budgets, temperature and peaks.
    class_of
        Server class of each VM placed.
    guide
        Where VMs should go if one of the classes there has room.
    """

    type_of: IntArray
    taps: Taps
    kind: IntArray
    draw: IntArray
    eligible: BoolArray
    cost: IntArray
    gpus: IntArray
    drawn: IntArray
    room: IntArray
    steps: IntArray
    increase: IntArray
    peak_price: IntArray
    left: IntArray
    sides: tuple[SideLimit, ...]
    class_of: dict[int, int] = field(default_factory=dict)
    guide: Guide | None = None

    @classmethod
    def of(cls, problem: PlacementProblem, classes: PlacementClasses) -> _Site:
        taps, first = Taps.of(problem, classes), classes.servers.first
        asked, among = np.unique(problem.vm_type, return_inverse=True)
        kind = np.zeros(len(problem.type_fits), dtype=np.int64)
        kind[problem.vm_type] = among
        by_unit = np.stack([problem.type_power_w[asked], problem.type_airflow_cfm[asked]], axis=2)
        site = cls(
            problem.vm_type,
            taps,
            kind,
            draw=by_unit.reshape(len(asked), 2 * by_unit.shape[1], by_unit.shape[3]),
            eligible=problem.eligible(first),
            cost=problem.temperature_cost(first),
            gpus=problem.type_gpus[:, problem.server_hardware[first]],
            drawn=np.zeros(len(taps.row_slot), dtype=np.int64),
            room=np.zeros((len(asked), len(taps.domain)), dtype=np.int64),
            steps=np.zeros((len(asked), len(taps.domain)), dtype=np.int64),
            increase=np.zeros(len(classes.peaks), dtype=np.int64),
            peak_price=np.array([peak.price for peak in classes.peaks], dtype=np.int64),
            left=classes.servers.size * problem.gpus[first],
            sides=side_limits(problem, classes),
        )
        site._judge(0, len(taps.domain))
        return site

    def follow(self, shares: Shares, classes: PlacementClasses) -> None:
        """Send VMs where they should go, and take the rise of the peaks that this needs anyway for granted."""
        self.guide = Guide(shares, classes)
        for f, peak in enumerate(classes.peaks):
            self.increase[f] = min(peak.most_increase, shares.peak_increase.get(peak.family.constraint, 0))

    def even_out(self, problem: PlacementProblem, shares: Shares, classes: PlacementClasses, until: float) -> None:
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
        of = int(self.type_of[v])
        allowed, cost = self.eligible[of] & (self.left >= self.gpus[of]), self.cost[of]
        for side in self.sides:
            allowed &= side.allows(v)
            cost = cost + side.price(v)
        if self.guide is not None:
            k, costs = self._best_of(of, allowed & self.guide.allows(v), cost)
            if k != NONE:
                return k, costs
        return self._best_of(of, allowed, cost)

    def _best_of(self, of: int, allowed: BoolArray, cost: IntArray) -> tuple[int, int]:
        from tapas_opt.placement import kernels  # noqa: PLC0415  compiled loops take long to import

        taps, room, steps = self.taps, self.room[self.kind[of]], self.steps[self.kind[of]]
        k, costs = kernels.best_class(
            allowed, cost, taps.of_class, room, steps, taps.limit, taps.peak_of_place, self.increase, self.peak_price
        )
        return int(k), int(costs)

    def take(self, v: int, k: int) -> None:
        """Place a VM on a server of class k."""
        taps, steps = self.taps.of_class[k], self.steps[self.kind[self.type_of[v]]]
        peaks = self.taps.peak_of_place
        np.maximum.at(self.increase, peaks[peaks != NONE], steps[taps[peaks != NONE]])
        self._move(v, k, 1)
        self.class_of[v] = k

    def give_back(self, v: int) -> None:
        """Undo :meth:`take`, except for the peaks."""
        self._move(v, self.class_of.pop(v), -1)

    def _move(self, v: int, k: int, sign: int) -> None:
        from tapas_opt.placement import kernels  # noqa: PLC0415  compiled loops take long to import

        of, taps = int(self.type_of[v]), self.taps
        draw = self.draw[self.kind[of]]
        kernels.draw_on(taps.of_class[k], sign, taps.tap, taps.row_begin, taps.row_slot, self.drawn, draw)
        self.left[k] -= sign * self.gpus[of, k]
        for side in self.sides:
            side.take(v, k, sign)
        if self.guide is not None:
            self.guide.take(v, k, sign)
        for domain in np.unique(taps.domain[taps.of_class[k]]):
            self._judge(int(taps.begin[domain]), int(taps.begin[domain + 1]))

    def _judge(self, begin: int, end: int) -> None:
        """Judge the taps of a range anew."""
        from tapas_opt.placement import kernels  # noqa: PLC0415  compiled loops take long to import

        taps = self.taps
        kernels.judge((begin, end), taps.tap, taps.row_begin, taps.row, self.drawn, self.draw, self.room, self.steps)


def warm_up() -> None:
    """Compile what the greedy path, the classes and trading need, or load what was compiled before."""
    from tapas_opt.budgets import kernels as of_budgets  # noqa: PLC0415  compiled loops take long to import
    from tapas_opt.placement import (  # noqa: PLC0415
        kernels,
        trading_kernels,
    )
    from tapas_opt.placement.survival import kernels as of_survival  # noqa: PLC0415
    from tapas_opt.placement.survival import slot_kernels as of_slots  # noqa: PLC0415

    of_budgets.warm_up()
    kernels.warm_up()
    trading_kernels.warm_up()
    of_survival.warm_up()
    of_slots.warm_up()
