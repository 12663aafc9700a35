"""What a solver's answer is worth: the checker judges its plan, a verified plan judges its bound."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tapas_opt.domain.result import CheckReport, Mode, Result, Status
from tapas_opt.solve.exact import excess_of
from tapas_opt.solve.kinds import Kind

__all__ = ["improved", "judged", "mode_of", "with_bound"]

ABSOLUTE_GAP = 1e-6
"""Objectives closer than this are equal."""


def judged(kind: Kind, problem: Any, plan: Any) -> CheckReport:
    """The checker's word on a plan, which may be over a budget by as much as it declares and no more."""
    if excess_of(plan) > 0:
        problem = problem.with_allowed_excess(plan.excess)
    report: CheckReport = kind.check.check(problem, plan)
    return report


def mode_of(plan: Any, mode: Mode) -> Mode:
    """A plan that owns up to excess is the least bad one, whoever found it."""
    return Mode.BEST_EFFORT if excess_of(plan) > 0 else mode


def improved(kind: Kind, problem: Any, incumbent: Result[Any], plans: Iterable[Any], engine: str) -> Result[Any]:
    """The incumbent, or the first of an engine's plans that is verified and no dearer; excess outweighs cost.

    A tie goes to the engine, who proved it. ``fallback`` says why none of the plans stands.
    """
    why = ""
    for plan in plans:
        report, fault = _verdict(kind, problem, plan)
        if report is None:
            why = why or f"{engine}'s plan was refused: {fault}"
            continue
        if (excess_of(plan), report.objective) > (excess_of(incumbent.plan), incumbent.objective + ABSOLUTE_GAP):
            why = why or f"{engine} found nothing better in time"
            break
        mode = mode_of(plan, Mode.SOLVER)
        return replace(incumbent, plan=plan, mode=mode, solver=engine, checked=report)
    return replace(incumbent, fallback=why)


def with_bound(result: Result[Any], bound: float, gap_frac: float, *, excess_proven: bool) -> Result[Any]:
    """The result with the better of two bounds, and the status that follows from it.

    A bound that lies above a verified plan is a bound of nothing, and proves nothing; nor does one that is no number.
    """
    most = result.objective * (1.0 + gap_frac) + ABSOLUTE_GAP
    believed = min(max(result.bound, bound), result.objective) if bound <= most else result.bound
    result = replace(result, bound=believed)
    near_enough = result.gap_frac <= gap_frac or result.objective - believed <= ABSOLUTE_GAP
    near_enough = near_enough and (excess_proven or excess_of(result.plan) == 0)
    return replace(result, status=Status.OPTIMAL if near_enough else Status.FEASIBLE)


def _verdict(kind: Kind, problem: Any, plan: Any) -> tuple[CheckReport | None, str]:
    """The checker's report on a lawful plan, or None and what is wrong; a plan may be anything at all."""
    if type(plan) is not kind.plan:
        return None, f"it is a {type(plan).__name__}"
    try:
        if any(not 0 <= excess < math.inf for excess in getattr(plan, "excess", {}).values()):
            return None, "its excess is no amount"
        report = judged(kind, problem, plan)
    except Exception as error:  # a plan of the right kind may hold anything, and the checker reads all of it
        return None, f"it cannot be read ({type(error).__name__}: {error})"
    if not report.ok:
        return None, str(report.violations[0])
    if not math.isfinite(report.objective):
        return None, f"it costs {report.objective}"
    return report, ""
