"""Pyomo: the textbook form of a model, solved by any solver that Pyomo drives, or compared with its arrays."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tapas_opt.errors import InvalidInput, NotFound
from tapas_opt.mip.model import MipArrays
from tapas_opt.mip.pyomo_engine import Ending, Limits, run
from tapas_opt.mip.result import MipResult, MipStatus, proven_status
from tapas_opt.mip.trivial import infeasible, unbounded

if TYPE_CHECKING:
    import pyomo.environ as pyo

__all__ = ["Column", "NamedModel", "Row", "arrays_of", "differences", "named", "solve", "warm_up"]

TOLERANCE = 1e-9
"""Numbers of two models are equal when they differ by less than this, relative to max(1, |number|)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model."""

    lower: float
    upper: float
    integer: bool
    cost: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a model; ``coefficients`` go by the names of columns."""

    lower: float
    upper: float
    coefficients: Mapping[str, float]

    def turned(self) -> Row:
        """The same row times -1."""
        return Row(-self.upper, -self.lower, {name: -value for name, value in self.coefficients.items()})


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model by the names of its columns and rows; rows without coefficients are left out."""

    columns: Mapping[str, Column]
    rows: Mapping[str, Row]
    constant: float = 0.0


def solve(
    model: pyo.ConcreteModel,
    *,
    solver: str = "highs",
    deadline_s: float | None,
    gap_frac: float = 1e-4,
    seed: int = 0,
    columns: Sequence[str] | None = None,
    nodes: int | None = None,
) -> MipResult:
    """Solve a Pyomo model; Pyomo is not thread-safe, so one solve at a time in a process.

    Parameters
    ----------
    solver
        Pyomo's name for it, such as ``highs``, ``scip``, ``gurobi``, ``cbc``, ``glpk`` or ``appsi_highs``.
    gap_frac, seed
        For solvers whose names for these are known (`tapas_opt.mip.pyomo_engine`).
    columns
        Names that fix the order of the result's values, such as `MipArrays.column_names()`. Default: the
        order of ``arrays_of(model).columns``.
    nodes
        Stop after so many nodes of the search tree: by work, whatever the clock says.

    Raises
    ------
    NotFound
        The solver is unknown to Pyomo or not installed, or the model lacks one of ``columns``.
    WorkerFailed
        The solver ended in an error.
    """
    began = time.perf_counter()
    ending = run(model, solver, Limits(deadline_s, gap_frac, seed, nodes))
    solve_s = time.perf_counter() - began
    if ending.status is MipStatus.INFEASIBLE:
        return infeasible(solve_s)
    if ending.status is MipStatus.UNBOUNDED:
        return unbounded(solve_s)
    if ending.status is None:
        left_s = None if deadline_s is None else max(0.0, deadline_s - solve_s)
        return _feasible_at_all(model, solver=solver, deadline_s=left_s, gap_frac=gap_frac, seed=seed)
    return _solution(model, ending, columns, gap_frac, solve_s)


def warm_up() -> None:
    """Load Pyomo and HiGHS, so that the first real solve does not wait for them."""
    import pyomo.environ as pyo  # noqa: PLC0415

    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 1))
    model.cost = pyo.Objective(expr=model.x)
    solve(model, deadline_s=1.0)


def arrays_of(model: pyo.ConcreteModel) -> NamedModel:
    """Read a linear Pyomo model that minimises; fixed variables count as numbers.

    Raises
    ------
    InvalidInput
        The objective or a constraint is not linear, or there is not exactly one objective, minimised.
    """
    import pyomo.environ as pyo  # noqa: PLC0415

    cost, constant = _linear("objective", _objective(model).expr)
    columns = {
        _name(v): Column(_number(v.lb, -math.inf), _number(v.ub, math.inf), _is_integer(v), cost.get(_name(v), 0.0))
        for v in model.component_data_objects(pyo.Var, active=True)
    }
    rows = {_name(c): _row(c) for c in model.component_data_objects(pyo.Constraint, active=True)}
    return NamedModel(columns, {name: row for name, row in rows.items() if row.coefficients}, constant)


def named(arrays: MipArrays) -> NamedModel:
    """The arrays by name, as `arrays_of` gives a Pyomo model."""
    names, start = arrays.column_names(), arrays.start.tolist()
    numbers = zip(arrays.lower.tolist(), arrays.upper.tolist(), arrays.integer.tolist(), arrays.cost.tolist())  # noqa: B905
    columns = {name: Column(*column) for name, column in zip(names, numbers, strict=True)}
    entries = [(names[j], a) for j, a in zip(arrays.index.tolist(), arrays.value.tolist(), strict=True)]
    limits = zip(arrays.row_names(), arrays.row_lower.tolist(), arrays.row_upper.tolist(), strict=True)
    rows = {}
    for r, (name, lower, upper) in enumerate(limits):
        coefficients = {column: a for column, a in entries[start[r] : start[r + 1]] if a != 0.0}
        if coefficients:
            rows[name] = Row(lower, upper, coefficients)
    return NamedModel(columns, rows)


def differences(arrays: MipArrays, model: pyo.ConcreteModel) -> list[str]:
    """Every difference between the arrays and the Pyomo model, one line each, by name.

    Pyomo writes ``a >= b`` as ``b - a <= 0``: a row is also equal to its own negative.
    """
    ours, theirs = named(arrays), arrays_of(model)
    found = [f"objective: constant 0 in arrays, {theirs.constant} in Pyomo"] if theirs.constant != 0.0 else []
    found += _only_one_side("column", ours.columns, theirs.columns)
    found += _only_one_side("row", ours.rows, theirs.rows)
    for name in ours.columns.keys() & theirs.columns.keys():
        found += _column_differences(f"column {name}", ours.columns[name], theirs.columns[name])
    for name in ours.rows.keys() & theirs.rows.keys():
        found += _row_differences(f"row {name}", ours.rows[name], theirs.rows[name])
    return sorted(found)


def _solution(model: Any, ending: Ending, columns: Sequence[str] | None, gap_frac: float, solve_s: float) -> MipResult:
    bound = _number(ending.bound, -math.inf)
    if ending.objective is None:
        return MipResult(MipStatus.NO_SOLUTION, None, None, bound, None, solve_s)
    ending.load()
    status = proven_status(ending.objective, bound, gap_frac)
    return MipResult(status, _values(model, columns), ending.objective, min(bound, ending.objective), None, solve_s)


def _values(model: Any, columns: Sequence[str] | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    import pyomo.environ as pyo  # noqa: PLC0415

    values = {_name(v): _value(v) for v in model.component_data_objects(pyo.Var, active=True)}
    missing = [name for name in columns or () if name not in values]
    if missing:
        raise NotFound("column", missing[0], f"{len(missing)} of the names asked for are not in the Pyomo model")
    return np.array([values[name] for name in (values if columns is None else columns)], dtype=np.float64)


def _value(variable: Any) -> float:
    """A variable that no row and no cost mentions has no value: take the one nearest to zero."""
    if variable.value is None:
        return min(max(0.0, _number(variable.lb, -math.inf)), _number(variable.ub, math.inf))
    value = float(variable.value)
    return float(round(value)) if _is_integer(variable) else value


def _feasible_at_all(model: Any, **limits: Any) -> MipResult:
    """Tell unbounded from infeasible: without a cost, only the second has no solution."""
    import pyomo.environ as pyo  # noqa: PLC0415

    costless = model.clone()
    _objective(costless).deactivate()
    costless.add_component("no_cost_at_all", pyo.Objective(expr=0.0))
    result = solve(costless, **limits)
    if result.values is not None:
        return unbounded(result.solve_s)
    return replace(result, bound=math.inf if result.status is MipStatus.INFEASIBLE else -math.inf)


def _objective(model: Any) -> Any:
    import pyomo.environ as pyo  # noqa: PLC0415

    objectives = list(model.component_data_objects(pyo.Objective, active=True))
    if len(objectives) != 1 or objectives[0].sense != pyo.minimize:
        raise InvalidInput.one("Pyomo model", "objective", "needs exactly one active objective, minimised")
    return objectives[0]


def _row(constraint: Any) -> Row:
    coefficients, constant = _linear(_name(constraint), constraint.body)
    lower, upper = constraint.lb, constraint.ub
    return Row(_number(lower, -math.inf) - constant, _number(upper, math.inf) - constant, coefficients)


def _linear(where: str, expression: Any) -> tuple[dict[str, float], float]:
    from pyomo.repn import generate_standard_repn  # noqa: PLC0415

    found = generate_standard_repn(expression, compute_values=True)
    if not found.is_linear():
        raise InvalidInput.one("Pyomo model", where, "is not linear")
    terms = zip(found.linear_vars, found.linear_coefs, strict=True)
    return {_name(variable): float(a) for variable, a in terms if a != 0.0}, float(found.constant)


def _name(component: Any) -> str:
    """``assign[v1,s1]`` whatever the labels look like; Pyomo itself puts some in quotes, such as '1' and 'a,b'."""
    family, index = component.parent_component(), component.index()
    if not family.is_indexed():
        return str(family.name)
    labels = index if isinstance(index, tuple) else (index,)
    return f"{family.name}[{','.join(map(str, labels))}]"


def _is_integer(variable: Any) -> bool:
    return bool(variable.is_integer() or variable.is_binary())


def _number(value: Any, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _only_one_side(kind: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{kind} {name}: only in arrays" for name in ours.keys() - theirs.keys())
    yield from (f"{kind} {name}: only in Pyomo" for name in theirs.keys() - ours.keys())


def _column_differences(where: str, ours: Column, theirs: Column) -> Iterator[str]:
    yield from _number_difference(f"{where}: lower bound", ours.lower, theirs.lower)
    yield from _number_difference(f"{where}: upper bound", ours.upper, theirs.upper)
    yield from _number_difference(f"{where}: cost", ours.cost, theirs.cost)
    if ours.integer != theirs.integer:
        yield f"{where}: integer is {ours.integer} in arrays, {theirs.integer} in Pyomo"


def _row_differences(where: str, ours: Row, theirs: Row) -> list[str]:
    """The shorter list of those against the row and against its negative."""
    return min(_aligned_differences(where, ours, theirs), _aligned_differences(where, ours, theirs.turned()), key=len)


def _aligned_differences(where: str, ours: Row, theirs: Row) -> list[str]:
    found = [
        *_number_difference(f"{where}: lower bound", ours.lower, theirs.lower),
        *_number_difference(f"{where}: upper bound", ours.upper, theirs.upper),
    ]
    for column in ours.coefficients.keys() | theirs.coefficients.keys():
        mine, other = ours.coefficients.get(column, 0.0), theirs.coefficients.get(column, 0.0)
        found += _number_difference(f"{where}: coefficient of {column}", mine, other)
    return found


def _number_difference(where: str, ours: float, theirs: float) -> Iterator[str]:
    if ours != theirs and not abs(ours - theirs) <= TOLERANCE * max(1.0, abs(ours), abs(theirs)):
        yield f"{where} is {ours} in arrays, {theirs} in Pyomo"
