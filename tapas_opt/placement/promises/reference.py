"""Promises in Pyomo: the textbook witness of :mod:`tapas_opt.placement.promises.formulation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tapas_opt.placement.problem import PlacementClasses, PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.numbers import Reservation, TogetherIn

__all__ = ["Taking", "add_promises", "may_join"]


@dataclass(frozen=True, slots=True)
class Taking:
    """That VMs of a class go to servers of a class: the variable, both classes by name and first member, GPUs taken."""

    variable: Any
    vms: str
    v: int
    servers: str
    s: int
    gpus: int


def may_join(problem: PlacementProblem, v: int, s: int) -> bool:
    """Members of a group go where others run already, if any do."""
    g = int(problem.vm_group[v])
    together = None if g < 0 else problem.groups[g].together
    if together is None or not any(together.present):
        return True
    return bool(together.present[together.place_of[s]] > 0)


def add_promises(
    m: Any, problem: PlacementProblem, classes: PlacementClasses, takings: list[Taking], vms_alike: dict[str, int]
) -> None:
    """``group_together``, ``tenant_reservation`` and ``capacity_buffer``, with the columns that they need."""
    _group_together(m, problem, takings, vms_alike)
    lasting = [one for one in takings if not problem.is_spot[one.v]]
    _tenant_reservation(m, problem, classes, lasting)
    _capacity_buffer(m, problem, classes, lasting)


def _group_together(m: Any, problem: PlacementProblem, takings: list[Taking], vms_alike: dict[str, int]) -> None:
    """Σ_{w∈g, k∈place} assign ≤ size[g] · group_place[g,place]   ∀ g, place;   Σ_place group_place[g,place] ≤ 1."""
    import pyomo.environ as pyo  # noqa: PLC0415

    groups = {group.name: (g, group) for g, group in enumerate(problem.groups) if group.together is not None}
    of = {name: [one for one in takings if problem.vm_group[one.v] == g] for name, (g, _) in groups.items()}
    members = {one.vms: name for name, ones in of.items() for one in ones}
    size = {name: sum(vms_alike[w] for w, of_group in members.items() if of_group == name) for name in groups}
    choices = {name: _choices(group, of[name], size[name]) for name, (_, group) in groups.items()}
    m.group_place = pyo.Var([(g, place) for g in groups for place in choices[g]], domain=pyo.Binary)

    def rule(m: Any, g: str, place: str) -> Any:
        if place == "one place":
            return sum(m.group_place[g, choice] for choice in choices[g]) <= 1
        there = [one.variable for one in of[g] if _place(groups[g][1], one.s) == place]
        return sum(there) - size[g] * m.group_place[g, place] <= 0

    index = [(g, place) for g in groups if choices[g] for place in [*choices[g], "one place"]]
    m.group_together = pyo.Constraint(index, rule=rule)


def _choices(group: SpreadGroup, takings: list[Taking], size: int) -> list[str]:
    """Places among which a group chooses, in order."""
    together = _together(group)
    reached = {_place(group, one.s) for one in takings}
    if len(reached) < 2 or size < 2 or any(together.present):
        return []
    return [place for place in together.places if place in reached]


def _place(group: SpreadGroup, s: int) -> str:
    together = _together(group)
    return str(together.places[together.place_of[s]])


def _together(group: SpreadGroup) -> TogetherIn:
    assert group.together is not None
    return group.together


def _tenant_reservation(m: Any, problem: PlacementProblem, classes: PlacementClasses, takings: list[Taking]) -> None:
    """owed[r] + Σ_{w of r's tenant, k∈place of r} assign ≥ due[r]   ∀ r; whole servers, VMs that are not spot."""
    import pyomo.environ as pyo  # noqa: PLC0415

    promises = classes.promises
    of = {one.name: one for one in promises.reservations if one.due > 0 and _matters(classes, one, takings)}
    m.owed = pyo.Var(list(of), domain=pyo.Integers, bounds=lambda _, r: (0, of[r].due))

    def rule(m: Any, r: str) -> Any:
        own = [
            one.variable
            for one in takings
            if promises.vm_tenant[one.v] == of[r].tenant
            and promises.levels[of[r].level].place_of[one.s] == of[r].within[of[r].level]
            and one.gpus == problem.gpus[one.s]
        ]
        return m.owed[r] + sum(own) >= of[r].due

    m.tenant_reservation = pyo.Constraint(list(of), rule=rule)


def _matters(classes: PlacementClasses, reservation: Reservation, takings: list[Taking]) -> bool:
    """Whether any VM that is not spot may go to a place in which the reservation lies."""
    levels = zip(classes.promises.levels, reservation.within, strict=True)
    inside = [(kept, place) for kept, place in levels if place >= 0]
    return any(kept.place_of[one.s] == place for kept, place in inside for one in takings)


def _capacity_buffer(m: Any, problem: PlacementProblem, classes: PlacementClasses, takings: list[Taking]) -> None:
    """Σ_{w not spot, k∈place} assign + Σ_{r in place} owed[r] ≤ max(free − buffer, due)   ∀ place.

    Where VMs take parts, broken[k] stands for the servers: gpus[k] · broken[k] ≥ Σ_{w not spot} gpus[w] · assign[w,k].
    """
    import pyomo.environ as pyo  # noqa: PLC0415

    promises = classes.promises
    kept_in = {one.servers for one in takings if any(kept.place_of[one.s] >= 0 for kept in promises.levels)}
    parted = {one.servers for one in takings if one.servers in kept_in and one.gpus < problem.gpus[one.s]}
    first = dict(zip(classes.server_names, classes.servers.first.tolist(), strict=True))
    alike = dict(zip(classes.server_names, classes.servers.size.tolist(), strict=True))
    names = [k for k in first if k in parted]
    m.broken = pyo.Var(names, domain=pyo.Integers, bounds=lambda _, k: (0, alike[k]))
    places = {
        place: (level, p)
        for level, kept in enumerate(promises.levels)
        for p, place in enumerate(kept.places)
        if any(kept.place_of[one.s] == p for one in takings)
    }

    def rule(m: Any, *index: str) -> Any:
        if len(index) > 1:
            k = index[1]
            used = sum(one.gpus * one.variable for one in takings if one.servers == k)
            return used - int(problem.gpus[first[k]]) * m.broken[k] <= 0
        level, p = places[index[0]]
        at = promises.levels[level].place_of
        whole = sum(one.variable for one in takings if at[one.s] == p and one.servers not in parted)
        broken = sum(m.broken[k] for k in names if at[first[k]] == p)
        owed = sum(m.owed[one.name] for one in promises.reservations if one.within[level] == p and one.name in m.owed)
        return whole + broken + owed <= _room(problem, level, p)

    index = pyo.Set(initialize=[*places, *(("broken", k) for k in names)], dimen=None)  # names of one and two parts
    m.capacity_buffer = pyo.Constraint(index, rule=rule)


def _room(problem: PlacementProblem, level: int, p: int) -> int:
    """Free servers less the buffer, or what is owed there where that is more."""
    promises = problem.promises
    assert promises is not None
    kept = promises.levels[level]
    free = sum(bool(up) and place == p for up, place in zip(problem.server_available, kept.place_of, strict=True))
    owed = sum(one.due for one in promises.reservations if one.within[level] == p)
    return max(int(free + kept.evictable[p] - kept.buffer[p]), owed)
