"""Reconfiguration over a horizon as columns and rows: one column for each path (docs/formulation.md, adr/0021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.formulation import Draw, add_budgets
from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput
from tapas_opt.mip.model import ABSENT, MipArrays, MipModel
from tapas_opt.reconfiguration.horizon.paths import HorizonClasses
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.problem import Aim

__all__ = ["decode", "encode", "formulate"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NEVER = "never"
"""Label of the slot in which an instance changes that stays as it is."""


@dataclass(frozen=True, slots=True)
class Columns:
    """``choose[class, choice, slot]``, ``shortfall[endpoint, slot]`` and, by family, ``excess[domain]``."""

    choose: IntArray
    shortfall: IntArray
    excess: dict[Constraint, IntArray]

    def paths(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Class, choice, slot of change and column number of each column of ``choose``."""
        n, c, slot = np.nonzero(self.choose != ABSENT)
        return n, c, slot, self.choose[n, c, slot]


def formulate(problem: HorizonProblem, classes: HorizonClasses) -> MipArrays:
    """The horizon as arrays; the objective is in the columns' costs."""
    model = MipModel()
    x = columns(model, problem, classes)
    instance_has_one_choice(model, x, problem, classes)
    endpoint_demand(model, x, problem, classes)
    add_budgets(model, classes.budgets, draw(x, problem, classes), x.excess)
    change_budget(model, x, problem, classes)
    reload_limit(model, x, problem, classes)
    return model.arrays()


def columns(model: MipModel, problem: HorizonProblem, classes: HorizonClasses) -> Columns:
    """Σ_{n,c,τ} cost_{n,c,τ}·x_{n,c,τ} + Σ_{e,t} unserved·shortfall_{e,t}, under aim EXCESS Σ_d excess_d."""
    costs, slots = problem.aim is Aim.COST, (*problem.slots, NEVER)
    n, c, slot = np.nonzero(classes.path)
    cost = np.zeros(classes.path.shape, dtype=np.int64)
    cost[n, c, slot] = classes.cost(n, c, slot) if costs else 0
    choose = model.columns(
        "choose",
        class_names(problem, classes),
        problem.now.choices.names,
        slots,
        where=classes.path,
        upper=classes.instances.size[:, None, None],
        cost=cost,
        integer=True,
    )
    unserved = problem.now.prices.unserved_token_per_s if costs else 0
    demand = problem.demand_tokens_per_s
    shortfall = model.columns(
        "shortfall", problem.now.endpoints, problem.slots, upper=demand, cost=unserved, integer=True
    )
    excess = {
        family.constraint: model.columns(
            "excess",
            (family.constraint.value,),
            family.domains,
            where=limit > 0,
            upper=limit,
            cost=0 if costs else 1,
            integer=True,
        )[0]
        for family, limit in zip(classes.budgets.families, classes.excess_limit, strict=True)
    }
    return Columns(choose, shortfall, excess)


def instance_has_one_choice(model: MipModel, x: Columns, problem: HorizonProblem, classes: HorizonClasses) -> None:
    """Σ_{c,τ} x_{n,c,τ} = size_n   ∀ n: each instance takes one path."""
    size = classes.instances.size
    rows = model.rows("instance_has_one_choice", class_names(problem, classes), lower=size, upper=size)
    model.add(rows[:, None, None], x.choose, 1)


def endpoint_demand(model: MipModel, x: Columns, problem: HorizonProblem, classes: HorizonClasses) -> None:
    """Σ_{n∈e,c,τ} goodput_{n,c,τ,t}·x_{n,c,τ} + shortfall_{e,t} ≥ demand_{e,t}   ∀ e, t."""
    rows = model.rows("endpoint_demand", problem.now.endpoints, problem.slots, lower=problem.demand_tokens_per_s)
    n, c, slot, column = x.paths()
    goodput = classes.over_slots(classes.options.goodput_tokens_per_s, n, c, slot, loading=False)
    model.add(rows[problem.now.instance_endpoint[classes.instances.first[n]]], column[:, None], goodput)
    model.add(rows, x.shortfall, 1)


