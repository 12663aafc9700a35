"""The next choice of each instance and the slot in which it changes, for a load that is forecast slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.reconfiguration.problem import Aim, Excess, ReconfigurationProblem

__all__ = ["HorizonPlan", "HorizonProblem"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HorizonPlan:
    """The choice that each instance comes to, and when.

    Attributes
    ----------
    choice_of
        Of every instance.
    slot_of
        Number of the slot in which each instance changes, of those that do.
    excess
        As in :class:`~tapas_opt.reconfiguration.problem.ReconfigurationPlan`, in whatever slot it is most.
    """

    choice_of: Mapping[str, str]
    slot_of: Mapping[str, int]
    excess: Excess = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HorizonProblem:
    """A settled reconfiguration whose demand and budgets change from slot to slot; every instance changes at most once.

    Attributes
    ----------
    now
        Instances, choices and budgets, the latter by slot; its own demand is not read.
    demand_tokens_per_s
        ``[endpoint, slot]`` forecast, rounded up.
    reload_slots
        How many slots loading weights takes, in which an instance serves nothing and draws the higher of its two
        draws; every other change acts at once.
    """

    now: ReconfigurationProblem
    demand_tokens_per_s: IntArray
    reload_slots: int = 1

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots."""
        return self.now.budgets.slots

    @property
    def aim(self) -> Aim:
        """What is minimised."""
        return self.now.aim

    def minimising_excess(self) -> HorizonProblem:
        """The first of two solves, as in a single slot."""
        return replace(self, now=self.now.minimising_excess())

    def with_allowed_excess(self, excess: Excess) -> HorizonProblem:
        """The second of two solves, as in a single slot."""
        return replace(self, now=self.now.with_allowed_excess(excess))

    def allows(self, plan: HorizonPlan) -> bool:
        """Whether the excess that a plan declares is within what this problem allows."""
        if self.aim is Aim.EXCESS:
            return True
        return all(amount <= self.now.allowed_excess.get(key, 0) for key, amount in plan.excess.items())

    def present(self) -> HorizonPlan:
        """The plan that changes nothing."""
        return self.plan(self.now.current, np.full(len(self.now.instances), len(self.slots)))

    def plan(self, choice: IntArray, slot: IntArray) -> HorizonPlan:
        """State a choice and a slot per instance as a plan that declares all the excess it causes."""
        names, changes = self.now.instances, choice != self.now.current
        choices = {name: self.now.choices.names[c] for name, c in zip(names, choice.tolist(), strict=True)}
        when = {names[i]: int(slot[i]) for i in np.flatnonzero(changes).tolist()}
        return HorizonPlan(choices, when, self.excess_of(choice, slot))

    def chosen(self, plan: HorizonPlan) -> tuple[IntArray, IntArray]:
        """``[instance]`` choice and slot of a plan; the number of slots for whoever stays as he is."""
        number = {name: c for c, name in enumerate(self.now.choices.names)}
        choice = np.array([number[plan.choice_of[name]] for name in self.now.instances], dtype=np.int64)
        slot = np.array([plan.slot_of.get(name, len(self.slots)) for name in self.now.instances], dtype=np.int64)
        return choice, slot

    def over_slots(self, old: IntArray, new: IntArray, during: IntArray, slot: IntArray, reload: BoolArray) -> IntArray:
        """``[n, slot]`` a number of something that changes: as it was, while it loads weights, as it becomes."""
        begins, t = slot[:, None], np.arange(len(self.slots))
        ends = begins + self.reload_slots * reload[:, None]
        return np.where(t < begins, old[:, None], np.where(t < ends, during[:, None], new[:, None]))

    def excess_of(self, choice: IntArray, slot: IntArray) -> dict[tuple[Constraint, str], float]:
        """What must be declared, in whole W or CFM."""
        found: dict[tuple[Constraint, str], float] = {}
        for family in self.now.budgets.families:
            drawn = family.drawn_permille(self._server_draw(family, choice, slot))
            over = -((PERMILLE * family.room - drawn) // PERMILLE).min(axis=1)
            for d in np.flatnonzero(over > 0).tolist():
                found[family.constraint, family.domains[d]] = float(over[d])
        return found

    def _server_draw(self, family: BudgetFamily, choice: IntArray, slot: IntArray) -> IntArray:
        now = self.now
        table = family.counted(now.choices.power_w, now.choices.airflow_cfm)
        old, new = table[now.instance_hardware, now.current], table[now.instance_hardware, choice]
        draw = np.zeros((len(now.servers), len(self.slots)), dtype=np.int64)
        drawn = self.over_slots(old, new, np.maximum(old, new), slot, now.reload[now.current, choice])
        np.add.at(draw, now.instance_server, drawn)
        return draw
