"""Survival on the greedy path: where a VM can still be relieved enough, and what relief a plan then counts on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.problem import Secured, Survival
from tapas_opt.placement.survival.relief import cheapest_relief

__all__ = ["SurvivalSide", "declaring", "relief_of", "with_relief"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FAR = np.int64(2**60)
"""Room of a pair in a slot where no limit is stated."""


def with_relief(problem: PlacementProblem, plan: PlacementPlan) -> PlacementPlan:
    """The plan with the relief and the shortfall that it needs, chosen cheapest first."""
    if problem.survival is None:
        return plan
    return declaring(problem, plan, [relief_of(problem, plan, part) for part in problem.survival.parts])


def relief_of(problem: PlacementProblem, plan: PlacementPlan, part: Secured) -> tuple[IntArray, IntArray]:
    """Cheapest relief ``[group, tier, slot]`` and shortfall ``[pair]`` of what a plan places, one part's."""
    return cheapest_relief(part, *_placed(problem, plan, part))


def declaring(
    problem: PlacementProblem, plan: PlacementPlan, amounts: Sequence[tuple[IntArray, IntArray]]
) -> PlacementPlan:
    """The plan that declares relief ``[group, tier, slot]`` and shortfall ``[pair]`` of each part."""
    if problem.survival is None:
        return plan
    slots = problem.budgets.slots
    relief: dict[tuple[str, str, str], int] = {}
    shortfall: dict[str, int] = {}
    for part, (given, missing) in zip(problem.survival.parts, amounts, strict=True):
        for group, tier, slot in np.argwhere(given > 0).tolist():
            relief[part.groups[group], part.tiers[tier], slots[slot]] = int(given[group, tier, slot])
        shortfall |= {part.family.domains[d]: int(missing[d]) for d in np.flatnonzero(missing).tolist()}
    return replace(plan, relief=relief, shortfall=shortfall)


def _placed(problem: PlacementProblem, plan: PlacementPlan, part: Secured) -> tuple[IntArray, IntArray]:
    """``[pair, slot]`` thousandths drawn, and ``[group, tier, slot]`` relief that can be given, by placed VMs."""
    vm = {name: v for v, name in enumerate(problem.vms)}
    server = {name: s for s, name in enumerate(problem.servers)}
    kind_of_vm = problem.vm_type[[vm[name] for name in plan.server_of]]
    on = np.array([server[name] for name in plan.server_of.values()], dtype=np.int64)
    draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
    hardware, kind = problem.server_hardware[on], part.kind[on]
    drawn = np.zeros_like(part.family.base)
    for pair, share in zip(part.family.member[kind].T, part.family.share_permille[kind].T, strict=True):
        there = pair != NONE
        np.add.at(drawn, pair[there], draw[kind_of_vm, hardware][there] * share[there, None])
    given = np.zeros_like(part.available)
    for group in part.group_of_kind[kind].T:
        there = group != NONE
        np.add.at(given, group[there], part.type_relief[kind_of_vm, hardware][there])
    return drawn, given


class SurvivalSide:
    """``failure_secure`` as a side limit: a VM goes only where all relief together suffices after every failure.

    The price estimates what relief a VM adds to its room's worst failure, at the cheapest tier's price.
    """

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses, survival: Survival) -> None:
        self._type = problem.vm_type
        first = classes.servers.first
        worst = survival.present_cost.copy()
        self._parts = [_PartSide(problem, part, first, worst) for part in survival.parts]

    def allows(self, v: int) -> BoolArray | bool:
        """Where no pair would stay above its limit with everything relieved."""
        kind = int(self._type[v])
        return np.asarray(np.logical_and.reduce([part.judged(kind)[0] for part in self._parts]))

    def price(self, v: int) -> IntArray:
        """What the worst failure of the class's room would cost more."""
        kind = int(self._type[v])
        return np.asarray(np.maximum.reduce([part.judged(kind)[1] for part in self._parts]))

    def take(self, v: int, k: int, sign: int) -> None:
        """Count what the VM draws and what of it may be relieved."""
        for part in self._parts:
            part.take(int(self._type[v]), k, sign)


