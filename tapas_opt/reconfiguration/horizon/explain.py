"""Why a horizon's plan is as it is: what excludes better choices, in whatever slot they would be taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import loads
from tapas_opt.domain.result import Constraint, Rejection
from tapas_opt.reconfiguration.explain import best_choice, shares_of, worth
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.horizon.story import LOADING, Story

__all__ = ["why_not"]

FloatArray = NDArray[np.float64]


def why_not(problem: HorizonProblem, plan: HorizonPlan) -> tuple[Rejection, ...]:
    """What keeps instances from a choice that would serve more, where demand is not met in a slot, or serve it better.

    For each such instance every constraint that would be broken if it came to its best choice in the slot in which it
    changes, or in the first if it does not, while all others stay as planned; with what is missing in the worst slot.
    """
    story, now = Story(problem, plan), problem.now
    loss = now.quality_loss_permille()
    slots = range(len(problem.slots))
    short = np.array([story.short(t) for t in slots]).max(axis=0) > 0
    taken = [story.changes(t) for t in slots], [story.loading(t) for t in slots]
    power, airflow = story.server_draw()
    load = {f.constraint: loads(f, f.counted(power, airflow)) for f in now.budgets.families}
    rejections: list[Rejection] = []
    for i, (c, e) in enumerate(zip(story.chosen, now.instance_endpoint.tolist(), strict=True)):
        best = best_choice(story.judge, loss, i)
        wanted = short[e] or loss[e, best] < loss[e, c]
        if wanted and worth(story.judge, loss, i, best) > worth(story.judge, loss, i, c):
            rejections += _excluded_by(story, taken, load, i, best)
    return tuple(rejections)


def _excluded_by(
    story: Story, taken: tuple[list[int], list[int]], load: dict[Constraint, FloatArray], i: int, best: int
) -> Iterator[Rejection]:
    """``taken``: by slot, changes that count and instances that load weights."""
    now, judge, name = story.problem.now, story.judge, story.problem.now.instances[i]
    begins = story.begins[i] or 0
    other = story.with_change(i, best, begins)
    hot = judge.heat_excess_w(i, best)
    if hot > 0:
        yield Rejection(name, Constraint.GPU_TEMPERATURE_LIMIT, float(hot), "W")
    changes, loading = taken
    before = story.begins[i] == begins and judge.counts_as_change(i, story.chosen[i])
    over = changes[begins] - before + judge.counts_as_change(i, best) - (now.change_budget or 0)
    if now.change_budget is not None and over > 0:
        yield Rejection(name, Constraint.CHANGE_BUDGET, float(over), "changes")
    if judge.reloads(i, best):
        own = [other.state(i, t) == LOADING for t in range(len(loading))]
        more = [at_once + 1 - (story.state(i, t) == LOADING) for t, at_once in enumerate(loading) if own[t]]
        over = 1 if not story.may_reload_for(i, best) else max(more, default=0) - (now.reload_limit or 0)
        if now.reload_limit is not None and over > 0:
            yield Rejection(name, Constraint.RELOAD_LIMIT, float(over), "reloads")
    yield from _budgets(story, other, load, i)


def _budgets(story: Story, other: Story, load: dict[Constraint, FloatArray], i: int) -> Iterator[Rejection]:
    """Domains that would be over their limits in a slot in which the instance draws more."""
    now, slots = story.problem.now, range(len(story.problem.slots))
    server = int(now.instance_server[i])
    for family in now.budgets.families:
        table = family.counted(now.choices.power_w, now.choices.airflow_cfm)
        more = np.array([of.number(table, i, t, loading=True) for of in (story, other) for t in slots])
        more = more[len(slots) :] - more[: len(slots)]
        for d, share in shares_of(family, server).items():
            if (more > 0).any():
                allowed = family.limit[d] + story.plan.excess.get((family.constraint, family.domains[d]), 0.0)
                over = load[family.constraint][d] + more * share / 1000 - allowed
                worst = float(over[more > 0].max())
                if worst > 0:
                    yield Rejection(now.instances[i], family.constraint, worst, family.unit)
