"""What was known when: the trace of a solve, and the last plan that a solver handed over before it was ended."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Iterator
from typing import Any

from tapas_opt.domain.result import Progress, Result
from tapas_opt.solve.exact import News, excess_of

__all__ = ["Record"]


class Record:
    """Listens to a solver. ``began`` is a time of `time.perf_counter`, from which moments count."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._verified: list[Progress] = []
        self._claimed: list[Progress] = []
        self._plan: bytes | None = None

    def hear(self, news: News) -> None:
        """Take down what a solver tells; only the last plan is kept, and not even opened before it is needed."""
        self._claimed.append(Progress(self._now_s(), news.objective, news.bound))
        if news.plan is not None:
            self._plan = news.plan

    def note(self, result: Result[Any]) -> None:
        """Take down a verified answer."""
        self._verified.append(Progress(self._now_s(), result.objective, result.bound))

    @property
    def bound(self) -> float:
        """The best bound that the solver told of."""
        return max((moment.bound for moment in self._claimed if not math.isnan(moment.bound)), default=-math.inf)

    def plan(self) -> Any:
        """The last plan that the solver handed over on its way; None if there is none that can be read."""
        try:
            return None if self._plan is None else pickle.loads(self._plan)
        except Exception:  # whatever a spoilt message makes of pickle
            return None

    def trace(self, result: Result[Any]) -> tuple[Progress, ...]:
        """What was known when, as far as ``result`` bears it out: no claim goes beyond its objective or its bound."""
        return tuple(self._changes(result))

    def _changes(self, result: Result[Any]) -> Iterator[Progress]:
        first, last = self._verified[0], self._verified[-1]
        yield first
        known = first
        for moment in () if excess_of(result.plan) > 0 else self._claimed:  # with excess, costs of plans do not compare
            objective = min(known.objective, max(moment.objective, result.objective))
            bound = max(known.bound, min(moment.bound, result.bound))
            if (objective, bound) != (known.objective, known.bound):
                known = Progress(moment.at_s, objective, bound)
                yield known
        if last is not first:
            yield last

    def _now_s(self) -> float:
        return time.perf_counter() - self._began
