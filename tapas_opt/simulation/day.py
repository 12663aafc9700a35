"""One day as the drill tells it: VMs at midnight, hourly batches of arrivals, and a trace whose requests are routed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.workload import Endpoint, Group, Slo, SpreadOver, Vm
from tapas_opt.plant.workload import Arrival as AskedFor
from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.policy import Request
from tapas_opt.simulation.story import DAY_S, Arrival, FailureAt, Story

__all__ = ["endpoint_of", "groups_of", "hourly", "make_day"]

WHOLE_DAY = (0.0, 24.0)


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
) -> Story:
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
    batches = tuple(_replacing(hourly(workload.arrivals(day, arriving), midnight_s), leaving))
    present = _present(initial, [batch for batch in batches if batch.at_s <= start_s])
    return Story(
        start_s=start_s,
        end_s=end_s,
        workload=workload,
        endpoints=tuple(endpoint_of(name, profiles[name]) for name in workload.endpoints),
        groups=groups_of(workload),
        adopted=tuple(zip(present, occupied, strict=False)),
        running=present[len(occupied) :],
        arrivals=tuple(batch for batch in batches if start_s < batch.at_s < end_s),
        failures=tuple(item for item in failures if start_s <= item.at_s < end_s),
        requests={name: _requests(name, table) for name, table in trace.items() if name in workload.endpoints},
        goodput_of={name: profile.goodput_tokens_per_s for name, profile in profiles.items()},
    )


def endpoint_of(name: str, profile: Profile) -> Endpoint:
    """A promise of five times the unloaded latency, and answers no worse than those of a 13B model."""
    return Endpoint(name, Slo(5 * profile.ttft_s, 5 * profile.tbt_s), profile.configuration.name, quality_floor=0.85)


def groups_of(workload: Workload) -> tuple[Group, ...]:
    """The instances of each endpoint belong together, and any number of them may share a row."""
    return tuple(Group(name, SpreadOver.ROW, max_per_place=10_000) for name in workload.endpoints)


def hourly(asked: Sequence[AskedFor], midnight_s: float) -> Iterator[tuple[float, tuple[Vm, ...]]]:
    """VMs that are asked for in an hour come together at its end."""
    hours: dict[int, list[Vm]] = {}
    for item in asked:
        hours.setdefault(int((item.at_s - midnight_s) // 3600), []).append(item.vm)
    for hour, vms in sorted(hours.items()):
        yield midnight_s + (hour + 1) * 3600.0, tuple(vms)


def _present(initial: Sequence[Vm], before: Sequence[Arrival]) -> tuple[Vm, ...]:
    """VMs that are there after these arrivals and departures."""
    gone = {name for batch in before for name in batch.leaving}
    return tuple(vm for vm in (*initial, *(vm for batch in before for vm in batch.vms)) if vm.name not in gone)


def _replacing(batches: Iterator[tuple[float, tuple[Vm, ...]]], leaving: Sequence[str]) -> Iterator[Arrival]:
    """Departures are spread over the hours of the arrivals, one for two."""
    left = list(leaving)
    for at_s, vms in batches:
        gone = tuple(left.pop() for _ in range(min(len(left), len(vms) // 2)))
        yield Arrival(at_s, vms, gone)


def _requests(endpoint: str, table: pd.DataFrame) -> tuple[Request, ...]:
    prompts, outputs = table["context_tokens"].astype(int), table["generated_tokens"].astype(int)
    return tuple(Request(endpoint, prompt, output) for prompt, output in zip(prompts, outputs, strict=True))
