"""SCIP: an extra, used where PySCIPOpt is installed (``pip install tapas-opt[solvers]``)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from tapas_opt.errors import InvalidInput, NotFound, WorkerFailed
from tapas_opt.mip.model import FloatArray, MipArrays, MipModel
from tapas_opt.mip.result import ABSOLUTE_GAP, MipResult, MipStatus, Report, proven_status
from tapas_opt.mip.trivial import infeasible, trivial_result, unbounded, unbounded_or_infeasible

__all__ = ["installed", "solve", "warm_up"]

INFINITE = 1e20
"""What SCIP takes for infinity."""

ENDINGS = {
    "optimal": MipStatus.OPTIMAL,
    "infeasible": MipStatus.INFEASIBLE,
    "unbounded": MipStatus.UNBOUNDED,
    "inforunbd": None,
    "timelimit": MipStatus.NO_SOLUTION,
    "gaplimit": MipStatus.NO_SOLUTION,
    "nodelimit": MipStatus.NO_SOLUTION,
    "totalnodelimit": MipStatus.NO_SOLUTION,
    "memlimit": MipStatus.NO_SOLUTION,
    "userinterrupt": MipStatus.NO_SOLUTION,
}
"""What each SCIP ending says before its values and bound are read; an ending not listed is a failure."""


def installed() -> bool:
    """Whether PySCIPOpt is there."""
    return find_spec("pyscipopt") is not None


def solve(
    arrays: MipArrays,
    *,
    deadline_s: float | None,
    gap_frac: float = 1e-4,
    seed: int = 0,
    threads: int | None = None,
    start: FloatArray | None = None,
    nodes: int | None = None,
    report: Report | None = None,
) -> MipResult:
    """Solve the model with SCIP.

    Parameters
    ----------
    deadline_s
        Soft limit, None for none; only ending the process keeps a deadline.
    gap_frac
        Stop once bound and objective are this near.
    threads
        Of no effect: SCIP runs in one.
    start
        A complete solution to start from.
    nodes
        Stop after so many nodes of the search tree: by work, whatever the clock says.
    report
        Told of solutions and bounds as they come.

    Returns
    -------
    MipResult
        Never with ``row_duals``.

    Raises
    ------
    InvalidInput
        A number is NaN or at least 1e20, or ``start`` has the wrong length.
    NotFound
        PySCIPOpt is not installed.
    WorkerFailed
        SCIP ended in an error.
    """
    arrays.require_numbers()
    trivial = trivial_result(arrays)
    if trivial is not None:
        return trivial
    if not installed():
        raise NotFound("solver", "scip", "install PySCIPOpt: pip install tapas-opt[solvers]")
    if _unfillable(arrays):
        return infeasible()
    began = time.perf_counter()
    model, columns = _loaded(arrays)
    _limit(model, deadline_s, gap_frac, seed, nodes)
    _offer(model, columns, arrays, start)
    if report is not None:
        _listen(model, columns, arrays, report)
    model.optimizeNogil()  # other threads of this process go on
    solve_s = time.perf_counter() - began
    result = _result(model, columns, arrays, gap_frac, solve_s)
    if result is not None:
        return result
    left_s = None if deadline_s is None else deadline_s - solve_s
    return unbounded_or_infeasible(solve(arrays.costless, deadline_s=left_s, seed=seed))


def warm_up() -> None:
    """Load SCIP, so that the first real solve does not wait for it; nothing where it is not installed."""
    if installed():
        model = MipModel()
        model.columns("x", upper=1.0, integer=True)
        solve(model.arrays(), deadline_s=1.0)


def _unfillable(arrays: MipArrays) -> bool:
    """Whether a row without coefficients asks for something; SCIP is not given such rows."""
    empty = np.diff(arrays.start) == 0
    return bool((empty & ((arrays.row_lower > ABSOLUTE_GAP) | (arrays.row_upper < -ABSOLUTE_GAP))).any())


def _loaded(arrays: MipArrays) -> tuple[Any, list[Any]]:
    import pyscipopt  # noqa: PLC0415 - importing tapas_opt must not load a solver
    from pyscipopt.scip import Expr, ExprCons, Term  # noqa: PLC0415

    if (np.abs(arrays.cost) >= INFINITE).any() or (np.abs(arrays.value) >= INFINITE).any():
        raise InvalidInput.one("SCIP", "model", "costs and coefficients must be below 1e20")
    model = pyscipopt.Model()
    model.hideOutput()
    kinds = np.where(arrays.integer, "I", "C").tolist()
    numbers = zip(_ends(arrays.lower), _ends(arrays.upper), kinds, arrays.cost.tolist(), strict=True)
    columns = [model.addVar(lb=low, ub=high, vtype=kind, obj=cost) for low, high, kind, cost in numbers]
    terms = [Term(column) for column in columns]
    for entries, low, high in _rows(arrays):
        model.addCons(ExprCons(Expr({terms[j]: value for j, value in entries}), lhs=low, rhs=high))
    return model, columns


def _rows(arrays: MipArrays) -> Iterator[tuple[list[tuple[int, float]], float | None, float | None]]:
    """Rows that have coefficients and a limit; values beside the number of their column."""
    start, index, value = arrays.start.tolist(), arrays.index.tolist(), arrays.value.tolist()
    limits = zip(_ends(arrays.row_lower), _ends(arrays.row_upper), strict=True)
    for r, (low, high) in enumerate(limits):
        if start[r] < start[r + 1] and (low is not None or high is not None):
            span = slice(start[r], start[r + 1])
            yield list(zip(index[span], value[span], strict=True)), low, high


def _ends(bounds: FloatArray) -> list[float | None]:
    return [bound if abs(bound) < INFINITE else None for bound in bounds.tolist()]


def _limit(model: Any, deadline_s: float | None, gap_frac: float, seed: int, nodes: int | None) -> None:
    model.setParam("misc/catchctrlc", False)
    model.setParam("limits/gap", gap_frac)
    model.setParam("limits/absgap", ABSOLUTE_GAP)
    model.setParam("randomization/randomseedshift", seed)
    model.setParam("timing/clocktype", 2)  # wall-clock
    if deadline_s is not None:
        model.setParam("limits/time", max(0.0, deadline_s))
    if nodes is not None:
        model.setParam("limits/totalnodes", nodes)


def _offer(model: Any, columns: list[Any], arrays: MipArrays, start: FloatArray | None) -> None:
    if start is None:
        return
    arrays.require_start(start)
    offered = model.createSol()
    for column, value in zip(columns, start.tolist(), strict=True):
        if value:
            model.setSolVal(offered, column, value)
    model.addSol(offered)


def _listen(model: Any, columns: list[Any], arrays: MipArrays, report: Report) -> None:
    import pyscipopt  # noqa: PLC0415

    events = pyscipopt.SCIP_EVENTTYPE
    kinds = (events.BESTSOLFOUND, events.DUALBOUNDIMPROVED)

    class Listener(pyscipopt.Eventhdlr):  # type: ignore[misc]
        known = np.inf

        def eventinit(self) -> None:
            for kind in kinds:
                self.model.catchEvent(kind, self)

        def eventexit(self) -> None:
            for kind in kinds:
                self.model.dropEvent(kind, self)

        def eventexec(self, event: Any) -> None:
            bound, values = _finite(self.model.getDualbound()), None
            if event.getType() == events.BESTSOLFOUND:
                values = _values(self.model, columns, arrays)
                self.known = arrays.objective(values)
            report(self.known, bound, values)

    model.includeEventhdlr(Listener(), "listener", "tells of solutions and bounds")


def _values(model: Any, columns: list[Any], arrays: MipArrays) -> FloatArray:
    best = model.getBestSol()
    values = np.array([model.getSolVal(best, column) for column in columns])
    return np.where(arrays.integer, np.rint(values), values)


def _finite(bound: float) -> float:
    return float(np.copysign(np.inf, bound)) if abs(bound) >= INFINITE else float(bound)


def _result(model: Any, columns: list[Any], arrays: MipArrays, gap_frac: float, solve_s: float) -> MipResult | None:
    """Read the outcome; None when SCIP knows only "infeasible or unbounded"."""
    ending = model.getStatus()
    if ending not in ENDINGS:
        raise WorkerFailed(f"SCIP ended with {ending}")
    status = ENDINGS[ending]
    if status is MipStatus.INFEASIBLE:
        return infeasible(solve_s)
    if status is MipStatus.UNBOUNDED:
        return unbounded(solve_s)
    return None if status is None else _solution(model, columns, arrays, gap_frac, solve_s)


def _solution(model: Any, columns: list[Any], arrays: MipArrays, gap_frac: float, solve_s: float) -> MipResult:
    bound = _finite(model.getDualbound())
    if model.getNSols() == 0:
        return MipResult(MipStatus.NO_SOLUTION, None, None, bound, None, solve_s)
    values = _values(model, columns, arrays)
    objective = arrays.objective(values)
    status = proven_status(objective, bound, gap_frac)
    return MipResult(status, values, objective, min(bound, objective), None, solve_s)
