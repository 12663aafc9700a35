"""What a solver did with an instance: one row, the same for our own problems and for public ones."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["SolverRow", "beside_best", "peak_rss_mb"]


@dataclass(frozen=True, slots=True)
class SolverRow:
    """One instance, one solver, one seed; times are of one machine on one day, and say nothing without the gap.

    Attributes
    ----------
    answered_by
        Whose plan was kept: a solver's name, or ``greedy`` where the solver found nothing better.
    state_s, build_s, solve_s, total_s
        Stating the problem (not part of the rest); building the model; inside the solver; from the problem to the
        checked answer.
    first_feasible_s, within_1pct_s
        When the first verified plan was there, and when plan and bound were within 1 % of each other; None for never.
    overrun_s
        How long after its deadline it answered; 0 if in time.
    objective, bound
        Of a minimisation; cost units per hour for our own problems.
    gap_frac
        ``(objective − bound) / objective``, by its own bound.
    gap_to_best_bound_frac
        The same by the best bound that anybody proved for the instance in the same run (:func:`beside_best`).
    gap_to_best_known_frac
        How much worse than the best value published; None where none is. Negative: better.
    checker
        ``ok``, or the first violation.
    peak_rss_mb
        Largest resident memory of the process that stated, solved and checked, and of its workers.
    note
        Why the solver's own answer is not the one given, if it is not.
    """

    problem: str
    instance: str
    servers: int | None
    solver: str
    seed: int
    deadline_s: float
    status: str
    mode: str
    answered_by: str
    objective: float | None
    bound: float | None
    gap_frac: float | None
    checker: str
    state_s: float = 0.0
    build_s: float = 0.0
    solve_s: float = 0.0
    total_s: float = 0.0
    first_feasible_s: float | None = None
    within_1pct_s: float | None = None
    overrun_s: float = 0.0
    gap_to_best_bound_frac: float | None = None
    gap_to_best_known_frac: float | None = None
    peak_rss_mb: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """One flat object; what is not finite is null."""
        return {field.name: _finite(getattr(self, field.name)) for field in fields(self)}


def peak_rss_mb() -> float:
    """Largest resident memory of this process, and of the largest of its children that have ended by now."""
    per_mb = 1024.0 if sys.platform == "linux" else 1024.0**2
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(who).ru_maxrss for who in whose) / per_mb


def beside_best(rows: Sequence[SolverRow]) -> list[SolverRow]:
    """The rows with their gap to the best bound of their instance: what each solver's plan would lose at most."""
    best: dict[tuple[str, str, int], float] = {}
    for row in rows:
        if row.bound is not None and row.checker == "ok":
            key = (row.problem, row.instance, row.seed)
            best[key] = max(row.bound, best.get(key, -math.inf))
    return [_beside(row, best.get((row.problem, row.instance, row.seed))) for row in rows]


def _beside(row: SolverRow, bound: float | None) -> SolverRow:
    if bound is None or row.objective is None or not math.isfinite(bound):
        return row
    gap = max(0.0, row.objective - bound) / abs(row.objective) if row.objective else 0.0
    return replace(row, gap_to_best_bound_frac=gap)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
