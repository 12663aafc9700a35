"""How much of what nobody decides upon rises within minutes, learned domain by domain while the service runs.

Plans start from what servers are measured to draw, and are replaced within minutes. Meanwhile opaque VMs go on doing
what they want. For each domain the rises of their sum within :data:`HORIZON_S` are counted in bins, relative to all
that the domain draws; the margin is what 99 % of them stayed below.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tapas_opt.budgets.numbers import BudgetFamily, budget_numbers
from tapas_opt.domain.failure import effect_of
from tapas_opt.domain.panel import DAY_S
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE, Topology

__all__ = ["HORIZON_S", "LEVEL", "Counted", "Rises"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

HORIZON_S, TOLERANCE_S = 300.0, 60.0
"""A reading is compared with the one of so long ago, give or take."""

LEVEL = 0.99
STEP_FRAC, BINS = 0.0025, 80
"""Rises are counted in steps of a quarter of a percent up to a fifth; what is beyond is in the last bin."""

KNOWN_AFTER = 1_000.0
"""So many rises before any are believed: most of a day of telemetry every minute."""

FORGOTTEN_AFTER_S = 14.0 * DAY_S
"""After so long a rise counts 1/e."""

Counted = Annotated[list[list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]], Field(max_length=100_000)]
"""``[domain, bin]`` of one family, as it is written down."""


@dataclass(frozen=True, slots=True)
class _Moment:
    t_s: float
    power_w: FloatArray
    airflow_cfm: FloatArray
    runs: Sequence[str]


class Rises:
    """Counts rises of the domains of a site."""

    def __init__(self, topology: Topology) -> None:
        servers = len(topology.servers)
        nothing = np.zeros((servers, 1))
        numbers = budget_numbers(topology, effect_of(topology), ("now",), nothing, nothing, {})
        self._families = {family.constraint: family for family in numbers.families}
        self._counts = {c: np.zeros((len(family.domains), BINS)) for c, family in self._families.items()}
        self._recent: deque[_Moment] = deque()

    def note(self, t_s: float, power_w: FloatArray, airflow_cfm: FloatArray, runs: Sequence[str]) -> None:
        """Take in what servers draw, NaN where they were not read.

        Parameters
        ----------
        runs
            ``[server]`` name of the opaque VM on it, or ``""`` where decisions of ours change what it draws.
        """
        now = _Moment(t_s, power_w, airflow_cfm, runs)
        then = self._before(t_s)
        if then is not None:
            kept_frac = np.exp(-max(0.0, t_s - self._recent[-1].t_s) / FORGOTTEN_AFTER_S)
            for constraint, family in self._families.items():
                self._counts[constraint] *= kept_frac
                self._count(self._counts[constraint], family, then, now)
        self._recent.append(now)

    def margins(self) -> Mapping[Constraint, FloatArray]:
        """By family ``[domain]``: what 99 % of rises stayed below, as a part of what is drawn; NaN until known."""
        return dict(self._margins())

    def to_json(self) -> dict[str, Any]:
        """What was counted; what was read last is read again soon."""
        return {c.value: np.round(counts, 3).tolist() for c, counts in self._counts.items() if counts.any()}

    def restore(self, raw: Mapping[str, Counted]) -> None:
        """Go on from what was counted, where domains are as many as they were."""
        for constraint, counts in self._counts.items():
            before = raw.get(constraint.value, [])
            if len(before) == len(counts) and all(len(row) == BINS for row in before):
                self._counts[constraint] = np.array(before)

    def _before(self, t_s: float) -> _Moment | None:
        """The newest moment at least a horizon ago, if it is not much longer ago; older ones are forgotten."""
        if self._recent and t_s <= self._recent[-1].t_s:
            self._recent.clear()
        found = None
        while self._recent and t_s - self._recent[0].t_s >= HORIZON_S:
            found = self._recent.popleft()
        if found is None:
            return None
        self._recent.appendleft(found)
        return found if t_s - found.t_s <= HORIZON_S + TOLERANCE_S else None

    def _margins(self) -> Iterator[tuple[Constraint, FloatArray]]:
        for constraint, counts in self._counts.items():
            total = counts.sum(axis=1)
            below = np.cumsum(counts, axis=1) < LEVEL * total[:, None]
            yield constraint, np.where(total >= KNOWN_AFTER, (below.sum(axis=1) + 1) * STEP_FRAC, np.nan)

    @staticmethod
    def _count(counts: FloatArray, family: BudgetFamily, then: _Moment, now: _Moment) -> None:
        before = family.counted(then.power_w, then.airflow_cfm)
        drawn = family.counted(now.power_w, now.airflow_cfm)
        same = np.array([a == b != "" for a, b in zip(then.runs, now.runs, strict=True)], dtype=bool)
        read = np.isfinite(before) & np.isfinite(drawn)
        rise = _summed(family, np.where(read & same, drawn - before, 0.0))
        total = _summed(family, np.where(read, drawn, 0.0))
        judged = _complete(family, read) & (total > 0)
        frac = np.maximum(0.0, rise) / np.where(judged, total, 1.0)
        bins = np.minimum((frac / STEP_FRAC).astype(np.int64), BINS - 1)
        counts[np.flatnonzero(judged), bins[judged]] += 1.0


def _summed(family: BudgetFamily, draw: FloatArray) -> FloatArray:
    """``[domain]`` thousandths."""
    return family.drawn_permille(np.round(draw[:, None]).astype(np.int64))[:, 0].astype(np.float64)


def _complete(family: BudgetFamily, read: BoolArray) -> BoolArray:
    """``[domain]`` whether every server that draws on it was read."""
    inside = family.member != NONE
    missing = np.broadcast_to(~read[:, None], family.member.shape)
    return np.asarray(np.bincount(family.member[inside], weights=missing[inside], minlength=len(family.domains)) == 0)
