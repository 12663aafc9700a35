"""The horizon in Pyomo: the textbook witness of :mod:`tapas_opt.reconfiguration.horizon.formulation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapas_opt.budgets.reference import Term, add_budgets
from tapas_opt.reconfiguration.horizon.paths import HorizonClasses
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Aim

if TYPE_CHECKING:
    import pyomo.environ as pyo

__all__ = ["reference"]


def reference(problem: HorizonProblem, classes: HorizonClasses) -> pyo.ConcreteModel:
    """The horizon over classes of interchangeable instances, constraint by constraint."""
    import pyomo.environ as pyo  # noqa: PLC0415  (a second to import; only the reference needs it)

    model = pyo.ConcreteModel("horizon")
    paths = _variables(model, problem, classes)
    _objective(model, problem, paths)
    _instance_has_one_choice(model, problem, classes, paths)
    _endpoint_demand(model, problem, paths)
    _budgets(model, problem, classes, paths)
    _change_budget(model, problem, paths)
    _reload_limit(model, problem, paths)
    return model


class _Path:
    """One class on its way from its present choice to another one, slot by slot."""

    def __init__(self, problem: HorizonProblem, classes: HorizonClasses, n: int, c: int, begins: int) -> None:
        options, kind = classes.options, int(classes.kind[n])
        instance = int(classes.instances.first[n])
        now = int(problem.now.current[instance])
        changes = begins < len(problem.slots)
        loads = changes and bool(problem.now.reload[now, c])
        states = [
            "before" if t < begins else "loading" if loads and t < begins + problem.reload_slots else "after"
            for t in range(len(problem.slots))
        ]

        def along(table: Any, *, while_loading: bool) -> list[int]:
            old, new = int(table[kind, now]), int(table[kind, c])
            value = {"before": old, "loading": max(old, new) if while_loading else 0, "after": new}
            return [value[state] for state in states]

        running = options.quality + options.energy + options.iaas_performance
        self.server = int(problem.now.instance_server[instance])
        self.endpoint = problem.now.endpoints[problem.now.instance_endpoint[instance]]
        self.goodput = along(options.goodput_tokens_per_s, while_loading=False)
        self.power_w = along(options.power_w, while_loading=True)
        self.airflow_cfm = along(options.airflow_cfm, while_loading=True)
        self.loading = [int(state == "loading") for state in states]
        self.begins = begins
        self.counts = bool(options.counts_as_change[kind, c])
        self.cost = sum(along(running, while_loading=True)) + len(states) * int(options.changes[kind, c])


def _variables(model: Any, problem: HorizonProblem, classes: HorizonClasses) -> dict[Any, _Path]:
    import pyomo.environ as pyo  # noqa: PLC0415

    names = [problem.now.instances[i] for i in classes.instances.first]
    slots = (*problem.slots, "never")
    paths = {
        (names[n], problem.now.choices.names[c], slots[t]): _Path(problem, classes, n, c, t)
        for n, c, t in np.argwhere(classes.path).tolist()
    }
    limits = {
        (family.constraint.value, domain): int(most)
        for family, limit in zip(problem.now.budgets.families, classes.excess_limit, strict=True)
        for domain, most in zip(family.domains, limit, strict=True)
        if most > 0
    }
    size = dict(zip(names, classes.instances.size.tolist(), strict=True))
    demand = {
        (endpoint, slot): int(problem.demand_tokens_per_s[e, t])
        for e, endpoint in enumerate(problem.now.endpoints)
        for t, slot in enumerate(problem.slots)
    }
    whole = pyo.NonNegativeIntegers
    model.choose = pyo.Var(list(paths), domain=whole, bounds=lambda _, name, *__: (0, size[name]))
    model.shortfall = pyo.Var(list(demand), domain=whole, bounds=lambda _, *at: (0, demand[at]))
    model.excess = pyo.Var(list(limits), domain=whole, bounds=lambda _, *at: (0, limits[at]))
    return paths


def _objective(model: Any, problem: HorizonProblem, paths: dict[Any, _Path]) -> None:
    """Σ cost·x + Σ_{e,t} unserved·shortfall, under aim EXCESS Σ_d excess_d."""
    import pyomo.environ as pyo  # noqa: PLC0415

    if problem.aim is Aim.EXCESS:
        model.objective = pyo.Objective(expr=pyo.quicksum(model.excess.values()))
        return
    spent = pyo.quicksum(path.cost * model.choose[key] for key, path in paths.items())
    unserved = problem.now.prices.unserved_token_per_s * pyo.quicksum(model.shortfall.values())
    model.objective = pyo.Objective(expr=spent + unserved)


def _instance_has_one_choice(
    model: Any, problem: HorizonProblem, classes: HorizonClasses, paths: dict[Any, _Path]
) -> None:
    """Σ_{c,τ} x_{n,c,τ} = size_n   ∀ n."""
    import pyomo.environ as pyo  # noqa: PLC0415

    names = [problem.now.instances[i] for i in classes.instances.first]

    def rule(_: Any, name: str) -> Any:
        return pyo.quicksum(model.choose[key] for key in paths if key[0] == name) == int(
            classes.instances.size[names.index(name)]
        )

    model.instance_has_one_choice = pyo.Constraint(names, rule=rule)


def _endpoint_demand(model: Any, problem: HorizonProblem, paths: dict[Any, _Path]) -> None:
    """Σ_{n∈e,c,τ} goodput_{n,c,τ,t}·x_{n,c,τ} + shortfall_{e,t} ≥ demand_{e,t}   ∀ e, t."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(_: Any, endpoint: str, slot: str) -> Any:
        e, t = problem.now.endpoints.index(endpoint), problem.slots.index(slot)
        of_endpoint = ((key, path) for key, path in paths.items() if path.endpoint == endpoint)
        served = pyo.quicksum(path.goodput[t] * model.choose[key] for key, path in of_endpoint)
        return served + model.shortfall[endpoint, slot] >= int(problem.demand_tokens_per_s[e, t])

    model.endpoint_demand = pyo.Constraint(problem.now.endpoints, problem.slots, rule=rule)


