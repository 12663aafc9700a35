"""TAPAS's instance configurator: what fits the headroom, the best quality first (facts).

Where a limit is broken, all instances on that domain give up the same part of their power at a time, until nothing is
broken any more; each by the configuration within what is left to it that loses the least, quality and tokens not
served counted as the optimiser counts them. Once all is calm, instances go back to what their endpoints prefer, as far
as that fits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.capping import CLOCK
from tapas_opt.control.profiles import choice_name
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.reconfiguration.problem import ReconfigurationProblem, Stage
from tapas_opt.simulation.policies.insight import Insight
from tapas_opt.simulation.policies.roster import Roster
from tapas_opt.simulation.policy import Orders
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["TapasConfigurator", "orders_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

STEP_FRAC = 0.05
GAIN_FRAC = 0.05
"""Going back has to be worth so much of what is lost now, or instances would swing."""


def orders_of(choice_of: Mapping[str, str], why: str) -> Orders:
    """Choices as orders to actuators: an opaque VM's is a clock."""
    clocks = {vm: float(choice.partition("@")[2]) for vm, choice in choice_of.items() if choice.startswith(f"{CLOCK}@")}
    return Orders({vm: choice for vm, choice in choice_of.items() if vm not in clocks}, clocks, why=why)


class TapasConfigurator:
    """Acts on failures, a second time half a minute after, and at the regular look."""

    def __init__(self, roster: Roster, insight: Insight) -> None:
        self._roster = roster
        self._insight = insight

    def observe(self, telemetry: Telemetry) -> Orders:
        """Telemetry alone changes nothing."""
        return Orders()

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Relieve what is overloaded, at once."""
        problem = self._insight.reconfiguration(Stage.NOW, now_s)
        return self._ordered(problem, _relieved(problem, problem.current), f"answer to {failure.label}")

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """The look that follows lets go."""
        return Orders()

    def review(self, now_s: float) -> Orders:
        """Relieve what is overloaded still; if nothing is, go back as far as there is room."""
        problem = self._insight.reconfiguration(Stage.SETTLED, now_s)
        if not problem.instances:
            return Orders()
        loss = _loss(problem)
        now = np.arange(len(problem.instances))
        before = float(loss[now, problem.current].sum())
        wanted = _relieved(problem, self._preferred(problem))
        broken = bool(problem.present().excess) or not problem.eligible()[now, problem.current].all()
        if not broken and before - float(loss[now, wanted].sum()) <= GAIN_FRAC * before:
            return Orders()
        return self._ordered(problem, wanted, "settles")

    def released(self, names: Sequence[str]) -> None:
        """Insight has heard of it."""

    def _preferred(self, problem: ReconfigurationProblem) -> IntArray:
        """What each instance would run with room for all; what may not go back stays."""
        number = {name: c for c, name in enumerate(problem.choices.names)}
        wanted = problem.current.copy()
        for i, name in enumerate(problem.instances):
            preferred = self._insight.preferred(name)
            choice = choice_name(CLOCK if preferred is None else preferred, 1.0)
            wanted[i] = number.get(choice, wanted[i])
        fits = problem.eligible()[np.arange(len(wanted)), wanted]
        return np.where(fits, wanted, problem.current)

    def _ordered(self, problem: ReconfigurationProblem, choice: IntArray, why: str) -> Orders:
        names = problem.choices.names
        changes = {problem.instances[i]: names[choice[i]] for i in np.flatnonzero(choice != problem.current)}
        if not changes:
            return Orders()
        self._insight.ordered(changes)
        return orders_of(changes, f"{why}: {len(changes)} instances change")


def _relieved(problem: ReconfigurationProblem, start: IntArray) -> IntArray:
    """From some choices to ones that break nothing, or as little as can be."""
    if not problem.instances:
        return start
    eligible, loss = problem.eligible(), _loss(problem)
    power = problem.choices.power_w[problem.instance_hardware]
    left = np.ones(len(start))
    while True:
        choice = _within(left, start, eligible, loss, power)
        on = _on(problem, problem.excess_of(choice)) & (left > 0.0)
        if not on.any():
            return choice
        left = np.where(on, np.maximum(0.0, left - STEP_FRAC), left)


def _within(left_frac: FloatArray, start: IntArray, eligible: BoolArray, loss: FloatArray, power: IntArray) -> IntArray:
    """``[instance]`` the least loss within what is left of each one's power; the lightest choice where nothing is."""
    each = np.arange(len(start))
    fits = eligible & (power <= (left_frac * power[each, start])[:, None])
    lightest = np.where(eligible, power, np.iinfo(np.int64).max).argmin(axis=1)
    chosen = np.where(fits.any(axis=1), np.where(fits, loss, np.inf).argmin(axis=1), lightest)
    stays = (left_frac == 1.0) & eligible[each, start]
    return np.where(stays, start, chosen)


def _on(problem: ReconfigurationProblem, excess: Collection[tuple[Constraint, str]]) -> BoolArray:
    """``[instance]`` whether any of these domains is above it."""
    over = np.zeros(len(problem.servers), dtype=bool)
    for family in problem.budgets.families:
        bad = np.array([(family.constraint, name) in excess for name in family.domains], dtype=bool)
        for member in family.member.T:
            over |= (member != NONE) & bad[member]
    return np.asarray(over[problem.instance_server])


def _loss(problem: ReconfigurationProblem) -> FloatArray:
    """``[instance, choice]`` cost of quality and of tokens not served, were each to carry its part of the demand."""
    choices, prices = problem.choices, problem.prices
    goodput = choices.goodput_tokens_per_s[problem.instance_hardware]
    present = goodput[np.arange(len(problem.instances)), problem.current].astype(np.float64)
    total = np.bincount(problem.instance_endpoint, present, len(problem.endpoints))
    share = present / np.maximum(total, 1.0)[problem.instance_endpoint]
    asked = (problem.demand_tokens_per_s[problem.instance_endpoint] * share)[:, None]
    quality = problem.quality_loss_permille()[problem.instance_endpoint]
    lost = prices.unserved_token_per_s * np.maximum(0.0, asked - goodput)
    lost += prices.quality_permille_token_per_s * quality * np.minimum(asked, goodput)
    if choices.performance_loss_permille is not None:
        lost += prices.iaas_permille * choices.performance_loss_permille
    return np.asarray(lost)
