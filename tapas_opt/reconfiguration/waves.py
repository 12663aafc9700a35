"""The order of the changes: waves that respect ``reload_limit`` and the budgets, short of as little as possible."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.reconfiguration.classes import of_instances
from tapas_opt.reconfiguration.domains import Domains, domains_of
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem

__all__ = ["waves"]

HOUR_S = 3600.0

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def waves(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> ReconfigurationPlan:
    """Put the changes of a plan into waves; those that fit into none are given up.

    During a wave whoever changes counts with the higher of its two draws and serves the lesser of its two goodputs;
    who reloads serves nothing. No domain may come further over its limit than the plan declares or than it is already.
    A change that leaves demand unserved waits as long as another can go without; what is given up stays as it is, or
    is parked where it may not stay.
    """
    change = _begin(problem, plan)
    found: list[tuple[str, ...]] = []
    while change.waiting:
        wave = _wave(change)
        _arrive(change, wave)
        if wave:
            found.append(tuple(problem.instances[i] for i in sorted(wave)))
        else:
            _give_up_last(change)
    settled = problem.plan(change.target)
    excess = {
        key: max(plan.excess.get(key, 0.0), settled.excess.get(key, 0.0)) for key in (*plan.excess, *settled.excess)
    }
    return replace(settled, excess=excess, waves=tuple(found))


@dataclass(slots=True)
class _Change:
    """A site on its way to a plan.

    Attributes
    ----------
    target
        ``[instance]`` choice to come to.
    waiting
        Instances still to change, in the order in which they are asked.
    drawn
        ``[domain]`` thousandths of a unit, the higher draw of whoever is changing.
    falling
        ``[domain]`` what the wave in the making will have taken away when it arrives (at most 0).
    slack
        ``[endpoint]`` goodput beyond demand.
    starting, arriving
        ``[instance, place]`` what starting its change adds to its domains, and what its arrival takes away (at most 0).
    tokens
        ``[instance, 3]`` goodput before, during and after its change.
    loads
        ``[instance]`` whether it loads weights.
    """

    problem: ReconfigurationProblem
    domains: Domains
    target: IntArray
    drawn: IntArray
    falling: IntArray
    slack: IntArray
    starting: IntArray
    arriving: IntArray
    tokens: IntArray
    loads: BoolArray
    waiting: list[int] = field(default_factory=list)

    def table(self, table: IntArray, choice: IntArray) -> IntArray:
        """``[instance]`` entries of a table ``[hardware, choice]``."""
        return np.asarray(table[self.problem.instance_hardware, choice])

    def rise(self, i: int, *, arriving: bool) -> IntArray:
        """``[place]`` what starting its change adds to its domains, or its arrival takes away (at most 0)."""
        return np.asarray((self.arriving if arriving else self.starting)[i])

    def reloads(self, i: int) -> bool:
        """Whether it loads weights."""
        return bool(self.loads[i])

    def goodput(self, i: int) -> tuple[int, int, int]:
        """Goodput before, during and after its change."""
        before, during, after = self.tokens[i].tolist()
        return before, during, after

    def read(self, who: IntArray) -> None:
        """Take the numbers of some instances from the tables, for what they are to become."""
        problem, choices = self.problem, self.problem.choices
        hardware, present, target = problem.instance_hardware[who], problem.current[who], self.target[who]
        more = [table[hardware, target] - table[hardware, present] for table in (choices.power_w, choices.airflow_cfm)]
        self.starting[who] = self.domains.weights(who, *(np.maximum(0, change) for change in more))
        self.arriving[who] = self.domains.weights(who, *(np.minimum(0, change) for change in more))
        self.loads[who] = problem.reload[present, target]
        old, new = (choices.goodput_tokens_per_s[hardware, choice] for choice in (present, target))
        self.tokens[who] = np.stack([old, np.where(self.loads[who], 0, np.minimum(old, new)), new], axis=1)


def _begin(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> _Change:
    domains, everyone, choices = domains_of(problem, plan.excess), np.arange(len(problem.instances)), problem.choices
    change = _Change(
        problem=problem,
        domains=domains,
        target=problem.chosen(plan),
        drawn=np.zeros(len(domains.room_permille), dtype=np.int64),
        falling=np.zeros(len(domains.room_permille), dtype=np.int64),
        slack=-problem.demand_tokens_per_s,
        starting=np.zeros_like(domains.member),
        arriving=np.zeros_like(domains.member),
        tokens=np.zeros((len(everyone), 3), dtype=np.int64),
        loads=np.zeros(len(everyone), dtype=bool),
    )
    change.read(everyone)
    present = [change.table(table, problem.current) for table in (choices.power_w, choices.airflow_cfm)]
    np.add.at(change.drawn, domains.member, domains.weights(everyone, *present))
    np.add.at(change.slack, problem.instance_endpoint, change.table(choices.goodput_tokens_per_s, problem.current))
    changing = np.flatnonzero(change.target != problem.current).tolist()
    change.waiting = sorted(changing, key=lambda i: _turn(change, i))
    return change


def _turn(change: _Change, i: int) -> tuple[bool, int]:
    """Quick changes first; then those that add most goodput."""
    old, _, new = change.goodput(i)
    return change.reloads(i), old - new


def _wave(change: _Change) -> list[int]:
    """Start whatever may go together: what leaves no demand unserved, else the one for which that costs least."""
    wave: list[int] = []
    before = _Before(change.slack.copy(), _more_comes(change))
    reloads_left = np.inf if change.problem.reload_limit is None else change.problem.reload_limit
    for i in change.waiting:
        if change.reloads(i) and reloads_left == 0:
            break  # those that reload come last
        if not _waits(change, i, before) and _fits(change, i):
            _start(change, i)
            wave.append(i)
            reloads_left -= change.reloads(i)
    if not wave:
        wave = [i for i in sorted(change.waiting, key=lambda i: _price(change, i)) if _may_go_alone(change, i)][:1]
        for i in wave:
            _start(change, i)
    return wave


@dataclass(frozen=True, slots=True)
class _Before:
    """``[endpoint]`` slack when a wave begins, and whether anyone who waits will add goodput."""

    slack: IntArray
    more_comes: BoolArray


def _more_comes(change: _Change) -> BoolArray:
    table, problem = change.problem.choices.goodput_tokens_per_s, change.problem
    waiting = np.array(change.waiting, dtype=np.int64)
    hardware = problem.instance_hardware[waiting]
    gains = table[hardware, change.target[waiting]] > table[hardware, problem.current[waiting]]
    more = np.zeros(len(problem.endpoints), dtype=bool)
    more[problem.instance_endpoint[waiting[gains]]] = True
    return more


def _may_go_alone(change: _Change, i: int) -> bool:
    return _fits(change, i) and not (change.reloads(i) and change.problem.reload_limit == 0)


def _lost(change: _Change, i: int) -> int:
    """Demand that it leaves unserved while it changes."""
    old, during, _ = change.goodput(i)
    slack = int(change.slack[change.problem.instance_endpoint[i]])
    return max(0, -(slack - (old - during))) - max(0, -slack)


def _price(change: _Change, i: int) -> float:
    """What that costs, for as long as the change takes."""
    seconds = float(change.problem.delay_s[change.problem.current[i], change.target[i]])
    return _lost(change, i) * change.problem.prices.unserved_token_per_s * seconds / HOUR_S


def _waits(change: _Change, i: int, before: _Before) -> bool:
    """Whether it would leave demand unserved, and waiting may help.

    It helps while the endpoint has slack that others use meanwhile. Where demand goes unserved anyway only those that
    take goodput away wait, for those that add some. Who relieves an overloaded domain does not wait, unless those in
    the wave already will have relieved it.
    """
    endpoint = change.problem.instance_endpoint[i]
    old, _, new = change.goodput(i)
    if _lost(change, i) == 0 or (before.slack[endpoint] < 0 and (new >= old or not before.more_comes[endpoint])):
        return False
    member = change.domains.member[i]
    over = (change.drawn + change.falling)[member] > change.domains.room_permille[member]
    return not bool((over & (change.rise(i, arriving=True) < 0)).any())


def _fits(change: _Change, i: int) -> bool:
    """Whether it brings no domain (further) over what may be drawn there."""
    return change.domains.fits(change.drawn, i, change.rise(i, arriving=False))


def _start(change: _Change, i: int) -> None:
    old, during, _ = change.goodput(i)
    np.add.at(change.drawn, change.domains.member[i], change.rise(i, arriving=False))
    np.add.at(change.falling, change.domains.member[i], change.rise(i, arriving=True))
    change.slack[change.problem.instance_endpoint[i]] -= old - during


def _arrive(change: _Change, wave: list[int]) -> None:
    for i in wave:
        _, during, new = change.goodput(i)
        np.add.at(change.drawn, change.domains.member[i], change.rise(i, arriving=True))
        change.slack[change.problem.instance_endpoint[i]] += new - during
    change.falling[:] = 0
    gone = set(wave)
    change.waiting = [i for i in change.waiting if i not in gone]


def _give_up_last(change: _Change) -> None:
    """Nobody can go: the one whose turn comes last stays as it is, or is parked where it may not stay."""
    i = change.waiting.pop()
    present, parked = int(change.problem.current[i]), change.problem.choices.parked
    stays = change.target[i] == parked or bool(of_instances(change.problem, np.array([i])).eligible()[0, present])
    change.target[i] = present if stays else parked
    change.read(np.array([i]))
    if not stays:
        change.waiting.insert(0, i)