class _PartSide:
    """One part of the survival, by *looks*: server classes of one kind and hardware, which are judged once.

    Attributes
    ----------
    spare, room
        ``[pair, slot]`` thousandths that may still be drawn with everything relieved, and without any relief.
    worst
        ``[room]`` estimate of what relief in its worst failure costs; the parts share it.
    """

    def __init__(self, problem: PlacementProblem, part: Secured, first: IntArray, worst: IntArray) -> None:
        self.part, self.worst = part, worst
        self.draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
        self.left = self.draw - part.type_relief.sum(axis=2)
        looks, of_class = np.unique(
            np.column_stack([part.kind[first], problem.server_hardware[first]]), axis=0, return_inverse=True
        )
        self.kind, self.hardware, self.of_class = looks[:, 0], looks[:, 1], of_class.ravel()
        room = np.where(part.family.needs_row, PERMILLE * (part.tolerated - part.family.base), FAR)
        self.room, self.spare = room, room + part.relieved_permille(part.available.sum(axis=1))
        self.known: dict[int, tuple[BoolArray, IntArray]] = {}
        self._rank_scenarios()

    def _rank_scenarios(self) -> None:
        """Number the scenarios within their rooms, and find the looks of each room."""
        part = self.part
        order = np.argsort(part.scenario_room, kind="stable")
        begin = np.searchsorted(part.scenario_room[order], part.scenario_room[order])
        self.rank = np.empty_like(order)
        self.rank[order] = np.arange(len(order)) - begin
        pair = part.family.member[self.kind, 0]
        self.room_of_look = np.where(pair == NONE, NONE, part.scenario_room[part.scenario[pair]])
        self.looks = {int(r): np.flatnonzero(self.room_of_look == r) for r in np.unique(self.room_of_look) if r != NONE}
        self.shape = (int(self.rank.max(initial=0)) + 1, part.family.base.shape[1])

    def judged(self, kind: int) -> tuple[BoolArray, IntArray]:
        """``[server class]`` whether a VM of a type may go there, and the price."""
        if kind not in self.known:
            self.known[kind] = np.ones(len(self.kind), dtype=bool), np.zeros(len(self.kind), dtype=np.int64)
            for room in self.looks:
                self._judge(kind, room)
        allowed, price = self.known[kind]
        return allowed[self.of_class], price[self.of_class]

    def take(self, kind: int, k: int, sign: int) -> None:
        """Count a VM on a class, or take it back, and judge its room anew."""
        look = int(self.of_class[k])
        room = int(self.room_of_look[look])
        if room == NONE:
            return
        hardware = int(self.hardware[look])
        for pair, share in self.part.at_kind(int(self.kind[look])):
            self.spare[pair] -= sign * share * self.left[kind, hardware]
            self.room[pair] -= sign * share * self.draw[kind, hardware]
        self.worst[room] = max(int(self.worst[room]), int(self._cost(room).max(initial=0)))
        for known in self.known:
            self._judge(known, room)

    def _cost(self, room: int) -> IntArray:
        """``[scenario of the room, slot]`` what all that is needed there would cost from the cheapest tier."""
        cost = np.zeros(self.shape, dtype=np.int64)
        pairs = np.flatnonzero(self.part.scenario_room[self.part.scenario] == room)
        np.add.at(cost, self.rank[self.part.scenario[pairs]], np.maximum(0, -self.room[pairs]))
        return np.asarray(cost * self.part.relief_price[0] // PERMILLE)

    def _judge(self, kind: int, room: int) -> None:
        """Judge a type at the looks of one room."""
        looks, part = self.looks[room], self.part
        allowed, price = self.known[kind]
        draw, left = (of[kind, self.hardware[looks]] for of in (self.draw, self.left))
        fits = np.ones(len(looks), dtype=bool)
        more = np.zeros((len(looks), *self.shape), dtype=np.int64)
        kinds = self.kind[looks]
        for pair, share in zip(part.family.member[kinds].T, part.family.share_permille[kinds].T, strict=True):
            on, by = np.flatnonzero(pair != NONE), share[:, None]
            fits[on] &= (self.spare[pair[on]] >= by[on] * left[on]).all(axis=1)
            before = self.room[pair[on]]
            needed = np.maximum(0, by[on] * draw[on] - np.maximum(0, before))
            more[on, self.rank[part.scenario[pair[on]]]] += needed
        cost = self._cost(room) + -(-more * part.relief_price[0] // PERMILLE)
        allowed[looks] = fits
        price[looks] = np.maximum(0, cost.max(axis=(1, 2)) - self.worst[room])
