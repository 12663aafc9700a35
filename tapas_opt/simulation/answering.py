"""What the users of endpoints live to see: how late tokens come, and which requests keep the promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.domain.workload import Endpoint
from tapas_opt.serving.fluid import NEW, Flow, Fluid
from tapas_opt.serving.latency import TIMES_S, quantile_s
from tapas_opt.serving.mix import CONVERSATION
from tapas_opt.simulation.crew import Crew

__all__ = ["REQUEST_TOKENS", "Answered", "Engines"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

REQUEST_TOKENS = CONVERSATION.mean.prompt_tokens + CONVERSATION.mean.output_tokens
"""Prompt and output tokens of a request in the mean: goodput is counted in tokens of this mix."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Requests of some time, by endpoint.

    Attributes
    ----------
    ended, kept
        ``[endpoint]`` requests that were answered, lost or refused; and those of them that kept their promise.
    first, between
        ``[endpoint, X]`` first tokens of the answered, and gaps between their tokens, by each of
        :data:`~tapas_opt.serving.latency.TIMES_S`.
    """

    endpoints: tuple[str, ...]
    ended: FloatArray
    kept: FloatArray
    first: FloatArray
    between: FloatArray

    @classmethod
    def nobody(cls, endpoints: Sequence[str] = ()) -> Answered:
        """Nobody has asked yet."""
        n = len(endpoints)
        return cls(tuple(endpoints), np.zeros(n), np.zeros(n), np.zeros((n, len(TIMES_S))), np.zeros((n, len(TIMES_S))))

    def __add__(self, more: Answered) -> Answered:
        """Those of both times, of the same endpoints."""
        return Answered(
            more.endpoints,
            self.ended + more.ended,
            self.kept + more.kept,
            self.first + more.first,
            self.between + more.between,
        )

    def of(self, endpoint: str) -> Answered:
        """Those of one endpoint."""
        e = [self.endpoints.index(endpoint)]
        return Answered((endpoint,), self.ended[e], self.kept[e], self.first[e], self.between[e])

    @property
    def attainment_frac(self) -> float:
        """Share of all requests that kept their promise; NaN if there were none."""
        ended = float(self.ended.sum())
        return min(float(self.kept.sum()) / ended, 1.0) if ended > 0.0 else float("nan")

    def ttft_s(self, quantile: float) -> float:
        """Quantile of the time to first token of all that were answered; NaN if none was."""
        return _quantile(self.first, quantile)

    def tbt_s(self, quantile: float) -> float:
        """Quantile of the gaps between their tokens."""
        return _quantile(self.between, quantile)


def _quantile(by_time: FloatArray, quantile: float) -> float:
    counted = by_time.sum(axis=0)
    return float(quantile_s(counted / counted[-1], quantile)) if counted[-1] > 0.0 else float("nan")


class Engines:
    """The engines of a room's instances through time, and what was promised to their users.

    Who is sent away by the gateways is refused; what is inside an engine without power is lost; an instance that parks
    or loads weights has drained, and begins empty.

    Parameters
    ----------
    endpoints
        Those whose users count; instances of others do not.

    Attributes
    ----------
    working_tokens_per_s
        ``[instance]`` by which each is busy after the last step, up to its goodput: who is sent less than before still
        decodes what it has begun.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._names = tuple(item.name for item in endpoints)
        self._crew: Crew | None = None
        self._fluid = Fluid([], [])
        self._number: dict[str, int] = {}
        self._serving, self._endpoint, self._of_table = (np.zeros(0, dtype=np.int64) for _ in range(3))
        self.working_tokens_per_s = np.zeros(0)

    def step(
        self,
        dt_s: float,
        crew: Crew,
        given_tokens_per_s: FloatArray,
        speed: FloatArray,
        asked_tokens_per_s: Mapping[str, float],
    ) -> Answered:
        """Let time pass while instances of a crew are given so much ``[instance]``, and servers have a speed."""
        if crew is not self._crew:
            self._take_over(crew)
        given = given_tokens_per_s[self._serving] / REQUEST_TOKENS
        flow = self._fluid.step(dt_s, given, speed[crew.instance_server[self._serving]])
        self.working_tokens_per_s = self._working(crew, given_tokens_per_s, flow)
        came = flow.served_requests_per_s + flow.lost_requests_per_s
        kept = came * self._fluid.attained_frac(flow, [self._endpoints[e].slo for e in self._of_table])
        asked = np.array([asked_tokens_per_s.get(name, 0.0) for name in self._names]) / REQUEST_TOKENS
        refused = np.maximum(asked - self._by_endpoint(given), 0.0)
        first, between = (self._of_endpoints @ of_table * dt_s for of_table in self._fluid.latencies(flow))
        return Answered(
            self._names, (self._by_endpoint(came) + refused) * dt_s, self._by_endpoint(kept) * dt_s, first, between
        )

    def _working(self, crew: Crew, given_tokens_per_s: FloatArray, flow: Flow) -> FloatArray:
        inside = flow.load_requests_per_s * self._fluid.replicas * REQUEST_TOKENS
        working = given_tokens_per_s.copy()
        given = given_tokens_per_s[self._serving]
        working[self._serving] = np.clip(inside, given, np.maximum(crew.goodput_tokens_per_s[self._serving], given))
        return working

    def _take_over(self, crew: Crew) -> None:
        """Instances run what this crew runs; what is inside those that were there before stays."""
        endpoint = np.array([self._names.index(name) if name in self._names else NONE for name in crew.endpoint_of])
        kinds = [
            (instance, e, members[endpoint[members] == e])
            for instance, members in crew.kinds
            for e in np.unique(endpoint[members])
            if e != NONE
        ]
        sizes = [len(members) for _, _, members in kinds]
        replicas = [instance.configuration.replicas for instance, _, _ in kinds]
        self._serving = np.concatenate([np.zeros(0, dtype=np.int64), *(members for _, _, members in kinds)])
        self._of_table = np.array([e for _, e, _ in kinds], dtype=np.int64)
        self._endpoint = np.repeat(self._of_table, sizes)
        self._of_endpoints = (np.arange(len(self._names))[:, None] == self._of_table).astype(np.float64)
        names = np.array(list(crew.position))[self._serving].tolist() if len(self._serving) else []
        self._fluid = self._fluid.running(
            [instance.latency for instance, _, _ in kinds],
            np.repeat(np.arange(len(kinds)), sizes),
            np.repeat(replicas, sizes),
            np.array([self._number.get(name, NEW) for name in names], dtype=np.int64),
        )
        self._number = {name: i for i, name in enumerate(names)}
        self._crew = crew

    def _by_endpoint(self, of_instance: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(self._endpoint, of_instance, len(self._names)))
