"""Reconfiguration: the next choice of each SaaS instance of a site, in normal load swings and in emergencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint

__all__ = [
    "Aim",
    "Choices",
    "ReconfigurationPlan",
    "ReconfigurationPrices",
    "ReconfigurationProblem",
    "Stage",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

Excess = Mapping[tuple[Constraint, str], float]
"""By how much a domain may be over its limit, by constraint and domain, in the family's unit."""


class Stage(StrEnum):
    """What a plan is for: relief within seconds, or the state to settle in after minutes."""

    NOW = "now"
    SETTLED = "settled"


class Aim(StrEnum):
    """What is minimised: the excess over budgets, in a solve of its own, or the cost within an excess found before."""

    EXCESS = "excess"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Choices:
    """What an instance may be: a configuration at a load level, or parked (no configuration, no load).

    An opaque VM whose owner agreed to be slowed is an instance, too, of an endpoint that asks for nothing; its choices
    are clocks, and it has a row of its own in the tables, or shares one with those that draw as much on such hardware.

    Attributes
    ----------
    names
        Such as ``llama2-70b-fp16-tp8-b64-f1410@0.5``, and ``parked``; exactly one choice has no configuration.
    runs_on
        ``[hardware, choice]`` whether the hardware (or hardware and draw of an opaque VM) can run it: memory, GPU
        count, and a profile of it.
    goodput_tokens_per_s
        ``[hardware, choice]`` goodput of the configuration × load level, rounded down.
    power_w, airflow_cfm
        ``[hardware, choice]`` draw beyond the idle draw that is in the base, rounded up.
    gpu_power_w
        ``[hardware, choice]`` power of the hottest GPU, idle included.
    quality_loss_permille
        ``[choice]`` thousandths of the best model's quality that are missing, rounded up.
    performance_loss_permille
        ``[choice]`` thousandths of its speed that an opaque VM loses; None for none.
    """

    names: tuple[str, ...]
    configuration: tuple[str | None, ...]
    level: FloatArray
    runs_on: BoolArray
    goodput_tokens_per_s: IntArray
    power_w: IntArray
    airflow_cfm: IntArray
    gpu_power_w: IntArray
    quality_loss_permille: IntArray
    performance_loss_permille: IntArray | None = None

    @property
    def parked(self) -> int:
        """The choice without a configuration."""
        return self.configuration.index(None)


@dataclass(frozen=True, slots=True)
class ReconfigurationPrices:
    """Cost units per hour; whole numbers, so that every solver sees the same objective.

    A token of no quality at all costs as much as one not served (10 × 1000 ‰), a watt for an hour 1: both dominate
    energy, and all ratios stay within 1e5.

    Attributes
    ----------
    unserved_token_per_s
        Of each token per second of demand beyond the endpoint's goodput.
    quality_permille_token_per_s
        Of each thousandth of quality missing on each token per second of goodput.
    energy_w
        Of each watt above the least that the instance could draw.
    change, reload
        Of each instance that changes, and in addition of each that loads weights anew, now or when it comes back from
        being parked: half a minute without its
        4,000 tokens/s would cost 10,000 × 4,000 / 120 ≈ 330,000 where no other instance has room, and 0 where one has.
    iaas_permille
        Of each thousandth of its speed that an opaque VM loses: its whole server as much as 10,000 tokens/s not served,
        which is more than twice what a server of a 70b model serves. It is slowed after those, whatever their knob.
    """

    unserved_token_per_s: int = 10_000
    quality_permille_token_per_s: int = 10
    energy_w: int = 1
    change: int = 3_000
    reload: int = 50_000
    iaas_permille: int = 100_000


