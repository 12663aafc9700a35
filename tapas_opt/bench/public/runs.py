"""Running solvers on public instances, each in a process of its own, as in the service."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from tapas_opt.bench.public import gap, mmkp, vector_packing
from tapas_opt.bench.public.instance import FloatArray, PublicInstance
from tapas_opt.bench.rows import SolverRow, beside_best, peak_rss_mb
from tapas_opt.errors import Fault, InvalidInput, TapasError
from tapas_opt.mip import cpsat, decomposition, highs
from tapas_opt.mip.result import MipResult
from tapas_opt.mip.worker import Worker

__all__ = ["SOLVERS", "SUITES", "read", "run"]

Progress = Callable[[str], None]

GAP_FRAC = 1e-7
"""Nearer than values of the suites can be without being equal."""

WARM_S, GRACE_S = 60.0, 60.0
"""Starting a solver's process; how late its answer may come and still be shown, with the time it overran."""

SUITES: Mapping[str, Callable[[Path], Iterator[PublicInstance]]] = {
    "mmkp": mmkp.read,
    "gap": gap.read,
    "vector-packing": vector_packing.read,
}
"""Every suite and what reads its files."""

SOLVERS = ("greedy", "highs", "cpsat", "decomposition", "auto")
"""``auto`` is the decomposition; ``greedy`` a simple rule, or where there is none the decomposition up to rounding."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What comes back from a solver's process; times are seconds from its start on the instance."""

    result: MipResult
    build_s: float
    trace: tuple[tuple[float, float, float], ...]
    peak_rss_mb: float


def read(suite: str, path: Path, pattern: str = "*") -> list[PublicInstance]:
    """The instances of a suite whose names match a pattern.

    Raises
    ------
    InvalidInput
        Listing every fault: no such suite or folder, nothing that matches, or what is wrong with a file.
    """
    faults = []
    if suite not in SUITES:
        faults.append(Fault("suite", f"{suite!r} does not exist; there are {', '.join(SUITES)}"))
    if not path.exists():
        faults.append(Fault("path", f"{path} does not exist; docs/benchmarking.md says what a suite reads"))
    if faults:
        raise InvalidInput("bench", faults)
    found = [instance for instance in SUITES[suite](path) if fnmatch(instance.name, pattern)]
    if not found:
        raise InvalidInput.one(
            "bench", "instances", f"{path} has none of the suite {suite} whose name matches {pattern!r}"
        )
    return found


def run(
    suite: str,
    path: Path,
    solvers: Sequence[str],
    deadline_s: float,
    seeds: Sequence[int] = (0,),
    instances: str = "*",
    progress: Progress = lambda words: None,
) -> Iterator[SolverRow]:
    """Answer every instance with every solver and seed, one at a time.

    Parameters
    ----------
    path
        Folder, or one file, in the suite's format; ``best_known.csv`` beside the files is used where there is one.
    solvers
        Of `SOLVERS`.
    instances
        Pattern of names, such as ``yagiura2004_*``.
    progress
        Told what is solved next.

    Raises
    ------
    InvalidInput
        Before the first row: an unknown suite or solver, or what is wrong with the files.
    """
    unknown = [solver for solver in solvers if solver not in SOLVERS]
    if unknown:
        raise InvalidInput.one("bench", "solver", f"{', '.join(unknown)}: must be of {', '.join(SOLVERS)}")
    found = read(suite, path, instances)
    return _rows(suite, found, solvers, deadline_s, seeds, progress)


def _rows(
    suite: str,
    found: Sequence[PublicInstance],
    solvers: Sequence[str],
    deadline_s: float,
    seeds: Sequence[int],
    progress: Progress,
) -> Iterator[SolverRow]:
    for instance in found:
        for seed in seeds:
            rows = []
            for solver in solvers:
                progress(f"{instance.name}, seed {seed}: {solver}")
                rows.append(_row(suite, instance, solver, seed, deadline_s))
            yield from beside_best(rows)


def _row(suite: str, instance: PublicInstance, solver: str, seed: int, deadline_s: float) -> SolverRow:
    row = SolverRow(
        problem=suite,
        instance=instance.name,
        servers=None,
        solver=solver,
        seed=seed,
        deadline_s=deadline_s,
        status="NO_SOLUTION",
        mode="SOLVER",
        answered_by="",
        objective=None,
        bound=None,
        gap_frac=None,
        checker="no solution",
    )
    warm_up = cpsat.warm_up if solver == "cpsat" else decomposition.warm_up
    with Worker(warm_up=warm_up, runs_per_process=1) as worker:
        worker.wait_until_ready(WARM_S)
        began = time.perf_counter()
        try:
            answer = worker.run(_answered, instance, solver, seed, deadline_s, deadline_s=deadline_s, grace_s=GRACE_S)
        except TapasError as error:
            return replace(row, note=str(error), total_s=time.perf_counter() - began)
    return _judged(row, instance, answer, began)


def _judged(row: SolverRow, instance: PublicInstance, answer: _Answer, began: float) -> SolverRow:
    result = answer.result
    row = replace(
        row,
        status=str(result.status),
        bound=result.bound if math.isfinite(result.bound) else None,
        build_s=answer.build_s,
        solve_s=result.solve_s,
        peak_rss_mb=answer.peak_rss_mb,
    )
    if result.values is not None and result.objective is not None:
        judged = instance.judged(result.values)
        row = replace(
            row,
            answered_by=row.solver,
            objective=judged.cost,
            gap_frac=_gap(judged.cost, result.bound),
            checker=judged.violations[0] if judged.violations else "ok",
            first_feasible_s=next((at for at, objective, _ in answer.trace if math.isfinite(objective)), None),
            within_1pct_s=next((at for at, found, bound in answer.trace if _gap(found, bound) <= 0.01), None),
            gap_to_best_known_frac=None if instance.best_known is None else _gap_to(judged.cost, instance.best_known),
        )
    total_s = time.perf_counter() - began
    return replace(row, total_s=total_s, overrun_s=max(0.0, total_s - row.deadline_s))


def _answered(instance: PublicInstance, solver: str, seed: int, deadline_s: float) -> _Answer:
    """Build and solve; runs in the solver's process."""
    began = time.perf_counter()
    arrays, start = instance.arrays(), instance.start()
    build_s = time.perf_counter() - began
    trace: list[tuple[float, float, float]] = []

    def report(objective: float, bound: float, _: FloatArray | None) -> None:
        trace.append((time.perf_counter() - began, objective, bound))

    left_s = max(0.0, deadline_s - build_s)
    if solver == "greedy" and start is not None:
        result = decomposition.solve(arrays, deadline_s=0.0, start=start, report=report)
    else:
        common: dict[str, Any] = {
            "deadline_s": left_s,
            "gap_frac": GAP_FRAC,
            "seed": seed,
            "start": start,
            "report": report,
        }
        result = _solver(solver)(arrays, **common)
    return _Answer(result, build_s, tuple(trace), peak_rss_mb())


def _solver(name: str) -> Callable[..., MipResult]:
    if name in ("highs", "cpsat"):
        return highs.solve if name == "highs" else cpsat.solve
    return partial(decomposition.solve, rounds=0) if name == "greedy" else decomposition.solve


def _gap(objective: float, bound: float) -> float:
    if objective == bound:
        return 0.0
    return (objective - bound) / abs(objective) if objective and math.isfinite(bound) else math.inf


def _gap_to(objective: float, best_known: float) -> float:
    return (objective - best_known) / abs(best_known) if best_known else objective - best_known
