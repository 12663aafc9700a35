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
TENSE_FOR_S, TENSE_AFTER_S = 300.0, 60.0
"""So long after a failure, and after its end, time is simulated second by second."""

WHOLE_DAY = (0.0, 24.0)


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
    start_s, end_s
        Midnight to midnight, or the part of the day that is looked at.
    adopted
        VMs that somebody else placed before the day begins, and their servers: a policy takes them over as they are.
    running
        Further VMs that run when the day begins; each policy decides where.
    requests
        For each endpoint its trace; the trace's length is stretched from midnight to midnight so that its requests
        come as densely as the demand has it.
    goodput_of
        By endpoint: tokens/s that one of its instances carries as it starts.
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
    requests: Mapping[str, tuple[Request, ...]]
    goodput_of: Mapping[str, float]

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
        return self.start_s // DAY_S * DAY_S + np.arange(0.0, DAY_S + 1.0, CALM_STEP_S)

    @cached_property
    def _passed_frac(self) -> dict[str, FloatArray]:
        """By endpoint: the part of the day's demand that has passed at each minute."""
        loads = [self.workload.endpoint_load_frac(float(t)) for t in self._minutes_s[:-1]]
        passed = {name: np.concatenate([[0.0], np.cumsum([load[name] for load in loads])]) for name in self.requests}
        return {name: total / total[-1] for name, total in passed.items()}

    def _step_s(self, now_s: float) -> float:
        return min((_step_around(item, now_s) for item in self.failures), default=CALM_STEP_S)

    def _next_event(self, now_s: float) -> float:
        moments = [t for item in self.failures for t in (item.at_s, item.until_s)]
        return min((t for t in moments if t > now_s + 1e-9), default=float("inf"))


def _step_around(item: FailureAt, now_s: float) -> float:
    """Seconds right after a failure and its end, ten seconds while it lasts."""
    if item.at_s <= now_s < item.at_s + TENSE_FOR_S or item.until_s <= now_s < item.until_s + TENSE_AFTER_S:
        return TENSE_STEP_S
    return WATCHFUL_STEP_S if item.at_s <= now_s < item.until_s else CALM_STEP_S


def make_day(
    workload: Workload,
    profiles: Mapping[str, Profile],
    trace: Mapping[str, pd.DataFrame],
    failures: Sequence[FailureAt],
    *,
    day: int,
    running: int,
    arriving: int,
    hours: tuple[float, float] = WHOLE_DAY,
    occupied: Sequence[str] = (),
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
    hours
        The part of the day that is looked at: what came and went before has come and gone when it begins; failures
        and requests outside it do not happen.
    occupied
        Servers on which the first of the running VMs are already, placed by somebody else.
    """
    midnight_s = day * DAY_S
    start_s, end_s = (midnight_s + hour * 3600.0 for hour in hours)
    initial = workload.initial_vms(running)
    leaving = [vm.name for vm in initial[:: max(2, 2 * running // max(1, arriving))]]
    batches = tuple(_hourly(workload.arrivals(day, arriving), leaving, midnight_s))
    present = _present(initial, [batch for batch in batches if batch.at_s <= start_s])
    return Day(
        start_s=start_s,
        end_s=end_s,
        workload=workload,
        endpoints=tuple(_endpoint(name, profiles[name]) for name in workload.endpoints),
        groups=tuple(Group(name, SpreadOver.ROW, max_per_place=10_000) for name in workload.endpoints),
        adopted=tuple(zip(present, occupied, strict=False)),
        running=present[len(occupied) :],
        arrivals=tuple(batch for batch in batches if start_s < batch.at_s < end_s),
        failures=tuple(item for item in failures if start_s <= item.at_s < end_s),
        requests={name: _requests(name, table) for name, table in trace.items() if name in workload.endpoints},
        goodput_of={name: profile.goodput_tokens_per_s for name, profile in profiles.items()},
    )


def _present(initial: Sequence[Vm], before: Sequence[Arrival]) -> tuple[Vm, ...]:
    """VMs that are there after these arrivals and departures."""
    gone = {name for batch in before for name in batch.leaving}
    return tuple(vm for vm in (*initial, *(vm for batch in before for vm in batch.vms)) if vm.name not in gone)


def _endpoint(name: str, profile: Profile) -> Endpoint:
    """A promise of five times the unloaded latency, and answers no worse than those of a 13B model."""
    return Endpoint(name, Slo(5 * profile.ttft_s, 5 * profile.tbt_s), profile.configuration.name, quality_floor=0.85)


def _hourly(asked: Sequence[AskedFor], leaving: Sequence[str], midnight_s: float) -> Iterator[Arrival]:
    """Arrivals in hourly batches; departures are spread over the same hours."""
    hours: dict[int, list[Vm]] = {}
    for item in asked:
        hours.setdefault(int((item.at_s - midnight_s) // 3600), []).append(item.vm)
    left = list(leaving)
    for hour, vms in sorted(hours.items()):
        gone = tuple(left.pop() for _ in range(min(len(left), len(vms) // 2)))
        yield Arrival(midnight_s + (hour + 1) * 3600.0, tuple(vms), gone)


def _requests(endpoint: str, table: pd.DataFrame) -> tuple[Request, ...]:
    prompts, outputs = table["context_tokens"].astype(int), table["generated_tokens"].astype(int)
    return tuple(Request(endpoint, prompt, output) for prompt, output in zip(prompts, outputs, strict=True))
