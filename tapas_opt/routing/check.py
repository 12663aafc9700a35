"""The independent judge of a routing plan: plain loops over named instances, on the numbers of the problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import NEAR_FRAC, TOLERANCE, binding_budgets, budget_violations, loads
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Rejection, Violation
from tapas_opt.routing.explain import why_unserved
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem

__all__ = ["binding", "check", "why_not"]

IntArray = NDArray[np.int64]

COMFORTABLE = 850
"""Thousandths of a limit up to which nearness costs nothing."""


def check(problem: RoutingProblem, plan: RoutingPlan) -> CheckReport:
    """Everything that the plan breaks, and what it costs."""
    state = _Load(problem, plan)
    violations = [
        *_endpoint_demand(problem, plan),
        *_instance_goodput(problem, plan, state),
        *_gpu_temperature_limit(problem, state),
        *budget_violations(problem.budgets, state.power_w, state.airflow_cfm),
    ]
    terms = {
        "unserved": _unserved(problem, plan),
        "latency": state.latency,
        "energy": problem.prices.energy_kw * float(state.power_w.sum()) / 1000,
        "peak_utilisation": _peak_utilisation(problem, state),
    }
    return CheckReport(tuple(violations), terms)


def why_not(problem: RoutingProblem, plan: RoutingPlan) -> tuple[Rejection, ...]:
    """For each class with demand that nobody serves, every constraint that keeps an instance from taking more."""
    state = _Load(problem, plan)
    return tuple(why_unserved(problem, plan, state.work, {"W": state.power_w, "CFM": state.airflow_cfm}))


def binding(problem: RoutingProblem, plan: RoutingPlan) -> tuple[Binding, ...]:
    """Constraints with little room left: budgets, then loaded instances near their goodput or temperature ceiling."""
    state = _Load(problem, plan)
    found = list(binding_budgets(problem.budgets, state.power_w, state.airflow_cfm))
    for i, name in enumerate(problem.instances):
        if state.work[i] <= 0:
            continue
        limit, used = int(problem.instance_goodput[i]), state.work[i]
        if limit - used <= NEAR_FRAC * limit:
            found.append(Binding(Constraint.INSTANCE_GOODPUT, name, limit - used, "tokens/s"))
        limit, used = int(problem.gpu_headroom_w[i]), state.gpu_power_w[i]
        if limit - used <= NEAR_FRAC * limit:
            found.append(Binding(Constraint.GPU_TEMPERATURE_LIMIT, name, limit - used, "W"))
    return tuple(found)


class _Load:
    """What the plan makes every instance and server do, segment by segment in their order.

    Attributes
    ----------
    work
        Tokens/s of each instance, of the mix that goodput was measured at.
    gpu_power_w
        What they add to the power of each instance's hottest GPU.
    latency
        Cost units per hour.
    power_w, airflow_cfm
        ``[server, slot]`` what they add.
    """

    def __init__(self, problem: RoutingProblem, plan: RoutingPlan) -> None:
        number = {name: i for i, name in enumerate(problem.instances)}
        self.work = [0.0] * len(problem.instances)
        for q, name in enumerate(problem.classes):
            demand = int(problem.class_tokens_per_s[q]) * int(problem.class_work_permille[q]) / 1000
            for instance, share in plan.shares.get(name, {}).items():
                if instance in number:
                    self.work[number[instance]] += share * demand
        self.latency = 0.0
        self.gpu_power_w = [0.0] * len(problem.instances)
        power_w, airflow_cfm = [0.0] * len(problem.servers), [0.0] * len(problem.servers)
        parts = np.diff(problem.breakpoints_permille).tolist()
        curves = (problem.latency_cost, problem.gpu_power_w, problem.power_w, problem.airflow_cfm)
        of_instances = zip(*(curve.tolist() for curve in curves), strict=True)  # numbers of arrays are slow one by one
        for i, (latency, gpu_w, watts, cfm) in enumerate(of_instances):
            server, goodput = int(problem.instance_server[i]), int(problem.instance_goodput[i])
            for b, used in enumerate(_filled(self.work[i], goodput, parts)):
                self.latency += used * latency[b]
                self.gpu_power_w[i] += used * gpu_w[b]
                power_w[server] += used * watts[b]
                airflow_cfm[server] += used * cfm[b]
        # The budgets' checker is written for whole numbers, but sums fractions as well.
        self.power_w, self.airflow_cfm = (cast(IntArray, np.array(x)[:, None]) for x in (power_w, airflow_cfm))


def _filled(work: float, goodput: int, parts_permille: list[int]) -> Iterator[float]:
    """How much of each segment an instance's work fills, from the first to the last that it reaches."""
    for permille in parts_permille:
        width = goodput * permille / 1000
        if work <= 0 or width <= 0:
            return
        yield min(1.0, work / width)
        work -= width


