"""One door to every solver: greedy first, verified and kept; a solver's answer replaces it only when it is better.

The table :data:`KINDS` says what belongs to each kind of problem, :data:`SOLVERS` who can answer it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import tapas_opt.placement.check as placement_check
import tapas_opt.placement.formulation as placement_formulation
import tapas_opt.placement.greedy as placement_greedy
import tapas_opt.placement.reference as placement_reference
import tapas_opt.reconfiguration.check as reconfiguration_check
import tapas_opt.reconfiguration.formulation as reconfiguration_formulation
import tapas_opt.reconfiguration.greedy as reconfiguration_greedy
import tapas_opt.reconfiguration.reference as reconfiguration_reference
import tapas_opt.routing.check as routing_check
import tapas_opt.routing.formulation as routing_formulation
import tapas_opt.routing.greedy as routing_greedy
import tapas_opt.routing.reference as routing_reference
from tapas_opt.domain.result import CheckReport, Mode, Result, Status
from tapas_opt.errors import DeadlinePassed, InvalidInput, PlanRefused, WorkerFailed
from tapas_opt.mip import cpsat, decomposition, highs, pyomo_solver
from tapas_opt.mip.result import MipStatus
from tapas_opt.mip.worker import Workers
from tapas_opt.placement.problem import PlacementProblem, placement_classes
from tapas_opt.reconfiguration.classes import reconfiguration_classes
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationProblem
from tapas_opt.routing.problem import RoutingProblem, routing_classes

__all__ = ["SOLVERS", "solve"]

HAND_OVER_FRAC = 0.15
HAND_OVER_S = 0.6
"""Kept back of a deadline, but never more than half of it: solvers overrun their limits (HiGHS given 0.1 s has returned
after 0.45 s), and what they found has to be decoded, sent and checked."""

LEAST_S = 0.01
"""A solver is given at least this, however late it is: its start alone may be worth returning."""

ABSOLUTE_GAP = 1e-6
"""Objectives closer than this are equal."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What belongs to one kind of problem: the modules of its package, and who solves it exactly (default first)."""

    classes: Callable[[Any], Any]
    formulation: ModuleType
    reference: ModuleType
    greedy: ModuleType
    check: ModuleType
    exact_solvers: tuple[str, ...]


KINDS: Mapping[type, Kind] = {
    PlacementProblem: Kind(
        placement_classes,
        placement_formulation,
        placement_reference,
        placement_greedy,
        placement_check,
        ("decomposition", "highs", "cpsat", "pyomo-highs"),
    ),
    RoutingProblem: Kind(
        routing_classes,
        routing_formulation,
        routing_reference,
        routing_greedy,
        routing_check,
        ("highs", "pyomo-highs"),
    ),
    ReconfigurationProblem: Kind(
        reconfiguration_classes,
        reconfiguration_formulation,
        reconfiguration_reference,
        reconfiguration_greedy,
        reconfiguration_check,
        ("decomposition", "highs", "cpsat", "pyomo-highs"),
    ),
}

WORKER_OF: Mapping[str, str] = {
    "decomposition": "highs",
    "highs": "highs",
    "cpsat": "cpsat",
    "pyomo-highs": "pyomo",
}
"""Which process runs which exact solver."""

SOLVERS = ("auto", "greedy", *WORKER_OF)
"""Names that :func:`solve` takes; ``auto`` is greedy, then the kind's first exact solver until the deadline."""


