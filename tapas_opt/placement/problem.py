"""Placement: a batch of new VMs onto the free servers of a site where others already run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes, alike, classes_of
from tapas_opt.budgets.dominance import Multiples, undominated, without_dominated
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers, MostDrawn
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.errors import InvalidInput
from tapas_opt.placement.hosts import Hosts
from tapas_opt.placement.promises.numbers import Promises, TogetherIn
from tapas_opt.placement.scenarios.problem import Scenarios, Tail, tails
from tapas_opt.placement.survival.problem import Survival

__all__ = [
    "Peak",
    "PlacementClasses",
    "PlacementPlan",
    "PlacementPrices",
    "PlacementProblem",
    "SpreadGroup",
    "placement_classes",
]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpreadGroup:
    """VMs that must not all die together, or that work together.

    Attributes
    ----------
    places, place_of
        Names of the racks, rows, aisles or UPS pairs, and ``[server]`` which one each server is in; without
        ``spread`` there is one place, which holds any number.
    max_per_place, present
        At most so many members in one place; ``[place]`` how many run there already.
    together
        Places of which all members share one, if they have to.
    """

    name: str
    places: tuple[str, ...]
    place_of: IntArray
    max_per_place: int
    present: IntArray
    all_or_nothing: bool
    together: TogetherIn | None = None


@dataclass(frozen=True, slots=True)
class PlacementPrices:
    """Cost units per hour; whole numbers, so that every solver sees the same objective.

    Attributes
    ----------
    unplaced_vm
        Of one VM of priority 1 that gets no server.
    spot_permille
        Of that price, for a VM that can be evicted.
    peak_permille
        Of each thousandth by which the highest utilisation of a family's domains rises above today's.
    lost_slack_w
        Of each watt by which a VM's hottest GPU may intrude into the ``comfort_w`` below its server's ceiling, times
        the part of the comfort that is lost: at an even price two VMs that both intrude would trade places for nothing.
    spare_ceiling_10w
        Of each full 10 W by which the ceiling is higher than that: cool servers are kept for the VMs that need them.
    spare_gpu
        Of each GPU left over in a free block that VMs begin: whole servers are kept for those that need them.
    """

    unplaced_vm: int = 20_000
    spot_permille: int = 250
    peak_permille: Mapping[Constraint, int] = field(
        default_factory=lambda: {
            Constraint.ROW_POWER_BUDGET: 10,
            Constraint.UPS_POWER_CAPACITY: 10,
            Constraint.AISLE_AIRFLOW_CAPACITY: 10,
        }
    )
    lost_slack_w: int = 2
    spare_ceiling_10w: int = 1
    comfort_w: int = 40
    spare_gpu: int = 100


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Everything that placement knows, as whole numbers.

    Attributes
    ----------
    vm_type, vm_priority, vm_group
        ``[vm]`` row of the type arrays, priority 1 to 10, index into ``groups`` or :data:`NONE`.
    type_power_w, type_airflow_cfm
        ``[type, hardware, slot]`` what a VM makes its server draw beyond the idle draw that is in the base.
    type_gpu_power_w
        ``[type, hardware]`` predicted peak power of its hottest GPU.
    type_most_gpu_power_w
        ``[type, hardware]`` what that GPU may come to draw at most, to which servers are to leave slack; the predicted
        peak if not given.
    type_fits
        ``[type, hardware]`` whether the hardware is what it asked for.
    server_hardware, server_available, server_ceiling_w
        ``[server]`` hardware index, free and in service, and the highest GPU power that keeps every GPU below its
        temperature limits.
    budgets
        In which existing excess is tolerated but may not grow.
    hosts
        Where VMs may take parts of servers: the GPUs of each entry of the server axis. Without it a VM takes all of
        a server.
    vm_spot
        ``[vm]`` whether it can be evicted: it costs less unplaced, and may sit on servers that are kept back.
    promises
        Servers that are kept back for tenants and for failover.
    survival
        What each failure asks for, where that is to be secured.
    scenarios
        Recent days, of which the worst have to keep some of the budgets instead of every slot by itself.
    """

    vms: tuple[str, ...]
    servers: tuple[str, ...]
    vm_type: IntArray
    vm_priority: IntArray
    vm_group: IntArray
    type_power_w: IntArray
    type_airflow_cfm: IntArray
    type_gpu_power_w: IntArray
    type_fits: BoolArray
    server_hardware: IntArray
    server_available: BoolArray
    server_ceiling_w: IntArray
    groups: tuple[SpreadGroup, ...]
    budgets: BudgetNumbers
    prices: PlacementPrices = field(default_factory=PlacementPrices)
    hosts: Hosts | None = None
    vm_spot: BoolArray | None = None
    promises: Promises | None = None
    survival: Survival | None = None
    scenarios: Scenarios | None = None
    type_most_gpu_power_w: IntArray | None = None

    def __post_init__(self) -> None:
        faults = [] if self.scenarios is None else list(self.scenarios.faults(self.budgets.families))
        if faults:
            raise InvalidInput("placement problem", faults)

    @property
    def judged_by_days(self) -> frozenset[Constraint]:
        """Budgets that stand by CVaR; the others stand by their quantile, slot by slot."""
        return frozenset() if self.scenarios is None else self.scenarios.constraints

    @property
    def judged_by_slots(self) -> BudgetNumbers:
        """The other budgets, in which present excess is tolerated."""
        by_slots = [family for family in self.budgets.families if family.constraint not in self.judged_by_days]
        return replace(self.budgets, families=tuple(by_slots)).tolerating_present_excess()

    @property
    def is_spot(self) -> BoolArray:
        """``[vm]`` whether it can be evicted; none is, where nothing is said."""
        return np.zeros(len(self.vms), dtype=bool) if self.vm_spot is None else self.vm_spot

    def unplaced_price(self, vms: IntArray) -> IntArray:
        """What it costs not to place each of some VMs."""
        full, spot = self.prices.unplaced_vm, self.prices.unplaced_vm * self.prices.spot_permille // PERMILLE
        price = full if self.vm_spot is None else np.where(self.vm_spot[vms], spot, full)
        return np.asarray(price * self.vm_priority[vms])

    @property
    def negligible_cost(self) -> float:
        """A thousandth of the cheapest VM unplaced: plans no further apart than that are as good as each other."""
        return float(self.unplaced_price(np.arange(len(self.vms))).min()) / PERMILLE if self.vms else 0.0

    @property
    def gpus(self) -> IntArray:
        """``[server]`` free GPUs; 1 where VMs take whole servers."""
        return np.ones(len(self.servers), dtype=np.int64) if self.hosts is None else self.hosts.gpus

    @property
    def type_gpus(self) -> IntArray:
        """``[type, hardware]`` what a VM takes of :attr:`gpus`; never more of a server than 1 where it is whole."""
        return np.ones(self.type_fits.shape, dtype=np.int64) if self.hosts is None else self.hosts.type_gpus

    def eligible(self, servers: IntArray | None = None) -> BoolArray:
        """``[type, server]``: free, large enough, the right hardware, and cool enough (``gpu_temperature_limit``).

        Of some ``servers`` only, where they are given; so are the costs.
        """
        s = slice(None) if servers is None else servers
        hardware = self.server_hardware[s]
        fits = self.type_fits[:, hardware] & self.server_available[s]
        if self.hosts is not None:
            fits &= self.gpus[s] % self.type_gpus[:, hardware] == 0
        return np.asarray(fits & (self.type_gpu_power_w[:, hardware] <= self.server_ceiling_w[s]))

    @property
    def most_gpu_power_w(self) -> IntArray:
        """``[type, hardware]`` what a VM's hottest GPU may come to draw at most, as far as anything is known of it."""
        return self.type_gpu_power_w if self.type_most_gpu_power_w is None else self.type_most_gpu_power_w

    def temperature_cost(self, servers: IntArray | None = None) -> IntArray:
        """``[type, server]`` cost of lost temperature slack, by its square, and of ceiling of no use to the VM."""
        s = slice(None) if servers is None else servers
        spare_w = self.server_ceiling_w[s] - self.most_gpu_power_w[:, self.server_hardware[s]] - self.prices.comfort_w
        lost_w = np.maximum(0, -spare_w)
        lost = self.prices.lost_slack_w * lost_w * lost_w // max(1, self.prices.comfort_w)
        return np.asarray(lost + self.prices.spare_ceiling_10w * (np.maximum(0, spare_w) // 10))


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """Server of each placed VM, the VMs that got none, and, where VMs take parts of servers, the GPUs of each.

    Attributes
    ----------
    relief
        By group, tier and slot what the plan counts on to be relieved after a failure, in the unit of the group's
        failure; what is not named is 0.
    shortfall
        By pair what it owns up to staying above the limit beyond what running VMs alone leave there.
    """

    server_of: Mapping[str, str]
    unplaced: tuple[str, ...]
    gpus_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    relief: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    shortfall: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peak:
    """How the utilisation of a priced family is counted: in steps of about a thousandth of each domain's budget.

    Attributes
    ----------
    family
        Its budgets, with the domains that a batch can neither fill nor bring to the peak forgotten.
    step
        ``[domain, slot]`` ``max(1, limit // 1000)``: whole units, so that every solver takes the rows exactly.
    present
        The highest ``⌈base / step⌉`` of any domain in any slot: what running VMs already fix.
    most_increase
        No plan within the budgets rises further than this above ``present``.
    can_rise
        ``[domain, slot]`` where a plan could draw more than ``present`` steps and no other slot of the domain says so,
        so that a row is needed.
    price
        Cost units of one step.
    """

    family: BudgetFamily
    step: IntArray
    present: int
    most_increase: int
    can_rise: BoolArray
    price: int

    @property
    def room(self) -> IntArray:
        """``[domain, slot]`` what may be drawn before the peak rises."""
        return self.step * self.present - self.family.base


@dataclass(frozen=True, slots=True)
class PlacementClasses:
    """Interchangeable VMs (same type, priority, group) and interchangeable free servers.

    ``budgets`` tolerates present excess, forgets domains that this batch can neither fill nor bring to the peak, so
    that more servers are alike, and has rows only for slots that no other slot implies; ``peaks`` are its priced
    families, and ``tails`` those judged by days, which have no other rows; ``promises`` forgets places that the batch
    cannot bring short. A class is named after its first member.
    """

    vms: Classes
    servers: Classes
    vm_names: tuple[str, ...]
    server_names: tuple[str, ...]
    budgets: BudgetNumbers
    peaks: tuple[Peak, ...]
    promises: Promises
    tails: tuple[Tail, ...] = ()


def placement_classes(problem: PlacementProblem) -> PlacementClasses:
    """Group what is interchangeable; servers that are not available stay in classes that no VM is eligible for."""
    most = _most_drawn(problem)
    tolerant = problem.budgets.tolerating_present_excess()
    multiples = [Multiples.of(draw) for draw in _draws(problem)]
    peaks = [
        _peak(f, most, f.counted(*multiples), problem.prices, within_limit=f.constraint not in problem.judged_by_days)
        for f in tolerant.families
        if problem.prices.peak_permille.get(f.constraint)
    ]
    found = tails(problem.scenarios, problem.budgets.families, _most_drawn_by_day(problem))
    watched = {peak.family.constraint: np.asarray(peak.can_rise.any(axis=1)) for peak in peaks}
    for tail in found:
        name = tail.family.constraint
        watched[name] = np.asarray(watched.get(name, False) | tail.can_bind.any(axis=1))
    budgets = without_dominated(_by_slots(problem, tolerant.without_slack(most, watched)), *multiples)
    families = {family.constraint: family for family in budgets.families}
    promises = _promises(problem)
    vm_keys = [problem.vm_type, problem.vm_priority, problem.vm_group, problem.is_spot, promises.vm_tenant]
    vms = alike(*vm_keys)
    servers = classes_of(budgets, np.arange(len(problem.servers)), *_looks(problem, promises))
    return PlacementClasses(
        vms=vms,
        servers=servers,
        vm_names=tuple(problem.vms[v] for v in vms.first),
        server_names=tuple(problem.servers[s] for s in servers.first),
        budgets=budgets,
        peaks=tuple(replace(peak, family=families[peak.family.constraint]) for peak in peaks),
        promises=promises,
        tails=tuple(replace(tail, family=_drawn_on_by(families, tail.family)) for tail in found),
    )


def _by_slots(problem: PlacementProblem, budgets: BudgetNumbers) -> BudgetNumbers:
    """Budgets that are judged by days have no rows slot by slot."""
    by_days = problem.judged_by_days
    families = (replace(f, can_bind=f.needs_row & (f.constraint not in by_days)) for f in budgets.families)
    return replace(budgets, families=tuple(families)) if by_days else budgets


def _drawn_on_by(families: Mapping[Constraint, BudgetFamily], family: BudgetFamily) -> BudgetFamily:
    """With the domains forgotten that are forgotten there."""
    of = families[family.constraint]
    return replace(family, member=of.member, share_permille=of.share_permille)


def _promises(problem: PlacementProblem) -> Promises:
    """Those that the batch could break."""
    if problem.promises is None:
        return Promises(np.full(len(problem.vms), NONE), (), ())
    return problem.promises.stated(problem.server_available, int((~problem.is_spot).sum()))


def _looks(problem: PlacementProblem, promises: Promises) -> list[IntArray]:
    """What VMs see of a server; of one that is not available, nothing.

    Where spare ceiling has no price, one beyond the comfort of the hottest VM asked for is as good as any higher one.
    """
    free = problem.server_available
    asked = problem.most_gpu_power_w[np.unique(problem.vm_type)]
    enough = asked.max(axis=0, initial=0)[problem.server_hardware] + problem.prices.comfort_w
    ceiling = problem.server_ceiling_w
    looks = [problem.server_hardware, ceiling if problem.prices.spare_ceiling_10w else np.minimum(ceiling, enough)]
    looks.append(problem.gpus)
    looks += [part.kind for part in problem.survival.parts] if problem.survival else []
    looks += [group.place_of for group in problem.groups]
    looks += [group.together.place_of for group in problem.groups if group.together is not None]
    looks += [kept.place_of for kept in promises.levels]
    return [free.astype(np.int64), *(np.where(free, look, NONE) for look in looks)]


def _draws(problem: PlacementProblem) -> tuple[IntArray, IntArray]:
    """``[kind, slot]`` power and airflow of every type asked for on every hardware that it fits."""
    asked = np.unique(problem.vm_type)
    fits = problem.type_fits[asked]
    return problem.type_power_w[asked][fits], problem.type_airflow_cfm[asked][fits]


def _most_drawn_by_day(problem: PlacementProblem) -> MostDrawn | None:
    """As :func:`_most_drawn`, the slots of one day after those of another; None where nothing is judged by days."""
    if problem.scenarios is None:
        return None
    power, airflow = problem.scenarios.type_power_w, problem.scenarios.type_airflow_cfm
    flat = (*problem.type_fits.shape, -1)
    return _most_drawn(replace(problem, type_power_w=power.reshape(flat), type_airflow_cfm=airflow.reshape(flat)))


def _most_drawn(problem: PlacementProblem) -> MostDrawn:
    """The most that VMs could make each available server draw, by kinds of servers, and the whole batch together."""
    asked = np.bincount(problem.vm_type, minlength=len(problem.type_fits))
    kinds = alike(problem.server_hardware, problem.gpus)
    return MostDrawn(
        power_w=_most_by_kind(problem, problem.type_power_w, kinds.first),
        airflow_cfm=_most_by_kind(problem, problem.type_airflow_cfm, kinds.first),
        in_all_power_w=asked @ problem.type_power_w.max(axis=1, initial=0),
        in_all_airflow_cfm=asked @ problem.type_airflow_cfm.max(axis=1, initial=0),
        kind=np.where(problem.server_available, kinds.of, NONE),
    )


def _most_by_kind(problem: PlacementProblem, draw: IntArray, servers: IntArray) -> IntArray:
    """``[server, slot]`` the most that VMs of the types asked for could draw; of a part, as many as it has room for.

    As all sizes divide the host's, Σ draw ≤ Σ gpus · max(draw / gpus) ≤ host · max(draw / gpus), a whole number.
    """
    hardware, most = problem.server_hardware[servers], np.zeros((len(servers), draw.shape[2]), dtype=np.int64)
    for kind in np.unique(problem.vm_type):
        fit = problem.gpus[servers] // problem.type_gpus[kind, hardware]
        most = np.maximum(most, draw[kind, hardware] * fit[:, None])
    return most


def _peak(
    family: BudgetFamily, most: MostDrawn, multiples: Multiples, prices: PlacementPrices, *, within_limit: bool
) -> Peak:
    step = np.maximum(1, family.limit // PERMILLE)
    present = int((-(-family.base // step)).max(initial=0))
    most_load = family.limit if within_limit else family.base - (-most.on(family) // PERMILLE)
    highest = int((-(-most_load // step)).max(initial=0))
    room = step * present - family.base
    can_rise = undominated(most.exceeds(family, room), room, multiples, step)
    price = prices.peak_permille[family.constraint]
    return Peak(family, step, present, max(0, highest - present), can_rise, price)
