"""Running solvers on instances: each case in a process of its own, so that its memory is its own and can be told."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tapas_opt.bench.instances import Making, instance
from tapas_opt.bench.plain import PLAIN, plain
from tapas_opt.bench.rows import SolverRow, peak_rss_mb
from tapas_opt.domain.result import Result, first_feasible_s, within_s
from tapas_opt.errors import TapasError
from tapas_opt.mip.worker import Worker
from tapas_opt.solve import KINDS, WORKER_OF, solve, solver_workers
from tapas_opt.solve.warm import warm_up_loops

__all__ = ["Case", "cases_of", "run_case", "run_cases"]

STATING_S = 900.0
"""Stating an instance, and all else that is no solve, takes less than this."""

WARM_S = 60.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One instance, one solver, and when and how near it may stop."""

    instance: str
    making: Making
    solver: str
    deadline_s: float
    gap_frac: float = 1e-3

    @property
    def words(self) -> str:
        """``reconfiguration-now, 1,000 servers, seed 1: highs``."""
        return f"{self.instance}, {self.making.servers:,} servers, seed {self.making.seed}: {self.solver}"


def cases_of(
    instances: Sequence[str], makings: Sequence[Making], solvers: Sequence[str], deadline_s: float, gap_frac: float
) -> list[Case]:
    """Every instance with every solver, solvers of the same instance one after the other."""
    return [
        Case(name, making, solver, deadline_s, gap_frac)
        for making, name, solver in product(makings, instances, solvers)
    ]


def run_cases(cases: Sequence[Case], progress: Progress) -> Iterator[SolverRow]:
    """Each case in a fresh process, one at a time; one that fails becomes a row that says so."""
    for case in cases:
        progress(case.words)
        with Worker(runs_per_process=1) as worker:
            limit_s = STATING_S + 3 * case.deadline_s
            try:
                yield worker.run(run_case, case, deadline_s=limit_s)
            except TapasError as error:
                yield _unanswered(case, str(error))


def run_case(case: Case) -> SolverRow:
    """State the instance, solve it, and tell what came of it; the solver runs in a worker as it does in the service."""
    began = time.perf_counter()
    problem = instance(case.instance, case.making)
    state_s = time.perf_counter() - began
    if case.solver in PLAIN:
        return _plain_row(case, problem, state_s)
    warm_up_loops()  # as the service has, before it serves
    with solver_workers() as workers:
        engine = "decomposition" if case.solver == "auto" else case.solver
        if engine in WORKER_OF:
            workers[WORKER_OF[engine]].wait_until_ready(WARM_S)
        gc.collect()  # what stating has left behind is no solver's work
        began = time.perf_counter()
        result = solve(
            problem,
            solver=case.solver,
            deadline_s=case.deadline_s,
            gap_frac=case.gap_frac,
            seed=case.making.seed,
            workers=workers,
        )
        total_s = time.perf_counter() - began
    return _row(case, problem, result, state_s, total_s)


def _plain_row(case: Case, problem: Any, state_s: float) -> SolverRow:
    """A general solver by itself."""
    warm_up_loops()
    gc.collect()
    began = time.perf_counter()
    answer = plain(problem, case.solver, case.deadline_s, case.gap_frac, case.making.seed)
    total_s = time.perf_counter() - began
    row = _unanswered(case, str(answer.outcome.status))
    if answer.plan is not None:
        report = KINDS[type(problem)].check.check(problem, answer.plan)
        negligible = getattr(problem, "negligible_cost", 0.0)
        row = replace(
            row,
            answered_by=case.solver,
            objective=report.objective,
            gap_frac=(report.objective - answer.outcome.bound) / max(1e-9, abs(report.objective)),
            checker="ok" if report.ok else str(report.violations[0]),
            first_feasible_s=_known(first_feasible_s(answer.trace)),
            within_1pct_s=_known(within_s(answer.trace, 0.01, negligible)),
            note="",
        )
    return replace(
        row,
        status=answer.outcome.status,
        bound=answer.outcome.bound,
        state_s=state_s,
        build_s=answer.build_s,
        solve_s=answer.outcome.solve_s,
        total_s=total_s,
        overrun_s=max(0.0, total_s - case.deadline_s),
        peak_rss_mb=peak_rss_mb(),
    )


def _row(case: Case, problem: Any, result: Result[Any], state_s: float, total_s: float) -> SolverRow:
    return replace(
        _unanswered(case, result.fallback),
        status=result.status,
        mode=result.mode,
        answered_by=result.solver,
        objective=result.objective,
        bound=result.bound,
        gap_frac=result.gap_frac,
        checker="ok" if result.checked.ok else str(result.checked.violations[0]),
        state_s=state_s,
        build_s=result.build_s,
        solve_s=result.solve_s,
        total_s=total_s,
        first_feasible_s=_known(result.first_feasible_s),
        within_1pct_s=_known(result.within_s(0.01, getattr(problem, "negligible_cost", 0.0))),
        overrun_s=max(0.0, total_s - case.deadline_s),
        peak_rss_mb=peak_rss_mb(),
    )


def _unanswered(case: Case, note: str) -> SolverRow:
    return SolverRow(
        problem=case.instance,
        instance=f"{case.instance}/{case.making.servers}/{case.making.seed}",
        servers=case.making.servers,
        solver=case.solver,
        seed=case.making.seed,
        deadline_s=case.deadline_s,
        status="NO_SOLUTION",
        mode="",
        answered_by="",
        objective=None,
        bound=None,
        gap_frac=None,
        checker="no plan",
        note=note,
    )


def _known(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
