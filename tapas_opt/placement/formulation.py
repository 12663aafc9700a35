"""Placement as columns and rows over classes (docs/formulation.md, "Placement").

``gpu_temperature_limit`` is no row: a VM has no column on a server whose ceiling is below its GPU power.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.formulation import Draw, add_budgets, add_draw
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import ABSENT, MipArrays, MipModel
from tapas_opt.placement.naming import named
from tapas_opt.placement.problem import Peak, PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.promises.formulation import (
    PromiseColumns,
    add_promises,
    joinable,
    promise_columns,
    set_promises,
)
from tapas_opt.placement.scenarios.formulation import TailColumns, add_tails, set_tails, tail_columns
from tapas_opt.placement.spare import SpareColumns, server_gpu_capacity, set_spare, spare_columns
from tapas_opt.placement.survival.formulation import (
    SurvivalColumns,
    add_survival,
    declared,
    set_declared,
    survival_columns,
)

__all__ = ["decode", "encode", "formulate"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def formulate(problem: PlacementProblem, classes: PlacementClasses) -> MipArrays:
    """Placement as columns and rows (docs/formulation.md, "Placement")."""
    model = MipModel()
    x = _columns(model, problem, classes)
    draw = _draw(problem, classes, x)
    _vm_placed_once(model, x, classes)
    server_gpu_capacity(model, x.spare, x.assign, problem, classes)
    add_budgets(model, classes.budgets, draw)
    add_tails(model, x.tails, problem.scenarios, classes.tails, classes.budgets.slots, draw)
    _group_spread(model, x, problem, classes)
    _group_all_or_nothing(model, x, problem, classes)
    add_promises(model, x.promises, x.assign, problem, classes)
    _peak_utilisation(model, x, classes, draw)
    add_survival(model, x.survival, problem, classes, draw, x.assign)
    return model.arrays()


def decode(problem: PlacementProblem, classes: PlacementClasses, values: FloatArray) -> PlacementPlan:
    """Counts become named servers: of a class the coolest (highest ceiling) first, then in file order."""
    x = _columns(MipModel(), problem, classes)
    count = np.zeros(x.assign.shape, dtype=np.int64)
    count[x.assign != ABSENT] = np.rint(values[x.assign[x.assign != ABSENT]]).astype(np.int64)
    waiting = [iter(classes.vms.members(w).tolist()) for w in range(classes.vms.count)]
    chosen = [(v, k) for w, k in np.argwhere(count > 0).tolist() for v in islice(waiting[w], count[w, k])]
    return replace(named(problem, classes, chosen), **declared(problem, x.survival, values, classes.budgets.slots))


def encode(problem: PlacementProblem, classes: PlacementClasses, plan: PlacementPlan) -> FloatArray:
    """A plan as column values, a warm start for solvers; :func:`decode` undoes it up to symmetry."""
    model = MipModel()
    x = _columns(model, problem, classes)
    server_number = {name: s for s, name in enumerate(problem.servers)}
    placed = np.array([v for v, vm in enumerate(problem.vms) if vm in plan.server_of], dtype=np.int64)
    servers = np.array([server_number[plan.server_of[problem.vms[v]]] for v in placed], dtype=np.int64)
    w = classes.vms.of[placed]
    values = np.zeros(model.arrays().columns_count)
    np.add.at(values, x.assign[w, classes.servers.of[servers]], 1.0)
    values[x.unplaced] = classes.vms.size - np.bincount(w, minlength=classes.vms.count)
    values[x.peak_increase] = [_increase(problem, peak, placed, servers) for peak in classes.peaks]
    for g, column in enumerate(x.group_placed):
        if column != ABSENT:
            values[column] = not values[x.unplaced[_members(problem, classes, g)]].any()
    set_spare(x.spare, problem, classes, plan, values)
    set_promises(x.promises, problem, classes, plan, values)
    set_declared(problem, x.survival, plan, classes.budgets.slots, values)
    set_tails(x.tails, classes.tails, _drawn_by_day(problem, classes, placed, servers), values)
    return values


@dataclass(frozen=True, slots=True)
class _Columns:
    """Column numbers: ``assign[w, k]`` and ``unplaced[w]`` of VM and server classes, and one each peak and group.

    ``survival`` are those of failures, where they are to be survived; ``tails`` those of budgets judged by days.
    """

    assign: IntArray
    unplaced: IntArray
    peak_increase: IntArray
    group_placed: IntArray
    spare: SpareColumns
    promises: PromiseColumns
    survival: SurvivalColumns | None
    tails: tuple[TailColumns, ...]


def _columns(model: MipModel, problem: PlacementProblem, classes: PlacementClasses) -> _Columns:
    vms, servers = classes.vm_names, classes.server_names
    kind, first = problem.vm_type[classes.vms.first], classes.servers.first
    eligible = problem.eligible()[np.ix_(kind, first)] & joinable(problem, classes)
    taken = problem.type_gpus[np.ix_(kind, problem.server_hardware[first])]
    return _Columns(
        assign=model.columns(
            "assign",
            vms,
            servers,
            where=eligible,
            upper=np.minimum(classes.vms.size[:, None], classes.servers.size * problem.gpus[first] // taken),
            cost=problem.temperature_cost()[np.ix_(kind, first)],
            integer=True,
        ),
        unplaced=model.columns(
            "unplaced",
            vms,
            upper=classes.vms.size,
            cost=problem.unplaced_price(classes.vms.first),
            integer=True,
        ),
        peak_increase=model.columns(
            "peak_increase",
            [peak.family.constraint for peak in classes.peaks],
            upper=[peak.most_increase for peak in classes.peaks],
            cost=[peak.price for peak in classes.peaks],
            integer=True,
        ),
        group_placed=model.columns(
            "group_placed",
            [group.name for group in problem.groups],
            where=[group.all_or_nothing and g in problem.vm_group for g, group in enumerate(problem.groups)],
            upper=1.0,
            integer=True,
        ),
        spare=spare_columns(model, problem, classes, eligible),
        promises=promise_columns(model, problem, classes),
        survival=survival_columns(model, problem, classes, eligible),
        tails=tail_columns(model, problem.scenarios, classes.tails, classes.budgets.slots),
    )


def _draw(problem: PlacementProblem, classes: PlacementClasses, x: _Columns) -> Draw:
    """What one VM of class w draws on a server of class k."""
    w, k = np.nonzero(x.assign != ABSENT)
    server = classes.servers.first[k]
    kind, hardware = problem.vm_type[classes.vms.first[w]], problem.server_hardware[server]
    slots = len(classes.budgets.slots)
    return Draw(
        column=x.assign[w, k],
        server=server,
        power_w=problem.type_power_w.reshape(-1, slots),
        airflow_cfm=problem.type_airflow_cfm.reshape(-1, slots),
        look=kind * problem.type_fits.shape[1] + hardware,
    )


def _vm_placed_once(model: MipModel, x: _Columns, classes: PlacementClasses) -> None:
    """Σ_k assign[w,k] + unplaced[w] = size[w]   ∀ w."""
    rows = model.rows(Constraint.VM_PLACED_ONCE, classes.vm_names, lower=classes.vms.size, upper=classes.vms.size)
    model.add(rows[:, None], x.assign, 1.0)
    model.add(rows, x.unplaced, 1.0)


def _group_spread(model: MipModel, x: _Columns, problem: PlacementProblem, classes: PlacementClasses) -> None:
    """Σ_{w∈g, k∈place} assign[w,k] ≤ max(0, max_per_place − present[place])   ∀ g, place that could be overfilled."""
    for g, group in enumerate(problem.groups):
        members = _members(problem, classes, g)
        room = np.maximum(0, group.max_per_place - group.present)
        place = group.place_of[classes.servers.first]
        reached = np.zeros(len(group.places), dtype=bool)
        reached[place[(x.assign[members] != ABSENT).any(axis=0)]] = True
        tight = reached & (classes.vms.size[members].sum() > room)
        rows = model.rows(Constraint.GROUP_SPREAD, [group.name], group.places, where=tight, upper=room)
        model.add(rows[0, place], x.assign[members], 1.0)


def _group_all_or_nothing(model: MipModel, x: _Columns, problem: PlacementProblem, classes: PlacementClasses) -> None:
    """Σ_{w∈g} unplaced[w] + size[g] · group_placed[g] = size[g]   ∀ g that is all or nothing."""
    size = np.bincount(problem.vm_group + 1, minlength=len(problem.groups) + 1)[1:]  # those without a group count as -1
    names = [group.name for group in problem.groups]
    rows = model.rows(Constraint.GROUP_ALL_OR_NOTHING, names, where=x.group_placed != ABSENT, lower=size, upper=size)
    model.add(rows, x.group_placed, size)
    for g in np.flatnonzero(x.group_placed != ABSENT):
        model.add(rows[g], x.unplaced[_members(problem, classes, int(g))], 1.0)


def _peak_utilisation(model: MipModel, x: _Columns, classes: PlacementClasses, draw: Draw) -> None:
    """Σ share · draw · assign − step · peak_increase ≤ step · present − base   ∀ priced family, domain, slot."""
    for peak, column in zip(classes.peaks, x.peak_increase, strict=True):
        family, slots = peak.family, classes.budgets.slots
        rows = model.rows(
            Constraint.PEAK_UTILISATION,
            [family.constraint],
            family.domains,
            slots,
            where=peak.can_rise,
            upper=peak.room,
        )[0]
        add_draw(model, rows, family, draw)
        model.add(rows, column, -peak.step)


def _increase(problem: PlacementProblem, peak: Peak, placed: IntArray, servers: IntArray) -> int:
    """Steps by which VMs ``placed`` on ``servers`` raise the peak."""
    by_unit = peak.family.counted(problem.type_power_w, problem.type_airflow_cfm)
    draw = np.zeros((len(problem.servers), peak.step.shape[1]), dtype=np.int64)
    np.add.at(draw, servers, by_unit[problem.vm_type[placed], problem.server_hardware[servers]])
    over = peak.family.drawn_permille(draw) - PERMILLE * peak.room
    return int((-(-over // (PERMILLE * peak.step))).max(initial=0))


def _drawn_by_day(
    problem: PlacementProblem, classes: PlacementClasses, placed: IntArray, servers: IntArray
) -> tuple[IntArray, ...]:
    """``[domain, day · slot]`` thousandths that VMs ``placed`` on ``servers`` draw, for each family judged by days."""
    if problem.scenarios is None:
        return ()
    power, airflow = problem.scenarios.type_power_w, problem.scenarios.type_airflow_cfm
    kind, hardware = problem.vm_type[placed], problem.server_hardware[servers]
    found = []
    for tail in classes.tails:
        by_vm = tail.family.counted(power, airflow)[kind, hardware].reshape(len(placed), tail.family.base.shape[1])
        drawn = np.zeros_like(tail.family.base)
        for member, share in zip(tail.family.member[servers].T, tail.family.share_permille[servers].T, strict=True):
            inside = member != NONE
            np.add.at(drawn, member[inside], by_vm[inside] * share[inside, None])
        found.append(drawn)
    return tuple(found)


def _members(problem: PlacementProblem, classes: PlacementClasses, group: int) -> IntArray:
    """VM classes of a group."""
    return np.flatnonzero(problem.vm_group[classes.vms.first] == group)
