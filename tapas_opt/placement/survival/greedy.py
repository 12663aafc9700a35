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
        at = np.unravel_index(np.flatnonzero(given), given.shape)
        for group, tier, slot, amount in zip(*(number.tolist() for number in (*at, given[at])), strict=True):
            relief[part.groups[group], part.tiers[tier], slots[slot]] = amount
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
    draw, left
        ``[type, hardware, slot]`` what a VM draws, and what of it cannot be relieved.
    place, row, state
        As the kernels have them: pairs and shares of kinds; pairs' rows with their slots and cells; what is left.
    cells
        ``[room]`` where its cells begin and end.
    worst
        ``[room]`` estimate of what relief in its worst failure costs; the parts share it.
    stale
        ``[type, room]`` what was taken there since the type was judged.
    """

    def __init__(self, problem: PlacementProblem, part: Secured, first: IntArray, worst: IntArray) -> None:
        self.worst, self.price = worst, int(part.relief_price[0])
        self.draw = np.ascontiguousarray(part.family.counted(problem.type_power_w, problem.type_airflow_cfm))
        self.left = self.draw - part.type_relief.sum(axis=2)
        looks, of_class = np.unique(
            np.column_stack([part.kind[first], problem.server_hardware[first]]), axis=0, return_inverse=True
        )
        self.look = np.ascontiguousarray(looks[:, 0]), np.ascontiguousarray(looks[:, 1])
        self.of_class = of_class.ravel()
        self.place = part.family.member, part.family.share_permille
        self._number_rows(part)
        pair = part.family.member[self.look[0], 0] if part.family.member.shape[1] else np.full(len(looks), NONE)
        self.room_of_look = np.where(pair == NONE, NONE, part.scenario_room[part.scenario[pair]])
        self.looks = {int(r): np.flatnonzero(self.room_of_look == r) for r in np.unique(self.room_of_look) if r != NONE}
        shape = (len(problem.type_fits), len(looks))
        self.allowed, self.costs = np.ones(shape, dtype=bool), np.zeros(shape, dtype=np.int64)
        self.stale = np.ones((len(problem.type_fits), len(worst)), dtype=bool)

    def _number_rows(self, part: Secured) -> None:
        """Number rows by pair and cells by room, and work out what is left in each."""
        pair, slot = np.nonzero(part.family.needs_row)
        by_room = np.lexsort((np.arange(len(part.scenarios)), part.scenario_room))
        stated = part.stated[by_room]
        number = np.cumsum(stated).reshape(stated.shape) - 1
        rank = np.empty_like(by_room)
        rank[by_room] = np.arange(len(by_room))
        cell = number[rank[part.scenario[pair]], slot]
        room_of_cell = part.scenario_room[by_room][np.nonzero(stated)[0]]
        rooms = np.arange(len(self.worst))
        self.cells = np.searchsorted(room_of_cell, rooms), np.searchsorted(room_of_cell, rooms, side="right")
        room = PERMILLE * (part.tolerated - part.family.base)
        spare = room + part.relieved_permille(part.available.sum(axis=1))
        need = np.zeros(int(stated.sum()), dtype=np.int64)
        np.add.at(need, cell, np.maximum(0, -room[pair, slot]))
        self.row = np.searchsorted(pair, np.arange(len(part.family.domains) + 1)), slot, cell
        self.state = spare[pair, slot], room[pair, slot], need

    def judged(self, kind: int) -> tuple[BoolArray, IntArray]:
        """``[server class]`` whether a VM of a type may go there, and the price."""
        from tapas_opt.placement.survival import kernels  # noqa: PLC0415  compiled loops take long to import

        draw = self.draw[kind], self.left[kind]
        for room in np.flatnonzero(self.stale[kind]).tolist():
            if room in self.looks:
                kernels.judge(
                    *(self.looks[room], self.look, self.place, self.row, self.state, self._cells(room), draw),
                    *(self.price, int(self.worst[room]), self.allowed[kind], self.costs[kind]),
                )
        self.stale[kind] = False
        return self.allowed[kind, self.of_class], self.costs[kind, self.of_class]

    def take(self, kind: int, k: int, sign: int) -> None:
        """Count a VM on a class, or take it back; what was known of its room is stale."""
        from tapas_opt.placement.survival import kernels  # noqa: PLC0415  compiled loops take long to import

        look = int(self.of_class[k])
        room = int(self.room_of_look[look])
        if room == NONE:
            return
        hardware = int(self.look[1][look])
        draw = self.draw[kind, hardware], self.left[kind, hardware]
        cost = kernels.draw_on(
            int(self.look[0][look]), sign, self.place, self.row, self.state, self._cells(room), draw, self.price
        )
        self.worst[room] = max(int(self.worst[room]), int(cost))
        self.stale[:, room] = True

    def _cells(self, room: int) -> tuple[int, int]:
        return int(self.cells[0][room]), int(self.cells[1][room])
