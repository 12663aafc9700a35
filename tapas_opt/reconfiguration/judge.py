"""A reconfiguration problem as a reader of single instances sees it, in plain integers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem, Stage

__all__ = ["Judge"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judge:
    """Answers about one instance i and one choice c at a time; shares no code with what makes plans."""

    problem: ReconfigurationProblem
    eligible_of: dict[tuple[object, ...], tuple[int, ...]] = field(default_factory=dict)
    least_power_w_of: dict[tuple[object, ...], int] = field(default_factory=dict)

    def choices_of(self, plan: ReconfigurationPlan) -> list[int]:
        """Choice of each instance, in the problem's order."""
        number = {name: c for c, name in enumerate(self.problem.choices.names)}
        return [number[plan.choice_of[name]] for name in self.problem.instances]

    def number(self, table: IntArray, i: int, c: int) -> int:
        """An entry of a table ``[hardware, choice]``."""
        return int(table[self.problem.instance_hardware[i], c])

    def accepted(self, i: int, c: int) -> bool:
        """Whether hardware, model family and quality floor admit it; what runs may go on running in stage Now."""
        p = self.problem
        if p.choices.configuration[c] is None:
            return bool(p.choices.runs_on[p.instance_hardware[i], c])
        if p.stage is Stage.NOW and c == p.current[i]:
            return True
        return bool(p.choices.runs_on[p.instance_hardware[i], c] and p.allowed[p.instance_endpoint[i], c])

    def heat_excess_w(self, i: int, c: int) -> int:
        """Watts by which its hottest GPU would exceed the server's ceiling; nothing is cooler than parked."""
        if self.problem.choices.configuration[c] is None:
            return 0
        gpu_power = self.number(self.problem.choices.gpu_power_w, i, c)
        return max(0, gpu_power - int(self.problem.server_ceiling_w[self.problem.instance_server[i]]))

    def reloads(self, i: int, c: int) -> bool:
        """Whether the change loads weights anew."""
        return bool(c != self.problem.current[i] and self.problem.reload[self.problem.current[i], c])

    def pays_for_loading(self, i: int, c: int) -> bool:
        """Whether weights are loaded anew, now or when an instance that parks comes back."""
        parks = self.problem.choices.configuration[c] is None and c != self.problem.current[i]
        return parks or self.reloads(i, c)

    def late_s(self, i: int, c: int) -> float:
        """Seconds by which the change comes too late to count as relief."""
        p = self.problem
        if p.stage is not Stage.NOW or c == p.current[i]:
            return 0.0
        return max(0.0, float(p.delay_s[p.current[i], c]) - float(p.instance_tolerance_s[i]))

    def may_reload(self) -> bool:
        """Whether weights may be loaded at all."""
        return self.problem.stage is not Stage.NOW and self.problem.reload_limit != 0

    def eligible(self, i: int) -> tuple[int, ...]:
        """Choices that an instance may take, worked out once for all that are alike."""
        key = self._alike(i)
        if key not in self.eligible_of:
            self.eligible_of[key] = self._eligible(i)
        return self.eligible_of[key]

    def least_power_w(self, i: int) -> int:
        """The least that an instance could draw, worked out once for all that are alike."""
        key = self._alike(i)
        if key not in self.least_power_w_of:
            power = self.problem.choices.power_w
            self.least_power_w_of[key] = min(self.draw(power, i, c) for c in self.eligible(i))
        return self.least_power_w_of[key]

    def least_powers_w(self) -> IntArray:
        """``[instance]`` the least that each could draw."""
        p = self.problem
        numbers = [p.instance_endpoint, p.current, p.instance_hardware, p.instance_tolerance_s]
        numbers.append(p.server_ceiling_w[p.instance_server])
        looks = zip(*(each.tolist() for each in numbers), strict=True)
        known = self.least_power_w_of
        return np.array(
            [known[k] if k in known else self.least_power_w(i) for i, k in enumerate(looks)], dtype=np.int64
        )

    def _alike(self, i: int) -> tuple[object, ...]:
        p = self.problem
        like = (p.instance_endpoint[i], p.current[i], p.instance_hardware[i], p.instance_tolerance_s[i])
        return (*like, p.server_ceiling_w[p.instance_server[i]])

    def _eligible(self, i: int) -> tuple[int, ...]:
        p, present = self.problem, self.problem.current[i]
        hardware, endpoint, server = p.instance_hardware[i], p.instance_endpoint[i], p.instance_server[i]
        parked = np.array([configuration is None for configuration in p.choices.configuration])
        stays = np.arange(len(parked)) == present
        accepted = p.choices.runs_on[hardware] & (p.allowed[endpoint] | parked)
        cool = (p.choices.gpu_power_w[hardware] <= p.server_ceiling_w[server]) | parked
        quick = np.ones(len(parked), dtype=bool)
        if p.stage is Stage.NOW:
            accepted |= stays & ~parked
            quick = (p.delay_s[present] <= p.instance_tolerance_s[i]) | stays
        loaded = self.may_reload() | ~p.reload[present] | stays | parked
        fits = accepted & cool & loaded
        return tuple(np.flatnonzero(fits & quick if (fits & quick).any() else fits).tolist())

    def draw(self, table: IntArray, i: int, c: int) -> int:
        """What an instance counts with; what falls too late counts as it is now."""
        new, old = self.number(table, i, c), self.number(table, i, int(self.problem.current[i]))
        return max(new, old) if self.late_s(i, c) > 0 else new

    def draws(self, table: IntArray, chosen: list[int]) -> IntArray:
        """``[instance]`` what each counts with, as :meth:`draw` has it."""
        p, choice = self.problem, np.array(chosen, dtype=np.int64)
        new, old = table[p.instance_hardware, choice], table[p.instance_hardware, p.current]
        if p.stage is not Stage.NOW:
            return np.asarray(new)
        late = (choice != p.current) & (p.delay_s[p.current, choice] > p.instance_tolerance_s)
        return np.asarray(np.where(late, np.maximum(new, old), new))

    def server_draw(self, chosen: list[int]) -> tuple[IntArray, IntArray]:
        """``[server, slot]`` power and airflow beyond the base."""
        choices = self.problem.choices
        power, airflow = (self.draws(table, chosen) for table in (choices.power_w, choices.airflow_cfm))
        return self.on_servers(power), self.on_servers(airflow)

    def served(self, chosen: list[int]) -> list[int]:
        """Goodput of each instance."""
        p = self.problem
        goodput = p.choices.goodput_tokens_per_s[p.instance_hardware, np.array(chosen, dtype=np.int64)]
        return [int(tokens) for tokens in goodput]

    def short(self, goodput: list[int]) -> list[int]:
        """Demand of each endpoint that a goodput per instance leaves unserved."""
        left = [int(demand) for demand in self.problem.demand_tokens_per_s]
        for endpoint, tokens in zip(self.problem.instance_endpoint.tolist(), goodput, strict=True):
            left[endpoint] -= tokens
        return [max(0, tokens) for tokens in left]

    def on_servers(self, draw: list[int] | IntArray) -> IntArray:
        """``[server, slot]`` sum of a draw per instance."""
        total = np.zeros((len(self.problem.servers), len(self.problem.budgets.slots)), dtype=np.int64)
        np.add.at(total, self.problem.instance_server, np.asarray(draw, dtype=np.int64)[:, None])
        return total

    def changed(self, chosen: list[int]) -> list[int]:
        """Who is to become something else."""
        present = self.problem.current.tolist()
        return [i for i, (old, new) in enumerate(zip(present, chosen, strict=True)) if old != new]

    def counts_as_change(self, i: int, c: int) -> bool:
        """Whether it is a change that nothing forces."""
        present = int(self.problem.current[i])
        return c != present and present in self.eligible(i)

    def changes(self, chosen: list[int]) -> int:
        """How many changes count against the change budget."""
        return sum(self.counts_as_change(i, chosen[i]) for i in self.changed(chosen))
