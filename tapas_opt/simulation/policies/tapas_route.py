"""TAPAS's load balancer: away from hot aisles and loaded rows (facts).

Each instance is sent as much as it could take within the limits above it: its goodput, times what its hottest GPU's
temperature leaves of it, times the part of full load that every row, aisle and UPS it hangs on has room for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.routing.problem import RoutingProblem
from tapas_opt.simulation.policies.insight import Insight
from tapas_opt.simulation.policy import Shares

__all__ = ["TapasRouter"]

FloatArray = NDArray[np.float64]

PLANNED_EVERY_S = 300.0


class TapasRouter:
    """Plans shares every five minutes, and whenever VMs, configurations or failures have changed."""

    def __init__(self, insight: Insight) -> None:
        self._insight = insight
        self._planned = (float("-inf"), -1)
        self._shares: Shares = {}

    def shares(self, now_s: float) -> Shares:
        """In proportion to what each instance may take."""
        at_s, version = self._planned
        if now_s - at_s >= PLANNED_EVERY_S or version != self._insight.version:
            self._shares = _in_proportion(self._insight.routing(now_s))
            self._planned = now_s, self._insight.version
        return self._shares


def _in_proportion(problem: RoutingProblem) -> Shares:
    may = (problem.segment_work * problem.cool_frac).sum(axis=1) * _room_frac(problem)[problem.instance_server]
    may = np.where(problem.open_instances, may, 0.0)
    total = np.bincount(problem.instance_endpoint, may, len(problem.endpoints))
    share = may / np.maximum(total, 1e-9)[problem.instance_endpoint]
    shares: dict[str, dict[str, float]] = {endpoint: {} for endpoint in problem.endpoints}
    for name, endpoint, part in zip(problem.instances, problem.instance_endpoint.tolist(), share.tolist(), strict=True):
        if part > 0.0:
            shares[problem.endpoints[endpoint]][name] = part
    return shares


def _room_frac(problem: RoutingProblem) -> FloatArray:
    """``[server]`` the part of full load that the fullest domain above it has room for."""
    most = problem.most_drawn()
    left = np.ones(len(problem.servers))
    for family in problem.budgets.families:
        drawn = family.drawn_permille(family.counted(most.power_w, most.airflow_cfm))[:, 0] / PERMILLE
        frac = np.clip(family.room[:, 0] / np.maximum(drawn, 1.0), 0.0, 1.0)
        for member in family.member.T:
            left = np.minimum(left, np.where(member == NONE, 1.0, frac[member]))
    return left