def solve(
    problem: Any,
    *,
    solver: str = "auto",
    deadline_s: float = 1.0,
    gap_frac: float = 1e-3,
    seed: int = 0,
    workers: Workers | None = None,
) -> Result[Any]:
    """Answer a placement, routing or reconfiguration problem.

    Parameters
    ----------
    deadline_s
        Seconds for all of it; a solver that does not keep to its part is ended, and greedy's answer stands.
    gap_frac
        Gap at which the search may stop and the answer is called ``OPTIMAL``.
    workers
        Processes for the solvers; without them the solver runs in this process, where nothing can end it.

    Raises
    ------
    InvalidInput
        The solver is unknown, or cannot answer this kind of problem.
    PlanRefused
        The checker refused even the greedy plan: a defect of tapas-opt.
    """
    kind = _kind(problem, solver)
    began = time.perf_counter()
    result = _greedy(kind, problem, seed)
    if solver != "greedy":
        engine = kind.exact_solvers[0] if solver == "auto" else solver
        left_s = max(LEAST_S, deadline_s - (time.perf_counter() - began))
        result = _improved(kind, problem, result, Search(engine, left_s, gap_frac, seed), workers)
    return replace(
        result,
        why_not=kind.check.why_not(problem, result.plan),
        binding=kind.check.binding(problem, result.plan),
    )


def _kind(problem: Any, solver: str) -> Kind:
    if type(problem) not in KINDS:
        raise InvalidInput.one("solve", "problem", f"{type(problem).__name__} is none of the three kinds of problem")
    kind = KINDS[type(problem)]
    allowed = ("auto", "greedy", *kind.exact_solvers)
    if solver not in allowed:
        raise InvalidInput.one("solve", "solver", f"{solver!r}: must be one of {', '.join(allowed)}")
    return kind


def _greedy(kind: Kind, problem: Any, seed: int) -> Result[Any]:
    """The first answer, verified; every term of an objective is ≥ 0, so 0 is a bound that costs nothing."""
    began = time.perf_counter()
    plan = kind.greedy.greedy(problem)
    solved = time.perf_counter()
    report = _judged(kind, problem, plan)
    if not report.ok:
        raise PlanRefused("the greedy plan was refused: " + "; ".join(str(item) for item in report.violations[:5]))
    return Result(
        plan=plan,
        status=Status.OPTIMAL if report.objective == 0 and _excess(plan) == 0 else Status.FEASIBLE,
        mode=_mode(plan, Mode.GREEDY),
        solver="greedy",
        checked=report,
        bound=0.0,
        seed=seed,
        solve_s=solved - began,
        check_s=time.perf_counter() - solved,
    )


def _judged(kind: Kind, problem: Any, plan: Any) -> CheckReport:
    """The checker's word on a plan, which may be over a budget by as much as it declares and no more."""
    if _excess(plan) > 0:
        problem = problem.with_allowed_excess(plan.excess)
    report: CheckReport = kind.check.check(problem, plan)
    return report


def _excess(plan: Any) -> float:
    return float(sum(getattr(plan, "excess", {}).values()))


def _mode(plan: Any, mode: Mode) -> Mode:
    """A plan that owns up to excess is the least bad one, whoever found it."""
    return Mode.BEST_EFFORT if _excess(plan) > 0 else mode


@dataclass(frozen=True, slots=True)
class Search:
    """Which exact solver, for how long, how close, from which seed."""

    engine: str
    deadline_s: float
    gap_frac: float
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """What an exact solver hands over: a plan if it has one, and what it has proven."""

    plan: Any
    bound: float
    status: MipStatus
    build_s: float
    solve_s: float
    excess_proven: bool = True


def _improved(kind: Kind, problem: Any, incumbent: Result[Any], search: Search, workers: Workers | None) -> Result[Any]:
    """The incumbent, or the solver's answer where that is better; the solver's bound either way."""
    kept_s = min(0.5 * search.deadline_s, HAND_OVER_FRAC * search.deadline_s + HAND_OVER_S)
    within = replace(search, deadline_s=search.deadline_s - kept_s)
    try:
        if workers is None:
            found = exact(problem, incumbent.plan, within)
        else:
            worker = workers[WORKER_OF[search.engine]]
            found = worker.run(exact, problem, incumbent.plan, within, deadline_s=search.deadline_s, grace_s=0.0)
    except (DeadlinePassed, WorkerFailed) as error:
        return replace(incumbent, fallback=f"{search.engine}: {error}")
    began = time.perf_counter()
    report = None if found.plan is None else _judged(kind, problem, found.plan)
    timed = replace(
        incumbent,
        build_s=found.build_s,
        solve_s=incumbent.solve_s + found.solve_s,
        check_s=incumbent.check_s + time.perf_counter() - began,
    )
    return _better(timed, found, report, search)