@dataclass(frozen=True, slots=True)
class ReconfigurationPlan:
    """The choice of each instance, the excess that the plan owns up to, and the order of the changes.

    Attributes
    ----------
    excess
        W or CFM above a domain's limit, by constraint and domain; empty unless nothing better is possible.
    waves
        Names of the instances that change together, one tuple a wave; empty where all change at once.
    """

    choice_of: Mapping[str, str]
    excess: Excess = field(default_factory=dict)
    waves: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ReconfigurationProblem:
    """Everything that reconfiguration knows, as whole numbers.

    Attributes
    ----------
    instance_server, instance_endpoint, instance_hardware, current
        ``[instance]`` indices of its server, endpoint, hardware and of the choice it runs now.
    allowed
        ``[endpoint, choice]`` whether the endpoint accepts it: model family and quality floor.
    delay_s
        ``[choice, choice]`` detection + decision + actuation of the slowest knob that the change from one to the
        other needs: about a second for a clock, as long as decodes run for a load level, minutes for a reload.
    reload
        ``[choice, choice]`` whether the change loads weights anew.
    instance_tolerance_s
        ``[instance]`` least time for which the overloaded elements above it bear present power; ``inf`` where none
        is overloaded.
    server_ceiling_w
        ``[server]`` the highest GPU power that keeps every GPU below its temperature limits.
    demand_tokens_per_s
        ``[endpoint]`` forecast, rounded up.
    budgets
        Of the failure, at continuous ratings, or of the coming hour; the base is all but these instances.
    preferred_loss_permille
        ``[endpoint]`` quality that is missing in the configuration that the endpoint prefers, which is no loss to it;
        None for none.
    change_budget
        At most so many instances change; one whose present choice is not eligible changes without counting.
    reload_limit
        At most so many instances load weights at the same time (:mod:`tapas_opt.reconfiguration.waves`).
    allowed_excess
        Under aim COST, by how much each domain may be over its limit; absent means 0.
    opaque
        VMs whose owners agreed to nothing: no plan may name them (``capping_agreed``).
    """

    stage: Stage
    instances: tuple[str, ...]
    servers: tuple[str, ...]
    endpoints: tuple[str, ...]
    instance_server: IntArray
    instance_endpoint: IntArray
    instance_hardware: IntArray
    current: IntArray
    choices: Choices
    allowed: BoolArray
    delay_s: FloatArray
    reload: BoolArray
    instance_tolerance_s: FloatArray
    server_ceiling_w: IntArray
    demand_tokens_per_s: IntArray
    budgets: BudgetNumbers
    preferred_loss_permille: IntArray | None = None
    change_budget: int | None = None
    reload_limit: int | None = None
    prices: ReconfigurationPrices = field(default_factory=ReconfigurationPrices)
    aim: Aim = Aim.COST
    allowed_excess: Mapping[tuple[Constraint, str], int] = field(default_factory=dict)
    opaque: frozenset[str] = frozenset()

    def quality_loss_permille(self) -> IntArray:
        """``[endpoint, choice]`` thousandths of quality lost against what the endpoint prefers."""
        preferred = 0 if self.preferred_loss_permille is None else self.preferred_loss_permille[:, None]
        lost = np.maximum(0, self.choices.quality_loss_permille - preferred)
        return np.broadcast_to(lost, (len(self.endpoints), len(self.choices.names)))

    def minimising_excess(self) -> ReconfigurationProblem:
        """The first of the two solves: any excess may be declared, and its sum is all that counts."""
        return replace(self, aim=Aim.EXCESS, allowed_excess={})

    def with_allowed_excess(self, excess: Excess) -> ReconfigurationProblem:
        """The second of the two solves: cost, with no domain further over its limit than ``excess`` says."""
        allowed = {key: int(np.ceil(amount)) for key, amount in excess.items() if amount > 0}
        return replace(self, aim=Aim.COST, allowed_excess=allowed)

    def allowing_late_relief(self) -> ReconfigurationProblem:
        """The same problem where every knob counts in full, however late: for when nothing in time is enough."""
        return replace(self, instance_tolerance_s=np.full(len(self.instances), np.inf))

    def allows(self, plan: ReconfigurationPlan) -> bool:
        """Whether the excess that a plan declares is within what this problem allows."""
        if self.aim is Aim.EXCESS:
            return True
        return all(amount <= self.allowed_excess.get(key, 0) for key, amount in plan.excess.items())

    def eligible(self) -> BoolArray:
        """``[instance, choice]``: accepted, cool enough (``gpu_temperature_limit``), quick enough (``relief_in_time``).

        In stage Now the present choice stays eligible below the quality floor: an emergency is no time to enforce it.
        Where nothing is quick enough, what is cool enough may be chosen late, and counts with the higher of its draws.
        Parking is always cool enough, and barred for opaque VMs only: their rows of ``runs_on`` say so.
        """
        fits = self.choices.runs_on[self.instance_hardware] & self.allowed[self.instance_endpoint]
        if self.stage is Stage.NOW:
            fits[np.arange(len(self.instances)), self.current] = True
        fits &= self.choices.gpu_power_w[self.instance_hardware] <= self._ceiling_w()[:, None]
        fits[:, self.choices.parked] = self.choices.runs_on[self.instance_hardware, self.choices.parked]
        possible = self._possible()
        eligible = fits & possible & ~self.late()
        stuck = ~eligible.any(axis=1)
        eligible[stuck] = fits[stuck] & possible[stuck]
        return np.asarray(eligible)

    def late(self) -> BoolArray:
        """``[instance, choice]``: in stage Now, whether what the change relieves comes too late to count."""
        if self.stage is not Stage.NOW:
            return np.zeros((len(self.instances), len(self.choices.names)), dtype=bool)
        late = self.delay_s[self.current] > self.instance_tolerance_s[:, None]
        late[np.arange(len(self.instances)), self.current] = False
        return np.asarray(late)

    def present(self) -> ReconfigurationPlan:
        """The plan that changes nothing."""
        return self.plan(self.current)

    def plan(self, choice: Sequence[int] | IntArray) -> ReconfigurationPlan:
        """State a choice index per instance as a plan that declares all the excess it causes."""
        chosen = np.asarray(choice, dtype=np.int64)
        names = {name: self.choices.names[c] for name, c in zip(self.instances, chosen.tolist(), strict=True)}
        return ReconfigurationPlan(names, self.excess_of(chosen))

    def chosen(self, plan: ReconfigurationPlan) -> IntArray:
        """``[instance]`` index of the choice that a plan gives it."""
        number = {name: c for c, name in enumerate(self.choices.names)}
        return np.array([number[plan.choice_of[name]] for name in self.instances], dtype=np.int64)

    def excess_of(self, choice: IntArray) -> dict[tuple[Constraint, str], float]:
        """What must be declared, in whole W or CFM, for a choice index per instance."""
        found: dict[tuple[Constraint, str], float] = {}
        for family in self.budgets.families:
            drawn = family.drawn_permille(self._server_draw(family, choice))
            over = -((PERMILLE * family.room - drawn) // PERMILLE).min(axis=1)
            for d in np.flatnonzero(over > 0).tolist():
                found[family.constraint, family.domains[d]] = float(over[d])
        return found

    def counted(self, choice: IntArray, unit: str) -> IntArray:
        """``[instance]`` W or CFM that a choice per instance counts with: what is late to fall counts as present."""
        draw = self.choices.power_w if unit == "W" else self.choices.airflow_cfm
        new, old = draw[self.instance_hardware, choice], draw[self.instance_hardware, self.current]
        if self.stage is not Stage.NOW:
            return np.asarray(new)
        late = (self.delay_s[self.current, choice] > self.instance_tolerance_s) & (choice != self.current)
        return np.asarray(np.where(late, np.maximum(new, old), new))

    def _server_draw(self, family: BudgetFamily, choice: IntArray) -> IntArray:
        draw = np.zeros(len(self.servers), dtype=np.int64)
        np.add.at(draw, self.instance_server, self.counted(choice, family.unit))
        return np.repeat(draw[:, None], len(self.budgets.slots), axis=1)

    def _possible(self) -> BoolArray:
        """``[instance, choice]``: weights are never loaded in stage Now, nor where ``reload_limit`` is 0."""
        possible = np.ones((len(self.instances), len(self.choices.names)), dtype=bool)
        if self.stage is Stage.NOW or self.reload_limit == 0:
            possible = ~self.reload[self.current]
        possible[np.arange(len(self.instances)), self.current] = True
        possible[:, self.choices.parked] = True
        return possible

    def _ceiling_w(self) -> IntArray:
        return self.server_ceiling_w[self.instance_server]
