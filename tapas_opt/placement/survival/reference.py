"""Survival in Pyomo: the textbook witness of :mod:`tapas_opt.placement.survival.formulation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tapas_opt.budgets.reference import Term, drawn
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.placement.survival.problem import Secured, Survival

__all__ = ["Candidate", "add_survival"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """``assign[w,k]``: its variable, VM class, how many VMs that has, type, server and hardware."""

    variable: Any
    vm_class: str
    alike: int
    type: int
    server: int
    hardware: int


def add_survival(m: Any, problem: PlacementProblem, candidates: Sequence[Candidate], terms: Sequence[Term]) -> Any:
    """Columns and constraints; returns what they add to the objective."""
    import pyomo.environ as pyo  # noqa: PLC0415

    if problem.survival is None:
        return 0
    i = _Sets(problem.survival, problem.budgets.slots, candidates)
    most = {key: i.most_relief(*key) for key in i.relief_keys()}
    m.relief = pyo.Var(
        [key for key, upper in most.items() if upper > 0],
        domain=pyo.Integers,
        bounds=lambda _, *key: (0, most[key]),
    )
    m.shortfall = pyo.Var(
        [pair for part in i.survival.parts for pair in part.family.domains],
        domain=pyo.Integers,
        bounds=lambda _, pair: (0, i.most_shortfall(problem, pair)),
    )
    watched = [i.survival.rooms[r] for part in i.survival.parts for r in part.scenario_room]
    rooms = [room for room in i.survival.rooms if room in watched]
    m.failure_cost = pyo.Var(rooms, domain=pyo.Integers, bounds=lambda _, room: (0, i.most_cost(room, most)))
    _failure_secure(m, i, terms)
    _relief_available(m, i)
    _worst_failure(m, i)
    prices = {pair: part.shortfall_price for part in i.survival.parts for pair in part.family.domains}
    return sum(prices[pair] * m.shortfall[pair] for pair in m.shortfall) + sum(m.failure_cost[r] for r in rooms)


@dataclass(frozen=True, slots=True)
class _Sets:
    """Names to numbers, and sums over the candidates."""

    survival: Survival
    slots: tuple[str, ...]
    candidates: Sequence[Candidate]

    def part_of_group(self, group: str) -> tuple[Secured, int]:
        """Part and number of a group."""
        return next((p, p.groups.index(group)) for p in self.survival.parts if group in p.groups)

    def part_of_pair(self, pair: str) -> tuple[Secured, int]:
        """Part and number of a pair."""
        return next((p, p.family.domains.index(pair)) for p in self.survival.parts if pair in p.family.domains)

    def relief_keys(self) -> list[tuple[str, str, str]]:
        """Group, tier and slot, wherever the group's failure is stated."""
        return [
            (group, tier, slot)
            for part in self.survival.parts
            for g, group in enumerate(part.groups)
            for tier in part.tiers
            for t, slot in enumerate(self.slots)
            if self.is_stated(part, int(part.group_scenario[g]), t)
        ]

    @staticmethod
    def is_stated(part: Secured, scenario: int, slot: int) -> bool:
        """Whether some pair of the failure needs a row then."""
        pairs = range(len(part.family.domains))
        return any(part.scenario[d] == scenario and part.family.needs_row[d, slot] for d in pairs)

    def given(self, group: str, tier: str, slot: str) -> list[tuple[Candidate, int]]:
        """Who of the batch could give how much."""
        part, g = self.part_of_group(group)
        j, t = part.tiers.index(tier), self.slots.index(slot)
        inside = [c for c in self.candidates if g in part.group_of_kind[part.kind[c.server]]]
        return [(c, int(part.type_relief[c.type, c.hardware, j, t])) for c in inside]

    def most_relief(self, group: str, tier: str, slot: str) -> int:
        """Available plus Σ_w size[w] · max_{k∈g} type_relief."""
        part, g = self.part_of_group(group)
        best: dict[str, int] = {}
        for candidate, amount in self.given(group, tier, slot):
            best[candidate.vm_class] = max(best.get(candidate.vm_class, 0), amount * candidate.alike)
        return int(part.available[g, part.tiers.index(tier), self.slots.index(slot)]) + sum(best.values())

    def most_shortfall(self, problem: PlacementProblem, pair: str) -> int:
        """All of the batch on one pair."""
        part, d = self.part_of_pair(pair)
        share = max(s for kind in range(len(part.family.member)) for p, s in part.at_kind(kind) if p == d)
        by_unit = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
        over = [
            int(part.family.base[d, t] - part.tolerated[d, t])
            + -(-share * sum(int(by_unit[kind, :, t].max()) for kind in problem.vm_type) // 1000)
            for t in range(len(self.slots))
            if part.family.needs_row[d, t]
        ]
        return max([0, *over])

    def most_cost(self, room: str, most: dict[tuple[str, str, str], int]) -> int:
        """All relief at once, in the dearest failure and slot, beyond today's cost."""
        r = self.survival.rooms.index(room)
        costs = [
            sum(
                int(part.relief_price[part.tiers.index(tier)]) * upper
                for (group, tier, at), upper in most.items()
                if at == slot and group in part.groups and part.group_scenario[part.groups.index(group)] == i
            )
            for part in self.survival.parts
            for i in range(len(part.scenarios))
            for slot in self.slots
            if part.scenario_room[i] == r
        ]
        return max(0, max(costs, default=0) - int(self.survival.present_cost[r]))


def _failure_secure(m: Any, i: _Sets, terms: Sequence[Term]) -> None:
    """Σ share · draw · assign − Σ_{g,j} share · relief[g,j,t] − shortfall[d] ≤ tolerated[d,t] − base[d,t]   ∀ d, t."""
    import pyomo.environ as pyo  # noqa: PLC0415

    pairs = [pair for part in i.survival.parts for pair in part.family.domains]

    def rule(m: Any, pair: str, slot: str) -> Any:
        part, d = i.part_of_pair(pair)
        t = i.slots.index(slot)
        if not part.family.needs_row[d, t]:
            return pyo.Constraint.Skip
        at_kind = [Term(x.variable, int(part.kind[x.server]), x.power_w, x.airflow_cfm) for x in terms]
        relieved = sum(
            int(part.group_share_permille[g, place]) / 1000 * m.relief[group, tier, slot]
            for g, group in enumerate(part.groups)
            for place in range(part.group_pair.shape[1])
            if part.group_pair[g, place] == d
            for tier in part.tiers
            if (group, tier, slot) in m.relief
        )
        allowed = int(part.tolerated[d, t] - part.family.base[d, t])
        return drawn(part.family, at_kind, d, t) - relieved - m.shortfall[pair] <= allowed

    m.failure_secure = pyo.Constraint(pairs, list(i.slots), rule=rule)


def _relief_available(m: Any, i: _Sets) -> None:
    """relief[g,j,t] − Σ_{w,k∈g} type_relief · assign[w,k] ≤ available[g,j,t]   where a VM of the batch can give."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, group: str, tier: str, slot: str) -> Any:
        part, g = i.part_of_group(group)
        given = [(c, amount) for c, amount in i.given(group, tier, slot) if amount > 0]
        if not given:
            return pyo.Constraint.Skip
        available = int(part.available[g, part.tiers.index(tier), i.slots.index(slot)])
        return m.relief[group, tier, slot] - sum(amount * c.variable for c, amount in given) <= available

    m.relief_available = pyo.Constraint(list(m.relief), rule=rule)


def _worst_failure(m: Any, i: _Sets) -> None:
    """Σ_{g,j} price[j] · relief[g,j,t] − failure_cost[room] ≤ present_cost[room]   ∀ failure, slot that is stated."""
    import pyomo.environ as pyo  # noqa: PLC0415

    part_of = {name: part for part in i.survival.parts for name in part.scenarios}

    def rule(m: Any, failure: str, slot: str) -> Any:
        part = part_of[failure]
        number = part.scenarios.index(failure)
        if not i.is_stated(part, number, i.slots.index(slot)):
            return pyo.Constraint.Skip
        cost = sum(
            int(price) * m.relief[group, tier, slot]
            for g, group in enumerate(part.groups)
            for tier, price in zip(part.tiers, part.relief_price, strict=True)
            if part.group_scenario[g] == number and (group, tier, slot) in m.relief
        )
        room = part.scenario_room[number]
        return cost - m.failure_cost[i.survival.rooms[room]] <= int(i.survival.present_cost[room])

    m.worst_failure = pyo.Constraint(list(part_of), list(i.slots), rule=rule)
