"""Placement one VM after the other, each where it raises the objective least: the answer while solvers still work.

Budgets, temperature and peaks are judged here; every other constraint is a side limit (:mod:`~.placement.sides`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.naming import named
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem, placement_classes
from tapas_opt.placement.sides import SideLimit, side_limits

__all__ = ["greedy"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNLIMITED = 10**12
"""More watts than any site has."""


def greedy(problem: PlacementProblem) -> PlacementPlan:
    """Place VMs by priority, the hardest first; ties go where most headroom is left.

    A VM stays unplaced where no server may take it, or where taking it costs more than leaving it. A group that must
    be placed as a whole is taken back when one of its VMs finds no server.
    """
    classes = placement_classes(problem)
    site = _Site.of(problem, classes)
    for together in _in_order(problem):
        _place_together(site, problem, together)
    return named(problem, classes, sorted(site.class_of.items()))


def _in_order(problem: PlacementProblem) -> Iterator[list[int]]:
    """VMs by priority, then those with fewer eligible servers, then those that draw more.

    VMs of an all-or-nothing group come together, in the place of their first.
    """
    eligible = problem.eligible().sum(axis=1)[problem.vm_type]
    power = problem.type_power_w.max(axis=(1, 2), initial=0)[problem.vm_type]
    order = np.lexsort((-power, eligible, -problem.vm_priority)).tolist()
    done: set[int] = set()
    for v in order:
        group = int(problem.vm_group[v])
        if group == NONE or not problem.groups[group].all_or_nothing:
            yield [v]
        elif group not in done:
            done.add(group)
            yield [other for other in order if problem.vm_group[other] == group]


def _place_together(site: _Site, problem: PlacementProblem, vms: list[int]) -> None:
    """Place all of ``vms`` or, if one finds no server or they cost more than they are worth, none."""
    present, worth = site.increase.copy(), problem.prices.unplaced_vm * int(problem.vm_priority[vms].sum())
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


@dataclass(frozen=True, slots=True)
class _Taps:
    """The different ways in which classes draw, (domain, share, hardware), each judged once for all classes.

    Domains of all families are stacked; the last one has room for anything, for classes that draw on fewer.

    Attributes
    ----------
    domain, share, hardware, unit
        ``[tap]``, by rising domain; ``unit`` is 0 for W and 1 for CFM.
    begin
        ``[domain + 1]`` taps of domain d are ``begin[d]:begin[d + 1]``.
    of_class
        ``[class, place]`` number of the tap.
    room, before_peak, step
        ``[domain, slot]`` thousandths that may be drawn in all, and before the peak rises; a step of the peak.
    limit
        ``[domain]`` largest limit, in thousandths.
    peak_places
        Places of each priced family.
    """

    domain: IntArray
    share: IntArray
    hardware: IntArray
    unit: IntArray
    begin: IntArray
    of_class: IntArray
    room: IntArray
    before_peak: IntArray
    step: IntArray
    limit: IntArray
    peak_places: tuple[IntArray, ...]

    @classmethod
    def of(cls, problem: PlacementProblem, classes: PlacementClasses) -> _Taps:
        families, first, slots = classes.budgets.families, classes.servers.first, len(classes.budgets.slots)
        member, share = _stacked(families, first)
        hardware = np.broadcast_to(problem.server_hardware[first][:, None], member.shape)
        width, kinds = int(share.max(initial=0)) + 1, problem.type_fits.shape[1]
        key, of_class = np.unique((member * width + share) * kinds + hardware, return_inverse=True)
        domain = key // kinds // width
        units = np.array([int(f.unit != "W") for f in families for _ in f.domains] + [0])
        peaks = {peak.family.constraint: peak for peak in classes.peaks}
        before_peak = [peaks[f.constraint].room if f.constraint in peaks else f.room * 0 + UNLIMITED for f in families]
        steps = [peaks[f.constraint].step if f.constraint in peaks else f.room * 0 + 1 for f in families]
        places = [f.constraint for f in families for _ in f.member.T]
        return cls(
            domain=domain,
            share=key // kinds % width,
            hardware=key % kinds,
            unit=units[domain],
            begin=np.searchsorted(domain, np.arange(len(units) + 1)),
            of_class=of_class.reshape(member.shape),
            room=_thousandths([f.room for f in families], slots),
            before_peak=_thousandths(before_peak, slots),
            step=_thousandths(steps, slots),
            limit=np.maximum(1, _thousandths([f.limit for f in families], slots).max(axis=1)),
            peak_places=tuple(np.array([p for p, name in enumerate(places) if name == peak]) for peak in peaks),
        )


@dataclass(slots=True)
class _Site:
    """The site while VMs are being placed.

    Attributes
    ----------
    drawn
        ``[domain, slot]`` thousandths drawn so far, beyond the base.
    increase
        ``[peak]`` steps by which the peaks have risen so far.
    left
        ``[server class]`` GPUs still free (servers, where VMs take whole ones).
    gpus
        ``[type, server class]`` what a VM takes of ``left``.
    sides
        What bounds or prices VMs beside budgets, temperature and peaks.
    class_of
        Server class of each VM placed.
    after
        Per type already asked for and tap: the least room left if one more VM of the type drew there, and the steps
        by which the peak would then stand above today's.
    """

    problem: PlacementProblem
    classes: PlacementClasses
    taps: _Taps
    eligible: BoolArray
    temperature_cost: IntArray
    drawn: IntArray
    increase: IntArray
    left: IntArray
    gpus: IntArray
    sides: tuple[SideLimit, ...]
    class_of: dict[int, int] = field(default_factory=dict)
    after: dict[int, tuple[IntArray, IntArray]] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: PlacementProblem, classes: PlacementClasses) -> _Site:
        taps, first = _Taps.of(problem, classes), classes.servers.first
        return cls(
            problem,
            classes,
            taps,
            eligible=problem.eligible()[:, first],
            temperature_cost=(problem.temperature_cost() + problem.spare_gpus_cost())[:, first],
            drawn=np.zeros_like(taps.room),
            increase=np.zeros(len(classes.peaks), dtype=np.int64),
            left=classes.servers.size * problem.gpus[first],
            gpus=problem.type_gpus[:, problem.server_hardware[first]],
            sides=side_limits(problem, classes),
        )

    def best_class(self, v: int) -> tuple[int, int]:
        """The server class that raises the objective least, and by how much; :data:`NONE` if no class has room."""
        kind = int(self.problem.vm_type[v])
        room, _ = self._after(kind)
        of_class = self.taps.of_class
        fits = self.eligible[kind] & (self.left >= self.gpus[kind])
        for side in self.sides:
            fits &= side.allows(v)
        fits &= (room >= 0)[of_class].all(axis=1)
        candidates = np.flatnonzero(fits)
        if not len(candidates):
            return NONE, 0
        cost = self._cost(v, kind, candidates)
        cheapest = candidates[cost == cost.min()]
        headroom = (room / self.taps.limit[self.taps.domain])[of_class[cheapest]].min(axis=1)
        return int(cheapest[headroom.argmax()]), int(cost.min())

    def take(self, v: int, k: int) -> None:
        """Place a VM on a server of class k."""
        self._move(v, k, 1)
        self.class_of[v] = k

    def give_back(self, v: int) -> None:
        """Undo :meth:`take`, except for the peaks."""
        self._move(v, self.class_of.pop(v), -1)

    def _cost(self, v: int, kind: int, candidates: IntArray) -> IntArray:
        """What the VM costs on each candidate."""
        cost: IntArray = self.temperature_cost[kind, candidates].copy()
        for side in self.sides:
            price = np.asarray(side.price(v))
            cost += price[candidates] if price.ndim else price
        _, steps = self._after(kind)
        for f, peak in enumerate(self.classes.peaks):
            highest = steps[self.taps.of_class[np.ix_(candidates, self.taps.peak_places[f])]].max(axis=1)
            cost += peak.price * np.maximum(0, highest - self.increase[f])
        return cost

    def _move(self, v: int, k: int, sign: int) -> None:
        kind = int(self.problem.vm_type[v])
        taps = self.taps.of_class[k]
        if sign > 0:
            _, steps = self._after(kind)
            for f, places in enumerate(self.taps.peak_places):
                self.increase[f] = max(self.increase[f], steps[taps[places]].max())
        self.drawn[self.taps.domain[taps]] += sign * self._draw(kind, taps)
        self.left[k] -= sign * self.gpus[kind, k]
        for side in self.sides:
            side.take(v, k, sign)
        self._refresh(self.taps.domain[taps])

    def _draw(self, kind: int, taps: IntArray) -> IntArray:
        """``[tap, slot]`` thousandths that a VM of the type draws."""
        by_unit = np.stack([self.problem.type_power_w[kind], self.problem.type_airflow_cfm[kind]])
        return np.asarray(by_unit[self.taps.unit[taps], self.taps.hardware[taps]] * self.taps.share[taps, None])

    def _after(self, kind: int) -> tuple[IntArray, IntArray]:
        if kind not in self.after:
            self.after[kind] = self._judge(kind, np.arange(len(self.taps.domain)))
        return self.after[kind]

    def _judge(self, kind: int, taps: IntArray) -> tuple[IntArray, IntArray]:
        domain = self.taps.domain[taps]
        drawn = self.drawn[domain] + self._draw(kind, taps)
        room = (self.taps.room[domain] - drawn).min(axis=1)
        over = drawn - self.taps.before_peak[domain]
        steps = np.asarray(-(-over // self.taps.step[domain]).min(axis=1))
        return np.asarray(room), np.maximum(0, steps)

    def _refresh(self, domains: IntArray) -> None:
        """Judge the taps of some domains anew."""
        begin = self.taps.begin
        taps = np.concatenate([np.arange(begin[d], begin[d + 1]) for d in np.unique(domains)])
        for kind, known in self.after.items():
            for old, new in zip(known, self._judge(kind, taps), strict=True):
                old[taps] = new


def _stacked(families: tuple[BudgetFamily, ...], servers: IntArray) -> tuple[IntArray, IntArray]:
    """``[server, place]`` domain over all families, and share; the last place is always the domain without limit."""
    last = sum(len(family.domains) for family in families)
    members, shares, offset = [], [], 0
    for family in families:
        member, share = family.summed_shares()
        members.append(np.where(member == NONE, last, member + offset)[servers])
        shares.append(share[servers])
        offset += len(family.domains)
    none = np.zeros((len(servers), 1), dtype=np.int64)
    return np.hstack([*members, none + last]), np.hstack([*shares, none])


def _thousandths(families: list[IntArray], slots: int) -> IntArray:
    """``[domain, slot]`` over all families and the domain without limit."""
    return PERMILLE * np.vstack([*families, np.full((1, slots), UNLIMITED)])
