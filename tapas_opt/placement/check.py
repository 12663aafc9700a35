"""Judge a placement on named servers, in plain loops; shares nothing with formulation and greedy.

A VM that is nowhere, twice, or unknown breaks ``vm_placed_once``; a server that is unknown, taken, of the wrong
hardware or named twice breaks ``server_gpu_capacity``; where VMs may take parts of servers, so do GPUs that are given
twice or are no aligned block (:mod:`~tapas_opt.placement.check_hosts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import TOLERANCE, binding_budgets, budget_violations, loads
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Rejection, Violation
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.check_hosts import free_part, gpus_held, more_left_over, parts_violations, spare_gpus_cost
from tapas_opt.placement.problem import PlacementPlan, PlacementPrices, PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.check import PromiseBarriers, promise_bindings, promise_violations
from tapas_opt.placement.scenarios.check import DayBarriers, cvar_bindings, cvar_violations
from tapas_opt.placement.survival.check import ReliefLeft, survival_terms, survival_violations

__all__ = ["binding", "check", "why_not"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Placed = list[tuple[int, int]]
"""Numbers of VM and server."""


def check(problem: PlacementProblem, plan: PlacementPlan) -> CheckReport:
    """Everything that is broken, and the objective term by term (of what has a meaning, where names are unknown)."""
    placed = _placed(problem, plan)
    violations = [
        *_vm_placed_once(problem, plan),
        *(_server_gpu_capacity if problem.hosts is None else parts_violations)(problem, plan),
        *_gpu_temperature_limit(problem, placed),
        *_group_spread(problem, placed),
        *_group_all_or_nothing(problem, placed),
        *promise_violations(problem, placed),
        *_budget_violations(problem, placed),
        *cvar_violations(problem, placed),
        *survival_violations(problem, plan, placed),
    ]
    return CheckReport(tuple(violations), _terms(problem, placed) | survival_terms(problem, plan))


def binding(problem: PlacementProblem, plan: PlacementPlan) -> tuple[Binding, ...]:
    """Budgets with little left, negative where running VMs alone are over, and places where a group is full."""
    placed = _placed(problem, plan)
    servers, power_w, airflow_cfm = _draws(problem, placed)
    stated = [family for family in problem.budgets.families if family.constraint not in problem.judged_by_days]
    return (
        *binding_budgets(replace(problem.budgets, families=tuple(stated)), power_w, airflow_cfm, servers),
        *cvar_bindings(problem, placed),
        *_full_places(problem, placed),
    )


def why_not(problem: PlacementProblem, plan: PlacementPlan) -> tuple[Rejection, ...]:
    """For each unplaced VM what excludes it from every server, given the rest of the plan.

    Each constraint that bars a free server of the right hardware is named once, with its least shortfall;
    ``server_gpu_capacity`` only where there is no such server. A VM that a server could take is rejected by
    ``group_all_or_nothing`` if its group is incomplete, by ``peak_utilisation`` if taking it costs more than leaving
    it (the difference is the shortfall, in cost units), else by nothing: no better plan was found.
    """
    answer = _Rejections(problem, plan)
    return tuple(rejection for v, name in enumerate(problem.vms) if name in plan.unplaced for rejection in answer.of(v))


def _placed(problem: PlacementProblem, plan: PlacementPlan) -> Placed:
    """Pairs whose names both exist."""
    vms = {name: v for v, name in enumerate(problem.vms)}
    servers = {name: s for s, name in enumerate(problem.servers)}
    pairs = ((vms.get(vm), servers.get(server)) for vm, server in plan.server_of.items())
    return [(v, s) for v, s in pairs if v is not None and s is not None]


def _draws(problem: PlacementProblem, placed: Placed) -> tuple[IntArray, IntArray, IntArray]:
    """Number of the server of each VM placed, and ``[vm placed, slot]`` power and airflow that it draws there."""
    vms, servers = np.array(placed, dtype=np.int64).reshape(-1, 2).T
    kind, hardware = problem.vm_type[vms], problem.server_hardware[servers]
    return servers, problem.type_power_w[kind, hardware], problem.type_airflow_cfm[kind, hardware]


def _budget_violations(problem: PlacementProblem, placed: Placed) -> Iterator[Violation]:
    servers, power_w, airflow_cfm = _draws(problem, placed)
    yield from budget_violations(problem.judged_by_slots, power_w, airflow_cfm, servers=servers)


def _vm_placed_once(problem: PlacementProblem, plan: PlacementPlan) -> Iterator[Violation]:
    said, known = Counter([*plan.server_of, *plan.unplaced]), set(problem.vms)
    for vm in dict.fromkeys([*problem.vms, *said]):
        excess = abs(said[vm] - (vm in known))
        if excess:
            yield Violation(Constraint.VM_PLACED_ONCE, vm, float(excess), "VMs")


def _server_gpu_capacity(problem: PlacementProblem, plan: PlacementPlan) -> Iterator[Violation]:
    servers = {name: s for s, name in enumerate(problem.servers)}
    vms = {name: v for v, name in enumerate(problem.vms)}
    held = Counter(plan.server_of.values())
    for vm, name in plan.server_of.items():
        if name in servers and vm in vms:
            s = servers[name]
            fits = problem.type_fits[problem.vm_type[vms[vm]], problem.server_hardware[s]]
            if not (fits and problem.server_available[s]):
                yield Violation(Constraint.SERVER_GPU_CAPACITY, name, 1.0, "VMs")
    for name, count in held.items():
        excess = count - (name in servers)
        if excess > 0:
            yield Violation(Constraint.SERVER_GPU_CAPACITY, name, float(excess), "VMs")


def _gpu_temperature_limit(problem: PlacementProblem, placed: Placed) -> Iterator[Violation]:
    for v, s in placed:
        excess = _gpu_power_w(problem, v, s) - int(problem.server_ceiling_w[s])
        if excess > 0:
            yield Violation(Constraint.GPU_TEMPERATURE_LIMIT, problem.servers[s], float(excess), "W")


def _group_spread(problem: PlacementProblem, placed: Placed) -> Iterator[Violation]:
    for g, group in enumerate(problem.groups):
        for p, added in _per_place(problem, g, placed).items():
            excess = int(group.present[p]) + added - max(group.max_per_place, int(group.present[p]))
            if excess > 0:
                yield Violation(Constraint.GROUP_SPREAD, f"{group.name} in {group.places[p]}", float(excess), "VMs")


def _group_all_or_nothing(problem: PlacementProblem, placed: Placed) -> Iterator[Violation]:
    with_server = {v for v, _ in placed}
    for g, group in enumerate(problem.groups):
        members = np.flatnonzero(problem.vm_group == g).tolist() if group.all_or_nothing else []
        missing = sum(v not in with_server for v in members)
        if 0 < missing < len(members):
            yield Violation(Constraint.GROUP_ALL_OR_NOTHING, group.name, float(missing), "VMs")


def _terms(problem: PlacementProblem, placed: Placed) -> dict[str, float]:
    prices, with_server = problem.prices, {v for v, _ in placed}
    unplaced = sum(_unplaced_price(problem, v) for v in range(len(problem.vms)) if v not in with_server)
    servers, power, airflow = _draws(problem, placed)
    peaks = 0
    for family in problem.budgets.families:
        price = prices.peak_permille.get(family.constraint, 0)
        peaks += price * _rise(family, family.counted(power, airflow), servers) if price else 0
    spare = [_spare_w(problem, v, s) for v, s in placed]
    parts = {} if problem.hosts is None else {"spare_gpus": spare_gpus_cost(problem, placed)}
    return {
        "unplaced_vms": float(unplaced),
        "peak_utilisation": float(peaks),
        "lost_temperature_slack": float(sum(_lost_slack(prices, watts) for watts in spare)),
        "spare_ceiling": float(prices.spare_ceiling_10w * sum(watts // 10 for watts in spare if watts > 0)),
        **{name: float(cost) for name, cost in parts.items()},
    }


def _unplaced_price(problem: PlacementProblem, v: int) -> int:
    evictable = problem.vm_spot is not None and problem.vm_spot[v]
    price = problem.prices.unplaced_vm * (problem.prices.spot_permille if evictable else 1000) // 1000
    return int(price * problem.vm_priority[v])


def _rise(family: BudgetFamily, draw: IntArray, servers: IntArray) -> int:
    """Thousandths of a budget (whole units, at least 1) by which the highest utilisation rises above today's."""
    thousandth = np.maximum(1, np.maximum(family.limit, family.base) // 1000)
    before = np.ceil(family.base / thousandth).max(initial=0)
    after = np.ceil(loads(family, draw, servers) / thousandth).max(initial=0)
    return max(0, int(after - before))


def _gpu_power_w(problem: PlacementProblem, v: int, s: int) -> int:
    return int(problem.type_gpu_power_w[problem.vm_type[v], problem.server_hardware[s]])


def _own_cost(problem: PlacementProblem, v: int, s: int) -> int:
    """What a VM costs on a server, peaks and parts of servers apart."""
    prices, spare_w = problem.prices, _spare_w(problem, v, s)
    return _lost_slack(prices, spare_w) + prices.spare_ceiling_10w * (max(0, spare_w) // 10)


def _spare_w(problem: PlacementProblem, v: int, s: int) -> int:
    """Watts from what a VM's hottest GPU may come to draw, and its comfort, up to the server's ceiling."""
    kind, hardware = problem.vm_type[v], problem.server_hardware[s]
    given = problem.type_most_gpu_power_w
    most_w = int((problem.type_gpu_power_w if given is None else given)[kind, hardware])
    return int(problem.server_ceiling_w[s]) - most_w - problem.prices.comfort_w


def _lost_slack(prices: PlacementPrices, spare_w: int) -> int:
    """What a VM costs whose GPUs leave less than the comfort below their ceiling: by the square of what is missing."""
    return prices.lost_slack_w * min(0, spare_w) ** 2 // max(1, prices.comfort_w)


def _per_place(problem: PlacementProblem, g: int, placed: Placed) -> Counter[int]:
    """How many VMs of the batch a group puts into each place."""
    members = set(np.flatnonzero(problem.vm_group == g).tolist())
    return Counter(int(problem.groups[g].place_of[s]) for v, s in placed if v in members) if members else Counter()


def _full_places(problem: PlacementProblem, placed: Placed) -> Iterator[Binding]:
    for g, group in enumerate(problem.groups):
        added = _per_place(problem, g, placed)
        for p, place in enumerate(group.places):
            left = group.max_per_place - int(group.present[p]) - added[p]
            if left <= 0:
                yield Binding(Constraint.GROUP_SPREAD, f"{group.name} in {place}", float(left), "VMs")
    yield from promise_bindings(problem, placed)


Reasons = dict[Constraint, tuple[float, str]]
"""Shortfall and its unit."""


class _Rejections:
    """Why VMs without a server have none; what is alike is worked out once."""

    def __init__(self, problem: PlacementProblem, plan: PlacementPlan) -> None:
        self._problem = problem
        self._placed = _placed(problem, plan)
        self._taken = {s for _, s in self._placed}
        self._promises = PromiseBarriers(problem, self._placed)
        self._held = {} if problem.hosts is None else gpus_held(problem, plan)
        servers, power_w, airflow_cfm = _draws(problem, self._placed)
        self._families = problem.budgets.tolerating_present_excess().families
        self._room = [f.limit - loads(f, f.counted(power_w, airflow_cfm), servers) for f in self._families]
        self._relief = ReliefLeft(problem, self._placed)
        self._days = DayBarriers(problem, self._placed)
        self._answers: dict[tuple[int, ...], Reasons] = {}

    def of(self, v: int) -> Iterator[Rejection]:
        """Reasons for one VM, in the order of :class:`Constraint`."""
        p = self._problem
        evictable = p.vm_spot is not None and bool(p.vm_spot[v])
        tenant = NONE if p.promises is None else int(p.promises.vm_tenant[v])
        alike = (int(p.vm_type[v]), int(p.vm_priority[v]), int(p.vm_group[v]), evictable, tenant)
        if alike not in self._answers:
            self._answers[alike] = self._reasons(v)
        for constraint in Constraint:
            if constraint in self._answers[alike]:
                shortfall, unit = self._answers[alike][constraint]
                yield Rejection(p.vms[v], constraint, shortfall, unit)

    def _reasons(self, v: int) -> Reasons:
        candidates = self._candidates(v)
        if not len(candidates):
            return {Constraint.SERVER_GPU_CAPACITY: (1.0, "servers")}
        barred = self._barriers(v, candidates)
        is_barred = np.any([missing > 0 for missing, _ in barred.values()], axis=0)
        if not is_barred.all():
            return self._not_worth_it(v, candidates[~is_barred])
        return {
            constraint: (float(missing[missing > 0].min()), unit)
            for constraint, (missing, unit) in barred.items()
            if (missing > 0).any()
        }

    def _candidates(self, v: int) -> IntArray:
        """Servers of the right hardware that are free."""
        p = self._problem
        free = np.asarray(p.type_fits[p.vm_type[v], p.server_hardware] & p.server_available)
        if p.hosts is None:
            free[list(self._taken)] = False
            return np.flatnonzero(free)
        parts = [bool(free_part(p, v, s, self._held[p.servers[s]])) for s in np.flatnonzero(free).tolist()]
        return np.asarray(np.flatnonzero(free)[np.array(parts, dtype=bool)])

    def _barriers(self, v: int, servers: IntArray) -> dict[Constraint, tuple[FloatArray, str]]:
        """What adding the VM would break: ``[server]`` shortfall, 0 where there is none, and its unit."""
        p, kind = self._problem, int(self._problem.vm_type[v])
        too_hot = p.type_gpu_power_w[kind, p.server_hardware[servers]] - p.server_ceiling_w[servers]
        found = {Constraint.GPU_TEMPERATURE_LIMIT: (np.maximum(0.0, too_hot), "W")}
        g = int(p.vm_group[v])
        if g >= 0:
            group, held = p.groups[g], _per_place(p, g, self._placed)
            too_many = [held[place] + 1 - _free_places(group, place) for place in range(len(group.places))]
            found[Constraint.GROUP_SPREAD] = (np.maximum(0.0, np.array(too_many)[group.place_of[servers]]), "VMs")
        for n, s in enumerate(servers.tolist()):
            for constraint, (missing, unit) in self._others(v, s).items():
                at_none = (np.zeros(len(servers)), unit)
                found.setdefault(constraint, at_none)[0][n] = missing
        for f, family in enumerate(self._families):
            if family.constraint in p.judged_by_days:
                continue
            found[family.constraint] = (self._shortfall(kind, servers, f), family.unit)
        return found

    def _others(self, v: int, s: int) -> Reasons:
        """What constraints of other modules have against one server."""
        found = dict(self._promises.of(v, s))
        missing, unit = self._relief.missing(v, s)
        if missing > 0:
            found[Constraint.FAILURE_SECURE] = (missing, unit)
        over, unit = self._days.missing(v, s)
        if over > 0:
            found[Constraint.CVAR_BUDGET] = (over, unit)
        return found

    def _shortfall(self, kind: int, servers: IntArray, f: int) -> FloatArray:
        """``[server]`` what is missing in the worst slot of the worst of its domains; 0 where nothing is."""
        family, taps, of = self._families[f], *self._taps(f, servers)
        by_unit = family.counted(self._problem.type_power_w, self._problem.type_airflow_cfm)[kind]
        domain, share, hardware = taps
        missing = (by_unit[hardware] * share[:, None] / 1000 - self._room[f][domain]).max(axis=1)
        allowed = np.abs(family.limit).max(axis=1)[domain]
        missing = np.where(missing > TOLERANCE * np.maximum(1.0, allowed), missing, 0.0)
        drawn_on = family.member[servers] >= 0
        return np.asarray(np.where(drawn_on, np.append(missing, 0.0)[of], 0.0).max(axis=1, initial=0.0))

    def _rise(self, kind: int, servers: IntArray, f: int) -> FloatArray:
        """``[server]`` thousandths by which the highest utilisation of a family would rise above where it stands."""
        family, taps, of = self._families[f], *self._taps(f, servers)
        by_unit = family.counted(self._problem.type_power_w, self._problem.type_airflow_cfm)[kind]
        domain, share, hardware = taps
        thousandth = np.maximum(1, family.limit // 1000)
        load = family.limit - self._room[f]
        stands = np.ceil(np.maximum(load, family.base) / thousandth).max(initial=0.0)
        then = load[domain] + by_unit[hardware] * share[:, None] / 1000
        rise = np.maximum(0.0, np.ceil(then / thousandth[domain]).max(axis=1) - stands)
        return np.asarray(np.where(family.member[servers] >= 0, np.append(rise, 0.0)[of], 0.0).max(axis=1, initial=0.0))

    def _taps(self, f: int, servers: IntArray) -> tuple[IntArray, IntArray]:
        """``[3, tap]`` domain, share and hardware of each different way to draw; ``[server, place]`` which it is."""
        family = self._families[f]
        member, share = family.member[servers], family.share_permille[servers]
        summed = np.stack([(share * (member == of[:, None])).sum(axis=1) for of in member.T], axis=1)
        hardware = np.broadcast_to(self._problem.server_hardware[servers][:, None], member.shape)
        width, kinds = int(summed.max(initial=0)) + 1, self._problem.type_fits.shape[1]
        keys, number = np.unique(((member * width + summed) * kinds + hardware)[member >= 0], return_inverse=True)
        of = np.full(member.shape, -1)
        of[member >= 0] = number
        return np.stack([keys // kinds // width, keys // kinds % width, keys % kinds]), of

    def _not_worth_it(self, v: int, open_to: IntArray) -> Reasons:
        """Servers could take it: its group is incomplete, or the best of them costs more than leaving it."""
        p, g, kind = self._problem, int(self._problem.vm_group[v]), int(self._problem.vm_type[v])
        if g >= 0 and p.groups[g].all_or_nothing:
            return {Constraint.GROUP_ALL_OR_NOTHING: (float(self._missing(g)), "VMs")}
        costs = np.array([_own_cost(p, v, s) for s in open_to.tolist()], dtype=np.float64)
        if p.hosts is not None:
            costs += [more_left_over(p, v, s, self._held[p.servers[s]]) for s in open_to.tolist()]
        for f, family in enumerate(self._families):
            price = p.prices.peak_permille.get(family.constraint, 0)
            costs += price * self._rise(kind, open_to, f) if price else 0.0
        least = float(costs.min()) - _unplaced_price(p, v)
        return {Constraint.PEAK_UTILISATION: (least, "cost units")} if least > 0 else {}

    def _missing(self, g: int) -> int:
        placed = {v for v, _ in self._placed}
        return sum(1 for v in range(len(self._problem.vms)) if self._problem.vm_group[v] == g and v not in placed)


def _free_places(group: SpreadGroup, place: int) -> int:
    """How many VMs of the batch a group may put into a place."""
    return max(0, group.max_per_place - int(group.present[place]))
