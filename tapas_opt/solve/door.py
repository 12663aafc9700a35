"""Greedy first, verified and kept; a solver's answer replaces it only when it is verified and no dearer."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tapas_opt.domain.result import Mode, Result, Status
from tapas_opt.errors import DeadlinePassed, PlanRefused, WorkerFailed
from tapas_opt.mip.result import MipStatus
from tapas_opt.mip.worker import Workers
from tapas_opt.solve.exact import Found, Search, exact
from tapas_opt.solve.kinds import Kind, engine_of, kind_of, worker_of
from tapas_opt.solve.numbers import require_numbers, require_options
from tapas_opt.solve.prices import prices_beside
from tapas_opt.solve.record import Record
from tapas_opt.solve.undisturbed import undisturbed
from tapas_opt.solve.verdict import improved, judged, mode_of, with_bound

__all__ = ["solve"]

DEADLINE_S = 1.0
"""The deadline of whoever names none and counts no work."""

HAND_OVER_FRAC, HAND_OVER_S, HAND_OVER_MOST_S = 0.08, 0.1, 1.5
"""Kept back of a deadline, but never more than half of it: solvers overrun their limits, and what they end with has to
be decoded and sent. One that overruns even so is ended, and costs the next call a spare process; what it told of until
then stands."""

EXPLAIN_FRAC = 0.3
"""Part of a deadline that is kept for shadow prices where they are asked for."""

CHECKS_KEPT = 3.0
"""A solver's process is ended so many of greedy's checks before the deadline, but never before half of what is left:
what it told of has to be judged, and the answer explained, which takes as long again."""

ROUND_TRIP_S, MODEL_MOST_S = 0.02, 0.2
"""With less left than a round trip and, up to the second, what greedy took, no solver is asked: its model alone would
take as long, and it could not be back in time."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What may end a solve: a time of `time.perf_counter`, work, or the caller."""

    until: float
    work: int | None
    cancel: threading.Event | None

    @property
    def left_s(self) -> float:
        return self.until - time.perf_counter()

    @property
    def cancelled(self) -> bool:
        return self.cancel is not None and self.cancel.is_set()


def solve(
    problem: Any,
    *,
    solver: str = "auto",
    deadline_s: float | None = None,
    gap_frac: float = 1e-3,
    seed: int = 0,
    work: int | None = None,
    workers: Workers | None = None,
    cancel: threading.Event | None = None,
    explain: bool = False,
) -> Result[Any]:
    """Answer a placement, routing or reconfiguration problem.

    Parameters
    ----------
    solver
        One of `SOLVERS`, or ``pyomo-<name>`` of another solver that Pyomo drives.
    deadline_s
        Seconds for all of it. A solver that does not keep to its part is ended; then the best plan that it told of
        stands, or greedy's. Default 1, and none where ``work`` is counted.
    gap_frac
        Gap at which the search may stop and the answer is called ``OPTIMAL``; one of a negligible cost (a thousandth of
        the cheapest VM unplaced) is as good, unless the gap asked for is 0.
    work
        Stop after so many rounds of work and not by the clock: the same seed gives the same plan, however busy the
        machine. A round is a part of the decomposition, 50 nodes of a search tree, or half a deterministic second of
        CP-SAT. A ``deadline_s`` beside it still ends the solver's process, at a moment that no seed decides.
    workers
        Processes for the solvers; without them the solver runs in this process, where nothing can end it.
    cancel
        Once set, the solver's process is ended, and what was found by then stands.
    explain
        Ask for shadow prices, too: they get what the search leaves, and at least `EXPLAIN_FRAC` of the deadline.

    Raises
    ------
    InvalidInput
        The solver is unknown or cannot answer this kind of problem, or a number is none, or beyond any site's.
    NotFound
        The solver is not installed.
    PlanRefused
        The checker refused even the greedy plan: a defect of tapas-opt.
    """
    began = time.perf_counter()
    kind = kind_of(problem)
    engine = engine_of(kind, solver)
    require_options(deadline_s=deadline_s, gap_frac=gap_frac, seed=seed, work=work)
    require_numbers(problem)
    record = Record(began)
    given_s = deadline_s if deadline_s is not None else DEADLINE_S if work is None else math.inf
    limits = _Limits(began + given_s * (1.0 - EXPLAIN_FRAC if explain else 1.0), work, cancel)
    with undisturbed():
        result = _greedy(kind, problem, gap_frac, seed)
    record.note(result)
    gap_frac = _satisfying(problem, result, gap_frac)
    if engine is not None and not (solver == "auto" and result.status is Status.OPTIMAL):
        result = _searched(kind, problem, result, Search(engine, None, gap_frac, seed, work), limits, workers, record)
        record.note(result)
    if explain and not limits.cancelled:
        left_s = max(0.0, began + given_s - time.perf_counter())
        prices = prices_beside(problem, result.plan, deadline_s=left_s, seed=seed, workers=workers)
        result = replace(result, shadow_prices=prices)
    return _explained(kind, problem, result, record)


