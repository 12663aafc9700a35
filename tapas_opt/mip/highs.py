"""HiGHS: linear and mixed-integer programs, handed over as numpy arrays."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from tapas_opt.errors import InvalidInput, WorkerFailed
from tapas_opt.mip.machine import cores
from tapas_opt.mip.model import FloatArray, MipArrays, MipModel
from tapas_opt.mip.result import MipResult, MipStatus, Report, proven_status
from tapas_opt.mip.trivial import infeasible, trivial_result, unbounded, unbounded_or_infeasible

if TYPE_CHECKING:
    import highspy

__all__ = ["loaded", "run", "solve", "warm_up"]

ENDINGS = {
    "kOptimal": MipStatus.OPTIMAL,
    "kInfeasible": MipStatus.INFEASIBLE,
    "kUnbounded": MipStatus.UNBOUNDED,
    "kUnboundedOrInfeasible": None,
    "kTimeLimit": MipStatus.NO_SOLUTION,
    "kIterationLimit": MipStatus.NO_SOLUTION,
    "kSolutionLimit": MipStatus.NO_SOLUTION,
    "kMemoryLimit": MipStatus.NO_SOLUTION,
    "kInterrupt": MipStatus.NO_SOLUTION,
    "kHighsInterrupt": MipStatus.NO_SOLUTION,
    "kObjectiveBound": MipStatus.NO_SOLUTION,
    "kObjectiveTarget": MipStatus.NO_SOLUTION,
    "kUnknown": MipStatus.NO_SOLUTION,
}
"""What each HiGHS ending says before its values and bound are read; an ending not listed is a failure."""


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
    stop: Event | None = None,
) -> MipResult:
    """Solve the model with HiGHS.

    Parameters
    ----------
    deadline_s
        Soft limit: HiGHS looks at the clock between steps. None for no limit. Only ending the process
        keeps a deadline (see `tapas_opt.mip.worker.Worker`).
    gap_frac
        Stop once bound and objective are this near, relative to the objective.
    threads
        Default: every core that this process may use.
    start
        A complete solution to start from; used when the model has integer columns.
    nodes
        Stop after so many nodes of the search tree, with one thread: by work, whatever the clock says.
    report
        Told of solutions and bounds as they come, of a model with integer columns.
    stop
        Once set, a model with integer columns ends with what it has.

    Returns
    -------
    MipResult
        Integer columns are rounded to the integer that HiGHS means within its tolerance of 1e-6.
        ``row_duals`` are those of a model without integer columns.

    Raises
    ------
    InvalidInput
        A number is NaN or too large for HiGHS, or ``start`` has the wrong length.
    WorkerFailed
        HiGHS ended in an error.
    """
    arrays.require_numbers()
    trivial = trivial_result(arrays)
    if trivial is not None:
        return trivial
    began = time.perf_counter()
    options = _options(deadline_s, gap_frac, seed, 1 if nodes is not None else threads) | (
        {} if nodes is None else {"mip_max_nodes": nodes}
    )
    highs = _loaded(arrays, options)
    _offer(highs, arrays, start)
    if arrays.integer.any():
        if report is not None:
            _listen(highs, arrays, report)
        elif stop is not None:
            _end_with(highs, stop)
    run(highs)
    result = _result(highs, arrays, gap_frac, time.perf_counter() - began)
    if result is not None:
        return result
    left_s = None if deadline_s is None else deadline_s - (time.perf_counter() - began)
    return unbounded_or_infeasible(solve(arrays.costless, deadline_s=left_s, seed=seed, threads=threads))


def loaded(arrays: MipArrays, *, deadline_s: float, seed: int = 0) -> highspy.Highs:
    """HiGHS with a model in it, for who changes the model between solves (:func:`run`).

    Raises
    ------
    InvalidInput
        A number is NaN or too large for HiGHS.
    """
    arrays.require_numbers()
    return _loaded(arrays, _options(deadline_s, 0.0, seed, None))


def warm_up() -> None:
    """Load HiGHS and start its threads, so that the first real solve does not wait for them."""
    model = MipModel()
    model.columns("x", upper=1.0, integer=True)
    solve(model.arrays(), deadline_s=1.0)


def _options(deadline_s: float | None, gap_frac: float, seed: int, threads: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "output_flag": False,
        "random_seed": seed,
        "threads": cores() if threads is None else threads,
        "mip_rel_gap": gap_frac,
    }
    if deadline_s is not None:
        options["time_limit"] = max(0.0, deadline_s)
    return options


def _loaded(arrays: MipArrays, options: dict[str, Any]) -> highspy.Highs:
    import highspy  # noqa: PLC0415 - importing tapas_opt must not load a solver

    highs = highspy.Highs()
    for name, value in options.items():
        if highs.setOptionValue(name, value) == highspy.HighsStatus.kError:
            raise InvalidInput.one("HiGHS", name, f"{value!r} is not a value that HiGHS takes")
    if highs.passModel(*_model(arrays)) == highspy.HighsStatus.kError:
        raise InvalidInput.one("HiGHS", "model", "refused; look for coefficients or costs above 1e15")
    return highs


def _model(arrays: MipArrays) -> tuple[Any, ...]:
    import highspy  # noqa: PLC0415

    return (
        arrays.columns_count,
        arrays.rows_count,
        len(arrays.value),
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        arrays.cost,
        arrays.lower,
        arrays.upper,
        arrays.row_lower,
        arrays.row_upper,
        arrays.start.astype(np.int32),
        arrays.index.astype(np.int32),
        arrays.value,
        arrays.integer.astype(np.int32),
    )


def _offer(highs: highspy.Highs, arrays: MipArrays, start: FloatArray | None) -> None:
    if start is None:
        return
    arrays.require_start(start)
    if arrays.integer.any():
        highs.setSolution(len(start), np.arange(len(start), dtype=np.int32), start)


def _listen(highs: highspy.Highs, arrays: MipArrays, report: Report) -> None:
    """Have HiGHS tell of solutions, and of bounds that moved where it looks at its limits."""
    import highspy  # noqa: PLC0415

    kinds = highspy.cb.HighsCallbackType
    known = [np.inf, -np.inf]

    def heard(kind: Any, _message: str, told: Any, _back: Any, _data: Any) -> None:
        known[1], moved = max(known[1], told.mip_dual_bound), told.mip_dual_bound > known[1]
        if kind == kinds.kCallbackMipImprovingSolution:
            values = np.where(arrays.integer, np.rint(told.mip_solution), told.mip_solution)
            known[0] = arrays.objective(values)
            report(known[0], known[1], values)
        elif moved:
            report(known[0], known[1], None)

    highs.setCallback(heard, None)
    for kind in (kinds.kCallbackMipImprovingSolution, kinds.kCallbackMipInterrupt):
        highs.startCallback(kind)


def _end_with(highs: highspy.Highs, stop: Event) -> None:
    """Have HiGHS end where it looks at its limits, once somebody says so."""
    import highspy  # noqa: PLC0415

    def asked(_kind: Any, _message: str, _told: Any, back: Any, _data: Any) -> None:
        back.user_interrupt = stop.is_set()

    highs.setCallback(asked, None)
    highs.startCallback(highspy.cb.HighsCallbackType.kCallbackMipInterrupt)


def run(highs: highspy.Highs) -> None:
    """Solve what is loaded, from where the last solve ended."""
    import highspy  # noqa: PLC0415

    if highs.run() == highspy.HighsStatus.kError:
        # HiGHS keeps the thread count of the process's first solve and refuses another until told to forget it.
        highspy.Highs.resetGlobalScheduler(True)
        highs.run()


def _result(highs: highspy.Highs, arrays: MipArrays, gap_frac: float, solve_s: float) -> MipResult | None:
    """Read the outcome; None when HiGHS knows only "unbounded or infeasible"."""
    ending = highs.getModelStatus().name
    if ending not in ENDINGS:
        raise WorkerFailed(f"HiGHS ended with {ending}")
    status = ENDINGS[ending]
    if status is MipStatus.INFEASIBLE:
        return infeasible(solve_s)
    if status is MipStatus.UNBOUNDED:
        return unbounded(solve_s)
    return None if status is None else _solution(highs, arrays, gap_frac, solve_s)


def _solution(highs: highspy.Highs, arrays: MipArrays, gap_frac: float, solve_s: float) -> MipResult:
    optimal = highs.getModelStatus().name == "kOptimal"
    solution, info = highs.getSolution(), highs.getInfo()
    continuous = not arrays.integer.any()
    bound = (info.objective_function_value if optimal else -np.inf) if continuous else info.mip_dual_bound
    if info.primal_solution_status != 2:  # 2: HiGHS found the values feasible
        return MipResult(MipStatus.NO_SOLUTION, None, None, bound, None, solve_s)
    values = np.asarray(solution.col_value)
    values = np.where(arrays.integer, np.rint(values), values)
    objective = arrays.objective(values)
    duals = np.asarray(solution.row_dual) if continuous and optimal else None
    status = proven_status(objective, bound, gap_frac)
    return MipResult(status, values, objective, min(bound, objective), duals, solve_s)
