"""A day as it happens to every policy alike: VMs that come and go, demand, requests, weather and failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Endpoint, Group, Slo, SpreadOver, Vm, VmKind
from tapas_opt.plant.workload import Arrival as AskedFor
from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.policy import Request
from tapas_opt.simulation.record import Outage

__all__ = ["Arrival", "Day", "FailureAt", "make_day"]

FloatArray = NDArray[np.float64]

DAY_S = 86_400.0
CALM_STEP_S = 60.0
TENSE_STEP_S = 1.0
WATCHFUL_STEP_S = 10.0
TENSE_FOR_S = 300.0
"""So long after a failure, or its end, time is simulated second by second."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """VMs asked for together, at a time; and VMs that leave then."""

    at_s: float
    vms: tuple[Vm, ...]
    leaving: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailureAt:
    """A failure from ``at_s`` until ``until_s``."""

    at_s: float
    until_s: float
    failure: Failure

    @property
    def outage(self) -> Outage:
        """As a record names it."""
        return Outage(self.failure.label, self.at_s, self.until_s)


@dataclass(frozen=True)
class Day:
    """Everything that a policy cannot change.

    Attributes
    ----------
    running
        VMs that run already when the day begins; each policy decides where.
    requests
        For each endpoint its trace; the trace's length is stretched over the day so that its requests come as densely
        as the demand has it.
    goodput_of
        By endpoint: tokens/s that one of its instances carries as it starts.
    """

    start_s: float
    workload: Workload
    endpoints: tuple[Endpoint, ...]
    groups: tuple[Group, ...]
    running: tuple[Vm, ...]
    arrivals: tuple[Arrival, ...]
    failures: tuple[FailureAt, ...]
    requests: Mapping[str, tuple[Request, ...]]
    goodput_of: Mapping[str, float]

    @property
    def end_s(self) -> float:
        """Midnight."""
        return self.start_s + DAY_S

    def steps(self) -> Iterator[tuple[float, float]]:
        """(start, length) of each step: minutes, and seconds around failures."""
        now = self.start_s
        while now < self.end_s - 1e-9:
            length = min(self._step_s(now), self._next_event(now) - now, self.end_s - now)
            yield now, length
            now += length

    def demand_tokens_per_s(self, now_s: float, present: Sequence[Vm]) -> dict[str, float]:
        """Prompt and output tokens per second that users ask of each endpoint.

        Demand follows the VMs that were asked for, whether or not a policy found room for them.
        """
        load = self.workload.endpoint_load_frac(now_s)
        planned = dict.fromkeys(load, 0.0)
        for vm in present:
            if vm.kind is VmKind.SAAS and vm.endpoint is not None:
                planned[vm.endpoint] += self.goodput_of[vm.endpoint]
        return {endpoint: load[endpoint] * planned[endpoint] for endpoint in load}

    def requests_between(self, endpoint: str, from_s: float, until_s: float) -> tuple[Request, ...]:
        """Requests of the endpoint's trace that fall into a stretch of the day."""
        trace, passed = self.requests[endpoint], self._passed_frac[endpoint]
        first, last = (int(np.interp(t, self._minutes_s, passed) * len(trace) + 0.5) for t in (from_s, until_s))
        return trace[first:last]

    @cached_property
    def _minutes_s(self) -> FloatArray:
        return self.start_s + np.arange(0.0, DAY_S + 1.0, CALM_STEP_S)

    @cached_property
    def _passed_frac(self) -> dict[str, FloatArray]:
        """By endpoint: the part of the day's demand that has passed at each minute."""
        loads = [self.workload.endpoint_load_frac(float(t)) for t in self._minutes_s[:-1]]
        passed = {name: np.concatenate([[0.0], np.cumsum([load[name] for load in loads])]) for name in self.requests}
        return {name: total / total[-1] for name, total in passed.items()}

    def _step_s(self, now_s: float) -> float:
        for item in self.failures:
            if item.at_s <= now_s < item.at_s + TENSE_FOR_S or item.until_s <= now_s < item.until_s + TENSE_FOR_S / 5:
                return TENSE_STEP_S
            if item.at_s <= now_s < item.until_s:
                return WATCHFUL_STEP_S
        return CALM_STEP_S

    def _next_event(self, now_s: float) -> float:
        moments = [t for item in self.failures for t in (item.at_s, item.until_s)]
        return min((t for t in moments if t > now_s + 1e-9), default=float("inf"))


def make_day(
    workload: Workload,
    profiles: Mapping[str, Profile],
    trace: Mapping[str, pd.DataFrame],
    failures: Sequence[FailureAt],
    *,
    day: int,
    running: int,
    arriving: int,
) -> Day:
    """Draw a day.

    Parameters
    ----------
    profiles
        By endpoint: the profile of the configuration that its instances start with.
    day
        Number of the day since the history began, so that the week's rhythm goes on.
    running, arriving
        VMs that run at midnight, and VMs that arrive until the next; as many leave as arrive beyond the first half.
    """
    start_s = day * DAY_S
    present = workload.initial_vms(running)
    asked = workload.arrivals(day, arriving)
    leaving = [vm.name for vm in present[:: max(2, 2 * running // max(1, arriving))]]
    return Day(
        start_s=start_s,
        workload=workload,
        endpoints=tuple(_endpoint(name, profiles[name]) for name in workload.endpoints),
        groups=tuple(Group(name, SpreadOver.ROW, max_per_place=10_000) for name in workload.endpoints),
        running=present,
        arrivals=tuple(_hourly(asked, leaving, start_s)),
        failures=tuple(failures),
        requests={name: _requests(name, table) for name, table in trace.items() if name in workload.endpoints},
        goodput_of={name: profile.goodput_tokens_per_s for name, profile in profiles.items()},
    )


def _endpoint(name: str, profile: Profile) -> Endpoint:
    """A promise of five times the unloaded latency, and answers no worse than those of a 13B model."""
    return Endpoint(name, Slo(5 * profile.ttft_s, 5 * profile.tbt_s), profile.configuration.name, quality_floor=0.85)


def _hourly(asked: Sequence[AskedFor], leaving: Sequence[str], start_s: float) -> Iterator[Arrival]:
    """Arrivals in hourly batches; departures are spread over the same hours."""
    hours: dict[int, list[Vm]] = {}
    for item in asked:
        hours.setdefault(int((item.at_s - start_s) // 3600), []).append(item.vm)
    left = list(leaving)
    for hour, vms in sorted(hours.items()):
        gone = tuple(left.pop() for _ in range(min(len(left), len(vms) // 2)))
        yield Arrival(start_s + (hour + 1) * 3600.0, tuple(vms), gone)


def _requests(endpoint: str, table: pd.DataFrame) -> tuple[Request, ...]:
    prompts, outputs = table["context_tokens"].astype(int), table["generated_tokens"].astype(int)
    return tuple(Request(endpoint, prompt, output) for prompt, output in zip(prompts, outputs, strict=True))