def _satisfying(problem: Any, first: Result[Any], gap_frac: float) -> float:
    """The gap at which the search may stop: also one of a negligible cost, unless the optimum itself is asked for."""
    negligible = getattr(problem, "negligible_cost", 0.0)
    if gap_frac == 0.0 or first.objective <= 0.0:
        return gap_frac
    return float(max(gap_frac, min(1.0, negligible / first.objective)))


def _explained(kind: Kind, problem: Any, result: Result[Any], record: Record) -> Result[Any]:
    return replace(
        result,
        why_not=kind.check.why_not(problem, result.plan),
        binding=kind.check.binding(problem, result.plan),
        trace=record.trace(result),
    )


def _greedy(kind: Kind, problem: Any, gap_frac: float, seed: int) -> Result[Any]:
    """The first answer, verified; every term of an objective is ≥ 0, so 0 is a bound that costs nothing."""
    began = time.perf_counter()
    plan, bound = kind.bounded(problem) if kind.bounded is not None else (kind.greedy.greedy(problem), 0.0)
    solved = time.perf_counter()
    report = judged(kind, problem, plan)
    if not report.ok:
        raise PlanRefused("the greedy plan was refused: " + "; ".join(str(item) for item in report.violations[:5]))
    result = Result(
        plan=plan,
        status=Status.FEASIBLE,
        mode=mode_of(plan, Mode.GREEDY),
        solver="greedy",
        checked=report,
        bound=0.0,
        seed=seed,
        solve_s=solved - began,
        check_s=time.perf_counter() - solved,
    )
    return with_bound(result, bound, gap_frac, excess_proven=False)


def _searched(
    kind: Kind,
    problem: Any,
    incumbent: Result[Any],
    search: Search,
    limits: _Limits,
    workers: Workers | None,
    record: Record,
) -> Result[Any]:
    """The incumbent, or the solver's answer where that is better; the solver's bound either way."""
    found, ended = _found(problem, incumbent, search, limits, workers, record)
    began = time.perf_counter()
    result = improved(kind, problem, incumbent, _plans(found, record), search.engine)
    stands = result.solver == search.engine
    none = "" if stands or ended or result.fallback else f"{search.engine} found no plan ({found.status})"
    timed = replace(
        result,
        build_s=found.build_s,
        solve_s=incumbent.solve_s + found.solve_s,
        check_s=incumbent.check_s + time.perf_counter() - began,
        fallback="" if stands else "; ".join(filter(None, (ended, result.fallback, none))),
    )
    return with_bound(timed, found.bound, search.gap_frac, excess_proven=found.excess_proven)


def _plans(found: Found, record: Record) -> Iterator[Any]:
    """What the solver ended with, and if that is none or refused, what it told of last."""
    if found.plan is not None:
        yield found.plan
    told = record.plan()
    if told is not None:
        yield told


def _found(
    problem: Any,
    incumbent: Result[Any],
    search: Search,
    limits: _Limits,
    workers: Workers | None,
    record: Record,
) -> tuple[Found, str]:
    """What the solver makes of it; if it does not come to an end, what it told of until then, and why it did not."""
    left_s = limits.left_s
    left_s -= min(CHECKS_KEPT * incumbent.check_s, 0.5 * left_s) if left_s < math.inf else 0.0
    if left_s < ROUND_TRIP_S + min(incumbent.solve_s, MODEL_MOST_S):
        return _ended(record), f"{search.engine} was not asked: {max(0.0, left_s):.3f} s were left"
    if limits.cancelled:
        return _ended(record), f"{search.engine} was not asked: the call was cancelled"
    search = replace(search, deadline_s=_share_s(left_s, search), tells=workers is not None)
    try:
        if workers is None:
            return exact(problem, incumbent.plan, search, record.hear), ""
        worker = workers[worker_of(search.engine)]
        found = worker.run(
            exact,
            problem,
            incumbent.plan,
            search,
            deadline_s=left_s,
            grace_s=0.0,
            on_news=record.hear,
            cancel=limits.cancel,
        )
    except (DeadlinePassed, WorkerFailed) as error:
        return _ended(record), f"{search.engine}: {error}"
    return (found, "") if _readable(found) else (_ended(record), f"{search.engine} answered nonsense")


def _readable(found: Any) -> bool:
    """Whether a process answered in the form agreed on; what its plan and its bound are worth is another question."""
    if type(found) is not Found or type(found.status) is not MipStatus or type(found.excess_proven) is not bool:
        return False
    numbers = (found.bound, found.build_s, found.solve_s)
    return all(isinstance(number, (int, float)) and not math.isnan(number) for number in numbers)


def _share_s(left_s: float, search: Search) -> float | None:
    """The solver's own deadline; None where work is counted, or time is not."""
    if search.work is not None or left_s == math.inf:
        return None
    return left_s - min(0.5 * left_s, HAND_OVER_FRAC * left_s + HAND_OVER_S, HAND_OVER_MOST_S)


def _ended(record: Record) -> Found:
    return Found(None, record.bound, MipStatus.NO_SOLUTION, 0.0, 0.0, excess_proven=False)