def _endpoint_demand(problem: RoutingProblem, plan: RoutingPlan) -> Iterator[Violation]:
    """Shares are not negative, go to instances of the class's endpoint, and make 1 with what is unserved."""
    endpoint_of = dict(zip(problem.instances, problem.instance_endpoint, strict=True))
    for name in {**plan.shares, **plan.unserved_frac}:
        if name not in problem.classes:
            yield Violation(Constraint.ENDPOINT_DEMAND, f"{name} (no such class)", 1.0, "of its requests")
    for q, name in enumerate(problem.classes):
        shares, unserved = plan.shares.get(name, {}), plan.unserved_frac.get(name, 0.0)
        total = sum(shares.values()) + unserved
        if not abs(total - 1.0) <= TOLERANCE:
            yield Violation(Constraint.ENDPOINT_DEMAND, name, total - 1.0, "of its requests")
        for instance, share in [*shares.items(), ("nobody", unserved)]:
            if not share >= -TOLERANCE:
                yield Violation(Constraint.ENDPOINT_DEMAND, f"{name} to {instance}", -share, "of its requests")
        for instance, share in shares.items():
            if endpoint_of.get(instance) != problem.class_endpoint[q]:
                where = f"{name} to {instance}, which does not serve it"
                yield Violation(Constraint.ENDPOINT_DEMAND, where, share, "of its requests")


def _instance_goodput(problem: RoutingProblem, plan: RoutingPlan, state: _Load) -> Iterator[Violation]:
    """Work ≤ goodput; an instance without goodput takes no share, not even of a class without demand."""
    for i, name in enumerate(problem.instances):
        goodput = int(problem.instance_goodput[i])
        if not state.work[i] <= goodput + TOLERANCE * max(1, goodput):
            yield Violation(Constraint.INSTANCE_GOODPUT, name, state.work[i] - goodput, "tokens/s")
    closed = {name for name, goodput in zip(problem.instances, problem.instance_goodput, strict=True) if goodput == 0}
    for request_class, shares in plan.shares.items():
        for instance, share in shares.items():
            if instance in closed and share > 0:
                where = f"{instance}, which takes nothing"
                yield Violation(Constraint.INSTANCE_GOODPUT, where, share, f"of the requests of {request_class}")


def _gpu_temperature_limit(problem: RoutingProblem, state: _Load) -> Iterator[Violation]:
    """What the work adds to the hottest GPU's power ≤ headroom below the ceiling; below 0 nothing is taken at all."""
    for i, name in enumerate(problem.instances):
        excess = state.gpu_power_w[i] - int(problem.gpu_headroom_w[i])
        if state.work[i] > 0 and excess > TOLERANCE * max(1, abs(int(problem.gpu_headroom_w[i]))):
            yield Violation(Constraint.GPU_TEMPERATURE_LIMIT, name, excess, "W")


def _unserved(problem: RoutingProblem, plan: RoutingPlan) -> float:
    price, demand = problem.prices.unserved_tokens_per_s, zip(problem.classes, problem.class_tokens_per_s, strict=True)
    return sum(price * int(tokens) * plan.unserved_frac.get(name, 0.0) for name, tokens in demand)


def _peak_utilisation(problem: RoutingProblem, state: _Load) -> float:
    """Price of the thousandths by which each priced family's highest utilisation exceeds what is free."""
    cost = 0.0
    for family in problem.budgets.families:
        price = problem.prices.peak_permille.get(family.constraint, 0)
        if price == 0:
            continue
        load = loads(family, family.counted(state.power_w, state.airflow_cfm))
        free, highest = float(COMFORTABLE), 0.0
        for d in range(len(family.domains)):
            step = max(1, int(family.limit[d, 0]) // 1000)
            free = max(free, -(-int(family.base[d, 0]) // step))
            highest = max(highest, float(load[d, 0]) / step)
        cost += price * max(0.0, highest - free)
    return cost