def _better(incumbent: Result[Any], found: Found, report: CheckReport | None, search: Search) -> Result[Any]:
    """Keep whichever plan is verified and cheaper; excess outweighs cost. A tie goes to the solver, who proved it."""
    if report is None:
        why = f"{search.engine} found no plan ({found.status})"
    elif not report.ok:
        why = f"{search.engine}'s plan was refused: {report.violations[0]}"
    elif (_excess(found.plan), report.objective) > (_excess(incumbent.plan), incumbent.objective + ABSOLUTE_GAP):
        why = f"{search.engine} found nothing better in time"
    else:
        mode = _mode(found.plan, Mode.SOLVER)
        incumbent = replace(incumbent, plan=found.plan, mode=mode, solver=search.engine, checked=report)
        why = ""
    bound = _believed(found.bound, incumbent, search.gap_frac)
    result = replace(incumbent, bound=bound, fallback=why)
    near_enough = result.gap_frac <= search.gap_frac or result.objective - bound <= ABSOLUTE_GAP
    near_enough = near_enough and (found.excess_proven or _excess(result.plan) == 0)
    return replace(result, status=Status.OPTIMAL if near_enough else Status.FEASIBLE)


def _believed(bound: float, incumbent: Result[Any], gap_frac: float) -> float:
    """The better of two bounds; one that lies above a verified plan is a bound of nothing, and proves nothing."""
    most = incumbent.objective * (1.0 + gap_frac) + ABSOLUTE_GAP
    return min(max(incumbent.bound, bound), incumbent.objective) if bound <= most else incumbent.bound


def exact(problem: Any, start: Any, search: Search) -> Found:
    """Build, solve and decode in one go; runs in a worker's process, where its whole cost stays.

    A reconfiguration that cannot meet its budgets is solved twice: for the least excess, then for the least cost
    within that excess.
    """
    until = time.perf_counter() + search.deadline_s
    proven = True
    if isinstance(problem, ReconfigurationProblem) and problem.aim is Aim.COST and _excess(start) > 0:
        least = _solved(problem.minimising_excess(), start, replace(search, deadline_s=search.deadline_s / 2))
        proven = least.status is MipStatus.OPTIMAL
        start = start if least.plan is None else least.plan
        problem = problem.with_allowed_excess(start.excess)
    found = _solved(problem, start, replace(search, deadline_s=until - time.perf_counter()))
    return replace(found, excess_proven=proven)


def _solved(problem: Any, start: Any, search: Search) -> Found:
    began = time.perf_counter()
    kind = KINDS[type(problem)]
    classes = kind.classes(problem)
    arrays = kind.formulation.formulate(problem, classes)
    textbook = search.engine == "pyomo-highs"
    model = kind.reference.reference(problem, classes) if textbook else None
    warm = None if textbook else kind.formulation.encode(problem, classes, start)
    build_s = time.perf_counter() - began
    left_s = max(LEAST_S, search.deadline_s - build_s)
    if textbook:
        outcome = pyomo_solver.solve(
            model,
            deadline_s=left_s,
            gap_frac=search.gap_frac,
            seed=search.seed,
            columns=arrays.column_names(),
        )
    else:
        run = {"decomposition": decomposition.solve, "highs": highs.solve, "cpsat": cpsat.solve}[search.engine]
        outcome = run(arrays, deadline_s=left_s, gap_frac=search.gap_frac, seed=search.seed, start=warm)
    plan = None if outcome.values is None else kind.formulation.decode(problem, classes, outcome.values)
    return Found(plan, outcome.bound, outcome.status, build_s, outcome.solve_s)
