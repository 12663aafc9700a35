"""A plan within milliseconds: repair what is overloaded by the best relief per cost, then buy back what fits.

The state counts thousandths of a unit drawn on each domain. Instances draw the same in every slot, so that of each
domain only the tightest slot matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.reconfiguration.classes import Options, options_of
from tapas_opt.reconfiguration.domains import Domains, domains_of
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem

__all__ = ["greedy"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ROUNDS = 8
"""Buying back stops after so many passes over all instances, or when a pass changes nothing."""


def greedy(problem: ReconfigurationProblem) -> ReconfigurationPlan:
    """Excess first, then cost; a plan for every problem, with declared excess where nothing found avoids it."""
    if not problem.instances:
        return problem.present()
    tables = _tables(problem)
    tried = [_tried(tables, order) for order in (Order.COST, Order.GOODPUT, Order.BALANCED)]
    if all(tables.excess(state) > 0 for state in tried):
        tried.append(_tried(tables, Order.RELIEF))
    best = min(tried, key=lambda state: (tables.excess(state), tables.cost_of(state)))
    return problem.plan(best.choice)


class Order(StrEnum):
    """Which steps repair first, by relief: least cost, with goodput at its full price or a tenth; or most relief.

    What a token is worth where power is short depends on the room; the best of a few guesses is taken.
    """

    COST = "cost"
    GOODPUT = "goodput"
    BALANCED = "balanced"
    RELIEF = "relief"


@dataclass(frozen=True, slots=True)
class Tables:
    """The problem as greedy reads it.

    Attributes
    ----------
    option
        ``[kind, n]`` the kept choices of each kind, side by side; ``real`` is false where a kind has fewer.
    goodput, power_w, airflow_cfm, cost, counts
        ``[kind, n]`` of those options.
    """

    problem: ReconfigurationProblem
    kind: IntArray
    option: IntArray
    real: BoolArray
    present: IntArray
    goodput: IntArray
    power_w: IntArray
    airflow_cfm: IntArray
    cost: IntArray
    counts: BoolArray
    domains: Domains

    def excess(self, state: State) -> int:
        """Thousandths of a unit over the limits, summed over domains."""
        return int(np.maximum(0, state.drawn - self.domains.room_permille).sum())

    def cost_of(self, state: State) -> int:
        """The objective, demand included."""
        short = int(np.maximum(0, -state.slack).sum())
        return int(self.cost[self.kind, state.at].sum()) + self.problem.prices.unserved_token_per_s * short


@dataclass(slots=True)
class State:
    """A plan in the making: option and choice of each instance, draw on domains, slack of endpoints, changes left."""

    at: IntArray
    choice: IntArray
    drawn: IntArray
    slack: IntArray
    changes_left: float


def _tables(problem: ReconfigurationProblem) -> Tables:
    options = options_of(problem)
    option, real = _side_by_side(options)
    kind, current = options.kinds.of, problem.current[options.kinds.first]
    return Tables(
        problem=problem,
        kind=kind,
        option=option,
        real=real,
        present=np.where((option == current[:, None]) & real, np.arange(option.shape[1]), NONE).max(axis=1),
        goodput=np.take_along_axis(options.goodput_tokens_per_s, option, axis=1),
        power_w=np.take_along_axis(options.power_w, option, axis=1),
        airflow_cfm=np.take_along_axis(options.airflow_cfm, option, axis=1),
        cost=np.take_along_axis(options.cost, option, axis=1),
        counts=np.take_along_axis(options.counts_as_change, option, axis=1),
        domains=domains_of(problem, problem.allowed_excess),
    )


def _side_by_side(options: Options) -> tuple[IntArray, BoolArray]:
    order = np.argsort(~options.kept, axis=1, kind="stable")
    width = int(options.kept.sum(axis=1).max())
    return order[:, :width], np.take_along_axis(options.kept, order, axis=1)[:, :width]


def _started(tables: Tables) -> State:
    """Everyone as at present; where that is not eligible, the most goodput that draws no more, else the least draw."""
    kinds, problem = np.arange(len(tables.option)), tables.problem
    first = np.unique(tables.kind, return_index=True)[1]
    present_w = problem.choices.power_w[problem.instance_hardware[first], problem.current[first]]
    modest = tables.real & (tables.power_w <= present_w[:, None])
    best = np.where(modest, tables.goodput, -1).argmax(axis=1)
    least = np.where(tables.real, tables.power_w, np.iinfo(np.int64).max).argmin(axis=1)
    otherwise = np.where(modest.any(axis=1), best, least)
    at = np.where(tables.present[kinds] == NONE, otherwise, tables.present)[tables.kind]
    state = State(
        at=at,
        choice=tables.option[tables.kind, at],
        drawn=np.zeros(len(tables.domains.room_permille), dtype=np.int64),
        slack=-problem.demand_tokens_per_s,
        changes_left=np.inf if problem.change_budget is None else float(problem.change_budget),
    )
    np.add.at(state.slack, problem.instance_endpoint, tables.goodput[tables.kind, at])
    draw = tables.power_w[tables.kind, at], tables.airflow_cfm[tables.kind, at]
    np.add.at(state.drawn, tables.domains.member, tables.domains.weights(np.arange(len(at)), *draw))
    return state


def _take(tables: Tables, state: State, who: IntArray, option: IntArray) -> None:
    """Move some instances to an option each."""
    kind, old = tables.kind[who], state.at[who]
    power = tables.power_w[kind, option] - tables.power_w[kind, old]
    airflow = tables.airflow_cfm[kind, option] - tables.airflow_cfm[kind, old]
    np.add.at(state.drawn, tables.domains.member[who], tables.domains.weights(who, power, airflow))
    gained = tables.goodput[kind, option] - tables.goodput[kind, old]
    np.add.at(state.slack, tables.problem.instance_endpoint[who], gained)
    state.changes_left -= float(tables.counts[kind, option].sum()) - float(tables.counts[kind, old].sum())
    state.at[who], state.choice[who] = option, tables.option[kind, option]


def _tried(tables: Tables, order: Order) -> State:
    state = _started(tables)
    _repair(tables, state, order)
    for _ in range(ROUNDS):
        if not _bought_back(tables, state):
            break
    return state


def _repair(tables: Tables, state: State, order: Order) -> None:
    """Relieve the most overloaded domain until none is over, or none that is over can be relieved."""
    given_up = np.zeros(len(tables.domains.room_permille), dtype=bool)
    while True:
        over = np.where(given_up, 0, state.drawn - tables.domains.room_permille)
        worst = int(over.argmax())
        if over[worst] <= 0:
            return
        given_up[worst] = not _relieved(tables, state, worst, order)


def _relieved(tables: Tables, state: State, domain: int, order: Order) -> bool:
    """Take the best half of the steps that would free a domain of its excess; whether any was found.

    Half, because each step uses up slack of an endpoint that the next ones are judged by. A step that lowers power
    but needs more air, or the reverse, is left to the solvers: so repairing always ends.
    """
    here = tables.domains.member == domain
    who = np.flatnonzero(here.any(axis=1))
    kind, at = tables.kind[who], state.at[who]
    watts = tables.power_w[kind, at][:, None] - tables.power_w[kind]
    air = tables.airflow_cfm[kind, at][:, None] - tables.airflow_cfm[kind]
    spends = tables.counts[kind] & ~tables.counts[kind, at][:, None]
    share = (tables.domains.share * here)[who].sum(axis=1)
    freed = (air if tables.domains.counts_air[domain] else watts) * share[:, None]
    possible = tables.real[kind] & (watts >= 0) & (air >= 0) & (freed > 0) & (~spends | (state.changes_left >= 1))
    over = int(state.drawn[domain] - tables.domains.room_permille[domain])
    score = np.where(possible, _score(tables, state, who, np.minimum(freed, over), order), np.inf)
    option, each = score.argmin(axis=1), np.arange(len(who))
    best = np.argsort(score[each, option], kind="stable")[: int(possible.any(axis=1).sum())]
    needed = int(np.searchsorted(np.cumsum(freed[best, option[best]]), over)) + 1
    taken = best[: (min(needed, len(best)) + 1) // 2]
    taken = taken[np.cumsum(spends[taken, option[taken]]) <= state.changes_left]
    _take(tables, state, who[taken], option[taken])
    return len(taken) > 0


def _score(tables: Tables, state: State, who: IntArray, useful: IntArray, order: Order) -> FloatArray:
    """``[who, option]`` what to take first (least first), given the relief that is of use."""
    if order is Order.RELIEF:
        return -useful.astype(np.float64)
    if order is Order.COST:
        return np.asarray(_added_cost(tables, state, who) / np.maximum(1, useful))
    kind, at = tables.kind[who], state.at[who]
    token = tables.problem.prices.unserved_token_per_s * (1.0 if order is Order.GOODPUT else 0.1)
    worth = tables.cost[kind] - token * tables.goodput[kind]
    now = tables.cost[kind, at] - token * tables.goodput[kind, at]
    return np.asarray((worth - now[:, None]) / np.maximum(1, useful))


def _added_cost(tables: Tables, state: State, who: IntArray) -> FloatArray:
    """``[who, option]`` cost of a step, had only this instance moved."""
    kind, at = tables.kind[who], state.at[who]
    slack = state.slack[tables.problem.instance_endpoint[who]][:, None]
    gained = tables.goodput[kind] - tables.goodput[kind, at][:, None]
    unserved = np.maximum(0, -(slack + gained)) - np.maximum(0, -slack)
    more = tables.cost[kind] - tables.cost[kind, at][:, None]
    return np.asarray(more + tables.problem.prices.unserved_token_per_s * unserved, dtype=np.float64)


def _bought_back(tables: Tables, state: State) -> bool:
    """One pass over all instances: the step that saves most, where it still fits; whether any was taken."""
    everyone = np.arange(len(tables.kind))
    saved = np.where(tables.real[tables.kind] & _fits(tables, state), -_added_cost(tables, state, everyone), -np.inf)
    option = saved.argmax(axis=1)
    order = np.argsort(-saved[everyone, option], kind="stable")
    any_taken = False
    for i in order[: int((saved[everyone, option] > 0).sum())].tolist():
        any_taken |= _step_if_it_still_pays(tables, state, i, int(option[i]))
    return any_taken


def _fits(tables: Tables, state: State) -> BoolArray:
    """``[instance, option]`` whether it adds to no domain more than is left there, nor to the changes."""
    kind, at = tables.kind, state.at
    watts = tables.power_w[kind] - tables.power_w[kind, at][:, None]
    air = tables.airflow_cfm[kind] - tables.airflow_cfm[kind, at][:, None]
    left = np.maximum(0, tables.domains.room_permille - state.drawn)
    fits = ~(tables.counts[kind] & ~tables.counts[kind, at][:, None]) | (state.changes_left >= 1)
    for member, share in zip(tables.domains.member.T, tables.domains.share.T, strict=True):
        added = np.where(tables.domains.counts_air[member][:, None], air, watts) * share[:, None]
        fits &= (added <= 0) | (added <= left[member][:, None])
    return np.asarray(fits)


def _step_if_it_still_pays(tables: Tables, state: State, i: int, option: int) -> bool:
    kind, at, endpoint = tables.kind[i], state.at[i], tables.problem.instance_endpoint[i]
    slack = int(state.slack[endpoint])
    gained = int(tables.goodput[kind, option] - tables.goodput[kind, at])
    unserved = max(0, -(slack + gained)) - max(0, -slack)
    more = int(tables.cost[kind, option] - tables.cost[kind, at])
    if more + tables.problem.prices.unserved_token_per_s * unserved >= 0:
        return False
    spends = int(tables.counts[kind, option]) - int(tables.counts[kind, at])
    if spends > state.changes_left:
        return False
    who = np.array([i])
    watts = np.array([tables.power_w[kind, option] - tables.power_w[kind, at]])
    air = np.array([tables.airflow_cfm[kind, option] - tables.airflow_cfm[kind, at]])
    if not tables.domains.fits(state.drawn, i, tables.domains.weights(who, watts, air)[0]):
        return False
    _take(tables, state, who, np.array([option]))
    return True
