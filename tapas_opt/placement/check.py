"""Judge a placement on named servers, in plain loops; shares nothing with formulation and greedy.

A VM that is nowhere, twice, or unknown breaks ``vm_placed_once``; a server that is unknown, taken, of the wrong
hardware or named twice breaks ``server_gpu_capacity``; where VMs may take parts of servers, so do GPUs that are given
twice or are no aligned block (:mod:`~tapas_opt.placement.check_hosts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import TOLERANCE, binding_budgets, budget_violations, loads
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Rejection, Violation
from tapas_opt.placement.check_hosts import free_part, gpus_held, parts_violations, spare_gpus_cost
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.check import PromiseBarriers, promise_bindings, promise_violations

__all__ = ["binding", "check", "why_not"]

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
    ]
    return CheckReport(tuple(violations), _terms(problem, placed))


def binding(problem: PlacementProblem, plan: PlacementPlan) -> tuple[Binding, ...]:
    """Budgets with little left, negative where running VMs alone are over, and places where a group is full."""
    placed = _placed(problem, plan)
    servers, power_w, airflow_cfm = _draws(problem, placed)
    return (*binding_budgets(problem.budgets, power_w, airflow_cfm, servers), *_full_places(problem, placed))


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
    yield from budget_violations(problem.budgets.tolerating_present_excess(), power_w, airflow_cfm, servers=servers)


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
    spare = [int(problem.server_ceiling_w[s]) - _gpu_power_w(problem, v, s) - prices.comfort_w for v, s in placed]
    parts = {} if problem.hosts is None else {"spare_gpus": sum(spare_gpus_cost(problem, v, s) for v, s in placed)}
    return {
        "unplaced_vms": float(unplaced),
        "peak_utilisation": float(peaks),
        "lost_temperature_slack": float(prices.lost_slack_w * sum(-watts for watts in spare if watts < 0)),
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
        self._known: dict[tuple[int, ...], float] = {}
        self._answers: dict[tuple[int, ...], Reasons] = {}

    def of(self, v: int) -> Iterator[Rejection]:
        """Reasons for one VM, in the order of :class:`Constraint`."""
        p = self._problem
        alike = (int(p.vm_type[v]), int(p.vm_priority[v]), int(p.vm_group[v]))
        if alike not in self._answers:
            self._answers[alike] = self._reasons(v)
        for constraint in Constraint:
            if constraint in self._answers[alike]:
                shortfall, unit = self._answers[alike][constraint]
                yield Rejection(p.vms[v], constraint, shortfall, unit)

    def _reasons(self, v: int) -> Reasons:
        candidates = [s for s in range(len(self._problem.servers)) if self._is_free(v, s)]
        if not candidates:
            return {Constraint.SERVER_GPU_CAPACITY: (1.0, "servers")}
        barred = {s: self._barriers(v, s) for s in candidates}
        open_to = [s for s in candidates if not barred[s]]
        if open_to:
            return self._not_worth_it(v, open_to)
        least: Reasons = {}
        for reasons in barred.values():
            for constraint, (shortfall, unit) in reasons.items():
                least[constraint] = min((shortfall, unit), least.get(constraint, (np.inf, unit)))
        return least

    def _is_free(self, v: int, s: int) -> bool:
        fits = self._problem.type_fits[self._problem.vm_type[v], self._problem.server_hardware[s]]
        if not (fits and self._problem.server_available[s]):
            return False
        if self._problem.hosts is None:
            return s not in self._taken
        return bool(free_part(self._problem, v, s, self._held[self._problem.servers[s]]))

    def _barriers(self, v: int, s: int) -> Reasons:
        """What adding the VM there would break."""
        found: Reasons = {}
        too_hot = _gpu_power_w(self._problem, v, s) - int(self._problem.server_ceiling_w[s])
        if too_hot > 0:
            found[Constraint.GPU_TEMPERATURE_LIMIT] = (float(too_hot), "W")
        g = int(self._problem.vm_group[v])
        if g >= 0:
            group = self._problem.groups[g]
            place = int(group.place_of[s])
            too_many = _per_place(self._problem, g, self._placed)[place] + 1 - _free_places(group, place)
            if too_many > 0:
                found[Constraint.GROUP_SPREAD] = (float(too_many), "VMs")
        found |= self._promises.of(v, s)
        for f, family in enumerate(self._families):
            shortfall = max((self._shortfall(v, s, f, d) for d in family.member[s] if d >= 0), default=0.0)
            if shortfall > 0:
                found[family.constraint] = (shortfall, family.unit)
        return found

    def _shortfall(self, v: int, s: int, f: int, d: int) -> float:
        """What is missing in the worst slot of one domain; 0 where nothing is."""
        family, kind, hardware = self._families[f], self._problem.vm_type[v], self._problem.server_hardware[s]
        share = int(family.share_permille[s][family.member[s] == d].sum())
        key = (f, int(d), share, int(kind), int(hardware))
        if key not in self._known:
            by_unit = family.counted(self._problem.type_power_w, self._problem.type_airflow_cfm)
            missing = float((by_unit[kind, hardware] * share / 1000 - self._room[f][d]).max())
            allowed = float(np.abs(family.limit[d]).max())
            self._known[key] = missing if missing > TOLERANCE * max(1.0, allowed) else 0.0
        return self._known[key]

    def _not_worth_it(self, v: int, open_to: list[int]) -> Reasons:
        """Servers could take it: its group is incomplete, or the best of them costs more than leaving it."""
        p, g = self._problem, int(self._problem.vm_group[v])
        if g >= 0 and p.groups[g].all_or_nothing:
            return {Constraint.GROUP_ALL_OR_NOTHING: (float(self._missing(g)), "VMs")}
        now = sum(_terms(p, self._placed).values())
        least = np.inf
        for s in self._different(open_to):
            least = min(least, sum(_terms(p, [*self._placed, (v, s)]).values()) - now)
            if least <= 0:
                return {}
        return {Constraint.PEAK_UTILISATION: (least, "cost units")}

    def _different(self, servers: list[int]) -> list[int]:
        """One of each kind of servers that draw and heat up alike."""
        p = self._problem
        kinds: dict[tuple[object, ...], int] = {}
        for s in servers:
            feeds = [tuple(f.member[s]) + tuple(f.share_permille[s]) for f in self._families]
            kinds.setdefault((int(p.server_hardware[s]), int(p.server_ceiling_w[s]), *feeds), s)
        return list(kinds.values())

    def _missing(self, g: int) -> int:
        placed = {v for v, _ in self._placed}
        return sum(1 for v in range(len(self._problem.vms)) if self._problem.vm_group[v] == g and v not in placed)


def _free_places(group: SpreadGroup, place: int) -> int:
    """How many VMs of the batch a group may put into a place."""
    return max(0, group.max_per_place - int(group.present[place]))
