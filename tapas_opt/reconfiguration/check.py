"""Judge a reconfiguration plan on named instances, one function per constraint; shares no code with what made it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tapas_opt.budgets.check import budget_violations
from tapas_opt.domain.result import CheckReport, Constraint, Violation
from tapas_opt.reconfiguration.check_waves import check_waves, transition_cost, wave_seconds, wave_shortfalls
from tapas_opt.reconfiguration.explain import binding, why_not
from tapas_opt.reconfiguration.judge import Judge
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationPlan, ReconfigurationProblem

__all__ = ["binding", "check", "check_waves", "transition_cost", "wave_seconds", "wave_shortfalls", "why_not"]


def check(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> CheckReport:
    """Every violation of a plan, and what it costs term by term; excess is accepted where it is declared."""
    faults = [*capping_agreed(problem, plan), *_named_wrongly(problem, plan)]
    if faults:
        return CheckReport(tuple(faults), {})
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    power, airflow = judge.server_draw(chosen)
    violations = [
        *instance_has_one_choice(judge, chosen),
        *gpu_temperature_limit(judge, chosen),
        *relief_in_time(judge, chosen),
        *reload_limit(judge, chosen),
        *change_budget(judge, chosen),
        *budget_violations(problem.budgets, power, airflow, plan.excess),
        *_excess_declared_wrongly(problem, plan),
        *(check_waves(problem, plan) if plan.waves else ()),
    ]
    return CheckReport(tuple(violations), _terms(judge, plan, chosen))


def capping_agreed(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> Iterator[Violation]:
    """No opaque VM is touched whose owner has not agreed to it."""
    for name in sorted(plan.choice_of.keys() & problem.opaque):
        yield Violation(Constraint.CAPPING_AGREED, name, 1.0, "VMs that have not agreed")


def instance_has_one_choice(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """Each instance has a choice that its hardware can run and its endpoint accepts."""
    for i, c in enumerate(chosen):
        if not judge.accepted(i, c):
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, judge.problem.instances[i], 1.0, "choices not accepted")


def gpu_temperature_limit(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """The hottest GPU stays below its server's ceiling."""
    for i, c in enumerate(chosen):
        hot = judge.heat_excess_w(i, c)
        if hot > 0:
            yield Violation(Constraint.GPU_TEMPERATURE_LIMIT, judge.problem.instances[i], float(hot), "W")


def relief_in_time(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """In stage Now a change acts within the tolerance, unless nothing that the instance may do does."""
    for i in judge.changed(chosen):
        late = judge.late_s(i, chosen[i])
        if late > 0 and any(judge.late_s(i, other) == 0 for other in judge.eligible(i)):
            yield Violation(Constraint.RELIEF_IN_TIME, judge.problem.instances[i], late, "s")


def reload_limit(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """No weights are loaded in stage Now, nor where the limit is 0; how many at once is judged wave by wave."""
    if judge.may_reload():
        return
    for i in judge.changed(chosen):
        c = chosen[i]
        if judge.reloads(i, c) and judge.problem.choices.configuration[c] is not None:
            yield Violation(Constraint.RELOAD_LIMIT, judge.problem.instances[i], 1.0, "reloads")


def change_budget(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """No more instances change than the budget, those apart whose present choice is not eligible."""
    budget = judge.problem.change_budget
    if budget is None:
        return
    changes = judge.changes(chosen)
    if changes > budget:
        yield Violation(Constraint.CHANGE_BUDGET, "site", float(changes - budget), "changes")


def _named_wrongly(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> Iterator[Violation]:
    known = set(problem.choices.names)
    for name in problem.instances:
        if plan.choice_of.get(name) not in known:
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "choices missing")
    for name in plan.choice_of.keys() - set(problem.instances) - problem.opaque:
        yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "unknown instances")


def _excess_declared_wrongly(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> Iterator[Violation]:
    """An excess is a finite amount above the limit of a domain that exists."""
    domains = {(family.constraint, domain) for family in problem.budgets.families for domain in family.domains}
    for (constraint, domain), amount in plan.excess.items():
        if (constraint, domain) not in domains or not 0 <= amount < np.inf:
            yield Violation(constraint, domain, float(amount), "declared, which is no excess of a domain")


def _terms(judge: Judge, plan: ReconfigurationPlan, chosen: list[int]) -> dict[str, float]:
    """Cost units per hour, by what they are for; under aim EXCESS the excess alone."""
    problem, prices = judge.problem, judge.problem.prices
    if problem.aim is Aim.EXCESS:
        return {"excess": float(sum(plan.excess.values()))}
    choice, served = np.array(chosen, dtype=np.int64), judge.served(chosen)
    lost = problem.quality_loss_permille()[problem.instance_endpoint, choice]
    drawn, changed = judge.draws(problem.choices.power_w, chosen), judge.changed(chosen)
    slower = problem.choices.performance_loss_permille
    quality = prices.quality_permille_token_per_s * int(lost @ np.array(served, dtype=np.int64))
    energy = prices.energy_w * int(np.maximum(0, drawn - judge.least_powers_w()).sum())
    slowed = prices.iaas_permille * (0 if slower is None else int(slower[choice].sum()))
    loading = sum(judge.pays_for_loading(i, chosen[i]) for i in changed)
    changes = prices.change * judge.changes(chosen) + prices.reload * loading
    unserved = prices.unserved_token_per_s * sum(judge.short(served))
    terms = {"unserved": unserved, "quality": quality, "energy": energy, "changes": changes}
    if slower is not None:
        terms["iaas_performance"] = slowed
    return {name: float(cost) for name, cost in terms.items()}
