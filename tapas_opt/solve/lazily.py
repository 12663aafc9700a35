"""A placement solved as one place first, then over the rows that matter, which are found on the way.

See :mod:`tapas_opt.placement.aggregate` and :mod:`tapas_opt.placement.lazy`.
"""

from __future__ import annotations

import math
import pickle
import time
from dataclasses import dataclass, replace
from functools import partial

from tapas_opt.mip.result import MipStatus, proven_status
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.check import check
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.lazy import Rows, completed, first_rows, more_rows, thinned
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.solve.exact import Found, News, Search, Tell, solved_over

__all__ = ["solved_lazily"]

SHARE = 0.5
"""Of the time that is left, for a model to which rows may still be added."""

LEAST_LEFT_S = 0.02

MOST_ROUNDS = 30


@dataclass(slots=True)
class _Known:
    """The best plan that keeps every row, what it costs, and the best bound."""

    plan: PlacementPlan
    cost: float
    bound: float = -math.inf

    def near_enough(self, gap_frac: float) -> bool:
        return self.cost - self.bound <= gap_frac * abs(self.cost)


def solved_lazily(
    problem: PlacementProblem, classes: PlacementClasses, start: PlacementPlan, search: Search, tell: Tell
) -> Found:
    """Solve over some rows, complete the plan, add the rows that it breaks or that make it dearer, and again.

    Before that the site as one place gives a bound and advice, which on large sites is often all it takes, and VMs
    trade places where failures are to be survived. The bound
    of every such model is one of the problem; a plan counts once it keeps all rows.
    """
    began = time.perf_counter()
    until = math.inf if search.deadline_s is None else began + search.deadline_s
    known = _Known(start, check(problem, start).objective)
    _as_one_place(problem, search, known, tell)
    _traded(problem, classes, search, known, until)
    if known.bound > -math.inf:
        tell(News(known.cost, known.bound, pickle.dumps(known.plan, pickle.HIGHEST_PROTOCOL)))
    rows, build_s, last = first_rows(problem, classes, start), 0.0, False
    for _ in range(MOST_ROUNDS):
        left_s = until - time.perf_counter()
        if left_s < LEAST_LEFT_S or known.near_enough(search.gap_frac):
            break
        thin = replace(search, deadline_s=None if left_s == math.inf else left_s * (1.0 if last else SHARE))
        found = solved_over(*thinned(problem, classes, rows), known.plan, thin, partial(_bound_only, tell, known))
        build_s += found.build_s
        known.bound = max(known.bound, found.bound)
        more = None if found.plan is None else _judged(problem, classes, rows, found.plan, known)
        tell(News(known.cost, known.bound, pickle.dumps(known.plan, pickle.HIGHEST_PROTOCOL)))
        if last or (found.status is MipStatus.OPTIMAL and (more is None or more.count == 0)):
            break
        last = more is None or more.count == 0
        rows = rows if more is None else rows.joined(more)
    status = proven_status(known.cost, known.bound, search.gap_frac)
    return Found(known.plan, known.bound, status, build_s, time.perf_counter() - began - build_s)


def _as_one_place(problem: PlacementProblem, search: Search, known: _Known, tell: Tell) -> None:
    """Take the bound of the whole site as one place, and the greedy plan that follows its advice if that is better."""
    began, limit_s = time.perf_counter(), None if search.deadline_s is None else SHARE * search.deadline_s
    advice = shares(problem, deadline_s=limit_s, seed=search.seed)
    if advice is None:
        return
    known.bound = max(known.bound, advice.bound)
    tell(News(known.cost, known.bound, None))
    if not known.near_enough(search.gap_frac):
        until = math.inf if limit_s is None else began + limit_s
        plan = greedy(problem, advice, until=until)
        report = check(problem, plan)
        if report.ok and report.objective < known.cost:
            known.plan, known.cost = plan, report.objective


def _traded(problem: PlacementProblem, classes: PlacementClasses, search: Search, known: _Known, until: float) -> None:
    """Let VMs trade places, where failures are to be survived; half of the time that is left is for the model."""
    if problem.survival is None or known.near_enough(search.gap_frac):
        return
    from tapas_opt.placement.trading import traded  # noqa: PLC0415  compiled loops take long to import

    now = time.perf_counter()
    plan = traded(problem, classes, known.plan, seed=search.seed, until=now + SHARE * (until - now))
    report = check(problem, plan)
    if report.ok and report.objective < known.cost:
        known.plan, known.cost = plan, report.objective


def _judged(
    problem: PlacementProblem, classes: PlacementClasses, rows: Rows, plan: PlacementPlan, known: _Known
) -> Rows:
    """Keep the plan, completed, if it keeps all rows and is better; the rows that it still has to learn of."""
    whole = completed(problem, rows, plan)
    report = check(problem, whole)
    if report.ok and report.objective < known.cost:
        known.plan, known.cost = whole, report.objective
    return more_rows(problem, classes, rows, whole)


def _bound_only(tell: Tell, known: _Known, news: News) -> None:
    """A plan over some rows may break others: only its bound is news."""
    if news.bound > known.bound:
        known.bound = news.bound
        tell(News(known.cost, known.bound, None))
