"""A whole site as a few places: a bound on what any placement costs, and which VMs should go to which kind of server.

Aisles of the site whose servers bear about the same heat and the same failures are one *place*
(:mod:`tapas_opt.placement.places`). Servers of a place that are alike but for their domains are one, VMs of a type as
well, and of every family of budgets and peaks the rows of all domains of a place are added up, slot by slot (those of
domains that reach over several places over all of them):

    Σ_d Σ share[s,d] · draw · x ≤ Σ_d room[d,t],      Σ_d Σ share · draw · x − (Σ_d step[d,t]) · peak ≤ Σ_d room[d,t]

over the domains that a VM could come to; failures are added up as well
(:mod:`tapas_opt.placement.aggregate_failures`). What all rows allow their sum allows; groups and CVaR are left out,
and cost nothing less than 0; of servers that are taken as one the smallest share counts, of what they relieve the
largest: this is a bound. With rooms apart, or every aisle, it says more of where VMs should go, and takes longer.

Few slots matter. The model begins with those in which the batch draws most, and gains those whose rows its solution
breaks: with fewer rows it is a bound all the same. It has some thousand columns, however many servers there are. On
large sites, where VMs are many and domains of a place alike, its optimum is nearly what a plan costs; where single
domains bind it is worth little.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import ABSENT, FloatArray, MipArrays, MipModel
from tapas_opt.placement.aggregate_failures import Failures, add_failures, dearer, failures_of
from tapas_opt.placement.places import NOWHERE, Apart, Kinds, kinds_of, place_of_domain
from tapas_opt.placement.problem import PlacementProblem

__all__ = ["WHOLE", "Aggregate", "Shares", "Site", "Sum", "aggregate", "shares", "site_of"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

WHOLE = 1e-6
"""This little above a whole number is that number."""

FIRST_SLOTS, ROUNDS, SLOTS_A_ROUND = 4, 6, 3
"""Slots to begin with of each unit, how often some are added, and how many at once."""

BROKEN_FRAC = 1e-3
"""A budget that is broken by less of its room is as good as kept, and so is what would cost less of the objective."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many VMs of each kind should go to servers of each kind.

    Attributes
    ----------
    vm_kind, server_kind
        ``[vm]``, and ``[server]``, :data:`NONE` where it is not available.
    amount
        ``[vm kind, server kind]``, with fractions.
    slots
        Those that matter, the one in which most power is drawn first.
    peak_increase
        By priced family, steps by which its peak rises at least if they do.
    bound
        No placement costs less.
    """

    vm_kind: IntArray
    server_kind: IntArray
    amount: FloatArray
    slots: IntArray
    peak_increase: Mapping[Constraint, int]
    bound: float

    @property
    def most(self) -> IntArray:
        """``[vm kind, server kind]`` whole VMs, rounded up: advice."""
        return np.asarray(np.ceil(self.amount - WHOLE).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Sum:
    """Rows of a family's domains added up, slot by slot.

    Attributes
    ----------
    share
        ``[server kind]`` thousandths of a draw that fall on these domains at least.
    room, step
        ``[slot]`` what may be drawn, and what a step of the peak adds to that, where this is a row of a peak.
    """

    family: Constraint
    unit: str
    share: IntArray
    room: IntArray
    step: IntArray | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A place in which servers are kept back.

    Attributes
    ----------
    vms, servers
        ``[vm kind]`` whether it is kept from them, and ``[server kind]`` whether they lie in it.
    left
        Servers that such VMs may take.
    """

    vms: BoolArray
    servers: BoolArray
    left: int


