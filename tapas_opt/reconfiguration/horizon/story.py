"""What each instance of a horizon's plan is in each slot, told from the plan alone."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.judge import Judge

__all__ = ["AFTER", "BEFORE", "LOADING", "Story"]

IntArray = NDArray[np.int64]

BEFORE, LOADING, AFTER = range(3)


class Story:
    """What each instance is in each slot."""

    def __init__(self, problem: HorizonProblem, plan: HorizonPlan) -> None:
        self.problem = problem
        self.plan = plan
        self.judge = Judge(problem.now)
        number = {name: c for c, name in enumerate(problem.now.choices.names)}
        self.chosen = [number[plan.choice_of[name]] for name in problem.now.instances]
        self.begins = [plan.slot_of.get(name) for name in problem.now.instances]

    def with_change(self, i: int, choice: int, slot: int) -> Story:
        """The same, but for one instance that comes to another choice in a slot."""
        other = copy(self)
        other.chosen, other.begins = self.chosen.copy(), self.begins.copy()
        other.chosen[i], other.begins[i] = choice, slot
        return other

    def state(self, i: int, t: int) -> int:
        """Before its change, loading weights, or after."""
        begins = self.begins[i]
        if begins is None or t < begins:
            return BEFORE
        loads = self.judge.reloads(i, self.chosen[i]) and t < begins + self.problem.reload_slots
        return LOADING if loads else AFTER

    def number(self, table: IntArray, i: int, t: int, *, loading: bool) -> int:
        """A number of a table ``[hardware, choice]`` in a slot; while weights load the higher of both ends, or 0."""
        ends = [self.judge.number(table, i, c) for c in (int(self.problem.now.current[i]), self.chosen[i])]
        state = self.state(i, t)
        return (max(ends) if loading else 0) if state == LOADING else ends[0] if state == BEFORE else ends[1]

    def server_draw(self) -> tuple[IntArray, IntArray]:
        """``[server, slot]`` power and airflow beyond the base."""
        now = self.problem.now
        total = [np.zeros((len(now.servers), len(self.problem.slots)), dtype=np.int64) for _ in range(2)]
        for i, server in enumerate(now.instance_server.tolist()):
            for t in range(len(self.problem.slots)):
                for table, of in zip((now.choices.power_w, now.choices.airflow_cfm), total, strict=True):
                    of[server, t] += self.number(table, i, t, loading=True)
        return total[0], total[1]

    def short(self, t: int) -> IntArray:
        """``[endpoint]`` tokens/s of demand that are not served in a slot."""
        left = self.problem.demand_tokens_per_s[:, t].copy()
        for i, e in enumerate(self.problem.now.instance_endpoint.tolist()):
            left[e] -= self.number(self.problem.now.choices.goodput_tokens_per_s, i, t, loading=False)
        return np.maximum(0, left)

    def changes(self, t: int) -> int:
        """How many instances change in a slot, of those that count."""
        begun = (i for i, begins in enumerate(self.begins) if begins == t)
        return sum(self.judge.counts_as_change(i, self.chosen[i]) for i in begun)

    def loading(self, t: int) -> int:
        """How many load weights in a slot."""
        return sum(self.state(i, t) == LOADING for i in range(len(self.chosen)))

    def may_reload_for(self, i: int, c: int) -> bool:
        """Whether an instance may load what a choice needs; for parking there is nothing to load."""
        return self.judge.may_reload() or self.problem.now.choices.configuration[c] is None
