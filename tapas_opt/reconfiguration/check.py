"""Judge a reconfiguration plan on named instances, one function per constraint; shares no code with what made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import binding_budgets, budget_violations, loads
from tapas_opt.domain.result import Binding, CheckReport, Constraint, Rejection, Violation
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationPlan, ReconfigurationProblem, Stage

__all__ = ["binding", "check", "check_waves", "wave_shortfalls", "why_not"]

IntArray = NDArray[np.int64]


def check(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> CheckReport:
    """Every violation of a plan, and what it costs term by term; excess is accepted where it is declared."""
    faults = list(_named_wrongly(problem, plan))
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


@dataclass(frozen=True, slots=True)
class Judge:
    """A problem as a reader of single instances sees it: i an instance, c a choice, both as plain integers."""

    problem: ReconfigurationProblem
    eligible_of: dict[tuple[object, ...], tuple[int, ...]] = field(default_factory=dict)

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
        if p.choices.configuration[c] is None or (p.stage is Stage.NOW and c == p.current[i]):
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
        p = self.problem
        like = (p.instance_endpoint[i], p.current[i], p.instance_hardware[i], p.instance_tolerance_s[i])
        key = (*like, p.server_ceiling_w[p.instance_server[i]])
        if key not in self.eligible_of:
            self.eligible_of[key] = self._eligible(i)
        return self.eligible_of[key]

    def _eligible(self, i: int) -> tuple[int, ...]:
        fits = [
            c
            for c, configuration in enumerate(self.problem.choices.configuration)
            if self.accepted(i, c)
            and self.heat_excess_w(i, c) == 0
            and (configuration is None or self.may_reload() or not self.reloads(i, c))
        ]
        return tuple([c for c in fits if self.late_s(i, c) == 0] or fits)

    def draw(self, table: IntArray, i: int, c: int) -> int:
        """What an instance counts with; what falls too late counts as it is now."""
        new, old = self.number(table, i, c), self.number(table, i, int(self.problem.current[i]))
        return max(new, old) if self.late_s(i, c) > 0 else new

    def server_draw(self, chosen: list[int]) -> tuple[IntArray, IntArray]:
        """``[server, slot]`` power and airflow beyond the base."""
        choices = self.problem.choices
        power = [self.draw(choices.power_w, i, c) for i, c in enumerate(chosen)]
        airflow = [self.draw(choices.airflow_cfm, i, c) for i, c in enumerate(chosen)]
        return self.on_servers(power), self.on_servers(airflow)

    def on_servers(self, draw: list[int]) -> IntArray:
        """``[server, slot]`` sum of a draw per instance."""
        total = np.zeros((len(self.problem.servers), len(self.problem.budgets.slots)), dtype=np.int64)
        for i, amount in enumerate(draw):
            total[self.problem.instance_server[i]] += amount
        return total

    def counts_as_change(self, i: int, c: int) -> bool:
        """Whether it is a change that nothing forces."""
        present = int(self.problem.current[i])
        return c != present and present in self.eligible(i)


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
    for i, c in enumerate(chosen):
        late = judge.late_s(i, c)
        if late > 0 and any(judge.late_s(i, other) == 0 for other in judge.eligible(i)):
            yield Violation(Constraint.RELIEF_IN_TIME, judge.problem.instances[i], late, "s")


def reload_limit(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """No weights are loaded in stage Now, nor where the limit is 0; how many at once is judged wave by wave."""
    if judge.may_reload():
        return
    for i, c in enumerate(chosen):
        if judge.reloads(i, c) and judge.problem.choices.configuration[c] is not None:
            yield Violation(Constraint.RELOAD_LIMIT, judge.problem.instances[i], 1.0, "reloads")


def change_budget(judge: Judge, chosen: list[int]) -> Iterator[Violation]:
    """No more instances change than the budget, those apart whose present choice is not eligible."""
    budget = judge.problem.change_budget
    if budget is None:
        return
    changes = sum(judge.counts_as_change(i, c) for i, c in enumerate(chosen))
    if changes > budget:
        yield Violation(Constraint.CHANGE_BUDGET, "site", float(changes - budget), "changes")


def check_waves(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[Violation, ...]:
    """Every violation while the waves run, one after the other.

    Whoever changes draws the higher of its two draws meanwhile. No wave may bring a domain further over its limit
    than the plan declares, or than it was before the wave.
    """
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    violations = list(_waves_cover_the_changes(judge, plan, chosen))
    number = {name: i for i, name in enumerate(problem.instances)}
    state = [int(c) for c in problem.current]
    for k, wave in enumerate(plan.waves):
        members = [number[name] for name in wave if name in number]
        violations += _wave_violations(judge, plan, state, chosen, members, f"wave {k + 1}")
        for i in members:
            state[i] = chosen[i]
    return tuple(violations)


def _wave_violations(
    judge: Judge, plan: ReconfigurationPlan, state: list[int], chosen: list[int], members: list[int], wave: str
) -> Iterator[Violation]:
    problem, choices = judge.problem, judge.problem.choices
    reloading = sum(judge.reloads(i, chosen[i]) for i in members)
    if problem.reload_limit is not None and reloading > problem.reload_limit:
        yield Violation(Constraint.RELOAD_LIMIT, wave, float(reloading - problem.reload_limit), "reloads")
    before, during = [], []
    for table in (choices.power_w, choices.airflow_cfm):
        old = [judge.number(table, i, c) for i, c in enumerate(state)]
        high = old.copy()
        for i in members:
            high[i] = max(old[i], judge.number(table, i, chosen[i]))
        before.append(judge.on_servers(old))
        during.append(judge.on_servers(high))
    allowed = dict(plan.excess)
    for key, over in _over(problem, before[0], before[1]).items():
        allowed[key] = max(allowed.get(key, 0.0), over)
    for violation in budget_violations(problem.budgets, during[0], during[1], allowed):
        yield Violation(violation.constraint, f"{violation.where} during {wave}", violation.excess, violation.unit)


def wave_shortfalls(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[int, ...]:
    """Demand not served, in tokens/s, while each wave runs: who reloads serves nothing, who changes the less of two."""
    judge = Judge(problem)
    chosen, state = judge.choices_of(plan), [int(c) for c in problem.current]
    number = {name: i for i, name in enumerate(problem.instances)}
    short = []
    for wave in plan.waves:
        members = [number[name] for name in wave]
        served = [judge.number(problem.choices.goodput_tokens_per_s, i, c) for i, c in enumerate(state)]
        for i in members:
            new = judge.number(problem.choices.goodput_tokens_per_s, i, chosen[i])
            served[i] = 0 if judge.reloads(i, chosen[i]) else min(served[i], new)
            state[i] = chosen[i]
        short.append(sum(_short(problem, served)))
    return tuple(short)


def why_not(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[Rejection, ...]:
    """What keeps instances from a choice that would serve more, where demand is not met, or serve it better.

    For each such instance every constraint that excludes its best choice while all others stay as planned, with
    what is missing. An instance that only prices keep from it is not named.
    """
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    power, airflow = judge.server_draw(chosen)
    load = {f.constraint: loads(f, power if f.unit == "W" else airflow) for f in problem.budgets.families}
    short = _short(problem, _served(judge, chosen))
    loss = problem.choices.quality_loss_permille
    rejections: list[Rejection] = []
    best_of: dict[tuple[int, ...], int] = {}
    for i, c in enumerate(chosen):
        like = tuple(int(of[i]) for of in (problem.instance_hardware, problem.instance_endpoint, problem.current))
        if like not in best_of:
            best_of[like] = _best(judge, i)
        best = best_of[like]
        wanted = short[problem.instance_endpoint[i]] > 0 or loss[best] < loss[c]
        if wanted and _worth(judge, i, best) > _worth(judge, i, c):
            rejections += _excluded_by(judge, plan, chosen, load, i, best)
    return tuple(rejections)


def binding(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[Binding, ...]:
    """Constraints with little room left: budgets, and a change budget that is used up."""
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    found = list(binding_budgets(problem.budgets, *judge.server_draw(chosen)))
    if problem.change_budget is not None:
        left = problem.change_budget - sum(judge.counts_as_change(i, c) for i, c in enumerate(chosen))
        if left <= 0:
            found.append(Binding(Constraint.CHANGE_BUDGET, "site", float(left), "changes"))
    return tuple(found)


def _named_wrongly(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> Iterator[Violation]:
    known = set(problem.choices.names)
    for name in problem.instances:
        if plan.choice_of.get(name) not in known:
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "choices missing")
    for name in plan.choice_of.keys() - set(problem.instances):
        yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "unknown instances")


def _excess_declared_wrongly(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> Iterator[Violation]:
    """An excess is a finite amount above the limit of a domain that exists."""
    domains = {(family.constraint, domain) for family in problem.budgets.families for domain in family.domains}
    for (constraint, domain), amount in plan.excess.items():
        if (constraint, domain) not in domains or not 0 <= amount < np.inf:
            yield Violation(constraint, domain, float(amount), "declared, which is no excess of a domain")


def _waves_cover_the_changes(judge: Judge, plan: ReconfigurationPlan, chosen: list[int]) -> Iterator[Violation]:
    """Each instance that changes is in one wave, and nobody else is."""
    times = Counter(name for wave in plan.waves for name in wave)
    for i, name in enumerate(judge.problem.instances):
        changes = int(chosen[i] != judge.problem.current[i])
        wrong = abs(times.pop(name, 0) - changes)
        if wrong:
            yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, float(wrong), "waves too many or too few")
    for name in times:
        yield Violation(Constraint.INSTANCE_HAS_ONE_CHOICE, name, 1.0, "unknown instances in waves")


def _over(problem: ReconfigurationProblem, power: IntArray, airflow: IntArray) -> dict[tuple[Constraint, str], float]:
    """By how much each domain is over its limit, in its worst slot."""
    found = {}
    for family in problem.budgets.families:
        excess = loads(family, power if family.unit == "W" else airflow) - family.limit
        for d, domain in enumerate(family.domains):
            if excess[d].max() > 0:
                found[family.constraint, domain] = float(excess[d].max())
    return found


def _terms(judge: Judge, plan: ReconfigurationPlan, chosen: list[int]) -> dict[str, float]:
    """Cost units per hour, by what they are for; under aim EXCESS the excess alone."""
    problem, prices = judge.problem, judge.problem.prices
    if problem.aim is Aim.EXCESS:
        return {"excess": float(sum(plan.excess.values()))}
    quality, energy, changes = 0, 0, 0
    for i, c in enumerate(chosen):
        goodput = judge.number(problem.choices.goodput_tokens_per_s, i, c)
        quality += prices.quality_permille_token_per_s * int(problem.choices.quality_loss_permille[c]) * goodput
        least = min(judge.draw(problem.choices.power_w, i, other) for other in judge.eligible(i))
        energy += prices.energy_w * max(0, judge.draw(problem.choices.power_w, i, c) - least)
        changes += prices.change * judge.counts_as_change(i, c) + prices.reload * judge.reloads(i, c)
    unserved = prices.unserved_token_per_s * sum(_short(problem, _served(judge, chosen)))
    terms = {"unserved": unserved, "quality": quality, "energy": energy, "changes": changes}
    return {name: float(cost) for name, cost in terms.items()}


def _served(judge: Judge, chosen: list[int]) -> list[int]:
    return [judge.number(judge.problem.choices.goodput_tokens_per_s, i, c) for i, c in enumerate(chosen)]


def _short(problem: ReconfigurationProblem, goodput: list[int]) -> list[int]:
    """Demand of each endpoint that a goodput per instance leaves unserved."""
    left = [int(demand) for demand in problem.demand_tokens_per_s]
    for i, tokens in enumerate(goodput):
        left[problem.instance_endpoint[i]] -= tokens
    return [max(0, tokens) for tokens in left]


def _best(judge: Judge, i: int) -> int:
    """The choice worth most, were there no limits."""
    return max(range(len(judge.problem.choices.names)), key=lambda c: _worth(judge, i, c))


def _worth(judge: Judge, i: int, c: int) -> int:
    """Goodput weighted by quality, of what the instance's hardware and endpoint admit."""
    if not judge.accepted(i, c):
        return -1
    goodput = judge.number(judge.problem.choices.goodput_tokens_per_s, i, c)
    return goodput * (1000 - int(judge.problem.choices.quality_loss_permille[c]))


