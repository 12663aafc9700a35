"""What happens to every policy alike: VMs that come and go, demand, requests, weather, failures and bad sensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Endpoint, Group, Vm
from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.policy import Request
from tapas_opt.simulation.record import Outage

__all__ = ["DAY_S", "Arrival", "FailureAt", "Story"]

FloatArray = NDArray[np.float64]

DAY_S = 86_400.0
CALM_STEP_S = 60.0
TENSE_STEP_S = 1.0
WATCHFUL_STEP_S = 10.0
TENSE_FOR_S, TENSE_AFTER_S = 300.0, 60.0
"""So long after a failure, and after its end, time is simulated second by second."""

WATCHED_FOR_S = 3600.0
"""So long a failure is simulated in steps of ten seconds; one that lasts longer is everyday life by then."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """VMs asked for together, at a time; and VMs that leave then."""

    at_s: float
    vms: tuple[Vm, ...]
    leaving: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailureAt:
    """A failure from ``at_s`` until ``until_s``; an outage by plan is announced before."""

    at_s: float
    until_s: float
    failure: Failure
    announced_at_s: float | None = None

    @property
    def outage(self) -> Outage:
        """As a record names it."""
        return Outage(self.failure.label, self.at_s, self.until_s)


@dataclass(frozen=True)
class Story:
    """Everything that a policy cannot change.

    Attributes
    ----------
    start_s, end_s
        The time that is simulated; 0 is a Monday at midnight.
    adopted
        VMs that somebody else placed before it begins, and their servers: a policy takes them over as they are.
    running
        Further VMs that run when it begins; each policy decides where.
    goodput_of
        By endpoint: tokens/s that one of its instances carries as it starts.
    requests
        For each endpoint its trace, routed one by one; it is stretched over each day so that its requests come as
        densely as the demand has it. Without it nothing is routed one by one.
    demand_shape
        For each endpoint its demand at each minute of an hour, relative to the mean of that hour, which repeats.
    outdoor
        Outdoor temperature (°C) by time (s), where it is not the seed's own weather.
    bad_sensor_frac
        Share of sensors that misbehave for some time of the story.
    """

    start_s: float
    end_s: float
    workload: Workload
    endpoints: tuple[Endpoint, ...]
    groups: tuple[Group, ...]
    adopted: tuple[tuple[Vm, str], ...]
    running: tuple[Vm, ...]
    arrivals: tuple[Arrival, ...]
    failures: tuple[FailureAt, ...]
    goodput_of: Mapping[str, float]
    requests: Mapping[str, tuple[Request, ...]] = field(default_factory=dict)
    demand_shape: Mapping[str, FloatArray] = field(default_factory=dict)
    outdoor: Callable[[float], float] | None = None
    bad_sensor_frac: float = 0.0

    def steps(self) -> Iterator[tuple[float, float]]:
        """(start, length) of each step: minutes, and seconds around failures."""
        now = self.start_s
        while now < self.end_s - 1e-9:
            length = min(self._step_s(now), self._next_event(now) - now, self.end_s - now)
            yield now, length
            now += length

    def is_tense(self, now_s: float) -> bool:
        """Whether a failure is so new that everybody looks closely."""
        return any(item.at_s <= now_s < min(item.until_s, item.at_s + WATCHED_FOR_S) for item in self.failures)

    def planned_tokens_per_s(self, vms: Iterable[Vm]) -> dict[str, float]:
        """By endpoint what the instances among some VMs carry as they start."""
        instances = Counter(vm.endpoint for vm in vms if vm.endpoint is not None)
        return {endpoint: count * self.goodput_of[endpoint] for endpoint, count in instances.items()}

    def demand_tokens_per_s(self, now_s: float, planned: Mapping[str, float]) -> dict[str, float]:
        """Prompt and output tokens per second that users ask of each endpoint.

        Demand follows the VMs that were asked for, whether or not a policy found room for them.

        Parameters
        ----------
        planned
            :meth:`planned_tokens_per_s` of these VMs.
        """
        load = self.workload.endpoint_load_frac(now_s)
        return {name: frac * planned.get(name, 0.0) * self._relative(name, now_s) for name, frac in load.items()}

    def requests_between(self, endpoint: str, from_s: float, until_s: float) -> tuple[Request, ...]:
        """Requests of the endpoint's trace that fall into a stretch of one day."""
        trace, passed = self.requests[endpoint], self._passed_frac[endpoint]
        day_s = from_s // DAY_S * DAY_S
        first, last = (int(np.interp(t - day_s, self._minutes_s, passed) * len(trace) + 0.5) for t in (from_s, until_s))
        return trace[first:last]

    def _relative(self, endpoint: str, now_s: float) -> float:
        shape = self.demand_shape.get(endpoint)
        return 1.0 if shape is None else float(shape[int(now_s // 60.0) % 60])

    @cached_property
    def _minutes_s(self) -> FloatArray:
        return np.arange(0.0, DAY_S + 1.0, CALM_STEP_S)

    @cached_property
    def _passed_frac(self) -> dict[str, FloatArray]:
        """By endpoint: the part of the first day's demand that has passed at each minute."""
        midnight_s = self.start_s // DAY_S * DAY_S
        loads = [self.workload.endpoint_load_frac(float(midnight_s + t)) for t in self._minutes_s[:-1]]
        passed = {name: np.concatenate([[0.0], np.cumsum([load[name] for load in loads])]) for name in self.requests}
        return {name: total / total[-1] for name, total in passed.items()}

    def _step_s(self, now_s: float) -> float:
        return min((_step_around(item, now_s) for item in self.failures), default=CALM_STEP_S)

    def _next_event(self, now_s: float) -> float:
        return min((t for t in self._events_s if t > now_s + 1e-9), default=float("inf"))

    @cached_property
    def _events_s(self) -> tuple[float, ...]:
        return tuple(sorted({t for item in self.failures for t in (item.at_s, item.until_s)}))


def _step_around(item: FailureAt, now_s: float) -> float:
    """Seconds right after a failure and its end, ten seconds while it is new."""
    if item.at_s <= now_s < item.at_s + TENSE_FOR_S or item.until_s <= now_s < item.until_s + TENSE_AFTER_S:
        return TENSE_STEP_S
    return WATCHFUL_STEP_S if item.at_s <= now_s < min(item.until_s, item.at_s + WATCHED_FOR_S) else CALM_STEP_S