@dataclass(frozen=True, slots=True)
class Site:
    """What the model is about; ``draw`` is by unit ``[vm kind, server kind, slot]``."""

    problem: PlacementProblem
    kinds: Kinds
    draw: Mapping[str, IntArray]
    sums: tuple[Sum, ...]
    kept: tuple[Kept, ...]
    failures: Failures


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The model, and what its columns ``assign[vm kind, server kind]``, of the peaks and of the failures stand for."""

    arrays: MipArrays
    assign: IntArray
    peaks: Mapping[Constraint, int]
    failure_cost: IntArray


def site_of(problem: PlacementProblem, apart: Apart = Apart.NOTHING) -> Site:
    """Take together what is alike, and add up what can be."""
    kinds = kinds_of(problem, apart)
    at = np.ix_(kinds.type, problem.server_hardware[kinds.first])
    return Site(
        problem=problem,
        kinds=kinds,
        draw={"W": problem.type_power_w[at], "CFM": problem.type_airflow_cfm[at]},
        sums=tuple(_sums(problem, kinds)),
        kept=tuple(_kept_back(problem, kinds)),
        failures=failures_of(problem, kinds, rooms_apart=apart is not Apart.NOTHING),
    )


def aggregate(site: Site, slots: IntArray) -> Aggregate:
    """State the model over some slots: a linear program, for whole VMs make no difference where there are many."""
    model, problem = MipModel(), site.problem
    assign = _columns(model, site)
    names = [problem.budgets.slots[t] for t in slots.tolist()]
    peaks = {f.constraint: c for f in _families(problem) if (c := _peak_column(model, problem, f)) is not None}
    for each in site.sums:
        rows = model.rows(each.family if each.step is None else f"peak {each.family}", names, upper=each.room[slots])
        on = np.flatnonzero(each.share)
        drawn = site.draw[each.unit][:, on][:, :, slots] * each.share[on, None] / PERMILLE
        model.add(rows, assign[:, on, None], drawn)
        if each.step is not None:
            model.add(rows, np.array(peaks[each.family]), -each.step[slots])
    _add_kept_back(model, site, assign)
    failure_cost = add_failures(model, site.failures, assign, slots, names)
    return Aggregate(model.arrays(), assign, peaks, failure_cost)


def shares(
    problem: PlacementProblem,
    *,
    deadline_s: float | None,
    seed: int = 0,
    apart: Apart = Apart.NOTHING,
    slots: IntArray | None = None,
) -> Shares | None:
    """Solve the model; None where that took too long.

    Parameters
    ----------
    deadline_s
        None for none.
    apart
        What is never one place.
    slots
        The only ones to have rows; those that matter are found if not given.
    """
    from tapas_opt.mip import highs  # noqa: PLC0415  a solver's process has it; nobody else needs it

    began, site = time.perf_counter(), site_of(problem, apart)
    rounds, found = ROUNDS if slots is None else 1, None
    slots = _first_slots(site) if slots is None else slots
    for n in range(rounds):
        left_s = None if deadline_s is None else deadline_s - (time.perf_counter() - began)
        if left_s is not None and left_s <= 0:
            break
        whole = aggregate(site, slots)
        outcome = highs.solve(whole.arrays, deadline_s=left_s, seed=seed)
        if outcome.values is None:
            break
        found = _advice(site, slots, whole, outcome.values, outcome.bound)
        more = _broken(site, whole, outcome.values, slots) if n < rounds - 1 else slots[:0]
        if not len(more):
            break
        slots = np.append(slots, more)
    return found


def _advice(site: Site, slots: IntArray, whole: Aggregate, values: FloatArray, bound: float) -> Shares:
    rises = {constraint: int(np.ceil(values[column] - WHOLE)) for constraint, column in whole.peaks.items()}
    server_kind = np.full(len(site.problem.servers), NONE)
    server_kind[site.kinds.free] = site.kinds.servers.of
    return Shares(site.kinds.vms.of, server_kind, _placed(whole, values), slots, rises, bound)


def _placed(whole: Aggregate, values: FloatArray) -> FloatArray:
    """``[vm kind, server kind]``."""
    return np.where(whole.assign == ABSENT, 0.0, values[whole.assign])


def _first_slots(site: Site) -> IntArray:
    """Those in which the batch draws most power, and most air; what is second dearest says which VMs are alike."""
    draws = [site.kinds.vms.size @ draw.max(axis=1, initial=0) for draw in site.draw.values()]
    first = np.concatenate([np.argsort(-draw, kind="stable")[:FIRST_SLOTS] for draw in draws])
    return np.array(list(dict.fromkeys(first.tolist())), dtype=np.int64)


def _broken(site: Site, whole: Aggregate, values: FloatArray, slots: IntArray) -> IntArray:
    """The slots in which rows are broken most, of those that have no rows yet."""
    placed = _placed(whole, values)
    cost = max(1.0, whole.arrays.objective(values))
    over = dearer(site.failures, placed, values[whole.failure_cost], cost, len(site.problem.budgets.slots))
    for each in site.sums:
        on = np.flatnonzero(each.share)
        drawn = np.einsum("wk,wkt->t", placed[:, on] * (each.share[on] / PERMILLE), site.draw[each.unit][:, on])
        if each.step is None:
            over = np.maximum(over, (drawn - each.room) / np.maximum(1.0, np.abs(each.room)))
        else:
            price, column = site.problem.prices.peak_permille[each.family], whole.peaks[each.family]
            over = np.maximum(over, price * ((drawn - each.room) / each.step - values[column]) / cost)
    over[slots] = 0.0
    worst = np.argsort(-over, kind="stable")[:SLOTS_A_ROUND]
    return worst[over[worst] > BROKEN_FRAC]


def _columns(model: MipModel, site: Site) -> IntArray:
    """``assign[w, k]``, with every VM placed once or not at all and no server given twice."""
    problem, kinds, vms = site.problem, site.kinds, site.kinds.vms
    gpus, taken = kinds.servers.size * problem.gpus[kinds.first], _taken(site)
    of_vms, of_servers = [str(w) for w in range(vms.count)], [str(k) for k in range(len(gpus))]
    assign = model.columns(
        "assign",
        of_vms,
        of_servers,
        where=problem.eligible(kinds.first)[kinds.type],
        upper=np.minimum(vms.size[:, None], gpus // taken),
        cost=problem.temperature_cost(kinds.first)[kinds.type],
    )
    prices, price = np.unique(problem.unplaced_price(np.arange(len(problem.vms))), return_inverse=True)
    priced = np.zeros((vms.count, len(prices)), dtype=np.int64)
    np.add.at(priced, (vms.of, price), 1)
    unplaced = model.columns("unplaced", of_vms, [str(price) for price in prices], upper=priced, cost=prices)
    once = model.rows("vm_placed_once", of_vms, lower=vms.size, upper=vms.size)
    model.add(once[:, None], assign, 1.0)
    model.add(once[:, None], unplaced, 1.0)
    model.add(model.rows("server_gpu_capacity", of_servers, upper=gpus), assign, taken)
    return assign


def _taken(site: Site) -> IntArray:
    """``[vm kind, server kind]`` GPUs."""
    hardware = site.problem.server_hardware[site.kinds.first]
    return site.problem.type_gpus[np.ix_(site.kinds.type, hardware)]


def _sums(problem: PlacementProblem, kinds: Kinds) -> Iterator[Sum]:
    """Of every family and place the rows of its budgets, and of its peak."""
    for family in _families(problem):
        member, share = family.member[kinds.free], family.share_permille[kinds.free]
        place = place_of_domain(member, kinds.place, len(family.domains))
        for number in np.unique(place[place != NOWHERE]).tolist():
            domains = place == number
            least = _least_share(np.where(np.append(domains, False)[member], share, 0), kinds.servers)
            if family.constraint not in problem.judged_by_days:
                yield Sum(family.constraint, family.unit, least, family.room[domains].sum(axis=0))
            if problem.prices.peak_permille.get(family.constraint, 0):
                step = _step(family)
                room = (step * _present(family) - family.base)[domains].sum(axis=0)
                yield Sum(family.constraint, family.unit, least, room, step[domains].sum(axis=0))


def _least_share(share: IntArray, servers: Classes) -> IntArray:
    """``[server kind]`` thousandths of a draw that count at least; ``share`` is ``[free server, place]``."""
    least = np.full(servers.count, np.iinfo(np.int64).max)
    np.minimum.at(least, servers.of, share.sum(axis=1))
    return least


def _kept_back(problem: PlacementProblem, kinds: Kinds) -> Iterator[Kept]:
    """Of every place in which servers are kept back what VMs may take that stay, and to whom nothing is owed there."""
    promises, stays = problem.promises, ~problem.is_spot[kinds.vms.first]
    if promises is None:
        return
    tenant = promises.vm_tenant[kinds.vms.first]
    for level, kept in enumerate(promises.levels):
        room = promises.room(level, problem.server_available)
        for place in range(len(kept.places)):
            within = [one for one in promises.reservations if one.within[level] == place]
            owed = [one.tenant for one in within]
            most = int(room[place]) - sum(one.due for one in within if owed.count(one.tenant) == 1)
            outside = np.bincount(kinds.servers.of, kept.place_of[kinds.free] != place, kinds.servers.count)
            yield Kept(stays & ~np.isin(tenant, owed), outside == 0, most)


def _add_kept_back(model: MipModel, site: Site, assign: IntArray) -> None:
    """``capacity_buffer``: Σ gpus[w,k] / gpus[k] · assign[w,k] ≤ left.

    A tenant's VMs are not in the sum where servers are owed to it: they and what is still owed are at least what was.
    That is taken off what is left, but of a tenant with several reservations, for all of which one VM may count.
    """
    part = _taken(site) / site.problem.gpus[site.kinds.first]
    places = [str(n) for n in range(len(site.kept))]
    rows = model.rows(Constraint.CAPACITY_BUFFER, places, upper=[kept.left for kept in site.kept])
    for row, kept in zip(rows.tolist(), site.kept, strict=True):
        at = np.ix_(kept.vms, kept.servers)
        model.add(row, assign[at], part[at])


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


def _families(problem: PlacementProblem) -> tuple[BudgetFamily, ...]:
    return problem.budgets.tolerating_present_excess().families
