"""Promises as columns and rows (docs/formulation.md, "Placement")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import ABSENT, MipModel
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.promises.numbers import KeptBack, TogetherIn

__all__ = ["ONE_PLACE", "PromiseColumns", "add_promises", "joinable", "promise_columns", "set_promises"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ONE_PLACE = "one place"
"""Label of the row that lets a group choose one place only."""


@dataclass(frozen=True, slots=True)
class PromiseColumns:
    """Per group ``group_place[place]``; ``owed[reservation]``; ``broken[k]`` whole servers that VMs take parts of."""

    group_place: tuple[IntArray, ...]
    owed: IntArray
    broken: IntArray


def joinable(problem: PlacementProblem, classes: PlacementClasses) -> BoolArray:
    """``[VM class, server class]`` where the members of its group that run already do not keep a VM away."""
    allowed = np.ones((classes.vms.count, classes.servers.count), dtype=bool)
    for g, group in enumerate(problem.groups):
        if group.together is not None:
            there = group.together.open[group.together.place_of[classes.servers.first]]
            allowed[problem.vm_group[classes.vms.first] == g] = there
    return allowed


def promise_columns(model: MipModel, problem: PlacementProblem, classes: PlacementClasses) -> PromiseColumns:
    """The columns that the three constraints need beyond ``assign[w, k]``."""
    promises, may = classes.promises, _may(problem, classes)
    reached = [_reached(problem, classes, kept, may) for kept in promises.levels]
    return PromiseColumns(
        group_place=tuple(
            model.columns(
                "group_place", [group.name], places, where=_choices(problem, classes, may, g), upper=1.0, integer=True
            )[0]
            for g, group in enumerate(problem.groups)
            for places in ([] if group.together is None else [group.together.places])
        ),
        owed=model.columns(
            "owed",
            [one.name for one in promises.reservations],
            where=[
                one.due > 0 and any(at[place] for at, place in zip(reached, one.within, strict=True) if place != NONE)
                for one in promises.reservations
            ],
            upper=[one.due for one in promises.reservations],
            integer=True,
        ),
        broken=model.columns(
            "broken",
            classes.server_names,
            where=_in_parts(problem, classes, may),
            upper=classes.servers.size,
            integer=True,
        ),
    )


def add_promises(
    model: MipModel, x: PromiseColumns, assign: IntArray, problem: PlacementProblem, classes: PlacementClasses
) -> None:
    """The three constraints."""
    _group_together(model, x, assign, problem, classes)
    _tenant_reservation(model, x, assign, problem, classes)
    _capacity_buffer(model, x, assign, problem, classes)


def set_promises(
    x: PromiseColumns, problem: PlacementProblem, classes: PlacementClasses, plan: PlacementPlan, values: FloatArray
) -> None:
    """Write into column values what follows from a plan."""
    number = {name: s for s, name in enumerate(problem.servers)}
    pairs = [(v, number[plan.server_of[vm]]) for v, vm in enumerate(problem.vms) if vm in plan.server_of]
    for (g, together), columns in zip(_together(problem), x.group_place, strict=True):
        chosen = columns[[together.place_of[s] for v, s in pairs if problem.vm_group[v] == g]]
        values[chosen[chosen != ABSENT]] = 1.0
    promises = classes.promises
    for one, column in zip(promises.reservations, x.owed, strict=True):
        own = sum(
            promises.levels[one.level].place_of[s] == one.within[one.level] and _keeps(problem, one.tenant, v, s)
            for v, s in pairs
        )
        if column != ABSENT:
            values[column] = max(0, one.due - own)
    for s in {s for v, s in pairs if not problem.is_spot[v]}:
        column = x.broken[classes.servers.of[s]]
        if column != ABSENT:
            values[column] += 1.0


def _group_together(
    model: MipModel, x: PromiseColumns, assign: IntArray, problem: PlacementProblem, classes: PlacementClasses
) -> None:
    """Σ_{w∈g, k∈place} assign[w,k] ≤ size[g] · group_place[g,place]   ∀ g, place;   Σ_place group_place[g,place] ≤ 1.

    Where members run already there is no choice: other places have no column (:func:`joinable`).
    """
    for (g, together), column in zip(_together(problem), x.group_place, strict=True):
        members = _members(problem, classes, g, assign != ABSENT)
        there = np.append(column != ABSENT, (column != ABSENT).any())
        limit = np.append(np.zeros(len(column)), 1.0)
        names = [*together.places, ONE_PLACE]
        rows = model.rows(Constraint.GROUP_TOGETHER, [problem.groups[g].name], names, where=there, upper=limit)[0]
        place = together.place_of[classes.servers.first]
        model.add(rows[place], assign[members], 1.0)
        model.add(rows[:-1], column, -float(classes.vms.size[members].sum()))
        model.add(rows[-1], column, 1.0)


def _tenant_reservation(
    model: MipModel, x: PromiseColumns, assign: IntArray, problem: PlacementProblem, classes: PlacementClasses
) -> None:
    """owed[r] + Σ_{w of r's tenant, k∈place of r} assign[w,k] ≥ due[r]   ∀ r; whole servers, VMs that are not spot."""
    promises = classes.promises
    due = [one.due for one in promises.reservations]
    names = [one.name for one in promises.reservations]
    rows = model.rows(Constraint.TENANT_RESERVATION, names, where=x.owed != ABSENT, lower=due)
    model.add(rows, x.owed, 1.0)
    keeps = _whole(problem, classes) & ~problem.is_spot[classes.vms.first][:, None]
    for r, one in enumerate(promises.reservations):
        inside = promises.levels[one.level].place_of[classes.servers.first] == one.within[one.level]
        own = promises.vm_tenant[classes.vms.first] == one.tenant
        model.add(rows[r], np.where(keeps & own[:, None] & inside, assign, ABSENT), 1.0)


def _capacity_buffer(
    model: MipModel, x: PromiseColumns, assign: IntArray, problem: PlacementProblem, classes: PlacementClasses
) -> None:
    """Σ_{w not spot, k∈place} assign[w,k] + Σ_{r in place} owed[r] ≤ max(free − buffer, due)   ∀ place.

    Where VMs may take parts, ``broken[k]`` stands for Σ_w assign[w,k]: gpus[k] · broken[k] ≥ Σ_{w not spot} gpus[w] ·
    assign[w,k].
    """
    first, promises = classes.servers.first, classes.promises
    takes = np.where(problem.is_spot[classes.vms.first][:, None], ABSENT, assign)
    used = np.where(x.broken != ABSENT, ABSENT, takes)
    for level, kept in enumerate(promises.levels):
        rows = model.rows(
            Constraint.CAPACITY_BUFFER,
            kept.places,
            where=_reached(problem, classes, kept, assign != ABSENT),
            upper=_limit(problem, level),
        )
        row = np.where(kept.place_of[first] == NONE, ABSENT, rows[kept.place_of[first]]) if len(rows) else first * 0 - 1
        model.add(row, used, 1.0)
        model.add(row, x.broken, 1.0)
        for one, owed in zip(promises.reservations, x.owed, strict=True):
            if one.within[level] != NONE:
                model.add(rows[one.within[level]], owed, 1.0)
    rows = model.rows(Constraint.CAPACITY_BUFFER, ["broken"], classes.server_names, where=x.broken != ABSENT, upper=0.0)
    model.add(rows[0], takes, _gpus(problem, classes))
    model.add(rows[0], x.broken, -problem.gpus[first])


def _limit(problem: PlacementProblem, level: int) -> IntArray:
    assert problem.promises is not None
    return problem.promises.room(level, problem.server_available)


def _together(problem: PlacementProblem) -> list[tuple[int, TogetherIn]]:
    """Groups that have to be together."""
    return [(g, group.together) for g, group in enumerate(problem.groups) if group.together is not None]


def _may(problem: PlacementProblem, classes: PlacementClasses) -> BoolArray:
    """``[VM class, server class]`` where there is a column."""
    kind, first = problem.vm_type[classes.vms.first], classes.servers.first
    return np.asarray(problem.eligible()[np.ix_(kind, first)] & joinable(problem, classes))


def _choices(problem: PlacementProblem, classes: PlacementClasses, may: BoolArray, g: int) -> BoolArray:
    """``[place]`` among which a group chooses; none where members run already, or where it reaches one place only."""
    together = problem.groups[g].together
    assert together is not None
    reached = np.zeros(len(together.places), dtype=bool)
    members = _members(problem, classes, g, may)
    reached[together.place_of[classes.servers.first[may[members].any(axis=0)]]] = True
    chooses = reached.sum() > 1 and classes.vms.size[members].sum() > 1 and not together.present.any()
    return reached if chooses else np.zeros_like(reached)


def _members(problem: PlacementProblem, classes: PlacementClasses, group: int, may: BoolArray) -> IntArray:
    """VM classes of a group that may go anywhere."""
    return np.flatnonzero((problem.vm_group[classes.vms.first] == group) & may.any(axis=1))


def _reached(problem: PlacementProblem, classes: PlacementClasses, kept: KeptBack, may: BoolArray) -> BoolArray:
    """``[place]`` where VMs that are not spot may go, so that a row is needed."""
    at = kept.place_of[classes.servers.first[may[~problem.is_spot[classes.vms.first]].any(axis=0)]]
    return np.isin(np.arange(len(kept.places)), at)


def _gpus(problem: PlacementProblem, classes: PlacementClasses) -> IntArray:
    """``[VM class, server class]`` GPUs that a VM takes."""
    kind, first = problem.vm_type[classes.vms.first], classes.servers.first
    return problem.type_gpus[np.ix_(kind, problem.server_hardware[first])]


def _whole(problem: PlacementProblem, classes: PlacementClasses) -> BoolArray:
    """``[VM class, server class]`` whether a VM takes all of the server."""
    return np.asarray(_gpus(problem, classes) == problem.gpus[classes.servers.first])


def _in_parts(problem: PlacementProblem, classes: PlacementClasses, may: BoolArray) -> BoolArray:
    """``[server class]`` whole servers in stated places of which a VM that is not spot may take a part."""
    inside = np.zeros(classes.servers.count, dtype=bool)
    for kept in classes.promises.levels:
        inside |= kept.place_of[classes.servers.first] != NONE
    parts = may & ~_whole(problem, classes) & ~problem.is_spot[classes.vms.first][:, None]
    return np.asarray(inside & parts.any(axis=0))


def _keeps(problem: PlacementProblem, tenant: int, v: int, s: int) -> bool:
    """Whether a VM on a server is what a reservation of the tenant was made for."""
    assert problem.promises is not None
    whole = problem.type_gpus[problem.vm_type[v], problem.server_hardware[s]] == problem.gpus[s]
    return bool(whole and problem.promises.vm_tenant[v] == tenant and not problem.is_spot[v])
