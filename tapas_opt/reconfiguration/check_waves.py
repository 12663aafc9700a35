"""Judge a reconfiguration while it happens, wave by wave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import TOLERANCE, loads
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Constraint, Violation
from tapas_opt.reconfiguration.judge import Judge
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem

__all__ = ["check_waves", "transition_cost", "wave_seconds", "wave_shortfalls"]

HOUR_S = 3600.0

FloatArray = NDArray[np.float64]


def check_waves(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[Violation, ...]:
    """Every violation while the waves run, one after the other.

    Whoever changes draws the higher of its two draws meanwhile. No wave may bring a domain further over its limit
    than the plan declares, or than it was before the wave.
    """
    judge = Judge(problem)
    chosen, present = judge.choices_of(plan), [int(c) for c in problem.current]
    number = {name: i for i, name in enumerate(problem.instances)}
    violations = list(_waves_cover_the_changes(judge, plan, chosen))
    tables = {"W": problem.choices.power_w, "CFM": problem.choices.airflow_cfm}
    draw = {unit: [judge.number(table, i, c) for i, c in enumerate(present)] for unit, table in tables.items()}
    load = {f.constraint: loads(f, judge.on_servers(draw[f.unit])) for f in problem.budgets.families}
    for k, wave in enumerate(plan.waves, start=1):
        members = [number[name] for name in wave if name in number]
        violations += _too_many_reloads(judge, chosen, members, f"wave {k}")
        for family in problem.budgets.families:
            now, before = load[family.constraint], load[family.constraint].copy()
            change = [judge.number(tables[family.unit], i, chosen[i]) - draw[family.unit][i] for i in members]
            _add(judge, family, now, members, [max(0, more) for more in change])
            violations += _over(family, plan, before, now, f"wave {k}")
            _add(judge, family, now, members, [min(0, more) for more in change])
    return tuple(violations)


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
        short.append(sum(judge.short(served)))
    return tuple(short)


def wave_seconds(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[float, ...]:
    """How long each wave lasts: as long as the slowest change in it."""
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    number = {name: i for i, name in enumerate(problem.instances)}
    delay = [float(problem.delay_s[problem.current[i], c]) for i, c in enumerate(chosen)]
    return tuple(max((delay[number[name]] for name in wave), default=0.0) for wave in plan.waves)


def transition_cost(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> float:
    """What the demand costs that goes unserved while the waves run, beyond what goes unserved now.

    Cost units: price an hour × tokens/s × hours. A plan is of use for an hour or so, so that this stands beside its
    cost per hour.
    """
    judge = Judge(problem)
    present = [int(c) for c in problem.current]
    now = sum(judge.short(judge.served(present)))
    shortfalls, seconds = wave_shortfalls(problem, plan), wave_seconds(problem, plan)
    lost = sum(max(0, short - now) * s for short, s in zip(shortfalls, seconds, strict=True))
    return problem.prices.unserved_token_per_s * lost / HOUR_S


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


def _too_many_reloads(judge: Judge, chosen: list[int], members: list[int], wave: str) -> Iterator[Violation]:
    limit = judge.problem.reload_limit
    reloading = sum(judge.reloads(i, chosen[i]) for i in members)
    if limit is not None and reloading > limit:
        yield Violation(Constraint.RELOAD_LIMIT, wave, float(reloading - limit), "reloads")


def _add(judge: Judge, family: BudgetFamily, load: FloatArray, members: list[int], draw: list[int]) -> None:
    """Add draws of some instances to the load of a family's domains, in every slot."""
    server, amount = judge.problem.instance_server[members], np.array(draw)
    for domain, share in zip(family.member[server].T, family.share_permille[server].T, strict=True):
        there = domain >= 0
        np.add.at(load, domain[there], (amount[there] * share[there] / 1000)[:, None])


def _over(
    family: BudgetFamily, plan: ReconfigurationPlan, before: FloatArray, during: FloatArray, wave: str
) -> Iterator[Violation]:
    declared = np.array([plan.excess.get((family.constraint, domain), 0.0) for domain in family.domains])
    allowed = np.maximum(family.limit + declared[:, None], before)
    excess = (during - allowed).max(axis=1, initial=-np.inf)
    tolerated = TOLERANCE * np.maximum(1.0, np.abs(allowed).max(axis=1, initial=0.0))
    for d in np.flatnonzero(~(excess <= tolerated)):  # NaN is an excess, too
        yield Violation(family.constraint, f"{family.domains[d]} during {wave}", float(excess[d]), family.unit)
