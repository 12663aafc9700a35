"""Judge a horizon's plan on named instances, slot by slot; shares no code with what made it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import binding_budgets, budget_violations
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Rejection, Violation
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.judge import Judge
from tapas_opt.reconfiguration.problem import Aim

__all__ = ["binding", "check", "why_not"]

IntArray = NDArray[np.int64]

BEFORE, LOADING, AFTER = range(3)


def check(problem: HorizonProblem, plan: HorizonPlan) -> CheckReport:
    """Every violation of a plan, and what it costs term by term over all slots; declared excess is accepted."""
    faults = list(_named_wrongly(problem, plan))
    if faults:
        return CheckReport(tuple(faults), {})
    story = _Story(problem, plan)
    violations = [
        *instance_has_one_choice(story),
        *gpu_temperature_limit(story),
        *change_budget(story),
        *reload_limit(story),
        *budget_violations(problem.now.budgets, *story.server_draw(), plan.excess),
        *_excess_declared_wrongly(problem, plan),
    ]
    return CheckReport(tuple(violations), _terms(story))


def binding(problem: HorizonProblem, plan: HorizonPlan) -> tuple[Binding, ...]:
    """Budgets with little room left in some slot."""
    return tuple(binding_budgets(problem.now.budgets, *_Story(problem, plan).server_draw()))


def why_not(problem: HorizonProblem, plan: HorizonPlan) -> tuple[Rejection, ...]:
    """Nothing: what excludes a choice is said of the slot in which it is published, when it is."""
    return ()


class _Story:
    """What each instance is in each slot."""

    def __init__(self, problem: HorizonProblem, plan: HorizonPlan) -> None:
        self.problem = problem
        self.plan = plan
        self.judge = Judge(problem.now)
        number = {name: c for c, name in enumerate(problem.now.choices.names)}
        self.chosen = [number[plan.choice_of[name]] for name in problem.now.instances]
        self.begins = [plan.slot_of.get(name) for name in problem.now.instances]

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


def instance_has_one_choice(story: _Story) -> Iterator[Violation]:
    """Each instance comes to a choice that it may take, and leaves one that it may not at once."""
    judge, names = story.judge, story.problem.now.instances
    for i, c in enumerate(story.chosen):
        now = int(story.problem.now.current[i])
        if not judge.accepted(i, c) or (judge.reloads(i, c) and not _may_reload(story, i)):
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, names[i], 1.0, "choices not accepted")
        if now not in judge.eligible(i) and story.begins[i] != 0:
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, names[i], 1.0, "choices kept that are not accepted")


def _may_reload(story: _Story, i: int) -> bool:
    return story.judge.may_reload() or story.problem.now.choices.configuration[story.chosen[i]] is None


def gpu_temperature_limit(story: _Story) -> Iterator[Violation]:
    """The hottest GPU stays below its server's ceiling."""
    for i, c in enumerate(story.chosen):
        hot = story.judge.heat_excess_w(i, c)
        if hot > 0:
            yield Violation(Constraint.GPU_TEMPERATURE_LIMIT, story.problem.now.instances[i], float(hot), "W")


def change_budget(story: _Story) -> Iterator[Violation]:
    """In no slot do more instances change than the budget, those apart that have to."""
    budget = story.problem.now.change_budget
    for t, slot in enumerate(story.problem.slots):
        begun = (i for i, begins in enumerate(story.begins) if begins == t)
        over = sum(story.judge.counts_as_change(i, story.chosen[i]) for i in begun) - (budget or 0)
        if budget is not None and over > 0:
            yield Violation(Constraint.CHANGE_BUDGET, slot, float(over), "changes")


def reload_limit(story: _Story) -> Iterator[Violation]:
    """In no slot do more instances load weights than the limit."""
    limit = story.problem.now.reload_limit
    for t, slot in enumerate(story.problem.slots):
        loading = sum(story.state(i, t) == LOADING for i in range(len(story.chosen)))
        if limit is not None and loading > limit:
            yield Violation(Constraint.RELOAD_LIMIT, slot, float(loading - limit), "reloads")


def _named_wrongly(problem: HorizonProblem, plan: HorizonPlan) -> Iterator[Violation]:
    now, known = problem.now, set(problem.now.choices.names)
    for name in sorted(plan.choice_of.keys() & now.opaque):
        yield Violation(Constraint.CAPPING_AGREED, name, 1.0, "VMs that have not agreed")
    for i, name in enumerate(now.instances):
        choice, slot = plan.choice_of.get(name), plan.slot_of.get(name)
        changes = choice != now.choices.names[now.current[i]]
        if choice not in known or changes != (slot is not None) or (slot or 0) not in range(len(problem.slots)):
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "choices or slots missing")
    for name in (plan.choice_of.keys() | plan.slot_of.keys()) - set(now.instances) - now.opaque:
        yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "unknown instances")


def _excess_declared_wrongly(problem: HorizonProblem, plan: HorizonPlan) -> Iterator[Violation]:
    domains = {(family.constraint, domain) for family in problem.now.budgets.families for domain in family.domains}
    for (constraint, domain), amount in plan.excess.items():
        if (constraint, domain) not in domains or not 0 <= amount < np.inf:
            yield Violation(constraint, domain, float(amount), "declared, which is no excess of a domain")


def _terms(story: _Story) -> dict[str, float]:
    """Cost units, summed over the slots; a change counts once for each, as if it were made every hour."""
    problem, judge = story.problem, story.judge
    now, prices = problem.now, problem.now.prices
    if problem.aim is Aim.EXCESS:
        return {"excess": float(sum(story.plan.excess.values()))}
    running = np.zeros(3, dtype=np.int64)
    changes, unserved = 0, 0
    for i, c in enumerate(story.chosen):
        ends = {BEFORE: _running(judge, i, int(now.current[i])), AFTER: _running(judge, i, c)}
        ends[LOADING] = max(ends.values(), key=sum)
        for t in range(len(problem.slots)):
            running += ends[story.state(i, t)]
        changes += prices.change * judge.counts_as_change(i, c) + prices.reload * judge.reloads(i, c)
    for t in range(len(problem.slots)):
        left = problem.demand_tokens_per_s[:, t].copy()
        for i, e in enumerate(now.instance_endpoint.tolist()):
            left[e] -= story.number(now.choices.goodput_tokens_per_s, i, t, loading=False)
        unserved += int(np.maximum(0, left).sum())
    terms = dict(zip(("quality", "energy", "iaas_performance"), running.tolist(), strict=True))
    terms |= {"unserved": prices.unserved_token_per_s * unserved, "changes": len(problem.slots) * changes}
    return {name: float(cost) for name, cost in terms.items()}


def _running(judge: Judge, i: int, c: int) -> tuple[int, int, int]:
    """Quality, energy and performance lost in an hour."""
    now, prices = judge.problem, judge.problem.prices
    lost = int(now.quality_loss_permille()[now.instance_endpoint[i], c])
    quality = prices.quality_permille_token_per_s * lost * judge.number(now.choices.goodput_tokens_per_s, i, c)
    energy = prices.energy_w * (judge.draw(now.choices.power_w, i, c) - judge.least_power_w(i))
    slower = now.choices.performance_loss_permille
    slowed = prices.iaas_permille * (0 if slower is None else int(slower[c]))
    return quality, energy if c in judge.eligible(i) else 0, slowed
