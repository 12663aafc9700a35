"""A general solver by itself: the whole model, no plan to start from, no bound but its own.

`solve` helps every solver: greedy's plan and bound come first. To see what that is worth, ``plain-highs`` and its like
are given the same model and nothing else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tapas_opt.domain.result import Progress
from tapas_opt.mip import cpsat, highs, scip
from tapas_opt.mip.model import FloatArray
from tapas_opt.mip.result import MipResult
from tapas_opt.solve.kinds import KINDS

__all__ = ["PLAIN", "PlainAnswer", "plain"]

PLAIN: Mapping[str, Callable[..., MipResult]] = {
    "plain-highs": highs.solve,
    "plain-cpsat": cpsat.solve,
    "plain-scip": scip.solve,
}
"""The solvers by their names in a comparison."""


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """What it came to: a plan or None, its bound and status, times, and what was known when."""

    plan: Any
    outcome: MipResult
    build_s: float
    trace: tuple[Progress, ...]


def plain(problem: Any, solver: str, deadline_s: float, gap_frac: float, seed: int) -> PlainAnswer:
    """Build the whole model and solve it; ``solver`` is one of `PLAIN`."""
    began = time.perf_counter()
    kind = KINDS[type(problem)]
    classes = kind.classes(problem)
    arrays = kind.formulation.formulate(problem, classes)
    build_s = time.perf_counter() - began
    trace: list[Progress] = []
    left_s = max(0.01, deadline_s - build_s)
    outcome = PLAIN[solver](
        arrays, deadline_s=left_s, gap_frac=gap_frac, seed=seed, report=partial(_note, trace, began)
    )
    objective = math.inf if outcome.objective is None else outcome.objective
    trace.append(Progress(time.perf_counter() - began, objective, outcome.bound))
    plan = None if outcome.values is None else kind.formulation.decode(problem, classes, outcome.values)
    return PlainAnswer(plan, outcome, build_s, tuple(trace))


def _note(trace: list[Progress], began: float, objective: float, bound: float, values: FloatArray | None) -> None:
    trace.append(Progress(time.perf_counter() - began, objective, bound))
