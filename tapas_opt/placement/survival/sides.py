"""Survival as the greedy path sees it: where a VM can still be relieved enough.

The contract is that of :mod:`tapas_opt.placement.sides`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import alike
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.survival import kernels
from tapas_opt.placement.survival.problem import Secured, Survival
from tapas_opt.placement.zones import EVERYWHERE, Where

__all__ = ["SurvivalSide"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class SurvivalSide:
    """``failure_secure`` as a side limit: a VM goes only where all relief together suffices after every failure.

    The price estimates what relief a VM adds to its room's worst failure, at the cheapest tier's price.
    """

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses, survival: Survival) -> None:
        self._type = problem.vm_type
        first = classes.servers.first
        worst = survival.present_cost.copy()
        self._parts = [_PartSide(problem, part, first, worst) for part in survival.parts]

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[BoolArray, IntArray]:
        """Where no pair would stay above its limit with all relief; by what its room's worst failure costs more."""
        allowed, price = self._parts[0].judged(int(self._type[v]), where)
        for part in self._parts[1:]:
            also, costs = part.judged(int(self._type[v]), where)
            allowed, price = allowed & also, np.maximum(price, costs)
        return allowed, price

    def take(self, v: int, k: int, sign: int) -> bool:
        """Count what the VM draws and what of it may be relieved."""
        for part in self._parts:
            part.take(int(self._type[v]), k, sign)
        return False


class _PartSide:
    """One part of the survival, by *looks*: server classes of one kind and hardware, which are judged once.

    Attributes
    ----------
    draw, left
        ``[type, hardware, slot]`` what a VM draws, and what of it cannot be relieved.
    place, row, state
        As the kernels have them: pairs and shares of kinds; pairs' rows with their slots and cells; what is left.
    cells, taps
        ``[room]`` where its cells begin and end, and ``[room + 1]`` where its taps begin.
    tap, of_look
        Pair, share, hardware and first row of each tap; ``[look, place]`` number of the tap.
    worst
        ``[room]`` estimate of what relief in its worst failure costs; the parts share it.
    stale
        ``[type, room]`` what was taken there since the type was judged.
    """

    def __init__(self, problem: PlacementProblem, part: Secured, first: IntArray, worst: IntArray) -> None:
        self.worst, self.price = worst, int(part.relief_price[0])
        self.draw = np.ascontiguousarray(part.family.counted(problem.type_power_w, problem.type_airflow_cfm))
        self.left = self.draw - part.type_relief.sum(axis=2)
        hardware = problem.type_fits.shape[1]
        looks, self.of_class = np.unique(
            part.kind[first] * hardware + problem.server_hardware[first], return_inverse=True
        )
        self.look = looks // hardware, looks % hardware
        self.place = part.family.member, part.family.share_permille
        self._number_rows(part)
        self._number_taps(part)
        pair = part.family.member[self.look[0], 0] if part.family.member.shape[1] else np.full(len(looks), NONE)
        self.room_of_look = np.where(pair == NONE, NONE, part.scenario_room[part.scenario[pair]])
        self.looks = {int(r): np.flatnonzero(self.room_of_look == r) for r in np.unique(self.room_of_look) if r != NONE}
        shape = (len(problem.type_fits), len(looks))
        self.allowed, self.costs = np.ones(shape, dtype=bool), np.zeros(shape, dtype=np.int64)
        self.stale = np.ones((len(problem.type_fits), len(worst)), dtype=bool)

    def _number_rows(self, part: Secured) -> None:
        """Number rows by pair and cells by room, and work out what is left in each."""
        pair, slot = (np.ascontiguousarray(index) for index in np.nonzero(part.family.needs_row))
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

    def _number_taps(self, part: Secured) -> None:
        """Number by room the different ways in which looks draw on pairs."""
        kind, hardware = self.look
        pair, share = (each[kind] for each in self.place)
        on = pair != NONE
        room = part.scenario_room[part.scenario]
        ways = np.stack([room[pair[on]], pair[on], share[on], np.broadcast_to(hardware[:, None], pair.shape)[on]])
        different = alike(ways.T)
        order = np.lexsort(ways[::-1, different.first])
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.of_look = np.full(pair.shape, NONE)
        self.of_look[on] = rank[different.of]
        of_room, pairs, shares, hardwares = ways[:, different.first[order]]
        rows = np.diff(self.row[0])[pairs]
        begin = np.concatenate([[0], np.cumsum(rows)])
        self.tap = np.ascontiguousarray(pairs), np.ascontiguousarray(shares), np.ascontiguousarray(hardwares), begin
        self.taps = np.searchsorted(of_room, np.arange(len(self.worst) + 1))

    def judged(self, kind: int, where: Where) -> tuple[BoolArray, IntArray]:
        """``[server class]`` whether a VM of a type may go there, and the price."""
        draw = self.draw[kind], self.left[kind]
        for room in np.flatnonzero(self.stale[kind]).tolist():
            if room in self.looks:
                kernels.judge(
                    self.looks[room],
                    self.of_look,
                    (int(self.taps[room]), int(self.taps[room + 1])),
                    self.tap,
                    self.row,
                    self.state,
                    self._cells(room),
                    draw,
                    self.price,
                    int(self.worst[room]),
                    self.allowed[kind],
                    self.costs[kind],
                )
        self.stale[kind] = False
        look = self.of_class[where]
        return self.allowed[kind][look], self.costs[kind][look]

    def take(self, kind: int, k: int, sign: int) -> None:
        """Count a VM on a class, or take it back; what was known of its room is stale."""
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
