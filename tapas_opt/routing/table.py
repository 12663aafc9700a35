"""The routing table: an immutable plan made ready for picking, replaced as a whole."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Mode
from tapas_opt.errors import NotFound
from tapas_opt.routing.greedy import greedy
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem

__all__ = ["Alias", "LengthThresholds", "RoutingTable", "TableClass", "request_class_of", "routing_table"]

FloatArray = NDArray[np.float64]

SERVED = 1e-9
"""A class that loses less than this share counts as served."""


@dataclass(frozen=True, slots=True)
class Alias:
    """Draws one of many in constant time: Walker's alias table, built by Vose's method.

    Attributes
    ----------
    items
        What is drawn.
    keep, other
        Place k yields ``items[k]`` with probability ``keep[k]`` and ``items[other[k]]`` otherwise.
    """

    items: tuple[int, ...]
    keep: tuple[float, ...]
    other: tuple[int, ...]

    @classmethod
    def of(cls, weights: Mapping[int, float]) -> Alias:
        """A table that draws each item in proportion to its weight; items without weight are left out.

        Notes
        -----
        M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE Transactions on
        Software Engineering 17 (1991) 972.
        """
        items = tuple(item for item, weight in weights.items() if weight > 0.0)
        total = sum(weights[item] for item in items)
        keep = [weights[item] * len(items) / total for item in items]
        other = list(range(len(items)))
        small = [k for k, part in enumerate(keep) if part < 1.0]
        large = [k for k, part in enumerate(keep) if part >= 1.0]
        while small and large:
            poor, rich = small.pop(), large[-1]
            other[poor] = rich
            keep[rich] -= 1.0 - keep[poor]
            if keep[rich] < 1.0:
                small.append(large.pop())
        for k in [*small, *large]:  # what rounding left over
            keep[k] = 1.0
        return cls(items, tuple(keep), tuple(other))

    def draw(self, rng: random.Random) -> int:
        """One item."""
        point = rng.random() * len(self.items)
        k = int(point)
        return self.items[k] if point - k < self.keep[k] else self.items[self.other[k]]


@dataclass(frozen=True, slots=True)
class LengthThresholds:
    """Which class a request of an endpoint belongs to, by its lengths.

    Attributes
    ----------
    prompt_tokens, output_tokens
        Upper ends, inclusive and rising, of all bands but the last, which has none.
    classes
        ``[prompt band][output band]`` name of the class.
    """

    prompt_tokens: tuple[float, ...]
    output_tokens: tuple[float, ...]
    classes: tuple[tuple[str, ...], ...]

    @classmethod
    def between(cls, typical: Sequence[tuple[str, float, float]]) -> LengthThresholds:
        """Bands that part classes given as (name, typical prompt tokens, typical output tokens).

        Bands end at geometric means of neighbouring lengths; a cell belongs to the class whose lengths are nearest by
        ratio.
        """
        prompts = sorted({prompt for _, prompt, _ in typical})
        outputs = sorted({output for _, _, output in typical})
        cells = tuple(tuple(_nearest(typical, prompt, output) for output in outputs) for prompt in prompts)
        return cls(_means(prompts), _means(outputs), cells)


def _means(lengths: list[float]) -> tuple[float, ...]:
    return tuple(math.sqrt(a * b) for a, b in pairwise(lengths))


def _nearest(typical: Sequence[tuple[str, float, float]], prompt: float, output: float) -> str:
    def apart(row: tuple[str, float, float]) -> float:
        return abs(math.log(row[1] / prompt)) + abs(math.log(row[2] / output))

    return min(typical, key=apart)[0]


@dataclass(frozen=True, slots=True)
class TableClass:
    """A request class in the table.

    Attributes
    ----------
    work
        Work of one of its tokens, relative to the mix that goodput was measured at.
    alias
        Draws instances by the plan's shares, by what they carry for a class that the plan gives to nobody; None when
        no instance of the endpoint takes anything.
    """

    endpoint: str
    work: float
    alias: Alias | None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """A plan made ready for picking.

    Attributes
    ----------
    snapshot, created_at_s, stale_after_s, mode
        Which state it was planned on, when, for how long it holds, and which path made it.
    shares, unserved_frac
        The plan, for gateways that pick for themselves.
    instances, number
        Names, and the place of each.
    endpoint_of
        ``[instance]``
    carries
        ``[instance]`` tokens/s that it may take: its goodput as far as its temperature ceiling lets it; no more than
        planned where the plan leaves demand of the endpoint unserved, because then every domain is at its limit.
    planned
        ``[instance]`` tokens/s that the plan gives it; at least a part of what it carries, as the scale of its queue.
    members
        Numbers of the instances of each endpoint.
    thresholds
        For each endpoint that sorts its requests by length.
    """

    snapshot: str
    created_at_s: float
    stale_after_s: float
    mode: Mode
    shares: Mapping[str, Mapping[str, float]]
    unserved_frac: Mapping[str, float]
    instances: tuple[str, ...]
    number: Mapping[str, int]
    endpoint_of: tuple[str, ...]
    carries: tuple[float, ...]
    planned: tuple[float, ...]
    members: Mapping[str, tuple[int, ...]]
    classes: Mapping[str, TableClass]
    thresholds: Mapping[str, LengthThresholds]


LEAST_PLANNED_FRAC = 0.05
"""An instance that the plan gives next to nothing is queued for as if it got this part of what it carries."""


def routing_table(
    problem: RoutingProblem,
    plan: RoutingPlan | None,
    *,
    snapshot: str,
    created_at_s: float,
    mode: Mode = Mode.SOLVER,
    stale_after_s: float = 60.0,
    thresholds: Mapping[str, LengthThresholds] | None = None,
) -> RoutingTable:
    """Make a plan ready for picking; without one, shares are by slack and the mode is ``GREEDY``."""
    if plan is None:
        plan, mode = greedy(problem), Mode.GREEDY if mode is Mode.SOLVER else mode
    number = {name: i for i, name in enumerate(problem.instances)}
    planned = _planned(problem, plan, number)
    carries = _carries(problem, plan, planned)
    members = {
        name: tuple(np.flatnonzero(problem.instance_endpoint == e).tolist()) for e, name in enumerate(problem.endpoints)
    }
    spare = {name: _alias((i, carries[i]) for i in members[name]) for name in problem.endpoints}
    classes = {}
    for q, name in enumerate(problem.classes):
        endpoint = problem.endpoints[problem.class_endpoint[q]]
        given = plan.shares.get(name, {}) if plan.unserved_frac.get(name, 0.0) < 1.0 - SERVED else {}
        alias = _alias((number[instance], share) for instance, share in given.items()) or spare[endpoint]
        classes[name] = TableClass(endpoint, int(problem.class_work_permille[q]) / 1000, alias)
    return RoutingTable(
        snapshot=snapshot,
        created_at_s=created_at_s,
        stale_after_s=stale_after_s,
        mode=mode,
        shares=plan.shares,
        unserved_frac=plan.unserved_frac,
        instances=problem.instances,
        number=number,
        endpoint_of=tuple(problem.endpoints[e] for e in problem.instance_endpoint),
        carries=tuple(carries.tolist()),
        planned=tuple(np.maximum(planned, LEAST_PLANNED_FRAC * carries).tolist()),
        members=members,
        classes=classes,
        thresholds=dict(thresholds or {}),
    )


def request_class_of(table: RoutingTable, endpoint: str, prompt_tokens: float, output_tokens: float) -> str:
    """The request class of a request with these lengths (the output's as the caller expects it).

    Raises
    ------
    NotFound
        The table has no thresholds for the endpoint.
    """
    bands = table.thresholds.get(endpoint)
    if bands is None:
        raise NotFound("endpoint", endpoint, "the routing table has no length thresholds for it")
    prompt_band = bisect_left(bands.prompt_tokens, prompt_tokens)
    return bands.classes[prompt_band][bisect_left(bands.output_tokens, output_tokens)]


def _alias(weights: Iterable[tuple[int, float]]) -> Alias | None:
    some = {item: float(weight) for item, weight in weights if weight > 0.0}
    return Alias.of(some) if some else None


def _planned(problem: RoutingProblem, plan: RoutingPlan, number: Mapping[str, int]) -> FloatArray:
    work = np.zeros(len(problem.instances))
    for q, name in enumerate(problem.classes):
        given = plan.shares.get(name, {})
        work[[number[instance] for instance in given]] += problem.class_work[q] * np.array(list(given.values()))
    return work


def _carries(problem: RoutingProblem, plan: RoutingPlan, planned: FloatArray) -> FloatArray:
    lost = np.array([plan.unserved_frac.get(name, 0.0) for name in problem.classes])
    short = np.zeros(len(problem.endpoints), dtype=bool)
    short[problem.class_endpoint[(lost > SERVED) & (problem.class_tokens_per_s > 0)]] = True
    most = np.where(problem.open_instances, (problem.cool_frac * problem.segment_work).sum(axis=1), 0.0)
    return np.where(short[problem.instance_endpoint], np.minimum(planned, most), most)
