"""The routing plan in Pyomo: the textbook witness of :mod:`tapas_opt.routing.formulation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.budgets.reference import Term, add_budgets, drawn
from tapas_opt.routing.problem import RoutingClasses, RoutingProblem, peak_step, present_permille

__all__ = ["reference"]


@dataclass(frozen=True, slots=True)
class Sets:
    """What the algebra runs over: indices behind each name.

    Attributes
    ----------
    instances
        For each class of instances, named after its first member, that member's index, and how many there are.
    routes
        Pairs (request class, instances) of one endpoint, where the instances may take something.
    segments
        Names of the segments, by the breakpoint that ends them.
    priced
        The families whose peak utilisation has a price.
    """

    classes: dict[str, int]
    instances: dict[str, int]
    members: dict[str, int]
    segments: dict[str, int]
    routes: list[tuple[str, str]]
    priced: dict[str, BudgetFamily]


def reference(problem: RoutingProblem, classes: RoutingClasses) -> Any:
    """Routing as a Pyomo model (docs/formulation.md, "Routing")."""
    import pyomo.environ as pyo  # noqa: PLC0415  (a second to import; only the reference needs it)

    s = _sets(problem, classes)
    m = pyo.ConcreteModel()
    _variables(m, s, problem)
    _endpoint_demand(m, s)
    _instance_goodput(m, s, problem)
    terms = _terms(m, s, problem)
    add_budgets(m, classes.budgets, terms)
    _gpu_temperature_limit(m, s, problem)
    _peak_utilisation(m, s, classes, terms)
    _objective(m, s, problem)
    return m


def _sets(p: RoutingProblem, classes: RoutingClasses) -> Sets:
    takes = [i for i in classes.instances.first if p.instance_goodput[i] > 0 and p.gpu_headroom_w[i] >= 0]
    instances = {p.instances[i]: int(i) for i in takes}
    members = {p.instances[i]: int((classes.instances.of == classes.instances.of[i]).sum()) for i in takes}
    request_classes = {name: q for q, name in enumerate(p.classes)}
    routes = [
        (name, instance)
        for name, q in request_classes.items()
        for instance, i in instances.items()
        if p.class_endpoint[q] == p.instance_endpoint[i]
    ]
    segments = {f"to{end}": b for b, end in enumerate(p.breakpoints_permille[1:])}
    priced = {f.constraint.value: f for f in classes.budgets.families if f.constraint in p.prices.peak_permille}
    return Sets(request_classes, instances, members, segments, routes, priced)


def _variables(m: Any, s: Sets, p: RoutingProblem) -> None:
    import pyomo.environ as pyo  # noqa: PLC0415

    def up_to_members(_: Any, instance: str, __: str) -> tuple[float, float]:
        return 0.0, float(s.members[instance])

    m.route_frac = pyo.Var(s.routes, bounds=(0.0, 1.0))
    m.unserved_frac = pyo.Var(list(s.classes), bounds=(0.0, 1.0))
    m.segment_frac = pyo.Var(list(s.instances), list(s.segments), bounds=up_to_members)
    m.peak_increase = pyo.Var(list(s.priced), bounds=(0.0, None))


def _endpoint_demand(m: Any, s: Sets) -> None:
    """Σ_i route_frac[q,i] + unserved_frac[q] = 1   ∀ q."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, name: str) -> Any:
        return sum(m.route_frac[route] for route in s.routes if route[0] == name) + m.unserved_frac[name] == 1

    m.endpoint_demand = pyo.Constraint(list(s.classes), rule=rule)


def _instance_goodput(m: Any, s: Sets, p: RoutingProblem) -> None:
    """Σ_q work[q]·route_frac[q,i] ≤ Σ_b width[b]·goodput[i]·segment_frac[i,b]   ∀ i."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, instance: str) -> Any:
        work = sum(_work(p, s.classes[name]) * m.route_frac[name, i] for name, i in s.routes if i == instance)
        ends = p.breakpoints_permille
        carried = sum(
            int(ends[b + 1] - ends[b])
            / 1000
            * int(p.instance_goodput[s.instances[instance]])
            * m.segment_frac[instance, b_]
            for b_, b in s.segments.items()
        )
        return work - carried <= 0

    m.instance_goodput = pyo.Constraint(list(s.instances), rule=rule)


def _gpu_temperature_limit(m: Any, s: Sets, p: RoutingProblem) -> None:
    """Σ_b gpu_power_w[i,b]·segment_frac[i,b] ≤ members[i]·gpu_headroom_w[i]   ∀ i."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, instance: str) -> Any:
        i = s.instances[instance]
        power = sum(int(p.gpu_power_w[i, b]) * m.segment_frac[instance, b_] for b_, b in s.segments.items())
        return (
            pyo.Constraint.Feasible
            if isinstance(power, int)
            else power <= s.members[instance] * int(p.gpu_headroom_w[i])
        )

    m.gpu_temperature_limit = pyo.Constraint(list(s.instances), rule=rule)


def _peak_utilisation(m: Any, s: Sets, classes: RoutingClasses, terms: list[Term]) -> None:
    """Σ share·draw·segment_frac ≤ step·(present + peak_increase[family]) − base   ∀ priced family, domain."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, name: str, domain: str, _: str) -> Any:
        family = s.priced[name]
        d = family.domains.index(domain)
        step, base = int(peak_step(family)[d, 0]), int(family.base[d, 0])
        allowed = step * (present_permille(family) + m.peak_increase[name])
        return drawn(family, terms, d, 0) <= allowed - base

    domains = [(name, d, t) for name, f in s.priced.items() for d in f.domains for t in classes.budgets.slots]
    m.peak_utilisation = pyo.Constraint(domains, rule=rule)


def _objective(m: Any, s: Sets, p: RoutingProblem) -> None:
    """Unserved demand + latency + energy + nearness to a limit, in cost units per hour."""
    import pyomo.environ as pyo  # noqa: PLC0415

    prices = p.prices
    unserved = sum(
        prices.unserved_tokens_per_s * int(p.class_tokens_per_s[q]) * m.unserved_frac[name]
        for name, q in s.classes.items()
    )
    cells = [(i, b, m.segment_frac[i_, b_]) for i_, i in s.instances.items() for b_, b in s.segments.items()]
    latency = sum(int(p.latency_cost[i, b]) * used for i, b, used in cells)
    energy = sum(prices.energy_kw * int(p.power_w[i, b]) / 1000 * used for i, b, used in cells)
    peak = sum(prices.peak_permille[f.constraint] * m.peak_increase[name] for name, f in s.priced.items())
    m.objective = pyo.Objective(expr=unserved + latency + energy + peak)


def _work(p: RoutingProblem, q: int) -> float:
    return int(p.class_tokens_per_s[q]) * int(p.class_work_permille[q]) / 1000


def _terms(m: Any, s: Sets, p: RoutingProblem) -> list[Term]:
    return [
        Term(m.segment_frac[i_, b_], int(p.instance_server[i]), [int(p.power_w[i, b])], [int(p.airflow_cfm[i, b])])
        for i_, i in s.instances.items()
        for b_, b in s.segments.items()
    ]
