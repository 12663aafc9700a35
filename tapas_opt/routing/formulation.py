"""The routing plan as columns and rows: a linear program over classes of interchangeable instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.formulation import Draw, add_budgets, add_draw
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Constraint
from tapas_opt.mip.model import ABSENT, MipArrays, MipModel
from tapas_opt.routing.problem import RoutingClasses, RoutingPlan, RoutingProblem, peak_step, present_permille
from tapas_opt.routing.spread import spread

__all__ = ["decode", "encode", "formulate"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Numbers of the columns.

    Attributes
    ----------
    route_frac
        ``[class, instances]`` share of a request class that a class of instances takes together.
    unserved_frac
        ``[class]`` share that nobody takes.
    segment_frac
        ``[instances, segment]`` how many members' worth of the segment is used.
    peak_increase
        ``[priced family]`` thousandths by which its highest utilisation rises.
    draw
        What the segments draw, and where.
    """

    route_frac: IntArray
    unserved_frac: IntArray
    segment_frac: IntArray
    peak_increase: IntArray
    draw: Draw


def formulate(problem: RoutingProblem, classes: RoutingClasses) -> MipArrays:
    """Routing as columns and rows (docs/formulation.md, "Routing")."""
    model = MipModel()
    x = columns(model, problem, classes)
    endpoint_demand(model, x, problem)
    instance_goodput(model, x, problem, classes)
    add_budgets(model, classes.budgets, x.draw)
    gpu_temperature_limit(model, x, problem, classes)
    peak_utilisation(model, x, problem, classes)
    return model.arrays()


def columns(model: MipModel, problem: RoutingProblem, classes: RoutingClasses) -> Columns:
    """The columns, each with its term of the objective: unserved demand, latency and energy, nearness to a limit."""
    first, size = classes.instances.first, classes.instances.size
    names = [problem.instances[i] for i in first]
    may_take = problem.open_instances[first]
    same_endpoint = problem.class_endpoint[:, None] == problem.instance_endpoint[first]
    segments = _segment_labels(problem)
    unserved_cost = problem.prices.unserved_tokens_per_s * problem.class_tokens_per_s
    route_frac = model.columns("route_frac", problem.classes, names, where=same_endpoint & may_take, upper=1.0)
    unserved_frac = model.columns("unserved_frac", problem.classes, upper=1.0, cost=unserved_cost)
    segment_frac = model.columns(
        "segment_frac",
        names,
        segments,
        where=may_take[:, None],
        upper=size[:, None],
        cost=problem.segment_cost[first],
    )
    priced = _priced(problem, classes)
    prices = [problem.prices.peak_permille[family.constraint] for family in priced]
    peak_increase = model.columns("peak_increase", [family.constraint for family in priced], cost=prices)
    draw = _draw(problem, classes, segment_frac)
    return Columns(route_frac, unserved_frac, segment_frac, peak_increase, draw)


def endpoint_demand(model: MipModel, x: Columns, problem: RoutingProblem) -> None:
    """Σ_i route_frac[q,i] + unserved_frac[q] = 1   ∀ q."""
    rows = model.rows(Constraint.ENDPOINT_DEMAND, problem.classes, lower=1.0, upper=1.0)
    model.add(rows[:, None], x.route_frac, 1.0)
    model.add(rows, x.unserved_frac, 1.0)


def instance_goodput(model: MipModel, x: Columns, problem: RoutingProblem, classes: RoutingClasses) -> None:
    """Σ_q work[q]·route_frac[q,i] ≤ Σ_b width[b]·goodput[i]·segment_frac[i,b]   ∀ i."""
    first = classes.instances.first
    names = [problem.instances[i] for i in first]
    rows = model.rows(Constraint.INSTANCE_GOODPUT, names, where=problem.open_instances[first], upper=0.0)
    model.add(rows, x.route_frac, problem.class_work[:, None])
    model.add(rows[:, None], x.segment_frac, -problem.segment_work[first])


def gpu_temperature_limit(model: MipModel, x: Columns, problem: RoutingProblem, classes: RoutingClasses) -> None:
    """Σ_b gpu_power_w[i,b]·segment_frac[i,b] ≤ members[i]·gpu_headroom_w[i]   ∀ i."""
    first, size = classes.instances.first, classes.instances.size
    names = [problem.instances[i] for i in first]
    headroom = size * problem.gpu_headroom_w[first]
    rows = model.rows(Constraint.GPU_TEMPERATURE_LIMIT, names, where=problem.open_instances[first], upper=headroom)
    model.add(rows[:, None], x.segment_frac, problem.gpu_power_w[first])


