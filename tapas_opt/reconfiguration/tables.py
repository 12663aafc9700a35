"""A reconfiguration problem as greedy's kernels read it, and a plan in the making."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.reconfiguration.classes import Options, options_of
from tapas_opt.reconfiguration.domains import ENDLESS, Domains, domains_of
from tapas_opt.reconfiguration.kernels import AIRFLOW, COST, COUNTS, GOODPUT, POWER
from tapas_opt.reconfiguration.problem import ReconfigurationProblem

__all__ = ["State", "Tables", "tables_of"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tables:
    """The arrays that :mod:`tapas_opt.reconfiguration.kernels` describes, and what else greedy asks.

    Attributes
    ----------
    choice
        ``[kind, option]`` which choice each option is.
    present
        ``[kind]`` option of the present choice; :data:`NONE` where that is not eligible.
    loads
        ``[kind, option]`` whether an option loads weights.
    instance_of, first_of
        The instances of domain d are ``instance_of[first_of[d]:first_of[d + 1]]``. Only domains that can fill up have a
        number; the last one stands for absent places.
    of_endpoint
        The instances of each endpoint.
    """

    problem: ReconfigurationProblem
    kind: IntArray
    width: IntArray
    choice: IntArray
    option: IntArray
    present: IntArray
    loads: BoolArray
    place: IntArray
    room: IntArray
    instance_of: IntArray
    first_of: IntArray
    of_endpoint: tuple[IntArray, ...]

    @property
    def endpoint(self) -> IntArray:
        """``[instance]``."""
        return np.asarray(self.problem.instance_endpoint)

    @property
    def change_budget(self) -> int:
        """As the problem has it; endless where it has none."""
        return ENDLESS if self.problem.change_budget is None else self.problem.change_budget

    def state(self, at: IntArray) -> State:
        """The state in which instance i has option ``at[i]``."""
        taken = self.option[self.kind, :, at]
        drawn = np.zeros(len(self.room), dtype=np.int64)
        on_places = self.place[:, :, 1] * taken[:, POWER, None] + self.place[:, :, 2] * taken[:, AIRFLOW, None]
        np.add.at(drawn, self.place[:, :, 0], on_places)
        slack = -self.problem.demand_tokens_per_s
        np.add.at(slack, self.endpoint, taken[:, GOODPUT])
        left = self.change_budget - int(taken[:, COUNTS].sum())
        return State(at, drawn, slack, np.array([left], dtype=np.int64))

    def started(self) -> State:
        """Everyone as at present.

        Where that is not eligible, what serves most and draws no more, or else what draws least.
        """
        problem, first = self.problem, np.unique(self.kind, return_index=True)[1]
        present_w = problem.choices.power_w[problem.instance_hardware[first], problem.current[first]]
        real = np.arange(self.option.shape[2]) < self.width[:, None]
        modest = real & (self.option[:, POWER] <= present_w[:, None])
        best = np.where(modest, self.option[:, GOODPUT], -1).argmax(axis=1)
        least = np.where(real, self.option[:, POWER], ENDLESS).argmin(axis=1)
        otherwise = np.where(modest.any(axis=1), best, least)
        return self.state(np.where(self.present == NONE, otherwise, self.present)[self.kind])

    def excess(self, state: State) -> IntArray:
        """``[domain]`` whole W or CFM over the limit."""
        return np.asarray(np.maximum(0, -((self.room - state.drawn) // PERMILLE)))

    def cost(self, state: State) -> int:
        """The objective, demand included."""
        short = int(np.maximum(0, -state.slack).sum())
        own = int(self.option[self.kind, COST, state.at].sum())
        return own + self.problem.prices.unserved_token_per_s * short


@dataclass(frozen=True, slots=True)
class State:
    """A plan in the making: option of each instance, draw on domains, slack of endpoints, changes left.

    Kernels change the arrays in place.
    """

    at: IntArray
    drawn: IntArray
    slack: IntArray
    changes_left: IntArray


def tables_of(problem: ReconfigurationProblem) -> Tables:
    """Tabulate a problem with at least one instance; the excess it allows is room."""
    options = options_of(problem)
    choice, width, option = _side_by_side(options)
    kind, current = options.kinds.of, problem.current[options.kinds.first]
    is_present = (choice == current[:, None]) & (np.arange(choice.shape[1]) < width[:, None])
    domains = domains_of(problem, problem.allowed_excess)
    place, room = _fillable(domains, options)
    instance_of, first_of = _by_domain(place, len(room))
    return Tables(
        problem=problem,
        kind=kind,
        width=width,
        choice=choice,
        option=option,
        present=np.where(is_present.any(axis=1), is_present.argmax(axis=1), NONE),
        loads=problem.reload[current[:, None], choice] & ~is_present,
        place=place,
        room=room,
        instance_of=instance_of,
        first_of=first_of,
        of_endpoint=tuple(np.flatnonzero(problem.instance_endpoint == e) for e in range(len(problem.endpoints))),
    )


def _side_by_side(options: Options) -> tuple[IntArray, IntArray, IntArray]:
    """The kept choices of each kind, how many they are, and their numbers ``[kind, field, option]``."""
    width = options.kept.sum(axis=1)
    choice = np.argsort(~options.kept, axis=1, kind="stable")[:, : int(width.max())]
    fields = np.stack(
        [options.goodput_tokens_per_s, options.power_w, options.airflow_cfm, options.cost, options.counts_as_change],
        axis=1,
    )
    return choice, width, np.ascontiguousarray(np.take_along_axis(fields, choice[:, None], axis=2), dtype=np.int64)


def _fillable(domains: Domains, options: Options) -> tuple[IntArray, IntArray]:
    """Places and room of the domains that instances can fill; two places on one domain become one."""
    kind, last = options.kinds.of, len(domains.room_permille) - 1
    everyone = np.arange(len(kind))
    most = domains.weights(everyone, options.most(options.power_w)[kind], options.most(options.airflow_cfm)[kind])
    in_all = np.bincount(domains.member.ravel(), weights=most.ravel(), minlength=last + 1)
    kept = np.flatnonzero(in_all[:last] > domains.room_permille[:last])
    number = np.full(last + 1, len(kept))
    number[kept] = np.arange(len(kept))
    member = number[domains.member]
    share = np.where(member < len(kept), domains.share, 0)
    for later in range(1, member.shape[1]):
        for earlier in range(later):
            same = (member[:, later] == member[:, earlier]) & (member[:, later] < len(kept))
            share[same, earlier] += share[same, later]
            share[same, later], member[same, later] = 0, len(kept)
    used = (member < len(kept)).any(axis=0)
    member, share = member[:, used], share[:, used]
    air = np.append(domains.counts_air[kept], False)[member]
    place = np.stack([member, np.where(air, 0, share), np.where(air, share, 0)], axis=2)
    return np.ascontiguousarray(place), np.append(domains.room_permille[kept], ENDLESS)


def _by_domain(place: IntArray, domains: int) -> tuple[IntArray, IntArray]:
    instance, p = np.nonzero(place[:, :, 0] < domains - 1)
    domain = place[instance, p, 0]
    order = np.argsort(domain, kind="stable")
    return instance[order], np.searchsorted(domain[order], np.arange(domains + 1))
