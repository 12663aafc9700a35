"""A whole site as a few places: a bound on what any placement costs, and which VMs should go to which kind of server.

Rows of the site whose servers bear about the same heat are one *place*. Servers of a place that are alike but for their
domains are one, VMs of a type as well, and of every family of budgets and peaks the rows of all domains of a place are
added up, slot by slot (those of domains that reach over several places over all of them):

    Σ_d Σ share[s,d] · draw · x ≤ Σ_d room[d,t],      Σ_d Σ share · draw · x − (Σ_d step[d,t]) · peak ≤ Σ_d room[d,t]

over the domains that a VM could come to. What all rows allow their sum allows; groups, promises, survival and CVaR are
left out, and cost nothing less than 0; of servers that are taken as one the smallest share counts: this is a bound.
The model has some hundred columns, however many servers there are. On large sites, where VMs are many and domains of a
place alike, its optimum is nearly what a plan costs; where single domains bind it is worth little.
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

PLACE_W = 20.0
"""Rows whose mean ceilings round to the same multiple of this are one place."""

EVERYWHERE, NOWHERE = -1, -2
"""Of a domain that reaches over several places, and of one that no free server draws on."""

WHOLE = 1e-6
"""This little above a whole number is that number."""


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
    """State the model: a linear program, for whole VMs make no difference where there are many."""
    vms = _alike(problem.vm_type[:, None])
    free = np.flatnonzero(problem.server_available)
    families = problem.budgets.tolerating_present_excess().families
    place = _places(problem, free)
    places = [_place_of_domain(family, free, place) for family in families]
    looks = np.stack([problem.server_hardware[free], problem.server_ceiling_w[free], problem.gpus[free], place], axis=1)
    reached = [np.append(of, NOWHERE)[f.member[free]] for f, of in zip(families, places, strict=True)]
    servers = _alike(np.hstack([looks, *reached]))
    model, kind, first = MipModel(), problem.vm_type[vms.first], free[servers.first]
    assign = _columns(model, problem, vms, servers.size, first)
    peaks: dict[Constraint, int] = {}
    for family, of_domain in zip(families, places, strict=True):
        draw = family.counted(problem.type_power_w, problem.type_airflow_cfm)
        by_kind = draw[kind][:, problem.server_hardware[first]]
        peak = _peak_column(model, problem, family)
        for number in np.unique(of_domain[of_domain != NOWHERE]):
            domains = of_domain == number
            drawn = by_kind * _least_share(family, domains, free, servers)[:, None] / PERMILLE
            _rows(model, problem, family, domains, assign, drawn, peak)
        peaks |= {} if peak is None else {family.constraint: peak}
    server_kind = np.full(len(problem.servers), NONE)
    server_kind[free] = servers.of
    return Aggregate(model.arrays(), assign, peaks, vms.of, server_kind)


def shares(problem: PlacementProblem, *, deadline_s: float | None, seed: int = 0) -> Shares | None:
    """Solve the model; None where that took too long. Counts are rounded up: they are advice.

    Parameters
    ----------
    deadline_s
        None for none.
    """
    from tapas_opt.mip import highs  # noqa: PLC0415  a solver's process has it; nobody else needs it

    whole = aggregate(problem)
    outcome = highs.solve(whole.arrays, deadline_s=deadline_s, seed=seed)
    if outcome.values is None:
        return None
    most = np.zeros(whole.assign.shape, dtype=np.int64)
    stated = whole.assign != ABSENT
    most[stated] = np.ceil(outcome.values[whole.assign[stated]] - WHOLE).astype(np.int64)
    rises = {constraint: int(np.ceil(outcome.values[column] - WHOLE)) for constraint, column in whole.peaks.items()}
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
    )
    prices, price = np.unique(problem.unplaced_price(np.arange(len(problem.vms))), return_inverse=True)
    priced = np.zeros((vms.count, len(prices)), dtype=np.int64)
    np.add.at(priced, (vms.of, price), 1)
    unplaced = model.columns("unplaced", of_vms, [str(price) for price in prices], upper=priced, cost=prices)
    once = model.rows("vm_placed_once", of_vms, lower=vms.size, upper=vms.size)
    model.add(once[:, None], assign, 1.0)
    model.add(once[:, None], unplaced, 1.0)
    model.add(model.rows("server_gpu_capacity", of_servers, upper=servers * gpus), assign, taken)
    return assign


def _least_share(family: BudgetFamily, domains: BoolArray, free: IntArray, servers: Classes) -> IntArray:
    """``[server kind]`` thousandths of a draw that fall on some domains at least."""
    member = family.member[free]
    on_these = (member != NONE) & np.append(domains, False)[member]
    share = np.where(on_these, family.share_permille[free], 0).sum(axis=1)
    least = np.full(servers.count, np.iinfo(np.int64).max)
    np.minimum.at(least, servers.of, share)
    return least


def _places(problem: PlacementProblem, free: IntArray) -> IntArray:
    """``[free server]`` which place each is in: rows of the site whose ceilings are alike on average."""
    rows = [f for f in problem.budgets.families if f.constraint is Constraint.ROW_POWER_BUDGET]
    if not rows:
        return np.zeros(len(free), dtype=np.int64)
    row, ceiling_w = rows[0].member[free, 0], problem.server_ceiling_w[free]
    count = np.bincount(row + 1, minlength=len(rows[0].domains) + 1)
    mean_w = np.bincount(row + 1, weights=ceiling_w, minlength=len(count)) / np.maximum(1, count)
    return np.asarray(np.rint(mean_w / PLACE_W).astype(np.int64)[row + 1])


def _place_of_domain(family: BudgetFamily, free: IntArray, place: IntArray) -> IntArray:
    """``[domain]`` the place that all free servers which draw on it are in.

    :data:`EVERYWHERE` where they are in several, :data:`NOWHERE` where there are none.
    """
    member = family.member[free]
    inside = member != NONE
    domain, of = member[inside], np.broadcast_to(place[:, None], member.shape)[inside]
    least, most = (np.full(len(family.domains), end) for end in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
    np.minimum.at(least, domain, of)
    np.maximum.at(most, domain, of)
    return np.where(most < least, NOWHERE, np.where(most == least, least, EVERYWHERE))


def _peak_column(model: MipModel, problem: PlacementProblem, family: BudgetFamily) -> int | None:
    """The column of the family's peak; None where that has no price."""
    price = problem.prices.peak_permille.get(family.constraint, 0)
    if not price or not family.domains:
        return None
    highest = int((-(-family.limit // _step(family))).max(initial=0))
    most = np.inf if family.constraint in problem.judged_by_days else max(0, highest - _present(family))
    return int(model.columns(f"peak {family.constraint}", [""], upper=most, cost=price)[0])


def _step(family: BudgetFamily) -> IntArray:
    return np.asarray(np.maximum(1, family.limit // PERMILLE))


def _present(family: BudgetFamily) -> int:
    return int((-(-family.base // _step(family))).max(initial=0))


def _rows(
    model: MipModel,
    problem: PlacementProblem,
    family: BudgetFamily,
    domains: BoolArray,
    assign: IntArray,
    drawn: FloatArray,
    peak: int | None,
) -> None:
    """The rows of some domains of a family, added up; ``drawn`` is ``[w, k, slot]``."""
    slots = problem.budgets.slots
    if family.constraint not in problem.judged_by_days:
        rows = model.rows(family.constraint, slots, upper=family.room[domains].sum(axis=0))
        model.add(rows, assign[:, :, None], drawn)
    if peak is not None:
        step = _step(family)
        room = (step * _present(family) - family.base)[domains].sum(axis=0)
        rows = model.rows(f"peak {family.constraint}", slots, upper=room)
        model.add(rows, assign[:, :, None], drawn)
        model.add(rows, np.array(peak), -step[domains].sum(axis=0))
