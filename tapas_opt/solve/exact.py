"""Build, solve and decode in one go: what runs in a worker's process, where its whole cost stays."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tapas_opt.errors import WorkerFailed
from tapas_opt.mip import cpsat, decomposition, highs, pyomo_solver, scip
from tapas_opt.mip.model import FloatArray, MipArrays
from tapas_opt.mip.result import MipResult, MipStatus, Report
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationProblem
from tapas_opt.solve.kinds import KINDS, PYOMO

__all__ = ["Found", "News", "Search", "Tell", "exact", "excess_of", "solved_over"]

LEAST_S = 0.01
"""A solver is given at least this, however long building took: its start alone may be worth returning."""

HAND_OVER_FRAC = 0.1
"""Plans on the way may cost the solver this part of its time: each is decoded and sent."""

MOST_OFTEN_S = 0.01
"""Bounds are told no more often."""

ROUND_NODES, ROUND_S = decomposition.PART_NODES, 0.5
"""A round of work, for those that do not count in rounds: nodes of a search tree, deterministic seconds of CP-SAT."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which exact solver, for how long, how close, and from which seed.

    Attributes
    ----------
    deadline_s
        None where ``work`` is counted instead of time.
    work
        Rounds of the decomposition, or as much of another solver.
    tells
        Whether better plans are handed over on the way.
    """

    engine: str
    deadline_s: float | None
    gap_frac: float
    seed: int
    work: int | None = None
    tells: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What an exact solver hands over: a plan if it has one, and what it has proven."""

    plan: Any
    bound: float
    status: MipStatus
    build_s: float
    solve_s: float
    excess_proven: bool = True


class News(NamedTuple):
    """What a solver knows on its way: cost of its best plan, bound, and that plan pickled if it is handed over now."""

    objective: float
    bound: float
    plan: bytes | None


Tell = Callable[[News], None]


def exact(problem: Any, start: Any, search: Search, tell: Tell) -> Found:
    """Build, solve and decode.

    A reconfiguration that cannot meet its budgets is solved twice: for the least excess, then for the least cost
    within that excess.
    """
    began = time.perf_counter()
    proven = True
    two_solves = isinstance(problem, ReconfigurationProblem | HorizonProblem)
    if two_solves and problem.aim is Aim.COST and excess_of(start) > 0:
        half = replace(search, deadline_s=None if search.deadline_s is None else search.deadline_s / 2)
        least = _solved(problem.minimising_excess(), start, half, partial(_plan_only, tell))
        proven = least.status is MipStatus.OPTIMAL
        start = start if least.plan is None else least.plan
        problem = problem.with_allowed_excess(start.excess)
    left_s = None if search.deadline_s is None else search.deadline_s - (time.perf_counter() - began)
    found = _solved(problem, start, replace(search, deadline_s=left_s), tell)
    return replace(found, excess_proven=proven)


def excess_of(plan: Any) -> float:
    """By how much a plan owns up to be over its limits, all domains together."""
    return float(sum(getattr(plan, "excess", {}).values()))


def _plan_only(tell: Tell, news: News) -> None:
    """Excess is no cost: only the plan counts."""
    if news.plan is not None:
        tell(News(math.inf, -math.inf, news.plan))


def _solved(problem: Any, start: Any, search: Search, tell: Tell) -> Found:
    began = time.perf_counter()
    classes = KINDS[type(problem)].classes(problem)
    classes_s = time.perf_counter() - began
    left = search if search.deadline_s is None else replace(search, deadline_s=search.deadline_s - classes_s)
    if isinstance(problem, PlacementProblem) and search.engine == "decomposition":
        from tapas_opt.solve.lazily import solved_lazily  # noqa: PLC0415  it builds on this module

        found = solved_lazily(problem, classes, start, left, tell)
    else:
        found = solved_over(problem, classes, start, left, tell)
    return replace(found, build_s=found.build_s + classes_s)