def _budgets(model: Any, problem: HorizonProblem, classes: HorizonClasses, paths: dict[Any, _Path]) -> None:
    """Σ share · draw · x ≤ limit − base + excess   ∀ family, domain, slot that can bind."""
    terms = [Term(model.choose[key], path.server, path.power_w, path.airflow_cfm) for key, path in paths.items()]
    excess = {
        family.constraint: {
            domain: model.excess[key] if (key := (family.constraint.value, domain)) in model.excess else 0
            for domain in family.domains
        }
        for family in classes.budgets.families
    }
    add_budgets(model, classes.budgets, terms, excess)


def _change_budget(model: Any, problem: HorizonProblem, paths: dict[Any, _Path]) -> None:
    """Σ_{n,c} x_{n,c,t} ≤ change_budget   ∀ t, over the classes whose present choice is eligible."""
    import pyomo.environ as pyo  # noqa: PLC0415

    most = problem.now.change_budget

    def rule(_: Any, slot: str) -> Any:
        counted = [model.choose[key] for key, path in paths.items() if key[2] == slot and path.counts]
        return pyo.quicksum(counted) <= most if counted else pyo.Constraint.Skip

    if most is not None:
        model.change_budget = pyo.Constraint(problem.slots, rule=rule)


def _reload_limit(model: Any, problem: HorizonProblem, paths: dict[Any, _Path]) -> None:
    """Σ_{n,c,τ: weights load in t} x_{n,c,τ} ≤ reload_limit   ∀ t."""
    import pyomo.environ as pyo  # noqa: PLC0415

    most = problem.now.reload_limit

    def rule(_: Any, slot: str) -> Any:
        t = problem.slots.index(slot)
        loading = [model.choose[key] for key, path in paths.items() if path.loading[t]]
        return pyo.quicksum(loading) <= most if loading else pyo.Constraint.Skip

    if most is not None:
        model.reload_limit = pyo.Constraint(problem.slots, rule=rule)
