"""A whole site as one place: a bound on what any placement costs, and which VMs should go to which kind of server.

Servers that are alike but for their domains are one, VMs that are alike but for their groups as well, and of every
family of budgets and peaks the rows of all domains are added up, slot by slot:

    Σ_d Σ share[s,d] · draw · x ≤ Σ_d room[d,t],      Σ_d Σ share · draw · x − (Σ_d step[d,t]) · peak ≤ Σ_d room[d,t]

over the domains that a VM could come to. What all rows allow their sum allows; groups, promises and survival are left
out, and cost nothing less than 0; of servers that are taken as one the smallest share counts: the optimum is a bound.
The model has a hundred columns, however many servers there are. On large sites, where VMs are many and domains alike,
its optimum is nearly what a plan costs; where single domains bind it is worth little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes, classes_of
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import ABSENT, FloatArray, MipArrays, MipModel
from tapas_opt.placement.problem import PlacementProblem

__all__ = ["Aggregate", "Shares", "aggregate", "shares"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shares:
    """How many VMs of each kind should go to servers of each kind.

    Attributes
    ----------
    vm_kind, server_kind
        ``[vm]``, and ``[server]``, :data:`NONE` where it is not available.
    most
        ``[vm kind, server kind]``.
    peak_increase
        By priced family, steps by which its peak rises at least if they do.
    bound
        No placement costs less.
    """

    vm_kind: IntArray
    server_kind: IntArray
    most: IntArray
    peak_increase: Mapping[Constraint, int]
    bound: float


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The model, and what its columns ``assign[vm kind, server kind]`` and those of the peaks stand for."""

    arrays: MipArrays
    assign: IntArray
    peaks: Mapping[Constraint, int]
    vm_kind: IntArray
    server_kind: IntArray


def aggregate(problem: PlacementProblem) -> Aggregate:
    """State the model."""
    vms = _alike(np.stack([problem.vm_type, problem.vm_priority, problem.is_spot], axis=1))
    free = np.flatnonzero(problem.server_available)
    looks = (problem.server_hardware, problem.server_ceiling_w, problem.gpus)
    servers = _alike(np.stack([look[free] for look in looks], axis=1))
    model, kind, first = MipModel(), problem.vm_type[vms.first], free[servers.first]
    assign = _columns(model, problem, vms, servers.size, first)
    peaks: dict[Constraint, int] = {}
    for family in problem.budgets.tolerating_present_excess().families:
        draw = family.counted(problem.type_power_w, problem.type_airflow_cfm)
        drawn = draw[kind][:, problem.server_hardware[first]] * _least_share(family, free, servers)[:, None] / PERMILLE
        peaks |= _family_rows(model, problem, family, free, assign, drawn)
    server_kind = np.full(len(problem.servers), NONE)
    server_kind[free] = servers.of
    return Aggregate(model.arrays(), assign, peaks, vms.of, server_kind)


def shares(problem: PlacementProblem, *, deadline_s: float | None, seed: int = 0) -> Shares | None:
    """Solve the model; None where no solution was found in time.

    Parameters
    ----------
    deadline_s
        None for none.
    """
    from tapas_opt.mip import highs  # noqa: PLC0415  a solver's process has it; nobody else needs it

    whole = aggregate(problem)
    outcome = highs.solve(whole.arrays, deadline_s=deadline_s, gap_frac=1e-4, seed=seed)
    if outcome.values is None:
        return None
    most = np.zeros(whole.assign.shape, dtype=np.int64)
    stated = whole.assign != ABSENT
    most[stated] = np.rint(outcome.values[whole.assign[stated]]).astype(np.int64)
    rises = {constraint: int(np.rint(outcome.values[column])) for constraint, column in whole.peaks.items()}
    return Shares(whole.vm_kind, whole.server_kind, most, rises, outcome.bound)


def _alike(keys: IntArray) -> Classes:
    return classes_of(BudgetNumbers((), ()), np.arange(len(keys)), keys)


def _columns(model: MipModel, problem: PlacementProblem, vms: Classes, servers: IntArray, first: IntArray) -> IntArray:
    """``assign[w, k]``, with every VM placed once or not at all and no server given twice."""
    kind, gpus = problem.vm_type[vms.first], problem.gpus[first]
    taken = problem.type_gpus[np.ix_(kind, problem.server_hardware[first])]
    of_vms, of_servers = [str(w) for w in range(vms.count)], [str(k) for k in range(len(first))]
    assign = model.columns(
        "assign",
        of_vms,
        of_servers,
        where=problem.eligible(first)[kind],
        upper=np.minimum(vms.size[:, None], servers * gpus // taken),
        cost=problem.temperature_cost(first)[kind],
        integer=True,
    )
    unplaced = model.columns("unplaced", of_vms, upper=vms.size, cost=problem.unplaced_price(vms.first), integer=True)
    once = model.rows("vm_placed_once", of_vms, lower=vms.size, upper=vms.size)
    model.add(once[:, None], assign, 1.0)
    model.add(once, unplaced, 1.0)
    model.add(model.rows("server_gpu_capacity", of_servers, upper=servers * gpus), assign, taken)
    return assign


def _least_share(family: BudgetFamily, free: IntArray, servers: Classes) -> IntArray:
    """``[server kind]`` thousandths of a draw that fall on the family at least."""
    share = np.where(family.member[free] != NONE, family.share_permille[free], 0).sum(axis=1)
    least = np.full(servers.count, np.iinfo(np.int64).max)
    np.minimum.at(least, servers.of, share)
    return least


def _family_rows(
    model: MipModel,
    problem: PlacementProblem,
    family: BudgetFamily,
    free: IntArray,
    assign: IntArray,
    drawn: FloatArray,
) -> dict[Constraint, int]:
    """The rows of a family over the domains that free servers draw on, added up; the column of its peak.

    ``drawn`` is ``[w, k, slot]``.
    """
    member = family.member[free]
    reached = np.zeros(len(family.domains), dtype=bool)
    reached[member[member != NONE]] = True
    slots = problem.budgets.slots
    rows = model.rows(family.constraint, slots, upper=family.room[reached].sum(axis=0))
    model.add(rows, assign[:, :, None], drawn)
    price = problem.prices.peak_permille.get(family.constraint, 0)
    if not price or not reached.any():
        return {}
    step = np.maximum(1, family.limit // PERMILLE)
    present = int((-(-family.base // step)).max(initial=0))
    highest = int((-(-family.limit // step)).max(initial=0))
    most = max(0, highest - present)
    peak = model.columns(f"peak {family.constraint}", [""], upper=most, cost=price, integer=True)
    rows = model.rows(f"peak {family.constraint}", slots, upper=(step * present - family.base)[reached].sum(axis=0))
    model.add(rows, assign[:, :, None], drawn)
    model.add(rows, peak, -step[reached].sum(axis=0))
    return {family.constraint: int(peak[0])}