def solved_over(problem: Any, classes: Any, start: Any, search: Search, tell: Tell) -> Found:
    """Build, solve and decode over given classes."""
    began = time.perf_counter()
    kind = KINDS[type(problem)]
    arrays = kind.formulation.formulate(problem, classes)
    textbook = search.engine.startswith(PYOMO)
    model = kind.reference.reference(problem, classes) if textbook else None
    warm = kind.formulation.encode(problem, classes, start)
    build_s = time.perf_counter() - began
    decode = partial(_decoded, partial(kind.formulation.decode, problem, classes), arrays, search.engine)
    teller = _Teller(tell, decode, arrays.objective(warm), HAND_OVER_FRAC if search.tells else 0.0)
    left = replace(search, deadline_s=None if search.deadline_s is None else max(LEAST_S, search.deadline_s - build_s))
    outcome = _textbook(model, arrays, left) if textbook else _ours(arrays, warm, left, teller)
    plan = None if outcome.values is None else decode(outcome.values)
    return Found(plan, outcome.bound, outcome.status, build_s, outcome.solve_s)


def _ours(arrays: MipArrays, warm: FloatArray, search: Search, report: Report) -> MipResult:
    """A solver that takes arrays, starts from a plan and tells what it finds."""
    nodes = None if search.work is None else search.work * ROUND_NODES
    run: Callable[..., MipResult] = {
        "decomposition": partial(decomposition.solve, rounds=search.work),
        "highs": partial(highs.solve, nodes=nodes),
        "scip": partial(scip.solve, nodes=nodes),
        "cpsat": partial(cpsat.solve, work=None if search.work is None else search.work * ROUND_S),
    }[search.engine]
    return run(
        arrays, deadline_s=search.deadline_s, gap_frac=search.gap_frac, seed=search.seed, start=warm, report=report
    )


def _textbook(model: Any, arrays: MipArrays, search: Search) -> MipResult:
    """A solver that Pyomo drives, on the textbook form; its values in the arrays' order."""
    return pyomo_solver.solve(
        model,
        solver=search.engine.removeprefix(PYOMO),
        deadline_s=search.deadline_s,
        gap_frac=search.gap_frac,
        seed=search.seed,
        columns=arrays.column_names(),
        nodes=None if search.work is None else search.work * ROUND_NODES,
    )


def _decoded(decode: Callable[[FloatArray], Any], arrays: MipArrays, engine: str, values: FloatArray) -> Any:
    """The plan that values stand for, if they are what was asked for; the checker judges the plan itself."""
    if values.shape != (arrays.columns_count,) or not np.isfinite(values).all():
        raise WorkerFailed(f"{engine} did not answer with a number for each of {arrays.columns_count:,} columns")
    return decode(values)


class _Teller:
    """Tells of what a solver reports, and hands plans over while decoding them costs little of the time."""

    def __init__(self, tell: Tell, decode: Callable[[FloatArray], Any], start_cost: float, frac: float) -> None:
        self._tell, self._decode, self._frac = tell, decode, frac
        self._began, self._told_s, self._spent_s = time.perf_counter(), -math.inf, 0.0
        self._cost = start_cost
        self._waiting: FloatArray | None = None

    def __call__(self, objective: float, bound: float, values: FloatArray | None) -> None:
        """Tell at once of what is better, of a bound not too often."""
        now_s = time.perf_counter() - self._began
        better = values is not None and objective < self._cost
        if better:
            self._cost, self._waiting = objective, values
        plan = None
        if self._waiting is not None and self._spent_s < self._frac * now_s:
            plan, self._waiting = self._packed(self._waiting), None
            self._spent_s += time.perf_counter() - self._began - now_s
        if better or plan is not None or now_s - self._told_s >= MOST_OFTEN_S:
            self._told_s = now_s
            self._tell(News(objective, bound, plan))

    def _packed(self, values: FloatArray) -> bytes | None:
        try:
            return pickle.dumps(self._decode(values), pickle.HIGHEST_PROTOCOL)
        except Exception:  # a report must not raise; what is wrong with the values is said at the end
            return None
