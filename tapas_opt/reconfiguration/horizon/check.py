"""Judge a horizon's plan on named instances, slot by slot; shares no code with what made it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import binding_budgets, budget_violations
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Violation
from tapas_opt.reconfiguration.horizon.explain import why_not
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.horizon.story import AFTER, BEFORE, LOADING, Story
from tapas_opt.reconfiguration.judge import Judge
from tapas_opt.reconfiguration.problem import Aim

__all__ = ["binding", "check", "why_not"]

IntArray = NDArray[np.int64]


def check(problem: HorizonProblem, plan: HorizonPlan) -> CheckReport:
    """Every violation of a plan, and what it costs term by term over all slots; declared excess is accepted."""
    faults = list(_named_wrongly(problem, plan))
    if faults:
        return CheckReport(tuple(faults), {})
    story = Story(problem, plan)
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
    return tuple(binding_budgets(problem.now.budgets, *Story(problem, plan).server_draw()))


def instance_has_one_choice(story: Story) -> Iterator[Violation]:
    """Each instance comes to a choice that it may take, and leaves one that it may not at once."""
    judge, names = story.judge, story.problem.now.instances
    for i, c in enumerate(story.chosen):
        now = int(story.problem.now.current[i])
        if not judge.accepted(i, c) or (judge.reloads(i, c) and not story.may_reload_for(i, c)):
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, names[i], 1.0, "choices not accepted")
        if now not in judge.eligible(i) and story.begins[i] != 0:
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, names[i], 1.0, "choices kept that are not accepted")


def gpu_temperature_limit(story: Story) -> Iterator[Violation]:
    """The hottest GPU stays below its server's ceiling."""
    for i, c in enumerate(story.chosen):
        hot = story.judge.heat_excess_w(i, c)
        if hot > 0:
            yield Violation(Constraint.GPU_TEMPERATURE_LIMIT, story.problem.now.instances[i], float(hot), "W")


def change_budget(story: Story) -> Iterator[Violation]:
    """In no slot do more instances change than the budget, those apart that have to."""
    budget = story.problem.now.change_budget
    for t, slot in enumerate(story.problem.slots):
        over = story.changes(t) - (budget or 0)
        if budget is not None and over > 0:
            yield Violation(Constraint.CHANGE_BUDGET, slot, float(over), "changes")


def reload_limit(story: Story) -> Iterator[Violation]:
    """In no slot do more instances load weights than the limit."""
    limit = story.problem.now.reload_limit
    for t, slot in enumerate(story.problem.slots):
        loading = story.loading(t)
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


def _terms(story: Story) -> dict[str, float]:
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
        changes += prices.change * judge.counts_as_change(i, c) + prices.reload * judge.pays_for_loading(i, c)
    for t in range(len(problem.slots)):
        unserved += int(story.short(t).sum())
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