def draw(x: Columns, problem: HorizonProblem, classes: HorizonClasses) -> Draw:
    """What each path draws in each slot: before, while weights load the higher, after."""
    n, c, slot, column = x.paths()
    power, airflow = (
        classes.over_slots(table, n, c, slot, loading=True)
        for table in (classes.options.power_w, classes.options.airflow_cfm)
    )
    return Draw(column, problem.now.instance_server[classes.instances.first[n]], power, airflow)


def change_budget(model: MipModel, x: Columns, problem: HorizonProblem, classes: HorizonClasses) -> None:
    """Σ_{n,c} x_{n,c,t} ≤ change_budget   ∀ t, over the classes whose present choice is eligible."""
    if problem.now.change_budget is not None:
        rows = model.rows("change_budget", problem.slots, upper=problem.now.change_budget)
        counts = classes.options.counts_as_change[classes.kind]
        model.add(rows, x.choose[:, :, :-1], counts[:, :, None])


def reload_limit(model: MipModel, x: Columns, problem: HorizonProblem, classes: HorizonClasses) -> None:
    """Σ_{n,c,τ: weights load in t} x_{n,c,τ} ≤ reload_limit   ∀ t."""
    if problem.now.reload_limit is not None:
        n, c, slot, column = x.paths()
        nothing, once = np.zeros_like(column), np.ones_like(column)
        loading = problem.over_slots(nothing, nothing, once, slot, classes.reloads(n, c))
        some = loading.any(axis=0)
        rows = model.rows("reload_limit", problem.slots, where=some, upper=problem.now.reload_limit)
        model.add(rows, column[:, None], loading)


def class_names(problem: HorizonProblem, classes: HorizonClasses) -> tuple[str, ...]:
    """Each class by the name of its first instance."""
    return tuple(problem.now.instances[i] for i in classes.instances.first)


def decode(problem: HorizonProblem, classes: HorizonClasses, values: FloatArray) -> HorizonPlan:
    """Hand each class's counts out to its instances: those that stay first, the others by slot and choice."""
    n, c, slot, column = columns(MipModel(), problem, classes).paths()
    count = np.rint(values[column]).astype(np.int64)
    order = np.lexsort((c, slot, slot != len(problem.slots), n))
    by_class = np.argsort(classes.instances.of, kind="stable")
    choice, when = problem.now.current.copy(), np.full(len(by_class), len(problem.slots))
    taken = np.repeat(order, count[order])
    choice[by_class], when[by_class] = c[taken], slot[taken]
    return problem.plan(choice, when)


def encode(problem: HorizonProblem, classes: HorizonClasses, plan: HorizonPlan) -> FloatArray:
    """The columns' values that a plan means, such as for a start.

    Raises
    ------
    InvalidInput
        An instance's path has no column.
    """
    x, of = columns(MipModel(), problem, classes), classes.instances.of
    choice, slot = problem.chosen(plan)
    strange = np.flatnonzero(x.choose[of, choice, slot] == ABSENT)
    if len(strange):
        name = problem.now.instances[strange[0]]
        raise InvalidInput.one("plan", name, f"{plan.choice_of[name]!r} is not among the paths kept for it")
    values = np.zeros(1 + max(int(b.max(initial=ABSENT)) for b in (x.choose, x.shortfall, *x.excess.values())))
    np.add.at(values, x.choose[of, choice, slot], 1.0)
    goodput = np.zeros(problem.demand_tokens_per_s.shape)
    served = classes.over_slots(classes.options.goodput_tokens_per_s, of, choice, slot, loading=False)
    np.add.at(goodput, problem.now.instance_endpoint, served)
    values[x.shortfall] = np.maximum(0, problem.demand_tokens_per_s - goodput)
    for family in problem.now.budgets.families:
        for number, domain in zip(x.excess[family.constraint], family.domains, strict=True):
            if number != ABSENT:
                values[number] = plan.excess.get((family.constraint, domain), 0.0)
    return values
