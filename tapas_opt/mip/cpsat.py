"""CP-SAT: models in integers only, written straight into its protocol buffer."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapas_opt.errors import WorkerFailed
from tapas_opt.mip.integers import EDGE, IntegerArrays, in_integers
from tapas_opt.mip.machine import cores
from tapas_opt.mip.model import FloatArray, MipArrays, MipModel
from tapas_opt.mip.result import MipResult, MipStatus, Report, proven_status
from tapas_opt.mip.trivial import infeasible, trivial_result, unbounded

__all__ = ["solve", "warm_up"]

PRESOLVED_PER_S = 5_000
"""Columns whose presolve is worth its time, per second of deadline, when there is a start to improve.

Of a large model presolve takes all the time there is, and no solution comes of it; without presolve CP-SAT betters the
start at once.
"""


def solve(
    arrays: MipArrays,
    *,
    deadline_s: float | None,
    gap_frac: float = 1e-4,
    seed: int = 0,
    threads: int | None = None,
    start: FloatArray | None = None,
    work: float | None = None,
    report: Report | None = None,
) -> MipResult:
    """Solve the model with CP-SAT.

    A column without finite bounds is boxed by what the rows and its cost allow. If even these leave it open
    it is searched up to ±1e9 only: then no bound is proven, a model without solution in there is
    NO_SOLUTION, and one whose cost falls right up to that edge is UNBOUNDED.

    Parameters
    ----------
    deadline_s
        Soft limit, None for none; only ending the process keeps a deadline.
    gap_frac
        Stop once bound and objective are this near, relative to the objective.
    seed
        Same seed, same answer, if ``threads`` is 1; several threads race each other.
    threads
        Default: every core that this process may use.
    start
        A complete solution as hint. CP-SAT may lose it when presolve takes all the time (google/or-tools#3750):
        large models are then not presolved, and the caller still keeps its own incumbent.
    work
        Stop after so many of CP-SAT's deterministic seconds, with one thread: at the same place on any machine.
    report
        Told of solutions and bounds as they come.

    Returns
    -------
    MipResult
        Never with ``row_duals``. Objective and bound are in the model's own unit.

    Raises
    ------
    InvalidInput
        A column is continuous, a row or a cost is no multiple of 1e-6, or numbers do not fit 64 bits.
    WorkerFailed
        CP-SAT calls the model invalid.
    """
    arrays.require_numbers()
    trivial = trivial_result(arrays)
    if trivial is not None:
        return trivial
    began = time.perf_counter()
    integers = in_integers(arrays)
    if integers.crossed:
        return infeasible()
    answer = _answer(
        _model(arrays, integers, start),
        None if report is None else _Listener(arrays, integers, report),
        cp_model_presolve=start is None or deadline_s is None or arrays.columns_count <= PRESOLVED_PER_S * deadline_s,
        **_parameters(deadline_s, gap_frac, seed, threads, work),
    )
    solve_s = time.perf_counter() - began
    result = _result(answer, arrays, integers, gap_frac, solve_s)
    if answer.status == "INFEASIBLE" and result.status is MipStatus.NO_SOLUTION and arrays.cost.any():
        # Without a cost more columns have a box, so that the same may be proven after all.
        left_s = None if deadline_s is None else deadline_s - solve_s
        costless = solve(arrays.costless, deadline_s=left_s, seed=seed, threads=threads, work=work)
        return costless if costless.status is MipStatus.INFEASIBLE else result
    return result


def warm_up() -> None:
    """Load CP-SAT and solve one column with it, so that the first real solve does not wait for it."""
    model = MipModel()
    model.columns("x", upper=1.0, integer=True)
    solve(model.arrays(), deadline_s=1.0)


def _parameters(
    deadline_s: float | None, gap_frac: float, seed: int, threads: int | None, work: float | None
) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "num_workers": 1 if work is not None else cores() if threads is None else threads,
        "random_seed": seed,
        "relative_gap_limit": gap_frac,
    }
    if deadline_s is not None:
        parameters["max_time_in_seconds"] = max(0.0, deadline_s)
    if work is not None:
        parameters["max_deterministic_time"] = work
    return parameters


@dataclass(frozen=True, slots=True)
class _Answer:
    """CP-SAT's answer, copied out of its protocol buffer; ``bound`` counts integer costs."""

    status: str
    values: FloatArray | None
    bound: float


class _Listener:
    """Translates what CP-SAT tells on its way; its threads take turns."""

    def __init__(self, arrays: MipArrays, integers: IntegerArrays, report: Report) -> None:
        self._arrays, self._integers, self._report = arrays, integers, report
        self._turn = threading.Lock()
        self._objective, self._bound = np.inf, -np.inf

    def solution(self, values: FloatArray) -> None:
        """A better solution; the box at whose edge it may lie is judged at the end."""
        with self._turn:
            self._objective = self._arrays.objective(values)
            self._report(self._objective, self._bound, values)

    def bound(self, bound: float) -> None:
        """A better bound, counted in integer costs; it proves nothing about what lies outside a box of ours."""
        with self._turn:
            if not self._integers.open.any():
                self._bound = max(self._bound, bound / self._integers.cost_scale)
                self._report(self._objective, self._bound, None)


def _answer(model: Any, listener: _Listener | None, **parameters: Any) -> _Answer:
    from ortools.sat.python import cp_model  # noqa: PLC0415 - importing tapas_opt must not load a solver

    solver = cp_model.CpSolver()
    for name, value in parameters.items():
        setattr(solver.parameters, name, value)
    if listener is not None:
        solver.best_bound_callback = listener.bound
    status = solver.status_name(solver.solve(model, None if listener is None else _solutions(listener)))
    if status == "MODEL_INVALID":
        raise WorkerFailed(f"CP-SAT calls the model invalid: {model.validate()}")
    found = status in ("OPTIMAL", "FEASIBLE")
    values = np.array(list(solver.response_proto.solution), dtype=np.float64) if found else None
    return _Answer(status, values, solver.best_objective_bound)


def _solutions(listener: _Listener) -> Any:
    from ortools.sat.python import cp_model  # noqa: PLC0415

    class Solutions(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
        def on_solution_callback(self) -> None:
            listener.solution(np.array(list(self.response_proto.solution), dtype=np.float64))

    return Solutions()


def _model(arrays: MipArrays, integers: IntegerArrays, start: FloatArray | None) -> Any:
    from ortools.sat.python import cp_model  # noqa: PLC0415

    model = cp_model.CpModel()
    _add_columns(model.proto, integers)
    _add_rows(model.proto, arrays, integers)
    priced = np.flatnonzero(integers.cost)
    if len(priced):
        model.proto.objective.vars.extend(priced.tolist())
        model.proto.objective.coeffs.extend(integers.cost[priced].tolist())
    if start is not None:
        _add_hint(model.proto, arrays, start)
    return model


def _add_columns(proto: Any, integers: IntegerArrays) -> None:
    """Each distinct pair of bounds is written once and copied: far fewer Python calls than one a column."""
    from ortools.sat.python import cp_model_helper  # noqa: PLC0415

    pairs, kind = np.unique(np.stack([integers.lower, integers.upper], axis=1), axis=0, return_inverse=True)
    kinds = [cp_model_helper.IntegerVariableProto() for _ in pairs]
    for column, pair in zip(kinds, pairs.tolist(), strict=True):
        column.domain.extend(pair)
    proto.variables.extend([kinds[k] for k in kind.ravel().tolist()])


def _add_rows(proto: Any, arrays: MipArrays, integers: IntegerArrays) -> None:
    start, index, value = arrays.start.tolist(), arrays.index.tolist(), integers.value.tolist()
    limits = zip(integers.row_lower.tolist(), integers.row_upper.tolist(), strict=True)
    for r, limit in enumerate(limits):
        linear = proto.constraints.add().linear
        linear.vars.extend(index[start[r] : start[r + 1]])
        linear.coeffs.extend(value[start[r] : start[r + 1]])
        linear.domain.extend(limit)


def _add_hint(proto: Any, arrays: MipArrays, start: FloatArray) -> None:
    arrays.require_start(start)
    proto.solution_hint.vars.extend(range(len(start)))
    proto.solution_hint.values.extend(np.rint(start).astype(np.int64).tolist())


def _result(answer: _Answer, arrays: MipArrays, integers: IntegerArrays, gap_frac: float, solve_s: float) -> MipResult:
    whole = not integers.open.any()
    if answer.status == "INFEASIBLE" and whole:
        return infeasible(solve_s)
    bound = _bound(answer, integers) if whole else -np.inf
    if answer.values is None:
        return MipResult(MipStatus.NO_SOLUTION, None, None, bound, None, solve_s)
    if answer.status == "OPTIMAL" and _at_the_edge(answer.values, integers):
        return unbounded(solve_s)
    objective = arrays.objective(answer.values)
    status = proven_status(objective, bound, gap_frac)
    return MipResult(status, answer.values, objective, min(bound, objective), None, solve_s)


def _bound(answer: _Answer, integers: IntegerArrays) -> float:
    """Lower bound in the model's unit: the better of CP-SAT's and of each cost at its cheapest."""
    cheapest = float(np.minimum(integers.cost * integers.lower, integers.cost * integers.upper).sum())
    if answer.values is None and answer.bound == 0.0:
        return cheapest / integers.cost_scale  # CP-SAT that found nothing reports 0 for "no bound"
    return max(cheapest, answer.bound) / integers.cost_scale


def _at_the_edge(values: FloatArray, integers: IntegerArrays) -> bool:
    return bool(integers.cost.any() and (np.abs(values[integers.open]) >= EDGE).any())
