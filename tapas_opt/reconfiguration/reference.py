"""Reconfiguration in Pyomo: the textbook witness of :mod:`tapas_opt.reconfiguration.formulation`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tapas_opt.budgets.reference import Term, add_budgets
from tapas_opt.reconfiguration.classes import ReconfigurationClasses
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationProblem

if TYPE_CHECKING:
    import pyomo.environ as pyo

__all__ = ["reference"]


def reference(problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> pyo.ConcreteModel:
    """Reconfiguration over classes of interchangeable instances, constraint by constraint."""
    import pyomo.environ as pyo  # noqa: PLC0415  (a second to import; only the reference needs it)

    model = pyo.ConcreteModel("reconfiguration")
    _variables(model, problem, classes)
    _objective(model, problem, classes)
    _instance_has_one_choice(model, classes)
    _endpoint_demand(model, problem, classes)
    _budgets(model, problem, classes)
    _change_budget(model, problem, classes)
    return model


def _variables(model: Any, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> None:
    import pyomo.environ as pyo  # noqa: PLC0415

    kept = classes.options.kept[classes.kind]
    names = [problem.instances[i] for i in classes.instances.first]
    limits = {
        (family.constraint.value, domain): int(most)
        for family, limit in zip(problem.budgets.families, classes.excess_limit, strict=True)
        for domain, most in zip(family.domains, limit, strict=True)
        if most > 0
    }
    size = dict(zip(names, classes.instances.size.tolist(), strict=True))
    demand = dict(zip(problem.endpoints, problem.demand_tokens_per_s.tolist(), strict=True))
    model.number = {name: n for n, name in enumerate(names)}
    model.chosen = {(names[n], problem.choices.names[c]): (n, c) for n, c in np.argwhere(kept).tolist()}
    model.choose = pyo.Var(
        list(model.chosen), domain=pyo.NonNegativeIntegers, bounds=lambda _, name, __: (0, size[name])
    )
    model.shortfall = pyo.Var(
        problem.endpoints, domain=pyo.NonNegativeIntegers, bounds=lambda _, endpoint: (0, demand[endpoint])
    )
    model.excess = pyo.Var(
        list(limits), domain=pyo.NonNegativeIntegers, bounds=lambda _, family, domain: (0, limits[family, domain])
    )


def _objective(model: Any, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> None:
    """Σ_{n,c} (quality + energy + changes + iaas_performance)·x + Σ_e unserved·shortfall_e, or Σ_d excess_d."""
    import pyomo.environ as pyo  # noqa: PLC0415

    if problem.aim is Aim.EXCESS:
        model.objective = pyo.Objective(expr=pyo.quicksum(model.excess.values()))
        return
    options, price = classes.options, problem.prices.unserved_token_per_s
    terms = {key: (classes.kind[n], c) for key, (n, c) in model.chosen.items()}
    quality = pyo.quicksum(int(options.quality[at]) * model.choose[key] for key, at in terms.items())
    energy = pyo.quicksum(int(options.energy[at]) * model.choose[key] for key, at in terms.items())
    changes = pyo.quicksum(int(options.changes[at]) * model.choose[key] for key, at in terms.items())
    slowed = pyo.quicksum(int(options.iaas_performance[at]) * model.choose[key] for key, at in terms.items())
    unserved = price * pyo.quicksum(model.shortfall.values())
    model.objective = pyo.Objective(expr=unserved + quality + energy + changes + slowed)


def _instance_has_one_choice(model: Any, classes: ReconfigurationClasses) -> None:
    """Σ_c x_{n,c} = size_n   ∀ n."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(_: Any, name: str) -> Any:
        taken = pyo.quicksum(model.choose[key] for key in model.chosen if key[0] == name)
        return taken == int(classes.instances.size[model.number[name]])

    model.instance_has_one_choice = pyo.Constraint(list(model.number), rule=rule)


def _endpoint_demand(model: Any, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> None:
    """Σ_{n∈e,c} goodput_{n,c}·x_{n,c} + shortfall_e ≥ demand_e   ∀ e."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(_: Any, endpoint: str) -> Any:
        served = pyo.quicksum(
            int(classes.options.goodput_tokens_per_s[classes.kind[n], c]) * model.choose[key]
            for key, (n, c) in model.chosen.items()
            if problem.endpoints[problem.instance_endpoint[classes.instances.first[n]]] == endpoint
        )
        demand = int(problem.demand_tokens_per_s[problem.endpoints.index(endpoint)])
        return served + model.shortfall[endpoint] >= demand

    model.endpoint_demand = pyo.Constraint(problem.endpoints, rule=rule)


def _budgets(model: Any, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> None:
    """Σ share · draw · x ≤ limit − base + excess   ∀ family, domain, slot that can bind."""
    slots = len(problem.budgets.slots)
    options = classes.options
    terms = [
        Term(
            variable=model.choose[key],
            server=int(problem.instance_server[classes.instances.first[n]]),
            power_w=[int(options.power_w[classes.kind[n], c])] * slots,
            airflow_cfm=[int(options.airflow_cfm[classes.kind[n], c])] * slots,
        )
        for key, (n, c) in model.chosen.items()
    ]
    excess = {
        family.constraint: {
            domain: model.excess[key] if (key := (family.constraint.value, domain)) in model.excess else 0
            for domain in family.domains
        }
        for family in classes.budgets.families
    }
    add_budgets(model, classes.budgets, terms, excess)


def _change_budget(model: Any, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> None:
    """Σ_{n, c ≠ current_n} x_{n,c} ≤ change_budget, over the classes whose present choice is eligible."""
    import pyomo.environ as pyo  # noqa: PLC0415

    if problem.change_budget is None:
        return
    counted = [
        model.choose[key]
        for key, (n, c) in model.chosen.items()
        if classes.options.counts_as_change[classes.kind[n], c]
    ]
    if counted:
        model.change_budget = pyo.Constraint(expr=pyo.quicksum(counted) <= problem.change_budget)