def _excluded_by(
    judge: Judge,
    plan: ReconfigurationPlan,
    chosen: list[int],
    load: dict[Constraint, NDArray[np.float64]],
    i: int,
    c: int,
) -> Iterator[Rejection]:
    problem, name = judge.problem, judge.problem.instances[i]
    hot, late = judge.heat_excess_w(i, c), judge.late_s(i, c)
    if hot > 0:
        yield Rejection(name, Constraint.GPU_TEMPERATURE_LIMIT, float(hot), "W")
    if late > 0:
        yield Rejection(name, Constraint.RELIEF_IN_TIME, late, "s")
    if judge.reloads(i, c) and not judge.may_reload():
        yield Rejection(name, Constraint.RELOAD_LIMIT, 1.0, "reloads")
    if problem.change_budget is not None and judge.counts_as_change(i, c) and not judge.counts_as_change(i, chosen[i]):
        changes = sum(judge.counts_as_change(other, choice) for other, choice in enumerate(chosen))
        if changes >= problem.change_budget:
            yield Rejection(name, Constraint.CHANGE_BUDGET, float(changes + 1 - problem.change_budget), "changes")
    server = problem.instance_server[i]
    for family in problem.budgets.families:
        table = problem.choices.power_w if family.unit == "W" else problem.choices.airflow_cfm
        more = judge.draw(table, i, c) - judge.draw(table, i, chosen[i])
        for d, share in zip(family.member[server], family.share_permille[server], strict=True):
            if d >= 0 and more > 0:
                allowed = family.limit[d] + plan.excess.get((family.constraint, family.domains[d]), 0.0)
                over = float((load[family.constraint][d] + more * share / 1000 - allowed).max())
                if over > 0:
                    yield Rejection(name, family.constraint, over, family.unit)