def peak_utilisation(model: MipModel, x: Columns, problem: RoutingProblem, classes: RoutingClasses) -> None:
    """Σ share·draw·segment_frac ≤ step·(present + peak_increase[family]) − base   ∀ priced family, domain."""
    for family, increase in zip(_priced(problem, classes), x.peak_increase, strict=True):
        step = peak_step(family)
        free = step * present_permille(family) - family.base
        axes = [family.constraint], family.domains, classes.budgets.slots
        rows = model.rows(Constraint.PEAK_UTILISATION, *axes, upper=free[None])[0]
        add_draw(model, rows, family, x.draw)
        model.add(rows, increase, -step)


def decode(problem: RoutingProblem, classes: RoutingClasses, values: FloatArray) -> RoutingPlan:
    """The plan that the columns' values mean, for named instances.

    Members of a class get equal parts. The rows see only the work that an instance gets in all, not of which classes
    of its endpoint; so each class is spread alike over its endpoint's instances, where a vertex of the linear program
    would give each class to as few as it can and leave a wrong forecast of the mix no way to even out.
    """
    x = columns(MipModel(), problem, classes)
    route_frac = np.where(x.route_frac == ABSENT, 0.0, values[x.route_frac]).clip(0.0)
    work = problem.class_work @ route_frac / classes.instances.size
    unserved = values[x.unserved_frac].clip(0.0, 1.0)
    unserved[problem.class_tokens_per_s == 0] = 0.0
    return spread(problem, work[classes.instances.of], unserved)


def encode(problem: RoutingProblem, classes: RoutingClasses, plan: RoutingPlan) -> FloatArray:
    """Values of the columns for a plan, which need not treat the members of a class alike."""
    model = MipModel()
    x = columns(model, problem, classes)
    share = _share(problem, plan)
    used = _segments_used(problem, problem.class_work @ share)
    values = np.zeros(model.arrays().columns_count)
    _put(values, x.route_frac, _by_class(share.T, classes).T)
    _put(values, x.unserved_frac, np.array([plan.unserved_frac.get(name, 0.0) for name in problem.classes]))
    _put(values, x.segment_frac, _by_class(used, classes))
    for family, column in zip(_priced(problem, classes), x.peak_increase, strict=True):
        values[column] = _increase(family, x.draw, values)
    return values


def _segment_labels(problem: RoutingProblem) -> list[str]:
    return [f"to{breakpoint}" for breakpoint in problem.breakpoints_permille[1:]]


def _priced(problem: RoutingProblem, classes: RoutingClasses) -> list[BudgetFamily]:
    return [family for family in classes.budgets.families if family.constraint in problem.prices.peak_permille]


def _draw(problem: RoutingProblem, classes: RoutingClasses, segment_frac: IntArray) -> Draw:
    first = classes.instances.first
    server = np.repeat(problem.instance_server[first], segment_frac.shape[1])
    power, airflow = problem.power_w[first].reshape(-1, 1), problem.airflow_cfm[first].reshape(-1, 1)
    return Draw(segment_frac.ravel(), server, power, airflow)


def _share(problem: RoutingProblem, plan: RoutingPlan) -> FloatArray:
    """``[class, instance]`` the plan's shares."""
    number = {name: i for i, name in enumerate(problem.instances)}
    share = np.zeros((len(problem.classes), len(problem.instances)))
    for q, name in enumerate(problem.classes):
        given = plan.shares.get(name, {})
        share[q, [number[instance] for instance in given]] = list(given.values())
    return share


def _segments_used(problem: RoutingProblem, work: FloatArray) -> FloatArray:
    """``[instance, segment]`` fraction of each segment that the work fills, in order."""
    width = problem.segment_work
    before = np.cumsum(width, axis=1) - width
    return np.asarray(((work[:, None] - before) / np.where(width > 0, width, 1.0)).clip(0.0, 1.0))


def _by_class(values: FloatArray, classes: RoutingClasses) -> FloatArray:
    """Sum the rows of ``[instance, …]`` by class of instances."""
    total = np.zeros((classes.instances.count, values.shape[1]))
    np.add.at(total, classes.instances.of, values)
    return total


def _put(values: FloatArray, columns: IntArray, numbers: FloatArray) -> None:
    values[columns[columns != ABSENT]] = numbers[columns != ABSENT]


def _increase(family: BudgetFamily, draw: Draw, values: FloatArray) -> float:
    """The least that ``peak_increase`` may be under the values of the segments' columns."""
    used = np.where(draw.column == ABSENT, 0.0, values[draw.column])
    load = family.base[:, 0].astype(np.float64)
    for member, share in zip(family.member[draw.server].T, family.share_permille[draw.server].T, strict=True):
        np.add.at(
            load,
            member.clip(0),
            np.where(member >= 0, family.counted(draw.power_w, draw.airflow_cfm)[:, 0] * share / 1000 * used, 0.0),
        )
    return max(0.0, float((load / peak_step(family)[:, 0]).max(initial=0.0)) - present_permille(family))
