"""Reconfiguration as columns and rows over classes of interchangeable instances (docs/formulation.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.formulation import Draw, add_budgets
from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput
from tapas_opt.mip.model import ABSENT, MipArrays, MipModel
from tapas_opt.reconfiguration.classes import ReconfigurationClasses
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationPlan, ReconfigurationProblem

__all__ = ["decode", "encode", "formulate"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Column numbers: ``choose[class, choice]``, ``shortfall[endpoint]`` and, by family, ``excess[domain]``."""

    choose: IntArray
    shortfall: IntArray
    excess: dict[Constraint, IntArray]

    def present(self) -> tuple[IntArray, IntArray, IntArray]:
        """Class, choice and column number of each column of ``choose``."""
        classes, choices = np.nonzero(self.choose != ABSENT)
        return classes, choices, self.choose[classes, choices]


def formulate(problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> MipArrays:
    """Reconfiguration as arrays; the objective is in the columns' costs."""
    model = MipModel()
    x = columns(model, problem, classes)
    instance_has_one_choice(model, x, problem, classes)
    endpoint_demand(model, x, problem, classes)
    add_budgets(model, classes.budgets, draw(x, problem, classes), x.excess)
    change_budget(model, x, problem, classes)
    return model.arrays()


def columns(model: MipModel, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> Columns:
    """Σ_{n,c} cost_{n,c}·x_{n,c} + Σ_e unserved·shortfall_e, under aim EXCESS Σ_d excess_d.

    cost is quality + energy + changes + iaas_performance. An opaque VM that has not agreed to be slowed has no column.

    Index letter n counts classes, c choices, d domains; x is how many instances of a class take a choice.
    """
    options, endpoints, demand = classes.options, problem.endpoints, problem.demand_tokens_per_s
    costs = problem.aim is Aim.COST
    choose = model.columns(
        "choose",
        class_names(problem, classes),
        problem.choices.names,
        where=options.kept[classes.kind],
        upper=classes.instances.size[:, None],
        cost=options.cost[classes.kind] if costs else 0,
        integer=True,
    )
    unserved = problem.prices.unserved_token_per_s if costs else 0
    shortfall = model.columns("shortfall", endpoints, upper=demand, cost=unserved, integer=True)
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


def instance_has_one_choice(
    model: MipModel, x: Columns, problem: ReconfigurationProblem, classes: ReconfigurationClasses
) -> None:
    """Σ_c x_{n,c} = size_n   ∀ n: so many choices as the class has instances."""
    size = classes.instances.size
    rows = model.rows("instance_has_one_choice", class_names(problem, classes), lower=size, upper=size)
    model.add(rows[:, None], x.choose, 1)


def endpoint_demand(
    model: MipModel, x: Columns, problem: ReconfigurationProblem, classes: ReconfigurationClasses
) -> None:
    """Σ_{n∈e,c} goodput_{n,c}·x_{n,c} + shortfall_e ≥ demand_e   ∀ e."""
    rows = model.rows("endpoint_demand", problem.endpoints, lower=problem.demand_tokens_per_s)
    of_class = problem.instance_endpoint[classes.instances.first]
    model.add(rows[of_class, None], x.choose, classes.options.goodput_tokens_per_s[classes.kind])
    model.add(rows, x.shortfall, 1)


def draw(x: Columns, problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> Draw:
    """What each column of ``choose`` draws in every slot: power and air of its choice, on its class's domains."""
    n, c, column = x.present()
    kind, slots = classes.kind[n], len(problem.budgets.slots)
    power, airflow = classes.options.power_w[kind, c], classes.options.airflow_cfm[kind, c]
    server = problem.instance_server[classes.instances.first[n]]
    return Draw(column, server, np.repeat(power[:, None], slots, axis=1), np.repeat(airflow[:, None], slots, axis=1))


def change_budget(
    model: MipModel, x: Columns, problem: ReconfigurationProblem, classes: ReconfigurationClasses
) -> None:
    """Σ_{n, c ≠ current_n} x_{n,c} ≤ change_budget, over the classes whose present choice is eligible."""
    if problem.change_budget is not None:
        row = model.rows("change_budget", upper=problem.change_budget)
        model.add(row, x.choose, classes.options.counts_as_change[classes.kind])


def class_names(problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> tuple[str, ...]:
    """Each class by the name of its first instance."""
    return tuple(problem.instances[i] for i in classes.instances.first)


def decode(problem: ReconfigurationProblem, classes: ReconfigurationClasses, values: FloatArray) -> ReconfigurationPlan:
    """Hand each class's counts out to its instances, the present choice first, the others in their order.

    The excess declared is what the plan causes, which may be less than the columns say.
    """
    choose = _numbered(problem, classes).choose
    count = np.where(choose == ABSENT, 0, np.rint(values)[choose]).astype(np.int64)
    choice = problem.current.copy()
    by_class = np.argsort(classes.instances.of, kind="stable")
    ends = np.cumsum(classes.instances.size)
    for n, end in enumerate(ends):
        present = problem.current[classes.instances.first[n]]
        order = np.argsort(np.arange(count.shape[1]) != present, kind="stable")
        choice[by_class[end - classes.instances.size[n] : end]] = np.repeat(order, count[n, order])
    return problem.plan(choice)


def encode(problem: ReconfigurationProblem, classes: ReconfigurationClasses, plan: ReconfigurationPlan) -> FloatArray:
    """The columns' values that a plan means, such as for a start.

    Raises
    ------
    InvalidInput
        An instance's choice has no column: it is not eligible, or another one is better in every respect.
    """
    x, options = _numbered(problem, classes), classes.options
    choice, of = problem.chosen(plan), classes.instances.of
    strange = np.flatnonzero(x.choose[of, choice] == ABSENT)
    if len(strange):
        name = problem.instances[strange[0]]
        raise InvalidInput.one("plan", name, f"{plan.choice_of[name]!r} is not among the choices kept for it")
    values = np.zeros(_count(x))
    np.add.at(values, x.choose[of, choice], 1.0)
    goodput = np.zeros(len(problem.endpoints))
    np.add.at(goodput, problem.instance_endpoint, options.goodput_tokens_per_s[options.kinds.of, choice])
    values[x.shortfall] = np.maximum(0, problem.demand_tokens_per_s - goodput)
    for family in problem.budgets.families:
        for column, domain in zip(x.excess[family.constraint], family.domains, strict=True):
            if column != ABSENT:
                values[column] = plan.excess.get((family.constraint, domain), 0.0)
    return values


def _numbered(problem: ReconfigurationProblem, classes: ReconfigurationClasses) -> Columns:
    return columns(MipModel(), problem, classes)


def _count(x: Columns) -> int:
    return 1 + max(int(block.max(initial=ABSENT)) for block in (x.choose, x.shortfall, *x.excess.values()))
