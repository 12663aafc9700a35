"""A placement solved with little said first, then over the rows that matter, which are found on the way.

See :mod:`tapas_opt.placement.coarse`, :mod:`tapas_opt.placement.aggregate` and :mod:`tapas_opt.placement.lazy`.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from tapas_opt.mip.relaxation import relaxed
from tapas_opt.mip.result import MipStatus, proven_status
from tapas_opt.placement import formulation
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.check import check
from tapas_opt.placement.coarse import among_best, by_failures, by_temperature, going
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.lazy import Rows, completed, first_rows, more_rows, thinned
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem, placement_classes
from tapas_opt.solve.exact import Found, News, Search, Tell, solved_over

__all__ = ["solved_lazily"]

SHARE = 0.5
"""Of the time that is left, for a model to which rows may still be added."""

ROOMS_SHARE, ROOMS_FRAC = 0.7, 0.4
"""Of the time that is left, and of the gap that may stay, for filling rooms one by one."""

LEAST_LEFT_S = 0.02

MOST_ROUNDS = 30

SMALL_BATCH = 256
"""VMs that are cooled down together, which takes as many changes whatever their number."""

WARMEST, COLDEST = 0.5, 0.5
"""Heats of cooling, in what a VM costs too much now, and in what it may cost too much."""

COLDER = 4.0
"""By so much the last heat is below the first where VMs that have followed others trade on."""

ATTEMPTS, APART = 5, 1_000
"""So often VMs are cooled down by failures, and a few servers drawn for each; seeds of attempts lie this far apart."""

SMALL_COLUMNS = 20_000
"""Columns of VMs on servers up to which a linear program is the next thing to solve."""


@dataclass(slots=True)
class _Known:
    """What is asked, the best plan that keeps every row, what it costs, and the best bound."""

    problem: PlacementProblem
    search: Search
    tell: Tell
    until: float
    plan: PlacementPlan
    cost: float
    bound: float = -math.inf

    @property
    def gap_frac(self) -> float:
        """The gap to come to: one of a negligible cost will do, unless the optimum itself is asked for."""
        if self.search.gap_frac == 0.0 or self.cost <= 0.0:
            return self.search.gap_frac
        return max(self.search.gap_frac, min(1.0, self.problem.negligible_cost / self.cost))

    @property
    def near_enough(self) -> bool:
        return self.cost - self.bound <= self.gap_frac * abs(self.cost)

    @property
    def left_s(self) -> float:
        return self.until - time.perf_counter()

    @property
    def some_s(self) -> float | None:
        """A share of the time that is left, None for any time."""
        return None if self.until == math.inf else max(0.0, SHARE * self.left_s)

    def keep(self, plan: PlacementPlan) -> None:
        """Take a plan that keeps all rows and costs less; tell what is known."""
        report = check(self.problem, plan)
        if report.ok and report.objective < self.cost:
            self.plan, self.cost = plan, report.objective
        self.tell(News(self.cost, self.bound, pickle.dumps(self.plan, pickle.HIGHEST_PROTOCOL)))

    def raise_bound(self, bound: float) -> None:
        """Take a bound and tell of it, if it is better."""
        if bound > self.bound:
            self.bound = bound
            self.tell(News(self.cost, bound, None))


def solved_lazily(
    problem: PlacementProblem, classes: PlacementClasses, start: PlacementPlan, search: Search, tell: Tell
) -> Found:
    """Solve over some rows, complete the plan, add the rows that it breaks or that make it dearer, and again.

    Before that come problems of which less is said, and changes of places: often they are all it takes. The bound of
    every such model is one of the problem; a plan counts once it keeps all rows.
    """
    began = time.perf_counter()
    until = math.inf if search.deadline_s is None else began + search.deadline_s
    known = _Known(problem, search, tell, until, start, check(problem, start).objective)
    for step in _SMALL_STEPS if len(problem.vms) <= SMALL_BATCH else _LARGE_STEPS:
        if not known.near_enough and known.left_s > LEAST_LEFT_S:
            step(known, classes)
    build_s = _over_more_rows(known, problem, classes)
    status = proven_status(known.cost, known.bound, known.gap_frac)
    return Found(known.plan, known.bound, status, build_s, time.perf_counter() - began - build_s)


def _over_more_rows(
    known: _Known, problem: PlacementProblem, classes: PlacementClasses, *, is_whole: bool = True
) -> float:
    """Solve over ever more rows until none is missing; seconds that building took.

    The problem is the whole one, or one whose plans are among those of the whole: then its bounds count for nothing.
    """
    tell = partial(_bound_only, known) if is_whole else _nothing
    rows, build_s, last = first_rows(problem, classes, known.plan), 0.0, False
    for _ in range(MOST_ROUNDS):
        if known.left_s < LEAST_LEFT_S or known.near_enough:
            break
        limit_s = known.left_s if last and is_whole and known.until < math.inf else known.some_s
        gap_frac = known.gap_frac if is_whole else known.gap_frac / 4
        engine = known.search.engine if is_whole else "highs"  # the others are small enough for it to close
        search = replace(known.search, engine=engine, deadline_s=limit_s, gap_frac=gap_frac)
        found = solved_over(*thinned(problem, classes, rows), known.plan, search, tell)
        build_s += found.build_s
        if is_whole:
            known.raise_bound(found.bound)
        more = None if found.plan is None else _judged(known, problem, classes, rows, found.plan)
        if last or (found.status is MipStatus.OPTIMAL and (more is None or more.count == 0)):
            break
        last = more is None or more.count == 0
        rows = rows if more is None else rows.joined(more)
    return build_s


def _by_temperature(known: _Known, _: PlacementClasses) -> None:
    """Take the bound of the problem without domains, groups, promises and failures."""
    coarse = by_temperature(known.problem)
    bare = replace(known.search, engine="highs", deadline_s=known.some_s, gap_frac=known.gap_frac)
    plan = replace(known.plan, relief={}, shortfall={})
    known.raise_bound(solved_over(coarse, placement_classes(coarse), plan, bare, _nothing).bound)


def _by_failures(known: _Known, whole: PlacementClasses) -> None:
    """Let VMs trade places by what the dearest failures cost alone, follow that, and let them trade on."""
    from tapas_opt.placement.cooling import cooled  # noqa: PLC0415  compiled loops take long to import

    start, heats, coarse = known.plan, _heats(known), by_failures(known.problem, known.plan)
    if coarse is not None:
        classes = placement_classes(coarse)
        thin, _ = thinned(coarse, classes, first_rows(coarse, classes, start))
        for seed in _seeds(known):
            plan = cooled(thin, classes, start, heats, seed=seed, until=known.until)
            plan = greedy(known.problem, going(coarse, classes, plan))
            known.keep(plan)
            if not known.near_enough:
                known.keep(_traded_on(known, whole, plan, (heats[1], heats[1] / COLDER), seed))
            if by_failures(known.problem, known.plan) is None:
                break


def _traded_on(
    known: _Known, classes: PlacementClasses, plan: PlacementPlan, heats: tuple[float, float], seed: int
) -> PlacementPlan:
    """What a plan becomes by all that is said over the rows that are nearest to their limits.

    One that follows others has VMs on servers that are dearer than need be, and too near to each other.
    """
    from tapas_opt.placement.cooling import cooled  # noqa: PLC0415

    rows = first_rows(known.problem, classes, plan)
    thin = thinned(known.problem, classes, rows)
    return completed(known.problem, rows, cooled(*thin, plan, heats, seed=seed, until=known.until))


def _relaxed(known: _Known, classes: PlacementClasses) -> None:
    """Take the bound of the linear program over the rows that are nearest to their limits, where it is small."""
    from tapas_opt.mip import highs  # noqa: PLC0415  a solver's process has it; nobody else needs it

    if classes.vms.count * classes.servers.count <= SMALL_COLUMNS:
        rows = first_rows(known.problem, classes, known.plan)
        arrays = formulation.formulate(*thinned(known.problem, classes, rows))
        known.raise_bound(highs.solve(relaxed(arrays), deadline_s=known.some_s, seed=known.search.seed).bound)


def _cooled(known: _Known, classes: PlacementClasses) -> None:
    """Let VMs trade places, warm first."""
    from tapas_opt.placement.cooling import cooled  # noqa: PLC0415

    seed, until = known.search.seed, math.inf if known.some_s is None else time.perf_counter() + known.some_s
    known.keep(cooled(known.problem, classes, known.plan, _heats(known), seed=seed, until=until))


def _among_best(known: _Known, _: PlacementClasses) -> None:
    """Solve with a few servers for each VM, where no failure is made dearer and only servers are to be chosen."""
    if by_failures(known.problem, known.plan) is None:
        for seed in _seeds(known):
            few = among_best(known.problem, known.plan, seed=seed)
            _over_more_rows(known, few, placement_classes(few), is_whole=False)


def _seeds(known: _Known) -> Iterator[int]:
    """Of some attempts, until one comes near enough."""
    for attempt in range(ATTEMPTS):
        if not known.near_enough and known.left_s > LEAST_LEFT_S:
            yield known.search.seed + APART * attempt


def _heats(known: _Known) -> tuple[float, float]:
    """Of the first and the last turn of cooling."""
    count, near = len(known.problem.vms), max(known.gap_frac * known.cost, 1.0)
    return max(WARMEST * (known.cost - max(0.0, known.bound)), near) / count, COLDEST * near / count


def _as_few_places(known: _Known, _: PlacementClasses) -> None:
    """Take the bound of the whole site as a few places, and the plan that follows its advice if that is better."""
    from tapas_opt.placement.room_by_room import placed_room_by_room  # noqa: PLC0415

    advice = shares(known.problem, deadline_s=known.some_s, seed=known.search.seed)
    if advice is None:
        return
    known.raise_bound(advice.bound)
    if not known.near_enough:
        now, left_s, near_frac = time.perf_counter(), known.left_s, ROOMS_FRAC * known.gap_frac
        seed, by = known.search.seed, now + ROOMS_SHARE * left_s
        plan = placed_room_by_room(known.problem, advice, near_frac=near_frac, seed=seed, until=by)
        known.keep(greedy(known.problem, advice, until=now + SHARE * left_s) if plan is None else plan)


def _traded(known: _Known, classes: PlacementClasses) -> None:
    """Let VMs trade places, where failures are to be survived; half of the time that is left is for the model."""
    if known.problem.survival is not None:
        from tapas_opt.placement.trading import traded  # noqa: PLC0415

        until = math.inf if known.some_s is None else time.perf_counter() + known.some_s
        known.keep(traded(known.problem, classes, known.plan, seed=known.search.seed, until=until))


_SMALL_STEPS = (_by_temperature, _relaxed, _by_failures, _among_best, _cooled, _as_few_places, _traded)
_LARGE_STEPS = (_as_few_places, _traded)


def _judged(
    known: _Known, problem: PlacementProblem, classes: PlacementClasses, rows: Rows, plan: PlacementPlan
) -> Rows:
    """Keep the plan, completed, if it keeps all rows and is better; the rows that it still has to learn of."""
    whole = completed(known.problem, rows, plan)
    known.keep(whole)
    return more_rows(problem, classes, rows, whole)


def _bound_only(known: _Known, news: News) -> None:
    """A plan over some rows may break others: only its bound is news."""
    known.raise_bound(news.bound)


def _nothing(_: News) -> None:
    """What is found on the way to something else is no news."""
